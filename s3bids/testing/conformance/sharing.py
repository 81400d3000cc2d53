"""The contract of a storage's life: opened late, shared by threads, pickled, closed and used again."""

# ruff: noqa: D102, FBT001 - the name of a test says what it holds, and its parameters come from a table

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ...storage import Storage
from .rig import Rig, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 16


class SharingContract(Rig):
    """One instance serves all threads; a copy of it serves another process."""

    def test_it_is_a_storage(self, storage: Storage, bucket: str) -> None:
        assert isinstance(storage, Storage)
        assert storage.bucket == bucket
        assert storage.location.endswith(f"/{bucket}")

    def test_nothing_is_opened_before_the_first_use(self, unreachable: Storage) -> None:
        copy = pickle.loads(pickle.dumps(unreachable))  # noqa: S301 - our own bytes
        for storage in (unreachable, copy):
            assert storage.bucket in repr(storage)
            assert storage.location
            storage.stream("ds/x")
            storage.list("ds")
            storage.close()
        with pytest.raises(self.unreachable_error):
            unreachable.read("ds/x")

    @pytest.mark.parametrize("used", [False, True])
    def test_it_pickles(self, storage: Storage, used: bool) -> None:
        self.seed(storage.bucket, {"ds/x": b"1"})
        if used:
            assert storage.read("ds/x") == b"1"
            storage.write("ds/y", b"2")
        with pickle.loads(pickle.dumps(storage)) as copy:  # noqa: S301 - our own bytes
            assert (copy.bucket, copy.location) == (storage.bucket, storage.location)
            assert copy.read("ds/x") == b"1"
            copy.write("ds/z", b"3")
        assert storage.read("ds/z") == b"3"

    def test_sixteen_threads_share_it(self, storage: Storage) -> None:
        self.seed(storage.bucket, {"shared": b"0123456789"})
        start = threading.Barrier(THREADS)

        def work(number: int) -> tuple[bytes, bytes, int, list[str], bytes, list[str]]:
            key = f"ds/{number:02}/x"
            start.wait(60)
            storage.write(key, key.encode())
            return (
                storage.read(key),
                b"".join(storage.stream("shared", 2, chunk_size=3)),
                storage.head(key).size,
                keys_of(storage.list(f"ds/{number:02}")),
                storage.read("shared", number % 10, number % 10 + 1),
                storage.children(f"ds/{number:02}")[0],
            )

        with ThreadPoolExecutor(THREADS) as threads:
            results = list(threads.map(work, range(THREADS)))
        keys = [f"ds/{number:02}/x" for number in range(THREADS)]
        assert results == [
            (key.encode(), b"23456789", len(key), [key], str(number % 10).encode(), [])
            for number, key in enumerate(keys)
        ]
        assert keys_of(storage.list("ds")) == keys

    def test_it_is_used_again_after_its_end(self, storage: Storage, open_storage: Callable[[str], Storage]) -> None:
        self.seed(storage.bucket, {"ds/x": b"1"})
        with open_storage(storage.bucket) as entered:
            assert isinstance(entered, type(storage))
            assert entered.read("ds/x") == b"1"
            entered.write("ds/y", b"2")
        entered.close()
        assert entered.read("ds/x") == b"1"
        assert entered.write("ds/z", b"3") == "ds/z"
        assert keys_of(entered.list()) == ["ds/x", "ds/y", "ds/z"]

    def test_an_error_inside_its_block_passes(self, storage: Storage) -> None:
        with pytest.raises(ZeroDivisionError), storage:
            raise ZeroDivisionError
