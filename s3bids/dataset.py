"""A data set on storage: what lies at its root, which derivatives it has, and the catalog of a selection."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .bids.layouts import DERIVATIVES, Layout
from .bids.names import SUBJECT_PREFIX, is_subject_directory
from .bids.participants import compare_ids, parse_participants
from .catalog import Catalog, catalog_of, joined, list_catalog, list_pages
from .errors import ObjectNotFoundError
from .selection import ALL, Selection, matches, select, subject_directories, unmatched, wants_root_entry
from .storage.concurrency import in_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .bids.participants import Participants
    from .storage.base import ObjectInfo, Storage

logger = logging.getLogger(__name__)

PARTICIPANTS = "participants.tsv"
#: Ids that one warning names.
_NAMED = 20
#: Levels of derivatives of derivatives that are looked for.
_MOST_NESTED = 4
#: Subjects that are listed side by side before their files are handed on.
_GROUP = 64


@dataclass(frozen=True)
class Level:
    """What lies directly in one directory of a data set."""

    #: Names of directories, sorted.
    directories: tuple[str, ...]
    #: Objects, sorted.
    files: tuple[ObjectInfo, ...]

    @property
    def subjects(self) -> list[str]:
        """The directories that are subjects: those named ``sub-`` and a label, taken literally."""
        return subject_directories(self.directories)

    @property
    def has_clash(self) -> bool:
        """Whether a file has the name of a directory, which S3 allows."""
        return any(_name(file) in self.directories for file in self.files)


@dataclass(frozen=True)
class DataSet:
    """Where one data set is, and how it is laid out."""

    storage: Storage
    #: Its root in the bucket, without outer slashes; ``""`` is the bucket's top.
    prefix: str
    layout: Layout = Layout.NESTED
    #: The path of the participant table, relative to the root; ``""`` if there is none.
    participants: str = PARTICIPANTS

    @property
    def table_address(self) -> str:
        """The address of the participant table, as errors call it."""
        return f"{self.storage.location}/{self.key(self.participants)}"

    def key(self, path: str) -> str:
        """Give the key of a path relative to the root."""
        return f"{self.prefix}/{path}" if self.prefix else path

    def level(self, path: str = "") -> Level:
        """List one directory, with one delimiter listing; a missing one is empty."""
        directories, files = self.storage.children(self.key(path) if path else self.prefix)
        names = tuple(directory.removesuffix("/").rpartition("/")[2] for directory in directories)
        return Level(tuple(sorted(names)), tuple(files))

    def levels(self, paths: Iterable[str]) -> list[Level]:
        """List several directories side by side."""
        return in_threads(self.level, paths)

    def root(self) -> Level:
        """List the root.

        Raises
        ------
        ObjectNotFoundError
            If there is nothing under the prefix.
        """
        [found] = self.levels([""])
        if not found.directories and not found.files:
            place = f"{self.storage.location}/{self.prefix}"
            raise ObjectNotFoundError(
                f"cannot open the study: nothing is under the prefix {self.prefix!r} of the bucket "
                f"{self.storage.bucket!r} ({place}); check the prefix, upper and lower case differ"
            )
        return found

    def derivative_names(self, root: Level) -> list[str]:
        """Name the derivatives, sorted; directories only.

        One listing of ``derivatives/``, none if there is no such directory. A subject-first layout costs one more for
        each subject that has derivatives.
        """
        if DERIVATIVES not in root.directories:
            return []
        [level] = self.levels([DERIVATIVES])
        if self.layout is not Layout.SUBJECT_FIRST:
            return list(level.directories)
        levels = self.levels(f"{DERIVATIVES}/{subject}" for subject in level.subjects)
        return sorted({name for found in levels for name in found.directories})

    def with_nested(self, names: Iterable[str]) -> list[str]:
        """Add the derivatives of derivatives, sorted; one listing for each derivative, two where it has any."""
        found, places = list(names), list(names)
        # Each round is one level deeper; a chain longer than that is an accident.
        for _ in range(_MOST_NESTED):
            levels = self.levels(self.layout.derivative_root(name) for name in places)
            above = [name for name, level in zip(places, levels, strict=True) if DERIVATIVES in level.directories]
            below = self.levels(f"{self.layout.derivative_root(name)}/{DERIVATIVES}" for name in above)
            places = [f"{a}/{name}" for a, level in zip(above, below, strict=True) for name in level.directories]
            found += places
        return sorted(found)

    def subject_catalog(self, subjects: Iterable[str], derivatives: Iterable[str]) -> Catalog:
        """List raw data and derivatives of some subjects, in parallel: one listing a subject and derivative."""
        names = list(derivatives)
        paths = [path for subject in subjects for path in self.layout.subject_prefixes(subject, names)]
        return list_catalog(self.storage, self.prefix, paths, layout=self.layout)

    def non_subject_keys(self, path: str, level: Level, *, leave_out: str | None = None) -> list[str]:
        """Give what lies directly in a directory and belongs to no subject, as ``bucket/key``, sorted."""
        names = [name for name in level.directories if name != leave_out and not is_subject_directory(name)]
        keys = [file.key for file in level.files] + [self.key(f"{path}/{name}" if path else name) for name in names]
        return sorted(f"{self.storage.bucket}/{key}" for key in keys)

    def listed_participants(self, root: Level) -> list[str]:
        """Give the subjects that are on storage and in the participant table, sorted; warn of the others.

        Raises
        ------
        ObjectNotFoundError
            If there is no table.
        ParticipantsError
            If it cannot be read.
        """
        table = self.participant_table(root).ids
        only_table, only_listed = compare_ids(root.subjects, table)
        places = ((f"in {PARTICIPANTS}", only_table), ("on storage", only_listed))
        left_out = [f"only {where}: {named(ids)}" for where, ids in places if ids]
        if left_out:
            logger.warning("%s: subjects left out, since they are %s", self.table_address, "; ".join(left_out))
        return sorted(set(root.subjects) & set(table))

    def participant_table(self, root: Level) -> Participants:
        """Read the participant table.

        Raises
        ------
        ObjectNotFoundError
            If there is no table.
        ParticipantsError
            If it cannot be read.
        """
        key, source = self.key(self.participants), self.table_address
        name = self.participants or "participant table"
        missing = (
            f"cannot read {source}: the study has no {name}; use use_participants_tsv=False, "
            "and neither where nor balance"
        )
        if not self.participants or ("/" not in self.participants and all(file.key != key for file in root.files)):
            raise ObjectNotFoundError(missing)
        try:
            data = self.storage.read(key)
        except ObjectNotFoundError as error:
            raise ObjectNotFoundError(missing) from error
        return parse_participants(data, source=source)

    def tree_catalog(self, keys: Sequence[str]) -> Catalog:
        """List keys that are files or directories; a directory stands for all its files. Missing ones are left out."""
        found = in_threads(lambda key: [*self.storage.list(key, literal=True)], keys)
        entries = [
            entry
            for key, listed in zip(keys, found, strict=True)
            for entry in listed
            if entry.key == key or entry.key.startswith(f"{key}/")
        ]
        return catalog_of(entries, self.prefix, self.layout)

    def key_catalog(self, keys: Sequence[str]) -> Catalog:
        """Look single keys up, for callers that chose keys by themselves; one HEAD each."""
        return catalog_of(in_threads(self.storage.head, keys), self.prefix, self.layout)

    def catalog(self, selection: Selection, root: Level) -> Catalog:
        """List what a selection wants, and no more than its directories."""
        found = joined(list(self.parts(selection, root)), self.prefix, self.layout)
        if self.layout is Layout.SUBJECT_FIRST and selection.subjects and DERIVATIVES in root.directories:
            _warn_of_unmatched(found.derivatives, selection.derivatives)
        return found

    def parts(self, selection: Selection, root: Level) -> Iterator[Catalog]:
        """List what a selection wants in parts, as they come.

        One flat pass serves where all subjects are wanted: it needs one request for 1,000 keys, where subjects listed
        one by one need a request each.

        Parameters
        ----------
        root
            What lay at the root when it was last listed.
        """
        if self.is_everything(selection, root):
            page = None
            for page in list_pages(self.storage, self.prefix, layout=self.layout):
                yield select(page, selection)
            if page is None:
                # It has gone since the study was opened.
                self.root()
            return
        known, paths = self._beside_subjects(selection, root)
        if known or paths:
            yield select(list_catalog(self.storage, self.prefix, paths, layout=self.layout, known=known), selection)
        if self._takes_all_subjects(selection, root):
            for page in list_pages(self.storage, self.prefix, layout=self.layout, begin=SUBJECT_PREFIX):
                yield select(page, selection)
            return
        for first in range(0, len(selection.subjects), _GROUP):
            group = selection.subjects[first : first + _GROUP]
            paths = [path for subject in group for path in self.layout.subject_prefixes(subject, ())]
            yield select(list_catalog(self.storage, self.prefix, paths, layout=self.layout), selection)

    def _beside_subjects(self, selection: Selection, root: Level) -> tuple[list[ObjectInfo], list[str]]:
        """Give the files that are known, and the directories to list, besides the raw data of the subjects."""
        known = [file for file in root.files if wants_root_entry(_name(file), is_directory=False, rule=selection.root)]
        paths = [
            f"{name}/"
            for name in root.directories
            if not is_subject_directory(name)
            and name != DERIVATIVES
            and wants_root_entry(name, is_directory=True, rule=selection.root)
        ]
        names = self._wanted_derivatives(selection, root)
        for subject in selection.subjects if names else ():
            paths += self.layout.subject_prefixes(subject, names)[1:]
        for level_path, level in self._derivative_levels(selection, names):
            known += [
                f for f in level.files if wants_root_entry(_name(f), is_directory=False, rule=selection.derivative_root)
            ]
            paths += [
                f"{level_path}/{name}/"
                for name in level.directories
                if not is_subject_directory(name)
                and wants_root_entry(name, is_directory=True, rule=selection.derivative_root)
            ]
        return known, paths

    def is_everything(self, selection: Selection, root: Level) -> bool:
        """Say whether one flat listing of the root serves: it must bring next to nothing that is not wanted."""
        if selection.root != ALL or set(selection.subjects) != set(root.subjects):
            return False
        if DERIVATIVES not in root.directories:
            return True
        return selection.derivative_root == ALL and "*" in selection.derivatives

    def _takes_all_subjects(self, selection: Selection, root: Level) -> bool:
        return len(selection.subjects) > 1 and set(selection.subjects) == set(root.subjects)

    def _wanted_derivatives(self, selection: Selection, root: Level) -> list[str]:
        """Give the names of the derivatives to list; a subject-first layout has them below each subject."""
        if not selection.derivatives or DERIVATIVES not in root.directories:
            if selection.derivatives:
                _warn_of_unmatched((), selection.derivatives)
            return []
        if self.layout is Layout.SUBJECT_FIRST:
            return list(selection.derivatives)
        names = self.derivative_names(root)
        # A derivative of a derivative is looked for where it is named, or where all is taken as the command line does.
        takes_all = "*" in selection.derivatives and isinstance(selection.derivative_root, str)
        if takes_all or any("/" in pattern for pattern in selection.derivatives):
            names = self.with_nested(names)
        _warn_of_unmatched(names, selection.derivatives)
        return [name for name in names if matches(name, selection.derivatives)]

    def _derivative_levels(self, selection: Selection, names: list[str]) -> list[tuple[str, Level]]:
        """List the roots of the wanted derivatives, where files of theirs are wanted."""
        if not names or not selection.derivative_root:
            return []
        # A subject-first layout has one root for all derivatives.
        places = list(dict.fromkeys(self.layout.description_path(name).rpartition("/")[0] for name in names))
        return list(zip(places, self.levels(places), strict=True))


def named(ids: list[str]) -> str:
    """Name the first of some ids, and say how many more there are."""
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(ids[:_NAMED]) + more


def _name(file: ObjectInfo) -> str:
    return file.key.rpartition("/")[2]


def _warn_of_unmatched(names: Iterable[str], patterns: Iterable[str]) -> None:
    for pattern in unmatched(names, patterns):
        if pattern != "*":
            found = ", ".join(sorted(name for name in names if name)) or "none"
            logger.warning("no derivative matches %r; there are: %s", pattern, found)
