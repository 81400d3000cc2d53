"""Whether what is to come fits on the disk: asked before the first request, so that nobody waits for a day in vain."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..display import size_text
from ..errors import ConfigError, DestinationError

if TYPE_CHECKING:
    from pathlib import Path

    from .plan import Plan


_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,3})?)([KMGT]?)(?:i?B)?", re.IGNORECASE | re.ASCII)


def parse_size(text: str) -> int:
    """Read a number of bytes, such as 500M or 1.5G; K, M, G and T are powers of 1,024.

    >>> parse_size("1.5K")
    1536
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is no size; write for example 500M or 50G")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


@dataclass(frozen=True)
class Free:
    """What is free on a file system for whoever asks; None: the file system does not tell, or has no such limit."""

    #: Bytes.
    bytes: int | None
    #: Files that can still be made.
    files: int | None


def free_space(directory: Path) -> Free:
    """Ask for the free space of a directory that exists. A quota is not in it: no call tells of quotas everywhere."""
    try:
        found = os.statvfs(directory)
    except (OSError, AttributeError):
        # Some network file systems and Windows do not tell; a full disk then shows when it is written to.
        return Free(None, None)
    # File systems that make inodes as they need them say that there are none.
    return Free(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)


class SpaceCheck:
    """Compare what is planned, part by part, with what was free at the beginning.

    Parameters
    ----------
    directory
        The root of the download, which exists.
    reserve
        Bytes that are to stay free.
    """

    def __init__(self, directory: Path, reserve: int) -> None:
        self._directory, self._reserve = directory, reserve
        self._free = free_space(directory)
        self._bytes = self._files = 0

    def take(self, plan: Plan, files: int) -> None:
        """Take in a part of the plan, with the number of files that it fetches.

        Raises
        ------
        DestinationError
            If all parts so far do not fit; its cause is an OSError with ENOSPC.
        """
        # What an unfinished file holds is on the disk already.
        self._bytes += plan.bytes_to_fetch - sum(partial.bytes for partial in plan.partials.values())
        self._files += files
        free = self._free
        if free.bytes is not None and self._bytes > free.bytes - self._reserve:
            reserve = f", of which {size_text(self._reserve)} are to stay free (reserve)" if self._reserve else ""
            coming = f"at least {size_text(self._bytes)} are to come"
            self._refuse(f"{coming}, and {size_text(free.bytes)} are free{reserve}")
        if free.files is not None and self._files > free.files:
            self._refuse(
                f"at least {self._files:,} files are to come, and there is room for {free.files:,} more (inodes)"
            )

    def _refuse(self, why: str) -> None:
        cause = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise DestinationError(
            f"cannot download to {self._directory}: {why}; free some, choose less, or name another directory"
        ) from cause


__all__ = ["Free", "SpaceCheck", "free_space", "parse_size"]
