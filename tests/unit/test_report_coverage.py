"""What a download holds: its manifest and its files, with their states."""

import pytest

from s3bids.errors import ObjectNotFoundError
from s3bids.report.coverage import directory_coverage
from s3bids.report.holdings import Cell, Column, Share, State
from s3bids.transfer.manifest import ManifestWriter, Record

T1W = "sub-1/anat/sub-1_T1w.nii.gz"
BOLD = "sub-1/func/sub-1_task-rest_bold.nii.gz"
HBN = "derivatives/sub-1/afq/sub-1_profiles.csv"


@pytest.fixture
def download(tmp_path):
    """A function that makes a download: files of ten bytes, in the manifest with their sizes."""

    def make(*targets, failed=(), check="md5", **fields):
        with ManifestWriter(tmp_path, "run", now=lambda: 1.0) as manifest:
            for target in targets:
                path = tmp_path / target
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"0123456789")
                manifest.add(Record(target, "s3://b", target, 10, "e", 1.0, path.stat().st_mtime_ns, check, **fields))
            for target in failed:
                manifest.fail(target, target, "503 SlowDown", 5)
        return tmp_path

    return make


def state_of(found, target):
    return next((problem.state for problem in found.checked.problems if problem.target == target), State.COMPLETE)


def test_a_complete_download_has_no_problems(download):
    found = directory_coverage(download(T1W, BOLD, "README"))
    assert (found.checked.files, found.checked.problems) == (3, ())
    assert found.checked.states == {State.COMPLETE: 3}
    assert found.holdings.total == Share(None, 3, 30)


def test_missing_changed_and_failed_files_are_told_apart(download):
    root = download(T1W, BOLD, "README", failed=["sub-2/dwi/sub-2_dwi.nii.gz"])
    (root / T1W).unlink()
    (root / BOLD).write_bytes(b"more than ten bytes")
    found = directory_coverage(root)
    assert state_of(found, T1W) is State.MISSING
    assert state_of(found, BOLD) is State.CHANGED
    assert state_of(found, "sub-2/dwi/sub-2_dwi.nii.gz") is State.FAILED
    assert sum(found.checked.states.values()) == found.checked.files == 4
    assert found.holdings.columns[0] == Column(None, "anat", "T1w")
    assert found.holdings.cells[0][0] == Cell(missing=1)


def test_a_file_that_failed_and_is_here_is_an_earlier_version(download):
    found = directory_coverage(download(T1W, failed=[T1W]))
    assert state_of(found, T1W) is State.CHANGED
    assert found.holdings.total.files == 1


def test_a_failure_that_leads_out_of_the_directory_is_left_out(download):
    assert directory_coverage(download(T1W, failed=["../evil"])).checked.problems == ()


@pytest.mark.parametrize(("deep", "state"), [(False, State.COMPLETE), (True, State.CHANGED)])
def test_bytes_are_compared_only_by_deep(download, deep, state):
    root = download(T1W, md5="781e5e245d69b566979b86e28d23f2c7")
    (root / T1W).write_bytes(b"9876543210")
    found = directory_coverage(root, deep=deep)
    assert state_of(found, T1W) is state
    assert found.checked.deep is deep


def test_how_files_were_checked_is_counted(download):
    download(T1W, check="size")
    found = directory_coverage(download(T1W, BOLD, sha256="0" * 64))
    assert found.checked.on_arrival == {"md5": 2}
    assert found.checked.with_sha256 == 2


def test_the_layout_of_hbn_is_seen(download):
    found = directory_coverage(download(T1W, HBN))
    assert found.holdings.subjects == ("sub-1",)
    assert {share.name for share in found.holdings.derivatives} == {None, "afq"}


def test_the_participant_table_on_disk_is_read(download):
    root = download(T1W)
    (root / "participants.tsv").write_text("participant_id\tage\nsub-1\t9\n")
    assert directory_coverage(root).people.rows == (("9",),)


def test_a_directory_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(ObjectNotFoundError, match=r"cannot report on .*it has no manifest"):
        directory_coverage(tmp_path)


def test_a_notebook_shows_it_in_short(download):
    root = download(T1W, failed=["<b>"])
    text = directory_coverage(root)._repr_html_()
    assert "1 file, 10 B" in text
    assert "1 complete, 1 failed" in text
