"""The names of many files as one table: every name is read once, and what many names share is kept once.

A million rows as objects of :mod:`s3bids.bids.names` would take a gigabyte. Here a row is two numbers: its folder, and
its *kind*, which is the name without the subject and the session that the folder says already. A study of a thousand
subjects has a thousand times fewer kinds than files.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import schema
from .names import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .layouts import Layout


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder, and what it says of the files in it."""

    #: Relative to the root of the study, without slashes at its ends; ``""`` is the root.
    path: str
    #: The root of the data set that it belongs to: ``""``, or that of a derivative.
    data_set: str
    #: The number of the folder above; that of the folder that holds the recording, if it is or lies in one; -1 for the
    #: root of a data set.
    parent: int
    #: The subject that the files belong to, such as ``sub-01``; None for files of a whole data set.
    subject: str | None
    #: The derivative's name; None for raw data.
    derivative: str | None
    #: Labels that names in this folder need not repeat, without prefix.
    subject_label: str | None
    session_label: str | None
    datatype: str | None
    #: The path of the recording (``.../x_meg.ds``) that the folder is or lies in, if any.
    recording: str | None


@dataclass(frozen=True, slots=True)
class Kind:
    """What a name says beside the subject and the session of its folder."""

    #: Pairs of short name and value, sorted. Subject and session are here only if they are not the folder's.
    entities: tuple[tuple[str, str], ...]
    suffix: str | None
    extension: str
    #: Whether the name repeats the folder's subject and session.
    has_subject: bool
    has_session: bool
    #: The same without the extension: files of one stem agree in it.
    stem: str

    @property
    def name(self) -> str:
        """The name without the subject and the session of the folder."""
        return self.stem + self.extension.removesuffix("/")

    def get(self, entity: str) -> str | None:
        """Give the value of an entity by its short name."""
        for name, value in self.entities:
            if name == entity:
                return value
        return None


@dataclass(frozen=True, eq=False)
class NameTable:
    """Names as columns: row i is in ``folders[folder_of[i]]`` and of ``kinds[kind_of[i]]``."""

    folders: list[Folder]
    kinds: list[Kind]
    folder_of: Sequence[int]
    kind_of: Sequence[int]
    #: Rows by folder, made when first needed.
    _rows: dict[int, list[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.kind_of)

    def levels(self, folder: int) -> Iterator[int]:
        """Give the folders whose metadata files may apply in a folder: itself, then those above it in the data set."""
        at = self.folders[folder].parent if self.folders[folder].recording else folder
        while at >= 0:
            yield at
            at = self.folders[at].parent

    def folder(self, row: int) -> Folder:
        """Give the folder of a row."""
        return self.folders[self.folder_of[row]]

    def kind(self, row: int) -> Kind:
        """Give the kind of a row."""
        return self.kinds[self.kind_of[row]]

    def rows_in(self, folder: int) -> list[int]:
        """Give the rows directly in one folder."""
        if not self._rows:
            rows = self._rows
            for row, number in enumerate(self.folder_of):
                rows.setdefault(number, []).append(row)
        return self._rows.get(folder, [])

    def subject(self, row: int) -> str | None:
        """Give the subject that a file belongs to: by its folder, else, at the root of a data set, by its name.

        So ``sub-01.html`` beside ``sub-01/`` belongs to sub-01.
        """
        folder = self.folders[self.folder_of[row]]
        if folder.subject is not None or folder.path != folder.data_set:
            return folder.subject
        label = self.kinds[self.kind_of[row]].get("sub")
        return None if label is None else f"sub-{label}"

    def value(self, row: int, name: str) -> str | None:
        """Give what a file's name and folders say: of an entity (short name), ``datatype``, ``suffix``, ``extension``.

        None where they say nothing; subject and session come without their prefixes.
        """
        return value_of(self.folder(row), self.kind(row), name)


def value_of(folder: Folder, kind: Kind, name: str) -> str | None:
    """As :meth:`NameTable.value`, for any file of a kind in a folder."""
    if name == "datatype":
        return folder.datatype
    if name == "suffix":
        return kind.suffix
    if name == "extension":
        return kind.extension or None
    found = kind.get(name)
    if found is None and name == "sub":
        return folder.subject_label
    if found is None and name == "ses":
        return folder.session_label
    return found


def name_table(paths: Iterable[str], layout: Layout) -> NameTable:
    """Read the names of files.

    Parameters
    ----------
    paths
        Keys relative to the root of the study.
    layout
        How raw data and derivatives are arranged.

    Examples
    --------
    >>> from s3bids.bids.layouts import Layout
    >>> table = name_table(["sub-01/anat/sub-01_T1w.json", "sub-02/anat/sub-02_T1w.json"], Layout.NESTED)
    >>> len(table), len(table.kinds), table.subject(1), table.value(1, "suffix")
    (2, 1, 'sub-02', 'T1w')
    """
    return _Builder(layout).build(paths)


class _Builder:
    """A table in the making."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.folders: list[Folder] = []
        self.kinds: list[Kind] = []
        self.numbers: dict[str, int] = {}
        #: Folder -> what names in it begin with: subject and session, the subject alone, the session alone.
        self.starts: list[tuple[str, str, str]] = []
        #: Folder -> the kind of all its files, if it is a recording.
        self.fixed: list[int] = []
        #: One for each way to begin, the last for names that do not: rest of the name -> kind.
        self.known: tuple[dict[str, int], ...] = ({}, {}, {}, {})

    def build(self, paths: Iterable[str]) -> NameTable:
        folder_of, kind_of = array("l"), array("l")
        numbers, starts, fixed, known = self.numbers, self.starts, self.fixed, self.known
        for path in paths:
            place, _, name = path.rpartition("/")
            number = numbers.get(place)
            if number is None:
                number = self.add_path(place)
            kind = fixed[number]
            if kind < 0:
                way = 3
                for candidate, start in enumerate(starts[number]):
                    if start and name.startswith(start):
                        way, name = candidate, name[len(start) :]
                        break
                found = known[way].get(name)
                kind = self.add_kind(way, name) if found is None else found
            folder_of.append(number)
            kind_of.append(kind)
        return NameTable(self.folders, self.kinds, folder_of, kind_of)

    def add_kind(self, way: int, rest: str) -> int:
        # By itself `.h` is a hidden file; behind `sub-01_` it is an extension.
        read = parse(f"_{rest}" if way < len(self.known) - 1 and rest.startswith(".") else rest)
        has_subject, has_session = way in (0, 1), way in (0, 2)
        # If a name has an entity twice, the first counts.
        first = dict(reversed(read.entities))
        for name, is_said in (("sub", has_subject), ("ses", has_session)):
            if is_said:
                first.pop(name, None)
        kind = Kind(
            entities=tuple(sorted(first.items())),
            suffix=read.suffix,
            extension=read.extension,
            has_subject=has_subject,
            has_session=has_session,
            # A recording that is a folder is given with its slash, and has the stem of its sidecars.
            stem=rest.removesuffix("/").removesuffix(read.extension.removesuffix("/")),
        )
        self.kinds.append(kind)
        self.known[way][rest] = len(self.kinds) - 1
        return len(self.kinds) - 1

    def add_path(self, path: str) -> int:
        """Add a folder and those above it, from the top down."""
        number = self.add_folder("") if "" not in self.numbers else self.numbers[""]
        end = -1
        while end < len(path):
            end = path.find("/", end + 1)
            end = len(path) if end < 0 else end
            above = path[:end]
            number = self.add_folder(above) if above not in self.numbers else self.numbers[above]
        return number

    def add_folder(self, path: str) -> int:
        inside = recording_of(path)
        home = path if inside is None else inside.rpartition("/")[0]
        # Any name serves: what is asked here is what the folders say.
        read = parse(f"{home}/x" if home else "x")
        place = self.layout.place(f"{path}/x" if path else "x")
        data_set = "" if place.derivative is None else self.layout.derivative_root(place.derivative)
        above = home if inside is not None else path.rpartition("/")[0]
        starts = _starts(read.subject_folder, read.session_folder)
        self.numbers[path] = len(self.folders)
        self.folders.append(
            Folder(
                path=path,
                data_set=data_set,
                parent=-1 if path in (data_set, "") else self.numbers[above],
                subject=place.subject,
                derivative=place.derivative,
                subject_label=_label(read.subject_folder),
                session_label=_label(read.session_folder),
                datatype=read.datatype,
                recording=inside,
            )
        )
        self.starts.append(starts)
        self.fixed.append(-1 if inside is None else self.recording_kind(starts, inside.rpartition("/")[2]))
        return self.numbers[path]

    def recording_kind(self, starts: tuple[str, str, str], name: str) -> int:
        way = next((n for n, start in enumerate(starts) if start and name.startswith(start)), 3)
        rest = f"{name[len(starts[way]) :] if way < 3 else name}/"
        found = self.known[way].get(rest)
        return self.add_kind(way, rest) if found is None else found


def _starts(subject: str | None, session: str | None) -> tuple[str, str, str]:
    # A name is cut at its underscores, so none repeats the whole label of a folder that has one.
    subject, session = (None if name and "_" in name else name for name in (subject, session))
    one, other = f"{subject}_" if subject else "", f"{session}_" if session else ""
    return (one + other if one and other else "", one, other)


def _label(folder: str | None) -> str | None:
    return None if folder is None else folder.partition("-")[2]


def recording_of(path: str) -> str | None:
    """Give the outermost folder of a path that counts as one file, such as ``.../sub-01_meg.ds``; None if none does.

    >>> recording_of("sub-01/meg/sub-01_meg.ds/deep")
    'sub-01/meg/sub-01_meg.ds'
    """
    if "." not in path:
        return None
    parts = path.split("/")
    for depth, part in enumerate(parts):
        # As names.parse has it: a hidden folder is no recording.
        if not part.startswith(".") and any(part.endswith(e[:-1]) for e in schema.directory_extensions()):
            return "/".join(parts[: depth + 1])
    return None


def rows_of_subjects(table: NameTable, subjects: Iterable[str]) -> Iterator[int]:
    """Give the rows of files that belong to some subjects."""
    wanted = set(subjects)
    by_folder = [folder.subject in wanted for folder in table.folders]
    roots = {n for n, folder in enumerate(table.folders) if folder.path == folder.data_set}
    for row, number in enumerate(table.folder_of):
        if by_folder[number] or (number in roots and table.subject(row) in wanted):
            yield row
