"""What a header says: units, times, formats told by content, and formats that are fetched whole."""

from __future__ import annotations

import bz2
import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel import cifti2

from s3bids import read_header, read_nifti
from s3bids.errors import ImageError, ObjectNotFoundError
from s3bids.neuro.formats import Format, format_of
from s3bids.neuro.whole_files import external_names

AFFINE = np.diag([-2.0, 2, 2.5, 1])
NIBABEL = Path(nib.__file__).parent


def bold(kind=nib.Nifti1Image, units=("mm", "sec"), zooms=(2, 2, 2.5, 0.8), shape=(4, 5, 6, 7)):
    image = kind(np.zeros(shape, np.int16), AFFINE)
    image.header.set_xyzt_units(*units)
    image.header.set_zooms(zooms)
    return image


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("packed", [True, False])
def test_a_header_says_what_the_image_is(disk, kind, packed):
    image = bold(kind)
    data = gzip.compress(image.to_bytes()) if packed else image.to_bytes()
    disk.put("x", data)
    found = read_header("x", disk.storage)
    assert found.format == {nib.Nifti1Image: "NIfTI-1", nib.Nifti2Image: "NIfTI-2"}[kind]
    assert (found.name, found.is_compressed, found.size) == (disk.url("x"), packed, len(data))
    assert (found.shape, found.volumes, found.dtype) == ((4, 5, 6, 7), 7, "int16")
    assert (found.voxel_sizes, found.repetition_time) == ((2.0, 2.0, 2.5), 0.8)
    assert (found.affine == image.affine).all()
    assert found.orientation == "LAS"
    assert found.header.get_zooms() == image.header.get_zooms()


@pytest.mark.parametrize(
    ("units", "zooms", "sizes", "seconds"),
    [
        (("mm", "sec"), (2, 2, 2, 2.5), (2.0, 2.0, 2.0), 2.5),
        (("mm", "msec"), (0.7, 0.7, 0.7, 720), (0.7, 0.7, 0.7), 0.72),
        (("mm", "usec"), (1, 1, 1, 800_000), (1.0, 1.0, 1.0), 0.8),
        (("meter", "sec"), (0.002, 0.002, 0.003, 2), (2.0, 2.0, 3.0), 2.0),
        (("micron", "sec"), (25, 25, 100, 1), (0.025, 0.025, 0.1), 1.0),
        (("unknown", "unknown"), (2, 2, 2, 3), (2.0, 2.0, 2.0), 3.0),
        (("mm", "hz"), (2, 2, 2, 50), (2.0, 2.0, 2.0), None),
        (("mm", "sec"), (2, 2, 2, 0), (2.0, 2.0, 2.0), None),
    ],
)
def test_sizes_are_in_millimetres_and_times_in_seconds(disk, units, zooms, sizes, seconds):
    disk.put("x", bold(units=units, zooms=zooms).to_bytes())
    found = read_header("x", disk.storage)
    assert (found.voxel_sizes, found.repetition_time) == (sizes, seconds)


def test_an_image_without_volumes_has_no_repetition_time(disk):
    disk.put("x", bold(shape=(4, 5, 6), zooms=(2, 2, 2)).to_bytes())
    found = read_header("x", disk.storage)
    assert (found.repetition_time, found.volumes) == (None, 1)


def test_numbers_that_are_none_are_left_out(disk):
    data = bytearray(bold().to_bytes())
    struct.pack_into("<4f", data, 80, *[float("nan")] * 4)
    struct.pack_into("<12f", data, 280, *[float("nan")] * 12)
    disk.put("x", bytes(data))
    found = read_header("x", disk.storage)
    assert (found.voxel_sizes, found.repetition_time, found.orientation) == ((), None, None)


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("kind", [nib.Nifti1Header, nib.Nifti2Header])
def test_both_orders_of_bytes_are_read(disk, endianness, kind):
    image_class = {nib.Nifti1Header: nib.Nifti1Image, nib.Nifti2Header: nib.Nifti2Image}[kind]
    image = image_class(np.arange(24, dtype="i2").reshape(2, 3, 4), AFFINE, kind(endianness=endianness))
    image.set_data_dtype("i2")
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"c" * 100))
    disk.put("x", image.to_bytes())
    found = read_header("x", disk.storage)
    assert (found.shape, found.dtype, len(found.extensions)) == ((2, 3, 4), "int16", 1)
    assert (read_nifti("x", disk.storage).get_fdata() == image.get_fdata()).all()


# CIFTI-2


@pytest.fixture(scope="module")
def dtseries():
    """A CIFTI-2 series, whose extension is longer than the first range."""
    series = cifti2.SeriesAxis(start=0, step=0.72, size=5)
    n = 60_000
    model = cifti2.BrainModelAxis.from_mask(np.ones((30, 40, 50), bool), affine=AFFINE, name="thalamus_left")
    assert len(model) == n
    data = np.random.default_rng(0).normal(size=(5, n)).astype(np.float32)
    return cifti2.Cifti2Image(data, (series, model))


def test_a_series_on_grayordinates_is_read_lazily(place, dtseries, measured):
    data = dtseries.to_bytes()
    place.put("x.dtseries.nii", data)
    with measured(place) as cost:
        found = read_header("x.dtseries.nii", place.storage)
        image = read_nifti("x.dtseries.nii", place.storage)
    assert (found.format, found.shape, found.dtype) == ("CIFTI-2", (5, 60_000), "float32")
    assert (found.repetition_time, found.voxel_sizes, found.affine) == (0.72, (), None)
    assert type(image) is nib.Cifti2Image
    assert cost.nbytes < len(data) - 5 * 60_000 * 4 + 2 * 64_000 + 2 * len(dtseries.header.to_xml())
    with measured(place) as cost:
        assert (image.dataobj[3, 100:200] == np.asanyarray(dtseries.dataobj)[3, 100:200]).all()
    assert (image.get_fdata() == dtseries.get_fdata()).all()
    assert image.header.get_axis(1) == dtseries.header.get_axis(1)


# MGH


@pytest.mark.parametrize("packed", [True, False])
def test_mgh_is_read_lazily_but_for_its_times(place, packed, measured):
    image = nib.MGHImage(np.random.default_rng(0).normal(size=(40, 40, 40, 2)).astype(np.float32), AFFINE)
    image.header.set_zooms((2, 2, 2.5, 1500))
    data = gzip.compress(image.to_bytes()) if packed else image.to_bytes()
    place.put("x", data)
    with measured(place) as cost:
        found = read_header("x", place.storage)
    assert (found.format, found.shape, found.dtype, found.voxel_sizes) == (
        "MGH",
        (40, 40, 40, 2),
        "float32",
        (2.0, 2.0, 2.5),
    )
    assert found.repetition_time == (None if packed else 1.5)
    assert cost.nbytes <= 128_000
    with measured(place) as cost:
        opened = read_nifti("x", place.storage)
        assert (opened.dataobj[..., 0] == image.dataobj[..., 0]).all()
        assert (opened.get_fdata() == image.get_fdata()).all()
    assert type(opened) is nib.MGHImage
    assert opened.header.get_zooms() == image.header.get_zooms()
    # Of a compressed file, what was read for the times is still in the cache.
    assert cost.nbytes <= len(data)


# GIFTI


def gifti(n_arrays=2, n=100):
    arrays = [
        nib.gifti.GiftiDataArray(np.full((n, 3), number, np.float32), intent="NIFTI_INTENT_POINTSET")
        for number in range(n_arrays)
    ]
    return nib.GiftiImage(darrays=arrays)


@pytest.mark.parametrize("packed", [True, False])
def test_gifti_is_told_by_its_content(place, packed, measured):
    data = gifti(n=200_000).to_bytes()
    place.put("x.bin", gzip.compress(data) if packed else data)
    found = read_header("x.bin", place.storage)
    assert (found.format, found.arrays, found.shape, found.dtype) == ("GIFTI", 2, (200_000, 3), "float32")
    with measured(place) as cost:
        image = read_nifti("x.bin", place.storage)
    assert type(image) is nib.GiftiImage
    assert (image.darrays[1].data == 1).all()
    assert cost.nbytes == len(gzip.compress(data) if packed else data)


def test_metadata_before_the_first_array_may_be_long(disk):
    image = gifti()
    image.meta["history"] = "x" * 300_000
    disk.put("x.gii", image.to_bytes())
    assert read_header("x.gii", disk.storage).shape == (100, 3)


def test_gifti_that_unpacks_to_more_than_memory_holds_is_refused(disk, monkeypatch):
    monkeypatch.setattr("s3bids.neuro.images.MOST_GIFTI_BYTES", 1000)
    disk.put("x.gii.gz", gzip.compress(gifti().to_bytes() + bytes(10_000)))
    with pytest.raises(ImageError, match=r"x\.gii\.gz.*more than 1000 bytes"):
        read_nifti("x.gii.gz", disk.storage)


def test_entities_are_refused():
    from s3bids.neuro.headers import _GiftiBeginning

    with pytest.raises(ImageError, match="entity"):
        _GiftiBeginning().feed(
            b'<?xml version="1.0"?><!DOCTYPE GIFTI [<!ENTITY a "b">]><GIFTI NumberOfDataArrays="1"/>'
        )


EXTERNAL = (NIBABEL / "gifti" / "tests" / "data" / "external.gii").read_bytes()


@pytest.mark.parametrize("name", ["/etc/passwd", "../external.dat", "..", "a/b", r"a\b", "&#47;etc&#47;passwd", ""])
def test_external_data_elsewhere_are_refused(disk, name):
    disk.put("ds/x.gii", EXTERNAL.replace(b"external.dat", name.encode()))
    with pytest.raises(ImageError, match="own directory"):
        read_nifti("ds/x.gii", disk.storage)


def test_external_data_beside_the_image_are_fetched(place):
    place.put("ds/x.gii", EXTERNAL)
    with pytest.raises((ImageError, ObjectNotFoundError), match=r"external\.dat"):
        read_nifti("ds/x.gii", place.storage)
    place.put("ds/external.dat", (NIBABEL / "gifti" / "tests" / "data" / "external.dat").read_bytes())
    expected = nib.load(NIBABEL / "gifti" / "tests" / "data" / "external.gii")
    assert (read_nifti("ds/x.gii", place.storage).darrays[0].data == expected.darrays[0].data).all()
    assert external_names(EXTERNAL) == ["external.dat"] * 2


# Formats that are fetched whole


def test_a_pair_of_files_is_fetched_with_its_other_half(place, measured):
    image = nib.Nifti1Pair(np.arange(24, dtype=np.int16).reshape(2, 3, 4), AFFINE)
    files = nib.Nifti1Pair.make_file_map()
    import io

    for holder in files.values():
        holder.fileobj = io.BytesIO()
    image.to_file_map(files)
    place.put("ds/x.hdr", files["header"].fileobj.getvalue())
    place.put("ds/x.img.gz", gzip.compress(files["image"].fileobj.getvalue()))
    place.put("ds/x.img", files["image"].fileobj.getvalue())
    for key in ("ds/x.hdr", "ds/x.img"):
        found = read_nifti(key, place.storage)
        assert type(found) is nib.Nifti1Pair
        assert (found.get_fdata() == image.get_fdata()).all()
        assert read_header(key, place.storage).shape == (2, 3, 4)


def test_the_files_that_were_fetched_go_with_the_data(disk, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "here"))
    disk.put("x.nii.bz2", bz2.compress(bold().to_bytes()))
    image = read_nifti("x.nii.bz2", disk.storage)
    assert len(list((tmp_path / "here").iterdir())) == 1
    data = image.dataobj
    del image
    assert data[0, 0, 0, 0] == 0
    del data
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("name", ["x.mnc", "x.PAR", "x+orig.HEAD", "x.hdr"])
def test_what_has_the_name_of_another_format_only_is_refused(disk, tmp_path, monkeypatch, name):
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "here"))
    disk.put(name, b"no image" * 100)
    for read in (read_nifti, read_header):
        with pytest.raises((ImageError, ObjectNotFoundError), match=name.replace("+", r"\+")) as caught:
            read(name, disk.storage)
        assert "s3bids-image-" not in str(caught.value)
    assert list((tmp_path / "here").iterdir()) == []


def test_bzip2_is_told_by_its_content_too(disk):
    disk.put("x.nii.bz2", bz2.compress(bold().to_bytes()))
    assert read_header("x.nii.bz2", disk.storage).shape == (4, 5, 6, 7)
    disk.put("x.bin", bz2.compress(bold().to_bytes()))
    with pytest.raises(ImageError, match=r"x\.nii\.bz2"):
        read_nifti("x.bin", disk.storage)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", None),
        (b"\0" * 600, None),
        (b"<html><body>GIFTI</body></html>", None),
        (b"\xef\xbb\xbf<?xml version='1.0'?><!DOCTYPE GIFTI SYSTEM 'x'><GIFTI Version='1.0'>", Format.GIFTI),
        (struct.pack(">6i", 1, 256, 256, 256, 1, 0), Format.MGH),
        (struct.pack(">6i", 1, 256, 0, 256, 1, 0), None),
        (struct.pack("<6i", 1, 256, 256, 256, 1, 0), None),
    ],
)
def test_a_format_is_told_by_the_first_bytes(head, expected):
    assert format_of(head) is expected
