"""A study's listing as one sorted table: each object, and what BIDS says of it."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from .bids.layouts import Layout
from .bids.names import parse
from .storage.concurrency import in_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pandas as pd

    from .bids.names import BIDSName
    from .storage.base import ObjectInfo, Storage


#: Entries of a listing that are handed on together: those of one LIST answer.
PAGE_KEYS = 1000


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

    @property
    def paths(self) -> list[str]:
        """All keys relative to the root of the data set."""
        if not self.prefix:
            return list(self.keys)
        start = f"{self.prefix}/"
        return [key.removeprefix(start) for key in self.keys]

    @property
    def derivatives(self) -> set[str]:
        """The names of the derivatives that have files here."""
        folders = {path[: path.rfind("/") + 1] for path in self.paths}
        return {place.derivative for place in map(self.layout.place, folders) if place.derivative}

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


def list_pages(storage: Storage, prefix: str, *, layout: Layout = Layout.NESTED, begin: str = "") -> Iterator[Catalog]:
    """List a data set in one flat pass and yield it in parts, one for each page, as they come.

    Each part is sorted and follows the one before. A file whose name later turns out to be a directory as well comes in
    one part with what is in it.

    Parameters
    ----------
    storage, prefix, layout
        As for :func:`list_catalog`.
    begin
        Only what is in directories whose names begin with this text, such as ``sub-``: the listing is begun there and
        left when it is over.
    """
    entries = _entries_from(storage, prefix, begin) if begin else storage.list(prefix)
    waiting: list[ObjectInfo] = []
    while page := list(islice(entries, PAGE_KEYS)):
        page = waiting + page
        settled = _settled(page)
        waiting = page[settled:]
        if settled:
            yield _Columns(page[:settled]).catalog(prefix, layout)
    if waiting:
        yield _Columns(waiting).catalog(prefix, layout)


def _entries_from(storage: Storage, prefix: str, begin: str) -> Iterator[ObjectInfo]:
    start = f"{prefix}/{begin}" if prefix else begin
    for entry in storage.list(prefix, after=start):
        if not entry.key.startswith(start):
            return
        if "/" in entry.key[len(start) :]:
            yield entry


def _settled(page: Sequence[ObjectInfo]) -> int:
    """Count the entries at the beginning of a page whose names no later key can need as a directory."""
    settled = len(page)
    while settled and page[-1].key < f"{page[settled - 1].key}/":
        settled -= 1
    return settled


def joined(catalogs: Sequence[Catalog], prefix: str, layout: Layout) -> Catalog:
    """Join catalogs of one data set; an object that is in several comes once."""
    if len(catalogs) == 1:
        return catalogs[0]
    columns = _Columns()
    for catalog in catalogs:
        columns.keys += catalog.keys
        columns.sizes.extend(catalog.sizes)
        columns.etags += catalog.etags
        columns.modified.extend(catalog.modified)
    return columns.catalog(prefix, layout)


def catalog_of(entries: Iterable[ObjectInfo], prefix: str, layout: Layout) -> Catalog:
    """Give a catalog of objects that were listed before."""
    return _Columns(entries).catalog(prefix, layout)


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
