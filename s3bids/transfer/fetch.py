"""One object to one file with one request: temporary name, bytes, check, final name."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from ..errors import ObjectChangedError, VerificationError
from .outcome import (
    STREAM_BYTES,
    Counter,
    Interrupted,
    Outcome,
    Settings,
    check_digests,
    check_size,
    conflicting,
    failed,
    is_refusal,
    record_of,
    renewed,
)
from .plan import Action
from .report import Result, Status
from .retry import PASSING, Health
from .target import IsConflict, create, part_beside, remove, take_name, write
from .verify import hashes_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from ..storage.base import Piece, Storage
    from .manifest import Record
    from .plan import Transfer

logger = logging.getLogger(__name__)

#: A request is small if waiting for the server is most of its time.
SMALL_BYTES = 64 * 1024


def fetch(
    storage: Storage,
    transfer: Transfer,
    settings: Settings,
    received: Callable[[int], None],
    check_stop: Callable[[], None],
    health: Health,
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
    health
        What is known of the server.
    """
    lost = health.lost()
    if lost is not None:
        return _ended_badly(transfer, lost, 0, 0)
    now = settings.retry.now
    planned = transfer
    refusals = attempt = 0
    failing_since = None
    while True:
        attempt += 1
        counted = Counter(received, health.good)
        begun = now()
        try:
            record = _fetch_once(storage, transfer, settings, counted, check_stop)
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the other files either
            counted.take_back()
            refusals += is_refusal(error)
            failing_since = now() if failing_since is None else failing_since
            if isinstance(error, VerificationError):
                health.good()
            if isinstance(error, ObjectChangedError) and transfer is planned:
                try:
                    transfer = renewed(storage, planned)
                except Exception as now_gone:  # noqa: BLE001 - as above
                    return _ended_badly(transfer, now_gone, attempt, refusals)
            elif isinstance(error, PASSING) and not health.gives_up(transfer.key, error, attempt, failing_since):
                check_stop()
                settings.retry.wait(attempt)
            else:
                return _ended_badly(transfer, error, attempt, refusals)
            continue
        health.good()
        is_compared = transfer.action is Action.COMPARE
        status = Status.SKIPPED if is_compared else Status.FETCHED
        result = Result(transfer.key, transfer.target, status, 0 if is_compared else transfer.size, "", attempt)
        waited = now() - begun if 0 < transfer.size <= SMALL_BYTES else 0.0
        return Outcome(result, record, counted.untold, refusals, waited, transfer.size - planned.size)


def _ended_badly(transfer: Transfer, error: Exception, attempts: int, refusals: int) -> Outcome:
    if isinstance(error, IsConflict):
        return Outcome(conflicting(transfer, str(error), attempts), refusals=refusals)
    logger.debug("transfer of %s failed", transfer.key, exc_info=error)
    return Outcome(failed(transfer, error, attempts), refusals=refusals)


def _fetch_once(
    storage: Storage, transfer: Transfer, settings: Settings, counted: Counter, check_stop: Callable[[], None]
) -> Record:
    target = f"{settings.directory}/{transfer.target}"
    part = part_beside(target)
    hashes = hashes_for(transfer.etag, settings.verify)
    # The time belongs to the bytes that were checked: whoever changes the file from here on makes it their own.
    mtime_ns = os.stat(target).st_mtime_ns if transfer.action is Action.COMPARE else None
    size = 0
    is_there = True
    file = create(part)
    try:
        try:
            for piece in _pieces(storage, transfer, target):
                check_stop()
                write(file, piece)
                for found in hashes.values():
                    found.update(piece)
                counted.add(len(piece))
                size += len(piece)
        finally:
            os.close(file)
        check_size(transfer, size)
        digests = {name: found.hexdigest() for name, found in hashes.items()}
        check_digests(transfer, digests)
        if mtime_ns is None:
            # After closing: a network file system sets the time then.
            mtime_ns = os.stat(part).st_mtime_ns
            take_name(part, target, transfer)
            is_there = False
    finally:
        if is_there:
            remove(part)
    return record_of(storage.location, transfer, mtime_ns, digests)


def _pieces(storage: Storage, transfer: Transfer, target: str) -> Iterable[Piece]:
    """Give the object's bytes; for a file that may be a part of them, stop as soon as it is not."""
    if transfer.size == 0:
        return ()
    pieces = storage.stream(transfer.key, if_match=transfer.etag, chunk_size=STREAM_BYTES)
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
