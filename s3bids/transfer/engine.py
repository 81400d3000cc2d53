"""Many transfers in one process: threads take them from one queue, and one thread tells and records what happens."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..storage.files import part_name
from .fetch import Held, fetch
from .large import LargeFile, is_large
from .manifest import ManifestWriter
from .outcome import Interrupted, Outcome, Settings
from .progress import Event, Finished, Planned, Received
from .report import Result, Status
from .retry import Health
from .width import Gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..storage.base import Storage
    from .large import Next
    from .plan import Transfer

#: How long an interrupted run waits for its threads; one that waits for a dead server dies with the process.
_PATIENCE_S = 3.0

#: What a thread says: how a transfer ended, bytes that came, that more is planned, or that it takes no more.
_Message = Outcome | int | Planned | None
#: Messages that are handled together: one write to the manifest serves them all.
_BATCH = 4096
#: Small files that wait to be written; whoever has one more writes it by himself, so a slow disk is written by all.
_MOST_HELD = 64
#: How long messages are gathered.
_GATHER_S = 0.02


@dataclass(frozen=True)
class Part:
    """Transfers that are planned together, such as those of one page of a listing."""

    transfers: Iterable[Transfer]
    #: How many there are, and their bytes.
    planned: Planned
    #: Whether somebody was told of them already.
    is_told: bool = False


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
    pool = _Pool(storage, parts, settings)
    with ManifestWriter(settings.directory, writer_name(settings.run), now=settings.now) as manifest:
        try:
            pool.start()
            for messages in pool.batches():
                outcomes = [message for message in messages if isinstance(message, Outcome)]
                _record(manifest, outcomes)
                received = _tell(messages, emit)
                pool.adapt(outcomes, received)
                if any(outcome.result.no_space for outcome in outcomes):
                    # Every further file would fail as well; the caller lists what was not tried.
                    pool.stop_taking()
                for outcome in outcomes:
                    emit(Finished(outcome.result))
                    yield outcome.result
        finally:
            pool.stop()
            _record(manifest, pool.unheard())


def writer_name(run: str) -> str:
    """Name this process's manifest of a run: no two processes on any computers share one."""
    host, pid = part_name().removeprefix(".s3bids-").split("-")[:2]
    return f"{run}-{host}-{pid}"


def _tell(messages: list[_Message], emit: Callable[[Event], None]) -> int:
    """Tell what more is planned and what has come; give the bytes that came."""
    received = grown = 0
    for message in messages:
        if isinstance(message, Outcome):
            received += message.untold
            grown += message.grown
        elif isinstance(message, int):
            received += message
        elif message is not None:
            emit(message)
    if grown:
        emit(Planned(0, grown))
    if received:
        emit(Received(received))
    return received


def _record(manifest: ManifestWriter, outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        result = outcome.result
        if outcome.record is not None:
            manifest.add(outcome.record)
        elif result.status is Status.FAILED:
            manifest.fail(result.target, result.key, result.reason, result.attempts)
    manifest.flush()


class _Piece(NamedTuple):
    """One piece of a large file, to be fetched."""

    file: LargeFile
    number: int


class _Pool:
    """The threads of one run, the transfers and pieces that they share, and the queue they answer through."""

    def __init__(self, storage: Storage, parts: Iterable[Part], settings: Settings) -> None:
        self._storage = storage
        self._settings = settings
        self._parts = iter(parts)
        #: Transfers that are planned, as iterators, and pieces of large files that were begun.
        self._ready: deque[Iterator[Transfer]] = deque()
        self._pieces: deque[_Piece] = deque()
        self._large: set[LargeFile] = set()
        self._is_planned = self._is_exhausted = False
        self._changed = threading.Condition(threading.RLock())
        self._stopping = threading.Event()
        self._answers: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._health = Health(settings.retry)
        self._gauge = Gauge(settings.threads)
        #: Threads that may work, and those that do; the second is counted under the lock.
        self._wanted = self._gauge.target
        self._working = 0
        #: Small files that are to be written. Each system call gives Python's lock away and has to get it back: with
        #: many threads that write, they spend their time in waking each other, which one thread does not.
        self._to_write: queue.SimpleQueue[Held | None] = queue.SimpleQueue()
        self._broken: BaseException | None = None

    def start(self) -> None:
        """Begin to plan and to work."""
        self._begin_thread(self._plan, "s3bids-plan")
        self._begin_thread(self._write, "s3bids-write")

    def _begin_thread(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=self._ended_by_message, args=(work,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _ended_by_message(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Interrupted:
            pass
        except BaseException as error:  # noqa: BLE001 - a listing that fails inside the iterator is raised by batches()
            self._broken = error
            self._stopping.set()
        finally:
            with self._changed:
                self._changed.notify_all()
            self._answers.put(None)

    def _plan(self) -> None:
        """Take in the parts as they come."""
        try:
            for part in self._parts:
                self._check_stop()
                if part.planned.files and not part.is_told:
                    self._answers.put(part.planned)
                with self._changed:
                    self._ready.append(iter(part.transfers))
                    self._changed.notify_all()
                    self._fill(part.planned.files)
            self._answers.put(Planned(0, 0, is_all=True))
        finally:
            with self._changed:
                self._is_planned = True
                self._changed.notify_all()

    def _fill(self, work: int) -> None:
        """Begin threads, as many as are wanted and there is work for; under the lock."""
        wanted = self._wanted
        if self._pieces:
            wanted = max(wanted, min(self._gauge.pieces, len(self._pieces) + self._working))
        for _ in range(min(work, wanted - self._working)):
            self._working += 1
            self._begin_thread(self._work, f"s3bids-{len(self._threads)}")

    def adapt(self, outcomes: list[Outcome], received: int) -> None:
        """Follow the link: begin more threads where they pay, and let some end where they do not."""
        with self._changed:
            self._wanted = self._gauge.target_after(outcomes, received)
            if not self._is_exhausted and not self._stopping.is_set() and (self._ready or self._pieces):
                self._fill(self._wanted)

    def batches(self) -> Iterator[list[_Message]]:
        """Yield what the threads answer, as much as there is at a time, until each has said that it is done."""
        ended = 0
        while ended < len(self._threads):
            messages = self._waiting(self._answers.get())
            ended += messages.count(None)
            if ended == len(self._threads) - 1:
                # Nobody is left that could give the writer more to do.
                self._to_write.put(None)
            yield messages
        if self._broken is not None:
            raise self._broken

    def _waiting(self, first: _Message) -> list[_Message]:
        messages = [first]
        # Every message wakes this thread, which then asks for Python's lock: so it lets some of them come together.
        self._stopping.wait(_GATHER_S)
        while len(messages) < _BATCH and not self._answers.empty():
            messages.append(self._answers.get())
        return messages

    def unheard(self) -> Iterator[Outcome]:
        """Yield the outcomes of transfers that ended while the run was being stopped."""
        while not self._answers.empty():
            message = self._answers.get()
            if isinstance(message, Outcome):
                yield message

    def stop_taking(self) -> None:
        """Let the transfers under way end, and begin no others."""
        with self._changed:
            self._is_exhausted = True
            self._changed.notify_all()

    def stop(self) -> None:
        self._stopping.set()
        self._to_write.put(None)
        with self._changed:
            self._changed.notify_all()
        deadline = time.monotonic() + _PATIENCE_S
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            unfinished = list(self._large)
        for large in unfinished:
            large.release()

    def _work(self) -> None:
        while (job := self._take()) is not None:
            if isinstance(job, _Piece):
                self._go_on(job.file, job.file.fetch(job.number))
            elif is_large(job, self._settings):
                self._begin_large(job)
            else:
                put = self._answers.put
                self._finish(fetch(self._storage, job, self._settings, put, self._check_stop, self._health))

    def _finish(self, step: Outcome | Held) -> None:
        """Have a small file written by the thread that does that, unless it has enough to do."""
        if isinstance(step, Outcome):
            self._answers.put(step)
        elif self._to_write.qsize() < _MOST_HELD:
            self._to_write.put(step)
        else:
            self._answers.put(step.write())

    def _write(self) -> None:
        while (held := self._to_write.get()) is not None:
            self._check_stop()
            self._answers.put(held.write())

    def _begin_large(self, transfer: Transfer) -> None:
        large = LargeFile(self._storage, transfer, self._settings, self._answers.put, self._check_stop, self._health)
        with self._changed:
            self._large.add(large)
        self._go_on(large, large.begin())

    def _go_on(self, large: LargeFile, step: Next) -> None:
        if step is None:
            return
        if isinstance(step, Outcome):
            with self._changed:
                self._large.discard(large)
                self._changed.notify_all()
            self._answers.put(step)
            return
        with self._changed:
            self._pieces.extend(_Piece(large, number) for number in step)
            self._changed.notify_all()
            self._fill(len(step))

    def _take(self) -> Transfer | _Piece | None:
        """Take a piece or a transfer; None if this thread is not needed any more."""
        with self._changed:
            while not self._is_superfluous():
                self._check_stop()
                if self._pieces:
                    return self._pieces.popleft()
                transfer = self._next_transfer()
                if transfer is not None:
                    return transfer
                if not self._is_planned:
                    self._changed.wait()
            self._working -= 1
            return None

    def _is_superfluous(self) -> bool:
        if self._pieces:
            # Also where nothing new is begun any more: a file without its last pieces would be lost.
            return False
        is_done = self._is_planned and not self._ready
        return is_done or self._is_exhausted or self._working > self._wanted

    def _next_transfer(self) -> Transfer | None:
        while self._ready:
            transfer = next(self._ready[0], None)
            if transfer is not None:
                return transfer
            self._ready.popleft()
        return None

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise Interrupted
