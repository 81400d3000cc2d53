"""Checking bytes: which hash goes with an object, and whether the files of a directory are what its manifest says."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .manifest import read_records

if TYPE_CHECKING:
    import os

    from .manifest import Record

_MD5 = re.compile(r"[0-9a-f]{32}")
_BLOCK_BYTES = 1024 * 1024


class Verify(StrEnum):
    """How thoroughly a transfer is checked; its value is the word users write."""

    #: The number of bytes; always checked.
    SIZE = "size"
    #: The MD5 as well, where the object's ETag is one.
    ETAG = "etag"
    #: As ETAG, and a SHA-256 is computed for the manifest, so that the file can be checked ever after.
    SHA256 = "sha256"


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


class Hash(Protocol):
    """The part of a hashlib object that is used here."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """Give the hash of all bytes so far."""
        ...


def hashes_for(etag: str | None, verify: Verify) -> dict[str, Hash]:
    """Make the hash objects that a transfer needs: name -> hash."""
    hashes: dict[str, Hash] = {}
    if verify is not Verify.SIZE and etag_md5(etag) is not None:
        # Not for security: a computer in FIPS mode refuses MD5 otherwise.
        hashes["md5"] = hashlib.md5(usedforsecurity=False)
    if verify is Verify.SHA256:
        hashes["sha256"] = hashlib.sha256()
    return hashes


def file_hash(path: str | os.PathLike[str], name: str = "md5") -> str:
    """Hash a local file; `name` is ``md5`` or ``sha256``."""
    found = hashlib.new(name, usedforsecurity=False)
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()


@dataclass(frozen=True)
class Difference:
    """One file that is not what the manifest says."""

    target: str
    #: ``missing``, ``size`` or ``content``.
    kind: str
    #: In words.
    detail: str


@dataclass(frozen=True)
class Verification:
    """The files of a directory against its manifest."""

    #: Files that the manifest lists.
    files: int
    #: Bytes that it says they have.
    bytes: int
    differences: tuple[Difference, ...]


def verify_directory(directory: str | os.PathLike[str], *, deep: bool = False) -> Verification:
    """Compare the files of a directory with its manifest; nothing is requested from any server.

    Parameters
    ----------
    directory
        Where a study was downloaded to.
    deep
        Read every file and compare its hash, where the manifest has one; otherwise sizes are compared.

    Raises
    ------
    ObjectNotFoundError
        If there is no manifest in the directory.
    """
    root = Path(directory)
    records = read_records(root, required=True)
    found = (_difference(root, record, deep=deep) for record in records.values())
    differences = tuple(difference for difference in found if difference is not None)
    return Verification(len(records), sum(record.size for record in records.values()), differences)


def _difference(root: Path, record: Record, *, deep: bool) -> Difference | None:
    path = root / record.target
    if not path.is_file():
        return Difference(record.target, "missing", "the file is missing")
    size = path.stat().st_size
    if size != record.size:
        return Difference(record.target, "size", f"the file has {size} bytes, downloaded were {record.size}")
    if not deep:
        return None
    name, expected = ("sha256", record.sha256) if record.sha256 else ("md5", record.md5)
    if expected and file_hash(path, name) != expected:
        return Difference(record.target, "content", f"the {name.upper()} of the file is not the one recorded")
    return None
