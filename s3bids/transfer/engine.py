"""Many transfers in one process: threads take them from one queue, and one thread tells and records what happens."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

from ..storage.files import part_name
from .fetch import Interrupted, Outcome, Settings, fetch
from .manifest import ManifestWriter
from .progress import Event, Finished, Received
from .report import Result, Status
from .width import Gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..storage.base import Storage
    from .plan import Transfer

#: How long an interrupted run waits for its threads; one that waits for a dead server dies with the process.
_PATIENCE_S = 3.0

#: What a thread says: how a transfer ended, bytes that came, or that it takes no more.
_Message = Outcome | int | None
#: Messages that are handled together: one write to the manifest serves them all.
_BATCH = 4096
#: How long messages are gathered.
_GATHER_S = 0.02


def run_transfers(
    storage: Storage,
    transfers: Iterable[Transfer],
    settings: Settings,
    emit: Callable[[Event], None],
) -> Iterator[Result]:
    """Carry out transfers and yield their results as they come.

    Parameters
    ----------
    transfers
        Taken one by one, so they may still be in the making.
    emit
        Told every event, in the thread that iterates.

    Notes
    -----
    A result is yielded after its record is in the manifest. When the iteration is left early, by KeyboardInterrupt or
    by closing it, transfers under way stop within a piece, and leave no file behind.
    """
    pool = _Pool(storage, transfers, settings)
    with ManifestWriter(settings.directory, writer_name(settings.run), now=settings.now) as manifest:
        try:
            pool.start()
            for messages in pool.batches():
                outcomes = [message for message in messages if isinstance(message, Outcome)]
                _record(manifest, outcomes)
                received = sum(message for message in messages if isinstance(message, int))
                received += sum(outcome.untold for outcome in outcomes)
                if received:
                    emit(Received(received))
                pool.adapt(len(outcomes), received, sum(outcome.refusals for outcome in outcomes))
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


def _record(manifest: ManifestWriter, outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        result = outcome.result
        if outcome.record is not None:
            manifest.add(outcome.record)
        elif result.status is Status.FAILED:
            manifest.fail(result.target, result.key, result.reason, result.attempts)
    manifest.flush()


class _Pool:
    """The threads of one run, the iterator they share, and the queue they answer through."""

    def __init__(self, storage: Storage, transfers: Iterable[Transfer], settings: Settings) -> None:
        self._storage = storage
        self._settings = settings
        self._transfers = iter(transfers)
        self._is_exhausted = False
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._answers: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._gauge = Gauge(settings.threads)
        #: Threads that may work, and those that do; the second is counted under the lock.
        self._wanted = self._gauge.target
        self._working = 0
        self._broken: BaseException | None = None

    def start(self) -> None:
        """Begin as many threads as are wanted."""
        for _ in range(self._wanted - self._working):
            thread = threading.Thread(target=self._work, name=f"s3bids-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            self._working += 1
            thread.start()

    def adapt(self, files: int, received: int, refusals: int) -> None:
        """Follow the link: begin more threads where they pay, and let some end where they do not."""
        with self._lock:
            self._wanted = self._gauge.target_after(files, received, refusals)
            if not self._is_exhausted and not self._stopping.is_set():
                self.start()

    def batches(self) -> Iterator[list[Outcome | int]]:
        """Yield what the threads answer, as much as there is at a time, until each has said that it is done."""
        ended = 0
        while ended < len(self._threads):
            messages = self._waiting(self._answers.get())
            ended += messages.count(None)
            yield [message for message in messages if message is not None]
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
        with self._lock:
            self._is_exhausted = True

    def stop(self) -> None:
        self._stopping.set()
        deadline = time.monotonic() + _PATIENCE_S
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        try:
            while (transfer := self._take()) is not None:
                self._answers.put(fetch(self._storage, transfer, self._settings, self._answers.put, self._check_stop))
        except Interrupted:
            pass
        except BaseException as error:  # noqa: BLE001 - a listing that fails inside the iterator is raised by messages()
            self._broken = error
            self._stopping.set()
        finally:
            with self._lock:
                self._working -= 1
            self._answers.put(None)

    def _take(self) -> Transfer | None:
        with self._lock:
            self._check_stop()
            if self._working > self._wanted or self._is_exhausted:
                return None
            transfer = next(self._transfers, None)
            self._is_exhausted = transfer is None
            return transfer

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise Interrupted
