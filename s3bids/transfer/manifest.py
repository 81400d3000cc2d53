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
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import DestinationError, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)

#: The folder of our own records; dot-named, so that the BIDS validator passes over it.
STATE_FOLDER = ".s3bids"
_SUFFIX = ".jsonl"
#: Directories named where a manifest was looked for one level too high.
_MOST_HINTS = 3
#: The event, and the check, of a file that was cut down to a subset.
TRIMMED = "trimmed"
#: Made once: json.dumps makes a new encoder at each call with separators.
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


class Record(NamedTuple):
    """One file that was downloaded, or found to be complete. A tuple, since a million of them are made."""

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
    #: Which check held: ``size``, ``md5`` or ``md5-parts``; ``trimmed`` for a table or JSON file that was cut down to a
    #: subset: its size and MD5 are those of the file, and :meth:`Manifest.stored` gives those of the object.
    check: str
    md5: str | None = None
    sha256: str | None = None
    #: When this was written, in seconds since 1970.
    time: float = 0.0
    #: The version of the object, where it is known.
    version: str | None = None


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
    "version": (str, type(None)),
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
        self._append({"event": "file", **record._replace(time=self._now())._asdict()})

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
        self._lines.append(_ENCODE(entry).encode() + b"\n")

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


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """One file that could not be downloaded.

    The target is as the failure names it: that of a key which was refused may lead out of the directory.
    """

    target: str
    key: str
    reason: str
    #: How often the object was asked for.
    attempts: int
    #: When this was written, in seconds since 1970.
    time: float


_FAILURE_TYPES: dict[str, tuple[type, ...]] = {
    "target": (str,),
    "key": (str,),
    "reason": (str,),
    "attempts": (int,),
    "time": (float, int),
}


class StoredObject(NamedTuple):
    """The object of a file that was cut down."""

    key: str
    size: int
    etag: str | None
    modified: float | None
    #: When this was written, in seconds since 1970.
    time: float


_STORED_TYPES = {name: _TYPES[name] for name in ("target", *StoredObject._fields)}


@dataclass(frozen=True, eq=False)
class Manifest:
    """All that is known of a directory."""

    #: Target -> its latest record.
    records: dict[str, Record]
    #: Target -> its latest failure, for those that have not come since.
    failures: dict[str, FailedRecord]
    #: Targets that we made ourselves, out of no object; as :meth:`ManifestWriter.note` has it.
    made: set[str]
    #: Target -> the object of a file that was cut down, as the latest note has it.
    trimmed: dict[str, StoredObject]

    def stored(self, record: Record) -> Record:
        """Give a record as it would be if the file had not been cut down: of the object."""
        found = self.trimmed.get(record.target)
        if record.check != TRIMMED or found is None or found.key != record.key:
            return record
        return record._replace(size=found.size, etag=found.etag, modified=found.modified)


def read_manifest(directory: Path) -> Manifest:
    """Read what is known of a directory, in one pass over its manifests; nothing where there are none."""
    found = Manifest({}, {}, set(), {})
    pruned: dict[str, float] = {}
    for entry in _entries(directory):
        kind = entry.get("event")
        if kind == "file":
            _take_record(found, _parse(entry))
        elif kind == "failed":
            _take_failure(found, _parse_failure(entry))
        elif kind == TRIMMED and _is_sound(entry, _STORED_TYPES):
            _take_trimmed(found, entry)
        elif kind == "made" and isinstance(entry.get("target"), str):
            found.made.add(entry["target"])
        elif kind == "pruned" and isinstance(entry.get("target"), str) and isinstance(entry.get("time"), int | float):
            pruned[entry["target"]] = max(entry["time"], pruned.get(entry["target"], entry["time"]))
    for target, moment in pruned.items():
        # We deleted it, so it is not missing; unless it came again.
        if target in found.records and found.records[target].time <= moment:
            del found.records[target]
    return found


def _take_trimmed(found: Manifest, entry: dict[str, Any]) -> None:
    fields: dict[str, Any] = {name: entry.get(name) for name in StoredObject._fields}
    stored = StoredObject(**fields)
    known = found.trimmed.get(entry["target"])
    if known is None or known.time <= stored.time:
        found.trimmed[entry["target"]] = stored


def _take_record(found: Manifest, record: Record | None) -> None:
    if record is None:
        return
    known = found.records.get(record.target)
    if known is None or known.time <= record.time:
        found.records[record.target] = record
    failure = found.failures.get(record.target)
    if failure is not None and failure.time <= record.time:
        del found.failures[record.target]


def _take_failure(found: Manifest, failure: FailedRecord | None) -> None:
    if failure is None:
        return
    for known in (found.records.get(failure.target), found.failures.get(failure.target)):
        if known is not None and known.time > failure.time:
            return
    found.failures[failure.target] = failure


def read_records(directory: Path, *, required: bool = False) -> dict[str, Record]:
    """Read what is known of the files of a directory: target -> its latest record.

    Parameters
    ----------
    directory
        The root of the download.
    required
        Raise :class:`~s3bids.errors.ObjectNotFoundError` where there is no manifest, instead of giving no records.
    """
    if required:
        require_manifest(directory, "verify")
    return read_manifest(directory).records


def read_notes(directory: Path, event: str) -> list[dict[str, Any]]:
    """Read what :meth:`ManifestWriter.note` wrote of one event, the oldest first.

    The fields are input from outside: whoever uses one checks it.
    """
    # Most lines are of files, and need not be understood.
    entries = _entries(directory, holding=f'"{event}"'.encode())
    found = [entry for entry in entries if entry.get("event") == event]
    return sorted(found, key=lambda entry: entry["time"] if isinstance(entry.get("time"), int | float) else 0.0)


def read_failures(directory: Path) -> dict[str, FailedRecord]:
    """Read which files of a directory could not be downloaded: target -> its latest failure.

    A target that was downloaded, or found to be complete, at a later time is none of them. Where there is no manifest
    nothing failed. What an interrupted run did not come to has not failed either.
    """
    return read_manifest(directory).failures


def require_manifest(directory: Path, what: str) -> None:
    """Raise :class:`~s3bids.errors.ObjectNotFoundError` where there is no manifest; `what` is what cannot be done."""
    if any(_manifests(directory)):
        return
    if not directory.is_dir():
        raise ObjectNotFoundError(
            f"cannot {what} {directory}: there is no such directory; check its name, or download there first"
        )
    below = sorted({path.parent.parent for path in directory.glob(f"*/{STATE_FOLDER}/*{_SUFFIX}")})
    hint = f"did you mean {' or '.join(map(str, below[:_MOST_HINTS]))}?" if below else "download the study there first"
    raise ObjectNotFoundError(f"cannot {what} {directory}: it has no manifest ({STATE_FOLDER}/*{_SUFFIX}); {hint}")


def _manifests(directory: Path) -> list[Path]:
    return sorted((directory / STATE_FOLDER).glob(f"*{_SUFFIX}"))


def _entries(directory: Path, *, holding: bytes = b"") -> Iterator[dict[str, Any]]:
    """Yield the events of a directory whose lines hold some bytes, file by file; what is cut short is passed over."""
    for path in _manifests(directory):
        try:
            with path.open("rb") as lines:
                for line in (line for line in lines if holding in line):
                    entry = _parse_line(line)
                    if entry is not None:
                        yield entry
        except OSError as error:
            message = f"cannot read the manifest {path}: {error.strerror or error}"
            raise DestinationError(f"{message}; check its permissions, or move it away") from error


def _parse_line(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _parse(entry: dict[str, Any]) -> Record | None:
    """Read the record of a file; None for one that is damaged, or that points out of the directory.

    Fields that a later version may add are passed over.
    """
    if not _is_sound(entry, _TYPES) or entry["size"] < 0 or not is_safe(entry["target"]):
        return None
    fields: dict[str, Any] = {name: entry.get(name) for name in _TYPES}
    return Record(**fields)


def _parse_failure(entry: dict[str, Any]) -> FailedRecord | None:
    if not _is_sound(entry, _FAILURE_TYPES):
        return None
    return FailedRecord(**{name: entry[name] for name in _FAILURE_TYPES})


def _is_sound(entry: dict[str, Any], types: dict[str, tuple[type, ...]]) -> bool:
    """Say whether an event has its fields, each of its type, with texts that can be names and a time that is one."""
    if any(type(entry.get(name)) not in kinds for name, kinds in types.items()):
        return False
    try:
        for name in ("target", "location", "key"):
            entry.get(name, "").encode()
        return math.isfinite(entry["time"])
    except (UnicodeEncodeError, OverflowError):
        return False


def is_safe(target: str) -> bool:
    """Say whether a path relative to a directory stays inside it."""
    return not {"", ".", ".."} & set(target.split("/")) and "\0" not in target
