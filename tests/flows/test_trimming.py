"""Subsets that validate: what is cut down, what is kept on record, and what later runs make of it."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from s3bids.errors import ConfigError, DownloadError
from s3bids.testing.faults import Answer, Fault
from s3bids.testing.studies import write_study
from s3bids.transfer.manifest import read_notes
from s3bids.verification import verify_directory

ONE = {"filters": {"subject": "01", "task": "rest"}, "valid_subset": True}
OTHER = {"filters": {"subject": "02", "task": "rest"}, "valid_subset": True}
TABLE = "participants.tsv"
HEADER = "participant_id\tage\tsex\n"
ROWS = {"01": "sub-01\t6.01\tF\n", "02": "sub-02\t12.83\tM\n", "10": "sub-10\t16.61\tF\n"}


@pytest.fixture
def study_tree(tmp_path):
    write_study(tmp_path / "tree")
    return tmp_path / "tree"


@pytest.fixture
def place_(by_params, study_tree):
    """The synthetic study in the local emulation."""
    by_params.put_tree(study_tree, "ds")
    return by_params


@pytest.fixture
def counted_study(counted, study_tree):
    """The synthetic study on rclone, with requests counted."""
    counted.put_tree(study_tree, "ds")
    return counted


def table(*subjects):
    return HEADER + "".join(ROWS[subject] for subject in subjects)


def test_tables_hold_what_is_there(place_, out):
    report = place_.study().download_dataset(out, **ONE)
    assert report.trimmed_files == (TABLE, "sub-01/sub-01_scans.tsv")
    assert (out / TABLE).read_text() == table("01")
    scans = (out / "sub-01" / "sub-01_scans.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in scans] == ["filename", "func/sub-01_task-rest_bold.nii.gz"]


def test_without_the_option_nothing_is_cut_down(place_, out, study_tree):
    report = place_.study().download_dataset(out, filters=ONE["filters"])
    assert report.trimmed_files == ()
    assert (out / TABLE).read_bytes() == (study_tree / TABLE).read_bytes()


def test_all_subjects_whole_are_no_subset(place_, out, study_tree):
    report = place_.study().download_dataset(out, valid_subset=True)
    assert report.trimmed_files == ()
    assert (out / TABLE).read_bytes() == (study_tree / TABLE).read_bytes()


@pytest.mark.parametrize("chosen", [["01"], ["01", "02"]])
def test_chosen_subjects_alone_are_a_subset(place_, out, chosen):
    place_.study(subjects=chosen).download_dataset(out, valid_subset=True)
    assert (out / TABLE).read_text() == table(*chosen)


def test_the_original_is_on_record(place_, out, study_tree):
    place_.study().download_dataset(out, **ONE)
    notes = {note["target"]: note for note in read_notes(out, "trimmed")}
    assert notes.keys() == {TABLE, "sub-01/sub-01_scans.tsv"}
    original = (study_tree / TABLE).read_bytes()
    assert zlib.decompress(base64.b64decode(notes[TABLE]["original"])) == original
    assert (notes[TABLE]["key"], notes[TABLE]["size"]) == (f"ds/{TABLE}", len(original))


def test_what_was_cut_down_passes_verification(place_, out):
    place_.study().download_dataset(out, **ONE)
    assert verify_directory(out, deep=True).differences == ()
    (out / TABLE).write_text(table("02"))
    assert [difference.target for difference in verify_directory(out, deep=True).differences] == [TABLE]


def test_a_second_run_fetches_and_changes_nothing(counted_study, proxy, out):
    study = counted_study.study()
    first = study.download_dataset(out, **ONE)
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    proxy.reset()
    second = study.download_dataset(out, **ONE)
    assert proxy.counts()["get"] == 0
    assert (second.fetched, second.skipped, second.conflicts) == (0, first.fetched, 0)
    assert second.trimmed_files == first.trimmed_files
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == files


def test_a_second_subset_joins_the_first(counted_study, proxy, out):
    study = counted_study.study()
    study.download_dataset(out, **ONE)
    proxy.reset()
    study.download_dataset(out, **OTHER)
    assert (out / TABLE).read_text() == table("01", "02")
    # The table was on record, so it was not asked for again.
    assert f"ds/{TABLE}" not in {request.key for request in proxy.requests if request.operation == "get"}
    # Nothing is left to drop once the last subject is here.
    report = study.download_dataset(out, filters={"subject": "10"}, valid_subset=True)
    assert (out / TABLE).read_text() == table("01", "02", "10")
    assert TABLE not in report.trimmed_files
    assert verify_directory(out, deep=True).differences == ()
    assert study.download_dataset(out).conflicts == 0


def test_the_full_study_afterwards_is_whole(place_, out, study_tree, tree):
    place_.study().download_dataset(out, **ONE)
    report = place_.study().download_dataset(out, derivatives=True)
    assert report.conflicts == 0
    assert tree(out) == {
        path.relative_to(study_tree).as_posix(): path.read_bytes() for path in study_tree.rglob("*") if path.is_file()
    }
    assert place_.study().download_dataset(out, derivatives=True).fetched == 0


def test_a_table_that_changed_on_storage_is_fetched_and_cut_down_anew(place_, out):
    place_.study().download_dataset(out, **ONE)
    place_.put({f"ds/{TABLE}": table("01", "02").replace("6.01", "7.77")})
    report = place_.study().download_dataset(out, **ONE)
    assert (report.fetched, report.conflicts) == (1, 0)
    assert (out / TABLE).read_text() == table("01").replace("6.01", "7.77")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_table_that_somebody_changed_stays(place_, out, moment):
    out.mkdir()
    own = table("01", "02") + "sub-99\t1\tX\n"
    if moment == "before":
        (out / TABLE).write_text(own)
        report = place_.study().download_dataset(out, **ONE)
    else:
        place_.study().download_dataset(out, **ONE)
        (out / TABLE).write_text(own)
        report = place_.study().download_dataset(out, **ONE)
    assert [conflict.target for conflict in report.conflicting_files] == [TABLE]
    assert TABLE not in report.trimmed_files
    assert (out / TABLE).read_text() == own
    place_.study().download_dataset(out, **ONE, overwrite=True)
    assert (out / TABLE).read_text() == table("01")


def test_a_run_that_was_interrupted_before_the_cut_is_finished_by_the_next(place_, out, monkeypatch):
    monkeypatch.setattr("s3bids.finishing.Finish.__call__", lambda finish, report: report)
    place_.study().download_dataset(out, **ONE)
    assert (out / TABLE).read_text() == table("01", "02", "10")
    monkeypatch.undo()
    report = place_.study().download_dataset(out, **ONE)
    assert (report.fetched, (out / TABLE).read_text()) == (0, table("01"))


def test_a_failed_file_keeps_its_row(counted_study, proxy, out):
    study = counted_study.study()
    image = "sub-01/func/sub-01_task-rest_bold.nii.gz"
    proxy.script(Fault("get", f"ds/{image}", times=None, action=Answer(403, "AccessDenied")))
    with pytest.raises(DownloadError) as caught:
        study.download_dataset(out, **ONE)
    assert caught.value.report.trimmed_files == (TABLE, "sub-01/sub-01_scans.tsv")
    assert image.removeprefix("sub-01/") in (out / "sub-01" / "sub-01_scans.tsv").read_text()
    assert (out / TABLE).read_text() == table("01")


@pytest.mark.parametrize(
    "damage",
    [
        {"original": "no base64"},
        {"original": base64.b64encode(zlib.compress(b"x" * 10_000_000)).decode()},
        {"original": None},
        {"target": "../../evil"},
        {"target": 7},
        {"size": -1},
        {"key": None},
        {"location": "s3://elsewhere"},
    ],
    ids=["text", "bomb", "missing", "outside", "number", "negative", "no key", "elsewhere"],
)
def test_a_damaged_record_is_passed_over(place_, out, damage):
    place_.study().download_dataset(out, **ONE)
    for path in (out / ".s3bids").iterdir():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["event"] == "trimmed":
                line.update(damage)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = place_.study().download_dataset(out, **ONE)
    assert (report.conflicts, report.failed, (out / TABLE).read_text()) == (0, 0, table("01"))
    assert not (out.parent.parent / "evil").exists()


def test_rows_that_lead_out_of_the_directory_go(place_, out):
    (out.parent / "secret").touch()
    scans = "filename\n../../secret\n/etc/passwd\nfunc/sub-01_task-rest_bold.nii.gz\n"
    place_.put({"ds/sub-01/sub-01_scans.tsv": scans, f"ds/{TABLE}": table("01", "02") + "..\tx\ty\n"})
    place_.study().download_dataset(out, **ONE)
    assert (out / "sub-01" / "sub-01_scans.tsv").read_text() == "filename\nfunc/sub-01_task-rest_bold.nii.gz\n"
    assert (out / TABLE).read_text() == table("01")


def test_files_that_were_cut_down_are_known_to_their_subject(place_, out):
    for _ in range(2):
        study = place_.study(subjects=["01"])
        study.download(out, **ONE, pbar=False)
        assert str(out / "sub-01" / "sub-01_scans.tsv") in study.subjects[0].files["raw"].values()


# Against the bucket, and after failures


def test_what_was_cut_down_or_written_is_no_difference_to_the_bucket(place_, out):
    place_.remove("ds/derivatives/fmriprep-mini/dataset_description.json")
    report = place_.study().download_dataset(out, derivatives=True, filters={"subject": "01"}, valid_subset=True)
    assert report.written_files
    assert TABLE in report.trimmed_files
    assert verify_directory(out, remote=True, storage=place_.storage).differences == ()
    place_.put({f"ds/{TABLE}": table("01", "02")})
    [difference] = verify_directory(out, remote=True, storage=place_.storage).differences
    assert (difference.target, difference.kind) == (TABLE, "changed")


def test_what_failed_is_retried_alone_and_the_tables_stay_as_they_are(counted_study, proxy, out):
    study = counted_study.study()
    proxy.script(Fault("get", "*rest_bold.nii.gz", times=None, action=Answer(403, "AccessDenied")))
    with pytest.raises(DownloadError):
        study.download_dataset(out, **ONE)
    proxy.reset()
    report = study.download_dataset(out, retry_failed=True)
    assert report.fetched == 1
    assert (out / TABLE).read_text() == table("01")
    assert study.download_dataset(out, **ONE).fetched == 0


def test_tables_that_failed_are_cut_down_when_they_are_retried(counted_study, proxy, out):
    study = counted_study.study()
    for pattern in (f"*{TABLE}", "*_scans.tsv", "*rest_bold.nii.gz"):
        proxy.script(Fault("get", pattern, times=None, action=Answer(403, "AccessDenied")))
    with pytest.raises(DownloadError):
        study.download_dataset(out, **ONE)
    proxy.reset()
    # The table of scans names the image, which is still to come.
    report = study.download_dataset(out, retry_failed=True, suffix=".tsv")
    assert report.trimmed_files == (TABLE, "sub-01/sub-01_scans.tsv")
    assert (out / TABLE).read_text() == table("01")
    assert "task-rest_bold.nii.gz" in (out / "sub-01" / "sub-01_scans.tsv").read_text()
    report = study.download_dataset(out, retry_failed=True)
    assert (report.fetched, report.trimmed_files) == (1, ())
    assert study.download_dataset(out, **ONE).fetched == 0


def test_a_retry_after_a_plain_download_leaves_tables_whole(counted_study, proxy, out, study_tree):
    study = counted_study.study()
    study.download_dataset(out, **ONE)
    proxy.script(Fault("get", "*_scans.tsv", times=None, action=Answer(403, "AccessDenied")))
    with pytest.raises(DownloadError):
        counted_study.study(subjects=["02"]).download_dataset(out)
    proxy.reset()
    assert study.download_dataset(out, retry_failed=True).trimmed_files == ()
    scans = "sub-02/sub-02_scans.tsv"
    assert (out / scans).read_bytes() == (study_tree / scans).read_bytes()


def test_a_retry_goes_without_a_choice(place_, out):
    with pytest.raises(ConfigError, match="retry_failed brings what failed before; leave out filters, valid_subset"):
        place_.study().download_dataset(out, **ONE, retry_failed=True)
