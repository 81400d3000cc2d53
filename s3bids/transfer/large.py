"""One large object to one file, in pieces that several threads fetch at once into one temporary file.

A piece that is there stays there: a lost connection costs the rest of one piece, a killed process the pieces under
way, and a run that was interrupted goes on where it was.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import ObjectChangedError, ObjectNotFoundError, RangeNotServedError, VerificationError
from ..storage.files import free_part_name
from .checks import ByteCheck
from .etags import etag_md5
from .fetch import fetch
from .outcome import (
    Interrupted,
    Outcome,
    Settings,
    conflicting,
    failed,
    is_refusal,
    open_stream,
    outdated,
    record_of,
    renewed,
)
from .partial import Version, claim, piece_count, trailer
from .plan import Action
from .report import Result, Status
from .retry import PASSING, Health, Tries
from .target import IsConflict, copy_beginning, create, part_beside, remove, take_name, write_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..storage.base import Storage
    from .checks import Digests
    from .manifest import Record
    from .plan import Transfer

logger = logging.getLogger(__name__)

#: Bytes that are read at a time to be hashed.
_BLOCK_BYTES = 1024 * 1024

#: What is to be done next for a file: these pieces; or nothing more, it has ended; or nothing now, others are at it.
Next = list[int] | Outcome | None


def is_large(transfer: Transfer, settings: Settings) -> bool:
    """Say whether an object is to be fetched in pieces.

    Only the ETag holds pieces together (If-Match); and a file that can only be compared is read from its beginning.
    """
    if transfer.etag is None or 2 * transfer.size <= 3 * settings.piece_bytes or not hasattr(os, "pwrite"):
        return False
    if transfer.action is Action.COMPLETE:
        return etag_md5(transfer.etag) is not None
    return transfer.action in (Action.FETCH, Action.REPLACE)


class LargeFile:
    """A large object on its way.

    The pieces that :meth:`begin` gives are to be fetched with :meth:`fetch`, in any order.

    Neither raises anything but :class:`~s3bids.transfer.outcome.Interrupted`.

    Parameters
    ----------
    received, check_stop, health
        As for :func:`~s3bids.transfer.fetch.fetch`.
    """

    def __init__(
        self,
        storage: Storage,
        transfer: Transfer,
        settings: Settings,
        received: Callable[[int], None],
        check_stop: Callable[[], None],
        health: Health,
    ) -> None:
        self._storage, self._settings, self._health = storage, settings, health
        self._received, self._check_stop = received, check_stop
        self._planned = self._transfer = transfer
        self._target = f"{settings.directory}/{transfer.target}"
        self._part = part_beside(self._target)
        self._piece_bytes = settings.piece_bytes
        self._lock = threading.Lock()
        self._file: int | None = None
        #: One byte a piece, 1 if it is there; and where the next byte of each belongs.
        self._there = bytearray()
        self._positions: list[int] = []
        self._check = ByteCheck(transfer, settings.verify)
        self._hashed = 0
        self._is_hashing = False
        #: Pieces that are to be fetched or under way, and threads that are inside :meth:`fetch`.
        self._left = self._inside = 0
        self._error: Exception | None = None
        self._told = self._reused = 0
        self._attempts = 0
        self._refusals = 0
        #: Size and time of the file whose bytes were taken over as the beginning of the object.
        self._taken_over: tuple[int, int] | None = None
        self._wrong_md5: str | None = None
        self._is_over = False

    def begin(self) -> Next:
        """Make the temporary file, or go on with one that was left; give the pieces that are missing."""
        lost = self._health.lost()
        if lost is not None:
            return self._ended_badly(lost)
        self._attempts = 1
        try:
            if not self._claim():
                self._file = create(self._part)
                self._clear()
                if self._transfer.action is Action.COMPLETE:
                    self._take_over()
            return self._pieces_left()
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the other files either
            return self._ended_badly(error)

    def _claim(self) -> bool:
        """Take an unfinished file of the same object, if there is one and nobody was faster."""
        partial = self._transfer.partial
        self._file = None if partial is None else claim(partial, self._part)
        if partial is None or self._file is None:
            return False
        self._piece_bytes = partial.piece_bytes
        self._reset(partial.there)
        self._reuse(partial.bytes)
        return True

    def _clear(self) -> None:
        """Give the temporary file its size, with nothing in it yet."""
        transfer = self._transfer
        self._reset(bytes(piece_count(transfer.size, self._piece_bytes)))
        version = Version(self._storage.location, transfer.key, transfer.size, transfer.etag)
        os.ftruncate(self._descriptor, transfer.size)
        write_at(self._descriptor, trailer(version, self._piece_bytes, bytes(self._there)), transfer.size)

    def _reset(self, there: bytes) -> None:
        self._there = bytearray(there)
        self._positions = [index * self._piece_bytes for index in range(len(there))]
        self._check = ByteCheck(self._transfer, self._settings.verify)
        self._hashed = 0
        self._is_hashing = False
        self._error = None

    @property
    def _descriptor(self) -> int:
        if self._file is None:
            raise RuntimeError("the temporary file is not open")
        return self._file

    def _take_over(self) -> None:
        """Copy a file that may be the beginning of the object; the MD5 of the whole will tell whether it is."""
        found = os.stat(self._target)
        pieces = min(found.st_size, self._transfer.size) // self._piece_bytes
        copy_beginning(self._target, self._part, pieces * self._piece_bytes, self._check_stop)
        for index in range(pieces):
            self._mark(index)
        self._taken_over = found.st_size, found.st_mtime_ns
        self._reuse(pieces * self._piece_bytes)

    def _reuse(self, size: int) -> None:
        self._reused = size
        self._tell(size)

    def _tell(self, size: int) -> None:
        with self._lock:
            self._told += size
        self._received(size)

    def _mark(self, index: int) -> None:
        self._there[index] = 1
        write_at(self._descriptor, b"\1", self._transfer.size + index)

    def _pieces_left(self) -> Next:
        missing = [index for index, flag in enumerate(self._there) if not flag]
        self._left = len(missing)
        if missing:
            return missing
        self._hash_on()
        return self._end()

    def fetch(self, index: int) -> Next:
        """Fetch one piece; the last one ends the file."""
        with self._lock:
            self._inside += 1
        try:
            if self._error is None:
                self._fetch_piece(index)
                self._hash_on()
        except Interrupted as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - as above
            # The first one tells what happened; those after it may be its consequences.
            self._error = self._error or error
        with self._lock:
            self._inside -= 1
            self._left -= 1
            is_last = self._left == 0
        if self._is_over and (not is_last or isinstance(self._error, Interrupted)):
            self.release()
        return self._end() if is_last else None

    def _fetch_piece(self, index: int) -> None:
        retry = self._settings.retry
        end = min((index + 1) * self._piece_bytes, self._transfer.size)
        tries = Tries()
        attempt = 0
        while self._positions[index] < end:
            attempt += 1
            try:
                self._receive(index, end)
            except PASSING as error:
                gives_up = self._health.gives_up(self._planned.key, error, tries) or bool(self._error)
                with self._lock:
                    self._attempts = max(self._attempts, attempt + (not gives_up))
                    self._refusals += is_refusal(error)
                if gives_up:
                    raise
                self._check_stop()
                retry.wait(attempt)
        with self._lock:
            self._mark(index)

    def _receive(self, index: int, end: int) -> None:
        """Receive the rest of a piece with one request."""
        transfer = self._transfer
        for piece in open_stream(self._storage, transfer, self._positions[index], end):
            self._check_stop()
            self._health.good()
            if self._positions[index] + len(piece) > end:
                raise VerificationError(f"{transfer.key}: more bytes came than were asked for")
            write_at(self._descriptor, piece, self._positions[index])
            self._positions[index] += len(piece)
            self._tell(len(piece))
        missing = end - self._positions[index]
        if missing:
            raise VerificationError(f"{transfer.key}: the answer ended {missing} bytes before the end of its range")

    def _hash_on(self) -> None:
        """Hash the pieces that follow each other without a gap, unless another thread is at it."""
        if self._check.is_idle:
            return
        with self._lock:
            if self._is_hashing:
                return
            self._is_hashing = True
        while (index := self._next_to_hash()) is not None:
            self._hash(index)

    def _next_to_hash(self) -> int | None:
        with self._lock:
            if self._hashed < len(self._there) and self._there[self._hashed]:
                return self._hashed
            self._is_hashing = False
            return None

    def _hash(self, index: int) -> None:
        end = min((index + 1) * self._piece_bytes, self._transfer.size)
        for position in range(index * self._piece_bytes, end, _BLOCK_BYTES):
            self._check_stop()
            data = os.pread(self._descriptor, min(_BLOCK_BYTES, end - position), position)
            self._check.update(data)
        self._hashed += 1

    def _end(self) -> Next:
        """End the file, now that nobody works at it any more."""
        try:
            if self._error is not None:
                raise self._error
            digests = self._check.finish(self._part, self._check_stop)
            record = self._take_name(digests)
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            return self._another_way(error)
        size = self._transfer.size
        result = Result(
            self._transfer.key, self._transfer.target, Status.FETCHED, size - self._reused, "", self._attempts
        )
        return Outcome(result, record, refusals=self._refusals, grown=size - self._planned.size)

    def _take_name(self, digests: Digests) -> Record:
        file = self._descriptor
        os.ftruncate(file, self._transfer.size)
        self._file = None
        os.close(file)
        try:
            mtime_ns = os.stat(self._part).st_mtime_ns
            if self._taken_over is not None and not self._is_as_taken_over():
                raise IsConflict("somebody has changed the file during the download")
            take_name(self._part, self._target, self._transfer)
        except Exception:
            remove(self._part)
            raise
        return record_of(self._storage.location, self._transfer, mtime_ns, digests)

    def _is_as_taken_over(self) -> bool:
        try:
            found = os.stat(self._target)
        except FileNotFoundError:
            return True
        return (found.st_size, found.st_mtime_ns) == self._taken_over

    def _another_way(self, error: Exception) -> Next:
        """Begin anew where that may help; otherwise the file has failed."""
        try:
            if self._settings.is_frozen and isinstance(error, ObjectChangedError | ObjectNotFoundError):
                return self._ended_badly(outdated(error, self._planned))
            if isinstance(error, ObjectChangedError) and self._transfer is self._planned:
                self._transfer = renewed(self._storage, self._planned)
                return self._begin_anew()
            if isinstance(error, RangeNotServedError) or (isinstance(error, VerificationError) and self._taken_over):
                # By one request, which also compares the bytes that are here.
                self._discard()
                whole = self._transfer._replace(partial=None)
                step = fetch(self._storage, whole, self._settings, self._received, self._check_stop, self._health)
                return step if isinstance(step, Outcome) else step.write()
            if isinstance(error, VerificationError) and self._may_be_damaged():
                return self._begin_anew()
        except Interrupted:
            raise
        except Exception as second:  # noqa: BLE001 - as above
            error = second
        return self._ended_badly(error)

    def _may_be_damaged(self) -> bool:
        """Say whether wrong bytes may come right: not if the same ones came twice, for then the ETag is no MD5."""
        found = self._check.md5
        if found is None or not all(self._there):
            return False
        known, self._wrong_md5 = self._wrong_md5, found
        return found != known and self._attempts < self._settings.retry.attempts

    def _begin_anew(self) -> Next:
        self._take_back()
        self._attempts += 1
        self._piece_bytes = self._settings.piece_bytes
        self._reused = 0
        self._taken_over = None
        os.ftruncate(self._descriptor, 0)
        self._clear()
        return self._pieces_left()

    def _take_back(self) -> None:
        told, self._told = self._told, 0
        if told:
            self._received(-told)

    def _discard(self) -> None:
        self._take_back()
        self.release(keep=False)

    def _ended_badly(self, error: Exception) -> Outcome:
        self._take_back()
        # Wrong bytes are no beginning of anything.
        self.release(keep=not isinstance(error, VerificationError | IsConflict))
        transfer = self._planned
        if isinstance(error, IsConflict):
            return Outcome(conflicting(transfer, str(error), self._attempts), refusals=self._refusals)
        logger.debug("transfer of %s failed", transfer.key, exc_info=error)
        return Outcome(failed(transfer, error, self._attempts), refusals=self._refusals)

    def release(self, *, keep: bool = True) -> None:
        """Let go of the temporary file: for the next run to go on with, if a piece of it is there.

        A thread that is at it may be writing: then it happens when the last one leaves. It does not when the file has
        ended already.
        """
        with self._lock:
            self._is_over = True
            if self._file is None or self._inside:
                return
            file, self._file = self._file, None
        os.close(file)
        # What cannot be renamed or removed now is found by the next run.
        with suppress(OSError):
            if keep and any(self._there) and self._taken_over is None:
                os.rename(self._part, f"{self._part[: self._part.rfind('/') + 1]}{free_part_name()}")
            else:
                os.unlink(self._part)


__all__ = ["LargeFile", "Next", "is_large"]
