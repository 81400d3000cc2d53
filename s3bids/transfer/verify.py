"""Checking bytes: which hash goes with an object, and whether the files of a directory are what its manifest says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import VerificationError
from .etags import Check, etag_md5, matching_hash, part_count
from .manifest import read_records

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from .manifest import Record

_BLOCK_BYTES = 1024 * 1024

#: What a difference can be, in the order in which they are told: of files, then of objects.
KINDS = ("missing", "size", "content", "changed", "gone", "new", "extra")


class Verify(StrEnum):
    """How thoroughly a transfer is checked; its value is the word users write."""

    #: The number of bytes; always checked.
    SIZE = "size"
    #: The MD5 as well, where the object's ETag is one.
    ETAG = "etag"
    #: As ETAG, and a SHA-256 is computed for the manifest, so that the file can be checked ever after.
    SHA256 = "sha256"


def file_hash(path: str | os.PathLike[str], name: str = "md5") -> str:
    """Hash a local file; `name` is ``md5`` or ``sha256``."""
    found = hashlib.new(name, usedforsecurity=False)
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()


@dataclass(frozen=True)
class Difference:
    """One file that is not what the manifest says, or one object that is no longer what was downloaded."""

    #: Path relative to the directory, with ``/``.
    target: str
    #: One of :data:`KINDS`: ``missing``, ``size`` or ``content``; against the bucket also the others.
    kind: str
    #: In words.
    detail: str


@dataclass(frozen=True)
class Verification:
    """The files of a directory against its manifest, and against the bucket if that was asked for."""

    #: Files that the manifest lists.
    files: int
    #: Bytes that it says they have.
    bytes: int
    #: By kind, and by target.
    differences: tuple[Difference, ...]
    #: Files whose content was to be compared, and of which no hash is known: their size is right.
    unproven: int = 0


def verify_directory(directory: str | os.PathLike[str], *, deep: bool = False) -> Verification:
    """Compare the files of a directory with its manifest; nothing is requested from any server.

    Parameters
    ----------
    directory
        Where a study was downloaded to.
    deep
        Read every file and compare its hash, where one is known; otherwise sizes are compared.

    Raises
    ------
    ObjectNotFoundError
        If there is no manifest in the directory.
    """
    root = Path(directory)
    return verify_records(root, read_records(root, required=True), deep=deep)


def verify_records(directory: Path, records: dict[str, Record], *, deep: bool) -> Verification:
    """Compare files with their records: target -> record; see :func:`verify_directory`."""
    differences = []
    unproven = 0
    for record in records.values():
        path = directory / record.target
        found = _difference(path, record)
        if found is None and deep:
            found, is_proven = _content_difference(path, record)
            unproven += not is_proven
        if found is not None:
            differences.append(found)
    size = sum(record.size for record in records.values())
    return Verification(len(records), size, in_order(differences), unproven)


def in_order(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Put differences in the order in which they are told: records are in the order in which threads ended."""
    return tuple(sorted(differences, key=lambda each: (KINDS.index(each.kind), each.target)))


def _difference(path: Path, record: Record) -> Difference | None:
    if not path.is_file():
        return Difference(record.target, "missing", "the file is missing")
    return _size_difference(record, path.stat().st_size)


def _size_difference(record: Record, size: int) -> Difference | None:
    if size == record.size:
        return None
    return Difference(record.target, "size", f"the file has {size} bytes, downloaded were {record.size}")


def _content_difference(path: Path, record: Record) -> tuple[Difference | None, bool]:
    """Compare a file's bytes by the best hash there is; also say whether there was one that tells."""
    name, expected = ("sha256", record.sha256) if record.sha256 else ("md5", record.md5)
    if expected:
        if file_hash(path, name) == expected:
            return None, True
        return Difference(record.target, "content", f"the {name.upper()} of the file is not the one recorded"), True
    if part_count(record.etag) is None:
        return None, record.size == 0
    try:
        match = matching_hash(path, record.etag, record.size)
    except VerificationError:
        # It has changed since its size was looked at.
        return _size_difference(record, path.stat().st_size), True
    if match.check is Check.SIZE and record.check == Check.MD5_PARTS:
        # The bytes that came did match, so it is not the part size that is unusual.
        return Difference(record.target, "content", "the MD5s of the file's parts do not give the recorded ETag"), True
    return None, match.check is not Check.SIZE


__all__ = [
    "KINDS",
    "Difference",
    "Verification",
    "Verify",
    "etag_md5",
    "file_hash",
    "in_order",
    "verify_directory",
    "verify_records",
]
