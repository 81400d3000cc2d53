"""What reading an image costs, in requests and in bytes, on each storage."""

from __future__ import annotations

import gzip
import random

import nibabel as nib
import numpy as np
import pytest

from s3bids import read_header, read_nifti
from s3bids.neuro.headers import read_headers
from s3bids.neuro.ranges import CACHE_BYTES, _Blocks

#: What the issue of one range may take, by the smaller of the two kilobytes.
HEADER_BYTES = 64_000
MEGABYTE = 1_000_000
VOLUME_BYTES = 32 * 32 * 12 * 2


@pytest.fixture
def stored(place, series, extension):
    """A series of 300 volumes: (bucket, key, size)."""
    place.put(f"ds/x{extension}", series[extension])
    return place, f"ds/x{extension}", len(series[extension])


# Headers


def test_a_header_takes_one_small_range(stored, measured):
    place, key, size = stored
    with measured(place) as cost:
        header = read_header(key, place.storage)
    assert (header.shape, header.repetition_time, header.size) == ((32, 32, 12, 300), 0.8, size)
    assert (cost.gets, cost.heads) == (1, 0)
    assert cost.nbytes <= HEADER_BYTES


def test_opening_an_image_takes_one_small_range(stored, measured):
    place, key, _ = stored
    with measured(place) as cost:
        image = read_nifti(key, place.storage)
        assert (image.shape, image.affine[0, 0], image.get_data_dtype()) == ((32, 32, 12, 300), 2, np.int16)
        assert image.header.extensions == []
    assert (cost.gets, cost.heads) == (1, 0)
    assert cost.nbytes <= HEADER_BYTES


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("compressed", [True, False])
def test_extensions_come_with_the_same_range(place, measured, kind, compressed):
    image = kind(np.zeros((2, 2, 2), np.int16), np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", random.Random(0).randbytes(40_000)))
    data = image.to_bytes()
    place.put("x", gzip.compress(data) if compressed else data)
    with measured(place) as cost:
        [extension] = read_header("x", place.storage).extensions
    assert extension.get_content() == image.header.extensions[0].get_content()
    assert (cost.gets, cost.heads) == (1, 0)


@pytest.mark.parametrize("compressed", [True, False])
def test_the_range_grows_for_long_extensions_and_incompressible_ones(place, measured, compressed):
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", random.Random(0).randbytes(300_000)))
    data = image.to_bytes()
    stored = gzip.compress(data) if compressed else data
    place.put("x", stored)
    with measured(place) as cost:
        [extension] = read_header("x", place.storage).extensions
    assert extension.get_content() == image.header.extensions[0].get_content()
    assert 2 <= cost.gets <= 4
    assert cost.nbytes <= len(stored)


def test_a_long_gzip_header_is_passed_over(disk, measured, series):
    packed = series[".nii.gz"]
    # Flags FNAME: a name of 100,000 bytes stands before the data.
    disk.put("x", packed[:3] + b"\x08" + packed[4:10] + b"n" * 100_000 + b"\0" + packed[10:])
    with measured(disk) as cost:
        assert read_header("x", disk.storage).shape == (32, 32, 12, 300)
    assert cost.gets == 2
    assert cost.nbytes <= 3 * HEADER_BYTES


def test_many_headers_take_one_range_each(place, measured, series, run_all):
    keys = [f"ds/{number:03}.nii.gz" for number in range(100)]
    run_all(lambda key: place.put(key, series[".nii.gz"][:70_000]), keys[:-1])
    place.put(keys[-1], b"no image")
    with measured(place) as cost:
        found = read_headers(place.storage, keys)
    assert [header.shape for header in found[:-1]] == [(32, 32, 12, 300)] * 99
    assert "099.nii.gz" in str(found[-1])
    assert (cost.gets, cost.heads) == (100, 0)


# Parts


@pytest.mark.parametrize("volume", [0, 1, 150, 299])
def test_one_volume_of_a_plain_image_is_fetched_and_little_more(place, series, noise, measured, volume):
    place.put("x.nii", series[".nii"])
    with measured(place) as cost:
        found = read_nifti("x.nii", place.storage).dataobj[..., volume]
    assert (found == noise[..., volume]).all()
    assert cost.nbytes <= VOLUME_BYTES + 128_000
    assert (cost.gets <= 2, cost.heads) == (True, 0)


def test_the_next_volumes_of_a_plain_image_are_fetched_alone(place, series, noise, measured):
    place.put("x.nii", series[".nii"])
    image = read_nifti("x.nii", place.storage)
    for volume in (200, 120, 121, 40):
        with measured(place) as cost:
            assert (image.dataobj[..., volume] == noise[..., volume]).all()
        assert (cost.gets, cost.nbytes) == (1, max(VOLUME_BYTES, cost.nbytes))
        assert cost.nbytes <= max(VOLUME_BYTES, HEADER_BYTES)


def test_the_first_volume_of_a_compressed_image_is_a_small_part_of_it(place, series, noise, measured):
    place.put("x.nii.gz", series[".nii.gz"])
    with measured(place) as cost:
        found = read_nifti("x.nii.gz", place.storage).dataobj[..., 0]
    assert (found == noise[..., 0]).all()
    assert cost.nbytes <= 0.02 * len(series[".nii.gz"]) + MEGABYTE / 10


def test_a_voxel_of_every_volume_is_fetched_side_by_side(place, series, noise, measured):
    place.put("x.nii", series[".nii"])
    image = read_nifti("x.nii", place.storage)
    with measured(place) as cost:
        assert (image.dataobj[3, 4, 5] == noise[3, 4, 5]).all()
    assert cost.gets <= 300
    # nibabel reads rows of 64 bytes rather than skip their parts.
    assert cost.nbytes <= 300 * 64


# All of it


def test_all_data_are_fetched_once(stored, noise, measured):
    place, key, size = stored
    with measured(place) as cost:
        image = read_nifti(key, place.storage)
        assert (image.get_fdata() == noise).all()
    assert cost.nbytes == size
    assert cost.gets <= 4
    assert cost.heads == 0
    with measured(place) as cost:
        image.get_fdata()
    assert cost.gets == 0


def test_volume_after_volume_is_fetched_once(stored, noise, measured):
    place, key, size = stored
    image = read_nifti(key, place.storage)
    with measured(place) as cost:
        for volume in range(noise.shape[3]):
            assert (image.dataobj[..., volume] == noise[..., volume]).all()
    assert cost.nbytes <= size
    assert cost.gets <= 30


def test_a_jump_back_in_a_compressed_image_fetches_what_it_needs(place, series, noise, measured):
    place.put("x.nii.gz", series[".nii.gz"])
    image = read_nifti("x.nii.gz", place.storage)
    assert (image.dataobj[..., 250] == noise[..., 250]).all()
    for volume in (100, 20, 249):
        # Nothing is in the cache, so that what is needed again is fetched again.
        image.dataobj.file_like._file._blocks = _Blocks(CACHE_BYTES)
        with measured(place) as cost:
            assert (image.dataobj[..., volume] == noise[..., volume]).all()
        assert 0 < cost.nbytes <= 1.3 * MEGABYTE


# Indexes that are kept


@pytest.mark.parametrize(
    ("where", "kind", "way"),
    [
        ("on_moto", "folder", "all"),
        ("on_rclone", "dict", "volumes"),
        ("on_disk", "dict", "all"),
        ("on_disk", "folder", "volumes"),
        ("on_disk", "folder", "a part"),
        ("on_disk", "dict", "a part"),
    ],
)
def test_an_index_that_is_kept_spares_the_beginning(request, series, noise, measured, tmp_path, where, kind, way):
    place = request.getfixturevalue(where)
    place.put("x.nii.gz", series[".nii.gz"])
    indexes = tmp_path / "data" if kind == "folder" else {}
    first = read_nifti("x.nii.gz", place.storage, indexes=indexes)
    with measured(place) as cost:
        if way == "all":
            assert (first.get_fdata() == noise).all()
        elif way == "volumes":
            assert all((first.dataobj[..., k] == noise[..., k]).all() for k in range(300))
        else:
            assert (first.dataobj[..., 250] == noise[..., 250]).all()
    assert cost.nbytes <= len(series[".nii.gz"])
    again = read_nifti("x.nii.gz", place.storage, indexes=indexes)
    with measured(place) as cost:
        assert (again.dataobj[..., 200] == noise[..., 200]).all()
    assert cost.nbytes <= (2.6 if way == "a part" else 1.3) * MEGABYTE
    if kind == "folder":
        [file] = (path for path in indexes.rglob("*") if path.is_file())
        assert file.parent == indexes / ".s3bids" / "gzip-index"


def test_no_index_is_kept_unless_asked_for(disk, series, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    disk.put("x.nii.gz", series[".nii.gz"])
    before = set(tmp_path.rglob("*"))
    read_nifti("x.nii.gz", disk.storage).get_fdata()
    assert set(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def backwards(noise):
    """The volumes in the other order, compressed as much as people do."""
    return gzip.compress(nib.Nifti1Image(noise[..., ::-1], np.eye(4)).to_bytes(), 6)


def test_the_index_of_another_version_is_not_used(place, series, noise, backwards):
    indexes = {}
    place.put("x.nii.gz", series[".nii.gz"])
    read_nifti("x.nii.gz", place.storage, indexes=indexes).get_fdata()
    place.put("x.nii.gz", backwards)
    image = read_nifti("x.nii.gz", place.storage, indexes=indexes)
    assert (image.dataobj[..., 200] == noise[..., 99]).all()
    assert (image.get_fdata() == noise[..., ::-1]).all()
    assert len(indexes) == 2


def test_a_damaged_index_counts_as_absent(disk, series, noise, tmp_path):
    disk.put("x.nii.gz", series[".nii.gz"])
    read_nifti("x.nii.gz", disk.storage, indexes=tmp_path / "i").get_fdata()
    [file] = (path for path in (tmp_path / "i").rglob("*") if path.is_file())
    whole = file.read_bytes()
    for damaged in (b"", whole[:100], whole[:-1], whole[:50_000] + b"x" + whole[50_001:]):
        file.write_bytes(damaged)
        image = read_nifti("x.nii.gz", disk.storage, indexes=tmp_path / "i")
        assert (image.dataobj[..., 200] == noise[..., 200]).all()


# Large ones


@pytest.mark.slow
def test_the_header_of_half_a_gigabyte_takes_one_small_range(place, series, measured):
    place.put("x.nii.gz", series[".nii.gz"] + bytes(500_000_000 - len(series[".nii.gz"])))
    with measured(place) as cost:
        assert read_header("x.nii.gz", place.storage).size == 500_000_000
    assert (cost.gets, cost.heads) == (1, 0)
    assert cost.nbytes <= HEADER_BYTES


@pytest.mark.slow
def test_a_large_series_costs_what_was_promised(place, measured):
    data = np.random.default_rng(1).integers(0, 3000, (64, 64, 30, 300), dtype=np.int16)
    plain = nib.Nifti1Image(data, np.eye(4)).to_bytes()
    packed = gzip.compress(plain, 1)
    place.put("x.nii", plain)
    place.put("x.nii.gz", packed)
    with measured(place) as cost:
        assert (read_nifti("x.nii.gz", place.storage).dataobj[..., 0] == data[..., 0]).all()
    assert cost.nbytes <= 0.02 * len(packed) + MEGABYTE
    with measured(place) as cost:
        assert (read_nifti("x.nii", place.storage).dataobj[..., 150] == data[..., 150]).all()
    assert cost.nbytes <= data[..., 150].nbytes + 128_000
    for key, size in (("x.nii", len(plain)), ("x.nii.gz", len(packed))):
        with measured(place) as cost:
            assert (np.asanyarray(read_nifti(key, place.storage).dataobj) == data).all()
        assert cost.nbytes <= 1.01 * size
