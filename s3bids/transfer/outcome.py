"""How transfers are made, and how one of them ended."""

from __future__ import annotations

import errno
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..errors import (
    ObjectChangedError,
    ObjectNotFoundError,
    S3BIDSError,
    StorageUnavailableError,
    VerificationError,
)
from ..storage.s3_versions import Versioned
from .manifest import Record
from .report import Result, Status
from .retry import Retry
from .verify import Verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ..storage.base import Piece, Storage
    from .checks import Digests
    from .plan import Transfer

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)

#: Bytes of one ranged request. Smaller ones cost more requests, larger ones leave connections idle at the end.
PIECE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """How transfers are made."""

    #: The root of the download.
    directory: Path
    verify: Verify = Verify.ETAG
    retry: Retry = field(default_factory=Retry)
    #: Transfers under way at once in one process; None: as many as the link rewards.
    threads: int | None = None
    #: Name of this run, for its manifest.
    run: str = "run"
    #: The clock of the manifest, in seconds since 1970.
    now: Callable[[], float] = time.time
    #: Objects larger than this and a half are fetched in pieces of this size, several at once.
    piece_bytes: int = PIECE_BYTES
    #: Only the objects that were planned will do: one that has changed since has failed.
    is_frozen: bool = False
    #: Other processes that may be begun for small files, where those are many.
    companions: int = 0
    #: Processes that share the processors.
    processes: int = 1


#: Bytes that a thread holds at a time: with hundreds of threads they add up, and larger ones were no faster.
STREAM_BYTES = 256 * 1024
#: Bytes that may come before somebody is told: a small file needs one message and not two.
_TELL_BYTES = 256 * 1024


class Interrupted(Exception):  # noqa: N818 - not an error of the transfer
    """The run is being stopped."""


class Outcome(NamedTuple):
    """How one transfer ended."""

    result: Result
    #: For the manifest; None unless the file is complete.
    record: Record | None = None
    #: Bytes that came and that nobody was told of yet.
    untold: int = 0
    #: How often the server asked to come again later.
    refusals: int = 0
    #: Seconds from the request to its last byte, if one small request was all; else 0.
    waited: float = 0.0
    #: Bytes by which the object turned out to be larger than planned.
    grown: int = 0


def conflicting(transfer: Transfer, reason: str, attempts: int) -> Result:
    """Give the result of a transfer that met somebody's own file."""
    return Result(transfer.key, transfer.target, Status.CONFLICT, 0, reason, attempts)


def failed(transfer: Transfer, error: BaseException, attempts: int) -> Result:
    """Give the result of a transfer that failed."""
    no_space = isinstance(error, OSError) and error.errno in _NO_SPACE
    reason = _reason(error, no_space=no_space)
    return Result(transfer.key, transfer.target, Status.FAILED, 0, reason, attempts, no_space)


def _reason(error: BaseException, *, no_space: bool) -> str:
    if no_space:
        return f"no space or quota is left ({error}); free some and run again"
    if isinstance(error, S3BIDSError):
        return str(error)
    if isinstance(error, OSError):
        return f"the file cannot be written ({error})"
    return f"unexpected {type(error).__name__}: {error}; please report this"


def renewed(storage: Storage, transfer: Transfer) -> Transfer:
    """Look at an object that is not the one of the listing any more, and give the transfer of what it is now."""
    found = storage.head(transfer.key)
    modified = found.last_modified.timestamp() if found.last_modified else math.nan
    return transfer._replace(size=found.size, etag=found.etag, modified=modified, partial=None)


def open_stream(storage: Storage, transfer: Transfer, start: int = 0, end: int | None = None) -> Iterator[Piece]:
    """Ask for the bytes of an object: of the version that is meant, else of the one with the ETag of the listing."""
    if transfer.version is not None and isinstance(storage, Versioned):
        return storage.stream_version(transfer.key, transfer.version, start, end=end, chunk_size=STREAM_BYTES)
    return storage.stream(transfer.key, start, transfer.etag, end=end, chunk_size=STREAM_BYTES)


def check_frozen(storage: Storage, transfer: Transfer) -> None:
    """Compare an object with a frozen plan where no ETag does that with the request: on a local emulation."""
    if transfer.etag is not None:
        return
    now = renewed(storage, transfer)
    if (now.size, now.etag) != (transfer.size, None) or now.modified != transfer.modified == transfer.modified:
        raise ObjectChangedError(f"cannot read {storage.location}/{transfer.key}: the object was written again")


def outdated(error: Exception, transfer: Transfer) -> Exception:
    """Say of an object that is not the one of a frozen plan what to do; other errors stay as they are."""
    if isinstance(error, ObjectChangedError):
        return ObjectChangedError(f"cannot read {transfer.key}: the plan is older than the object; make it anew")
    if isinstance(error, ObjectNotFoundError):
        return ObjectNotFoundError(f"{error}; the plan is older than the bucket: make it anew")
    return error


class Counter:
    """Tell the bytes of one attempt, a few hundred kilobytes at a time, so that they can be taken back.

    Each time somebody is told that the server serves.
    """

    __slots__ = ("_received", "_served", "_told", "untold")

    def __init__(self, received: Callable[[int], None], served: Callable[[], None]) -> None:
        self._received, self._served = received, served
        self._told = 0
        self.untold = 0

    def add(self, size: int) -> None:
        """Count bytes that came."""
        self.untold += size
        if self.untold >= _TELL_BYTES:
            self.tell()

    def tell(self) -> None:
        """Tell what was not told yet."""
        self._served()
        self._received(self.untold)
        self._told += self.untold
        self.untold = 0

    def take_back(self) -> None:
        """Take back what was told."""
        if self.untold:
            # They came, though in vain.
            self._served()
        if self._told:
            self._received(-self._told)
        self._told = self.untold = 0


def is_refusal(error: BaseException) -> bool:
    """Say whether the server asked to come again later."""
    return isinstance(error, StorageUnavailableError)


def check_size(transfer: Transfer, size: int) -> None:
    """Compare the number of bytes that came with what the listing promised."""
    if size != transfer.size:
        raise VerificationError(
            f"{transfer.key}: {size} bytes came, and the listing says {transfer.size}; "
            "the connection broke off or the object has changed"
        )


def record_of(location: str, transfer: Transfer, mtime_ns: int, digests: Digests) -> Record:
    """Make the manifest's record of a file that is complete."""
    return Record(
        transfer.target,
        location,
        transfer.key,
        transfer.size,
        transfer.etag,
        None if transfer.modified != transfer.modified else transfer.modified,  # NaN: unknown
        mtime_ns,
        *digests,
        version=transfer.version,
    )


__all__ = [
    "PIECE_BYTES",
    "STREAM_BYTES",
    "Counter",
    "Interrupted",
    "Outcome",
    "Settings",
    "check_frozen",
    "check_size",
    "conflicting",
    "failed",
    "is_refusal",
    "open_stream",
    "outdated",
    "record_of",
    "renewed",
]
