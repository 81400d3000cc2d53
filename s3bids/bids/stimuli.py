"""The stimuli that events name: files in ``stimuli/`` at the root of a data set.

BIDS specification, "Task events": the column ``stim_file`` holds paths relative to ``stimuli/``, and every file that it
names must exist.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .table import NameTable

FOLDER = "stimuli"
_COLUMN = "stim_file"
_LINES = re.compile(r"\r\n|\n|\r")


def tables_with_stimuli(table: NameTable, rows: Iterable[int]) -> list[int]:
    """Give those rows that may name stimuli, if their data set has any."""
    with_stimuli = {
        folder.data_set
        for folder in table.folders
        if folder.path == (f"{folder.data_set}/{FOLDER}" if folder.data_set else FOLDER)
    }
    return [
        row
        for row in sorted(rows)
        if table.folder(row).data_set in with_stimuli
        and table.kind(row).suffix in ("events", "beh")
        and table.kind(row).extension == ".tsv"
    ]


def stimulus_rows(table: NameTable, contents: Mapping[int, bytes], path_of: Callable[[int], str]) -> set[int]:
    """Give the rows of the stimuli that some tables name.

    Parameters
    ----------
    table
        All names; stimuli that it lacks are not missed.
    contents
        The tables: row -> bytes.
    path_of
        Gives the path of a row, relative to the root of the study.
    """
    wanted = set()
    for row, data in contents.items():
        data_set = table.folder(row).data_set
        start = f"{data_set}/{FOLDER}/" if data_set else f"{FOLDER}/"
        wanted |= {start + name for name in stimulus_names(data)}
    if not wanted:
        return set()
    return {row for row in range(len(table)) if table.folder(row).subject is None and path_of(row) in wanted}


def stimulus_names(data: bytes) -> set[str]:
    r"""Give what a table of events says in its column ``stim_file``.

    >>> sorted(stimulus_names(b"onset\tstim_file\n0\ta.png\n1\tn/a\n2\tb/c.png\n"))
    ['a.png', 'b/c.png']
    """
    rows = [line.split("\t") for line in _LINES.split(data.decode("utf-8", errors="replace"))]
    header = [cell.strip() for cell in rows[0]]
    if _COLUMN not in header:
        return set()
    column = header.index(_COLUMN)
    cells = {row[column].strip() for row in rows[1:] if len(row) > column}
    return {cell.removeprefix("./") for cell in cells if cell not in ("", "n/a")}
