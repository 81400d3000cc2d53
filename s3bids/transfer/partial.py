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
#: More pieces than any object of S3 has here (5 TiB in 16 MiB each).
_MOST_PIECES = 1_000_000


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


def claim(partial: Partial, path: str) -> int | None:
    """Take an unfinished file over, under a name that only the caller writes to.

    Returns
    -------
    int or None
        The open file; None if somebody was faster, or if it cannot be written.
    """
    try:
        # Opened first: what cannot be written stays for those who can.
        file = os.open(partial.path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    try:
        os.rename(partial.path, path)
    except OSError:
        os.close(file)
        return None
    return file


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
    if type(size) is not int or type(piece_bytes) is not int or size < 0 or piece_bytes < 1:
        return None
    location, key, etag = entry["location"], entry["key"], entry["etag"]
    if type(location) is not str or type(key) is not str or type(etag) not in (str, type(None)):
        return None
    count = piece_count(size, piece_bytes)
    if count > _MOST_PIECES or size + count + text_bytes + foot != length:
        return None
    there = os.pread(file, count, size)
    if len(there) != count or set(there) - {0, 1}:
        return None
    return Partial(path, Version(location, key, size, etag), piece_bytes, there)


__all__ = ["Partial", "Version", "claim", "piece_count", "read_partial", "trailer"]
