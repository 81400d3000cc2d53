"""A study: what it knows, what it selects, and which files its download brings."""

from __future__ import annotations

import inspect
import logging
from importlib.metadata import version

import numpy as np
import pytest
from packaging.version import Version

import s3bids
import s3bids.utils
from s3bids import LocalStorage, S3BIDSStudy, S3BIDSSubject

NAMES = (
    *("S3BIDSStudy", "S3BIDSSubject", "HBNSite", "HBNSubject"),
    *("get_s3_client", "_ls_s3fs", "_get_matching_s3_keys", "_download_from_s3", "to_bids_description"),
    *("s3fs_nifti_read", "s3fs_nifti_write", "s3fs_json_read", "s3fs_json_write", "write_json", "read_json"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_0_1_7_is_found_in_both_modules(name):
    assert getattr(s3bids, name) is getattr(s3bids.utils, name)
    assert (name in s3bids.__all__) is not name.startswith("_")


def test_the_version_satisfies_what_pyafq_asks_for():
    assert s3bids.__version__ == version("s3bids")
    assert Version(s3bids.__version__) > Version("0.1.7")


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (
            S3BIDSStudy,
            "study_id bucket s3_prefix subjects anon use_participants_tsv random_seed _subject_class",
        ),
        (
            S3BIDSStudy.download,
            "self directory include_modality_agnostic include_derivs include_derivs_dataset_description suffix "
            "overwrite pbar",
        ),
        (S3BIDSSubject.download, "self directory include_derivs overwrite suffix pbar pbar_idx"),
        (s3bids.HBNSite, "site study_id bucket s3_prefix subjects use_participants_tsv random_seed"),
        (s3bids.HBNSite.download, "self directory include_modality_agnostic include_derivs overwrite pbar"),
        (s3bids.HBNSubject, "subject_id study site"),
    ],
)
def test_arguments_of_0_1_7_keep_their_order_and_new_ones_are_keyword_only(function, names):
    parameters = inspect.signature(function).parameters.values()
    assert [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY] == names.split()


# What a study knows


def test_a_study_lists_its_subjects_derivatives_and_other_files(place, keys):
    place.put(keys)
    study = place.study()
    top = f"{place.bucket}/ds"
    assert study._all_subjects == ["sub-1", "sub-10", "sub-2"]
    assert [subject.subject_id for subject in study.subjects] == study._all_subjects == study._list_all_subjects()
    types = [f"{top}/derivatives/{name}" for name in ("afq", "afq-old", "qsiprep")]
    assert study.derivative_types == types == study._get_derivative_types()
    raw = ("CHANGES", "README", "code", "dataset_description.json", "participants.tsv", "sub-1.json", "sub-1_scans.tsv")
    others = {
        "raw": [f"{top}/{name}" for name in raw],
        "derivatives": [
            [f"{top}/derivatives/afq/dataset_description.json"],
            [f"{top}/derivatives/afq-old/dataset_description.json"],
            [f"{top}/derivatives/qsiprep/sub-1.html"],
        ],
    }
    assert study.non_sub_s3_keys == others == study._get_non_subject_s3_keys()


def test_a_study_gives_back_its_arguments(local):
    study = local.study("/ds//", study_id="name", subjects=1, use_participants_tsv=True, random_seed=np.int64(7))
    assert (study.study_id, study.bucket, study.s3_prefix) == ("name", local.bucket, "ds")
    assert (study.anon, study.use_participants_tsv, study.random_seed) == (True, True, 7)
    assert repr(study) == f"S3BIDSStudy(study_id=name, bucket={local.bucket}, s3_prefix=ds)"
    for name in ("study_id", "bucket", "s3_prefix", "anon", "use_participants_tsv", "random_seed", "subjects"):
        with pytest.raises(AttributeError):
            setattr(study, name, None)


@pytest.mark.parametrize("prefix", ["", "ds/", "/a/b/ds"])
def test_a_study_lies_under_any_prefix(place, ds, prefix, out, tree):
    start = prefix.strip("/")
    place.put({f"{start}/{path}".removeprefix("/"): content for path, content in ds.items()})
    study = place.study(prefix)
    assert study._all_subjects == ["sub-1", "sub-10", "sub-2"]
    study.download(out, "all", True, pbar=False)
    unwanted = {"derivatives/loose.txt", "derivatives/qsiprep/sub-1.html"}
    assert tree(out) == {path: content for path, content in ds.items() if path not in unwanted}


@pytest.mark.parametrize("kind", ["params", "storage"])
def test_any_storage_serves_a_study(local, kind, out):
    storage = local.storage if kind == "params" else LocalStorage(local.storage)
    study = S3BIDSStudy("x", local.bucket, "ds", storage=storage, anon=False)
    assert study.download(out, pbar=False).fetched == 4


def test_a_study_without_derivatives_has_none(by_params):
    by_params.put({"ds/sub-1/x": b"1", "ds/derivatives-old/y": b"2", "ds/my_derivatives/z": b"3"})
    study = by_params.study()
    assert study.derivative_types == []
    others = [f"{by_params.bucket}/ds/derivatives-old", f"{by_params.bucket}/ds/my_derivatives"]
    assert study.non_sub_s3_keys == {"raw": others, "derivatives": []}
    assert study.subjects[0].s3_keys == {"raw": ["ds/sub-1/x"], "derivatives": {}}


def test_a_study_of_one_derivative_is_a_study(by_params, ds, out, tree):
    by_params.put({f"ds/{path}": content for path, content in ds.items()})
    study = by_params.study("ds/derivatives/afq", subjects=["1"])
    study.download(out, pbar=False)
    assert set(tree(out)) == {"dataset_description.json", "sub-1/sub-1_profiles.csv", "sub-1/sub-1_tract.trk"}


# What a download brings

SUBJECTS = {"sub-1/anat/sub-1_T1w.json", "sub-1/anat/sub-1_T1w.nii.gz", "sub-1/dwi/sub-1_dwi.bval"}
AFQ = {"derivatives/afq/sub-1/sub-1_profiles.csv", "derivatives/afq/sub-1/sub-1_tract.trk"}
AFQ_ROOT = {"derivatives/afq/dataset_description.json"}
OLD = {"derivatives/afq-old/sub-1/sub-1_profiles.csv", "derivatives/afq-old/dataset_description.json"}
QSIPREP = {"derivatives/qsiprep/sub-1/dwi/sub-1_dwi.nii.gz"}
ROOT = {"dataset_description.json"}
#: What "all" brings: all that non_sub_s3_keys lists as raw.
EVERYTHING = ROOT | {"CHANGES", "README", "code/run.py", "code/tools/convert.sh", "participants.tsv"}
EVERYTHING |= {"sub-1.json", "sub-1_scans.tsv"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, SUBJECTS | ROOT),
        ({"include_modality_agnostic": False}, SUBJECTS),
        ({"include_modality_agnostic": []}, SUBJECTS),
        ({"include_modality_agnostic": True}, SUBJECTS | EVERYTHING),
        ({"include_modality_agnostic": "all"}, SUBJECTS | EVERYTHING),
        ({"include_modality_agnostic": "README"}, SUBJECTS | {"README"}),
        ({"include_modality_agnostic": ["README", "CHANGES"]}, SUBJECTS | {"README", "CHANGES"}),
        ({"include_modality_agnostic": ("LICENSE",)}, SUBJECTS),
        ({"include_derivs": True}, SUBJECTS | ROOT | AFQ | AFQ_ROOT | OLD | QSIPREP),
        ({"include_derivs": "afq"}, SUBJECTS | ROOT | AFQ | AFQ_ROOT),
        ({"include_derivs": ("afq", "qsiprep")}, SUBJECTS | ROOT | AFQ | AFQ_ROOT | QSIPREP),
        ({"include_derivs": ["afq*"]}, SUBJECTS | ROOT | AFQ | AFQ_ROOT | OLD),
        ({"include_derivs": "*old"}, SUBJECTS | ROOT | OLD),
        ({"include_derivs": "AFQ"}, SUBJECTS | ROOT),
        ({"include_derivs": []}, SUBJECTS | ROOT),
        ({"include_derivs": "afq", "include_derivs_dataset_description": False}, SUBJECTS | ROOT | AFQ),
        ({"suffix": "T1w.nii.gz"}, {"sub-1/anat/sub-1_T1w.nii.gz"} | ROOT),
        ({"suffix": "csv", "include_derivs": "afq"}, ROOT | AFQ_ROOT | {"derivatives/afq/sub-1/sub-1_profiles.csv"}),
        ({"suffix": "", "include_modality_agnostic": False}, SUBJECTS),
        ({"suffix": "nothing", "include_modality_agnostic": True}, EVERYTHING),
    ],
)
def test_a_download_brings_what_its_arguments_say(local, ds, out, tree, options, expected):
    report = local.study(subjects="sub-1").download(out, pbar=False, **options)
    assert tree(out) == {path: ds[path] for path in expected}
    assert (report.fetched, report.skipped, report.conflicts, report.failed) == (len(expected), 0, 0, 0)
    assert report.bytes == sum(len(ds[path]) for path in expected)


@pytest.mark.parametrize("form", ["text", "list", "tuple"])
def test_an_element_of_derivative_types_stands_for_itself(local, out, tree, form):
    study = local.study(subjects="1")
    afq = study.derivative_types[0]
    study.download(out, False, {"text": afq, "list": [afq], "tuple": (afq,)}[form], pbar=False)
    assert set(tree(out)) == SUBJECTS | AFQ | AFQ_ROOT


def test_all_places_give_the_same_tree(place, keys, ds, out, tree):
    place.put(keys)
    study = place.study(subjects=["2", "1"])
    report = study.download(out, "all", ["afq"])
    expected = SUBJECTS | EVERYTHING | AFQ | AFQ_ROOT | {"sub-2/anat/sub-2_T1w.nii.gz"}
    assert tree(out) == {path: ds[path] for path in expected}
    assert study.local_directories == [str(out)]
    again = study.download(out, "all", ["afq"])
    assert (report.fetched, again.fetched, again.skipped) == (len(expected), 0, len(expected))


@pytest.mark.parametrize("choice", ["nomatch", ["nomatch"], ("afq", "nomatch"), ["no*"]])
def test_a_pattern_that_matches_nothing_is_warned_of_once(local, out, caplog, choice):
    local.study().download(out, include_derivs=choice, pbar=False)
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "no" in warning.getMessage()
    assert "afq, afq-old, qsiprep" in warning.getMessage()


def test_local_directories_are_in_order_of_use(local, tmp_path):
    study = local.study(subjects=1)
    for directory in ("two", "one", "two"):
        study.download(tmp_path / directory, pbar=False)
    study.subjects[0].download(str(tmp_path / "three"), pbar=False)
    assert study.local_directories == [str(tmp_path / name) for name in ("two", "one", "three")]


def test_a_directory_that_cannot_be_used_is_no_local_directory(local, tmp_path):
    study = local.study(subjects=1)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="is a file"):
        study.download(tmp_path / "file", pbar=False)
    with pytest.raises(TypeError):
        study.download(tmp_path / "out", include_derivs=3, pbar=False)
    assert study.local_directories == []


def test_a_relative_directory_is_taken_from_the_working_directory(local, tmp_path, tree, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = local.study(subjects="2")
    study.download("here", pbar=False)
    assert study.local_directories == ["here"]
    assert set(tree(tmp_path / "here")) == {"dataset_description.json", "sub-2/anat/sub-2_T1w.nii.gz"}
    assert study.subjects[0].files["raw"] == {
        "ds/sub-2/anat/sub-2_T1w.nii.gz": str(tmp_path / "here/sub-2/anat/sub-2_T1w.nii.gz")
    }


# The methods that 0.1.7 and its users call with an underscore


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ROOT),
        ({"select": ("README", "run.py")}, {"README"}),
        ({"select": "README"}, {"README"}),
        ({"select": ("code",)}, {"code/run.py", "code/tools/convert.sh"}),
        ({"select": "all"}, EVERYTHING),
        ({"filenames": []}, set()),
        (
            {"select": "all", "filenames": ["{}/ds/README", "{}/ds/code"]},
            {p for p in EVERYTHING if "code" in p} | {"README"},
        ),
        ({"filenames": ["{}/ds/derivatives/afq/dataset_description.json"]}, AFQ_ROOT),
    ],
)
def test_other_files_come_by_name(local, ds, out, tree, arguments, expected):
    if "filenames" in arguments:
        arguments = {**arguments, "filenames": [name.format(local.bucket) for name in arguments["filenames"]]}
    local.study()._download_non_sub_keys(out, **arguments)
    assert tree(out) == {path: ds[path] for path in expected}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (True, {"afq", "afq-old"}),
        ("afq", {"afq"}),
        (("afq*", "qsiprep"), {"afq", "afq-old"}),
        (["qsiprep"], set()),
        (False, set()),
    ],
)
def test_descriptions_of_derivatives_come_by_name(local, ds, out, tree, choice, expected):
    local.study()._download_derivative_descriptions(choice, out)
    paths = {f"derivatives/{name}/dataset_description.json" for name in expected}
    assert tree(out) == {path: ds[path] for path in paths}
