"""Plots: what is drawn, and how an image is turned."""

import sys

import numpy as np
import pytest

from s3bids.bids.layouts import Layout
from s3bids.catalog import Catalog
from s3bids.errors import ConfigError, MissingPackageError
from s3bids.report.coverage import study_coverage
from s3bids.report.plots import plot_coverage, plot_middle, plot_sizes


@pytest.fixture(autouse=True)
def pyplot():
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def coverage_of(*paths, size=1000):
    keys = sorted(paths)
    empty = [None] * len(keys)
    catalog = Catalog("", Layout.NESTED, keys, [size] * len(keys), empty, [float("nan")] * len(keys))
    return study_coverage(catalog, title="a $study$", source="s3://b/s", subjects=["sub-1", "sub-2"])


@pytest.fixture
def coverage():
    return coverage_of(
        "README", "sub-1/anat/sub-1_T1w.nii", "sub-1/func/sub-1_run-1_bold.nii", "sub-1/func/sub-1_run-2_bold.nii",
        "sub-2/anat/sub-2_T1w.nii", "derivatives/afq/sub-1/sub-1_dwi.trk",
    )  # fmt: skip


def test_the_coverage_is_drawn_as_it_is(coverage):
    axes = plot_coverage(coverage)
    [image] = axes.get_images()
    assert image.get_array().filled(0).tolist() == [[1, 2, 1], [1, 0, 0]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["anat/T1w", "func/bold", "afq/dwi"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sub-1", "sub-2"]


def test_dollars_and_unseen_signs_are_no_formulas(coverage):
    axes = plot_coverage(coverage_of("sub-$a$\u202e/anat/sub-$a$\u202e_T1w.nii"))
    assert axes.get_title() == r"Coverage of a \$study\$"
    assert r"sub-\$a\$\u202e" in [label.get_text() for label in axes.get_yticklabels()]
    axes.figure.canvas.draw()


def test_names_of_many_subjects_are_left_out():
    axes = plot_coverage(coverage_of(*(f"sub-{n:04}/anat/sub-{n:04}_T1w.nii" for n in range(500))))
    assert axes.get_ylabel() == "502 subjects"
    axes.figure.canvas.draw()


@pytest.mark.parametrize(
    ("by", "names", "sizes"),
    [
        ("datatype", ["func", "no datatype", "anat"], [2000, 2000, 2000]),
        ("derivative", ["raw data", "afq"], [5000, 1000]),
        ("session", ["no session"], [5000]),
    ],
)
def test_sizes_are_drawn_as_they_are(coverage, by, names, sizes):
    axes = plot_sizes(coverage, by=by)
    assert sorted(label.get_text() for label in axes.get_yticklabels()) == sorted(names)
    assert [bar.get_width() * 1024 for bar in axes.patches] == pytest.approx(sizes)
    assert axes.get_xlabel() == "KiB"


@pytest.mark.parametrize(("size", "unit"), [(0, "bytes"), (100, "bytes"), (2**20, "MiB"), (2**60, "PiB")])
def test_sizes_have_a_unit_that_fits(size, unit):
    assert plot_sizes(coverage_of("README", size=size)).get_xlabel() == unit


def test_a_study_of_nothing_can_be_drawn():
    for draw in (plot_coverage, plot_sizes):
        draw(coverage_of()).figure.canvas.draw()


@pytest.mark.parametrize("draw", [plot_coverage, plot_sizes])
def test_axes_that_are_given_are_drawn_into(coverage, pyplot, draw):
    _, mine = pyplot.subplots()
    assert draw(coverage, ax=mine) is mine
    assert len(pyplot.get_fignums()) == 1


def test_another_part_is_refused(coverage):
    with pytest.raises(ConfigError, match="choose from datatype, derivative, session"):
        plot_sizes(coverage, by="site")


def test_without_matplotlib_the_command_that_installs_it_is_named(coverage, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (plot_coverage, plot_sizes, plot_middle):
        with pytest.raises(MissingPackageError, match=r"pip install 's3bids\[plots\]'") as caught:
            draw(coverage)
        assert isinstance(caught.value, ImportError)


# The middle of an image


def image_of(orientation, *, shape=(9, 11, 13), volumes=None):
    """Give a head with a bright spot at its right, front and top, stored in some orientation."""
    import nibabel as nib

    data = np.zeros(shape)
    middle = [length // 2 for length in shape]
    for spot in (
        (shape[0] - 2, middle[1], middle[2]), (middle[0], shape[1] - 2, middle[2]), (middle[0], middle[1], shape[2] - 2)
    ):  # fmt: skip
        data[spot] = 100
    if volumes:
        data = np.stack([data * volume for volume in range(volumes)], axis=3)
    image = nib.Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0]))
    codes = nib.orientations.axcodes2ornt(tuple(orientation))
    return image.as_reoriented(nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), codes))


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "LPI", "PIR", "ASL", "SRA"])
def test_up_is_up_and_right_is_left_however_the_image_is_stored(orientation):
    axes = plot_middle(image_of(orientation))
    sagittal, coronal, axial = (picture.get_array() for picture in axes.get_images())
    assert (sagittal.shape, coronal.shape, axial.shape) == ((13, 11), (13, 9), (11, 9))
    # Rows count from below, columns from the left. The front is on the right of the sagittal slice.
    assert sagittal[6, 9] == sagittal[11, 5] == 100
    # The patient's right is on the left of the two others.
    assert coronal[6, 1] == coronal[11, 4] == 100
    assert axial[5, 1] == axial[9, 4] == 100
    assert sagittal.sum() == coronal.sum() == axial.sum() == 200


def test_lengths_are_those_of_the_head():
    import nibabel as nib

    axes = plot_middle(nib.Nifti1Image(np.ones((10, 10, 4)), np.diag([1.0, 2.0, 5.0, 1.0])))
    widths = [(right - left, top - below) for left, right, below, top in (i.get_extent() for i in axes.get_images())]
    assert widths == [(20.0, 20.0), (10.0, 20.0), (10.0, 20.0)]


def test_one_volume_is_read_and_no_more():
    image = image_of("RAS", volumes=4)
    read = []

    class Lazy:
        shape, affine = image.shape, image.affine

        @property
        def dataobj(self):
            return self

        def __getitem__(self, place):
            read.append(place)
            return image.dataobj[place]

    axes = plot_middle(Lazy(), volume=2, title="T1w")
    assert [picture.get_array().max() for picture in axes.get_images()] == [200, 200, 200]
    assert [place[3] for place in read] == [2, 2, 2]
    assert all(sum(isinstance(part, slice) for part in place) == 2 for place in read)
    assert axes.get_title() == "T1w"


@pytest.mark.parametrize("volume", [-1, 4])
def test_a_volume_that_there_is_not_is_refused(volume):
    with pytest.raises(ConfigError, match=f"volume is {volume}; the image has 4"):
        plot_middle(image_of("RAS", volumes=4), volume=volume)


def test_an_image_without_numbers_can_be_drawn():
    import nibabel as nib

    axes = plot_middle(nib.Nifti1Image(np.full((4, 4, 4), np.nan), np.eye(4)))
    axes.figure.canvas.draw()
    with pytest.raises(ConfigError, match="of 2 dimensions"):
        plot_middle(nib.Nifti1Image(np.zeros((4, 4)), np.eye(4)))


@pytest.mark.parametrize("kind", ["complex", "colours"])
def test_complex_numbers_and_colours_become_grey(kind):
    import nibabel as nib

    shape = (4, 5, 6)
    if kind == "complex":
        data = np.full(shape, 3 + 4j, dtype=np.complex64)
    else:
        data = np.zeros(shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
        data["G"] = 15
    axes = plot_middle(nib.Nifti1Image(data, np.eye(4)))
    assert [set(np.unique(picture.get_array())) for picture in axes.get_images()] == [{5.0}] * 3
