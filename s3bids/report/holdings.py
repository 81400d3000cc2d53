"""What a data set holds, counted: subjects by datatype and suffix, and sizes by datatype, derivative and session."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ..bids.coverage import RecordingNumbers, bids_suffix
from ..bids.table import name_table, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..bids.layouts import Layout
    from ..bids.table import NameTable

#: Columns of one derivative, or of the raw data: what has more names than that is rarely BIDS, and nobody reads it.
MOST_COLUMNS = 60


class State(StrEnum):
    """What is known of one file of a download."""

    COMPLETE = "complete"
    #: It was downloaded, and is no longer there.
    MISSING = "missing"
    #: It could not be downloaded.
    FAILED = "failed"
    #: It has another size, or other bytes, than what was downloaded.
    CHANGED = "changed"


#: States of files that are not there.
_ABSENT = frozenset({State.MISSING, State.FAILED})


class Column(NamedTuple):
    """One kind of file that a subject may have."""

    #: The derivative's name; None for raw data.
    derivative: str | None
    #: Such as ``anat``; None for files in no datatype folder.
    datatype: str | None
    #: Such as ``T1w``; None for names without one, and for rare ones that were put together.
    suffix: str | None


class Cell(NamedTuple):
    """What one subject has of one kind."""

    #: As :func:`s3bids.bids.coverage.coverage` counts them; of other tools' names each is one.
    recordings: int = 0
    #: Files that are there.
    files: int = 0
    #: Their size, in bytes.
    bytes: int = 0
    missing: int = 0
    failed: int = 0
    changed: int = 0

    def __add__(self, other: tuple[int, ...]) -> Cell:  # type: ignore[override]
        """Add number by number, not one tuple behind the other."""
        return Cell(*(a + b for a, b in zip(self, other, strict=True)))


class Share(NamedTuple):
    """Files and bytes of one part of a data set."""

    #: None is what has no such property: raw data among the derivatives, files of no session among the sessions.
    name: str | None
    files: int
    bytes: int


@dataclass(frozen=True, eq=False)
class Holdings:
    """What a data set holds."""

    #: Raw data first, then the derivatives; sorted.
    columns: tuple[Column, ...]
    #: Sorted.
    subjects: tuple[str, ...]
    #: One a subject: number of the column -> what is there. Columns of which there is nothing are left out.
    cells: tuple[Mapping[int, Cell], ...]
    #: Files that are there, and their bytes.
    total: Share
    #: Those of them that belong to no subject.
    whole_study: Share
    #: The largest first.
    datatypes: tuple[Share, ...]
    derivatives: tuple[Share, ...]
    #: Sorted by name.
    sessions: tuple[Share, ...]


def count_holdings(
    paths: Sequence[str],
    sizes: Sequence[int],
    layout: Layout,
    *,
    subjects: Iterable[str] = (),
    states: Mapping[str, State] | None = None,
) -> Holdings:
    """Count what a data set holds.

    Parameters
    ----------
    paths
        Of the files, relative to the root.
    sizes
        Their sizes in bytes.
    layout
        How the data set is arranged.
    subjects
        Subjects that have a row even if they have no file.
    states
        Path -> state of the files that are not complete. Those that are missing or failed do not count as files.
    """
    table = name_table(paths, layout)
    counts = _Counts(table, subjects)
    if not states:
        for row, size in zip(range(len(table)), sizes, strict=True):
            counts.add(row, size)
        return counts.holdings()
    for row, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        counts.add(row, size, states.get(path, State.COMPLETE))
    return counts.holdings()


class _Slot(NamedTuple):
    """Where a file is counted."""

    #: The numbers of the subject's cell; None for a file of the whole study.
    cell: list[int] | None
    #: Files and bytes: of everything, the datatype, the derivative, the session or the whole study.
    parts: tuple[list[int], ...]
    #: Whether names have no suffix, so that each is a recording of its own.
    is_foreign: bool


class _Counts:
    """Counts in the making."""

    def __init__(self, table: NameTable, subjects: Iterable[str]) -> None:
        self._table = table
        #: Subject -> kind -> the numbers of a cell.
        self.cells: dict[str, dict[Column, list[int]]] = {subject: {} for subject in subjects}
        self._known = {*self.cells, *(folder.subject for folder in table.folders)}
        self._recordings = RecordingNumbers(table)
        self._seen: set[int] = set()
        # Kinds that are counted alike in any folder have one number.
        groups: dict[tuple[str | None, ...], int] = {}
        self._group = [
            groups.setdefault((bids_suffix(kind), kind.get("sub"), kind.get("ses")), len(groups))
            for kind in table.kinds
        ]
        self._slots: dict[tuple[int, int], _Slot] = {}
        self._total = [0, 0]
        self._whole = [0, 0]
        self._by: tuple[dict[str | None, list[int]], ...] = tuple(defaultdict(lambda: [0, 0]) for _ in range(3))

    def add(self, row: int, size: int, state: State = State.COMPLETE) -> None:
        """Count one file."""
        folder, kind = self._table.folder_of[row], self._table.kind_of[row]
        place = folder, self._group[kind]
        slot = self._slots.get(place)
        if slot is None:
            slot = self._slots[place] = self._slot(row)
        cell = slot.cell
        if cell is not None and state is not State.COMPLETE:
            cell[Cell._fields.index(state.value)] += 1
        if state in _ABSENT:
            return
        for part in slot.parts:
            part[0] += 1
            part[1] += size
        if cell is None:
            return
        cell[1] += 1
        cell[2] += size
        recording = self._recordings.number(folder, kind)
        if recording is None:
            return
        if slot.is_foreign:
            cell[0] += 1
        elif recording not in self._seen:
            self._seen.add(recording)
            cell[0] += 1

    def _slot(self, row: int) -> _Slot:
        table = self._table
        folder, kind, subject = table.folder(row), table.kind(row), table.subject(row)
        parts = [self._total, self._by[0][folder.datatype], self._by[1][folder.derivative]]
        # A file at the root may be named after a subject that is not among those that are shown.
        if subject is None or subject not in self._known:
            return _Slot(None, (*parts, self._whole), is_foreign=False)
        suffix, session = bids_suffix(kind), value_of(folder, kind, "ses")
        column = Column(folder.derivative, folder.datatype, suffix)
        cell = self.cells.setdefault(subject, {}).setdefault(column, [0] * len(Cell._fields))
        parts.append(self._by[2][None if session is None else f"ses-{session}"])
        return _Slot(cell, tuple(parts), is_foreign=suffix is None)

    def holdings(self) -> Holdings:
        new_name = self._shortened()
        columns = sorted(set(new_name.values()), key=_column_order)
        number = {column: index for index, column in enumerate(columns)}
        subjects = sorted(self.cells)
        cells: list[dict[int, Cell]] = []
        for subject in subjects:
            row: dict[int, Cell] = {}
            for kind, numbers in self.cells[subject].items():
                column = number[new_name[kind]]
                row[column] = row.get(column, Cell()) + tuple(numbers)
            cells.append(row)
        datatypes, derivatives, sessions = (
            [Share(name, files, size) for name, (files, size) in part.items() if files] for part in self._by
        )
        return Holdings(
            tuple(columns),
            tuple(subjects),
            tuple(cells),
            Share(None, *self._total),
            Share(None, *self._whole),
            tuple(sorted(datatypes, key=_by_size)),
            tuple(sorted(derivatives, key=_by_size)),
            tuple(sorted(sessions, key=lambda share: (share.name is None, share.name or ""))),
        )

    def _shortened(self) -> dict[Column, Column]:
        """Give each kind its column; where a derivative has too many, the rare ones become one."""
        owners: dict[str | None, Counter[Column]] = defaultdict(Counter)
        for row in self.cells.values():
            for kind in row:
                owners[kind.derivative][kind] += 1
        found = {}
        for derivative, kinds in owners.items():
            ranked = [kind for kind, _ in sorted(kinds.items(), key=lambda item: (-item[1], _column_order(item[0])))]
            for rank, kind in enumerate(ranked):
                is_kept = len(kinds) <= MOST_COLUMNS or rank < MOST_COLUMNS - 1
                found[kind] = kind if is_kept else Column(derivative, None, None)
        return found


def _column_order(column: Column) -> tuple[object, ...]:
    """Sort raw data before derivatives, and what has a name before what has none."""
    derivative, datatype, suffix = column
    return derivative or "", datatype is None, datatype or "", suffix is None, suffix or ""


def _by_size(share: Share) -> tuple[int, str]:
    return -share.bytes, share.name or ""


__all__ = ["MOST_COLUMNS", "Cell", "Column", "Holdings", "Share", "State", "count_holdings"]
