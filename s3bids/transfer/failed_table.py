"""What could not be downloaded as a table for people: ``.s3bids/failed.tsv``, made out of the manifest."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..storage.files import atomic_file
from .manifest import STATE_FOLDER, read_failures

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

#: Its name in the folder of our records.
NAME = "failed.tsv"
_COLUMNS = ("key", "target", "reason", "attempts")


def write_failed(directory: Path, *, has_failed: bool) -> None:
    """Write the table of all that failed and has not come since; remove it where that is nothing.

    The manifest is what counts: where this cannot be written, that is warned of.

    Parameters
    ----------
    has_failed
        Whether something failed just now; if not, and there is no table, the manifest need not be read again.
    """
    path = directory / STATE_FOLDER / NAME
    try:
        if not has_failed and not path.exists():
            return
        failures = read_failures(directory).values()
        if not failures:
            path.unlink(missing_ok=True)
            return
        rows = (_COLUMNS, *((each.key, each.target, each.reason, str(each.attempts)) for each in failures))
        with atomic_file(path) as file:
            file.writelines(f"{chr(9).join(map(_cell, row))}\n".encode() for row in rows)
    except OSError as error:
        logger.warning("cannot write %s (%s); the manifest has what failed", path, error.strerror or error)


def _cell(text: str) -> str:
    """Give a text without what would end a cell or a line."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


__all__ = ["NAME", "write_failed"]
