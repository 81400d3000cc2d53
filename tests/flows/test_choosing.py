"""Exactly what was asked for comes, from every place, and nothing is asked of the storage that need not be."""

from __future__ import annotations

import json
import logging
import re

import pytest

from s3bids import HBNSite, S3BIDSStudy
from s3bids.errors import ConfigError, ObjectNotFoundError, ParticipantsError, SubjectNotFoundError
from s3bids.testing.studies import write_hbn_site, write_study
from s3bids.transfer.manifest import read_notes

ESSENTIAL = {
    ".bidsignore",
    "CHANGES",
    "LICENSE",
    "README.md",
    "dataset_description.json",
    "participants.json",
    "participants.tsv",
}


def of(subject, *names):
    return {f"{subject}/{name.format(s=subject)}" for name in names}


def rest(subject):
    return of(subject, "func/{s}_task-rest_bold.nii.gz", "{s}_scans.tsv") | {"task-rest_bold.json"}


FMAP = [f"fmap/{{s}}_dir-{way}_epi.{kind}" for way in ("AP", "PA") for kind in ("json", "nii.gz")]


@pytest.fixture
def study_tree(tmp_path):
    write_study(tmp_path / "tree")
    return tmp_path / "tree"


@pytest.fixture
def filled(place, study_tree):
    """The synthetic study in each of the four places."""
    place.put_tree(study_tree, "ds")
    return place


@pytest.fixture
def local_study(by_params, study_tree):
    """The synthetic study in the local emulation, for what does not depend on the place."""
    by_params.put_tree(study_tree, "ds")
    return by_params


@pytest.fixture
def counted_study(counted, proxy, study_tree):
    """The synthetic study on rclone, with requests counted; the study is open already."""
    counted.put_tree(study_tree, "ds")
    study = counted.study()
    proxy.reset()
    return study


# Files


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"filters": {"task": "rest"}}, ESSENTIAL | rest("sub-01") | rest("sub-02") | rest("sub-10")),
        ({"filters": {"subject": "02", "suffix": "bold", "task": "rest"}}, ESSENTIAL | rest("sub-02")),
        ({"keys": ["sub-02/func/sub-02_task-rest_bold.nii.gz"]}, ESSENTIAL | rest("sub-02")),
        ({"include": "sub-02/**/*rest*"}, ESSENTIAL | rest("sub-02")),
        ({"where": "age > 10 and sex == 'M'", "filters": {"task": "rest"}}, ESSENTIAL | rest("sub-02")),
    ],
)
def test_the_chosen_files_and_what_they_need_come_from_every_place(filled, out, tree, asked, expected):
    filled.study().download_dataset(out, **asked)
    assert set(tree(out)) == expected
    again = filled.study().download_dataset(out, **asked)
    assert (again.fetched, again.skipped) == (0, len(expected))


def test_download_and_its_dataset_twin_bring_the_same(local_study, tmp_path, tree):
    asked = {"filters": {"suffix": "dwi", "subject": "01"}}
    local_study.study().download(tmp_path / "a", **asked, pbar=False)
    local_study.study().download_dataset(tmp_path / "b", **asked)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert {"sub-01/dwi/sub-01_dwi.bval", "sub-01/dwi/sub-01_dwi.bvec", "dwi.json"} < set(tree(tmp_path / "a"))


def test_without_sidecars_only_what_was_asked_for_comes(local_study, tmp_path, tree):
    asked = {"filters": {"suffix": "dwi", "extension": ".nii.gz", "subject": "01"}, "with_sidecars": False}
    local_study.study().download_dataset(tmp_path / "b", **asked)
    assert set(tree(tmp_path / "b")) == {"sub-01/dwi/sub-01_dwi.nii.gz"}
    # What 0.1.7 brings by default comes there as well.
    local_study.study().download(tmp_path / "a", **asked, pbar=False)
    assert set(tree(tmp_path / "a")) == {"sub-01/dwi/sub-01_dwi.nii.gz", "dataset_description.json"}


def test_the_suffix_of_0_1_7_gets_its_sidecars_on_demand(local_study, tmp_path, tree):
    local_study.study().download(tmp_path / "a", suffix="_T1w.nii.gz", pbar=False)
    images = {f"sub-{n}/anat/sub-{n}_T1w.nii.gz" for n in ("01", "02", "10")}
    assert set(tree(tmp_path / "a")) == images | {"dataset_description.json"}
    local_study.study().download(tmp_path / "b", suffix="_T1w.nii.gz", with_sidecars=True, pbar=False)
    sidecars = {path.replace(".nii.gz", ".json") for path in images} | {
        f"sub-{n}/sub-{n}_scans.tsv" for n in ("01", "02", "10")
    }
    assert set(tree(tmp_path / "b")) == images | sidecars | ESSENTIAL | {"T1w.json"}


def test_fieldmaps_come_on_request(local_study, tmp_path, tree):
    asked = {"filters": {"task": "rest", "subject": "01"}}
    local_study.study().download_dataset(tmp_path / "a", **asked)
    assert not any("fmap" in path for path in tree(tmp_path / "a"))
    local_study.study().download_dataset(tmp_path / "b", **asked, with_fieldmaps=True)
    assert set(tree(tmp_path / "b")) == ESSENTIAL | rest("sub-01") | of("sub-01", *FMAP)


def test_globs_reach_directories_of_the_whole_study(local_study, out, tree):
    local_study.put({"ds/phenotype/ace.tsv": "participant_id\n", "ds/code/deep/x.py": "x", "ds/sourcedata/y": "y"})
    local_study.study().download_dataset(out, include=["phenotype/", "code/**/*.py"], with_sidecars=False)
    assert set(tree(out)) == {"phenotype/ace.tsv", "code/deep/x.py"}


def test_a_study_without_subjects_is_chosen_from_by_path(by_params, out, tree):
    """The Natural Scenes Dataset has ``subj01``."""
    by_params.put({"ds/ppdata/subj01/roi/a.nii": "1", "ds/ppdata/subj02/roi/a.nii": "2", "ds/README": "x"})
    by_params.study().download_dataset(out, include="ppdata/subj01/**")
    assert set(tree(out)) == {"ppdata/subj01/roi/a.nii", "README"}


def test_stimuli_that_the_chosen_events_name_come_too(local_study, out, tree):
    local_study.put({"ds/stimuli/a.png": "a", "ds/stimuli/b.png": "b"})
    local_study.put({"ds/sub-01/func/sub-01_task-faces_events.tsv": "onset\tduration\tstim_file\n0\t1\ta.png\n"})
    local_study.study().download_dataset(out, filters={"task": "faces", "subject": "01"})
    assert {path for path in tree(out) if path.startswith("stimuli")} == {"stimuli/a.png"}


@pytest.mark.parametrize(
    "key",
    [
        "sub-01/anat/sub-01_T1w.nii.gz",
        "ds/sub-01/anat/sub-01_T1w.nii.gz",
        "s3://{bucket}/ds/sub-01/anat/sub-01_T1w.nii.gz",
    ],
)
def test_a_key_may_be_written_in_three_ways(local_study, out, tree, key):
    local_study.study().download_dataset(out, keys=[key.format(bucket=local_study.bucket)], with_sidecars=False)
    assert set(tree(out)) == {"sub-01/anat/sub-01_T1w.nii.gz"}


def test_keys_of_root_files_and_derivatives_are_found(local_study, out, tree):
    keys = [
        "README.md",
        "code/convert.sh",
        "derivatives/fmriprep-mini/README.md",
        "derivatives/fmriprep-mini/sub-02/anat/sub-02_desc-preproc_T1w.json",
    ]
    local_study.study().download_dataset(out, keys=keys, with_sidecars=False)
    assert set(tree(out)) == set(keys)


# Requests


def listed(proxy):
    return {request.prefix for request in proxy.requests if request.operation == "list"}


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"filters": {"suffix": "T2w"}}, "none has suffix=T2w"),
        ({"filters": {"taks": "rest"}}, "'taks'.*did you mean task"),
        ({"filters": {"suffix": "bold", "run": 1}, "with_fieldmaps": True}, "none has run=1"),
        ({"include": "*.xyz"}, "fits"),
        ({"keys": "sub-01/none"}, "sub-01/none"),
        ({"require": "T2w"}, "any 'T2w'"),
        ({"filters": {"subject": "03"}}, "not among the 3 chosen"),
        ({"sample": 4}, "sample of 4"),
    ],
)
def test_a_choice_of_nothing_stops_before_any_get(counted_study, proxy, out, asked, error):
    with pytest.raises(ConfigError, match=error):
        counted_study.download_dataset(out, **asked)
    assert (proxy.counts()["get"], proxy.counts()["head"]) == (0, 0)
    assert not out.exists()


@pytest.mark.parametrize(
    "asked",
    [
        {"filters": {"subject": "01", "suffix": "bold"}},
        {"keys": "sub-01/anat/sub-01_T1w.nii.gz"},
        {"where": "age < 10"},
    ],
)
def test_one_subject_is_chosen_without_a_request_below_another(counted_study, proxy, out, asked):
    counted_study.download_dataset(out, **asked, with_fieldmaps=True)
    assert listed(proxy) == {"ds/", "ds/sub-01/"}
    assert {request.key for request in proxy.requests if "/sub-" in request.key} <= {
        request.key for request in proxy.requests if request.key.startswith("ds/sub-01/")
    }
    assert proxy.counts()["head"] == 0


def test_one_subject_is_chosen_without_a_request_below_another_in_derivatives(counted_study, proxy, out):
    counted_study.download_dataset(out, derivatives=True, filters={"subject": "01"})
    mini = "ds/derivatives/fmriprep-mini/"
    assert listed(proxy) == {"ds/", "ds/derivatives/", "ds/sub-01/", mini, f"{mini}sub-01/"}
    assert not any("sub-02" in request.key or "sub-10" in request.key for request in proxy.requests)


def test_exact_keys_are_looked_for_below_their_own_subjects(counted_study, proxy, out):
    counted_study.download_dataset(out, keys=["ds/sub-01/sub-01_scans.tsv", "code/convert.sh"], with_sidecars=False)
    assert listed(proxy) == {"ds/", "ds/sub-01/", "ds/code/"}
    assert proxy.counts()["get"] == 2


def test_a_cohort_costs_one_get_and_no_listing(counted_study, proxy):
    assert counted_study.cohort(where="age > 10") == ["sub-02", "sub-10"]
    assert (proxy.counts()["list"], proxy.counts()["get"]) == (0, 1)


def test_a_dry_run_fetches_nothing_and_says_the_same(counted_study, proxy, out):
    asked = {"filters": {"suffix": "T1w"}, "valid_subset": True}
    planned = counted_study.download_dataset(out, **asked, dry_run=True)
    assert proxy.counts()["get"] == 0
    done = counted_study.download_dataset(out, **asked)
    assert list(planned.plan.wanted.targets) == list(done.plan.wanted.targets)


# Subjects


def ids(place, **asked):
    return place.study(subjects=None).cohort(**asked)


def test_a_cohort_is_drawn_from_all_subjects_unless_some_were_chosen(local_study):
    assert ids(local_study, where="sex == 'F'") == ["sub-01", "sub-10"]
    assert local_study.study(subjects=["10", "02"]).cohort(where="sex == 'F'") == ["sub-10"]
    assert ids(local_study, require="T1w") == ["sub-01", "sub-02", "sub-10"]
    assert ids(local_study) == ["sub-01"]


def test_a_download_with_a_cohort_fills_the_files_of_known_subjects(local_study, out):
    study = local_study.study(subjects=["02", "10"])
    study.download(out, where="sex == 'F'", filters={"suffix": "T1w"}, pbar=False)
    assert [bool(subject.files["raw"]) for subject in study.subjects] == [False, True]
    assert set(study.subjects[1].files["raw"].values()) == {
        str(out / f"sub-10/{name}") for name in ("anat/sub-10_T1w.json", "anat/sub-10_T1w.nii.gz", "sub-10_scans.tsv")
    }


def test_a_sample_is_the_same_every_time_and_another_with_another_seed(by_params):
    by_params.put({f"ds/sub-{n:02}/anat/sub-{n:02}_T1w.nii.gz": "x" for n in range(30)})
    first = ids(by_params, sample=5)
    assert first == ids(by_params, sample=5) == ids(by_params, sample=5, random_seed=0)
    assert first != ids(by_params, sample=5, random_seed=1)
    assert by_params.study(random_seed=1).cohort(sample=5) == ids(by_params, sample=5, random_seed=1)


def test_a_sample_is_drawn_among_the_subjects_that_have_what_they_must(by_params, caplog):
    by_params.put({f"ds/sub-{n}/anat/sub-{n}_T1w.nii.gz": "x" for n in range(9)})
    by_params.put({f"ds/sub-{n}/dwi/sub-{n}_dwi.nii.gz": "x" for n in (2, 5)})
    by_params.put({"ds/sub-7/dwi/sub-7_dwi.json": "{}"})
    assert ids(by_params, sample=2, require=["T1w", "dwi"]) == ["sub-2", "sub-5"]
    assert "7 subject(s) are left out, since they lack something: sub-0 (dwi)" in caplog.text
    with pytest.raises(ConfigError, match="sample of 3 is asked for, and there are 2"):
        ids(by_params, sample=3, require=["T1w", "dwi"])


def test_subjects_that_lack_something_are_dropped_from_a_download(local_study, out, tree, caplog):
    local_study.remove("ds/sub-02/dwi/sub-02_dwi.nii.gz")
    local_study.study().download_dataset(out, require=["T1w", "dwi"], filters={"suffix": "T1w"})
    assert {path.split("/")[0] for path in tree(out) if path.startswith("sub-")} == {"sub-01", "sub-10"}
    assert "sub-02 (dwi)" in caplog.text


def test_a_balanced_sample(local_study):
    assert ids(local_study, sample=2, balance="sex", random_seed=0) in (["sub-01", "sub-02"], ["sub-02", "sub-10"])
    assert len(ids(local_study, balance="sex")) == 2
    with pytest.raises(ConfigError, match="ask for at most 2"):
        ids(local_study, sample=4, balance="sex")


def test_table_and_storage_are_compared_by_id_and_both_differences_are_told(local_study, caplog):
    local_study.put({"ds/participants.tsv": "participant_id\tage\n10\t9\nsub-77\t9\nsub-02\t1\n"})
    assert ids(local_study, where="age == 9") == ["sub-10"]
    [one, other] = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "1 subject(s) are only in the table: sub-77" in one
    assert "1 subject(s) are only on storage: sub-01" in other


@pytest.mark.parametrize(
    "table",
    [
        "participant_id,age\r\n01,5\r\nsub-02,9\r\n",
        b"\xef\xbb\xbfparticipant_id\tage\tname\n01\t5\tx\n02\t9\ty\n",
        b"participant_id\tage\tname\r01\t5\tM\xfcller\r02\t9\ty\r",
        "age\tsubject_id\n5\t01\n9\tsub-02\n",
        "participant_id\tage\n01\tn/a\n02\t9\n",
    ],
)
def test_tables_as_they_are_found_are_queried(local_study, table):
    local_study.put({"ds/participants.tsv": table})
    assert ids(local_study, where="age > 8") == ["sub-02"]


@pytest.mark.parametrize(
    ("table", "asked", "error", "text"),
    [
        (None, {"where": "age > 1"}, ObjectNotFoundError, "the study has no participants.tsv"),
        (None, {"balance": "sex"}, ObjectNotFoundError, "neither where nor balance"),
        (
            "participant_id\tage\n01\t1\n01\t2\n",
            {"where": "age > 1"},
            ParticipantsError,
            "sub-01 is on line 2 and on line 3",
        ),
        ("participant_id\tage\n01\t1\n02\n", {"where": "age > 1"}, ParticipantsError, "line 3 has 1 cell"),
        (
            "participant_id\tage\n01\t1\n",
            {"where": "aeg > 1"},
            ConfigError,
            "no column 'aeg'; did you mean age? it has participant_id, age",
        ),
        ("participant_id\tage\n01\t1\n", {"where": "age > 9"}, ConfigError, "fits none of the 1 chosen subjects"),
        ("participant_id\tage\n01\t1\n", {"balance": "sex"}, ConfigError, "no column 'sex'"),
    ],
)
def test_a_table_that_does_not_answer_is_named(local_study, out, table, asked, error, text):
    local_study.remove("ds/participants.tsv")
    if table is not None:
        local_study.put({"ds/participants.tsv": table})
    with pytest.raises(error, match=re.escape(text)):
        local_study.study().download_dataset(out, **asked)
    assert not out.exists()


def test_the_participant_table_may_lie_elsewhere(by_params):
    by_params.put(
        {"ds/sub-1/x": "1", "ds/sub-2/x": "2", "ds/derivatives/q/participants.tsv": "subject_id\tage\n1\t8\n2\t9\n"}
    )
    place = "derivatives/q/participants.tsv"
    assert by_params.study(participants=place).cohort(where="age > 8") == ["sub-2"]
    with pytest.raises(ObjectNotFoundError, match="has no participant table"):
        by_params.study(participants="").cohort(where="age > 8")
    with pytest.raises(ObjectNotFoundError, match=r"has no derivatives/z/participants\.tsv"):
        by_params.study(participants="derivatives/z/participants.tsv").cohort(where="age > 8")


def test_unknown_subjects_are_refused_as_ever(local_study):
    with pytest.raises(SubjectNotFoundError, match="sub-03"):
        local_study.study(subjects=["03"])


# A site of HBN


def test_a_site_is_chosen_from_like_any_study(by_params, tmp_path, out, tree):
    write_hbn_site(tmp_path / "site")
    by_params.put_tree(tmp_path / "site", "Site-SI")
    site = HBNSite("SI", bucket=by_params.bucket, s3_prefix="", storage=by_params.storage)
    report = site.download(out, where="Age > 0", filters={"direction": "PA", "acquisition": "fMRI"}, pbar=False)
    subjects = ["NDARAA075AMK", "NDARAB708LM5", "NDARAC462DZH"]
    assert {path for path in tree(out) if path.startswith("sub-")} == {
        f"sub-{s}/fmap/sub-{s}_dir-PA_acq-fMRI_epi.{kind}" for s in subjects for kind in ("json", "nii.gz")
    }
    assert report.written_files == ("dataset_description.json",)
    described = json.loads((out / "dataset_description.json").read_text())
    assert described["Subjects"] == [f"sub-{s}" for s in subjects]


def test_derivatives_of_a_site_are_filtered_too(by_params, tmp_path, out, tree):
    write_hbn_site(tmp_path / "site")
    by_params.put_tree(tmp_path / "site", "Site-SI")
    site = HBNSite("SI", bucket=by_params.bucket, s3_prefix="", storage=by_params.storage, subjects="all")
    report = site.download(out, include_derivs="qsiprep", filters={"suffix": "confounds"}, pbar=False)
    found = {path for path in tree(out) if path.startswith("derivatives/sub-")}
    assert len(found) == 3
    assert all(path.endswith("_confounds.tsv") for path in found)
    assert report.written_files == ("derivatives/dataset_description.json", "dataset_description.json")


# The record


def test_the_manifest_says_what_was_asked_for_and_with_which_seed(local_study, out):
    asked = {"sample": 2, "filters": {"suffix": re.compile("T1w"), "run": None}}
    study = local_study.study()
    study.download_dataset(out, **asked)
    study.download_dataset(out, **asked)
    [note] = read_notes(out, "chosen")
    assert note["arguments"] == {"filters": {"suffix": "re:T1w", "run": None}, "sample": 2}
    assert (note["seed"], note["subjects"]) == (0, 2)


def test_a_study_of_one_s3_derivative_is_filtered_as_raw_data_are(by_params, out, tree):
    by_params.put(
        {"d/desc-x_dseg.tsv": "1", "d/sub-1/anat/sub-1_desc-x_dseg.nii.gz": "2", "d/sub-1/anat/sub-1_T1w.nii.gz": "3"}
    )
    study = S3BIDSStudy("d", by_params.bucket, "d", storage=by_params.storage, layout="standalone", subjects="all")
    report = study.download_dataset(out, filters={"suffix": "dseg"})
    assert set(tree(out)) == {"desc-x_dseg.tsv", "sub-1/anat/sub-1_desc-x_dseg.nii.gz", "dataset_description.json"}
    assert report.written_files == ("dataset_description.json",)


# What subjects have


def test_coverage_counts_what_the_chosen_subjects_have(local_study):
    found = local_study.study(subjects=["10", "01"]).coverage()
    assert list(found.index) == ["sub-01", "sub-10"]
    assert list(found.columns) == ["anat/T1w", "dwi/dwi", "fmap/epi", "func/bold", "func/events"]
    assert found.loc["sub-10"].to_dict() == {
        "anat/T1w": 1,
        "dwi/dwi": 1,
        "fmap/epi": 2,
        "func/bold": 2,
        "func/events": 1,
    }


def test_coverage_lists_the_chosen_subjects_alone(counted_study, counted, proxy):
    counted.study(subjects=["01"]).coverage()
    assert listed(proxy) == {"ds/", "ds/sub-01/"}
    assert proxy.counts()["get"] == 0
