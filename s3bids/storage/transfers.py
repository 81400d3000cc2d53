"""How much a transfer may do at once, and telling how far it is: the same for every backend."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from .chooser import TransferMethod

MIB = 1024 * 1024

#: Told how many bytes are done, and how many there are in all.
ProgressCallback = Callable[[int, int], object]


class TransferSettings(Protocol):
    """What is read of a ``boto3.s3.transfer.TransferConfig``; anything with such attributes serves as well.

    An attribute that is missing or None means boto3's documented default, which :class:`Limits` names.
    """

    @property
    def multipart_threshold(self) -> int | None:
        """From this size on an object travels in parts, in bytes."""
        ...

    @property
    def multipart_chunksize(self) -> int | None:
        """Size of a part, in bytes."""
        ...

    @property
    def max_concurrency(self) -> int | None:
        """Parts under way at once."""
        ...


@dataclass(frozen=True)
class Limits:
    """What one transfer on S3 may do; the defaults are those of virt_s3."""

    #: From this size on an object travels in parts, in bytes.
    multipart_threshold: int = 8 * MIB
    #: Size of a part, in bytes.
    multipart_chunksize: int = 8 * MIB
    #: Parts under way at once.
    max_concurrency: int = 3
    #: How often a part whose bytes break off is asked for in all, beside what the client repeats by itself.
    num_download_attempts: int = 5
    #: Bytes taken from a connection at a time.
    io_chunksize: int = 256 * 1024
    #: Without threads one part comes after the other.
    use_threads: bool = True
    #: Most bytes in a second; None: no limit.
    max_bandwidth: int | None = None

    @property
    def workers(self) -> int:
        """Parts under way at once, threads or not."""
        return self.max_concurrency if self.use_threads else 1


#: What the virt_s3 documentation says of a TransferConfig of which only some attributes are set.
_DOCUMENTED = Limits(max_concurrency=10)


def limits_of(config: TransferSettings | None) -> Limits:
    """Read a ``TransferConfig``; None means the defaults.

    Raises
    ------
    ValueError
        If an attribute is no number that a transfer can keep to.
    """
    if config is None:
        return Limits()
    found: dict[str, Any] = {}
    for name, default in vars(_DOCUMENTED).items():
        value = getattr(config, name, None)
        if value is not None and name != "use_threads" and (not isinstance(value, int) or value < 1):
            raise ValueError(f"transfer_config.{name} is {value!r}; it is a whole number of at least 1")
        found[name] = default if value is None else value
    return Limits(**found)


def method_of(method: TransferMethod | str | None) -> TransferMethod | None:
    """Read a method given as enum or text; another text is ValueError."""
    return None if method is None else TransferMethod(method)


def check_settings(method: TransferMethod | str | None, config: TransferSettings | None) -> None:
    """Refuse what no transfer can be made with; for a backend where it has no effect."""
    method_of(method)
    limits_of(config)


class Progress:
    """Tell a callback how far a transfer is: ``(done, total)`` in bytes, one call at a time, never going back.

    Parameters
    ----------
    callback
        What it raises ends the transfer, and reaches the caller.
    total
        Bytes in all; None while nobody knows, and then nothing is told before :meth:`end`.
    """

    def __init__(self, callback: ProgressCallback | None, total: int | None) -> None:
        self._callback = callback
        self._total = total
        self._done = 0
        self._is_told = False
        self._lock = threading.Lock()

    def add(self, nbytes: int) -> None:
        """Count some bytes. Serves many threads."""
        if self._callback is None:
            return
        with self._lock:
            self._done += nbytes
            # A file that grew during its upload has more bytes than it had when it was looked at.
            if self._total is not None and self._done < self._total and nbytes:
                self._callback(self._done, self._total)

    def share(self) -> ProgressCallback:
        """Give a callback for one of several transfers, whose bytes count here."""
        last = 0

        def tell(done: int, _total: int) -> None:
            nonlocal last
            self.add(done - last)
            last = done

        return tell

    def end(self) -> None:
        """Tell that all is done: once, with ``(total, total)``."""
        if self._callback is None or self._is_told:
            return
        with self._lock:
            self._is_told = True
            total = self._done if self._total is None else self._total
            self._callback(total, total)


def tell_all(callback: ProgressCallback | None, total: int) -> None:
    """Tell a callback that all is done."""
    if callback is not None:
        callback(total, total)


def span_bytes(size: int, start: int, end: int | None) -> int:
    """Give how many of an object's bytes lie in ``[start:end]``."""
    return max(0, (size if end is None else min(size, end)) - start)


def told(pieces: Iterator[Any], total: Callable[[], int], callback: ProgressCallback | None) -> Iterator[Any]:
    """Yield the pieces of a stream, and tell a callback of them.

    Parameters
    ----------
    total
        Asked for the bytes in all when the first piece is wanted, and only if there is a callback.
    """
    if callback is None:
        return pieces
    return _told(pieces, total, callback)


def _told(pieces: Iterator[Any], total: Callable[[], int], callback: ProgressCallback) -> Iterator[Any]:
    progress = Progress(callback, total())
    yield from counted(pieces, progress)
    progress.end()


def counted(pieces: Iterator[Any], progress: Progress) -> Iterator[Any]:
    """Yield pieces, and count the bytes of each when the next one is wanted."""
    for piece in pieces:
        yield piece
        progress.add(len(piece))


class Throttle:
    """Keep a transfer to a number of bytes in a second, whatever the number of its threads.

    Parameters
    ----------
    most
        Bytes in a second; None: no limit.
    now, sleep
        The clock, in seconds.
    """

    def __init__(
        self,
        most: int | None,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._most = most
        self._now = now
        self._sleep = sleep
        self._free_at = now() if most else 0.0
        self._lock = threading.Lock()

    def take(self, nbytes: int) -> None:
        """Wait until so many bytes may go."""
        if not self._most:
            return
        with self._lock:
            start = max(self._free_at, self._now())
            self._free_at = start + nbytes / self._most
        wait = start - self._now()
        if wait > 0:
            self._sleep(wait)


__all__ = [
    "Limits",
    "Progress",
    "ProgressCallback",
    "Throttle",
    "TransferSettings",
    "check_settings",
    "counted",
    "limits_of",
    "method_of",
    "span_bytes",
    "tell_all",
    "told",
]
