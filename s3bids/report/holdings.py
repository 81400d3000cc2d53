"""What a data set holds, counted: subjects by datatype and suffix, and sizes by datatype, derivative and session."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ..bids.names import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..bids.layouts import Layout, Place
    from ..bids.names import BIDSName

#: Columns of one derivative, or of the raw data: what has more names than that is rarely BIDS, and nobody reads it.
MOST_COLUMNS = 60
#: Extensions of the files that describe a recording and are none themselves.
_SIDECARS = frozenset({".json", ".bval", ".bvec"})


class State(StrEnum):
    """What is known of one file of a download."""

    COMPLETE = "complete"
    #: It was downloaded, and is no longer there.
    MISSING = "missing"
    #: It could not be downloaded.
    FAILED = "failed"
    #: It has another size, or other bytes, than what was downloaded.
    CHANGED = "changed"


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

    #: Names that differ in more than the extension, sidecars alone not counted.
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
        Of the files, relative to the root; sorted.
    sizes
        Their sizes in bytes.
    layout
        How the data set is arranged.
    subjects
        Subjects that have a row even if they have no file.
    states
        Path -> state of the files that are not complete. Those that are missing or failed do not count as files.
    """
    counts = _Counts(layout, states or {})
    for subject in subjects:
        counts.cells.setdefault(subject, {})
    for path, size in zip(paths, sizes, strict=True):
        counts.add(path, size)
    return counts.holdings()


class _Counts:
    """Counts in the making."""

    def __init__(self, layout: Layout, states: Mapping[str, State]) -> None:
        self._layout = layout
        self._states = states
        self._folders: dict[str, tuple[Place, BIDSName]] = {}
        self._last: dict[tuple[str, Column], object] = {}
        #: Subject -> kind -> the numbers of a cell.
        self.cells: dict[str, dict[Column, list[int]]] = {}
        self._total = [0, 0]
        self._whole = [0, 0]
        self._by: tuple[dict[str | None, list[int]], ...] = tuple(defaultdict(lambda: [0, 0]) for _ in range(3))

    def add(self, path: str, size: int) -> None:
        place, above, name = self._read(path)
        session = name.session or above.session
        state = self._states.get(path, State.COMPLETE)
        if place.subject is not None:
            kind = Column(place.derivative, above.datatype, _suffix(name))
            recording = (session, name.entities, name.suffix) if kind.suffix else path
            self._add_to_cell(place.subject, kind, None if name.extension in _SIDECARS else recording, size, state)
        if state in (State.MISSING, State.FAILED):
            return
        parts = [self._total, self._by[0][above.datatype], self._by[1][place.derivative]]
        parts.append(self._whole if place.subject is None else self._by[2][session])
        for part in parts:
            part[0] += 1
            part[1] += size

    def _read(self, path: str) -> tuple[Place, BIDSName, BIDSName]:
        """Give the place of a file, what its folders say and what its name says; folders are read once."""
        slash = path.rfind("/") + 1
        folder = path[:slash]
        known = self._folders.get(folder)
        if known is None:
            # Any name serves: the folders are what is read here.
            known = self._folders[folder] = (self._layout.place(path), parse(f"{folder}x.txt"))
        place, above = known
        is_recording = above.extension.endswith("/")
        return place, above, above if is_recording else parse(path[slash:])

    def _add_to_cell(self, subject: str, kind: Column, recording: object, size: int, state: State) -> None:
        """Count a file; `recording` tells files of different recordings apart, and is None for a sidecar."""
        numbers = self.cells.setdefault(subject, {}).setdefault(kind, [0] * len(Cell._fields))
        if state is not State.COMPLETE:
            numbers[Cell._fields.index(state.value)] += 1
        if state in (State.MISSING, State.FAILED):
            return
        numbers[1] += 1
        numbers[2] += size
        # Names are sorted, so files of one recording follow each other.
        if recording is not None and self._last.get((subject, kind)) != recording:
            self._last[subject, kind] = recording
            numbers[0] += 1

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
            [Share(name, files, size) for name, (files, size) in part.items()] for part in self._by
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


def _suffix(name: BIDSName) -> str | None:
    """Give the suffix of a name that is one of BIDS: other tools' names end in anything."""
    return name.suffix if any(entity == "sub" for entity, _ in name.entities) else None


def _column_order(column: Column) -> tuple[object, ...]:
    """Sort raw data before derivatives, and what has a name before what has none."""
    derivative, datatype, suffix = column
    return derivative or "", datatype is None, datatype or "", suffix is None, suffix or ""


def _by_size(share: Share) -> tuple[int, str]:
    return -share.bytes, share.name or ""


__all__ = ["MOST_COLUMNS", "Cell", "Column", "Holdings", "Share", "State", "count_holdings"]
