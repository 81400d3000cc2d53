"""``subject.load``: an image with the metadata that it inherits, its b-values and its b-vectors."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from s3bids import HBNSite, LoadedImage, LocalFSParams, LocalStorage
from s3bids.errors import AccessDeniedError, ConfigError, ImageError, JSONReadError, ObjectNotFoundError
from s3bids.loading import sidecars_of
from s3bids.testing.studies import write_hbn_site, write_study

# Which files apply

FUNC = "sub-01/ses-1/func"
IMAGE = f"{FUNC}/sub-01_ses-1_task-rest_acq-6p_run-01_bold.nii.gz"


@pytest.fixture
def on_disk(tmp_path):
    """A function that finds the image's sidecars among some files."""

    def find(candidates):
        for name in (IMAGE, *candidates):
            path = tmp_path / "bucket" / "ds" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        storage = LocalStorage(LocalFSParams(use_local_fs=True, root_dir=tmp_path, user="", bucket_name="bucket"))
        return sidecars_of(storage, f"ds/{IMAGE}")

    return find


@pytest.mark.parametrize(
    ("candidate", "applies"),
    [
        ("bold.json", True),
        ("task-rest_bold.json", True),
        ("acq-6p_task-rest_bold.json", True),
        ("sub-01/sub-01_task-rest_bold.json", True),
        ("sub-01/ses-1/sub-01_ses-1_bold.json", True),
        (f"{FUNC}/sub-01_ses-1_task-rest_acq-6p_run-01_bold.json", True),
        ("task-other_bold.json", False),
        ("task-rest_acq-6p+s2_bold.json", False),
        ("task-rest_acq-6_bold.json", False),
        ("task-rest_echo-1_bold.json", False),
        ("task-rest_run-1_bold.json", True),
        ("task-rest_run-2_bold.json", False),
        ("task-rest_sbref.json", False),
        ("task-rest.json", False),
        ("sub-02/sub-01_task-rest_bold.json", False),
        ("sub-01/ses-2/sub-01_task-rest_bold.json", False),
        ("sub-01/ses-1/anat/bold.json", False),
        ("sub-0/bold.json", False),
        (f"{FUNC}/deeper/bold.json", False),
    ],
)
def test_a_sidecar_applies_by_place_suffix_and_entities(on_disk, candidate, applies):
    assert on_disk([candidate]) == [f"ds/{candidate}"] * applies


def test_sidecars_come_from_the_top_down_and_the_more_particular_later(on_disk):
    ordered = [
        "bold.json",
        "task-rest_bold.json",
        "acq-6p_task-rest_bold.json",
        "sub-01/bold.json",
        f"{FUNC}/bold.json",
    ]
    assert on_disk(ordered) == [f"ds/{name}" for name in ordered]


# Loading


@pytest.fixture
def study(place, tmp_path):
    """The synthetic study in each of the places."""
    write_study(tmp_path / "made", subjects=["01", "02"])
    place.put_tree(tmp_path / "made", "ds")
    return place.study()


def test_an_image_comes_with_what_it_inherits(study):
    found = study.subjects[0].load("dwi")
    assert isinstance(found, LoadedImage)
    assert found.key == "ds/sub-01/dwi/sub-01_dwi.nii.gz"
    assert found.image.shape == (8, 8, 6, 7)
    assert found.image.get_fdata().shape == found.image.shape
    assert found.metadata == {"PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05}
    assert found.sidecars == ("ds/dwi.json",)
    assert found.bvals.tolist() == [0, *[1000] * 6]
    assert found.bvecs.shape == (3, 7)
    assert np.allclose(np.linalg.norm(found.bvecs, axis=0), [0, *[1] * 6], atol=1e-5)


def test_the_nearer_of_two_sidecars_counts(study):
    found = study.subjects[1].load("T1w")
    assert found.sidecars == ("ds/T1w.json", "ds/sub-02/anat/sub-02_T1w.json")
    assert found.metadata == {
        "Manufacturer": "s3bids",
        "MagneticFieldStrength": 3,
        "RepetitionTime": 2.5,
        "EchoTime": 0.003,
        "FlipAngle": 8,
    }
    assert (found.bvals, found.bvecs) == (None, None)


def test_one_of_several_images_is_chosen_by_what_its_name_says(study):
    subject = study.subjects[0]
    with pytest.raises(ConfigError, match=r"2 images have .*sub-01_task-faces_bold.nii.gz, sub-01_task-rest_bold"):
        subject.load("bold")
    for filters in ({"task": "rest"}, {"task": "rest", "datatype": "func"}, {"task": "rest", "extension": ".nii.gz"}):
        found = subject.load("bold", filters=filters)
        assert found.metadata == {"TaskName": "rest", "RepetitionTime": 2.0}
    with pytest.raises(ObjectNotFoundError, match=r"none has the suffix 'bold' and task=none"):
        subject.load("bold", filters={"task": "none"})


def test_a_suffix_that_there_is_not_is_named_with_those_there_are(study):
    with pytest.raises(ObjectNotFoundError, match=r"'T2w'.*T1w, bold, dwi, epi") as caught:
        study.subjects[0].load("T2w")
    assert isinstance(caught.value, FileNotFoundError)


def test_a_derivative_has_metadata_of_its_own(study):
    found = study.subjects[0].load("T1w", derivative="fmriprep-mini")
    assert found.key == "ds/derivatives/fmriprep-mini/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"
    assert found.metadata == {"SkullStripped": False}
    with pytest.raises(ObjectNotFoundError, match="'afq'; there are: fmriprep-mini"):
        study.subjects[0].load("T1w", derivative="afq")


def test_sessions_and_runs_are_told_apart(by_params, tmp_path):
    write_study(tmp_path / "made", subjects=["01"], sessions=["a", "b"])
    by_params.put_tree(tmp_path / "made", "ds")
    [subject] = by_params.study().subjects
    for session in ("a", "b"):
        found = subject.load("T1w", filters={"session": session})
        assert found.key == f"ds/sub-01/ses-{session}/anat/sub-01_ses-{session}_T1w.nii.gz"
        assert found.metadata["EchoTime"] == 0.003


def test_runs_are_compared_as_numbers(by_params):
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).to_bytes()
    by_params.put({f"ds/sub-1/func/sub-1_task-x_run-{run}_bold.nii": image for run in ("01", "02", "010")})
    [subject] = by_params.study().subjects
    for run in (1, "01", "1"):
        assert subject.load("bold", filters={"run": run}).key.endswith("run-01_bold.nii")
    assert subject.load("bold", filters={"run": 10}).key.endswith("run-010_bold.nii")
    with pytest.raises(ObjectNotFoundError):
        subject.load("bold", filters={"run": 3})


def test_filters_are_those_of_a_download(study):
    subject = study.subjects[0]
    for filters in ({"task": ["rest", "x"]}, {"task": "re:^re"}, {"task": "rest", "run": None}):
        assert subject.load("bold", filters=filters).key.endswith("task-rest_bold.nii.gz")
    with pytest.raises(ConfigError, match=r"'tusk'.*did you mean task"):
        subject.load("bold", filters={"tusk": "rest"})


def test_a_site_of_hbn_is_loaded_too(by_params, tmp_path):
    write_hbn_site(tmp_path / "made")
    by_params.put_tree(tmp_path / "made", "MRI/Site-SI")
    site = HBNSite("SI", bucket=by_params.bucket, s3_prefix="MRI", subjects=1, storage=by_params.storage)
    [subject] = site.subjects
    found = subject.load("dwi")
    assert (found.metadata["PhaseEncodingDirection"], found.bvals.shape, found.bvecs.shape) == ("j", (65,), (3, 65))
    assert subject.load("T1w", derivative="T1w_HCP").image.shape == (16, 16, 12)


def test_loading_costs_a_listing_the_header_and_the_small_files(counted, proxy, tmp_path):
    write_study(tmp_path / "made", subjects=["01"])
    counted.put_tree(tmp_path / "made", "ds")
    [subject] = counted.study().subjects
    subject.s3_keys  # noqa: B018 - listed here
    proxy.reset()
    subject.load("dwi")
    keys = [request.key for request in proxy.requests]
    assert sorted(keys) == ["ds/dwi.json", *(f"ds/sub-01/dwi/sub-01_dwi.{name}" for name in ("bval", "bvec", "nii.gz"))]
    assert {request.operation for request in proxy.requests} == {"get"}


def test_a_surface_is_loaded_too(by_params):
    surface = nib.GiftiImage(darrays=[nib.gifti.GiftiDataArray(np.zeros((5, 3), np.float32))])
    by_params.put({f"ds/sub-1/anat/sub-1_hemi-{side}_pial.surf.gii": surface.to_bytes() for side in "LR"})
    by_params.put({"ds/pial.json": '{"Units": "mm"}'})
    found = by_params.study().subjects[0].load("pial", filters={"hemi": "L"})
    assert found.image.darrays[0].data.shape == (5, 3)
    assert (found.metadata, found.bvals) == ({"Units": "mm"}, None)


# Bad input


@pytest.fixture
def dwi(by_params, tmp_path):
    """A subject with a diffusion image, and a function that replaces one of the files beside it."""
    write_study(tmp_path / "made", subjects=["01"])
    by_params.put_tree(tmp_path / "made", "ds")

    def load(name=None, content=b""):
        if name is not None:
            by_params.put({f"ds/{name}": content})
        return by_params.study().subjects[0].load("dwi")

    return load


def test_gradients_by_columns_are_turned_round(dwi):
    rows = dwi().bvecs
    found = dwi("sub-01/dwi/sub-01_dwi.bvec", "\n".join(" ".join(map(str, row)) for row in rows.T))
    assert np.allclose(found.bvecs, rows)
    found = dwi("sub-01/dwi/sub-01_dwi.bval", "\n".join(["0", *["1000"] * 6]) + "\n\n")
    assert found.bvals.tolist() == [0, *[1000] * 6]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("bval", "0 1000 1000", "it has 1 x 3 numbers, and the image needs 1 x 7"),
        ("bval", "", "it has 0 numbers"),
        ("bval", "0 1000 x 1 1 1 1", "no table of numbers"),
        ("bval", b"\xff\xfe", "no table of numbers"),
        ("bvec", "0 0\n1 1\n", "it has 2 x 2 numbers, and the image needs 3 x 7"),
        ("bvec", "0 0 0\n1 1\n0 0 0", "no table of numbers"),
    ],
)
def test_gradients_that_do_not_fit_are_named(dwi, name, content, text):
    with pytest.raises(ImageError, match=text) as caught:
        dwi(f"sub-01/dwi/sub-01_dwi.{name}", content)
    assert f"sub-01_dwi.{name}" in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "7", b"\xff"])
def test_a_sidecar_that_cannot_be_read_is_named(dwi, content):
    with pytest.raises(JSONReadError, match=r"ds/dwi\.json"):
        dwi("dwi.json", content)


def test_the_lowest_table_counts_and_is_not_merged(dwi):
    found = dwi("dwi.bval", " ".join(["7"] * 7))
    assert found.bvals.tolist() == [0, *[1000] * 6]


# Sidecars of any object


def test_sidecars_are_looked_for_from_the_root_of_the_data_set_down(place, tmp_path):
    write_study(tmp_path / "made", subjects=["01"])
    place.put_tree(tmp_path / "made", "deep/down/ds")
    # Above the root, and in another directory: neither applies.
    place.put({"T1w.json": "{}", "deep/T1w.json": "{}", "deep/down/ds/sub-01/func/T1w.json": "{}"})
    storage = place.study("deep/down/ds").storage
    found = sidecars_of(storage, "deep/down/ds/sub-01/anat/sub-01_T1w.nii.gz")
    assert found == ["deep/down/ds/T1w.json", "deep/down/ds/sub-01/anat/sub-01_T1w.json"]


def test_beside_an_image_of_no_subject_its_own_directory_is_looked_at(by_params):
    by_params.put({"a/b/x_T1w.nii": "", "a/b/x_T1w.json": json.dumps({"a": 1}), "a/T1w.json": "{}", "b/T1w.json": "{}"})
    storage = by_params.study("a").storage
    assert sidecars_of(storage, "a/b/x_T1w.nii") == ["a/b/x_T1w.json"]
    by_params.put({"T1w.json": "{}", "x.nii": "", "T1w.nii": ""})
    assert sidecars_of(storage, "T1w.nii") == ["T1w.json"]


def test_a_listing_that_is_denied_is_told(counted, proxy, tmp_path):
    from s3bids.testing.faults import Answer, Fault

    write_study(tmp_path / "made", subjects=["01"])
    counted.put_tree(tmp_path / "made", "ds")
    storage = counted.study().storage
    proxy.script(Fault("list", times=None, action=Answer(403, "AccessDenied")))
    with pytest.raises(AccessDeniedError):
        sidecars_of(storage, "ds/sub-01/anat/sub-01_T1w.nii.gz")
