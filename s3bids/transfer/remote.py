"""A download against the bucket it came from, as the bucket is now: what changed there, went, or was written since.

Only LIST requests are sent. What is looked at are the branches of the data set that files came from, so that a part of
a data set is not told to lack the rest.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DestinationError
from ..storage.concurrency import in_threads
from ..storage.files import is_part
from .branches import Branch, root_of
from .manifest import STATE_FOLDER, is_safe, read_manifest, require_manifest
from .verify import Difference, Verification, in_order, verify_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..storage.base import ObjectInfo, Storage
    from .manifest import FailedRecord, Record

#: Keys in one LIST answer.
_PAGE_KEYS = 1000


def verify_remote(
    directory: str | os.PathLike[str],
    *,
    open_storage: Callable[[str], Storage],
    branch_of: Callable[[str], Branch],
    deep: bool = False,
) -> Verification:
    """Compare the files of a directory with its manifest, and both with the bucket; nothing is fetched.

    Besides what :func:`~s3bids.transfer.verify.verify_directory` finds, the differences are of these kinds:

    ``changed``
        The object is another one now: by ETag and size, or by time where there is no ETag.
    ``gone``
        The object is no longer there.
    ``new``
        The object is not here, was written since files of its branch were downloaded, and could be a file here.
    ``missing``
        Also: the object could not be downloaded.
    ``extra``
        The file is of no download that the manifest knows. Our own records do not count.

    Parameters
    ----------
    directory
        Where a study was downloaded to.
    open_storage
        Gives the storage of a location such as ``s3://bucket``.
    branch_of
        Says of a path relative to the root of the data set which files come together with it.
    deep
        As in :func:`~s3bids.transfer.verify.verify_directory`.

    Raises
    ------
    ObjectNotFoundError
        If there is no manifest in the directory; BucketNotFoundError if the bucket is no longer there.
    StorageError
        If the bucket cannot be listed.
    """
    root = Path(directory)
    require_manifest(root, "verify")
    manifest = read_manifest(root)
    records = manifest.records
    local = verify_records(root, records, deep=deep)
    found = [*local.differences]
    for location in sorted({record.location for record in records.values()}):
        with open_storage(location) as storage:
            # Of a file that was cut down to a subset, the object is compared with what it was.
            of_location = [manifest.stored(record) for record in records.values() if record.location == location]
            for comparison in _comparisons(root, storage, of_location, manifest.failures.values(), branch_of):
                found += comparison.differences()
    found += _extra_files(root, records.keys() | manifest.made)
    return Verification(local.files, local.bytes, in_order(found), local.unproven)


def _comparisons(
    directory: Path,
    storage: Storage,
    records: Iterable[Record],
    failures: Iterable[FailedRecord],
    branch_of: Callable[[str], Branch],
) -> list[_Comparison]:
    """Compare the data sets of one bucket."""
    by_root: dict[str | None, list[Record]] = defaultdict(list)
    for record in records:
        by_root[root_of(record.key, record.target)].append(record)
    found = []
    for root, of_root in by_root.items():
        comparison = _Comparison(directory, storage, root or "", branch_of)
        comparison.expect(of_root)
        if root is None:
            comparison.look_up()
        else:
            comparison.expect_failed(each for each in failures if root_of(each.key, each.target) == root)
            comparison.list_branches()
        found.append(comparison)
    return found


class _Comparison:
    """The records of one data set, and what a listing says of their objects; entries may come in several threads."""

    def __init__(self, directory: Path, storage: Storage, root: str, branch_of: Callable[[str], Branch]) -> None:
        self._directory = directory
        self._storage = storage
        self._root = root
        self._branch_of = branch_of
        self._records: dict[str, Record] = {}
        self._failed: dict[str, FailedRecord] = {}
        #: Branch -> when the first of its files was downloaded.
        self._branches: dict[Branch, float] = {}
        self._seen: set[str] = set()
        self._changed: dict[str, Difference] = {}
        self._absent: dict[str, Difference] = {}

    def expect(self, records: Iterable[Record]) -> None:
        """Take in what was downloaded."""
        for record in records:
            self._records[record.key] = record
            self._note_branch(record.target, record.time)

    def expect_failed(self, failures: Iterable[FailedRecord]) -> None:
        """Take in what could not be downloaded."""
        for failure in failures:
            if is_safe(failure.target):
                self._failed[failure.key] = failure
                self._note_branch(failure.target, failure.time)

    def _note_branch(self, target: str, time: float) -> None:
        branch = self._branch_of(target)
        self._branches[branch] = min(time, self._branches.get(branch, time))

    def look_up(self) -> None:
        """Ask for each object by itself: its key does not tell which data set it belongs to."""

        def look(key: str) -> None:
            # A key is the first of all that begin with it.
            found = next(self._storage.list(key, literal=True), None)
            self._take([found] if found is not None and found.key == key else [])

        in_threads(look, self._records)

    def list_branches(self) -> None:
        """List the branches: in one pass while that brings little else, one by one otherwise."""
        left = list(self._branches)
        if len(left) > 1:
            [left] = in_threads(lambda _: self._list_flat(), [self._root])
        in_threads(lambda branch: self._take(branch.entries(self._storage, self._root)), left)

    def _list_flat(self) -> list[Branch]:
        """List the data set in one pass, and give the branches that were not reached.

        It is given up at the first page's worth of other keys if these are most of what came, and later if fewer
        requests are needed for the branches that are left than were spent on other keys.
        """
        ours = others = 0
        for entry in self._storage.list(self._root):
            path = entry.key[len(self._root) :]
            if self._branch_of(path) in self._branches:
                self._take([entry])
                ours += 1
                continue
            others += 1
            if others % _PAGE_KEYS == 0:
                left = [each for each in self._branches if not each.is_whole or f"{each.directory}/" > path]
                if others > ours or others >= _PAGE_KEYS * len(left):
                    return left
        return []

    def _take(self, entries: Iterable[ObjectInfo]) -> None:
        """Compare objects; one that comes twice counts once."""
        for entry in entries:
            record = self._records.get(entry.key)
            if record is not None:
                self._seen.add(entry.key)
                problem = _change(record, entry)
                if problem:
                    self._changed[entry.key] = Difference(record.target, "changed", problem)
            elif self._could_be_here(entry.key[len(self._root) :]):
                self._take_absent(entry)

    def _could_be_here(self, path: str) -> bool:
        is_ours = path.partition("/")[0].lower() == STATE_FOLDER
        return is_safe(path) and not is_ours and not os.path.lexists(self._directory / path)

    def _take_absent(self, entry: ObjectInfo) -> None:
        path = entry.key[len(self._root) :]
        failure = self._failed.get(entry.key)
        if failure is not None:
            text = f"it could not be downloaded ({failure.reason}); try again with --retry-failed"
            self._absent[entry.key] = Difference(path, "missing", text)
            return
        if _may_be_written_after(entry, self._branches[self._branch_of(path)]):
            text = f"the object, of {entry.size} bytes, was written since the download"
            self._absent[entry.key] = Difference(path, "new", text)

    def differences(self) -> list[Difference]:
        """Give what was found: changed, gone and new objects."""
        gone = [
            Difference(self._records[key].target, "gone", "the object is no longer in the bucket")
            for key in self._records.keys() - self._seen
        ]
        return [*self._changed.values(), *gone, *self._absent.values()]


def _change(record: Record, entry: ObjectInfo) -> str:
    """Say what changed of an object since it was downloaded; the empty text if nothing did."""
    if entry.size != record.size:
        return f"the object has {entry.size} bytes now, downloaded were {record.size}"
    if entry.etag is not None and record.etag is not None:
        return "" if entry.etag == record.etag else "the object has another ETag now"
    modified = entry.last_modified.timestamp() if entry.last_modified else None
    if entry.etag is None and record.etag is None and None not in (modified, record.modified):
        return "" if modified == record.modified else "the object was written again"
    return ""


def _may_be_written_after(entry: ObjectInfo, time: float) -> bool:
    """Say whether an object may have been written after a time, in seconds since 1970."""
    if entry.last_modified is None:
        return True
    written = entry.last_modified.timestamp()
    # S3 tells whole seconds, rounded down.
    return written + 1 > time if written.is_integer() else written > time


def _extra_files(directory: Path, known: Iterable[str]) -> list[Difference]:
    """Find the files that no manifest knows; links to directories are not followed."""
    known = set(known)
    found = []
    for folder, folders, files in os.walk(directory, onerror=_refuse):
        place = Path(folder).relative_to(directory)
        if folder == str(directory):
            folders[:] = [name for name in folders if name != STATE_FOLDER]
        folders.sort()
        targets = [(place / name).as_posix() for name in sorted(files) if not is_part(name)]
        found += [target for target in targets if target not in known]
    return [Difference(target, "extra", "no manifest knows this file") for target in found]


def _refuse(error: OSError) -> None:
    raise DestinationError(f"cannot look into {error.filename}: {error.strerror}; check its permissions") from error


__all__ = ["verify_remote"]
