"""What a file needs beside itself: the Inheritance Principle, companions, and what counts as one file.

The Inheritance Principle (BIDS specification, "Common principles"): a metadata file applies to a data file if it lies
in the same folder or in one above it up to the root of the data set, has the same suffix, and has no entity that the
data file lacks or has with another value. Labels are compared whole, indices as numbers, and the extension not at all.

Companions have another suffix: the events of a task, the channels of a recording, the labels of a series of ASL. Their
table follows ``meta.associations`` of the BIDS schema; the schema leaves out what has no rule for validators (``stim``,
``blood``, ``headshape`` ...), so it stands here. Companions are listed, never guessed: what is not there is not missed.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from . import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .table import Folder, Kind, NameTable

#: Extensions of files that may apply to others.
METADATA = frozenset({".json", ".tsv", ".tsv.gz", ".bval", ".bvec"})
_JSON = frozenset({".json"})

_RECORDINGS = ("eeg", "emg", "ieeg", "meg", "nirs", "motion")
_FIELDMAPS = ("phasediff", "phase1", "phase2", "fieldmap", "magnitude", "magnitude1", "magnitude2")

#: Suffix of a data file -> suffixes of what goes with it.
_COMPANIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_RECORDINGS, ("channels", "electrodes", "optodes", "coordsystem", "headshape", "markers")),
    "electrodes": ("coordsystem",),
    "optodes": ("coordsystem",),
    "asl": ("aslcontext", "m0scan", "asllabeling"),
    "pet": ("blood",),
    **{suffix: tuple(other for other in _FIELDMAPS if other != suffix) for suffix in _FIELDMAPS},
}
#: What goes with every file that has at least its entities: the events and measurements of a run; and the tables that
#: say when a subject was there and what was scanned.
_OF_ALL = ("events", "physio", "physioevents", "stim", "scans", "sessions")
#: Suffix -> entities that a companion may have beyond those of its data file.
_FREE: dict[str, frozenset[str]] = {
    "physio": frozenset({"recording"}),
    "physioevents": frozenset({"recording"}),
    "stim": frozenset({"recording"}),
    "blood": frozenset({"recording"}),
    "electrodes": frozenset({"space"}),
    "coordsystem": frozenset({"space"}),
    "headshape": frozenset({"space", "acq"}),
    "markers": frozenset({"acq"}),
}
#: Files that are no data: nothing goes with them but their own metadata.
_NO_DATA = frozenset({*_OF_ALL, "channels", "coordsystem", "description", "participants", "samples"})
#: Companions that are JSON files themselves.
_JSON_COMPANIONS = frozenset({"coordsystem", "description"})
_COMPANION_SUFFIXES = frozenset(name for names in _COMPANIONS.values() for name in names)
#: Values of ``acq`` that name files of the scanner, which all recordings of an Elekta/Neuromag system need.
_MEG_FILES = ("calibration", "crosstalk")
#: Extensions of files that are one recording if they have one stem.
_SETS = (frozenset({".vhdr", ".vmrk", ".eeg"}), frozenset({".set", ".fdt"}))

#: Root files that every copy needs (BIDS specification, "Modality agnostic files"; ``.bidsignore`` is the validator's).
_ESSENTIAL = frozenset(
    {"dataset_description.json", "CHANGES", "CITATION.cff", "participants.tsv", "participants.json", ".bidsignore"}
)
_ESSENTIAL_TEXTS = ("README", "LICENSE")
_TEXT_EXTENSIONS = ("", ".md", ".rst", ".txt")
_SAMPLES = ("samples.tsv", "samples.json")


def is_essential(name: str) -> bool:
    """Say whether a file at the root of a data set comes with every part of it.

    >>> is_essential("README.md"), is_essential("CHANGES"), is_essential("task-rest_bold.json")
    (True, True, False)
    """
    return name in _ESSENTIAL or any(
        name.startswith(text) and name.removeprefix(text) in _TEXT_EXTENSIONS for text in _ESSENTIAL_TEXTS
    )


class Sidecars:
    """The files of a study by what they may be needed for.

    Folders of many subjects hold the same kinds of files, so a question is answered once for all of them.

    Parameters
    ----------
    table
        All names that may be needed; what it lacks is not missed.

    Examples
    --------
    >>> from s3bids.bids.layouts import Layout
    >>> from s3bids.bids.table import name_table
    >>> paths = ["task-nap_bold.json", "task-rest_bold.json", "sub-1/func/sub-1_task-rest_bold.nii.gz"]
    >>> [paths[row] for row in sorted(Sidecars(name_table(paths, Layout.NESTED)).needed([2]))]
    ['task-rest_bold.json', 'sub-1/func/sub-1_task-rest_bold.nii.gz']
    """

    def __init__(self, table: NameTable) -> None:
        self._table = table
        self._roles = [_Role(kind) for kind in table.kinds]
        self._levels: dict[int, _Level] = {}
        self._known_levels: dict[tuple[int, ...], _Level] = {}
        self._answers: dict[tuple[object, ...], list[tuple[int, int]]] = {}
        self._rows_by_kind: dict[int, dict[int, int]] = {}
        #: Recording -> its members.
        self._members: dict[str, list[int]] = {}

    def needed(self, rows: Iterable[int]) -> set[int]:
        """Give the rows that some rows need, themselves included.

        Metadata files of every level, companions and their metadata files, the other members of recordings that are
        folders, and the other files of sets; not the essential files at the root.
        """
        table = self._table
        found = set(rows)
        chosen: dict[int, set[int]] = defaultdict(set)
        recordings: dict[str, int] = {}
        folder_of, kind_of = table.folder_of, table.kind_of
        places = [folder.recording for folder in table.folders]
        for row in found:
            folder = folder_of[row]
            place = places[folder]
            if place is None:
                chosen[folder].add(kind_of[row])
            elif place not in recordings:
                recordings[place] = kind_of[row]
                chosen[table.folders[folder].parent].add(kind_of[row])
        for place in recordings:
            found.update(self._recording(place))
        for folder, kinds in chosen.items():
            found.update(self._needed_in(folder, kinds))
        return found

    def metadata(self, row: int, extensions: frozenset[str] = _JSON) -> list[int]:
        """Give the rows of the metadata files that apply to a file, the highest level first: lower ones override them.

        Parameters
        ----------
        extensions
            Out of :data:`METADATA`. Default: JSON files.
        """
        table = self._table
        role = self._roles[table.kind_of[row]]
        found: list[int] = []
        for folder in table.levels(table.folder_of[row]):
            applicable = set(self._level(folder).metadata_of(role, table.folder(row)))
            rows = self._rows_of(folder)
            # BIDS allows one at each level. Where there are more, the one that says most counts most.
            order = sorted(applicable, key=lambda kind: (-len(table.kinds[kind].entities), rows[kind]))
            found += [rows[n] for n in order if table.kinds[n].extension in extensions and rows[n] != row]
        return found[::-1]

    def _needed_in(self, folder: int, kinds: set[int]) -> Iterator[int]:
        """Give the rows, in a folder and those above it, that some kinds of files in it need."""
        table = self._table
        # The nearest level always counts: sets of files are looked for in it.
        levels = [number for number in table.levels(folder) if number == folder or self._level(number).is_useful]
        contents = tuple(id(self._level(number)) for number in levels)
        place = table.folders[folder]
        has_own = any(self._level(n).has_own for n in levels) or any(self._roles[kind].has_own for kind in kinds)
        labels = (place.subject_label, place.session_label) if has_own else ()
        key = (contents, frozenset(kinds), labels)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = list(self._answer([self._level(n) for n in levels], kinds, place))
        for depth, kind in answer:
            row = self._rows_of(levels[depth]).get(kind)
            if row is not None:
                yield row

    def _answer(self, levels: list[_Level], kinds: set[int], place: Folder) -> Iterator[tuple[int, int]]:
        """Give depth and kind of what is needed, and of what that needs."""
        at_hand = [(0, kind) for kind in kinds]
        found = set(at_hand)
        while at_hand:
            depth, number = at_hand.pop()
            role = self._roles[number]
            for above in range(depth, len(levels)):
                for other in levels[above].needed(role, place, same_folder=above == depth):
                    if (above, other) not in found:
                        found.add((above, other))
                        at_hand.append((above, other))
        yield from found

    def _level(self, folder: int) -> _Level:
        found = self._levels.get(folder)
        if found is None:
            kind_of, roles = self._table.kind_of, self._roles
            rows = () if self._table.folders[folder].recording else self._table.rows_in(folder)
            content = tuple(kind for row in rows if roles[kind := kind_of[row]].is_candidate)
            found = self._known_levels.get(content)
            if found is None:
                found = self._known_levels[content] = _Level({kind: self._roles[kind] for kind in content})
            self._levels[folder] = found
        return found

    def _rows_of(self, folder: int) -> dict[int, int]:
        found = self._rows_by_kind.get(folder)
        if found is None:
            kind_of = self._table.kind_of
            found = self._rows_by_kind[folder] = {kind_of[row]: row for row in self._table.rows_in(folder)}
        return found

    def _recording(self, place: str) -> list[int]:
        if not self._members:
            places = [folder.recording for folder in self._table.folders]
            for row, folder in enumerate(self._table.folder_of):
                name = places[folder]
                if name is not None:
                    self._members.setdefault(name, []).append(row)
        return self._members[place]


def essential_rows(table: NameTable, rows: Iterable[int]) -> set[int]:
    """Give the rows of the essential files at the roots of the data sets that some rows belong to.

    With samples, their table as well.
    """
    with_samples: dict[str, bool] = defaultdict(bool)
    sampled = bytearray(kind.get("sample") is not None for kind in table.kinds)
    sets = [folder.data_set for folder in table.folders]
    for row in rows:
        with_samples[sets[table.folder_of[row]]] |= bool(sampled[table.kind_of[row]])
    found = set()
    for number, folder in enumerate(table.folders):
        if folder.path != folder.data_set or folder.path not in with_samples:
            continue
        for row in table.rows_in(number):
            name = table.kind(row).name
            if is_essential(name) or (with_samples[folder.path] and name in _SAMPLES):
                found.add(row)
    return found


class _Role:
    """What one kind of file may be needed for, and what it needs."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        indices = schema.index_entities()
        self.entities = tuple((name, _index(value) if name in indices else value) for name, value in kind.entities)
        self.is_metadata = kind.extension in METADATA
        self.is_companion = _is_companion(kind)
        self.extensions = next((names for names in _SETS if kind.extension in names), frozenset[str]())
        self.is_scanner_file = kind.suffix == "meg" and kind.get("acq") in _MEG_FILES
        self.is_candidate = self.is_metadata or self.is_companion or bool(self.extensions) or self.is_scanner_file
        #: True if its name has a subject or session that its folder does not say.
        self.has_own = any(name in ("sub", "ses") for name, _ in kind.entities)
        self.wanted = _companion_suffixes(kind)


def _is_companion(kind: Kind) -> bool:
    if kind.extension == ".json":
        # The JSON file of a companion comes with the companion, if there is one.
        return kind.suffix in _JSON_COMPANIONS
    if kind.suffix in _OF_ALL:
        return kind.extension in (".tsv", ".tsv.gz")
    return kind.suffix in _COMPANION_SUFFIXES


def _index(value: str) -> str:
    """Take the zeros in front off a number: ``run-01`` and ``run-1`` are one run."""
    return value.lstrip("0") or "0" if value.isdecimal() else value


def _companion_suffixes(kind: Kind) -> frozenset[str]:
    if kind.suffix is None or kind.extension == ".json":
        return frozenset()
    own = set(_COMPANIONS.get(kind.suffix, ()))
    if kind.get("atlas") is not None:
        own.add("description")
    return frozenset(own if kind.suffix in _NO_DATA else {*own, *_OF_ALL} - {kind.suffix})


#: Names of entities -> entities -> numbers of kinds.
_Groups = dict[tuple[str, ...], dict[tuple[tuple[str, str], ...], list[int]]]


class _Level:
    """The files of one folder that may be needed, by suffix and entities."""

    def __init__(self, roles: dict[int, _Role]) -> None:
        self._roles = roles
        self._metadata: dict[str | None, _Groups] = {}
        self._companions: dict[str, _Groups] = {}
        self._own = [number for number, role in roles.items() if role.has_own]
        self._sets: dict[tuple[str, bool, bool], list[int]] = {}
        self._scanner_files = [number for number, role in roles.items() if role.is_scanner_file]
        for number, role in roles.items():
            self._add(number, role)

    @property
    def is_useful(self) -> bool:
        """Whether files in folders below may need something here."""
        return bool(self._metadata or self._companions or self._own)

    @property
    def has_own(self) -> bool:
        """Whether the answer depends on the subject and the session that are asked for."""
        return bool(self._own)

    def _add(self, number: int, role: _Role) -> None:
        kind = role.kind
        if role.extensions:
            self._sets.setdefault((kind.stem, kind.has_subject, kind.has_session), []).append(number)
        if role.has_own:
            return
        if role.is_metadata and kind.suffix is not None:
            _insert(self._metadata.setdefault(kind.suffix, {}), role.entities, number)
        if role.is_companion and kind.suffix is not None:
            free = _FREE.get(kind.suffix, frozenset())
            entities = tuple(pair for pair in role.entities if pair[0] not in free)
            _insert(self._companions.setdefault(kind.suffix, {}), entities, number)

    def needed(self, role: _Role, place: Folder, *, same_folder: bool) -> Iterator[int]:
        """Give the kinds here that a file in this folder or below needs."""
        yield from self.metadata_of(role, place)
        if role.wanted:
            for suffix in role.wanted & self._companions.keys() if not role.has_own else ():
                yield from self._matching(self._companions[suffix], role)
            for number in self._unusual(role):
                other = self._roles[number]
                if other.is_companion and other.kind.suffix in role.wanted and _applies(other, role, place):
                    yield number
        if not same_folder:
            return
        if role.extensions:
            kind = role.kind
            members = self._sets.get((kind.stem, kind.has_subject, kind.has_session), ())
            yield from (number for number in members if self._roles[number].extensions == role.extensions)
        if role.kind.suffix == "meg":
            yield from self._scanner_files

    def metadata_of(self, role: _Role, place: Folder) -> Iterator[int]:
        """Give the metadata files here that apply to a file in this folder or below."""
        suffix = role.kind.suffix
        if suffix in self._metadata and not role.has_own:
            yield from self._matching(self._metadata[suffix], role)
        for number in self._unusual(role):
            other = self._roles[number]
            if other.is_metadata and other.kind.suffix == suffix and _applies(other, role, place, free=False):
                yield number

    def _unusual(self, role: _Role) -> Iterable[int]:
        """Give the files whose whole names have to be compared with that of a file."""
        return self._roles if role.has_own else self._own

    def _matching(self, groups: _Groups, role: _Role) -> Iterator[int]:
        kind = role.kind
        for names, by_entities in groups.items():
            entities = role.entities
            if len(names) < len(entities):
                entities = tuple(pair for pair in entities if pair[0] in names)
            for number in by_entities.get(entities, ()):
                other = self._roles[number].kind
                # What the name of the metadata file repeats of its folder, the name of the data file must have too.
                if other.has_subject <= kind.has_subject and other.has_session <= kind.has_session:
                    yield number


def _insert(groups: _Groups, entities: tuple[tuple[str, str], ...], number: int) -> None:
    names = tuple(name for name, _ in entities)
    groups.setdefault(names, {}).setdefault(entities, []).append(number)


def _applies(other: _Role, role: _Role, place: Folder, *, free: bool = True) -> bool:
    """Compare whole names, where the subject or session stands in an unusual place."""
    left_out = _FREE.get(other.kind.suffix or "", frozenset()) if free else frozenset()
    mine = set(_whole(role, place))
    return all(pair in mine for pair in _whole(other, place) if pair[0] not in left_out)


def _whole(role: _Role, place: Folder) -> Iterator[tuple[str, str]]:
    yield from role.entities
    if role.kind.has_subject:
        yield "sub", place.subject_label or ""
    if role.kind.has_session:
        yield "ses", place.session_label or ""
