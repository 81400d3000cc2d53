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
from .verify import file_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from .manifest import Record

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
    #: Unfinished files of processes that are gone.
    abandoned: tuple[Path, ...] = ()


def scan(
    directory: Path,
    targets: Sequence[str],
    must_hash: Callable[[int, FileState, Record | None], bool],
    *,
    leave_out: Container[int] = (),
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
    """
    records = read_records(directory)
    by_folder: dict[str, list[int]] = defaultdict(list)
    for index, target in enumerate(targets):
        if index not in leave_out:
            by_folder[target.rpartition("/")[0]].append(index)
    files: dict[str, FileState] = {}
    abandoned: list[Path] = []
    to_hash = []
    for folder, indices in by_folder.items():
        present = _entries(directory / folder, abandoned)
        for index in indices:
            target = targets[index]
            path = directory / target
            if path.name not in present:
                continue
            files[target] = state = _state(path)
            if must_hash(index, state, records.get(target)):
                to_hash.append(target)
    files.update(_hashed(directory, files, to_hash))
    return Destination(files, records, tuple(abandoned))


def _entries(folder: Path, abandoned: list[Path]) -> set[str]:
    """Give the names in a folder, and note the unfinished files of processes that are gone."""
    try:
        names = set(os.listdir(folder))  # noqa: PTH208 - names are all that is needed
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            # The transfer of this one file says so.
            return set()
        raise DestinationError(f"cannot look into {folder}: {error.strerror}; check its permissions") from error
    abandoned.extend(folder / name for name in names if is_part(name) and is_abandoned(name))
    return names


def _state(path: Path) -> FileState:
    try:
        found = path.stat()
    except OSError:
        # A link that leads nowhere: somebody's own, and never the object.
        found = path.lstat()
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


def remove_abandoned(paths: Iterable[Path]) -> None:
    """Remove unfinished files that no process is writing any more."""
    for path in paths:
        with suppress(OSError):
            path.unlink()


__all__ = ["STATE_FOLDER", "Destination", "FileState", "check_directory", "remove_abandoned", "scan"]
