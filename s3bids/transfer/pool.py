"""The threads of a run: they take transfers from one queue, and answer through another one."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from .companion import MANY, Answer, Companion, LostError, is_small
from .fetch import Held, fetch
from .large import LargeFile, is_large
from .outcome import STREAM_BYTES, Interrupted, Outcome, Settings
from .progress import Planned
from .retry import Health
from .width import Gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..storage.base import Storage
    from .large import Next
    from .plan import Transfer

logger = logging.getLogger(__name__)

#: How long an interrupted run waits for its threads; one that waits for a dead server dies with the process.
_PATIENCE_S = 3.0

#: What a thread says: how a transfer ended, what another process has done, bytes that came, that more is planned, or
#: that it takes no more.
Message = Outcome | Answer | int | Planned | None
#: Messages that are handled together: one write to the manifest serves them all.
_BATCH = 4096
#: Small files that wait to be written; whoever has one more writes it by himself, so a slow disk is written by all.
_MOST_HELD = 64
#: Transfers that are made ready at a time, to be taken without a lock.
_LAID_READY = 256
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


class _Piece(NamedTuple):
    """One piece of a large file, to be fetched."""

    file: LargeFile
    number: int


class Pool:
    """The threads of one run, the transfers and pieces that they share, and the queue they answer through."""

    def __init__(self, storage: Storage, parts: Iterable[Part], settings: Settings) -> None:
        self._storage = storage
        self._settings = settings
        self._parts = iter(parts)
        #: Transfers that are planned, as iterators, and pieces of large files that were begun.
        self._ready: deque[Iterator[Transfer]] = deque()
        self._next: deque[Transfer] = deque()
        self._pieces: deque[_Piece] = deque()
        #: Pieces under way; counted under the lock.
        self._piecing = 0
        self._large: set[LargeFile] = set()
        self._is_planned = self._is_exhausted = False
        self._changed = threading.Condition(threading.RLock())
        self._stopping = threading.Event()
        self._answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._health = Health(settings.retry)
        self._gauge = Gauge(settings.threads)
        self._gauge.share(settings.processes)
        #: Threads that may work, and those that do; the second is counted under the lock.
        self._wanted = self._gauge.target
        self._working = 0
        #: Small files that are to be written. Each system call gives Python's lock away and has to get it back: with
        #: many threads that write, they spend their time in waking each other, which one thread does not.
        self._to_write: queue.SimpleQueue[Held | None] = queue.SimpleQueue()
        #: Small files that are planned so far, and the processes that help with them.
        self._small = 0
        self._companions: list[Companion] = []
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
                self._accompany(part)
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
            if not (self._ready or self._next):
                work = min(work, self._gauge.pieces - self._piecing)
        for _ in range(min(work, wanted - self._working)):
            self._working += 1
            self._begin_thread(self._work, f"s3bids-{len(self._threads)}")

    def _accompany(self, part: Part) -> None:
        """Begin other processes once there are many small files."""
        if not self._settings.companions or self._companions or not getattr(self._storage, "travels", True):
            return
        self._small += part.planned.files
        if self._small < MANY or part.planned.bytes > part.planned.files * STREAM_BYTES:
            return
        for number in range(self._settings.companions):
            try:
                companion = Companion(self._storage, self._settings)
            except Exception:
                # Such as a storage of somebody's own that does not travel: this process does all of it.
                logger.debug("no other process helps", exc_info=True)
                return
            self._companions.append(companion)
            self._begin_thread(partial(self._feed, companion), f"s3bids-feed-{number}")
        self._gauge.share(1 + len(self._companions))

    def _feed(self, companion: Companion) -> None:
        """Share small files with another process, until none are left."""
        with companion:
            try:
                while True:
                    if transfers := self._take_for(companion):
                        companion.give(transfers)
                    if not companion.given:
                        break
                    self._answers.put(companion.answer())
                companion.end()
            except LostError:
                self._check_stop()
                logger.debug("a process that helped has ended; its files are fetched here")
                self._take_back(companion.given)

    def adapt(self, outcomes: list[Outcome], received: int) -> int:
        """Follow the link: begin more threads where they pay, and let some end where they do not.

        Gives the number of transfers to have under way.
        """
        with self._changed:
            self._wanted = self._gauge.target_after(outcomes, received)
            if not self._is_exhausted and not self._stopping.is_set() and (self._ready or self._next or self._pieces):
                self._fill(self._wanted)
            return self._wanted

    def batches(self) -> Iterator[list[Message]]:
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

    def _waiting(self, first: Message) -> list[Message]:
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
        """Make everything under way end within a piece, and wait for it for a while."""
        self._stopping.set()
        self._to_write.put(None)
        with self._changed:
            self._changed.notify_all()
        for companion in self._companions:
            companion.stop()
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
                step = job.file.fetch(job.number)
                with self._changed:
                    self._piecing -= 1
                    self._changed.notify()
                self._go_on(job.file, step)
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
        if not (self._pieces or self._is_exhausted or self._stopping.is_set() or self._working > self._wanted):
            # Without the lock: hundreds of threads would wait for it one after the other, and each for Python's too.
            with suppress(IndexError):
                return self._next.popleft()
        with self._changed:
            while not self._is_superfluous():
                self._check_stop()
                if self._has_piece():
                    self._piecing += 1
                    return self._pieces.popleft()
                transfer = self._next_transfer()
                if transfer is not None:
                    return transfer
                if not self._is_planned:
                    self._changed.wait()
            self._working -= 1
            return None

    def _take_for(self, companion: Companion) -> list[Transfer]:
        """Take small files for another process; others stay for this one.

        Waits for some to be planned only if the other has nothing to do. None: there are no more now, or for ever.
        """
        with self._changed:
            while not self._is_exhausted:
                self._check_stop()
                taken: list[Transfer] = []
                others: list[Transfer] = []
                while len(taken) < companion.wants and (transfer := self._next_transfer()) is not None:
                    (taken if is_small(transfer) else others).append(transfer)
                if others:
                    self._ready.append(iter(others))
                    self._fill(len(others))
                if taken or companion.given or (self._is_planned and not (self._ready or self._next)):
                    return taken
                self._changed.wait()
            return []

    def _take_back(self, transfers: list[Transfer]) -> None:
        with self._changed:
            self._ready.append(iter(transfers))
            self._changed.notify_all()
            self._fill(len(transfers))

    def _has_piece(self) -> bool:
        """Say whether one more piece may be under way: each holds a megabyte or two."""
        return bool(self._pieces) and self._piecing < self._gauge.pieces

    def _is_superfluous(self) -> bool:
        if self._has_piece():
            # Also where nothing new is begun any more: a file without its last pieces would be lost.
            return False
        is_done = self._is_planned and not (self._ready or self._next)
        return is_done or self._is_exhausted or self._working > self._wanted

    def _next_transfer(self) -> Transfer | None:
        """Take a transfer, and lay some ready that are taken without the lock."""
        while self._ready and not self._next:
            self._next.extend(islice(self._ready[0], _LAID_READY))
            if not self._next:
                self._ready.popleft()
        try:
            return self._next.popleft()
        except IndexError:
            return None

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise Interrupted


__all__ = ["Message", "Part", "Pool"]
