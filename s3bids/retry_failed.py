"""What a download could not bring, looked up again: only these objects, with as few requests as they take."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .branches import branch_of
from .catalog import catalog_of
from .errors import AccessDeniedError, ObjectNotFoundError
from .selection import matches
from .storage.concurrency import in_threads
from .transfer.manifest import read_failures, require_manifest
from .transfer.report import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .bids.layouts import Layout
    from .catalog import Catalog
    from .dataset import DataSet
    from .storage.base import ObjectInfo, Storage
    from .transfer.branches import Branch
    from .transfer.manifest import FailedRecord

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetryChoice:
    """Which of the failed files are wanted."""

    #: Subjects with their prefix; None: all. Files of no subject are wanted in any case.
    subjects: frozenset[str] | None = None
    #: Names or globs of derivatives; empty: all. Raw data are wanted in any case.
    derivatives: tuple[str, ...] = ()
    #: What the names of subjects' files must end with.
    suffix: str | None = None

    def wants(self, path: str, layout: Layout) -> bool:
        """Say whether a file is wanted, by its path relative to the root of the data set."""
        place = layout.place(path)
        if self.derivatives and place.derivative and not matches(place.derivative, self.derivatives):
            return False
        if place.subject is None:
            return True
        is_chosen = self.subjects is None or place.subject in self.subjects
        return is_chosen and path.endswith(self.suffix or "")


def find_failed(data_set: DataSet, directory: Path, choice: RetryChoice) -> tuple[Catalog, tuple[Failure, ...]]:
    """Look up the objects that could not be downloaded.

    Returns
    -------
    tuple
        Those that are there, and those that cannot be fetched because they are gone or hidden now.

    Raises
    ------
    ObjectNotFoundError
        If there is no manifest in the directory.
    """
    require_manifest(directory, "retry what failed in")
    failures = [failure for failure in read_failures(directory).values() if failure.key == data_set.key(failure.target)]
    wanted = [failure for failure in failures if choice.wants(failure.target, data_set.layout)]
    logger.info("%d files failed in %s, of which %d are wanted", len(failures), directory, len(wanted))
    by_branch: dict[Branch, list[FailedRecord]] = defaultdict(list)
    for failure in wanted:
        by_branch[branch_of(failure.target)].append(failure)
    tasks = list(by_branch.items())
    listed = in_threads(lambda task: _look_up(data_set, *task), tasks)
    entries = {entry.key: entry for answer in listed for entry in answer if not isinstance(entry, Failure)}
    hidden = {entry.key: entry for answer in listed for entry in answer if isinstance(entry, Failure)}
    found = [entries[each.key] for each in wanted if each.key in entries]
    lost = [hidden.get(each.key) or _gone(each) for each in wanted if each.key not in entries]
    return catalog_of(found, data_set.prefix, data_set.layout), tuple(lost)


def _look_up(data_set: DataSet, branch: Branch, failures: list[FailedRecord]) -> Iterable[ObjectInfo | Failure]:
    """Find objects of one branch: one by HEAD, those of one folder or of several by one listing (a page of 1,000)."""
    storage = data_set.storage
    if len(failures) == 1:
        return [_head(storage, failures[0])]
    folders = {failure.key.rpartition("/")[0] for failure in failures}
    if len(folders) == 1:
        return storage.children(folders.pop())[1]
    wanted = {failure.key for failure in failures}
    root = data_set.key("")
    return [entry for entry in branch.entries(storage, root) if entry.key in wanted]


def _head(storage: Storage, failure: FailedRecord) -> ObjectInfo | Failure:
    try:
        return storage.head(failure.key)
    except ObjectNotFoundError:
        return _gone(failure)
    except AccessDeniedError as error:
        return Failure(failure.key, failure.target, str(error), 1)


def _gone(failure: FailedRecord) -> Failure:
    return Failure(failure.key, failure.target, f"the object is no longer in the bucket; before: {failure.reason}", 0)


__all__ = ["RetryChoice", "find_failed"]
