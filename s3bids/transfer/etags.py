"""ETags as checksums, also those of objects that were uploaded in parts.

The ETag of an object that was uploaded at once is the MD5 of its bytes. That of an object uploaded in N parts is the
MD5 of the N MD5s of its parts, and ``-N`` behind it. It does not say where the parts end, but nearly every tool cuts an
object into parts of one size, the last one excepted, and few sizes are in use: those that give N parts are tried.

A match proves that the bytes are the object's. No match proves nothing: the parts may have an unusual size or several
sizes, and an object that is encrypted with a key of KMS or of the customer has an ETag that no bytes explain (S3 API,
``Object.ETag``).
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import VerificationError
from .part_sizes import MOST_PART_SIZES, USUAL_PART_SIZES, part_sizes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Hash = hashlib._Hash

_BLOCK_BYTES = 1024 * 1024
_MD5 = re.compile(r"[0-9a-f]{32}")
_OF_PARTS = re.compile(r"[0-9a-f]{32}-([1-9][0-9]{0,4})")


class Check(StrEnum):
    """What is known of the bytes of a file; its value is the word in the manifest."""

    #: Their number is the object's, and no more is known.
    SIZE = "size"
    #: Their MD5 is the object's ETag.
    MD5 = "md5"
    #: The MD5s of their parts give the object's ETag.
    MD5_PARTS = "md5-parts"


@dataclass(frozen=True, slots=True)
class EtagMatch:
    """What came of comparing bytes with an ETag.

    :attr:`Check.SIZE` means that it cannot be told whether they are the object's: see the module's text.
    """

    check: Check
    #: Bytes of each part but the last, if the check is of parts.
    part_size: int | None = None
    #: The MD5 of all bytes, if the ETag has the form of one; compare the two to see a difference.
    md5: str | None = None
    #: Part sizes that are left to try; :func:`matching_hash` takes them.
    untried: tuple[int, ...] = ()


def etag_md5(etag: str | None) -> str | None:
    """Give the MD5 that an ETag states, or None.

    An ETag is the MD5 of the object only when it was uploaded in one part and is not encrypted with a key of KMS or of
    the customer; one with ``-`` never is (S3 API, ``Object.ETag``).

    >>> etag_md5("d41d8cd98f00b204e9800998ecf8427e"), etag_md5("d41d8cd98f00b204e9800998ecf8427e-2")
    ('d41d8cd98f00b204e9800998ecf8427e', None)
    """
    if etag is None or _MD5.fullmatch(etag.lower()) is None:
        return None
    return etag.lower()


def part_count(etag: str | None) -> int | None:
    """Give the number of parts that an ETag states, or None.

    >>> part_count("d41d8cd98f00b204e9800998ecf8427e-2"), part_count("d41d8cd98f00b204e9800998ecf8427e")
    (2, None)
    """
    found = None if etag is None else _OF_PARTS.fullmatch(etag.lower())
    return int(found[1]) if found else None


class PartHashes:
    """The ETags that bytes would have if they were uploaded in parts of some sizes, found in one pass.

    Parts of several sizes that begin at the same byte share one MD5 up to the end of each. So the cost is at most one
    MD5 of all bytes for each size, and less where they have beginnings in common. Memory does not grow with the bytes
    or the parts.

    Parameters
    ----------
    sizes
        Part sizes in bytes, at least one, each at least 1.
    """

    def __init__(self, sizes: Iterable[int]) -> None:
        #: Part size -> MD5 of the MD5s of its parts so far, their number, and where the part under way begins.
        self._sums = {size: _md5() for size in sizes}
        self._counts = dict.fromkeys(self._sums, 0)
        self._begins = dict.fromkeys(self._sums, 0)
        if not self._sums or min(self._sums) < 1:
            raise ValueError(f"part sizes must be at least 1 byte, not {sorted(self._sums)}")
        #: Where a part begins -> MD5 of the bytes from there on.
        self._open = {0: _md5()}
        self._position = 0
        self._next_end = min(self._sums)

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Take in the next bytes."""
        view = memoryview(piece).cast("B")
        while view:
            step = view[: self._next_end - self._position]
            for found in self._open.values():
                found.update(step)
            self._position += len(step)
            if self._position == self._next_end:
                self._end_parts([size for size, begin in self._begins.items() if begin + size == self._position])
            view = view[len(step) :]

    def _end_parts(self, sizes: Sequence[int]) -> None:
        """End the parts of some sizes here, and begin the next ones."""
        for size in sizes:
            self._sums[size].update(self._open[self._begins[size]].digest())
            self._counts[size] += 1
            self._begins[size] = self._position
        begins = set(self._begins.values())
        self._open = {begin: self._open[begin] if begin in self._open else _md5() for begin in begins}
        self._next_end = min(begin + size for size, begin in self._begins.items())

    def etags(self) -> dict[int, str]:
        """End the last parts and give the ETags: part size -> ETag. No bytes at all are one empty part."""
        self._end_parts(
            [size for size, begin in self._begins.items() if begin < self._position or not self._counts[size]]
        )
        return {size: f"{found.hexdigest()}-{self._counts[size]}" for size, found in self._sums.items()}


class EtagCheck:
    """Compare bytes with an ETag while they come, at the cost of one MD5 at most.

    Of an ETag of parts only the most usual part size is followed; where it does not match, the others are left as
    :attr:`EtagMatch.untried` for :func:`matching_hash` and the file. Serves one thread.

    Parameters
    ----------
    etag
        The object's ETag without quotes, or None.
    size
        Bytes of the object.

    >>> check = EtagCheck("900150983cd24fb0d6963f7d28e17f72", 3)
    >>> check.update(b"ab")
    >>> check.update(b"c")
    >>> check.finish().check
    <Check.MD5: 'md5'>
    """

    def __init__(self, etag: str | None, size: int) -> None:
        self._expected = etag.lower() if etag is not None else ""
        self._size = size
        self._seen = 0
        self._whole = _md5() if etag_md5(etag) is not None else None
        self._sizes = part_sizes(size, part_count(etag) or 0)
        self._parts = PartHashes(self._sizes[:1]) if self._sizes else None

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Take in the next bytes, in the order of the object."""
        self._seen += memoryview(piece).nbytes
        found = self._whole or self._parts
        if found is not None:
            found.update(piece)

    def finish(self) -> EtagMatch:
        """Say what the bytes are.

        Raises
        ------
        VerificationError
            If there were more or fewer bytes than the object has.
        """
        _check_size(self._seen, self._size, "what came")
        if self._whole is not None:
            md5 = self._whole.hexdigest()
            return EtagMatch(Check.MD5 if md5 == self._expected else Check.SIZE, md5=md5)
        if self._parts is None:
            return EtagMatch(Check.SIZE)
        return _best(self._parts.etags(), self._expected, self._sizes[1:])


def matching_hash(
    path: str | os.PathLike[str],
    etag: str | None,
    size: int,
    *,
    untried: Sequence[int] | None = None,
    check_stop: Callable[[], None] | None = None,
    may_be_longer: bool = False,
) -> EtagMatch:
    """Compare a file with an object's ETag.

    The file is read once for the most usual part size, and if that does not match once more for all the others
    together, at the cost of one MD5 each at most (:data:`MOST_PART_SIZES` in all).

    Parameters
    ----------
    path
        The file.
    etag
        The object's ETag without quotes, or None.
    size
        Bytes of the object.
    untried
        Part sizes to try, where an :class:`EtagCheck` has tried the first. Default: all of :func:`part_sizes`.
    check_stop
        Called for each MiB; what it raises ends the reading.
    may_be_longer
        Look at the first `size` bytes only: an unfinished file has its marks behind them.

    Raises
    ------
    VerificationError
        If the file has another size.
    OSError
        If it cannot be read.
    """
    limit = size if may_be_longer else None
    if untried is None:
        check = EtagCheck(etag, size)
        for block in _blocks(path, check_stop, limit):
            check.update(block)
        match = check.finish()
        if match.check is not Check.SIZE or not match.untried:
            return match
        untried = match.untried
    if etag is None or not untried:
        return EtagMatch(Check.SIZE)
    hashes = PartHashes(untried)
    seen = 0
    for block in _blocks(path, check_stop, limit):
        hashes.update(block)
        seen += len(block)
    _check_size(seen, size, str(path))
    return _best(hashes.etags(), etag.lower(), ())


def multipart_etag(path: str | os.PathLike[str], part_size: int) -> str:
    """Give the ETag that a file has on S3 if it is uploaded in parts; reads it in pieces of 1 MiB.

    Parameters
    ----------
    path
        The file.
    part_size
        Bytes of each part but the last, at least 1.

    Returns
    -------
    str
        Such as ``d41d8cd98f00b204e9800998ecf8427e-2``, without quotes.
    """
    hashes = PartHashes([part_size])
    for block in _blocks(path, None):
        hashes.update(block)
    return hashes.etags()[part_size]


def _md5() -> Hash:
    # Not for security: a computer in FIPS mode refuses MD5 otherwise.
    return hashlib.md5(usedforsecurity=False)


def _best(etags: dict[int, str], expected: str, untried: tuple[int, ...]) -> EtagMatch:
    for part_size, etag in etags.items():
        if etag == expected:
            return EtagMatch(Check.MD5_PARTS, part_size)
    return EtagMatch(Check.SIZE, untried=untried)


def _blocks(
    path: str | os.PathLike[str], check_stop: Callable[[], None] | None, limit: int | None = None
) -> Iterator[memoryview]:
    """Yield a file's bytes, or the first of them; each block is good until the next one is asked for."""
    block = memoryview(bytearray(_BLOCK_BYTES))
    left = math.inf if limit is None else limit
    with Path(path).open("rb", buffering=0) as file:
        while length := file.readinto(block if left >= len(block) else block[: int(left)]):
            left -= length
            if check_stop is not None:
                check_stop()
            yield block[:length]


def _check_size(found: int, expected: int, what: str) -> None:
    if found != expected:
        raise VerificationError(f"{what} has {found} bytes, and the object {expected}; download it again")


__all__ = [
    "MOST_PART_SIZES",
    "USUAL_PART_SIZES",
    "Check",
    "EtagCheck",
    "EtagMatch",
    "PartHashes",
    "etag_md5",
    "matching_hash",
    "multipart_etag",
    "part_count",
    "part_sizes",
]
