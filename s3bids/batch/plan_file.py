"""A plan as a file, which many processes read in parts.

The file is gzip around JSON lines. The first is the header: version of the format, where the study is, how to reach it
(no secrets), what was chosen, and by which version of s3bids. Then one line an object. It may come from anybody: every
field is checked, and a target that leads out of the directory is refused by the download.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from array import array
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..bids.layouts import Layout
from ..errors import ConfigError
from ..storage.files import atomic_file
from ..transfer.plan import Wanted
from ..transfer.refusals import refusals
from .frozen import Access, FrozenPlan
from .names import Names, meetings
from .shards import assign

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from .shards import Shard

#: What the header calls the format, and its version; other versions are not read.
KIND = "s3bids plan"
VERSION = 1
#: Longest line: a key has at most 1,024 bytes, which JSON may write in six times as many, and comes with its target.
_MOST_LINE = 64 * 1024
#: Longest header: it says what was chosen, which may be many thousands of subjects or paths.
_MOST_HEADER = 64 * 1024 * 1024
#: Longest key and target: no file system takes longer paths, and S3 no key of more than 1,024 bytes.
_MOST_NAME = 4096
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
#: What a download writes where a derivative has none.
_DESCRIPTION = "dataset_description.json"
#: A little larger than the best, and several times as fast.
_COMPRESSION = 4

_HEADER_TYPES: dict[str, tuple[type, ...]] = {
    "study": (str,),
    "location": (str,),
    "prefix": (str,),
    "layout": (str,),
    "selection": (list,),
    "storage": (dict,),
    "tool": (str,),
    "time": (float, int),
    "files": (int,),
    "bytes": (int,),
}
_ROW_TYPES: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("key", (str,)),
    ("size", (int,)),
    ("etag", (str, type(None))),
    ("version", (str, type(None))),
    ("modified", (float, int, type(None))),
    ("target", (str,)),
    ("subject", (str, type(None))),
)
_SIZE, _VERSION, _TARGET, _SUBJECT = 1, 3, 5, 6
#: A row as it is mostly written: JSON that means what stands there, and passes every check of :func:`_checked_row`.
_PLAIN = re.compile(
    rb'\{"key":"[ !#-\[\]-~]{1,4096}","size":(0|[1-9]\d{0,17}),"etag":(?:null|"[ !#-\[\]-~]*"),'
    rb'"version":(?:null|("[ !#-\[\]-~]*")),"modified":(?:null|(?:0|[1-9]\d{0,14})(?:\.\d{1,9})?),'
    rb'"target":"([ !#-\[\]-~]{0,4096})","subject":(?:null|"([ !#-\[\]-~]*)")\}\n?'
)


def save_plan(plan: FrozenPlan, path: str | os.PathLike[str]) -> None:
    """Write a plan to a file, whole or not at all; what was there is replaced."""
    with atomic_file(path) as file, gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0) as lines:
        lines.write(_ENCODE(_header(plan)).encode() + b"\n")
        for row in _rows(plan):
            lines.write(_ENCODE(row).encode() + b"\n")


def _header(plan: FrozenPlan) -> dict[str, Any]:
    return {
        "kind": KIND,
        "version": VERSION,
        "tool": plan.tool,
        "time": plan.time,
        "study": plan.study,
        "location": plan.location,
        "prefix": plan.prefix,
        "layout": plan.layout,
        "storage": asdict(plan.access),
        "selection": list(plan.selection),
        "undescribed": dict(plan.undescribed),
        "files": len(plan),
        "bytes": plan.bytes,
    }


def _rows(plan: FrozenPlan) -> Iterator[dict[str, Any]]:
    wanted = plan.wanted
    versions = wanted.versions or [None] * len(wanted)
    columns = (wanted.keys, wanted.sizes, wanted.etags, versions, wanted.modified, wanted.targets, plan.subjects)
    names = [name for name, _ in _ROW_TYPES]
    for values in zip(*columns, strict=True):
        row = dict(zip(names, values, strict=True))
        if math.isnan(row["modified"]):
            row["modified"] = None
        yield row


def read_plan(path: str | os.PathLike[str], *, shard: Shard | None = None) -> FrozenPlan:
    """Read a plan from its file, or one part of it.

    Parameters
    ----------
    path
        What :func:`save_plan` wrote.
    shard
        Only this part, the same that ``read_plan(path).shard(shard)`` gives, in little more memory than the part
        takes: the file is read twice. All of it is checked, so every part of a plan is refused where the whole is.

    Raises
    ------
    ConfigError
        If it is no plan, is damaged, or has another version.
    """
    try:
        with Path(path).open("rb") as file, gzip.GzipFile(fileobj=file) as lines:
            if shard is not None and shard.count > 1 and file.seekable():
                return _read_part(lines, path, shard)
            plan = _read(lines, path)
            return plan if shard is None else plan.shard(shard)
    except gzip.BadGzipFile as error:
        raise ConfigError(f"{path} is no plan: {error}; make one with s3bids plan STUDY --save") from error
    except (EOFError, zlib.error) as error:
        raise ConfigError(f"the plan {path} is damaged: {error}; make it anew, or copy it again") from error
    except OSError as error:
        raise ConfigError(f"cannot read the plan {path}: {error.strerror or error}; check its name") from error


class _Columns:
    """Rows of a plan, column by column."""

    def __init__(self) -> None:
        self._columns: tuple[Any, ...] = ([], array("q"), [], [], array("d"), [], [])
        self._subjects: dict[str | None, str | None] = {}

    def add(self, values: Sequence[Any]) -> None:
        """Add a row as :func:`_checked_row` gives it."""
        key, size, etag, version, modified, target, subject = values
        seconds = math.nan if modified is None else float(modified)
        row = (key, size, etag, version, seconds, target, self._subjects.setdefault(subject, subject))
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)

    def plan(self, header: dict[str, Any], *, has_versions: bool, part: Shard | None = None) -> FrozenPlan:
        """Give the plan of these rows."""
        keys, sizes, etags, versions, modified_at, targets, subjects = self._columns
        return FrozenPlan(
            header["study"],
            header["location"],
            header["prefix"],
            Layout(header["layout"]),
            Access(**header["storage"]),
            tuple(header["selection"]),
            header["tool"],
            header["time"],
            Wanted(keys, targets, sizes, etags, modified_at, versions if has_versions else ()),
            subjects,
            tuple(header.get("undescribed", {}).items()),
            part,
        )


def _read(lines: gzip.GzipFile, path: object) -> FrozenPlan:
    """Read the whole."""
    header = _checked_header(_parsed(lines.readline(_MOST_HEADER), path, 1), path)
    columns = _Columns()
    files = size = 0
    has_versions = False
    for number, line in _numbered(lines, path, header):
        values = _checked_row(_parsed(line, path, number), path, number)
        columns.add(values)
        files, size, has_versions = files + 1, size + values[_SIZE], has_versions or values[_VERSION] is not None
    _require_whole(header, path, files, size)
    return columns.plan(header, has_versions=has_versions)


@dataclass
class _Survey:
    """What of a whole plan decides which row is in which shard: a few bytes a row."""

    sizes: array[int] = field(default_factory=lambda: array("q"))
    subjects: list[str | None] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    has_versions: bool = False


def _read_part(lines: gzip.GzipFile, path: object, shard: Shard) -> FrozenPlan:
    """Read once what decides which rows are in the part, and once more these rows alone."""
    header = _checked_header(_parsed(lines.readline(_MOST_HEADER), path, 1), path)
    survey = _surveyed(lines, path, header)
    found = assign(survey.sizes, survey.subjects, shard.count)
    suspects = survey.names.suspects()
    has_versions = survey.has_versions
    del survey
    moved = {}
    if suspects:
        # They may have to move here from another part, or from here to another one.
        targets = (values[_TARGET] for values in _chosen(lines, path, suspects))
        moved = meetings(dict(zip(suspects, targets, strict=True)))
    rows = [row for row in range(header["files"]) if found[moved.get(row, row)] == shard.number - 1]
    columns = _Columns()
    for values in _chosen(lines, path, rows):
        columns.add(values)
    return columns.plan(header, has_versions=has_versions, part=shard)


def _surveyed(lines: gzip.GzipFile, path: object, header: dict[str, Any]) -> _Survey:
    """Check every row, and keep what decides."""
    survey = _Survey()
    subjects: dict[str | None, str | None] = {}
    for number, line in _numbered(lines, path, header):
        plain = _PLAIN.fullmatch(line)
        if plain is None:
            values = _checked_row(_parsed(line, path, number), path, number)
            size, version, target, subject = (values[place] for place in (_SIZE, _VERSION, _TARGET, _SUBJECT))
        else:
            size, version, target, subject = int(plain[1]), plain[2], plain[3].decode(), plain[4]
            subject = None if subject is None else subject.decode()
        survey.sizes.append(size)
        survey.subjects.append(subjects.setdefault(subject, subject))
        survey.names.add(target)
        survey.has_versions = survey.has_versions or version is not None
    _require_whole(header, path, len(survey.sizes), sum(survey.sizes))
    return survey


def _numbered(lines: gzip.GzipFile, path: object, header: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Give the lines behind the header with their numbers, as many as it says: there may be no end of them."""
    number = 1
    while line := lines.readline(_MOST_LINE):
        number += 1
        if number - 1 > header["files"]:
            raise ConfigError(f"{path}, line {number}: more objects than the header says; make the plan anew")
        yield number, line


def _require_whole(header: dict[str, Any], path: object, files: int, size: int) -> None:
    if (files, size) != (header["files"], header["bytes"]):
        raise ConfigError(
            f"the plan {path} is cut short: {files:,} of {header['files']:,} objects; make it anew, or copy it again"
        )


def _chosen(lines: gzip.GzipFile, path: object, rows: Sequence[int]) -> Iterator[list[Any]]:
    """Read some rows once more, in their order."""
    lines.seek(0)
    lines.readline(_MOST_HEADER)
    before = -1
    for row in rows:
        # What lies between was checked before.
        line = next(islice(lines, row - before - 1, None), b"")
        yield _checked_row(_parsed(line, path, row + 2), path, row + 2)
        before = row


def _parsed(line: bytes, path: object, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        what = "is no plan" if number == 1 else f"is damaged in line {number}"
        raise ConfigError(f"{path} {what}; make one with s3bids plan STUDY --save")
    return found


def _checked_header(header: dict[str, Any], path: object) -> dict[str, Any]:
    if header.get("kind") != KIND:
        raise ConfigError(f"{path} is no plan; make one with s3bids plan STUDY --save")
    if header.get("version") != VERSION:
        raise ConfigError(
            f"the plan {path} has version {header.get('version')!r} (written by {header.get('tool')!r}), and this "
            f"s3bids {__version__} reads version {VERSION}; make it anew with the s3bids that is to fetch it"
        )
    for name, kinds in _HEADER_TYPES.items():
        if type(header.get(name)) not in kinds:
            raise ConfigError(f"{path}, line 1: {name!r} is {header.get(name)!r}; make the plan anew")
    if header["layout"] not in list(Layout) or not all(isinstance(word, str) for word in header["selection"]):
        raise ConfigError(f"{path}, line 1: the layout or the selection makes no sense; make the plan anew")
    if not _is_time(header["time"]):
        raise ConfigError(f"{path}, line 1: 'time' is {header['time']!r}; make the plan anew")
    if not _is_undescribed(header.get("undescribed", {})):
        raise ConfigError(f"{path}, line 1: 'undescribed' makes no sense; make the plan anew")
    known = {field.name: field.default for field in fields(Access)}
    storage = header["storage"]
    if storage.keys() != known.keys() or any(
        not isinstance(storage[name], bool if isinstance(default, bool) else str | None)
        for name, default in known.items()
    ):
        raise ConfigError(f"{path}, line 1: 'storage' makes no sense; make the plan anew")
    return header


def _checked_row(row: dict[str, Any], path: object, number: int) -> list[Any]:
    values = []
    for name, kinds in _ROW_TYPES:
        value = row.get(name)
        if type(value) not in kinds:
            raise ConfigError(f"{path}, line {number}: {name!r} is {value!r}; make the plan anew")
        values.append(value)
    if max(len(row["key"]), len(row["target"])) > _MOST_NAME:
        raise ConfigError(f"{path}, line {number}: no object has a name of this length; make the plan anew")
    if not row["key"] or not 0 <= row["size"] < 1 << 63 or not _is_time(row["modified"] or 0.0):
        raise ConfigError(f"{path}, line {number}: no object has this key, size and time; make the plan anew")
    etag = row["etag"]
    if etag is not None and not (etag.isascii() and etag.isprintable()):
        # It is sent as it stands, in the header of a request.
        raise ConfigError(f"{path}, line {number}: no object has the ETag {etag!r}; make the plan anew")
    if not _is_text(*(value for value in values if isinstance(value, str))):
        raise ConfigError(f"{path}, line {number}: the names are no text; make the plan anew")
    return values


def _is_time(value: float) -> bool:
    """Say whether a number can be a time: JSON may hold whole numbers that no float can."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_text(*values: str) -> bool:
    """Say whether texts can be written: JSON may hold halves of characters."""
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_undescribed(found: object) -> bool:
    """Say whether these are descriptions that a download may write: target and name."""
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        return False
    targets = list(found)
    are_descriptions = all(target.rpartition("/")[2] == _DESCRIPTION for target in targets)
    return are_descriptions and not refusals(targets) and _is_text(*targets, *found.values())


__all__ = ["KIND", "VERSION", "read_plan", "save_plan"]
