"""The file that a transfer makes: a temporary name in the target's folder, then the final name.

Paths are text here: objects of pathlib cost more than the system calls, and small files are many.
"""

from __future__ import annotations

import filecmp
import os
from typing import TYPE_CHECKING

from ..storage.files import part_name
from .plan import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..storage.base import Piece
    from .plan import Transfer

#: Bytes that are copied at a time.
_BLOCK_BYTES = 1024 * 1024
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class IsConflict(Exception):  # noqa: N818 - a signal inside this room
    """The file turned out to be somebody's own."""


def part_beside(target: str) -> str:
    """Give a temporary path in the target's folder that nobody else uses."""
    return target[: target.rfind("/") + 1] + part_name()


def create(path: str) -> int:
    """Make a file, and its folder if that is missing: for most files it is there, so it is not asked for."""
    try:
        return os.open(path, _FLAGS, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, _FLAGS, 0o666)


def write(file: int, piece: Piece) -> None:
    """Write a piece; the operating system may take it in parts."""
    written = os.write(file, piece)
    while written < len(piece):
        written += os.write(file, memoryview(piece)[written:])


def copy_beginning(source: str, part: str, size: int, check_stop: Callable[[], None]) -> None:
    """Copy the first bytes of a file over those of another, or all that it has."""
    with open(source, "rb") as existing, open(part, "r+b") as copy:
        left = size
        while left and (data := existing.read(min(_BLOCK_BYTES, left))):
            check_stop()
            copy.write(data)
            left -= len(data)


def write_at(file: int, piece: Piece, position: int) -> None:
    """Write a piece at a position; several threads may do so at once."""
    written = os.pwrite(file, piece, position)
    while written < len(piece):
        written += os.pwrite(file, memoryview(piece)[written:], position + written)


def take_name(part: str, target: str, transfer: Transfer) -> None:
    """Give the finished file its name, unless somebody has put a file of their own there since the plan was made."""
    if transfer.action is Action.FETCH and os.path.lexists(target) and not _is_same(part, target):
        raise IsConflict("a file with other bytes has appeared during the download")
    os.replace(part, target)


def _is_same(part: str, target: str) -> bool:
    # Another process may fetch the same object into the same place: then both have the same bytes.
    return os.path.isfile(target) and filecmp.cmp(part, target, shallow=False)


def remove(path: str) -> None:
    """Remove a temporary file; one that is gone already is no error."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


__all__ = ["IsConflict", "copy_beginning", "create", "part_beside", "remove", "take_name", "write", "write_at"]
