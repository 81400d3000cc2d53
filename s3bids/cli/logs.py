"""Logging: warnings as short lines on stderr, and everything that s3bids says in the file of ``--log-file``.

Only the logger of s3bids is listened to: those of the libraries below write headers, and with them signatures.
"""

from __future__ import annotations

import json
import logging
import platform
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..display import plain, without_passwords
from ..errors import ConfigError
from .render import say

if TYPE_CHECKING:
    from collections.abc import Callable

#: Tracebacks of one place in the code that a log has.
_MOST_TRACEBACKS = 20
_NAME = __package__.partition(".")[0]


class _Lines(logging.Handler):
    """Write each record as one line on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        say(f"{record.levelname.lower()}: {record.getMessage()}")


class _Errors:
    """The errors of a log: the first of each place in full, since thousands of files may fail for the same reason."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, int]] = Counter()

    def text(self, record: logging.LogRecord, full: Callable[[Any], str]) -> str:
        """Give the traceback of a record, later only what kind of error it is; nothing if it has none."""
        if not record.exc_info or record.exc_info[1] is None:
            return ""
        place = record.pathname, record.lineno
        self._seen[place] += 1
        if self._seen[place] <= _MOST_TRACEBACKS:
            return full(record.exc_info)
        return f"{type(record.exc_info[1]).__name__}, as others before"


class _PlainFormatter(logging.Formatter):
    """Escape what a bucket or an address could smuggle in: only our own lines begin at the margin."""

    def __init__(self) -> None:
        super().__init__()
        self._errors = _Errors()

    def format(self, record: logging.LogRecord) -> str:
        """Give the text of one record."""
        begin = f"{self.formatTime(record)} {record.levelname} {record.name}: {record.getMessage()}"
        error = self._errors.text(record, self.formatException)
        return "\n  ".join(map(plain, [begin, *(error.split("\n") if error else ())]))


class _JsonFormatter(logging.Formatter):
    """Give each record as one JSON object in one line, for programs."""

    def __init__(self) -> None:
        super().__init__()
        self._errors = _Errors()

    def format(self, record: logging.LogRecord) -> str:
        """Give the text of one record."""
        found = {
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_passwords(record.getMessage()),
        }
        error = self._errors.text(record, self.formatException)
        if error:
            found["error"] = without_passwords(error)
        return json.dumps(found)


def set_up_logging() -> None:
    """Show warnings on stderr."""
    handler = _Lines(logging.WARNING)
    logger = logging.getLogger(_NAME)
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)


def open_log(path: str, *, as_json: bool = False) -> None:
    """Append everything to a file as well, for people or as JSON lines, and say where it is.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    place = Path(path).absolute()
    try:
        handler = logging.FileHandler(place, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"cannot write the log file {place}: {error.strerror or error}; name another") from error
    handler.setFormatter(_JsonFormatter() if as_json else _PlainFormatter())
    logger = logging.getLogger(_NAME)
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    say(f"the log is {place}")
    logger.debug("s3bids %s on Python %s, %s", __version__, platform.python_version(), platform.platform())
    logger.debug("arguments: %s", sys.argv[1:])


__all__ = ["open_log", "set_up_logging"]
