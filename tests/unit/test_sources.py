"""What is to be written: pieces of the right size, windows that can be rewound, nothing copied that need not be."""

import gzip
import io
import os
import tracemalloc
from array import array
from types import SimpleNamespace

import pytest

from s3bids.storage.sources import FileSource, MemorySource, source_of

DATA = bytes(range(256)) * 4


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


@pytest.fixture(params=["memory", "file on disk", "unbuffered", "stream", "slow stream", "gzip", "pipe"])
def source(request, path):
    """The same bytes from everywhere."""
    if request.param == "memory":
        yield MemorySource(memoryview(DATA))
    elif request.param in ("file on disk", "unbuffered"):
        with path.open("rb", buffering=-1 if request.param == "file on disk" else 0) as file:
            yield FileSource(file)
    elif request.param == "pipe":
        reading, writing = os.pipe()
        os.write(writing, DATA)
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            yield FileSource(file)
    elif request.param == "gzip":
        path.write_bytes(gzip.compress(DATA))
        with gzip.open(path) as file:
            yield FileSource(file)
    else:
        read = io.BytesIO(DATA).read
        slow = (lambda size: read(min(size, 7))) if request.param == "slow stream" else read
        yield FileSource(SimpleNamespace(read=slow))


@pytest.mark.parametrize("nbytes", [1, 7, 1023, 1024, 5000])
def test_pieces_have_the_size_asked_for(source, nbytes):
    pieces = [bytes(piece) for piece in source.pieces(nbytes)]
    assert b"".join(pieces) == DATA
    assert {len(piece) for piece in pieces[:-1]} <= {nbytes}
    assert 0 < len(pieces[-1]) <= nbytes


@pytest.mark.parametrize("nbytes", [7, 1024, 5000])
def test_windows_are_pieces_that_can_be_rewound(source, nbytes):
    windows = list(source.windows(nbytes))
    assert [len(window) for window in windows] == [min(nbytes, 1024 - start) for start in range(0, 1024, nbytes)]
    assert b"".join(window.read() for window in reversed(windows)) != b""
    for window in windows:
        window.seek(0)
    assert b"".join(window.read() for window in windows) == DATA


def test_the_size_is_compared_without_losing_bytes(source):
    assert source.is_below(1025)
    assert not source.is_below(1024)
    assert source.size in (None, 1024)
    assert b"".join(bytes(piece) for piece in source.pieces(100)) == DATA


def test_a_window_over_all_is_read_as_a_file(source):
    window = source.window()
    assert (window.readable(), window.seekable(), window.tell(), len(window)) == (True, True, 0, 1024)
    assert window.read(3) == DATA[:3]
    assert window.tell() == 3
    assert window.seek(-2, io.SEEK_END) == 1022
    assert window.read(100) == DATA[-2:]
    assert window.read(100) == b""
    assert window.seek(1) == 1
    assert window.seek(2, io.SEEK_CUR) == 3
    assert window.seek(-9) == 0
    assert window.read(None) == DATA


def test_only_a_file_on_disk_says_its_size(path):
    with path.open("rb") as file:
        file.read(24)
        assert FileSource(file).size == 1000
    with gzip.open(path) as file:
        assert FileSource(file).size is None
    assert FileSource(io.BufferedReader(io.BytesIO(DATA))).size is None


def test_a_file_that_becomes_shorter_is_an_error(path):
    with path.open("rb") as file:
        window = FileSource(file).window()
        os.truncate(path, 1000)
        with pytest.raises(OSError, match="shorter"):
            window.read()


def test_a_view_is_not_copied():
    data = bytearray(32 * 1024 * 1024)
    tracemalloc.start()
    try:
        source = source_of(memoryview(data))
        windows = list(source.windows(8 * 1024 * 1024))
        while windows[0].read(65536):
            pass
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"123", b"123"),
        (bytearray(b"123"), b"123"),
        (memoryview(b"0123456789")[::3], b"0369"),
        (memoryview(b"9876543210")[::-1], b"0123456789"),
        (memoryview(array("d", [1.5, 2.5])), array("d", [1.5, 2.5]).tobytes()),
        (memoryview(b"abcdef").cast("B", (2, 3)), b"abcdef"),
        (b"", b""),
        (memoryview(array("d")), b""),
    ],
)
def test_every_kind_of_bytes_is_taken(data, expected):
    source = source_of(data)
    assert source.size == len(expected)
    assert b"".join(source.pieces(4)) == source.window().read() == expected


@pytest.mark.parametrize("data", ["text", None, 3, [b"1"], io.StringIO("x")])
def test_what_has_no_bytes_is_refused(data):
    with pytest.raises(TypeError, match=r"bytes|binary"):
        source_of(data)
