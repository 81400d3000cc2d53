"""Which subjects have what: a table of subjects by datatype and suffix."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .table import Kind, NameTable

#: Extensions of files that only describe others.
_DESCRIBING = frozenset({".json", ".bval", ".bvec"})

#: Subject -> ``datatype/suffix`` -> number of recordings.
Recordings = dict[str, dict[str, int]]


class RecordingNumbers:
    """Tells the recordings of a table apart: files of one stem are one, and so are the members of a folder."""

    def __init__(self, table: NameTable) -> None:
        stems: dict[tuple[str, bool, bool], int] = {}
        homes: dict[str, int] = {}
        self._stems = [
            None
            if kind.extension in _DESCRIBING
            else stems.setdefault((kind.stem, kind.has_subject, kind.has_session), len(stems))
            for kind in table.kinds
        ]
        self._homes = [homes.setdefault(folder.recording or folder.path, len(homes)) for folder in table.folders]
        self._width = len(stems)

    def number(self, folder: int, kind: int) -> int | None:
        """Give the number of the recording that a file is of; None for one that only describes others."""
        stem = self._stems[kind]
        return None if stem is None else self._homes[folder] * self._width + stem


def bids_suffix(kind: Kind) -> str | None:
    """Give the suffix of a name that is one of BIDS: other tools' names end in anything."""
    return kind.suffix if kind.has_subject or kind.get("sub") is not None else None


def coverage(table: NameTable, subjects: Iterable[str]) -> Recordings:
    """Count the raw recordings of subjects by datatype and suffix.

    Files of one stem are one recording, and so are the members of a folder such as ``.ds/``; sidecars are none.

    Parameters
    ----------
    table
        The names of a study.
    subjects
        Ids with their prefix. One without files has an empty count.

    Examples
    --------
    >>> from s3bids.bids.layouts import Layout
    >>> from s3bids.bids.table import name_table
    >>> paths = ["sub-1/eeg/sub-1_task-a_eeg.vhdr", "sub-1/eeg/sub-1_task-a_eeg.eeg", "sub-1/eeg/sub-1_task-a_eeg.json"]
    >>> coverage(name_table(paths, Layout.NESTED), ["sub-1", "sub-2"])
    {'sub-1': {'eeg/eeg': 1}, 'sub-2': {}}
    """
    found: Recordings = {subject: {} for subject in subjects}
    suffixes = [bids_suffix(kind) for kind in table.kinds]
    numbers = RecordingNumbers(table)
    seen: set[int] = set()
    for folder_number, kind_number in zip(table.folder_of, table.kind_of, strict=True):
        suffix = suffixes[kind_number]
        folder = table.folders[folder_number]
        if suffix is None or folder.datatype is None or folder.derivative is not None:
            continue
        recording = numbers.number(folder_number, kind_number)
        counts = found.get(folder.subject or "")
        if counts is None or recording is None or recording in seen:
            continue
        seen.add(recording)
        column = f"{folder.datatype}/{suffix}"
        counts[column] = counts.get(column, 0) + 1
    return found


def lacking(found: Recordings, required: Sequence[str]) -> dict[str, list[str]]:
    """Give the subjects that lack something: id -> what they lack.

    Parameters
    ----------
    found
        What :func:`coverage` gives.
    required
        Suffixes (``T1w``), datatypes (``dwi``), or both (``anat/T1w``).

    Raises
    ------
    ConfigError
        If nobody has one of them: names it and the nearest that there are.
    """
    columns = sorted({column for counts in found.values() for column in counts})
    for name in required:
        if not any(_is_meant(column, name) for column in columns):
            words = sorted({*columns, *(part for column in columns for part in column.split("/"))})
            near = difflib.get_close_matches(name, words, 3, 0.5)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise ConfigError(f"no chosen subject has any {name!r}; {hint}There are {', '.join(columns) or 'no files'}")
    missing = {subject: [name for name in required if not _has(counts, name)] for subject, counts in found.items()}
    return {subject: names for subject, names in missing.items() if names}


def _has(counts: Mapping[str, int], name: str) -> bool:
    return any(_is_meant(column, name) for column in counts)


def _is_meant(column: str, name: str) -> bool:
    return name == column or name in column.split("/")
