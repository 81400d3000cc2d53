"""Local files: writing them whole or not at all, and walking folders.

A file is written under a temporary name in its own folder and renamed at the end, so that a final name is absent, old
or complete at every moment. The temporary name says which process on which computer writes it: no two processes share
one, and what a killed process left can be told from what a living one is writing.
"""

from __future__ import annotations

import os
import re
import socket
import zlib
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from .base import directory_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .base import Piece

_PART = re.compile(r"\.s3bids-(?P<host>[0-9a-f]{8})-(?P<pid>\d+|free)-\d+-[0-9a-f]{8}\.part")
_numbers = count()


def part_name() -> str:
    """Give a temporary file name that no other process, thread or computer uses."""
    return f".s3bids-{_host()}-{os.getpid()}-{next(_numbers)}-{_token(os.getpid())}.part"


def free_part_name() -> str:
    """Give a name for an unfinished file that nobody is writing and that anybody may go on with."""
    return f".s3bids-{_host()}-free-{next(_numbers)}-{os.urandom(4).hex()}.part"


def is_part(name: str) -> bool:
    """Say whether a file name is one of ours for an unfinished file.

    >>> is_part(".s3bids-0123abcd-4711-0-89abcdef.part"), is_part("sub-01_T1w.nii.gz")
    (True, False)
    """
    return name.endswith(".part") and _PART.fullmatch(name) is not None


def is_abandoned(name: str) -> bool:
    """Say whether a temporary file was given up, or belongs to a process of this computer that no longer runs.

    Another computer's processes cannot be seen from here: theirs count as alive.
    """
    match = _PART.fullmatch(name)
    if match is None:
        return False
    if match["pid"] == "free":
        return True
    # On Windows os.kill would end the process instead of asking for it.
    if match["host"] != _host() or os.name == "nt":
        return False
    pid = int(match["pid"])
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when the block ends well.

    Parents are made. If the block raises, the temporary file goes, and so do the parents that were made for it. The
    mode of the file follows the umask.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"cannot write the file {target}: a directory has that name")
    made = make_parents(target)
    part = target.parent / part_name()
    try:
        with part.open("xb") as file:
            yield file
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        remove_empty(made)
        raise


def make_parents(path: Path) -> list[Path]:
    """Make the parents of a file and return those that were missing, the deepest first; a failure leaves none."""
    missing = []
    for parent in path.parents:
        if parent.exists():
            break
        missing.append(parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        remove_empty(missing)
        raise
    return missing


def remove_empty(directories: list[Path]) -> None:
    """Remove directories, the deepest first; one that has content stays."""
    for directory in directories:
        with suppress(OSError):
            directory.rmdir()


def folder_files(folder: Path, ignore: tuple[str, ...]) -> list[tuple[str, Path]]:
    """List a folder's files as (path with ``/`` relative to the folder, path), sorted.

    Paths with a component named in `ignore`, and unfinished files, are left out.
    """
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not set(parts) & set(ignore) and not is_part(path.name):
            found.append(("/".join(parts), path))
    return sorted(found)


def upload_with(
    upload_file: Callable[[Path, str], str], path: str | os.PathLike[str], key: str, ignore: tuple[str, ...]
) -> str | list[str]:
    """Upload a file under `key`, or a folder's files below it, one by one.

    Parameters
    ----------
    upload_file
        Stores one file under one key and returns the key.
    ignore
        Parts of a path that are left out.
    """
    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(f"cannot upload {source}: there is no such file or folder")
    if source.is_file():
        return upload_file(source, key)
    start = directory_prefix(key)
    return [upload_file(file, f"{start}{name}") for name, file in folder_files(source, ignore)]


def save(pieces: Iterable[Piece], path: str | os.PathLike[str], *, overwrite: bool) -> str:
    """Write pieces to a file, whole or not at all.

    Without `overwrite` an existing file stays, and no piece is asked for.
    """
    if not overwrite and Path(path).is_file():
        return str(path)
    with atomic_file(path) as file:
        for piece in pieces:
            file.write(piece)
    return str(path)


@cache
def _token(pid: int) -> str:
    """Give eight random hexadecimal digits for this process; a forked one asks with another number, and gets others."""
    del pid
    return os.urandom(4).hex()


@cache
def _host() -> str:
    """Give eight hexadecimal digits for this computer: short, and without characters a file name cannot have."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"
