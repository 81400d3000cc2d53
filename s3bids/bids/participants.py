"""Participant tables: ``participants.tsv`` of a dataset, and the variants that public studies have.

Every value is text, as it stands in the file: ``01`` keeps its zero and ``n/a`` stays ``n/a``. Only the prefix ``sub-``
of the ids is normalised.
"""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConfigError, ParticipantsError
from .names import subject_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

#: Columns that may hold the ids, the preferred one first; the second is that of the HBN-POD2 derivatives.
_ID_COLUMNS = ("participant_id", "subject_id")


@dataclass(frozen=True, slots=True)
class Participants:
    """A participant table."""

    #: The header, in file order.
    columns: tuple[str, ...]
    #: The lines in file order, each with one value for every column, as in the file.
    rows: tuple[tuple[str, ...], ...]
    #: The subject of each row, with ``sub-``; no id occurs twice.
    ids: tuple[str, ...]
    #: The column that the ids were read from.
    id_column: str

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a data frame of text.

        Returns
        -------
        pandas.DataFrame
            Shape (number of rows, number of columns), in file order, with the ids normalised in their column and
            nothing else changed: ``n/a`` is text here too.
        """
        import pandas as pd

        position = self.columns.index(self.id_column)
        rows = [
            (*row[:position], subject, *row[position + 1 :]) for row, subject in zip(self.rows, self.ids, strict=True)
        ]
        return pd.DataFrame(rows, columns=list(self.columns), dtype=str)


def parse_participants(data: bytes, *, source: str) -> Participants:
    r"""Read a participant table.

    - Cells are separated by tabs, or by commas if the header holds no tab. Quotes have a meaning with commas only.
    - The text is UTF-8, with or without a byte order mark; bytes that are not valid UTF-8 are read as Latin-1.
    - Lines end in LF, CRLF or CR. Blank lines are skipped. The first line that is not blank is the header.
    - The ids are in the column ``participant_id``, or in ``subject_id`` if there is no such column.

    Parameters
    ----------
    data
        The whole file.
    source
        What errors call the table: its address or path.

    Returns
    -------
    Participants
        The table; without rows if the file has a header only.

    Raises
    ------
    ParticipantsError
        If there is no header or no id column; if a line has more or fewer cells than the header, no id, or an id with
        a ``/``; if an id occurs twice; if quotes do not match. The text names the source and the line, counted from 1.

    Examples
    --------
    >>> table = parse_participants(b"participant_id,Age\n01,9.5\nsub-02,n/a\n", source="participants.tsv")
    >>> table.ids
    ('sub-01', 'sub-02')
    >>> table.rows[1]
    ('sub-02', 'n/a')
    """
    lines = _lines(_decode(data), source)
    _, columns = next(lines, (0, ()))
    if not columns:
        raise _error(source, "it is empty, there is no header", "fetch or write it anew")
    id_column = next((name for name in _ID_COLUMNS if name in columns), None)
    if id_column is None:
        raise _error(
            source,
            f"it has no column {' or '.join(_ID_COLUMNS)}, only {', '.join(map(repr, columns))}",
            f"name the column of the ids {_ID_COLUMNS[0]}",
        )
    numbered = list(lines)
    for number, row in numbered:
        _check_width(row, columns, number, source)
    position = columns.index(id_column)
    ids = _ids(((number, row[position]) for number, row in numbered), source)
    return Participants(columns=columns, rows=tuple(row for _, row in numbered), ids=ids, id_column=id_column)


def compare_ids(listed_ids: Iterable[str], table_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """Compare the subjects that a listing shows with those of a participant table.

    Parameters
    ----------
    listed_ids
        Ids of the subject directories, with ``sub-``.
    table_ids
        Ids of the table, with ``sub-``, as :attr:`Participants.ids` has them.

    Returns
    -------
    list of str, list of str
        The ids that only the table has, and those that only the listing has; both sorted.

    Examples
    --------
    >>> compare_ids(["sub-01", "sub-02"], ["sub-03", "sub-01"])
    (['sub-03'], ['sub-02'])
    """
    listed, in_table = set(listed_ids), set(table_ids)
    return sorted(in_table - listed), sorted(listed - in_table)


def _decode(data: bytes) -> str:
    """Return the text with line ends LF."""
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lines(text: str, source: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield number and cells of every line that is not blank; the first decides the separator."""
    # Not str.splitlines: it also splits at characters that Latin-1 and UTF-8 texts may hold inside a cell.
    first = next((line for line in text.split("\n") if line.strip(" ")), "")
    return _tab_separated(text) if "\t" in first else _comma_separated(text, source)


def _tab_separated(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        # A line of tabs alone is not blank: it is a row without an id.
        if line.strip(" "):
            yield number, tuple(line.split("\t"))


def _comma_separated(text: str, source: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    reader = csv.reader(io.StringIO(text), strict=True)
    while True:
        # A quoted cell may hold line ends, so a row is named by the line on which it begins.
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _error(source, f"line {number}: {error}", "correct the quotes of that line") from error
        if cells is None:
            return
        if cells and not (len(cells) == 1 and cells[0].isspace()):
            yield number, tuple(cells)


def _check_width(row: tuple[str, ...], columns: tuple[str, ...], number: int, source: str) -> None:
    if len(row) != len(columns):
        cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
        raise _error(source, f"line {number} has {cells}, the header has {len(columns)}", "correct that line")


def _ids(cells: Iterable[tuple[int, str]], source: str) -> tuple[str, ...]:
    """Return the normalised ids; `cells` gives the line number of each."""
    line_of: dict[str, int] = {}
    for number, cell in cells:
        try:
            subject = subject_label(cell)
        except ConfigError as error:
            raise _error(source, f"line {number}: {error}", "correct that line") from error
        if subject in line_of:
            raise _error(source, f"{subject} is on line {line_of[subject]} and on line {number}", "remove one of them")
        line_of[subject] = number
    return tuple(line_of)


def _error(source: str, cause: str, advice: str) -> ParticipantsError:
    return ParticipantsError(f"cannot read the participant table {source}: {cause}; {advice}")
