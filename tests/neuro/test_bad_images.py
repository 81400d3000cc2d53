"""Images that are damaged, gone, or others than they were: always one error that names the object."""

from __future__ import annotations

import gzip
import io
import pickle
import struct

import nibabel as nib
import numpy as np
import pytest

from s3bids import read_header, read_nifti, s3fs_nifti_read
from s3bids.errors import ConfigError, ImageError, ObjectChangedError, ObjectNotFoundError, StorageConnectionError
from s3bids.storage import S3Params, S3Storage
from s3bids.testing.faults import Answer, Cut, Fault, Proxy, Short

SMALL = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4)).to_bytes()


def with_field(data, offset, form, *values):
    """Give a file with one field of its header replaced."""
    changed = bytearray(data)
    struct.pack_into(form, changed, offset, *values)
    return bytes(changed)


def with_extension(size):
    return with_field(with_field(SMALL, 348, "<4B", 1, 0, 0, 0), 352, "<2i", size, 6)


BAD_HEADERS = {
    "nothing": b"",
    "one byte": b"\x5c",
    "text": b"participant_id\tage\nsub-01\t20\n",
    "zeros": bytes(1000),
    "wrong magic": with_field(SMALL, 344, "4s", b"n+9\0"),
    "magic of a pair": with_field(SMALL, 344, "4s", b"ni1\0"),
    "cut short": SMALL[:300],
    "cut short before the mark of extensions": SMALL[:350],
    "unknown data type": with_field(SMALL, 70, "<h", 9999),
    "negative dimension": with_field(SMALL, 42, "<h", -5),
    "eight dimensions": with_field(SMALL, 40, "<h", 8),
    "extensions without end": with_field(with_extension(16), 108, "<f", 1e30),
    "extensions that are not there": with_field(with_extension(16), 108, "<f", 5000.0),
    "data at a place that is no number": with_field(with_extension(16), 108, "<f", float("nan")),
    "gzip of nothing": gzip.compress(b""),
    "gzip of text": gzip.compress(b"sub-01" * 100),
    "gzip cut short": gzip.compress(SMALL)[:40],
    "no gzip": b"\x1f\x8bdamaged" * 20,
    "bzip2 of nothing": b"BZh9" + bytes(30),
    "GIFTI without an array": b"<?xml version='1.0'?><GIFTI Version='1.0' NumberOfDataArrays='0'></GIFTI>",
    "GIFTI that is no XML": b"<?xml version='1.0'?><GIFTI Version='1.0'><DataArray></GIFTI>",
    "MGH with an unknown type": struct.pack(">6i", 1, 2, 2, 2, 1, 77) + bytes(300),
}
#: nibabel reads these too: an image of no arrays.
NOT_FOR_IMAGES = {"GIFTI without an array"}


@pytest.mark.parametrize("name", BAD_HEADERS)
@pytest.mark.parametrize("key", ["x.nii", "x.nii.gz"])
def test_a_bad_header_is_refused_by_name(disk, name, key):
    disk.put(key, BAD_HEADERS[name])
    for read in (read_header, read_nifti) if name not in NOT_FOR_IMAGES else (read_header,):
        with pytest.raises(ImageError) as caught:
            read(key, disk.storage)
        assert isinstance(caught.value, ValueError)
        assert disk.url(key) in str(caught.value)


@pytest.mark.parametrize("name", ["nothing", "text", "gzip cut short", "wrong magic"])
def test_a_bad_header_is_refused_everywhere(place, name, measured):
    place.put("x.nii.gz", BAD_HEADERS[name])
    with measured(place) as cost, pytest.raises(ImageError, match=r"x\.nii\.gz"):
        read_header("x.nii.gz", place.storage)
    # An empty object has no range: its size is asked for.
    assert (cost.gets, cost.heads) == (1, 0)


@pytest.mark.parametrize("key", ["none.nii", "ds", "ds/"])
def test_a_missing_object_is_named(place, key):
    place.put("ds/x.nii", SMALL)
    for read in (read_header, read_nifti):
        with pytest.raises(ObjectNotFoundError, match=key) as caught:
            read(key, place.storage)
        assert isinstance(caught.value, FileNotFoundError)


# Data


@pytest.mark.parametrize("length", [352, 353, len(SMALL) - 1])
def test_data_that_are_cut_short_are_named_before_they_are_fetched(place, length, measured):
    place.put("x.nii", SMALL[:length])
    image = read_nifti("x.nii", place.storage)
    assert image.shape == (2, 3, 4)
    with measured(place) as cost:
        for use in (image.get_fdata, lambda: image.dataobj[..., 3], lambda: np.asanyarray(image.dataobj)):
            with pytest.raises(ImageError, match=r"x\.nii: .*cut short"):
                use()
    assert cost.gets == 0


def test_compressed_data_that_are_cut_short_are_named(place, series):
    place.put("x.nii.gz", series[".nii.gz"][:4_000_000])
    image = read_nifti("x.nii.gz", place.storage)
    assert image.dataobj[..., 0].shape == (32, 32, 12)
    for use in (image.get_fdata, lambda: image.dataobj[..., 299]):
        with pytest.raises(ImageError, match=r"x\.nii\.gz: .*cut short"):
            use()


@pytest.mark.parametrize("way", ["all", "volumes"])
def test_a_wrong_checksum_is_named_when_the_end_is_reached(place, series, way):
    damaged = bytearray(series[".nii.gz"])
    damaged[-6] ^= 0x10
    place.put("x.nii.gz", bytes(damaged))
    image = read_nifti("x.nii.gz", place.storage)
    assert image.dataobj[..., 0].shape == (32, 32, 12)
    with pytest.raises(ImageError, match=r"x\.nii\.gz: .*damaged"):
        np.asanyarray(image.dataobj) if way == "all" else [image.dataobj[..., k] for k in range(300)]


def test_a_content_that_ends_before_its_data_do_is_named(disk):
    disk.put("x.nii.gz", gzip.compress(SMALL[:-1]))
    image = read_nifti("x.nii.gz", disk.storage)
    with pytest.raises(ImageError, match=r"x\.nii\.gz: .*48 bytes of data, and there are 47"):
        image.get_fdata()


@pytest.mark.parametrize("packed", [True, False])
def test_a_header_that_promises_more_than_any_memory_is_refused(disk, packed):
    huge = with_field(SMALL, 40, "<5h", 4, 32000, 32000, 32000, 32000)
    disk.put("x", gzip.compress(huge) if packed else huge)
    image = read_nifti("x", disk.storage)
    assert image.shape == (32000,) * 4
    for use in (image.get_fdata, lambda: image.dataobj[0, 0, 0, 0]):
        with pytest.raises(ImageError, match="header promises"):
            use()


# An object that changes


def changed(data):
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("use", ["all", "a part"])
def test_an_object_that_was_replaced_is_named(place, series, noise, extension, use):
    place.put(f"x{extension}", series[extension])
    image = read_nifti(f"x{extension}", place.storage)
    assert (image.dataobj[..., 0] == noise[..., 0]).all()
    # Of the same length, so that only ETag and time tell.
    place.put(f"x{extension}", changed(series[extension]))
    with pytest.raises(ObjectChangedError, match=rf"x\{extension}.*replaced while it was being read"):
        image.get_fdata() if use == "all" else image.dataobj[..., 200]
    assert read_nifti(f"x{extension}", place.storage).shape == (32, 32, 12, 300)


def test_an_object_that_was_deleted_is_named(on_disk, series, tmp_path):
    on_disk.put("x.nii", series[".nii"])
    image = read_nifti("x.nii", on_disk.storage)
    (tmp_path / on_disk.storage.bucket / "x.nii").unlink()
    with pytest.raises(ObjectNotFoundError, match=r"x\.nii"):
        image.get_fdata()


@pytest.fixture
def proxied(moto, on_moto, series, extension):
    """A series on moto behind a proxy: (proxy, storage, key)."""
    on_moto.put(f"x{extension}", series[extension])
    with Proxy(moto.url) as proxy:
        params = S3Params(on_moto.storage.bucket, proxy.url, moto.access_key, moto.secret_key)
        with S3Storage(params) as storage:
            yield proxy, storage, f"x{extension}"


def test_every_request_but_the_first_says_which_object_it_expects(proxied, noise):
    proxy, storage, key = proxied
    image = read_nifti(key, storage)
    for volume in (0, 200, 100):
        assert (image.dataobj[..., volume] == noise[..., volume]).all()
    assert (image.get_fdata() == noise).all()
    first, *others = [request for request in proxy.requests if request.operation == "get"]
    assert (first.if_match, first.range) == (None, "bytes=0-61439")
    assert {request.if_match for request in others} == {f'"{storage.head(key).etag}"'}
    assert all(request.range for request in others)


@pytest.mark.parametrize("action", [Cut(100), Short(100), Answer(503, "SlowDown")], ids=["cut", "short", "busy"])
@pytest.mark.usefixtures("no_backoff")
def test_an_answer_that_breaks_off_is_asked_for_again(proxied, noise, action):
    proxy, storage, key = proxied
    image = read_nifti(key, storage)
    proxy.script(Fault("get", times=2, action=action))
    assert (image.get_fdata() == noise).all()
    assert proxy.unused() == []


@pytest.mark.usefixtures("no_backoff")
def test_a_server_that_never_answers_in_full_is_an_error(proxied):
    proxy, storage, key = proxied
    image = read_nifti(key, storage)
    proxy.script(Fault("get", times=None, action=Short(100)))
    with pytest.raises(StorageConnectionError, match=key):
        image.get_fdata()


# Addresses and storages that do not go together


@pytest.mark.parametrize("address", ["", "bucket", "s3://", "s3://bucket/", "/key", "http://host/key", "file:///x"])
@pytest.mark.parametrize("read", [read_nifti, read_header])
def test_an_address_that_names_no_object_is_refused(read, address):
    with pytest.raises(ConfigError, match=r"bucket/key|file:///root/bucket"):
        read(address)


@pytest.mark.parametrize("read", [read_nifti, read_header])
def test_an_address_is_taken_beside_its_own_storage_only(disk, read):
    disk.put("ds/x.nii", SMALL)
    assert read(disk.url("ds/x.nii"), disk.storage).shape == (2, 3, 4)
    with pytest.raises(ConfigError, match="does not lie in the storage"):
        read("s3://other/ds/x.nii", disk.storage)
    with pytest.raises(TypeError, match="key must be text"):
        read(7, disk.storage)


# File systems of the caller


def test_an_open_file_is_read_by_ranges_too(disk, series, noise, extension):
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size=-1):
            data = super().read(size)
            type(self).taken += len(data)
            return data

    class Files:
        def open(self, path, mode):
            return Counted(series[extension])

    image = s3fs_nifti_read(f"b/x{extension}", Files())
    assert Counted.taken <= 64_000
    assert (image.dataobj[..., 150] == noise[..., 150]).all()
    assert Counted.taken <= (0.6 * len(series[extension]) if extension == ".nii.gz" else 64_000 + 32_000)


def test_a_file_that_cannot_seek_is_read_whole(series, noise):
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.file = io.BytesIO(series[".nii.gz"])

        def readable(self):
            return True

        def readinto(self, buffer):
            return self.file.readinto(buffer)

    class Files:
        def open(self, path, mode):
            return Pipe()

    assert (s3fs_nifti_read("b/x.nii.gz", Files()).dataobj[..., 299] == noise[..., 299]).all()


def test_s3fs_fetches_ranges_and_sees_that_the_object_changed(moto, on_moto, series, noise):
    import s3fs

    with Proxy(moto.url) as proxy:
        options = {"endpoint_url": proxy.url, "key": moto.access_key, "secret": moto.secret_key}
        fs = s3fs.S3FileSystem(**options, skip_instance_cache=True)
        on_moto.put("x.nii", series[".nii"])
        image = s3fs_nifti_read(f"{on_moto.storage.bucket}/x.nii", fs)
        assert (image.dataobj[..., 200] == noise[..., 200]).all()
        ranges = [request.range for request in proxy.requests if request.operation == "get"]
        assert len(ranges) == 2
        on_moto.put("x.nii", changed(series[".nii"]))
        with pytest.raises(ObjectChangedError, match=r"x\.nii"):
            image.get_fdata()


# What else an image can do


def test_threads_share_an_image(place, series, noise, extension, run_all):
    place.put(f"x{extension}", series[extension])
    image = read_nifti(f"x{extension}", place.storage)
    volumes = [7, 250, 30, 120, 0, 299, 31, 251] * 2
    found = run_all(lambda k: image.dataobj[..., k], volumes)
    assert all((data == noise[..., k]).all() for k, data in zip(volumes, found, strict=True))


def test_an_image_pickles_and_reads_on_elsewhere(place, series, noise, extension):
    place.put(f"x{extension}", series[extension])
    image = read_nifti(f"x{extension}", place.storage)
    assert (image.dataobj[..., 5] == noise[..., 5]).all()
    text = pickle.dumps(image)
    assert len(text) < 200_000
    copy = pickle.loads(text)
    assert type(copy) is nib.Nifti1Image
    assert (copy.dataobj[..., 6] == noise[..., 6]).all()
    place.put(f"x{extension}", changed(series[extension]))
    with pytest.raises(ObjectChangedError):
        pickle.loads(text).get_fdata()


def test_slicing_an_image_stays_lazy(place, series, noise, measured):
    place.put("x.nii", series[".nii"])
    image = read_nifti("x.nii", place.storage)
    with measured(place) as cost:
        part = image.slicer[..., 10:12]
        assert (part.get_fdata() == noise[..., 10:12]).all()
    assert cost.nbytes <= 70_000
    with pytest.raises(ValueError, match="fancy"):
        image.dataobj[[0, 1]]


def test_the_name_of_an_image_is_its_address(disk, series):
    disk.put("ds/x.nii.gz", series[".nii.gz"])
    assert read_nifti("ds/x.nii.gz", disk.storage).get_filename() == disk.url("ds/x.nii.gz")
