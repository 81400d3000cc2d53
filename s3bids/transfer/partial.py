"""Unfinished files that say by themselves which object they are of, and which pieces of it are there.

The layout of such a file, in bytes::

    the object, with holes
    one byte a piece, 1 if it is there
    JSON: which object
    length of the JSON, 4 bytes
    b"s3bids-1"

So one file is all there is to claim, by renaming it, and nothing beside it can be lost. At the end it is cut to the
object's size.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import NamedTuple

_MAGIC = b"s3bids-1"
_LENGTH_BYTES = 4
#: The JSON names one key: at most 1,024 bytes, which may be escaped.
_MOST_JSON = 64 * 1024
#: Pieces are at least this large, so a file of any size has few.
_LEAST_PIECE = 1


class Version(NamedTuple):
    """One version of one object."""

    #: Such as ``s3://bucket``.
    location: str
    key: str
    #: Bytes.
    size: int
    etag: str | None


@dataclass(frozen=True, slots=True)
class Partial:
    """An unfinished file as an earlier run left it."""

    path: str
    object: Version
    #: Bytes of each piece but the last.
    piece_bytes: int
    #: One byte a piece: 1 if it is there.
    there: bytes

    @property
    def bytes(self) -> int:
        """Bytes of the object that are there."""
        starts = (index * self.piece_bytes for index, flag in enumerate(self.there) if flag)
        return sum(min(self.piece_bytes, self.object.size - start) for start in starts)


def piece_count(size: int, piece_bytes: int) -> int:
    """Give the number of pieces of an object.

    >>> piece_count(100, 50), piece_count(101, 50)
    (2, 3)
    """
    return -(-size // piece_bytes)


def trailer(version: Version, piece_bytes: int, there: bytes) -> bytes:
    """Give what stands behind the object's bytes while the file is unfinished."""
    text = json.dumps({**version._asdict(), "piece_bytes": piece_bytes}).encode()
    return there + text + len(text).to_bytes(_LENGTH_BYTES, "big") + _MAGIC


def read_partial(path: str) -> Partial | None:
    """Read which object an unfinished file is of; None if it does not say so, or cannot be read."""
    try:
        with open(path, "rb") as file:
            return _read(path, file.fileno())
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        # Whatever is wrong with it, the object can be fetched anew.
        return None


def _read(path: str, file: int) -> Partial | None:
    length = os.fstat(file).st_size
    foot = _LENGTH_BYTES + len(_MAGIC)
    end = os.pread(file, foot, max(0, length - foot))
    if len(end) < foot or not end.endswith(_MAGIC):
        return None
    text_bytes = int.from_bytes(end[:_LENGTH_BYTES], "big")
    if text_bytes > min(_MOST_JSON, length - foot):
        return None
    entry = json.loads(os.pread(file, text_bytes, length - foot - text_bytes))
    size, piece_bytes = entry["size"], entry["piece_bytes"]
    if type(size) is not int or type(piece_bytes) is not int or piece_bytes < _LEAST_PIECE:
        return None
    version = Version(entry["location"], entry["key"], size, entry["etag"])
    count = piece_count(version.size, piece_bytes)
    if version.size + count + text_bytes + foot != length:
        return None
    there = os.pread(file, count, version.size)
    if len(there) != count or set(there) - {0, 1}:
        return None
    return Partial(path, version, piece_bytes, there)


__all__ = ["Partial", "Version", "piece_count", "read_partial", "trailer"]
