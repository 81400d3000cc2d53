"""Subsets that validate: tables and links of a download cut down to what is there, with the originals on record.

The transfer brings the files as they are on storage, checked. Then rows and links that lead to nothing are dropped, and
the manifest gets the original of each file that was changed. A later run finds it there: as long as the object is the
same, it is not fetched again, and whatever the directory holds by then decides anew which rows stay.
"""

from __future__ import annotations

import base64
import hashlib
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .bids.subsets import kind_of, trimmed
from .storage.files import atomic_file
from .transfer.manifest import TRIMMED, Record, is_safe, read_notes, read_records
from .transfer.verify import etag_md5

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .catalog import Catalog
    from .transfer.manifest import ManifestWriter

#: Largest file, in bytes, that is looked into: no table of subjects and no sidecar comes near it.
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Original:
    """The object of a file that was cut down."""

    key: str
    size: int
    etag: str | None
    modified: float | None
    content: bytes


def hold_back(catalog: Catalog, directory: Path, location: str) -> tuple[Catalog, dict[str, Original]]:
    """Take those files out of a catalog that were cut down earlier, and whose originals are on record.

    A file that somebody has changed since then is not among them: the transfer finds the conflict.

    Returns
    -------
    tuple
        The rest, and what need not be transferred: target -> original.
    """
    notes = read_notes(directory, TRIMMED)
    if not notes:
        return catalog, {}
    records = read_records(directory)
    known = _originals(notes, records, location)
    held, rows = {}, []
    for row, target in enumerate(catalog.paths):
        original = known.get(target)
        if original is None or not (_is_current(original, catalog, row) and _is_ours(directory, records[target])):
            rows.append(row)
        else:
            held[target] = original
    return catalog.take(rows), held


def _originals(notes: list[dict[str, Any]], records: Mapping[str, Record], location: str) -> dict[str, Original]:
    """Give what the manifest says of files that are cut down now: target -> original."""
    found: dict[str, Original] = {}
    for entry in notes:
        target, original = entry.get("target"), _original(entry)
        record = records.get(target) if isinstance(target, str) else None
        if record is None or original is None or record.check != TRIMMED:
            continue
        if (record.location, record.key, entry.get("location")) == (location, original.key, location):
            found[record.target] = original
    return found


def _original(entry: Mapping[str, Any]) -> Original | None:
    """Read one note; None if it is damaged."""
    key, size, etag, modified = (entry.get(name) for name in ("key", "size", "etag", "modified"))
    if not isinstance(key, str) or type(size) is not int or size < 0 or not isinstance(etag, str | None):
        return None
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(str(entry.get("original")), validate=True), size + 1)
    except (ValueError, zlib.error):
        return None
    if len(content) != size:
        return None
    return Original(key, size, etag, modified if isinstance(modified, int | float) else None, content)


def _is_current(original: Original, catalog: Catalog, row: int) -> bool:
    """Say whether the object is still the one that was cut down."""
    if original.key != catalog.keys[row] or original.size != catalog.sizes[row]:
        return False
    if original.etag is not None or catalog.etags[row] is not None:
        return original.etag == catalog.etags[row]
    return original.modified == catalog.modified[row]


def _is_ours(directory: Path, record: Record) -> bool:
    try:
        found = (directory / record.target).stat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (record.size, record.mtime_ns)


@dataclass(frozen=True)
class Trimming:
    """One directory whose tables and links are to be cut down."""

    directory: Path
    #: Where the objects are, such as ``s3://bucket``.
    location: str
    #: All that is wanted here, also what was held back.
    catalog: Catalog
    originals: Mapping[str, Original]
    #: Files that are neither here nor wanted now, and are still meant to come.
    expected: frozenset[str] = frozenset()

    def trim(self, targets: set[str], manifest: ManifestWriter) -> tuple[str, ...]:
        """Cut files down to what is there or wanted.

        Parameters
        ----------
        targets
            The files that are here and complete: no failures, and no conflicts, which are somebody's own.
        manifest
            Gets the originals.

        Returns
        -------
        tuple of str
            The files that are cut down now, sorted.
        """
        wanted = {*self.catalog.paths, *self.expected}
        folders = {path[:end] for path in wanted for end in _slashes(path)}

        def is_there(path: str) -> bool:
            if path in wanted or path in folders:
                return True
            # Rows of tables and links are input from outside.
            return is_safe(path) and (self.directory / path).exists()

        rows = range(len(self.catalog))
        return tuple(sorted(self.catalog.path(row) for row in rows if self._trim_row(row, targets, is_there, manifest)))

    def _trim_row(self, row: int, targets: set[str], is_there: Callable[[str], bool], manifest: ManifestWriter) -> bool:
        """Cut one file down; say whether it differs from its object now."""
        target = self.catalog.path(row)
        place = self.catalog.layout.place(target)
        data_set = "" if place.derivative is None else self.catalog.layout.derivative_root(place.derivative)
        path = target.removeprefix(f"{data_set}/") if data_set else target
        if kind_of(path) is None:
            return False
        file, original = self.directory / target, self.originals.get(target)
        if original is None and (target not in targets or self.catalog.sizes[row] > _MOST_BYTES):
            return False
        before = file.read_bytes()
        whole = before if original is None else original.content
        after = trimmed(whole, path, data_set=data_set, subject=place.subject, is_there=is_there)
        if after != before:
            with atomic_file(file) as new:
                new.write(after)
            self._record(row, whole, after, file.stat(), manifest)
        return after != whole

    def _record(self, row: int, whole: bytes, after: bytes, found: os.stat_result, manifest: ManifestWriter) -> None:
        catalog, target = self.catalog, self.catalog.path(row)
        is_whole = after == whole
        modified = catalog.modified[row]
        seconds = None if math.isnan(modified) else modified
        md5 = hashlib.md5(after, usedforsecurity=False).hexdigest()
        check = ("md5" if etag_md5(catalog.etags[row]) == md5 else "size") if is_whole else TRIMMED
        manifest.add(
            Record(
                target=target,
                location=self.location,
                key=catalog.keys[row],
                size=len(after),
                # Without its version, the record never passes for one of the object itself.
                etag=catalog.etags[row] if is_whole else None,
                modified=seconds if is_whole else None,
                mtime_ns=found.st_mtime_ns,
                check=check,
                md5=md5,
            )
        )
        if not is_whole:
            fields = {
                "target": target,
                "location": self.location,
                "key": catalog.keys[row],
                "size": len(whole),
                "etag": catalog.etags[row],
                "modified": seconds,
                "md5": hashlib.md5(whole, usedforsecurity=False).hexdigest(),
                "original": base64.b64encode(zlib.compress(whole)).decode(),
            }
            manifest.note(TRIMMED, fields)


def _slashes(path: str) -> list[int]:
    return [place for place, character in enumerate(path) if character == "/"]
