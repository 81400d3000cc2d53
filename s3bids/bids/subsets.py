"""Subsets that validate: tables and links cut down to the files that are there. From bytes to bytes.

Rows are taken out of the text as it stands: encoding, separators, line ends and quotes of what stays are untouched.
"""

from __future__ import annotations

import csv
import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .links import LINKS, link_targets
from .names import subject_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
#: A byte order mark, as Latin-1 shows it.
_MARK = "\xef\xbb\xbf"
_ID_COLUMNS = ("participant_id", "subject_id")


class Kind(StrEnum):
    """What a file lists, and so how it is cut down."""

    #: ``participants.tsv``, tables in ``phenotype/``: rows of subjects.
    SUBJECTS = "subjects"
    #: ``*_sessions.tsv``: rows of sessions.
    SESSIONS = "sessions"
    #: ``*_scans.tsv``: rows of files.
    SCANS = "scans"
    #: JSON that may link to other files.
    LINKS = "links"


def kind_of(path: str) -> Kind | None:
    """Say how a file of a subset is cut down, by its path relative to the root of its data set; None: not at all.

    >>> kind_of("phenotype/ace.tsv"), kind_of("sub-1/sub-1_scans.tsv"), kind_of("sub-1/anat/sub-1_T1w.nii.gz")
    (<Kind.SUBJECTS: 'subjects'>, <Kind.SCANS: 'scans'>, None)
    """
    folder, _, name = path.rpartition("/")
    if (folder == "" and name == "participants.tsv") or (folder == "phenotype" and name.endswith(".tsv")):
        return Kind.SUBJECTS
    if name.endswith("_sessions.tsv"):
        return Kind.SESSIONS
    if name.endswith("_scans.tsv"):
        return Kind.SCANS
    return Kind.LINKS if name.endswith(".json") and "/" in path else None


def trimmed(data: bytes, path: str, *, data_set: str, subject: str | None, is_there: Callable[[str], bool]) -> bytes:
    """Cut a file down to what is there.

    Parameters
    ----------
    data
        The whole file.
    path
        Relative to the root of its data set.
    data_set
        The root of the data set, relative to that of the study.
    subject
        The subject that the file belongs to, if any.
    is_there
        Says whether a file or folder is part of the subset, by its path relative to the root of the study.

    Returns
    -------
    bytes
        The very same bytes if nothing has to go, or if the file is none of those that :func:`kind_of` knows, or cannot
        be read: what is damaged in the source stays so.
    """
    start = f"{data_set}/" if data_set else ""
    folder = path.rpartition("/")[0]
    place = f"{start}{folder}/" if folder else start
    match kind_of(path):
        case Kind.SUBJECTS:
            return trim_table(data, _ID_COLUMNS, lambda cell: _is_subject_there(cell, start, is_there))
        case Kind.SESSIONS:
            return trim_table(data, ("session_id",), lambda cell: is_there(f"{place}ses-{cell.removeprefix('ses-')}"))
        case Kind.SCANS:
            return trim_table(data, ("filename",), lambda cell: is_there(place + cell.removeprefix("./")))
        case Kind.LINKS:
            return trim_links(data, data_set=data_set, subject=subject, is_there=is_there)
        case None:
            return data


def _is_subject_there(cell: str, start: str, is_there: Callable[[str], bool]) -> bool:
    try:
        return is_there(start + subject_label(cell))
    except ConfigError:
        # A row without an id belongs to nobody.
        return False


def trim_table(data: bytes, columns: tuple[str, ...], keep: Callable[[str], bool]) -> bytes:
    r"""Take rows out of a table.

    Parameters
    ----------
    data
        The table, with tabs, or with commas if its header holds no tab.
    columns
        Names of the column that decides; the first that the table has counts. A table without any of them stays.
    keep
        Says of a cell in this column whether its row stays.

    Examples
    --------
    >>> trim_table(b"participant_id\tage\r\nsub-1\t8\r\nsub-2\t9\r\n", ("participant_id",), "sub-2".__eq__)
    b'participant_id\tage\r\nsub-2\t9\r\n'
    """
    # Each byte is one character of Latin-1, so what stays comes back as it was. The cells are read again as UTF-8.
    text = data.decode("latin-1")
    lines = _LINES.findall(text)
    first = next((line for line in lines if line.strip()), "")
    try:
        records = list(_records(lines, "\t" if "\t" in first else ","))
    except csv.Error:
        return data
    header = next((number for number, (cells, _) in enumerate(records) if any(cell.strip() for cell in cells)), None)
    if header is None:
        return data
    names = [cell.removeprefix(_MARK).strip() for cell in records[header][0]]
    column = next((names.index(name) for name in columns if name in names), None)
    if column is None:
        return data
    kept = [written for _, written in records[: header + 1]]
    # A blank line is no row, and a row that is too short has no cell to decide by.
    kept += [
        written
        for cells, written in records[header + 1 :]
        if len(cells) <= column or not any(map(str.strip, cells)) or keep(_as_text(cells[column]).strip())
    ]
    return "".join(kept).encode("latin-1")


def _records(lines: list[str], separator: str) -> Iterator[tuple[list[str], str]]:
    """Yield the cells of each row with the text that they stand in, which may be several lines."""
    if separator == "\t":
        yield from ((line.rstrip("\r\n").split("\t"), line) for line in lines)
        return
    reader = csv.reader(iter(lines), strict=True)
    start = 0
    for cells in reader:
        yield cells, "".join(lines[start : reader.line_num])
        start = reader.line_num


def _as_text(cell: str) -> str:
    raw = cell.encode("latin-1")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return cell


def trim_links(data: bytes, *, data_set: str, subject: str | None, is_there: Callable[[str], bool]) -> bytes:
    """Drop links to files that are not there from a JSON file: ``IntendedFor`` and ``AssociatedEmptyRoom``.

    A link none of whose items is left is dropped with its key.
    """
    if not any(f'"{name}"'.encode() in data for name in LINKS):
        return data
    try:
        found: Any = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return data
    if not isinstance(found, dict):
        return data
    is_changed = False
    for name in LINKS:
        targets = link_targets(found.get(name), data_set=data_set, subject=subject)
        gone = {item for item, paths in targets.items() if paths and not any(map(is_there, paths))}
        if not gone:
            continue
        is_changed = True
        value = found[name]
        left = [item for item in value if item not in gone] if isinstance(value, list) else []
        if left:
            found[name] = left
        else:
            del found[name]
    return (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode() if is_changed else data
