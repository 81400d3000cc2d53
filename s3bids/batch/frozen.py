"""A plan as a file: what a listing found, to be fetched later, elsewhere, and by many processes.

The file is gzip around JSON lines. The first is the header: version of the format, where the study is, how to reach it
(no secrets), what was chosen, and by which version of s3bids. Then one line an object. It may come from anybody: every
field is checked, and a target that leads out of the directory is refused by the download.
"""

from __future__ import annotations

import gzip
import json
import math
import time
import zlib
from array import array
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..bids.layouts import Layout
from ..errors import ConfigError
from ..storage.files import atomic_file
from ..storage.params import S3Params, location_params, without_password
from ..storage.registry import get_storage
from ..transfer.plan import Wanted
from ..transfer.refusals import refusals
from .shards import Shard, assign

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from ..storage.base import Storage

#: What the header calls the format, and its version; other versions are not read.
KIND = "s3bids plan"
VERSION = 1
#: Longest line: a key has at most 1,024 bytes, which JSON may write in six times as many, and comes with its target.
_MOST_LINE = 64 * 1024
#: Longest header: it says what was chosen, which may be many thousands of subjects or paths.
_MOST_HEADER = 64 * 1024 * 1024
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


@dataclass(frozen=True)
class Access:
    """How a bucket is reached, without secrets: what signs requests comes from where a plan is carried out."""

    anon: bool = True
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    request_payer: bool = False

    @classmethod
    def of(cls, storage: Storage) -> Access:
        """Give what is known of a storage; of a local emulation there is nothing to know."""
        params = getattr(storage, "params", None)
        if not isinstance(params, S3Params):
            return cls()
        endpoint = without_password(params.endpoint_url)
        return cls(params.anon, endpoint, params.region_name, params.profile_name, params.request_payer)

    def open(self, location: str) -> Storage:
        """Give the storage of a location."""
        return get_storage(location_params(location, **asdict(self)))


@dataclass(frozen=True, eq=False)
class FrozenPlan:
    """The objects of a download as one listing found them; columns, since a million rows must fit into memory."""

    #: The study's name.
    study: str
    #: Where the bucket is, such as ``s3://bucket``.
    location: str
    #: The root of the data set in the bucket, without outer slashes.
    prefix: str
    layout: Layout
    access: Access
    #: What was chosen, in the words of the command line.
    selection: tuple[str, ...]
    #: Such as ``s3bids 0.2.0``.
    tool: str
    #: When it was made, in seconds since 1970.
    time: float
    wanted: Wanted
    #: The subject of each object; None for a file of the whole study.
    subjects: Sequence[str | None]
    #: Descriptions that the study lacks and a download writes: target and name of the derivative.
    undescribed: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.wanted)

    @property
    def bytes(self) -> int:
        """Bytes of all objects."""
        return sum(self.wanted.sizes)

    @property
    def source(self) -> str:
        """Where the study is, such as ``s3://bucket/prefix``."""
        return f"{self.location}/{self.prefix}".rstrip("/")

    def rows_of(self, shard: Shard) -> list[int]:
        """Give the rows of one shard, in their order."""
        found = assign(self.wanted.sizes, self.subjects, shard.count)
        wanted = shard.number - 1
        moved = self._moved(found) if shard.count > 1 else {}
        return [row for row, of in enumerate(found) if moved.get(row, of) == wanted]

    def shard(self, shard: Shard) -> FrozenPlan:
        """Give the part of the plan that one shard is."""
        rows = self.rows_of(shard)
        return replace(self, wanted=self.wanted.take(rows), subjects=[self.subjects[row] for row in rows])

    def _moved(self, found: Sequence[int]) -> dict[int, int]:
        """Bring rows that cannot both be files into one shard, which then refuses one of them as the whole would."""
        targets = self.wanted.targets
        refused = refusals(targets)
        if not refused:
            return {}
        first: dict[str, int] = {}
        below: dict[str, int] = {}
        for row, target in enumerate(targets):
            first.setdefault(target, row)
            folder = target.rpartition("/")[0]
            while folder and folder not in below:
                below[folder] = row
                folder = folder.rpartition("/")[0]

        def stays(row: int) -> int:
            """Follow a row to the one that it has to meet; that may have to meet a further one, deeper down."""
            while row in refused:
                other = below.get(targets[row], first[targets[row]])
                if other == row:
                    break
                row = other
            return row

        return {row: found[stays(row)] for row in refused}


def freeze(
    storage: Storage,
    wanted: Wanted,
    *,
    study: str,
    prefix: str,
    layout: Layout,
    selection: Sequence[str] = (),
    undescribed: Sequence[tuple[str, str]] = (),
) -> FrozenPlan:
    """Make a frozen plan of the objects that a listing found.

    Parameters
    ----------
    storage
        Where they are.
    wanted
        The objects and their targets, such as the `wanted` of a :class:`~s3bids.transfer.plan.Plan`.
    study, prefix, layout
        The study's name, its root in the bucket, and how it is arranged.
    selection
        What was chosen, in the words of the command line.
    undescribed
        Descriptions of derivatives that the study lacks: target and name.
    """
    folders: dict[str, str | None] = {}
    subjects = []
    for target in wanted.targets:
        folder = target[: target.rfind("/") + 1]
        if folder not in folders:
            folders[folder] = layout.place(target).subject
        subjects.append(folders[folder])
    tool = f"s3bids {__version__}"
    access = Access.of(storage)
    return FrozenPlan(
        study,
        storage.location,
        prefix,
        layout,
        access,
        tuple(selection),
        tool,
        time.time(),
        wanted,
        subjects,
        tuple(undescribed),
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


def read_plan(path: str | os.PathLike[str]) -> FrozenPlan:
    """Read a plan from its file.

    Raises
    ------
    ConfigError
        If it is no plan, is damaged, or has another version.
    """
    try:
        with gzip.open(path, "rb") as lines:
            return _read(lines, path)
    except gzip.BadGzipFile as error:
        raise ConfigError(f"{path} is no plan: {error}; make one with s3bids plan STUDY --save") from error
    except (EOFError, zlib.error) as error:
        raise ConfigError(f"the plan {path} is damaged: {error}; make it anew, or copy it again") from error
    except OSError as error:
        raise ConfigError(f"cannot read the plan {path}: {error.strerror or error}; check its name") from error


def _read(lines: gzip.GzipFile, path: object) -> FrozenPlan:
    header = _checked_header(_parsed(lines.readline(_MOST_HEADER), path, 1), path)
    columns: tuple[Any, ...] = ([], array("q"), [], [], array("d"), [], [])
    folders: dict[str | None, str | None] = {}
    number = 1
    while line := lines.readline(_MOST_LINE):
        number += 1
        if number - 1 > header["files"]:
            raise ConfigError(f"{path}, line {number}: more objects than the header says; make the plan anew")
        key, size, etag, version, modified, target, subject = _checked_row(_parsed(line, path, number), path, number)
        seconds = math.nan if modified is None else float(modified)
        row = (key, size, etag, version, seconds, target, folders.setdefault(subject, subject))
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    keys, sizes, etags, versions, modified_at, targets, subjects = columns
    if len(keys) != header["files"] or sum(sizes) != header["bytes"]:
        raise ConfigError(
            f"the plan {path} is cut short: {len(keys):,} of {header['files']:,} objects; "
            "make it anew, or copy it again"
        )
    has_versions = any(version is not None for version in versions)
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
    )


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


__all__ = ["KIND", "VERSION", "Access", "FrozenPlan", "freeze", "read_plan", "save_plan"]
