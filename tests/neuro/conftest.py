"""Buckets on moto, on rclone and on disk, with everything that is asked of them counted."""

from __future__ import annotations

import gzip
import io
from concurrent.futures import ThreadPoolExecutor

import nibabel as nib
import numpy as np
import pytest

from s3bids.storage import LocalFSParams, LocalStorage, S3Params, S3Storage
from s3bids.testing.counting import CountingStorage


class Bucket:
    """An empty bucket, filled without the code under test."""

    def __init__(self, storage, put):
        #: The storage under test, which counts.
        self.storage = CountingStorage(storage)
        self.put = put

    def url(self, key):
        return f"{self.storage.location}/{key}"


@pytest.fixture(scope="session")
def moto_client(moto):
    client = moto.boto3_client()
    yield client
    client.close()


@pytest.fixture
def on_moto(moto, moto_client, bucket_name):
    moto_client.create_bucket(Bucket=bucket_name)
    storage = S3Storage(S3Params(bucket_name, moto.url, moto.access_key, moto.secret_key, region_name="us-east-1"))
    with storage:
        yield Bucket(storage, lambda key, data: moto_client.put_object(Bucket=bucket_name, Key=key, Body=data))


@pytest.fixture
def on_rclone(rclone, bucket_name):
    put = _putter(rclone.root / bucket_name, rclone.refresh)
    params = S3Params(bucket_name, rclone.url, rclone.access_key, rclone.secret_key, region_name="us-east-1")
    with S3Storage(params) as storage:
        yield Bucket(storage, put)


@pytest.fixture
def on_disk(tmp_path, bucket_name):
    put = _putter(tmp_path / bucket_name, lambda: None)
    return Bucket(LocalStorage(LocalFSParams(True, tmp_path, "someone", bucket_name)), put)


def _putter(folder, changed):
    folder.mkdir()
    changed()

    def put(key, data):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        changed()

    return put


@pytest.fixture(params=["on_moto", "on_rclone", "on_disk"])
def place(request):
    """Each of the three places in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def disk(on_disk):
    """The quickest place, for what does not depend on it."""
    return on_disk


class Measured:
    """What happened inside a ``with`` block."""

    def __init__(self, storage):
        self._storage = storage

    def __enter__(self):
        self._storage.reset()
        return self

    def __exit__(self, *_):
        self.gets = self._storage.count("get")
        self.heads = self._storage.count("head")
        self.nbytes = self._storage.bytes_read
        self.calls = self._storage.calls


@pytest.fixture
def measured():
    """Count what a block asks of a bucket: ``with measured(place) as cost``."""
    return lambda bucket: Measured(bucket.storage)


@pytest.fixture(scope="session")
def noise():
    """Volumes that hardly compress, shape (32, 32, 12, 300): 7.4 MB as they are, 6.3 MB by gzip."""
    return np.random.default_rng(0).integers(0, 3000, (32, 32, 12, 300), dtype=np.int16)


@pytest.fixture(scope="session")
def series(noise):
    """The volumes as NIfTI files: extension -> bytes."""
    image = nib.Nifti1Image(noise, np.diag([2, 2, 2, 1]))
    image.header.set_zooms((2, 2, 2, 0.8))
    image.header.set_xyzt_units("mm", "sec")
    plain = image.to_bytes()
    return {".nii": plain, ".nii.gz": gzip.compress(plain, 1, mtime=0)}


@pytest.fixture(params=[".nii", ".nii.gz"])
def extension(request):
    return request.param


class MemorySource:
    """Bytes in memory as a source that keeps a record of what was read of it."""

    name = "memory://x"

    def __init__(self, data, *, is_parallel=True):
        self.data = data
        self.is_parallel = is_parallel
        self.reads = []
        self.size = None
        self.version = "memory://x 1"

    def read(self, start, end):
        self.size = len(self.data)
        found = self.data[start:end]
        self.reads.append((start, start + len(found)))
        return found

    @property
    def nbytes(self):
        return sum(end - start for start, end in self.reads)


@pytest.fixture(scope="session")
def memory_source():
    return MemorySource


@pytest.fixture(scope="session")
def pieces():
    """A function that splits bytes into gzip members."""

    def go(data, n):
        step = -(-len(data) // n)
        return b"".join(gzip.compress(data[first : first + step], 1) for first in range(0, len(data), step))

    return go


@pytest.fixture
def run_all():
    """A function that calls a function for each item at once, and gives the results."""

    def go(function, items):
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(function, items))

    return go


@pytest.fixture
def as_bytes():
    """A function that gives the bytes of an image with the changes that a test makes to its header."""

    def go(image):
        file = io.BytesIO()
        image.to_stream(file)
        return file.getvalue()

    return go
