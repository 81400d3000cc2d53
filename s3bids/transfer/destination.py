"""What is in a directory already, seen once before a plan is made."""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DestinationError
from ..storage.files import is_abandoned, is_part, make_parents, part_name, remove_empty
from .manifest import STATE_FOLDER, read_records
from .partial import Partial, read_partial
from .verify import file_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from .manifest import Record
    from .partial import Version

#: Threads that hash files; hashing gives Python's lock away.
_HASHERS = 4


@dataclass(frozen=True, slots=True)
class FileState:
    """One file that has a target's name."""

    #: Bytes.
    size: int
    #: When it was last changed, in nanoseconds since 1970.
    mtime_ns: int
    is_directory: bool = False
    #: Its MD5, where one was needed.
    md5: str | None = None


@dataclass(frozen=True, eq=False)
class Destination:
    """What a directory holds of the wanted targets, and what its manifest says."""

    #: Target -> file, for those that exist.
    files: dict[str, FileState]
    #: Target -> latest record of the manifest.
    records: dict[str, Record]
    #: Unfinished files of processes that are gone, of no use to anyone.
    abandoned: tuple[str, ...] = ()
    #: Unfinished files of processes that are gone, which say what is in them; for each object the one with most of it.
    partials: tuple[Partial, ...] = ()


def scan(
    directory: Path,
    targets: Sequence[str],
    must_hash: Callable[[int, FileState, Record | None], bool],
    *,
    leave_out: Container[int] = (),
    records: dict[str, Record] | None = None,
) -> Destination:
    """Look at the targets in a directory.

    Parameters
    ----------
    directory
        The root of the download; it need not exist.
    targets
        Paths relative to it, with ``/``.
    must_hash
        Says of a target's index, file and record whether the file's MD5 is needed.
    leave_out
        Indices of targets not to look at, since they may lead out of the directory.
    records
        What :func:`~s3bids.transfer.manifest.read_records` gives for the directory, if that is known already.
    """
    records = read_records(directory) if records is None else records
    by_folder: dict[str, list[int]] = defaultdict(list)
    for index, target in enumerate(targets):
        if index not in leave_out:
            by_folder[target[: target.rfind("/") + 1]].append(index)
    files: dict[str, FileState] = {}
    unfinished: list[str] = []
    to_hash = []
    root = f"{directory}{os.sep}"
    for folder, indices in by_folder.items():
        present = _entries(f"{root}{folder}", unfinished)
        if not present:
            continue
        for index in indices:
            target = targets[index]
            if target[len(folder) :] not in present:
                continue
            files[target] = state = _state(f"{root}{target}")
            if must_hash(index, state, records.get(target)):
                to_hash.append(target)
    files.update(_hashed(directory, files, to_hash))
    return Destination(files, records, *_sorted_out(unfinished))


def _entries(folder: str, unfinished: list[str]) -> set[str]:
    """Give the names in a folder, and note the unfinished files of processes that are gone."""
    try:
        names = set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            # The transfer of this one file says so.
            return set()
        raise DestinationError(f"cannot look into {folder}: {error.strerror}; check its permissions") from error
    unfinished.extend(f"{folder}{name}" for name in names if is_part(name) and is_abandoned(name))
    return names


def _sorted_out(unfinished: list[str]) -> tuple[tuple[str, ...], tuple[Partial, ...]]:
    """Tell the unfinished files that can be gone on with from those that are of no use."""
    best: dict[Version, Partial] = {}
    useless = []
    for path in sorted(unfinished):
        partial = read_partial(path)
        if partial is None or not any(partial.there):
            useless.append(path)
            continue
        known = best.get(partial.object)
        if known is None or known.bytes < partial.bytes:
            best[partial.object], partial = partial, known
        if partial is not None:
            useless.append(partial.path)
    return tuple(useless), tuple(best.values())


def _state(path: str) -> FileState:
    try:
        found = os.stat(path)
    except OSError:
        # A link that leads nowhere: somebody's own, and never the object.
        found = os.lstat(path)
        return FileState(size=-1, mtime_ns=found.st_mtime_ns, is_directory=False)
    return FileState(found.st_size, found.st_mtime_ns, is_directory=stat.S_ISDIR(found.st_mode))


def _hashed(directory: Path, files: dict[str, FileState], targets: list[str]) -> dict[str, FileState]:
    if not targets:
        return {}
    with ThreadPoolExecutor(_HASHERS) as pool:
        hashes = pool.map(lambda target: _hash_or_none(directory / target), targets)
        return {target: replace(files[target], md5=md5) for target, md5 in zip(targets, hashes, strict=True)}


def _hash_or_none(path: Path) -> str | None:
    try:
        return file_hash(path)
    except OSError:
        # Not ours to read: without a hash it is never taken for the object, and the other files are not held up.
        return None


def check_directory(directory: Path, *, make: bool = True) -> None:
    """Make sure that files can be written below a directory, and make it; without `make`, only that it is no file.

    Raises
    ------
    DestinationError
        If it is a file, or cannot be made or written; nothing is left behind then.
    """
    made: list[Path] = []
    try:
        if directory.exists() and not directory.is_dir():
            raise DestinationError(f"cannot download to {directory}: it is a file; name a directory")
        if not make:
            return
        probe = directory / part_name()
        made = make_parents(probe)
        probe.touch()
        probe.unlink()
    except DestinationError:
        raise
    except OSError as error:
        remove_empty(made)
        why = error.strerror or str(error)
        message = f"cannot download to {directory}: it cannot be written ({why})"
        raise DestinationError(f"{message}; name another directory or check its permissions") from error


def abandoned_in(folders: Iterable[Path]) -> Iterator[str]:
    """Give the unfinished files in some folders that no process is writing any more."""
    for folder in folders:
        with suppress(OSError):
            yield from (str(folder / name) for name in os.listdir(folder) if is_abandoned(name))


def remove_abandoned(paths: Iterable[str]) -> None:
    """Remove unfinished files that no process is writing any more."""
    for path in paths:
        with suppress(OSError):
            os.unlink(path)


__all__ = [
    "STATE_FOLDER",
    "Destination",
    "FileState",
    "abandoned_in",
    "check_directory",
    "remove_abandoned",
    "scan",
]
