"""Logging: warnings as short lines on stderr, and everything that s3bids says in the file of ``--log-file``.

Only the logger of s3bids is listened to: those of the libraries below write headers, and with them signatures.
"""

from __future__ import annotations

import json
import logging
import platform
import sys
from pathlib import Path

from .. import __version__
from ..display import plain, without_passwords
from ..errors import ConfigError
from .render import say

_NAME = __package__.partition(".")[0]


class _Lines(logging.Handler):
    """Write each record as one line on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        say(f"{record.levelname.lower()}: {record.getMessage()}")


class _PlainFormatter(logging.Formatter):
    """Escape what a bucket or an address could smuggle in, but leave the line breaks of a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the text of one record."""
        return "\n".join(plain(line) for line in super().format(record).split("\n"))


class _JsonFormatter(logging.Formatter):
    """Give each record as one JSON object in one line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the text of one record."""
        found = {
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_passwords(record.getMessage()),
        }
        if record.exc_info:
            found["error"] = without_passwords(self.formatException(record.exc_info))
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
    text = _PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if as_json else text)
    logger = logging.getLogger(_NAME)
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    say(f"the log is {place}")
    logger.debug("s3bids %s on Python %s, %s", __version__, platform.python_version(), platform.platform())
    logger.debug("arguments: %s", sys.argv[1:])


__all__ = ["open_log", "set_up_logging"]
