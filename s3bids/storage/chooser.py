"""One request or several side by side: which of the two has been faster lately."""

from __future__ import annotations

import threading
from enum import StrEnum

#: After so many records of one kind the history starts anew: the link may have changed.
MOST_RECORDS = 10


class TransferMethod(StrEnum):
    """How the bytes of one object travel."""

    #: In one request.
    SIMPLE = "simple"
    #: In ranges or parts, several at once, if the object is large enough for two.
    TRANSFER = "transfer"


class TransferKind(StrEnum):
    """In which direction the bytes travel."""

    UPLOAD = "upload"
    DOWNLOAD = "download"


class TransferChooser:
    """Choose the method of the next transfer by the throughput of the last ones. Serves many threads.

    Without any record :attr:`TransferMethod.TRANSFER` is chosen; a method without a record is tried; else the faster
    one on average wins. The enums may be given as their values, such as ``"download"``; another text is ValueError.

    >>> chooser = TransferChooser()
    >>> chooser.choose("download").value
    'transfer'
    >>> chooser.record("download", "transfer", 8_000_000, 1.0)
    >>> chooser.choose("download").value
    'simple'
    >>> chooser.record("download", "simple", 8_000_000, 0.5)
    >>> chooser.average("download", "simple"), chooser.choose("download").value
    (16.0, 'simple')
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[TransferKind, dict[TransferMethod, list[float]]] = {kind: _empty() for kind in TransferKind}
        self._overrides: dict[TransferKind, TransferMethod] = {}

    def choose(self, kind: TransferKind | str) -> TransferMethod:
        """Give the method for the next transfer of a kind."""
        kind = TransferKind(kind)
        with self._lock:
            if kind in self._overrides:
                return self._overrides[kind]
            speeds = self._records[kind]
            for method in (TransferMethod.TRANSFER, TransferMethod.SIMPLE):
                if not speeds[method]:
                    return method
            return max(speeds, key=lambda method: _mean(speeds[method]))

    def record(self, kind: TransferKind | str, method: TransferMethod | str, nbytes: int, seconds: float) -> None:
        """Remember how long a transfer took. No time or no bytes give no throughput, and are not recorded."""
        kind, method = TransferKind(kind), TransferMethod(method)
        if nbytes <= 0 or seconds <= 0:
            return
        with self._lock:
            if sum(map(len, self._records[kind].values())) >= MOST_RECORDS:
                self._records[kind] = _empty()
            self._records[kind][method].append(nbytes / seconds / 1e6)

    def override(self, kind: TransferKind | str, method: TransferMethod | str = TransferMethod.TRANSFER) -> None:
        """Choose one method from now on, until :meth:`reset`."""
        kind, method = TransferKind(kind), TransferMethod(method)
        with self._lock:
            self._overrides[kind] = method

    def history(self, kind: TransferKind | str, method: TransferMethod | str) -> list[float]:
        """Give the throughputs recorded of a method, in MB/s (1 MB = 1,000,000 bytes), the oldest first."""
        kind, method = TransferKind(kind), TransferMethod(method)
        with self._lock:
            return list(self._records[kind][method])

    def average(self, kind: TransferKind | str, method: TransferMethod | str) -> float:
        """Give the mean throughput of a method in MB/s; 0 without a record."""
        return _mean(self.history(kind, method))

    def reset(self, kind: TransferKind | str) -> None:
        """Forget the records and the override of a kind."""
        kind = TransferKind(kind)
        with self._lock:
            self._records[kind] = _empty()
            self._overrides.pop(kind, None)


def _empty() -> dict[TransferMethod, list[float]]:
    return {method: [] for method in TransferMethod}


def _mean(speeds: list[float]) -> float:
    return sum(speeds) / len(speeds) if speeds else 0.0


__all__ = ["MOST_RECORDS", "TransferChooser", "TransferKind", "TransferMethod"]
