"""A study's listing as one sorted table: each object, and what BIDS says of it."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .bids.layouts import Layout
from .bids.names import parse
from .storage.concurrency import in_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pandas as pd

    from .bids.names import BIDSName
    from .storage.base import ObjectInfo, Storage


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a catalog."""

    #: The key without the bucket.
    key: str
    #: The key relative to the root of the data set.
    path: str
    #: Bytes.
    size: int
    #: The ETag without quotes, or None.
    etag: str | None
    last_modified: datetime | None
    #: Such as ``sub-01``; None for a file of the whole data set.
    subject: str | None
    #: The derivative's name; None for raw data.
    derivative: str | None

    @property
    def name(self) -> BIDSName:
        """What the file's name says: entities, suffix, extension, datatype."""
        return parse(self.path)


@dataclass(frozen=True, eq=False)
class Catalog:
    """Objects of one data set, sorted by key. Columns, since a million rows as objects would take a gigabyte."""

    #: The root of the data set in the bucket, without outer slashes; ``""`` is the bucket's top.
    prefix: str
    layout: Layout
    keys: Sequence[str]
    #: Bytes.
    sizes: Sequence[int]
    etags: Sequence[str | None]
    #: Seconds since 1970; NaN where the storage has no times.
    modified: Sequence[float]

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Entry]:
        return map(self.row, range(len(self)))

    def row(self, index: int) -> Entry:
        """Give one row as an object."""
        path = self.path(index)
        place = self.layout.place(path)
        seconds = self.modified[index]
        moment = None if math.isnan(seconds) else datetime.fromtimestamp(seconds, UTC)
        return Entry(
            self.keys[index], path, self.sizes[index], self.etags[index], moment, place.subject, place.derivative
        )

    def path(self, index: int) -> str:
        """Give the key of a row relative to the root of the data set."""
        return relative_path(self.keys[index], self.prefix)

    def take(self, indices: Sequence[int]) -> Catalog:
        """Give a catalog of some of the rows, in the order given."""
        return Catalog(
            self.prefix,
            self.layout,
            [self.keys[index] for index in indices],
            array("q", (self.sizes[index] for index in indices)),
            [self.etags[index] for index in indices],
            array("d", (self.modified[index] for index in indices)),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the catalog as a table.

        Returns
        -------
        pandas.DataFrame
            One row an object, sorted by key: ``key``, ``path`` (relative to the root), ``size`` (bytes), ``etag``,
            ``last_modified``, ``subject``, ``session``, ``derivative``, ``datatype``, ``suffix``, ``extension`` and
            ``entities`` (the rest of the name, such as ``task-rest_run-1``).
        """
        import pandas as pd

        columns = [
            "key", "path", "size", "etag", "last_modified", "subject", "session", "derivative", "datatype", "suffix",
            "extension", "entities",
        ]  # fmt: skip
        frame = pd.DataFrame((_frame_row(entry) for entry in self), columns=columns)
        texts = dict.fromkeys((name for name in columns if name not in ("size", "last_modified")), "string")
        return frame.astype({"size": "int64", **texts})


def _frame_row(entry: Entry) -> tuple[object, ...]:
    name = entry.name
    rest = "_".join(f"{entity}-{value}" for entity, value in name.entities if entity not in ("sub", "ses"))
    return (
        entry.key,
        entry.path,
        entry.size,
        entry.etag,
        entry.last_modified,
        entry.subject,
        name.session,
        entry.derivative,
        name.datatype,
        name.suffix,
        name.extension,
        rest,
    )


def relative_path(key: str, prefix: str) -> str:
    """Take the root of the data set off a key, once and at its beginning only.

    >>> relative_path("data/sub-1/sub-1_desc-data_bold.json", "data")
    'sub-1/sub-1_desc-data_bold.json'
    """
    return key.removeprefix(f"{prefix}/") if prefix else key


def list_catalog(
    storage: Storage,
    prefix: str,
    paths: Iterable[str],
    *,
    layout: Layout = Layout.NESTED,
    known: Iterable[ObjectInfo] = (),
) -> Catalog:
    """List directories of a data set, in parallel, as one catalog.

    Parameters
    ----------
    storage
        Where the data set is.
    prefix
        Its root in the bucket, without outer slashes.
    paths
        Directories relative to the root; ``""`` lists it whole, in one pass.
    known
        Objects that were listed before and belong to the catalog too.
    """
    starts = sorted({f"{prefix}/{path}" if prefix else path for path in paths})
    columns = _Columns()
    for part in in_threads(lambda start: _Columns(storage.list(start)), starts):
        columns.join(part)
    columns.add(known)
    return columns.catalog(prefix, layout)


def catalog_of(entries: Iterable[ObjectInfo], prefix: str, layout: Layout) -> Catalog:
    """Give a catalog of objects that were listed before."""
    return _Columns(entries).catalog(prefix, layout)


def joined(one: Catalog, other: Catalog) -> Catalog:
    """Join two catalogs of one data set; an object that is in both comes once."""
    columns = _Columns()
    for catalog in (one, other):
        columns.keys += catalog.keys
        columns.sizes.extend(catalog.sizes)
        columns.etags += catalog.etags
        columns.modified.extend(catalog.modified)
    return columns.catalog(one.prefix, one.layout)


class _Columns:
    """Columns of a catalog in the making."""

    def __init__(self, entries: Iterable[ObjectInfo] = ()) -> None:
        self.keys: list[str] = []
        self.sizes = array("q")
        self.etags: list[str | None] = []
        self.modified = array("d")
        self.add(entries)

    def add(self, entries: Iterable[ObjectInfo]) -> None:
        for entry in entries:
            self.keys.append(entry.key)
            self.sizes.append(entry.size)
            self.etags.append(entry.etag)
            self.modified.append(entry.last_modified.timestamp() if entry.last_modified else math.nan)

    def join(self, other: _Columns) -> None:
        self.keys += other.keys
        self.sizes += other.sizes
        self.etags += other.etags
        self.modified += other.modified

    def catalog(self, prefix: str, layout: Layout) -> Catalog:
        """Sort by key; a key that was listed twice comes once."""
        found = Catalog(prefix, layout, self.keys, self.sizes, self.etags, self.modified)
        if all(a < b for a, b in zip(self.keys, self.keys[1:], strict=False)):
            return found
        by_key = {key: index for index, key in enumerate(self.keys)}
        return found.take([by_key[key] for key in sorted(by_key)])
