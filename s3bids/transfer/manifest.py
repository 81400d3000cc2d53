"""What we know of a download: JSON lines in ``.s3bids/`` at its root.

One file a writer, only ever appended to, merged on reading: no locks, so any number of processes on any number of
computers write at once. A line that was cut short by a kill is passed over. Paths in a manifest are input from
outside: one that leaves the directory is passed over as well.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import DestinationError, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)

#: The folder of our own records; dot-named, so that the BIDS validator passes over it.
STATE_FOLDER = ".s3bids"
_SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True)
class Record:
    """One file that was downloaded, or found to be complete."""

    #: Path relative to the directory, with ``/``.
    target: str
    #: Where the object is, such as ``s3://bucket``.
    location: str
    key: str
    #: Bytes of the object and of the file.
    size: int
    #: The object's ETag without quotes, or None.
    etag: str | None
    #: When the object was last written, in seconds since 1970; None if unknown.
    modified: float | None
    #: When the file was last changed, in nanoseconds since 1970, as we left it.
    mtime_ns: int
    #: Which check held: ``size`` or ``md5``; ``trimmed`` for a table or JSON file that was cut down to the subset that
    #: is here, whose size and MD5 are those of the file and not of the object.
    check: str
    md5: str | None = None
    sha256: str | None = None
    #: When this was written, in seconds since 1970.
    time: float = 0.0


#: Field of a line -> the types that JSON may give for it.
_TYPES: dict[str, tuple[type, ...]] = {
    "target": (str,),
    "location": (str,),
    "key": (str,),
    "size": (int,),
    "etag": (str, type(None)),
    "modified": (float, int, type(None)),
    "mtime_ns": (int,),
    "check": (str,),
    "md5": (str, type(None)),
    "sha256": (str, type(None)),
    "time": (float, int),
}


class ManifestWriter:
    """Append records to this writer's own file. Serves one thread; use it as a context manager.

    The file is made with the first record, so a run that changes nothing leaves nothing. What cannot be written is
    warned of once and raises nothing: the files themselves are complete, and the next run finds that out.

    Parameters
    ----------
    directory
        The root of the download.
    name
        Name of this writer's file, unique to process and run, without extension.
    now
        The clock, in seconds since 1970.
    """

    def __init__(self, directory: Path, name: str, *, now: Callable[[], float]) -> None:
        self._path = directory / STATE_FOLDER / f"{name}{_SUFFIX}"
        self._now = now
        self._file: int | None = None
        self._lines: list[bytes] = []
        #: The last line may lack its end.
        self._is_cut = False
        self._has_failed = False

    def __enter__(self) -> ManifestWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def add(self, record: Record) -> None:
        """Take in a record of a complete file; :meth:`flush` writes it."""
        fields = {name: getattr(record, name) for name in _TYPES}
        self._append({"event": "file", **fields, "time": self._now()})

    def fail(self, target: str, key: str, reason: str, attempts: int) -> None:
        """Take in a failure, so that it can be retried alone; :meth:`flush` writes it."""
        self._append(
            {
                "event": "failed",
                "target": target,
                "key": key,
                "reason": reason,
                "attempts": attempts,
                "time": self._now(),
            }
        )

    def note(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take in something else that is worth knowing of a download; :meth:`flush` writes it."""
        self._append({"event": event, **fields, "time": self._now()})

    def _append(self, entry: dict[str, Any]) -> None:
        self._lines.append(json.dumps(entry, separators=(",", ":")).encode() + b"\n")

    def flush(self) -> None:
        """Write what was taken in, with one call: a kill leaves at most the last line short."""
        if not self._lines:
            return
        lines = b"".join(self._lines)
        self._lines.clear()
        try:
            self._write(lines)
        except OSError as error:
            if not self._has_failed:
                logger.warning(
                    "cannot record in %s what was downloaded (%s); the next run has to check it again",
                    self._path,
                    error.strerror or error,
                )
            self._has_failed = True

    def _write(self, lines: bytes) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        if self._is_cut:
            lines = b"\n" + lines
        self._is_cut = True
        if os.write(self._file, lines) < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._is_cut = False


def read_records(directory: Path, *, required: bool = False) -> dict[str, Record]:
    """Read what is known of a directory: target -> its latest record.

    Parameters
    ----------
    directory
        The root of the download.
    required
        Raise :class:`~s3bids.errors.ObjectNotFoundError` where there is no manifest, instead of giving no records.
    """
    folder = directory / STATE_FOLDER
    if required and not any(folder.glob(f"*{_SUFFIX}")):
        raise ObjectNotFoundError(
            f"cannot verify {directory}: it has no manifest ({STATE_FOLDER}/*{_SUFFIX}); download the study there first"
        )
    records: dict[str, Record] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        for record in _file_records(path):
            known = records.get(record.target)
            if known is None or known.time <= record.time:
                records[record.target] = record
    return records


def read_notes(directory: Path, event: str) -> list[dict[str, Any]]:
    """Read what :meth:`ManifestWriter.note` wrote of one event, the oldest first.

    The fields are input from outside: whoever uses one checks it.
    """
    paths = sorted((directory / STATE_FOLDER).glob(f"*{_SUFFIX}"))
    # Most lines are of files, and need not be understood.
    found = [e for path in paths for e in _entries(path, f'"{event}"'.encode()) if e.get("event") == event]
    return sorted(found, key=lambda entry: entry["time"] if isinstance(entry.get("time"), int | float) else 0.0)


def _file_records(path: Path) -> Iterator[Record]:
    for entry in _entries(path):
        record = _record(entry)
        if record is not None:
            yield record


def _entries(path: Path, holding: bytes = b"") -> Iterator[dict[str, Any]]:
    """Yield the lines of one file that hold some bytes; one that is cut short or damaged is passed over."""
    try:
        with path.open("rb") as lines:
            for line in (line for line in lines if holding in line):
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(entry, dict):
                    yield entry
    except OSError as error:
        message = f"cannot read the manifest {path}: {error.strerror or error}"
        raise DestinationError(f"{message}; check its permissions, or move it away") from error


def _record(entry: dict[str, Any]) -> Record | None:
    """Read one line; None for one of another kind, or that points out of the directory.

    Fields that a later version may add are passed over.
    """
    if entry.get("event") != "file":
        return None
    if any(type(entry.get(name)) not in types for name, types in _TYPES.items()):
        return None
    if entry["size"] < 0 or not math.isfinite(entry["time"]) or not is_safe(entry["target"]):
        return None
    fields: dict[str, Any] = {name: entry.get(name) for name in _TYPES}
    return Record(**fields)


def is_safe(target: str) -> bool:
    """Say whether a path relative to a directory stays inside it."""
    return not {"", ".", ".."} & set(target.split("/")) and "\0" not in target
