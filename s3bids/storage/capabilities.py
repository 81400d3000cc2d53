"""What a storage may be able to do beside the protocol: ranges that name their object, and objects as files to write.

Both storages of this package can. For any other the functions here do the same with what the protocol has, at the cost
of a HEAD request or of room in the temporary directory.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

from ..errors import ObjectChangedError
from .base import check_writable_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from .base import ObjectInfo, Storage


@runtime_checkable
class RangeReader(Protocol):
    """A storage whose answer to a range says what object the bytes are of: no HEAD is needed to know its size."""

    def read_range(
        self, key: str, start: int, end: int | None, *, if_match: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        """Read the bytes ``[start:end]`` of an object, and say what object that is, with one request.

        Past the end of the object there are no bytes, and it may take a second request to learn what it is. Errors and
        `if_match` are those of :meth:`Storage.read`.
        """
        ...


@runtime_checkable
class ObjectWriter(Protocol):
    """A storage that takes an object piece by piece, so that memory does not grow with it."""

    def writing(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open an object for writing, from its beginning to its end.

        Readers see the old object, or none, until the block ends well, and then the new one. If the block raises, the
        storage stays as it was. Raises :class:`~s3bids.errors.KeyRefusedError` as :meth:`Storage.write` does.
        """
        ...


def read_range(
    storage: Storage, key: str, start: int, end: int | None, *, if_match: str | None = None
) -> tuple[bytes, ObjectInfo]:
    """Read a range of an object, and say what object it is of; see :class:`RangeReader`.

    A storage that cannot say it at once is asked by HEAD before; one without ETags also afterwards.
    """
    if isinstance(storage, RangeReader):
        return storage.read_range(key, start, end, if_match=if_match)
    info = storage.head(key)
    data = storage.read(key, start, end, if_match=if_match or info.etag)
    if info.etag is None and storage.head(key) != info:
        raise ObjectChangedError(f"cannot read {storage.location}/{key}: it was replaced meanwhile; read it again")
    return data, info


@contextmanager
def writing(storage: Storage, key: str) -> Iterator[BinaryIO]:
    """Open an object for writing; see :class:`ObjectWriter`.

    What is written for a storage that cannot take pieces is gathered in a temporary file.
    """
    if isinstance(storage, ObjectWriter):
        with storage.writing(key) as file:
            yield file
        return
    check_writable_key(key)
    with tempfile.TemporaryDirectory(prefix="s3bids-") as directory:
        path = Path(directory, "object")
        with path.open("wb") as file:
            yield file
        storage.upload(path, key)


__all__ = ["ObjectWriter", "RangeReader", "read_range", "writing"]
