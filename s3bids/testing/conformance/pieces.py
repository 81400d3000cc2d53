"""The contract of ranges that name their object, and of objects written piece by piece."""

# ruff: noqa: D102, FBT001 - the name of a test says what it holds, and its parameters come from a table

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING

import pytest

from ...errors import BucketNotFoundError, KeyRefusedError, ObjectChangedError, ObjectNotFoundError
from ...storage.capabilities import read_range, writing
from .rig import PRINTABLE_KEYS, Rig

if TYPE_CHECKING:
    from ...storage import Storage

DIGITS = b"0123456789"
OTHER_ETAG = "0" * 32
#: More than two parts, where there are parts, and no period that a lost or doubled part could hide behind.
LARGE = b"".join(number.to_bytes(4, "big") for number in range(9_000_000))


class PiecesContract(Rig):
    """A range says what it is of, and an object is there when it is whole."""

    @pytest.mark.parametrize(("start", "end"), [(0, 4), (4, 7), (4, None), (0, 99), (10, 12), (3, 3)])
    def test_a_range_names_its_object(self, storage: Storage, start: int, end: int | None) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        for _ in range(2):  # the first answer of a server may show how to ask for the second
            data, info = read_range(storage, "ds/x", start, end)
            assert data == DIGITS[start:end]
            assert info == storage.head("ds/x")
            assert (info.key, info.size) == ("ds/x", len(DIGITS))
            assert info.etag == (md5(DIGITS, usedforsecurity=False).hexdigest() if self.has_etags else None)

    def test_a_range_of_nothing_names_its_object(self, storage: Storage) -> None:
        self.seed(storage.bucket, {"ds/empty": b""})
        assert read_range(storage, "ds/empty", 0, 4) == (b"", storage.head("ds/empty"))

    @pytest.mark.parametrize("key", ["none", "ds", "ds/", "ds/x/"])
    def test_a_range_of_a_missing_object_is_refused(self, storage: Storage, key: str) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        for _ in range(2):
            with pytest.raises(ObjectNotFoundError, match=key):
                read_range(storage, key, 2, 4)

    @pytest.mark.parametrize(("start", "end"), [(0, None), (0, 4), (4, None)])
    def test_a_range_of_the_expected_etag_is_given(self, storage: Storage, start: int, end: int | None) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        for _ in range(2):
            etag = storage.head("ds/x").etag
            assert storage.read("ds/x", start, end, if_match=etag) == DIGITS[start:end]
            assert read_range(storage, "ds/x", start, end, if_match=etag)[0] == DIGITS[start:end]

    @pytest.mark.parametrize(("start", "end"), [(0, None), (0, 4), (4, None)])
    def test_a_range_of_another_etag_is_refused(self, storage: Storage, start: int, end: int | None) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS})
        for _ in range(2):
            if not self.honours_if_match:
                assert storage.read("ds/x", start, end, if_match=OTHER_ETAG) == DIGITS[start:end]
                continue
            with pytest.raises(ObjectChangedError, match="ds/x"):
                storage.read("ds/x", start, end, if_match=OTHER_ETAG)
            with pytest.raises(ObjectChangedError, match="ds/x"):
                read_range(storage, "ds/x", start, end, if_match=OTHER_ETAG)

    @pytest.mark.parametrize("size", [0, 10, len(LARGE)])
    @pytest.mark.parametrize("pieces", [1, 7])
    def test_pieces_become_one_object(self, storage: Storage, size: int, pieces: int) -> None:
        step = size // pieces + 1
        with writing(storage, "ds/x") as file:
            for first in range(0, size, step):
                assert file.write(memoryview(LARGE[:size])[first : first + step]) == min(step, size - first)
            assert file.tell() == size
        assert self.stored(storage.bucket) == {"ds/x": LARGE[:size]}

    @pytest.mark.parametrize("size", [0, 10, len(LARGE)])
    @pytest.mark.parametrize("has_old", [True, False])
    def test_a_block_that_raises_changes_nothing(self, storage: Storage, size: int, has_old: bool) -> None:
        old = {"ds/x": b"old"} if has_old else {}
        self.seed(storage.bucket, old)
        with pytest.raises(ZeroDivisionError), writing(storage, "ds/x") as file:  # noqa: PT012 - it must raise inside
            file.write(LARGE[:size])
            file.write(bytes([1 // 0]))
        assert self.stored(storage.bucket) == old

    def test_an_object_is_not_seen_before_it_is_whole(self, storage: Storage) -> None:
        self.seed(storage.bucket, {"ds/x": b"old"})
        with writing(storage, "ds/x") as file:
            file.write(LARGE)
            assert storage.read("ds/x") == b"old"
            assert [entry.key for entry in storage.list()] == ["ds/x"]
        assert storage.head("ds/x").size == len(LARGE)

    def test_odd_keys_are_written_in_pieces(self, storage: Storage) -> None:
        for key in PRINTABLE_KEYS:
            with writing(storage, key) as file:
                file.write(key.encode())
        assert self.stored(storage.bucket) == {key: key.encode() for key in PRINTABLE_KEYS}

    @pytest.mark.parametrize("key", ["", "/", "a/", "a//b", "../a", "a\0b"])
    def test_a_refused_key_is_refused_before_the_block(self, storage: Storage, key: str) -> None:
        entered = []
        with pytest.raises(KeyRefusedError), writing(storage, key):
            entered.append(key)
        assert entered == []
        assert self.stored(storage.bucket) == {}

    def test_writing_to_a_missing_bucket_names_it(self, missing: Storage) -> None:
        with pytest.raises(BucketNotFoundError, match=missing.bucket), writing(missing, "ds/x") as file:
            file.write(DIGITS)
