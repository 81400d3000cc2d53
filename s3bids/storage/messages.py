"""Two small things of virt_s3 for its users' own messages; nothing in s3bids calls them."""

from __future__ import annotations

import logging
import sys
from typing import Any

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def format_bytes(num_bytes: float) -> str:
    """Write a number of bytes with the unit that fits, 1 KB being 1,024 bytes.

    >>> format_bytes(1536), format_bytes(0), format_bytes(-5 * 1024**3), format_bytes(1024**2 - 1)
    ('1.50 KB', '0.00 B', '-5.00 GB', '1.00 MB')

    Raises
    ------
    TypeError
        If it is no number.
    """
    if not isinstance(num_bytes, int | float):
        raise TypeError(f"a number of bytes is a number, not {type(num_bytes).__name__}")
    value = float(num_bytes)
    for unit in _UNITS[:-1]:
        # What would be written as 1024.00 is 1.00 of the next unit.
        if round(abs(value), 2) < 1024:
            return f"{value:.2f} {unit}"
        value /= 1024
    return f"{value:.2f} {_UNITS[-1]}"


def get_custom_logger(name: str = "VirtS3", log_level: int = logging.INFO) -> logging.Logger:
    """Give a logger that writes to stdout; it gets one handler, however often it is asked for.

    Parameters
    ----------
    name
        The logger's name.
    log_level
        Set at each call.
    """
    logger = logging.getLogger(name)
    logger.setLevel(log_level)
    if not any(isinstance(handler, _StdoutHandler) for handler in logger.handlers):
        handler = _StdoutHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
        logger.addHandler(handler)
    return logger


class _StdoutHandler(logging.StreamHandler[Any]):
    """Write to what is stdout at the moment of the message, which a notebook or a test may have replaced."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        """The standard output of this moment."""
        return sys.stdout


__all__ = ["format_bytes", "get_custom_logger"]
