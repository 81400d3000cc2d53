"""What a download tells: reports, errors, dry runs, tables; and studies that travel between processes."""

from __future__ import annotations

import json

import pytest

import s3bids
from s3bids import DownloadError, DownloadReport


def test_a_report_says_what_came(local, out):
    report = local.study(subjects="1").download(out, pbar=False)
    assert isinstance(report, DownloadReport)
    assert report.seconds > 0
    assert {field: getattr(report, field) for field in ("fetched", "skipped", "conflicts", "failed")} == {
        "fetched": 4,
        "skipped": 0,
        "conflicts": 0,
        "failed": 0,
    }
    for table in (report.failures, report.conflicting):
        assert (list(table.columns), len(table)) == (["key", "target", "reason", "attempts"], 0)


def test_failed_files_are_listed_in_one_error_after_all_others_came(on_moto, keys, out, tree, reborn):
    on_moto.put({**keys, "ds/sub-2/../../evil": b"1", "ds/sub-2//x": b"2"})
    study = on_moto.study(subjects="2")
    with pytest.raises(DownloadError) as caught:
        study.download(out, pbar=False)
    error = caught.value
    assert isinstance(error, OSError)
    assert set(tree(out)) == {"dataset_description.json", "sub-2/anat/sub-2_T1w.nii.gz"}
    assert (error.report.fetched, error.report.failed) == (2, 2)
    assert len(error.report.plan) == 4
    assert {(failure.key, failure.attempts) for failure in error.failures} == {
        ("ds/sub-2/../../evil", 0),
        ("ds/sub-2//x", 0),
    }
    assert all(failure.reason for failure in error.failures)
    table = error.report.failures
    assert list(table.columns) == ["key", "target", "reason", "attempts"]
    assert set(table["key"]) == {failure.key for failure in error.failures}
    assert "2 files could not be downloaded" in str(error)
    assert ".failures" in str(error)
    copy = reborn(error)
    assert (str(copy), copy.failures, copy.report.fetched) == (str(error), error.failures, 2)
    assert set(study.subjects[0].files["raw"]) == {"ds/sub-2/anat/sub-2_T1w.nii.gz"}


def test_a_dry_run_plans_and_writes_nothing(served, proxy, out):
    study = served.study(subjects="1")
    report = study.download(out, False, "afq", dry_run=True)
    assert not out.exists()
    assert proxy.counts()["get"] == 0
    assert (report.dry_run, report.fetched, len(report.plan)) == (True, 0, 6)
    assert {row.action for row in report.plan} == {"fetch"}
    assert [row.target for row in report.plan] == [
        "derivatives/afq/dataset_description.json",
        "derivatives/afq/sub-1/sub-1_profiles.csv",
        "derivatives/afq/sub-1/sub-1_tract.trk",
        "sub-1/anat/sub-1_T1w.json",
        "sub-1/anat/sub-1_T1w.nii.gz",
        "sub-1/dwi/sub-1_dwi.bval",
    ]
    assert (study.local_directories, study.subjects[0].files["raw"]) == ([], {})


def test_the_catalog_is_a_table(local, ds):
    frame = local.study(subjects=["1"]).to_frame(include_derivs="afq")
    others = {path for path in ds if not path.startswith(("derivatives/", "sub-10/", "sub-2/"))}
    assert set(frame["path"]) == others | {path for path in ds if path.startswith("derivatives/afq/sub-1/")}
    assert list(frame["key"]) == sorted(frame["key"])
    row = frame.set_index("path").loc["sub-1/anat/sub-1_T1w.nii.gz"]
    assert (row["subject"], row["datatype"], row["suffix"], row["extension"]) == ("sub-1", "anat", "T1w", ".nii.gz")
    assert row["size"] == len(ds["sub-1/anat/sub-1_T1w.nii.gz"])
    assert set(frame["derivative"].dropna()) == {"afq"}


def test_studies_and_subjects_pickle(place, keys, out, reborn):
    place.put(keys)
    study = place.study(subjects=["1", "2"])
    listed = study.subjects[0].s3_keys
    copy = reborn(study)
    assert repr(copy) == repr(study)
    assert copy.derivative_types == study.derivative_types
    assert [subject.s3_keys["raw"] for subject in copy.subjects] == [s.s3_keys["raw"] for s in study.subjects]
    assert all(subject.study is copy for subject in copy.subjects)
    subject = reborn(study.subjects[0])
    assert (subject.subject_id, subject.s3_keys) == ("sub-1", listed)
    assert copy.download(out, pbar=False).fetched == 5
    assert subject.download(out, pbar=False).skipped == 3


def test_what_json_describes_is_read(local, out):
    local.put({"ds/dataset_description.json": json.dumps({"Name": "x"})})
    local.study().download(out, pbar=False)
    assert s3bids.read_json(out / "dataset_description.json") == {"Name": "x"}
