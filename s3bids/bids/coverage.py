"""Which subjects have what: a table of subjects by datatype and suffix."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .table import NameTable

#: Extensions of files that only describe others.
_DESCRIBING = frozenset({".json", ".bval", ".bvec"})

#: Subject -> ``datatype/suffix`` -> number of recordings.
Coverage = dict[str, dict[str, int]]


def coverage(table: NameTable, subjects: Iterable[str]) -> Coverage:
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
    found: Coverage = {subject: {} for subject in subjects}
    columns = [None if kind.extension in _DESCRIBING else kind.suffix for kind in table.kinds]
    seen: set[tuple[object, ...]] = set()
    for folder_number, kind_number in zip(table.folder_of, table.kind_of, strict=True):
        suffix = columns[kind_number]
        folder = table.folders[folder_number]
        if suffix is None or folder.datatype is None or folder.derivative is not None:
            continue
        kind = table.kinds[kind_number]
        stem = (folder.recording or folder.path, kind.stem, kind.has_subject, kind.has_session)
        counts = found.get(folder.subject or "")
        if counts is None or stem in seen:
            continue
        seen.add(stem)
        column = f"{folder.datatype}/{suffix}"
        counts[column] = counts.get(column, 0) + 1
    return found


def lacking(found: Coverage, required: Sequence[str]) -> dict[str, list[str]]:
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
