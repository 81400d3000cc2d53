"""Files that metadata name: fieldmaps and what they are for, by ``IntendedFor`` and by ``B0FieldIdentifier``.

BIDS specification, "Fieldmap data": a fieldmap names the images that it is for (``IntendedFor``), or it and they share
a word (``B0FieldIdentifier``, ``B0FieldSource``). Metadata are what the JSON files say that apply by the Inheritance
Principle; whoever calls has to read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .sidecars import METADATA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .sidecars import Sidecars
    from .table import NameTable

    #: Reads JSON files by their rows; what cannot be read is left out.
    Reader = Callable[[Sequence[int]], Mapping[int, Mapping[str, Any]]]

#: Keys whose values name files of the data set (BIDS schema, ``rules.checks.references``).
LINKS = ("IntendedFor", "AssociatedEmptyRoom")
_URI = "bids:"


def link_targets(value: object, *, data_set: str, subject: str | None) -> dict[str, tuple[str, ...]]:
    """Give where the items of a link may lead: item -> paths relative to the root of the study, one of which is meant.

    Parameters
    ----------
    value
        A text or a list of texts. Anything else names nothing.
    data_set
        The root of the data set that the metadata belong to, relative to that of the study.
    subject
        The subject that they belong to, with its prefix: old links are relative to its folder, those of iEEG to the
        root of the data set.

    Returns
    -------
    dict
        A link into another data set (``bids:name:path``) leads to no path.

    Examples
    --------
    >>> link_targets(["ses-1/func/x.nii", "bids::sub-1/y.nii"], data_set="", subject="sub-1")
    {'ses-1/func/x.nii': ('sub-1/ses-1/func/x.nii', 'ses-1/func/x.nii'), 'bids::sub-1/y.nii': ('sub-1/y.nii',)}
    """
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    start = f"{data_set}/" if data_set else ""
    found: dict[str, tuple[str, ...]] = {}
    for item in items:
        if not isinstance(item, str):
            continue
        if item.startswith(_URI):
            name, _, path = item.removeprefix(_URI).partition(":")
            found[item] = () if name else (start + path.lstrip("/"),)
            continue
        path = item.removeprefix("./").lstrip("/")
        below = (f"{start}{subject}/{path}",) if subject else ()
        found[item] = (*below, start + path)
    return found


def fieldmap_rows(
    table: NameTable, rows: Iterable[int], path_of: Callable[[int], str], sidecars: Sidecars, read: Reader
) -> set[int]:
    """Give the rows of the fieldmaps for some files; what these need in turn is not among them.

    Parameters
    ----------
    table
        All names of the subjects that the files belong to.
    rows
        The files.
    path_of
        Gives the path of a row, relative to the root of the study.
    sidecars
        Of the same table.
    read
        Reads JSON files. Those of the fieldmaps of the same subjects are asked for; those of the files; and, if these
        name sources by ``B0FieldSource``, those of all images of the subjects.
    """
    chosen = [row for row in rows if table.subject(row) is not None]
    owners = {_owner(table, row) for row in chosen}
    images = [
        row
        for row in range(len(table))
        if table.kind(row).extension not in METADATA and _owner(table, row) in owners and table.kind(row).suffix
    ]
    fieldmaps = [row for row in images if table.folder(row).datatype == "fmap"]
    metadata = _Metadata(sidecars, read)
    metadata.load([*fieldmaps, *chosen])
    paths = {path_of(row) for row in chosen} | {place for row in chosen if (place := table.folder(row).recording)}
    found = {row for row in fieldmaps if _is_for(table, row, metadata.of(row), paths)}
    sources = {(_owner(table, row), word) for row in chosen for word in _words(metadata.of(row).get("B0FieldSource"))}
    if sources:
        metadata.load(images)
        for row in images:
            words = _words(metadata.of(row).get("B0FieldIdentifier"))
            if any((_owner(table, row), word) in sources for word in words):
                found.add(row)
    return found


def _owner(table: NameTable, row: int) -> tuple[str, str | None]:
    return table.folder(row).data_set, table.subject(row)


def _is_for(table: NameTable, row: int, metadata: Mapping[str, Any], paths: set[str]) -> bool:
    data_set, subject = _owner(table, row)
    targets = link_targets(metadata.get("IntendedFor"), data_set=data_set, subject=subject)
    return any(path in paths for candidates in targets.values() for path in candidates)


def _words(value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


class _Metadata:
    """Metadata of files, from JSON files that are read once each."""

    def __init__(self, sidecars: Sidecars, read: Reader) -> None:
        self._sidecars = sidecars
        self._read = read
        self._files: dict[int, Mapping[str, Any]] = {}
        self._asked: set[int] = set()
        self._levels: dict[int, list[int]] = {}

    def load(self, rows: Iterable[int]) -> None:
        """Read the JSON files that apply to some files."""
        for row in rows:
            if row not in self._levels:
                self._levels[row] = self._sidecars.metadata(row)
        wanted = {file for files in self._levels.values() for file in files} - self._asked
        self._asked |= wanted
        if wanted:
            self._files.update(self._read(sorted(wanted)))

    def of(self, row: int) -> dict[str, Any]:
        """Give the metadata of a file; lower levels override higher ones."""
        found: dict[str, Any] = {}
        for file in self._levels.get(row, ()):
            found.update(self._files.get(file, {}))
        return found
