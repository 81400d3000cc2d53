"""What a companion runs: transfers come in through a pipe, and answers go out through another one."""

from __future__ import annotations

import logging
import os
import pickle
import sys
from collections import deque
from typing import TYPE_CHECKING

from .companion import Answer, Message
from .engine import run_batches
from .pool import Part
from .progress import Planned, silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


class _OrphanedError(Exception):
    """The process that hands out is gone, or does not want this one any more."""


class _Messages(logging.Handler):
    """Keep what is logged, for the process in which logging is set up."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: deque[Message] = deque()

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(Message(record.name, record.levelno, record.getMessage()))

    def taken(self) -> list[Message]:
        """Give what was kept since the last time."""
        kept: list[Message] = []
        while self._kept:
            kept.append(self._kept.popleft())
        return kept


def main() -> None:
    """Carry out what comes until there is no more, or nobody to answer to."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a library prints must not come between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    messages = _Messages()
    logging.getLogger("s3bids").addHandler(messages)
    try:
        serve(sys.stdin.buffer, answers, messages)
    except (_OrphanedError, BrokenPipeError):
        sys.exit(1)


def serve(tasks: BinaryIO, answers: BinaryIO, messages: _Messages) -> None:
    """Answer each list of transfers that comes."""
    storage, settings = pickle.load(tasks)  # noqa: S301 - from the process that began this one
    with storage:
        for done in run_batches(storage, _parts(tasks), settings, silent):
            answers.write(pickle.dumps(Answer(done.results, done.width, messages.taken()), pickle.HIGHEST_PROTOCOL))
            answers.flush()


def _parts(tasks: BinaryIO) -> Iterator[Part]:
    while True:
        try:
            transfers = pickle.load(tasks)  # noqa: S301 - as above
        except (EOFError, pickle.UnpicklingError) as error:
            raise _OrphanedError from error
        if transfers is None:
            return
        yield Part(transfers, Planned(len(transfers), sum(transfer.size for transfer in transfers)), is_told=True)


__all__ = ["main", "serve"]
