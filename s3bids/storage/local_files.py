"""What the local emulation asks of the file system, and what its errors mean."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AccessDeniedError, KeyClashError, KeyRefusedError, ObjectNotFoundError, StorageError
from .base import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Iterator


def info(key: str, stat: os.stat_result) -> ObjectInfo:
    """Give what the file system says of an object."""
    return ObjectInfo(key, stat.st_size, None, datetime.fromtimestamp(stat.st_mtime, UTC))


def is_text(name: str) -> bool:
    """Say whether a file name can be a key: S3 keys are UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def remove_empty_below(directory: Path, *, keep: Path) -> None:
    """Remove a directory and those below it that hold nothing; `keep` stays."""
    for folder, _, _ in os.walk(directory, topdown=False):
        if Path(folder) != keep:
            # It has content, or another thread was faster.
            with suppress(OSError):
                Path(folder).rmdir()


@contextmanager
def translating(operation: str, location: str, key: str) -> Iterator[None]:
    """Turn the operating system's errors into ours."""
    try:
        yield
    except StorageError:
        raise
    except IsADirectoryError:
        raise
    except OSError as error:
        # Without a number it is not the operating system's: whoever writes an object may have lost what he writes.
        if error.errno is None:
            raise
        raise translate(error, f"cannot {operation} {location}/{key}") from error


def translate(error: OSError, what: str) -> Exception:
    """Give our error for one of the operating system; `what` was being done."""
    if isinstance(error, PermissionError):
        return AccessDeniedError(f"{what}: access denied; check the permissions of {error.filename or 'the directory'}")
    if isinstance(error, FileExistsError | NotADirectoryError):
        return KeyClashError(f"{what}: a part of the key is a file already, which cannot also be a directory here")
    if isinstance(error, FileNotFoundError):
        return ObjectNotFoundError(f"{what}: it has just been removed")
    if error.errno == errno.ENAMETOOLONG:
        return KeyRefusedError(f"{what}: a part of the key is too long for a file name")
    return StorageError(f"{what}: {error.strerror or error}")


__all__ = ["info", "is_text", "remove_empty_below", "translate", "translating"]
