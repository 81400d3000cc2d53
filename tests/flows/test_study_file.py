"""A study that was opened from a file brings what the file says, where a call says nothing else."""

import pytest

from s3bids import S3BIDSStudy
from s3bids.testing.studies import write_study
from s3bids.transfer.manifest import read_records

FILE = """\
bucket: bucket
prefix: ds
local_root: .
subjects: all
where: age > 10
filters: {suffix: [bold]}
sidecars: false
derivatives: [fmriprep-mini]
destination: here
verify: sha256
jobs: 1
"""


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path / "bucket" / "ds")
    (tmp_path / "lab.yaml").write_text(FILE)
    return S3BIDSStudy.from_config(tmp_path / "lab.yaml")


def images(directory):
    return sorted(path.name for path in directory.rglob("*.nii.gz"))


BOLD = [f"sub-{s}_task-{task}_bold.nii.gz" for s in ("02", "10") for task in ("faces", "rest")]


def test_both_downloads_bring_what_the_file_says(study, tmp_path):
    study.download(tmp_path / "a", pbar=False)
    study.download_dataset(tmp_path / "b")
    for directory in (tmp_path / "a", tmp_path / "b"):
        assert images(directory) == BOLD
        assert all(record.sha256 for record in read_records(directory).values())


def test_the_destination_may_be_that_of_the_file(study, tmp_path):
    study.download_dataset()
    assert images(tmp_path / "here") == BOLD


def test_without_a_file_a_directory_has_to_be_named(study):
    other = S3BIDSStudy("ds", "bucket", "ds", storage=study.storage)
    with pytest.raises(TypeError, match="directory must be a path"):
        other.download_dataset()


def test_what_a_call_says_goes_before_what_the_file_says(study, tmp_path):
    study.download_dataset(tmp_path / "a", filters={"suffix": "T1w"})
    kinds = ("T1w", "desc-preproc_T1w")
    assert images(tmp_path / "a") == sorted(f"sub-{s}_{kind}.nii.gz" for s in ("02", "10") for kind in kinds)
    study.download(tmp_path / "b", where="age < 10", pbar=False)
    assert images(tmp_path / "b") == ["sub-01_task-faces_bold.nii.gz", "sub-01_task-rest_bold.nii.gz"]
    study.download(tmp_path / "c", where="age < 10", with_sidecars=True, pbar=False)
    assert (tmp_path / "c" / "task-rest_bold.json").is_file()
    assert not (tmp_path / "b" / "task-rest_bold.json").exists()


def test_a_cohort_is_that_of_the_file(study):
    assert study.cohort() == ["sub-02", "sub-10"]
    assert study.cohort(where="age < 10") == ["sub-01"]


def test_what_failed_is_asked_for_again_whatever_the_file_chooses(study, tmp_path):
    study.download_dataset(tmp_path / "a")
    report = study.download_dataset(tmp_path / "a", retry_failed=True)
    assert report.fetched == report.failed == 0


def test_a_study_opened_without_a_file_brings_everything(study, tmp_path):
    other = S3BIDSStudy("ds", "bucket", "ds", "all", storage=study.storage)
    other.download(tmp_path / "a", pbar=False)
    assert len(images(tmp_path / "a")) == 18
