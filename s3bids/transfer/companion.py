"""Another process of the same run, which fetches small files.

Of a small file most of the work is Python's, and Python's lock lets one thread of a process work at a time: further
threads only wait for it. A companion is fed with transfers through a pipe and answers through another one. It writes a
manifest of its own, as every process does, and ends when its pipe does, so none is left behind.
"""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Self, cast

from .outcome import STREAM_BYTES
from .plan import Action
from .width import FIRST, processors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from ..storage.base import Storage
    from .outcome import Settings
    from .plan import Transfer
    from .report import Result

logger = logging.getLogger(__name__)

#: Small files of a run before others help with them: a companion takes a tenth of a second of a processor to begin.
MANY = 2000
#: Most companions of a process. More gain little: one process plans for all, and the server is to be spared.
MOST = 2
#: Transfers that are handed over at a time.
BATCH = 64
#: How long a companion that is not needed any more may take to end, in seconds.
_PATIENCE_S = 2.0

#: What the other process runs. It finds modules where this one does, and never in the working directory (``-P``). An
#: interrupt is meant for this process, which then closes the pipe.
_PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from s3bids.transfer.companion_program import main
main()
"""


class Message(NamedTuple):
    """What a log record of the other process says."""

    name: str
    level: int
    text: str


class Answer(NamedTuple):
    """What a companion has done: it stands in a manifest already."""

    results: list[Result]
    #: Transfers it would have under way at once.
    width: int
    messages: list[Message]


class LostError(Exception):
    """The companion has ended before it was told to."""


def affordable() -> int:
    """Give the number of companions that the processors are enough for; 0 where no other process can be begun."""
    if not sys.executable or getattr(sys, "frozen", False):
        # What a frozen program starts is itself and no Python.
        return 0
    return min(MOST, processors()) if processors() > 1 else 0


def is_small(transfer: Transfer) -> bool:
    """Say whether a transfer is for companions: one request, whose bytes fit into memory, and nothing to compare."""
    return transfer.size <= STREAM_BYTES and transfer.action in (Action.FETCH, Action.REPLACE)


class Companion:
    """The side of the process that hands out. Serves one thread, but for :meth:`stop`; use it as a context manager.

    Making one raises what pickle and the start of a process raise.
    """

    def __init__(self, storage: Storage, settings: Settings) -> None:
        begin = pickle.dumps(sys.path) + pickle.dumps(
            (storage, replace(settings, companions=0, processes=1 + settings.companions))
        )
        self._width = FIRST
        #: Targets and their transfers that were handed over and not answered for.
        self._given: dict[str, Transfer] = {}
        self._process = subprocess.Popen(  # noqa: S603 - this Python, and a text of ours
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Why it could not begin, such as a storage of a class it cannot import, concerns nobody: the files are
            # fetched here then. What it logs is in its answers.
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._to, self._from = cast("tuple[BinaryIO, BinaryIO]", (self._process.stdin, self._process.stdout))
        try:
            self._send(begin)
        except LostError:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._from.close()

    @property
    def wants(self) -> int:
        """How many more transfers it should have: it never waits if it has twice those that it has under way."""
        missing = 2 * self._width + BATCH - len(self._given)
        return missing if missing >= BATCH else 0

    def give(self, transfers: Sequence[Transfer]) -> None:
        """Hand transfers over. Raises :class:`LostError`."""
        self._given.update((transfer.target, transfer) for transfer in transfers)
        self._send(pickle.dumps(transfers, pickle.HIGHEST_PROTOCOL))

    @property
    def given(self) -> list[Transfer]:
        """The transfers that it was given and has not answered for."""
        return list(self._given.values())

    def answer(self) -> Answer:
        """Wait for the next answer. Raises :class:`LostError`."""
        try:
            found: Answer = pickle.load(self._from)  # noqa: S301 - from a process of ours
        except (OSError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise LostError from error
        self._width = found.width
        for result in found.results:
            self._given.pop(result.target, None)
        for message in found.messages:
            logging.getLogger(message.name).log(message.level, "%s", message.text)
        return found

    def end(self) -> None:
        """Tell it that there is no more to do. Raises :class:`LostError`."""
        self._send(pickle.dumps(None))

    def stop(self) -> None:
        """Make it end within a piece, whatever it does: that is what the end of its pipe means."""
        # What was not sent yet cannot be sent any more where the process is gone.
        with suppress(OSError):
            self._to.close()

    def _send(self, data: bytes) -> None:
        try:
            self._to.write(data)
            self._to.flush()
        except (OSError, ValueError) as error:
            raise LostError from error


__all__ = ["BATCH", "MANY", "Answer", "Companion", "LostError", "Message", "affordable", "is_small"]
