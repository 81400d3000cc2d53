"""A storage that counts: what was asked of another storage, and how many bytes came.

::

    counted = CountingStorage(storage)
    read_nifti("ds/sub-01/anat/sub-01_T1w.nii.gz", counted).get_fdata()
    assert counted.count("get") <= 3
    assert counted.bytes_read <= 1.01 * storage.head(key).size
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..storage.base import CHUNK_BYTES, UNWANTED_NAMES
from ..storage.capabilities import RangeReader, read_range, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from ..storage.base import Entries, Keys, ObjectInfo, Piece, RequestArgs, Storage
    from ..storage.chooser import TransferMethod
    from ..storage.sources import Data
    from ..storage.transfers import ProgressCallback, TransferSettings


@dataclass(frozen=True)
class Call:
    """One thing that was asked of the storage."""

    #: ``list``, ``head``, ``get``, ``put`` or ``delete``.
    operation: str
    #: The key, or the prefix of a listing.
    key: str
    #: The bytes asked for: the first, and the one behind the last; None for the end of the object.
    start: int = 0
    end: int | None = None
    #: The bytes that came; of a stream those that were taken.
    nbytes: int = 0


class CountingStorage:
    """Pass everything on to another storage, and keep a record of it. Serves many threads.

    Parameters
    ----------
    storage
        Any storage. One that cannot say what a range is of is asked by HEAD as well, which counts.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    def __repr__(self) -> str:
        return f"CountingStorage({self._storage!r})"

    def __getstate__(self) -> dict[str, object]:
        return {"_storage": self._storage}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _calls=[])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def calls(self) -> list[Call]:
        """Everything since the start or the last reset, in the order in which it ended."""
        with self._lock:
            return list(self._calls)

    @property
    def bytes_read(self) -> int:
        """The bytes that came."""
        return sum(call.nbytes for call in self.calls)

    def count(self, operation: str) -> int:
        """Count what was asked of one kind."""
        return sum(call.operation == operation for call in self.calls)

    def reset(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._calls.clear()

    def _note(self, operation: str, key: str, start: int = 0, end: int | None = None, nbytes: int = 0) -> None:
        with self._lock:
            self._calls.append(Call(operation, key, start, end, nbytes))

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._storage.bucket

    @property
    def location(self) -> str:
        """Where the bucket is."""
        return self._storage.location

    def list(self, prefix: str = "", *, literal: bool = False, after: str = "") -> Iterator[ObjectInfo]:
        """List the objects below a prefix."""
        self._note("list", prefix)
        return self._storage.list(prefix, literal=literal, after=after)

    def children(self, prefix: str = "", delimiter: str = "/") -> tuple[Keys, Entries]:
        """List one level."""
        self._note("list", prefix)
        return self._storage.children(prefix, delimiter)

    def head(self, key: str) -> ObjectInfo:
        """Say what one object is."""
        self._note("head", key)
        return self._storage.head(key)

    def read(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        if_match: str | None = None,
        method: TransferMethod | str | None = None,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> bytes:
        """Read bytes of an object."""
        data = self._storage.read(
            key,
            start,
            end,
            if_match=if_match,
            method=method,
            transfer_config=transfer_config,
            progress_callback=progress_callback,
        )
        return self._counted(key, start, end, data)

    def read_range(
        self, key: str, start: int, end: int | None, *, if_match: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        """Read a range, and say what object it is of."""
        if not isinstance(self._storage, RangeReader):
            self._note("head", key)
        data, info = read_range(self._storage, key, start, end, if_match=if_match)
        return self._counted(key, start, end, data), info

    def _counted(self, key: str, start: int, end: int | None, data: bytes) -> bytes:
        self._note("get", key, start, end, len(data))
        return data

    def stream(
        self,
        key: str,
        start: int = 0,
        if_match: str | None = None,
        *,
        end: int | None = None,
        chunk_size: int = CHUNK_BYTES,
        progress_callback: ProgressCallback | None = None,
    ) -> Iterator[Piece]:
        """Yield an object's bytes."""
        pieces = self._storage.stream(
            key, start, if_match, end=end, chunk_size=chunk_size, progress_callback=progress_callback
        )
        return self._stream(key, start, end, pieces)

    def _stream(self, key: str, start: int, end: int | None, pieces: Iterator[Piece]) -> Iterator[Piece]:
        taken = 0
        try:
            for piece in pieces:
                taken += len(piece)
                yield piece
        finally:
            self._note("get", key, start, end, taken)

    def write(
        self,
        key: str,
        data: Data,
        *,
        method: TransferMethod | str | None = None,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str:
        """Write one object at once."""
        self._note("put", key)
        return self._storage.write(
            key, data, method=method, transfer_config=transfer_config, progress_callback=progress_callback
        )

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """Open an object for writing."""
        self._note("put", key)
        with writing(self._storage, key) as file:
            yield file

    def upload(
        self,
        path: str | PathLike[str],
        key: str,
        *,
        ignore: Iterable[str] = UNWANTED_NAMES,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str | Keys:
        """Write a file, or a folder's files."""
        self._note("put", key)
        return self._storage.upload(
            path, key, ignore=ignore, transfer_config=transfer_config, progress_callback=progress_callback
        )

    def download(
        self,
        key: str,
        path: str | PathLike[str],
        *,
        overwrite: bool = True,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str:
        """Write one object to a file."""
        is_kept = not overwrite and Path(path).is_file()
        saved = self._storage.download(
            key, path, overwrite=overwrite, transfer_config=transfer_config, progress_callback=progress_callback
        )
        if not is_kept:
            self._note("get", key, 0, None, Path(saved).stat().st_size)
        return saved

    def delete(self, key: str, *, recursive: bool = False, force: bool = False) -> Keys:
        """Delete one object or all below a prefix."""
        self._note("delete", key)
        return self._storage.delete(key, recursive=recursive, force=force)

    def create_bucket(
        self,
        name: str | None = None,
        *,
        create_args: RequestArgs | None = None,
        bucket_encryption_args: RequestArgs | None = None,
        block_bucket_public_access_args: RequestArgs | None = None,
        bucket_policy_args: RequestArgs | None = None,
    ) -> bool:
        """Create a bucket."""
        return self._storage.create_bucket(
            name,
            create_args=create_args,
            bucket_encryption_args=bucket_encryption_args,
            block_bucket_public_access_args=block_bucket_public_access_args,
            bucket_policy_args=bucket_policy_args,
        )

    def close(self) -> None:
        """Give connections back."""
        self._storage.close()


__all__ = ["Call", "CountingStorage"]
