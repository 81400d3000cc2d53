"""Many transfers in one process: threads carry them out, and one thread tells and records what happens."""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from ..storage.files import part_name
from .companion import Answer
from .manifest import ManifestWriter
from .outcome import Outcome
from .pool import Message, Part, Pool
from .progress import Event, Finished, Planned, Received
from .report import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from ..storage.base import Storage
    from .outcome import Settings
    from .report import Result


def run_transfers(
    storage: Storage,
    parts: Iterable[Part],
    settings: Settings,
    emit: Callable[[Event], None],
) -> Iterator[Result]:
    """Carry out transfers and yield their results as they come.

    Parameters
    ----------
    parts
        Iterated in a thread of its own, so that the first transfers begin while the last are still being planned.
    emit
        Told every event, in the thread that iterates.

    Notes
    -----
    A result is yielded after its record is in the manifest. When the iteration is left early, by KeyboardInterrupt or
    by closing it, transfers under way stop within a piece. Of small files they leave nothing behind, of large ones an
    unfinished file that the next run goes on with.
    """
    with closing(run_batches(storage, parts, settings, emit)) as batches:
        for done in batches:
            for result in done.results:
                emit(Finished(result))
                yield result


class Done(NamedTuple):
    """What ended since the last time, and stands in a manifest."""

    results: list[Result]
    #: Transfers that are under way at once, if there are as many.
    width: int


def run_batches(
    storage: Storage, parts: Iterable[Part], settings: Settings, emit: Callable[[Event], None]
) -> Generator[Done]:
    """Carry out transfers as :func:`run_transfers` does, and yield what ended, several results at a time.

    That they have ended is left to be told.
    """
    pool = Pool(storage, parts, settings)
    with ManifestWriter(settings.directory, writer_name(settings.run), now=settings.now) as manifest:
        try:
            pool.start()
            for messages in pool.batches():
                outcomes = [message for message in messages if isinstance(message, Outcome)]
                _record(manifest, outcomes)
                received = _tell(messages, emit)
                width = pool.adapt(outcomes, received)
                results = [outcome.result for outcome in outcomes]
                for message in messages:
                    if isinstance(message, Answer):
                        results += message.results
                if any(result.no_space for result in results):
                    # Every further file would fail as well; the caller lists what was not tried.
                    pool.stop_taking()
                if results:
                    yield Done(results, width)
        finally:
            pool.stop()
            _record(manifest, pool.unheard())


def run_name(now: float) -> str:
    """Give a name for a run that begins now, in seconds since 1970; the files of its manifest begin with it."""
    return time.strftime("manifest-%Y%m%dT%H%M%S", time.gmtime(now)) + f"-{os.urandom(3).hex()}"


def writer_name(run: str) -> str:
    """Name this process's manifest of a run: no two processes on any computers share one."""
    host, pid = part_name().removeprefix(".s3bids-").split("-")[:2]
    return f"{run}-{host}-{pid}"


def _tell(messages: list[Message], emit: Callable[[Event], None]) -> int:
    """Tell what more is planned and what has come; give the bytes that came to this process."""
    received = grown = elsewhere = 0
    for message in messages:
        if isinstance(message, Outcome):
            received += message.untold
            grown += message.grown
        elif isinstance(message, Answer):
            elsewhere += sum(result.bytes for result in message.results)
        elif isinstance(message, int):
            received += message
        elif message is not None:
            emit(message)
    if grown:
        emit(Planned(0, grown))
    if received + elsewhere:
        emit(Received(received + elsewhere))
    return received


def _record(manifest: ManifestWriter, outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        result = outcome.result
        if outcome.record is not None:
            manifest.add(outcome.record)
        elif result.status is Status.FAILED:
            manifest.fail(result.target, result.key, result.reason, result.attempts)
    manifest.flush()
