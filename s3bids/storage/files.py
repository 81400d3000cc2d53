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
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import DestinationError
from .base import check_writable_key, directory_prefix
from .concurrency import in_threads
from .transfers import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .base import Piece
    from .transfers import ProgressCallback

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


@dataclass(frozen=True)
class Together:
    """How the files of a folder are uploaded."""

    #: Files at once.
    workers: int = 1
    #: Only files smaller than this, in bytes; the others go one by one, after them.
    below: int = 0


def upload_with(
    upload_file: Callable[[Path, str, Progress], str],
    path: str | os.PathLike[str],
    key: str,
    ignore: Iterable[str],
    *,
    progress_callback: ProgressCallback | None = None,
    together: Together = Together(),
) -> str | list[str]:
    """Upload a file under `key`, or a folder's files below it. All keys are checked before the first byte is sent.

    Parameters
    ----------
    upload_file
        Stores one file under one key, counts its bytes in a progress and returns the key.
    ignore
        Parts of a path that are left out.
    progress_callback
        Told of the whole folder.
    """
    if isinstance(ignore, str):
        raise TypeError(f"ignore is several names, not one text: {ignore!r}")
    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(f"cannot upload {source}: there is no such file or folder")
    is_folder = source.is_dir()
    if not is_folder and not source.is_file():
        raise ValueError(f"cannot upload {source}: it is neither a file nor a folder")
    start = directory_prefix(key)
    files = (
        {f"{start}{name}": file for name, file in folder_files(source, tuple(ignore))} if is_folder else {key: source}
    )
    for name in files:
        check_writable_key(name)
    sizes = {name: file.stat().st_size for name, file in files.items()}
    progress = Progress(progress_callback, sum(sizes.values()))
    small = [name for name in files if sizes[name] < together.below] if together.workers > 1 else []
    in_threads(lambda name: upload_file(files[name], name, progress), small, workers=together.workers)
    for name in sorted(files.keys() - set(small)):
        upload_file(files[name], name, progress)
    progress.end()
    return sorted(files) if is_folder else key


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


@contextmanager
def private_folder(parent: Path | None = None) -> Iterator[Path]:
    """Make a folder that nobody else uses, and remove it with all it holds, whatever happens.

    Parameters
    ----------
    parent
        Where. Default: the system's directory for temporary files (``TMPDIR``).
    """
    # Not above: they take a tenth of the time that the command line may take to start.
    import shutil
    import tempfile

    try:
        folder = Path(tempfile.mkdtemp(prefix=".s3bids-", dir=parent))
    except OSError as error:
        where = parent or "the directory for temporary files (TMPDIR)"
        raise DestinationError(
            f"cannot make a folder in {where}: {error.strerror or error}; check the permissions and the room there"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@cache
def _token(pid: int) -> str:
    """Give eight random hexadecimal digits for this process; a forked one asks with another number, and gets others."""
    del pid
    return os.urandom(4).hex()


@cache
def _host() -> str:
    """Give eight hexadecimal digits for this computer: short, and without characters a file name cannot have."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"
