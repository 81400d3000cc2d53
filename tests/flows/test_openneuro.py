"""OpenNeuro by accession, and what pipelines made of it."""

from __future__ import annotations

import pytest

from s3bids import LocalFSParams, OpenNeuroStudy
from s3bids.bids.layouts import Layout
from s3bids.errors import ConfigError
from s3bids.testing.studies import write_study


@pytest.fixture
def emulated(tmp_path, monkeypatch):
    """A local emulation of both buckets, to which the environment switches."""
    write_study(tmp_path / "openneuro.org" / "ds000102", subjects=["01", "02"])
    write_study(tmp_path / "openneuro-derivatives" / "fmriprep" / "ds000102-fmriprep", subjects=["01"])
    monkeypatch.setenv("LOCAL_FS", "1")
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("accession", ["ds000102", "DS000102", " ds000102 "])
def test_a_data_set_is_opened_by_its_accession(emulated, accession, out, tree):
    study = OpenNeuroStudy(accession, "all")
    assert (study.accession, study.pipeline, study.study_id) == ("ds000102", None, "ds000102")
    assert (study.bucket, study.s3_prefix, study.layout) == ("openneuro.org", "ds000102", Layout.NESTED)
    study.download_dataset(out, filters={"suffix": "T1w", "subject": "02"})
    assert "sub-02/anat/sub-02_T1w.nii.gz" in tree(out)


def test_a_stand_alone_derivative_is_opened_by_its_pipeline(emulated):
    study = OpenNeuroStudy("ds000102", pipeline="fmriprep", subjects="all")
    assert (study.bucket, study.s3_prefix) == ("openneuro-derivatives", "fmriprep/ds000102-fmriprep")
    assert (study.pipeline, study.study_id, study.layout) == ("fmriprep", "ds000102-fmriprep", Layout.STANDALONE)
    assert [subject.subject_id for subject in study.subjects] == ["sub-01"]


def test_by_default_the_first_subject_is_chosen(emulated):
    assert [subject.subject_id for subject in OpenNeuroStudy("ds000102").subjects] == ["sub-01"]


def test_any_storage_serves(emulated):
    params = LocalFSParams(use_local_fs=True, root_dir=emulated, user="", bucket_name="openneuro.org")
    assert len(OpenNeuroStudy("ds000102", "all", storage=params).subjects) == 2
    with pytest.raises(ValueError, match="openneuro-derivatives"):
        OpenNeuroStudy("ds000102", pipeline="fmriprep", storage=params)


@pytest.mark.parametrize("accession", ["", "ds102", "ds0001020", "000102", "ds00010x", "../ds000102", "ds000102/x"])
def test_what_is_no_accession_is_refused(accession):
    with pytest.raises(ConfigError, match="no accession of OpenNeuro; one looks like ds000102"):
        OpenNeuroStudy(accession)


@pytest.mark.parametrize("pipeline", ["", "a/b", "..", "-x"])
def test_what_is_no_pipeline_is_refused(pipeline):
    with pytest.raises(ConfigError, match="cannot be the name of a pipeline"):
        OpenNeuroStudy("ds000102", pipeline=pipeline)


@pytest.mark.parametrize(("accession", "pipeline"), [(102, None), (None, None), ("ds000102", 3)])
def test_other_types_are_refused(accession, pipeline):
    with pytest.raises(TypeError):
        OpenNeuroStudy(accession, pipeline=pipeline)


def test_a_data_set_that_is_not_there_is_named(emulated):
    with pytest.raises(FileNotFoundError, match="ds999999"):
        OpenNeuroStudy("ds999999")
