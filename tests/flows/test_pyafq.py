"""Calls in the field that must run unchanged: pyAFQ's, its examples', and those of the HBN-POD2 notebook."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3bids.utils import S3BIDSStudy

PROFILES = {
    "derivatives/afq/dataset_description.json",
    "derivatives/afq/sub-1/sub-1_profiles.csv",
    "derivatives/afq/sub-10/sub-10_profiles.csv",
}
OLD_PROFILES = {
    "derivatives/afq-old/dataset_description.json",
    "derivatives/afq-old/sub-1/sub-1_profiles.csv",
}


@pytest.fixture(params=["moto", "rclone", "local"])
def signed_bucket(request, keys, monkeypatch):
    """The small study where `anon=False` finds it: name of the bucket."""
    place = request.getfixturevalue({"local": "by_environment"}.get(request.param, f"on_{request.param}"))
    place.put(keys)
    if request.param != "local":
        server = request.getfixturevalue(request.param)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    return place.bucket


@pytest.mark.parametrize(("derivative", "expected"), [("afq", PROFILES), (True, PROFILES | OLD_PROFILES)])
def test_group_afq_gets_the_profiles_and_their_descriptions(signed_bucket, ds, tmp_path, tree, derivative, expected):
    """``AFQ.api.group.get_afq_bids_entities`` and its kin, argument by argument."""
    options = {"subjects": "all", "anon": False}
    study = S3BIDSStudy("get_profiles", signed_bucket, "ds", **options)
    study.download(
        tmp_path / "profiles",
        include_modality_agnostic=False,
        include_derivs=derivative,
        include_derivs_dataset_description=True,
        suffix="profiles.csv",
    )
    assert tree(tmp_path / "profiles") == {path: ds[path] for path in expected}


def test_a_call_without_optional_arguments_gets_the_same(signed_bucket, tmp_path, tree):
    S3BIDSStudy("x", signed_bucket, "ds", subjects="all", anon=False).download(
        str(tmp_path / "profiles"), include_modality_agnostic=False, include_derivs="afq", suffix="profiles.csv"
    )
    assert set(tree(tmp_path / "profiles")) == PROFILES


def test_the_profiles_come_into_a_temporary_directory_that_exists(signed_bucket, tmp_path, tree):
    """pyAFQ downloads into a ``TemporaryDirectory`` and reads what is there."""
    study = S3BIDSStudy("get_profiles", signed_bucket, "ds", subjects="all", anon=False)
    study.download(
        tmp_path, include_modality_agnostic=False, include_derivs=["afq"], suffix="profiles.csv", overwrite=True
    )
    assert set(tree(tmp_path)) >= PROFILES
    tables = [path.name for path in (tmp_path / "derivatives" / "afq" / "sub-1").glob("*.csv")]
    assert tables == ["sub-1_profiles.csv"]


def test_the_cloudknot_example_gets_one_subject_by_its_bare_id(signed_bucket, tmp_path, tree, monkeypatch):
    """Its subjects are ids of the participant table without ``sub-``; its directory is relative."""
    monkeypatch.chdir(tmp_path)
    study = S3BIDSStudy(
        "my_study",
        signed_bucket,
        "ds",
        subjects=["10"],
        use_participants_tsv=True,
        anon=False,
    )
    study.download("local_bids_dir", include_derivs=["afq"])
    assert set(tree("local_bids_dir")) == {
        "dataset_description.json",
        "derivatives/afq/dataset_description.json",
        "derivatives/afq/sub-10/sub-10_profiles.csv",
        "sub-10/anat/sub-10_T1w.nii.gz",
    }


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_cloudknot_example_gets_subjects_by_position(signed_bucket, tmp_path, tree, position):
    study = S3BIDSStudy("my_study", signed_bucket, "ds", subjects=[position], anon=False)
    study.download(tmp_path / "local", False)
    found = {path.split("/")[0] for path in tree(tmp_path / "local")}
    assert found == {("sub-1", "sub-10", "sub-2")[position]}


def test_the_hbn_pod2_notebook_gets_a_subject_of_a_derivative(place, tmp_path, tree, monkeypatch):
    """The root of its study is itself a derivative, with report pages beside the subjects' directories."""
    root = "data/Projects/HBN/BIDS_curated/derivatives/qsiprep"
    objects = {
        "dataset_description.json": "{}",
        "dwiqc.json": "{}",
        "participants.tsv": "subject_id\tage\nsub-NDARAA947ZG5\t9\n",
        "sub-NDARAA947ZG5.html": "page",
        "sub-NDARAA947ZG5/anat/sub-NDARAA947ZG5_desc-preproc_T1w.nii.gz": "T1w",
        "sub-NDARAA947ZG5/ses-HBNsiteCBIC/dwi/sub-NDARAA947ZG5_ses-HBNsiteCBIC_dwi.nii.gz": "dwi",
        "sub-NDARAA947ZG51/anat/other.nii.gz": "another subject",
    }
    place.put({f"{root}/{path}": content for path, content in objects.items()})
    monkeypatch.chdir(tmp_path)
    subject = "sub-NDARAA947ZG5"
    options = {} if place.storage is None else {"storage": place.storage}
    study = S3BIDSStudy(
        study_id="hbn-qsiprep",
        bucket=place.bucket,
        s3_prefix=root,
        anon=True,
        subjects=[subject],
        **options,
    )
    study.download("hbn")
    assert set(tree("hbn")) == {
        "dataset_description.json",
        "sub-NDARAA947ZG5/anat/sub-NDARAA947ZG5_desc-preproc_T1w.nii.gz",
        "sub-NDARAA947ZG5/ses-HBNsiteCBIC/dwi/sub-NDARAA947ZG5_ses-HBNsiteCBIC_dwi.nii.gz",
    }
    assert [s.subject_id for s in study.subjects] == [subject]


@pytest.mark.parametrize(("subjects", "count"), [(5, 5), (None, 1), ("all", 7)])
def test_the_tests_of_0_1_7_hold(by_environment, tmp_path, subjects, count):
    """As its own test suite called it, on its synthetic ds000102."""
    objects = {f"ds000102-mimic/sub-{number:02}/anat/T1w.nii.gz": "x" for number in range(1, 8)}
    by_environment.put({**objects, "ds000102-mimic/dataset_description.json": "{}"})
    study = S3BIDSStudy(
        study_id="test",
        bucket=by_environment.bucket,
        s3_prefix="ds000102-mimic",
        anon=False,
        random_seed=42,
        **({} if subjects is None else {"subjects": subjects}),
    )
    assert len(study.subjects) == count
    assert len(study._all_subjects) == 7
    study.download(str(tmp_path / "here"), pbar=False)
    for path in study.subjects[0].files["raw"].values():
        assert Path(path).is_file()
