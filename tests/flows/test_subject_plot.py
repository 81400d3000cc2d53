"""``subject.plot``: the middle of an image that is read where it is."""

from __future__ import annotations

import sys

import nibabel as nib
import numpy as np
import pytest

from s3bids import get_storage
from s3bids.errors import ConfigError, ImageError, MissingPackageError, ObjectNotFoundError
from s3bids.testing.counting import CountingStorage
from s3bids.testing.studies import write_study

SHAPE = (64, 48, 24, 10)
VOLUME_BYTES = 64 * 48 * 24 * 2
RUNS = "ds/sub-9/func/sub-9_task-rest_run-{}_bold.nii"


@pytest.fixture(autouse=True)
def pyplot():
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def data():
    """Four dimensions, and no number twice in a volume."""
    return np.arange(np.prod(SHAPE), dtype=np.int64).reshape(SHAPE, order="F").astype(np.int16)


@pytest.fixture
def counting(by_params, data, tmp_path):
    """A storage that counts, with the synthetic study and a subject that has two runs."""
    write_study(tmp_path / "made", subjects=["01"])
    by_params.put_tree(tmp_path / "made", "ds")
    run = nib.Nifti1Image(data, np.eye(4)).to_bytes()
    by_params.put({RUNS.format(1): run, RUNS.format(2): run})
    return CountingStorage(get_storage(by_params.storage))


@pytest.fixture
def subjects(by_params, counting):
    return {subject.subject_id: subject for subject in by_params.study(storage=counting).subjects}


def pictures(axes):
    return [picture.get_array().tolist() for picture in axes.get_images()]


def test_the_middle_of_an_image_is_drawn_below_its_name(subjects):
    axes = subjects["sub-01"].plot("T1w")
    image = subjects["sub-01"].load("T1w").image
    shape = image.shape
    sagittal = image.get_fdata()[shape[0] // 2]
    assert pictures(axes)[0] == sagittal.T.tolist()
    assert axes.get_title() == "sub-01_T1w.nii.gz"


def test_one_of_several_images_is_chosen_as_by_load(subjects, data):
    with pytest.raises(ConfigError, match=r"2 images have .*sub-9_task-rest_run-1_bold.nii, .*_run-2_bold.nii"):
        subjects["sub-9"].plot("bold")
    axes = subjects["sub-9"].plot("bold", filters={"run": 2}, volume=7)
    assert axes.get_title() == "sub-9_task-rest_run-2_bold.nii"
    assert pictures(axes)[0] == data[32, :, :, 7].T.tolist()
    axes = subjects["sub-01"].plot("T1w", derivative="fmriprep-mini")
    assert axes.get_title() == "sub-01_desc-preproc_T1w.nii.gz"


def test_of_a_series_one_volume_is_fetched_once(subjects, counting):
    subject = subjects["sub-9"]
    subject.s3_keys  # noqa: B018 - listed here
    counting.reset()
    subject.plot("bold", filters={"run": 1}, volume=5)
    of_image = [call for call in counting.calls if call.key == RUNS.format(1)]
    header, *planes = of_image
    assert header.start == 0
    assert sum(call.nbytes for call in planes) <= VOLUME_BYTES
    assert all(call.start >= 352 + 5 * VOLUME_BYTES for call in planes)
    assert len(planes) == 1
    assert counting.count("list") == 0


def test_axes_that_are_given_are_drawn_into(subjects, pyplot):
    _, mine = pyplot.subplots()
    assert subjects["sub-01"].plot("T1w", ax=mine) is mine
    assert len(pyplot.get_fignums()) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"suffix": "T2w"}, ObjectNotFoundError, r"'T2w'.*T1w, bold, dwi, epi"),
        ({"suffix": "T1w", "derivative": "afq"}, ObjectNotFoundError, "'afq'; there are: fmriprep-mini"),
        ({"suffix": "bold", "filters": {"tusk": "x"}}, ConfigError, "did you mean task"),
        ({"suffix": "dwi", "volume": 7}, ConfigError, "volume is 7; the image has 7, counted from 0"),
    ],
)
def test_what_cannot_be_drawn_is_said_as_by_load(subjects, pyplot, arguments, error, text):
    with pytest.raises(error, match=text):
        subjects["sub-01"].plot(**arguments)
    assert pyplot.get_fignums() == []


def test_a_surface_and_a_broken_image_are_refused(by_params):
    surface = nib.GiftiImage(darrays=[nib.gifti.GiftiDataArray(np.zeros((5, 3), np.float32))])
    by_params.put({"ds/sub-1/anat/sub-1_pial.surf.gii": surface.to_bytes(), "ds/sub-1/anat/sub-1_T1w.nii": "nothing"})
    [subject] = by_params.study().subjects
    with pytest.raises(ConfigError, match="cannot draw a surface: it has no voxels"):
        subject.plot("pial")
    with pytest.raises(ImageError, match=r"sub-1_T1w\.nii"):
        subject.plot("T1w")


def test_without_matplotlib_nothing_is_listed(subjects, counting, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    counting.reset()
    with pytest.raises(MissingPackageError, match=r"pip install 's3bids\[plots\]'"):
        subjects["sub-01"].plot("T1w")
    assert counting.calls == []
