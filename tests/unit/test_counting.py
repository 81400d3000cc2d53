"""The storage that counts: nothing is lost on the way, and everything is counted."""

from __future__ import annotations

import pickle

import pytest

from s3bids.storage import LocalFSParams, LocalStorage, Storage
from s3bids.testing.conformance import FilesRig, StorageContract
from s3bids.testing.counting import Call, CountingStorage


class TestCounted(FilesRig, StorageContract):
    """It does what the storage does that it wraps."""

    has_etags = False
    honours_if_match = False

    @pytest.fixture(autouse=True)
    def root(self, tmp_path_factory):
        self.root = tmp_path_factory.mktemp("root")

    @pytest.fixture
    def open_storage(self):
        return lambda bucket: CountingStorage(LocalStorage(LocalFSParams(True, self.root, "someone", bucket)))

    @pytest.fixture
    def unreachable(self):
        return CountingStorage(LocalStorage(LocalFSParams(True, self.root / "none", "someone", "bucket")))

    unreachable_error = FileNotFoundError


@pytest.fixture
def counted(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_bytes(b"0123456789")
    return CountingStorage(LocalStorage(LocalFSParams(True, tmp_path, "someone", "b")))


def test_each_call_is_counted_with_its_bytes(counted, tmp_path):
    assert isinstance(counted, Storage)
    counted.head("x")
    counted.read("x", 2, 5)
    counted.read_range("x", 8, 99)
    assert next(counted.stream("x", 4, chunk_size=3)) == b"456"
    counted.download("x", tmp_path / "y")
    list(counted.list())
    counted.children()
    counted.write("y", b"1")
    with counted.writing("z") as file:
        file.write(b"1")
    counted.upload(tmp_path / "y", "u")
    counted.delete("y")
    assert counted.calls == [
        Call("head", "x"),
        Call("get", "x", 2, 5, 3),
        Call("get", "x", 8, 99, 2),
        Call("get", "x", 4, None, 3),
        Call("get", "x", 0, None, 10),
        Call("list", ""),
        Call("list", ""),
        Call("put", "y"),
        Call("put", "z"),
        Call("put", "u"),
        Call("delete", "y"),
    ]
    assert (counted.count("get"), counted.count("put"), counted.bytes_read) == (4, 3, 18)
    counted.reset()
    assert (counted.calls, counted.bytes_read) == ([], 0)


def test_a_copy_counts_by_itself(counted):
    counted.head("x")
    copy = pickle.loads(pickle.dumps(counted))
    copy.read("x")
    assert (len(counted.calls), len(copy.calls)) == (1, 1)


def test_a_head_that_a_range_needs_is_counted(tmp_path):
    from s3bids.storage.capabilities import RangeReader

    class Plain(LocalStorage):
        read_range = None

        def read(self, key, start=0, end=None, *, if_match=None):
            return (tmp_path / "b" / key).read_bytes()[start:end]

    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_bytes(b"0123456789")
    counted = CountingStorage(Plain(LocalFSParams(True, tmp_path, "someone", "b")))
    assert not isinstance(counted._storage, RangeReader)
    assert counted.read_range("x", 1, 3)[0] == b"12"
    assert (counted.count("head"), counted.count("get")) == (1, 1)
