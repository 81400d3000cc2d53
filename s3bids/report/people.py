"""The participant table beside the holdings: its columns, and the distributions of age and sex."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bids.participants import Participants

#: Columns that a page shows; phenotype tables have hundreds.
MOST_COLUMNS = 30
#: Characters of one value that a page shows.
MOST_CHARACTERS = 120
#: Bars of a histogram, at most.
MOST_BINS = 24
#: Widths of the bars of a histogram, each ten times as large as the third before it.
_WIDTHS = (1, 2, 5)
_UNKNOWN = frozenset({"", "n/a", "na", "nan", "none"})
_AGE_NAMES = ("age", "age_at_scan", "age_years", "age_at_first_scan")
_SEX_NAMES = ("sex", "gender")


@dataclass(frozen=True)
class Ages:
    """The distribution of a column of ages, in the unit of the table (BIDS recommends years)."""

    #: The column's number.
    column: int
    #: Lower limit of the first bar, and the width of each.
    start: float
    width: float
    #: Subjects in each bar.
    counts: tuple[int, ...]
    low: float
    median: float
    high: float
    #: Subjects without an age.
    unknown: int


@dataclass(frozen=True)
class Sexes:
    """The values of a column of sexes, as they stand in the table."""

    #: The column's number.
    column: int
    #: Value and number of subjects, the most frequent first; None stands for ``n/a`` and is last.
    counts: tuple[tuple[str | None, int], ...]


@dataclass(frozen=True, eq=False)
class People:
    """What a participant table says of the subjects of a page."""

    columns: tuple[str, ...]
    #: One a subject of the page: a value for each column; None for a subject that the table does not have.
    rows: tuple[tuple[str, ...] | None, ...]
    #: Columns of the table that are left out here.
    left_out: int
    #: Subjects of the table that the page does not have.
    only_in_table: tuple[str, ...]
    ages: Ages | None
    sexes: Sexes | None


def people_of(table: Participants, subjects: Sequence[str]) -> People:
    """Give what a participant table says of some subjects, in their order."""
    position = table.columns.index(table.id_column)
    kept = [index for index in range(len(table.columns)) if index != position]
    shown = kept[:MOST_COLUMNS]
    by_id = dict(zip(table.ids, table.rows, strict=True))
    rows = tuple(
        tuple(by_id[subject][index][:MOST_CHARACTERS] for index in shown) if subject in by_id else None
        for subject in subjects
    )
    columns = tuple(table.columns[index] for index in shown)
    known = [row for row in rows if row is not None]
    here = set(subjects)
    return People(
        columns,
        rows,
        len(kept) - len(shown),
        tuple(subject for subject in table.ids if subject not in here),
        _ages(columns, known),
        _sexes(columns, known),
    )


def number_of(text: str) -> float | None:
    """Read a number of a participant table; ``89+``, as ages are capped, is 89; None if it is none.

    >>> number_of("9.5"), number_of("89+"), number_of("n/a"), number_of("inf")
    (9.5, 89.0, None, None)
    """
    try:
        value = float(text.strip().removesuffix("+"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _ages(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Ages | None:
    column = _named(columns, _AGE_NAMES)
    if column is None:
        return None
    values = [value for row in rows if (value := number_of(row[column])) is not None]
    if not values:
        return None
    low, high = min(values), max(values)
    width = _bin_width(high - low)
    start = math.floor(low / width) * width
    counts = [0] * (int((high - start) / width) + 1)
    for value in values:
        counts[int((value - start) / width)] += 1
    return Ages(column, start, width, tuple(counts), low, median(values), high, len(rows) - len(values))


def _bin_width(spread: float) -> float:
    """Give the smallest round width with which few enough bars cover a spread."""
    scale = 1.0
    while True:
        for width in _WIDTHS:
            if spread / (width * scale) <= MOST_BINS - 1:
                return width * scale
        scale *= 10


def _sexes(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Sexes | None:
    column = _named(columns, _SEX_NAMES)
    if column is None:
        return None
    found = Counter(None if row[column].strip().lower() in _UNKNOWN else row[column].strip() for row in rows)
    counts = sorted(found.items(), key=lambda item: (item[0] is None, -item[1], item[0] or ""))
    return Sexes(column, tuple(counts)) if any(value is not None for value in found) else None


def _named(columns: Sequence[str], names: Sequence[str]) -> int | None:
    """Find the column of one of some names, the first of the names first."""
    lower = [column.strip().lower() for column in columns]
    return next((lower.index(name) for name in names if name in lower), None)


__all__ = ["Ages", "People", "Sexes", "number_of", "people_of"]
