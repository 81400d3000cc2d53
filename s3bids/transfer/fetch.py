"""One object to one file: temporary name, bytes, check, final name."""

from __future__ import annotations

import errno
import filecmp
import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import S3BIDSError, StorageUnavailableError, VerificationError
from ..storage.files import part_name
from .manifest import Record
from .plan import Action
from .report import Result, Status
from .retry import PASSING, Retry
from .verify import Verify, etag_md5, hashes_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from typing import BinaryIO

    from ..storage.base import Storage
    from .plan import Transfer
    from .verify import Hash

logger = logging.getLogger(__name__)

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


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


class Interrupted(Exception):  # noqa: N818 - not an error of the transfer
    """The run is being stopped."""


class _IsConflict(Exception):  # noqa: N818 - a signal inside this module
    """The file turned out to be somebody's own."""


def fetch(
    storage: Storage,
    transfer: Transfer,
    settings: Settings,
    received: Callable[[int], None],
    check_stop: Callable[[], None],
) -> Outcome:
    """Carry out one transfer, with as many attempts as it takes and is allowed.

    Raises nothing but :class:`Interrupted`: the result says what happened.

    Parameters
    ----------
    received
        Told the bytes as they come, but for the last few, which are in the outcome; a negative number takes those of a
        failed attempt back.
    check_stop
        Called often; raises :class:`Interrupted` to end the transfer and leave nothing behind.
    """
    refusals = 0
    for attempt in range(1, settings.retry.attempts + 1):
        counted = _Counter(received)
        try:
            record = _fetch_once(storage, transfer, settings, counted, check_stop)
        except _IsConflict as conflict:
            counted.take_back()
            return Outcome(_result(transfer, Status.CONFLICT, reason=str(conflict), attempts=attempt))
        except PASSING as error:
            counted.take_back()
            refusals += isinstance(error, StorageUnavailableError)
            if attempt == settings.retry.attempts:
                return Outcome(_failed(transfer, error, attempt), refusals=refusals)
            check_stop()
            settings.retry.wait(attempt)
        except Interrupted:
            raise
        except Exception as error:
            # A fault of ours must not stop the other files either.
            logger.debug("transfer of %s failed", transfer.key, exc_info=True)
            counted.take_back()
            return Outcome(_failed(transfer, error, attempt))
        else:
            status = Status.SKIPPED if transfer.action is Action.COMPARE else Status.FETCHED
            size = 0 if status is Status.SKIPPED else transfer.size
            return Outcome(_result(transfer, status, size=size, attempts=attempt), record, counted.untold, refusals)
    raise AssertionError("the last attempt returns")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one transfer ended."""

    result: Result
    #: For the manifest; None unless the file is complete.
    record: Record | None = None
    #: Bytes that came and that nobody was told of yet.
    untold: int = 0
    #: How often the server asked to come again later.
    refusals: int = 0


#: Bytes that may come before somebody is told: a small file needs one message and not two.
_TELL_BYTES = 256 * 1024


class _Counter:
    """Count the bytes of one attempt, so that they can be taken back."""

    def __init__(self, received: Callable[[int], None]) -> None:
        self._received = received
        self._told = 0
        self.untold = 0

    def add(self, size: int) -> None:
        self.untold += size
        if self.untold >= _TELL_BYTES:
            self._received(self.untold)
            self._told += self.untold
            self.untold = 0

    def take_back(self) -> None:
        if self._told:
            self._received(-self._told)
        self._told = self.untold = 0


def _fetch_once(
    storage: Storage, transfer: Transfer, settings: Settings, counted: _Counter, check_stop: Callable[[], None]
) -> Record:
    target = settings.directory / transfer.target
    part = target.parent / part_name()
    hashes = hashes_for(transfer.etag, settings.verify)
    # The time belongs to the bytes that were checked: whoever changes the file from here on makes it their own.
    mtime_ns = target.stat().st_mtime_ns if transfer.action is Action.COMPARE else None
    size = 0
    is_there = True
    try:
        with _new_file(part) as file:
            for piece in _pieces(storage, transfer, target):
                check_stop()
                _write_all(file, piece)
                for found in hashes.values():
                    found.update(piece)
                counted.add(len(piece))
                size += len(piece)
        digests = _checked(transfer, size, hashes)
        if mtime_ns is None:
            # After closing: a network file system sets the time then.
            mtime_ns = part.stat().st_mtime_ns
            _take_name(part, target, transfer)
            is_there = False
    finally:
        if is_there:
            part.unlink(missing_ok=True)
    return record_of(storage.location, transfer, mtime_ns, digests)


def _new_file(part: Path) -> FileIO:
    """Make a file, and its folder if that is missing: for most files it is there, so it is not asked for."""
    try:
        return part.open("xb", buffering=0)
    except FileNotFoundError:
        part.parent.mkdir(parents=True, exist_ok=True)
        return part.open("xb", buffering=0)


def _write_all(file: FileIO, piece: bytes) -> None:
    """Write a piece; the operating system may take it in parts."""
    written = file.write(piece)
    while written < len(piece):
        written += file.write(memoryview(piece)[written:])


def record_of(location: str, transfer: Transfer, mtime_ns: int, digests: dict[str, str]) -> Record:
    """Make the manifest's record of a file that is complete."""
    return Record(
        target=transfer.target,
        location=location,
        key=transfer.key,
        size=transfer.size,
        etag=transfer.etag,
        modified=None if transfer.modified != transfer.modified else transfer.modified,  # NaN: unknown
        mtime_ns=mtime_ns,
        check="md5" if "md5" in digests else "size",
        md5=digests.get("md5"),
        sha256=digests.get("sha256"),
    )


def _pieces(storage: Storage, transfer: Transfer, target: Path) -> Iterator[bytes]:
    """Yield the object's bytes; for a file that may be a part of them, stop as soon as it is not."""
    if transfer.size == 0:
        return
    pieces = storage.stream(transfer.key, if_match=transfer.etag)
    if transfer.action not in (Action.COMPLETE, Action.COMPARE):
        yield from pieces
        return
    with target.open("rb") as existing:
        for piece in pieces:
            _compare(existing, piece, transfer)
            yield piece
        if existing.tell() == transfer.size and existing.read(1):
            raise _IsConflict("the file has grown beyond the object since it was looked at")


def _compare(existing: BinaryIO, piece: bytes, transfer: Transfer) -> None:
    found = existing.read(len(piece))
    if piece.startswith(found):
        return
    if transfer.action is Action.COMPARE:
        raise _IsConflict("the file has the object's size and other bytes")
    raise _IsConflict(f"{transfer.note}, and they are not those of the object")


def _checked(transfer: Transfer, size: int, hashes: dict[str, Hash]) -> dict[str, str]:
    """Compare what came with what the listing promised, and give the hashes."""
    if size != transfer.size:
        raise VerificationError(
            f"{transfer.key}: {size} bytes came, and the listing says {transfer.size}; "
            "the connection broke off or the object has changed"
        )
    digests = {name: found.hexdigest() for name, found in hashes.items()}
    expected = etag_md5(transfer.etag)
    # Of an object without bytes nothing was asked, and its ETag may be no MD5.
    if size and "md5" in digests and digests["md5"] != expected:
        raise VerificationError(
            f"{transfer.key}: the bytes that came have the MD5 {digests['md5']}, and the listing says {expected}; "
            "they were damaged on the way, or the server's ETag is no MD5 (--verify size)"
        )
    return digests


def _take_name(part: Path, target: Path, transfer: Transfer) -> None:
    """Give the finished file its name, unless somebody has put a file of their own there since the plan was made."""
    if transfer.action is Action.FETCH and os.path.lexists(target) and not _is_same(part, target):
        raise _IsConflict("a file with other bytes has appeared during the download")
    part.replace(target)


def _is_same(part: Path, target: Path) -> bool:
    # Another process may fetch the same object into the same place: then both have the same bytes.
    return target.is_file() and filecmp.cmp(part, target, shallow=False)


def _failed(transfer: Transfer, error: Exception, attempts: int) -> Result:
    no_space = isinstance(error, OSError) and error.errno in _NO_SPACE
    reason = _reason(error, no_space=no_space)
    return Result(transfer.key, transfer.target, Status.FAILED, 0, reason, attempts, no_space)


def _reason(error: Exception, *, no_space: bool) -> str:
    if no_space:
        return f"no space or quota is left ({error}); free some and run again"
    if isinstance(error, S3BIDSError):
        return str(error)
    if isinstance(error, OSError):
        return f"the file cannot be written ({error})"
    return f"unexpected {type(error).__name__}: {error}; please report this"


def _result(transfer: Transfer, status: Status, *, size: int = 0, reason: str = "", attempts: int = 0) -> Result:
    return Result(transfer.key, transfer.target, status, size, reason, attempts)
