"""One object to one file with one request: temporary name, bytes, check, final name."""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ObjectChangedError, ObjectNotFoundError, VerificationError
from .checks import ByteCheck
from .outcome import (
    STREAM_BYTES,
    Counter,
    Interrupted,
    Outcome,
    Settings,
    check_frozen,
    check_size,
    conflicting,
    failed,
    is_refusal,
    open_stream,
    outdated,
    record_of,
    renewed,
)
from .plan import Action
from .report import Result, Status
from .retry import PASSING, Health, Tries
from .target import IsConflict, create, part_beside, remove, take_name, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from ..storage.base import Piece, Storage
    from .checks import Digests
    from .manifest import Record
    from .plan import Transfer

logger = logging.getLogger(__name__)

#: A request is small if waiting for the server is most of its time.
SMALL_BYTES = 64 * 1024


class Held(NamedTuple):
    """A small object whose bytes are here and checked, and whose file is not written yet."""

    storage: Storage
    transfer: Transfer
    settings: Settings
    pieces: list[Piece]
    digests: Digests
    #: What the outcome will say.
    attempts: int
    refusals: int
    waited: float
    grown: int

    def write(self) -> Outcome:
        """Write the file. Raises nothing: the outcome says what happened."""
        transfer = self.transfer
        target = f"{self.settings.directory}/{transfer.target}"
        try:
            mtime_ns = _write_at_once(self.pieces, target, transfer)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the other files either
            return _ended_badly(transfer, error, self.attempts, self.refusals)
        record = record_of(self.storage.location, transfer, mtime_ns, self.digests)
        result = Result(transfer.key, transfer.target, Status.FETCHED, transfer.size, "", self.attempts)
        return Outcome(result, record, transfer.size, self.refusals, self.waited, self.grown)


def fetch(
    storage: Storage,
    transfer: Transfer,
    settings: Settings,
    received: Callable[[int], None],
    check_stop: Callable[[], None],
    health: Health,
) -> Outcome | Held:
    """Carry out one transfer, with as many attempts as it takes and is allowed.

    Raises nothing but :class:`Interrupted`: the result says what happened. Of a small object the file is left to be
    written, by whoever has the time.

    Parameters
    ----------
    received
        Told the bytes as they come, but for the last few, which are in the outcome; a negative number takes those of a
        failed attempt back.
    check_stop
        Called often; raises :class:`Interrupted` to end the transfer and leave nothing behind.
    health
        What is known of the server.
    """
    lost = health.lost()
    if lost is not None:
        return _ended_badly(transfer, lost, 0, 0)
    now = settings.retry.now
    planned = transfer
    refusals = attempt = 0
    tries = Tries()
    while True:
        attempt += 1
        counted = Counter(received, health.good)
        begun = now()
        try:
            step = _fetch_once(storage, transfer, settings, counted, check_stop)
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            counted.take_back()
            refusals += is_refusal(error)
            if isinstance(error, VerificationError):
                health.good()
            if settings.is_frozen and isinstance(error, ObjectChangedError | ObjectNotFoundError):
                return _ended_badly(transfer, outdated(error, transfer), attempt, refusals)
            if isinstance(error, ObjectChangedError) and transfer is planned:
                try:
                    transfer = renewed(storage, planned)
                except Exception as now_gone:  # noqa: BLE001 - as above
                    return _ended_badly(transfer, now_gone, attempt, refusals)
            elif isinstance(error, PASSING) and not health.gives_up(transfer.key, error, tries):
                check_stop()
                settings.retry.wait(attempt)
            else:
                return _ended_badly(transfer, error, attempt, refusals)
            continue
        health.good()
        waited = now() - begun if 0 < transfer.size <= SMALL_BYTES else 0.0
        grown = transfer.size - planned.size
        if isinstance(step, _Bytes):
            return Held(storage, transfer, settings, *step, attempt, refusals, waited, grown)
        is_compared = transfer.action is Action.COMPARE
        status = Status.SKIPPED if is_compared else Status.FETCHED
        result = Result(transfer.key, transfer.target, status, 0 if is_compared else transfer.size, "", attempt)
        return Outcome(result, step, counted.untold, refusals, waited, grown)


def _ended_badly(transfer: Transfer, error: Exception, attempts: int, refusals: int) -> Outcome:
    if isinstance(error, IsConflict):
        return Outcome(conflicting(transfer, str(error), attempts), refusals=refusals)
    logger.debug("transfer of %s failed", transfer.key, exc_info=error)
    return Outcome(failed(transfer, error, attempts), refusals=refusals)


class _Bytes(NamedTuple):
    """A small object, checked."""

    pieces: list[Piece]
    digests: Digests


def _fetch_once(
    storage: Storage, transfer: Transfer, settings: Settings, counted: Counter, check_stop: Callable[[], None]
) -> Record | _Bytes:
    target = f"{settings.directory}/{transfer.target}"
    if settings.is_frozen:
        check_frozen(storage, transfer)
    pieces = _counted(_pieces(storage, transfer, target), counted, check_stop)
    if transfer.action is Action.COMPARE:
        # The time belongs to the bytes that are compared: whoever changes the file from here on makes it their own.
        mtime_ns = os.stat(target).st_mtime_ns
        return record_of(storage.location, transfer, mtime_ns, _received(pieces, transfer, settings, _drop))
    if transfer.size <= STREAM_BYTES:
        held: list[Piece] = []
        return _Bytes(held, _received(pieces, transfer, settings, held.append))
    mtime_ns, digests = _write_as_it_comes(pieces, target, transfer, settings)
    return record_of(storage.location, transfer, mtime_ns, digests)


def _counted(pieces: Iterable[Piece], counted: Counter, check_stop: Callable[[], None]) -> Iterator[Piece]:
    for piece in pieces:
        check_stop()
        yield piece
        counted.add(len(piece))


def _drop(piece: Piece) -> None:
    """Do nothing with a piece: it was compared."""


def _received(
    pieces: Iterable[Piece],
    transfer: Transfer,
    settings: Settings,
    take: Callable[[Piece], None],
    path: str | None = None,
) -> Digests:
    """Take an object in and check it; give its hashes."""
    check = ByteCheck(transfer, settings.verify)
    size = 0
    for piece in pieces:
        take(piece)
        check.update(piece)
        size += len(piece)
        if size > transfer.size:
            break
    check_size(transfer, size)
    return check.finish(path)


def _write_at_once(pieces: list[Piece], target: str, transfer: Transfer) -> int:
    """Write a small file whose bytes are there and checked; give its time."""
    part = part_beside(target)
    file = create(part)
    try:
        try:
            for piece in pieces:
                write(file, piece)
        finally:
            os.close(file)
        return _named(part, target, transfer)
    except BaseException:
        remove(part)
        raise


def _write_as_it_comes(
    pieces: Iterable[Piece], target: str, transfer: Transfer, settings: Settings
) -> tuple[int, Digests]:
    """Write a file while its bytes come; give its time, and the hashes."""
    part = part_beside(target)
    file = create(part)
    try:
        try:
            digests = _received(pieces, transfer, settings, partial(write, file), part)
        finally:
            os.close(file)
        return _named(part, target, transfer), digests
    except BaseException:
        remove(part)
        raise


def _named(part: str, target: str, transfer: Transfer) -> int:
    """Give a finished file its name, and its time."""
    # After closing: a network file system sets the time then.
    mtime_ns = os.stat(part).st_mtime_ns
    take_name(part, target, transfer)
    return mtime_ns


def _pieces(storage: Storage, transfer: Transfer, target: str) -> Iterable[Piece]:
    """Give the object's bytes; for a file that may be a part of them, stop as soon as it is not."""
    if transfer.size == 0:
        return ()
    pieces = open_stream(storage, transfer)
    if transfer.action not in (Action.COMPLETE, Action.COMPARE):
        return pieces
    return _compared(pieces, transfer, target)


def _compared(pieces: Iterable[Piece], transfer: Transfer, target: str) -> Iterator[Piece]:
    with open(target, "rb") as existing:
        for piece in pieces:
            _compare(existing, piece, transfer)
            yield piece
        if existing.tell() == transfer.size and existing.read(1):
            raise IsConflict("the file has grown beyond the object since it was looked at")


def _compare(existing: BinaryIO, piece: Piece, transfer: Transfer) -> None:
    found = existing.read(len(piece))
    if piece[: len(found)] == found:
        return
    if transfer.action is Action.COMPARE:
        raise IsConflict("the file has the object's size and other bytes")
    raise IsConflict(f"{transfer.note}, and they are not those of the object")
