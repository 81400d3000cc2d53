"""Images written to storage: bit for bit, whole or not at all, with bounded memory."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import nibabel as nib
import numpy as np
import pytest

from s3bids import read_nifti, s3fs_nifti_write, write_nifti
from s3bids.errors import ConfigError, ImageError, KeyRefusedError, StorageError
from s3bids.storage.s3_writing import PART_BYTES
from s3bids.testing.faults import Answer, Fault, Proxy

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2.5, -72], [0, 0, 0, 1]])
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "c8", "c16", RGB]
EXTENSIONS = [".nii", ".nii.gz"]


def plain(data):
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def array_of(dtype, shape=(5, 4, 3, 2)):
    raw = np.random.default_rng(0).integers(1, 100, (*shape, np.dtype(dtype).itemsize), dtype=np.uint8)
    return raw.view(dtype).reshape(shape)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_an_array_comes_back_bit_for_bit(disk, extension, kind, dtype):
    image = kind(array_of(dtype), AFFINE, dtype=dtype)
    image.header["descrip"] = b"as it was"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a comment"))
    write_nifti(image, f"x{extension}", disk.storage)
    assert plain(disk.storage.read(f"x{extension}")) == image.to_bytes()
    found = read_nifti(f"x{extension}", disk.storage)
    assert type(found) is kind
    assert found.get_data_dtype() == np.dtype(dtype)
    assert np.asanyarray(found.dataobj).tobytes() == np.asanyarray(image.dataobj).tobytes()
    assert found.header.extensions == image.header.extensions
    assert (found.affine == image.affine).all()


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4"])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_stored_numbers_their_slope_and_their_intercept_are_kept(place, extension, dtype, endianness):
    raw = array_of(f"{endianness}{dtype}")
    image = nib.Nifti1Image(raw, AFFINE, nib.Nifti1Header(endianness=endianness))
    image.set_data_dtype(dtype)
    image.header.set_slope_inter(0.37, -12.5)
    original = image.to_bytes()
    place.put("x.nii", original)
    write_nifti(read_nifti("x.nii", place.storage), f"y{extension}", place.storage)
    assert plain(place.storage.read(f"y{extension}")) == original
    found = read_nifti(f"y{extension}", place.storage).dataobj
    assert (found.slope, found.inter) == (np.float32(0.37), np.float32(-12.5))
    assert found.get_unscaled().tobytes("F") == raw.tobytes("F")


def test_a_local_image_of_nibabel_is_kept_as_well(disk, tmp_path):
    image = nib.Nifti1Image(array_of("i2"), AFFINE)
    image.header.set_slope_inter(3.0, 7.0)
    nib.save(image, tmp_path / "a.nii")
    write_nifti(nib.load(tmp_path / "a.nii"), "x.nii", disk.storage)
    assert disk.storage.read("x.nii") == (tmp_path / "a.nii").read_bytes()


def test_another_data_type_is_scaled_as_nibabel_does(disk):
    disk.put("x.nii", nib.Nifti1Image(np.linspace(0, 1, 60).reshape(3, 4, 5), AFFINE).to_bytes())
    image = read_nifti("x.nii", disk.storage)
    image.set_data_dtype(np.int16)
    write_nifti(image, "y.nii", disk.storage)
    assert disk.storage.read("y.nii") == image.to_bytes()
    assert read_nifti("y.nii", disk.storage).dataobj.slope != 1


def test_a_changed_header_is_written_and_the_image_is_left_alone(disk):
    image = nib.Nifti1Image(array_of("i2"), AFFINE)
    image.header.set_slope_inter(2.0, 0)
    disk.put("x.nii", image.to_bytes())
    image = read_nifti("x.nii", disk.storage)
    image.header["descrip"] = b"changed"
    before = image.header.copy()
    write_nifti(image, "y.nii", disk.storage)
    found = read_nifti("y.nii", disk.storage)
    assert (found.header["descrip"], found.dataobj.slope) == (b"changed", 2)
    assert image.header == before


def test_cifti_goes_to_an_object_and_back(disk):
    from pathlib import Path

    original = nib.load(Path(nib.__file__).parent / "tests" / "data" / "row_major.dconn.nii")
    write_nifti(original, "x.dconn.nii", disk.storage)
    found = read_nifti("x.dconn.nii", disk.storage)
    assert type(found) is nib.Cifti2Image
    assert (found.get_fdata() == original.get_fdata()).all()
    assert found.header == original.header


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (2, 3, 4, 1), (1, 1, 1, 1, 5), (2, 0, 3)])
def test_any_shape_comes_back(disk, shape):
    image = nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), AFFINE)
    write_nifti(image, "x.nii.gz", disk.storage)
    found = read_nifti("x.nii.gz", disk.storage)
    assert found.shape == shape
    assert (np.asanyarray(found.dataobj) == image.dataobj).all()


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_the_same_image_gives_the_same_bytes(disk, extension, monkeypatch):
    image = nib.Nifti1Image(array_of("f4"), AFFINE)
    for number, now in enumerate((0.0, 1e9)):
        monkeypatch.setattr("gzip.time.time", lambda now=now: now)
        write_nifti(image, f"{number}{extension}", disk.storage)
    assert disk.storage.read(f"0{extension}") == disk.storage.read(f"1{extension}")


def test_the_gzip_header_tells_neither_time_nor_name(disk):
    write_nifti(nib.Nifti1Image(array_of("u1"), AFFINE), "secret-name.nii.gz", disk.storage)
    data = disk.storage.read("secret-name.nii.gz")
    assert (data[3], data[4:8]) == (0, bytes(4))


# One object, whole or not at all


class FailingArray:
    """An array that is lost while it is written: shape and type are there, the data are not."""

    shape, ndim, dtype, is_proxy = (4, 4, 4), 3, np.dtype("i2"), True

    def __array__(self, dtype=None, copy=None):
        raise ConnectionError("lost")

    def __getitem__(self, item):
        raise ConnectionError("lost")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_an_error_leaves_the_old_object(place, extension):
    place.put(f"x{extension}", b"old")
    image = nib.Nifti1Image(FailingArray(), AFFINE, nib.Nifti1Header())
    with pytest.raises(ConnectionError, match="lost"):
        write_nifti(image, f"x{extension}", place.storage)
    assert place.storage.read(f"x{extension}") == b"old"
    with pytest.raises(ConnectionError, match="lost"):
        write_nifti(image, f"new{extension}", place.storage)
    assert [entry.key for entry in place.storage.list()] == [f"x{extension}"]


@pytest.mark.parametrize(
    ("image", "key", "error"),
    [
        ("text", "x.nii", TypeError),
        (nib.AnalyzeImage(np.zeros((2, 2, 2), np.int16), np.eye(4)), "x.nii", TypeError),
        (nib.MGHImage(np.zeros((2, 2, 2), np.float32), np.eye(4)), "x.mgh", TypeError),
        (nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), "x.img", ImageError),
        (nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), "x.NII", ImageError),
        (nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), "a//x.nii", KeyRefusedError),
        (nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), "../x.nii", KeyRefusedError),
        (nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), "s3://elsewhere/x.nii", ConfigError),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_sent(place, image, key, error):
    with pytest.raises(error):
        write_nifti(image, key, place.storage)
    assert place.storage.calls == []


def test_a_file_system_of_the_caller_keeps_the_old_file_when_the_image_fails():
    opened = []

    class Files:
        def open(self, path, mode):
            opened.append((path, mode))
            return io.BytesIO()

    with pytest.raises(ConnectionError):
        s3fs_nifti_write(nib.Nifti1Image(FailingArray(), AFFINE, nib.Nifti1Header()), "b/x.nii", Files())
    assert opened == []


# Large images


@pytest.fixture(scope="module")
def large():
    """An image of a little more than two parts, of noise."""
    return nib.Nifti1Image(np.random.default_rng(0).integers(0, 255, (256, 256, 540), dtype=np.uint8), AFFINE)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_large_image_goes_in_parts(moto, on_moto, large, extension):
    from s3bids.storage import S3Params, S3Storage

    with Proxy(moto.url) as proxy:
        params = S3Params(on_moto.storage.bucket, proxy.url, moto.access_key, moto.secret_key)
        with S3Storage(params) as storage:
            write_nifti(large, f"x{extension}", storage)
        methods = [request.method for request in proxy.requests]
    assert methods == ["POST", "PUT", "PUT", "PUT", "POST"]
    assert plain(on_moto.storage.read(f"x{extension}")) == large.to_bytes()
    assert len(large.to_bytes()) > 2 * PART_BYTES


@pytest.mark.parametrize("operation", ["put", "other"], ids=["part", "completion"])
@pytest.mark.usefixtures("no_backoff")
def test_a_part_that_is_refused_leaves_nothing(moto, moto_client, on_moto, large, operation):
    from s3bids.storage import S3Params, S3Storage

    on_moto.put("x.nii", b"old")
    with Proxy(moto.url) as proxy:
        # The second of the parts, or the request that would make an object of them.
        proxy.script(Fault(operation, skip=1, action=Answer(403, "AccessDenied")))
        params = S3Params(on_moto.storage.bucket, proxy.url, moto.access_key, moto.secret_key)
        with S3Storage(params) as storage, pytest.raises(StorageError, match=r"x\.nii"):
            write_nifti(large, "x.nii", storage)
    assert on_moto.storage.read("x.nii") == b"old"
    found = moto_client.list_multipart_uploads(Bucket=on_moto.storage.bucket)
    assert found.get("Uploads", []) == []


def test_many_writers_share_a_storage(place):
    images = {f"{n}.nii.gz": nib.Nifti1Image(np.full((8, 8, 8), n, np.int16), AFFINE) for n in range(16)}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: write_nifti(images[key], key, place.storage), images))
    for key, image in images.items():
        assert plain(place.storage.read(key)) == image.to_bytes()


#: Writes an image of 32 MiB a volume, and prints how much memory the process took at most beyond what it took with
#: the array, in bytes.
WRITE_GIGABYTES = """
import resource, sys
import numpy as np, nibabel as nib
from s3bids import write_nifti
from s3bids.storage import S3Params, S3Storage, LocalFSParams, LocalStorage

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

kind, extension, volumes, *place = sys.argv[1:]
if kind == "s3":
    url, bucket = place
    storage = S3Storage(S3Params(bucket, url, "testing", "testing-secret", region_name="us-east-1"))
else:
    root, bucket = place
    storage = LocalStorage(LocalFSParams(True, root, "someone", bucket))
array = np.empty((512, 512, 64, int(volumes)), np.int16)
array[:] = np.arange(int(volumes), dtype=np.int16)
image = nib.Nifti1Image(array, np.eye(4))
write_nifti(nib.Nifti1Image(array[..., 0, :1], np.eye(4)), f"small{extension}", storage)
before = most()
write_nifti(image, f"x{extension}", storage)
print(array.nbytes, most() - before, storage.head(f"x{extension}").size)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("where", "extension", "volumes"), [("on_rclone", ".nii", 64), ("on_disk", ".nii.gz", 16)])
def test_gigabytes_are_written_with_little_memory(request, rclone, tmp_path, where, extension, volumes):
    place = request.getfixturevalue(where)
    kind, home = ("s3", rclone.url) if where == "on_rclone" else ("disk", tmp_path)
    arguments = [kind, extension, volumes, home, place.storage.bucket]
    done = subprocess.run(
        [sys.executable, "-c", WRITE_GIGABYTES, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    nbytes, more, size = map(int, done.stdout.split())
    assert nbytes == volumes * 2**25
    assert more <= 200e6
    assert size > (nbytes if extension == ".nii" else 1e6)
