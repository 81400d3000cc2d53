import pickle

from s3bids.errors import DownloadError
from s3bids.transfer.report import DownloadReport, Failure, Status, failure_message

LOST = Failure("ds/a", "a", "cannot read s3://b/ds/a: no answer", 5)
OWN = Failure("ds/b", "b", "the file has 3 bytes, the object 4", 0)


def test_an_empty_report_is_all_zeros():
    report = DownloadReport()
    assert (report.fetched, report.skipped, report.conflicts, report.failed, report.bytes) == (0, 0, 0, 0, 0)
    assert (report.plan, report.dry_run, report.no_space) == (None, False, False)
    assert len(report.failures) == len(report.conflicting) == 0


def test_failures_and_conflicts_are_tables_for_users():
    report = DownloadReport(failed=1, conflicts=1, failed_files=(LOST,), conflicting_files=(OWN,))
    for table, row in ((report.failures, LOST), (report.conflicting, OWN)):
        assert list(table.columns) == ["key", "target", "reason", "attempts"]
        assert list(table.iloc[0]) == list(row)


def test_an_empty_table_has_its_columns():
    assert list(DownloadReport().failures.columns) == ["key", "target", "reason", "attempts"]


def test_the_message_names_the_first_failure_and_the_next_step():
    one = failure_message(DownloadReport(failed=1, failed_files=(LOST,)), "/data")
    assert one.startswith("1 file could not be downloaded to /data; the first is 'ds/a': cannot read")
    assert "run again" in one
    assert failure_message(DownloadReport(failed=3, failed_files=(LOST,) * 3), "/data").startswith("3 files ")


def test_an_error_carries_its_report_through_a_pickle():
    error = DownloadError("1 file failed", DownloadReport(failed=1, failed_files=(LOST,)))
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == "1 file failed"
    assert copy.failures == error.failures == [LOST]
    assert isinstance(copy, OSError)


def test_the_representation_is_short_whatever_failed():
    report = DownloadReport(failed=1000, failed_files=(LOST,) * 1000)
    assert "ds/a" not in repr(report)
    assert "failed=1000" in repr(report)


def test_a_status_is_a_word():
    assert [str(status) for status in Status] == ["fetched", "skipped", "conflict", "failed"]
