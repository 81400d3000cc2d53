"""The contract of ``head``, ``read``, ``stream`` and ``download``."""

# ruff: noqa: D102, FBT001 - the name of a test says what it holds, and its parameters come from a table

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from ...errors import ObjectChangedError, ObjectNotFoundError
from .rig import ODD_KEYS, Rig

if TYPE_CHECKING:
    from pathlib import Path

    from ...storage import Storage

DIGITS = b"0123456789"
#: Bytes whose repetition has no period that a wrong offset could hide behind.
LONG = b"".join(number.to_bytes(4, "big") for number in range(400_000))

RANGES = (
    *((0, None), (0, 3), (0, 10), (0, 0), (0, 11), (4, 7), (4, None), (7, 10), (9, None), (9, 10), (7, 12)),
    *((10, None), (10, 10), (10, 12), (100, None), (100, 200), (3, 3), (5, 3), (12, 3)),
)
#: Those with an end.
CLOSED_RANGES = [(start, end) for start, end in RANGES if end is not None]
#: Names at which there is no object, beside one at ``ds/sub-1/x``: missing, a directory, the beginning of a name.
ABSENT = ("none", "ds/none", "ds", "ds/", "ds/sub-1", "ds/sub-1/", "ds/sub-1/x/", "ds/sub-1/x/y", "ds/sub-", "/")


class ReadingContract(Rig):
    """Bytes as a slice gives them, and a missing object is always named."""

    @pytest.mark.parametrize("key", ABSENT)
    def test_a_missing_object_is_named(self, storage: Storage, key: str) -> None:
        self.seed(storage.bucket, {"ds/sub-1/x": DIGITS})
        with pytest.raises(ObjectNotFoundError) as head:
            storage.head(key)
        with pytest.raises(ObjectNotFoundError) as read:
            storage.read(key)
        with pytest.raises(ObjectNotFoundError) as part:
            storage.read(key, 2, 4)
        with pytest.raises(ObjectNotFoundError) as nothing:
            storage.read(key, 2, 2)
        with pytest.raises(ObjectNotFoundError) as stream:
            next(storage.stream(key))
        with pytest.raises(ObjectNotFoundError) as rest:
            next(storage.stream(key, 3))
        with pytest.raises(ObjectNotFoundError) as middle:
            next(storage.stream(key, 2, end=4))
        with pytest.raises(ObjectNotFoundError) as none:
            next(storage.stream(key, 2, end=2))
        for caught in (head, read, part, nothing, stream, rest, middle, none):
            assert f"{storage.location}/{key}" in str(caught.value)

    def test_a_marker_is_not_an_object(self, storage: Storage) -> None:
        self.seed(storage.bucket, {"ds/": b"", "ds/a/": b""} if self.has_markers else {"ds/a/x": b""})
        for key in ("ds/", "ds/a/", "ds/a", "ds"):
            with pytest.raises(ObjectNotFoundError):
                storage.head(key)
            with pytest.raises(ObjectNotFoundError):
                storage.read(key)
            with pytest.raises(ObjectNotFoundError):
                next(storage.stream(key))

    def test_the_empty_key_is_refused(self, storage: Storage, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="empty key"):
            storage.head("")
        with pytest.raises(ValueError, match="empty key"):
            storage.read("")
        with pytest.raises(ValueError, match="empty key"):
            next(storage.stream(""))
        with pytest.raises(ValueError, match="empty key"):
            storage.download("", tmp_path / "x")

    @pytest.mark.parametrize(("start", "end"), RANGES)
    def test_a_range_is_a_slice(self, storage: Storage, start: int, end: int | None) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS, "ds/empty": b""})
        assert storage.read("ds/x", start, end) == DIGITS[start:end]
        assert storage.read("ds/empty", start, end) == b""

    @pytest.mark.parametrize(("start", "end"), [(-1, None), (0, -1), (-3, -1)])
    def test_a_negative_bound_is_refused(self, storage: Storage, start: int, end: int | None) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        with pytest.raises(ValueError, match=r"-\d"):
            storage.read("ds/x", start, end)

    @pytest.mark.parametrize("start", [0, 1, 9, 10, 11, 1000])
    def test_a_stream_goes_on_from_an_offset(self, storage: Storage, start: int) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS, "ds/empty": b""})
        assert b"".join(storage.stream("ds/x", start)) == DIGITS[start:]
        assert list(storage.stream("ds/empty", start)) == []

    @pytest.mark.parametrize(("start", "end"), CLOSED_RANGES)
    def test_a_stream_of_a_range_is_a_slice(self, storage: Storage, start: int, end: int) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS, "ds/empty": b""})
        pieces = list(storage.stream("ds/x", start, end=end))
        assert b"".join(pieces) == DIGITS[start:end]
        assert all(pieces), "none is empty"
        assert list(storage.stream("ds/empty", start, end=end)) == []

    def test_a_negative_offset_is_refused(self, storage: Storage) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        with pytest.raises(ValueError, match="-1"):
            next(storage.stream("ds/x", -1))
        with pytest.raises(ValueError, match="-2"):
            next(storage.stream("ds/x", 0, end=-2))

    @pytest.mark.parametrize("start", [0, 777_777])
    def test_a_stream_comes_in_pieces(self, storage: Storage, start: int) -> None:
        self.seed(storage.bucket, {"ds/x": LONG})
        pieces = list(storage.stream("ds/x", start, chunk_size=100_000))
        assert b"".join(pieces) == LONG[start:]
        assert all(50_000 <= len(piece) <= 200_000 for piece in pieces[1:-1])
        assert all(0 < len(piece) <= 200_000 for piece in pieces)

    @pytest.mark.parametrize(("start", "end"), [(0, 1_000_000), (777_777, 1_234_567), (777_777, 10_000_000)])
    def test_a_stream_of_a_range_comes_in_pieces(self, storage: Storage, start: int, end: int) -> None:
        self.seed(storage.bucket, {"ds/x": LONG})
        pieces = list(storage.stream("ds/x", start, end=end, chunk_size=100_000))
        assert b"".join(pieces) == LONG[start:end]
        assert all(50_000 <= len(piece) <= 200_000 for piece in pieces[1:-1])
        assert all(0 < len(piece) <= 200_000 for piece in pieces)

    def test_a_stream_asks_when_the_first_piece_is_wanted(self, storage: Storage) -> None:
        stream = storage.stream("ds/later")
        self.seed(storage.bucket, {"ds/later": DIGITS})
        assert b"".join(stream) == DIGITS

    @pytest.mark.parametrize("start", [0, 5])
    def test_a_stream_may_be_left(self, storage: Storage, start: int) -> None:
        self.seed(storage.bucket, {"ds/x": LONG, "ds/y": DIGITS})
        for _ in range(3):
            stream = storage.stream("ds/x", start, chunk_size=1000)
            first = b"".join(islice(stream, 2))
            assert first == LONG[start : start + len(first)] != b""
            del stream
        assert storage.read("ds/y") == DIGITS

    @pytest.mark.parametrize("start", [0, 4])
    def test_a_stream_of_the_expected_etag_is_given(self, storage: Storage, start: int) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        etag = storage.head("ds/x").etag
        assert (etag is not None) == self.has_etags
        assert b"".join(storage.stream("ds/x", start, etag)) == DIGITS[start:]
        assert b"".join(storage.stream("ds/x", start, etag, end=7)) == DIGITS[start:7]

    @pytest.mark.parametrize("start", [0, 4])
    def test_a_stream_of_another_etag_is_refused(self, storage: Storage, start: int) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        stream = storage.stream("ds/x", start, "0" * 32)
        part = storage.stream("ds/x", start, "0" * 32, end=7)
        if not self.honours_if_match:
            assert b"".join(stream) == DIGITS[start:]
            assert b"".join(part) == DIGITS[start:7]
            return
        with pytest.raises(ObjectChangedError, match="ds/x"):
            next(stream)
        with pytest.raises(ObjectChangedError, match="ds/x"):
            next(part)

    @pytest.mark.parametrize("keys", ODD_KEYS)
    def test_odd_keys_are_read_literally(self, storage: Storage, tmp_path: Path, keys: tuple[str, ...]) -> None:
        self.seed(storage.bucket, {"ds/b": b"other"})
        target = tmp_path / "target"
        if not self.can_hold(keys):
            (key,) = keys
            with pytest.raises(self.unheld_key_error):
                storage.head(key)
            with pytest.raises(self.unheld_key_error):
                storage.read(key)
            with pytest.raises(self.unheld_key_error):
                next(storage.stream(key))
            with pytest.raises(self.unheld_key_error):
                next(storage.stream(key, 2, end=4))
            with pytest.raises(self.unheld_key_error):
                storage.download(key, target)
            return
        self.seed(storage.bucket, {key: f"0123{key}".encode() for key in keys})
        for key in keys:
            data = f"0123{key}".encode()
            assert (storage.head(key).key, storage.head(key).size) == (key, len(data))
            assert storage.read(key) == data
            assert storage.read(key, 2, 4) == b"23"
            assert b"".join(storage.stream(key)) == data
            assert b"".join(storage.stream(key, 4)) == key.encode()
            assert b"".join(storage.stream(key, 2, end=4)) == b"23"
            storage.download(key, target)
            assert target.read_bytes() == data

    @pytest.mark.parametrize("data", [DIGITS, b"", LONG], ids=["digits", "empty", "long"])
    def test_a_download_makes_the_file_and_its_parents(self, storage: Storage, tmp_path: Path, data: bytes) -> None:
        self.seed(storage.bucket, {"ds/x": data})
        path = tmp_path / "new" / "er" / "x"
        assert storage.download("ds/x", path) == str(path)
        assert storage.download("ds/x", str(path.with_name("y"))) == str(path.with_name("y"))
        assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == {"x": data, "y": data}

    def test_a_download_replaces_a_file(self, storage: Storage, tmp_path: Path) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        path = tmp_path / "x"
        path.write_bytes(b"an older and much longer text")
        storage.download("ds/x", path)
        assert path.read_bytes() == DIGITS

    @pytest.mark.parametrize("key", ["ds/x", "ds/missing"])
    def test_a_download_leaves_an_existing_file_if_told_so(self, storage: Storage, tmp_path: Path, key: str) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        path = tmp_path / "x"
        path.write_bytes(b"mine")
        assert storage.download(key, path, overwrite=False) == str(path)
        assert path.read_bytes() == b"mine"
        new = tmp_path / "new"
        assert storage.download("ds/x", new, overwrite=False) == str(new)
        assert new.read_bytes() == DIGITS

    @pytest.mark.parametrize("overwrite", [True, False])
    def test_a_download_does_not_replace_a_directory(self, storage: Storage, tmp_path: Path, overwrite: bool) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        path = tmp_path / "folder"
        path.mkdir()
        with pytest.raises(IsADirectoryError, match="folder"):
            storage.download("ds/x", path, overwrite=overwrite)
        assert list(tmp_path.iterdir()) == [path]
        assert list(path.iterdir()) == []

    @pytest.mark.parametrize("key", ["ds/missing", "ds", "ds/", "none/x"])
    def test_a_failed_download_leaves_nothing_behind(self, storage: Storage, tmp_path: Path, key: str) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        with pytest.raises(ObjectNotFoundError, match=key):
            storage.download(key, tmp_path / "new" / "er" / "x")
        assert list(tmp_path.iterdir()) == []
        old = tmp_path / "old"
        old.write_bytes(b"old")
        with pytest.raises(ObjectNotFoundError, match=key):
            storage.download(key, old)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"old": b"old"}
