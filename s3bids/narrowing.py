"""From what users ask for to a catalog of exactly that: cohort, one complete listing, choice.

Nothing but the participant table is fetched before it is certain that something was chosen.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .bids.cohorts import group_by, query_ids
from .bids.coverage import coverage, lacking
from .bids.globs import literal_start
from .bids.layouts import DERIVATIVES, Layout
from .bids.names import is_subject_directory
from .bids.participants import compare_ids
from .bids.stimuli import FOLDER as STIMULI
from .bids.table import name_table
from .catalog import Catalog, joined, list_catalog
from .choosing import Reading, chosen_rows, filtered_subjects, sampled
from .dataset import named
from .errors import ConfigError, StorageError
from .selection import ALL, EVERY_FILE, Selection, require_matches
from .storage.concurrency import in_threads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .bids.participants import Participants
    from .bids.table import NameTable
    from .choice import Choosing
    from .listed_study import ListedStudy

logger = logging.getLogger(__name__)

#: The seed of samples where none is given: the same call draws the same subjects.
DEFAULT_SEED = 0
#: Largest file, in bytes, that is read on the way: metadata and tables of events are much smaller.
_MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Narrowed:
    """What is to be brought."""

    catalog: Catalog
    #: Ids with prefix, sorted or in the order of the study.
    subjects: tuple[str, ...]
    #: Whether anything of the listed subjects, or any subject, was left out.
    is_subset: bool
    #: Descriptions that derivatives lack: path relative to the root of the study -> name of the derivative.
    undescribed: dict[str, str]
    #: The seed that a sample was drawn with; None if none was drawn.
    seed: int | None


def narrow(study: ListedStudy, choice: Choosing, selection: Selection, *, must_match: bool = False) -> Narrowed:
    """Choose files of a study.

    Parameters
    ----------
    study
        The study.
    choice
        What is wanted.
    selection
        The subjects that may be chosen, derivatives, suffix, and the root files that come in any case.
    must_match
        Refuse a derivative that matches nothing; else it is warned of.

    Raises
    ------
    ConfigError
        If nothing is chosen, saying why; before anything but the participant table was fetched.
    ObjectNotFoundError
        If the participant table is needed and there is none.
    """
    return _Narrowing(study, choice).narrow(selection, must_match=must_match)


def cohort(study: ListedStudy, choice: Choosing, subjects: Sequence[str]) -> list[str]:
    """Choose subjects alone: by query, by what they must have, and by a sample of those."""
    narrowing = _Narrowing(study, choice)
    ids = filtered_subjects(choice.filters, narrowing.queried(subjects))
    if choice.require:
        catalog = study._data_set.subject_catalog(ids, ())
        ids = narrowing.complete(name_table(catalog.paths, catalog.layout), ids)
    return narrowing.drawn(ids)


class _Narrowing:
    """One choice on its way."""

    def __init__(self, study: ListedStudy, choice: Choosing) -> None:
        self._study = study
        self._choice = choice
        self._table: Participants | None = None
        self.seed: int | None = None

    def narrow(self, selection: Selection, *, must_match: bool) -> Narrowed:
        study, choice = self._study, self._choice
        keys = None if choice.keys is None else [study_path(key, study.bucket, study.s3_prefix) for key in choice.keys]
        ids = filtered_subjects(choice.filters, self.queried(selection.subjects))
        if keys is not None:
            selection = replace(selection, derivatives=(*selection.derivatives, *_derivatives(keys, study.layout)))
            owners = {study.layout.place(path).subject for path in keys}
            ids = [subject for subject in ids if subject in owners]
        if not choice.require:
            ids = self.drawn(ids)
        catalog = self._listed(replace(selection, subjects=tuple(ids)), keys or ())
        if must_match:
            require_matches(catalog, replace(selection, suffix=None))
        table = name_table(catalog.paths, catalog.layout)
        if choice.require:
            ids = self.drawn(self.complete(table, ids))
        wanted = replace(selection, subjects=tuple(ids))
        rows = chosen_rows(catalog, wanted, choice, self._reading(catalog), keys=keys, table=table)
        chosen = set(rows)
        left_out = any(row not in chosen for row in range(len(table)) if table.subject(row) is not None)
        return Narrowed(
            catalog.take(rows),
            tuple(ids),
            is_subset=left_out or set(ids) != set(study._root.subjects),
            undescribed=undescribed(catalog, {table.folder(row).derivative for row in rows}, study.s3_prefix),
            seed=self.seed,
        )

    # Subjects

    def queried(self, subjects: Sequence[str]) -> list[str]:
        """Give the subjects that fit the query, in the order of the study."""
        where = self._choice.where
        if where is None:
            return list(subjects)
        table, source = self._participants()
        fitting = set(query_ids(table, where, source=source))
        found = [subject for subject in subjects if subject in fitting]
        if not found:
            known = len(set(table.ids) & set(subjects))
            raise ConfigError(
                f"nothing is chosen: the query {where!r} fits none of the {known} chosen subjects that are in {source}"
            )
        return found

    def _participants(self) -> tuple[Participants, str]:
        """Read the participant table once, and say which subjects only one side has."""
        data_set, root = self._study._data_set, self._study._root
        source = data_set.table_address
        if self._table is None:
            self._table = data_set.participant_table(root)
            only_table, only_listed = compare_ids(root.subjects, self._table.ids)
            for ids, text in ((only_table, "only in the table"), (only_listed, "only on storage")):
                if ids:
                    logger.warning("%s: %d subject(s) are %s: %s", source, len(ids), text, named(ids))
        return self._table, source

    def complete(self, table: NameTable, ids: Sequence[str]) -> list[str]:
        """Drop the subjects that lack something they must have."""
        missing = lacking(coverage(table, ids), self._choice.require)
        if missing:
            texts = [f"{subject} ({', '.join(names)})" for subject, names in sorted(missing.items())]
            logger.warning("%d subject(s) are left out, since they lack something: %s", len(missing), named(texts))
        found = [subject for subject in ids if subject not in missing]
        if not found:
            raise ConfigError(
                f"nothing is chosen: none of the {len(ids)} subjects has {', '.join(self._choice.require)}"
            )
        return found

    def drawn(self, ids: Sequence[str]) -> list[str]:
        """Draw the sample, if one is wanted."""
        choice = self._choice
        if choice.sample is None and choice.balance is None:
            return list(ids)
        seeds = (choice.random_seed, self._study.random_seed, DEFAULT_SEED)
        self.seed = next(seed for seed in seeds if seed is not None)
        groups = None
        if choice.balance is not None:
            table, source = self._participants()
            groups = group_by(table, choice.balance, ids, source=source)
        return sampled(ids, choice.sample, self.seed, groups)

    # Files

    def _listed(self, selection: Selection, keys: Sequence[str]) -> Catalog:
        """List all that may be chosen or needed: the subjects, the roots, and what globs and keys name elsewhere."""
        study = self._study
        root = ALL if selection.root == ALL else EVERY_FILE
        rule = ALL if selection.derivative_root == ALL else EVERY_FILE
        everything = replace(selection, root=root, derivative_root=rule if selection.derivatives else (), suffix=None)
        catalog = study._catalog([study._get_subject(subject) for subject in selection.subjects], everything)
        elsewhere = sorted(self._elsewhere(keys)) if root != ALL else []
        if not elsewhere:
            return catalog
        others = list_catalog(study.storage, study.s3_prefix, elsewhere, layout=study.layout)
        return joined([catalog, others], study.s3_prefix, study.layout)

    def _elsewhere(self, keys: Sequence[str]) -> set[str]:
        """Give directories that belong to no subject, and in which files are wanted."""
        study = self._study
        others = {name for name in study._root.directories if not is_subject_directory(name) and name != DERIVATIVES}
        found = {STIMULI} & others if self._choice.with_sidecars else set()
        found |= {start for glob in self._choice.include if (start := literal_start(glob)).split("/")[0] in others}
        for path in keys:
            folder, place = path.rpartition("/")[0], study.layout.place(path)
            if place.subject is None and (place.derivative is not None or folder.split("/")[0] in others):
                found.add(folder)
        return {f"{path}/" for path in found}

    def _reading(self, catalog: Catalog) -> Reading:
        def tables(rows: Sequence[int]) -> dict[int, bytes]:
            contents = in_threads(lambda row: self._read(catalog, row), rows)
            return {row: data for row, data in zip(rows, contents, strict=True) if data is not None}

        def metadata(rows: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
            return {row: _json_object(data, catalog.keys[row]) for row, data in tables(rows).items()}

        return Reading(metadata, tables)

    def _read(self, catalog: Catalog, row: int) -> bytes | None:
        """Read one small file; one that cannot be read is warned of, and the transfer will say the same."""
        key, size = catalog.keys[row], catalog.sizes[row]
        if size == 0:
            return b""
        if size > _MOST_BYTES:
            logger.warning("%s has %d bytes, too many to look for links in it; it is passed over", key, size)
            return None
        try:
            return self._study.storage.read(key)
        except StorageError as error:
            logger.warning("what %s links to does not come along: %s", key, error)
            return None


def _json_object(data: bytes, key: str) -> dict[str, Any]:
    try:
        found = json.loads(data.decode("utf-8-sig")) if data.strip() else {}
    except (ValueError, RecursionError) as error:
        logger.warning("%s is no JSON, so what it links to does not come along: %s", key, error)
        return {}
    return found if isinstance(found, dict) else {}


def _derivatives(keys: Sequence[str], layout: Layout) -> list[str]:
    return sorted({name for key in keys if (name := layout.place(key).derivative)})


def study_path(key: str, bucket: str, prefix: str) -> str:
    """Give the path of a file from the root of a study on, however it was written.

    >>> [study_path(key, "b", "ds") for key in ("s3://b/ds/sub-1/x", "ds/sub-1/x", "sub-1/x")]
    ['sub-1/x', 'sub-1/x', 'sub-1/x']
    """
    path = key.removeprefix(f"s3://{bucket}/")
    if path == key and "://" in key:
        raise ConfigError(f"the key {key!r} is not in the bucket {bucket!r} of the study")
    return path.removeprefix(f"{prefix}/") if prefix else path


def undescribed(catalog: Catalog, names: set[str | None], prefix: str) -> dict[str, str]:
    """Give the descriptions that derivatives lack on storage: path from the root of the study on -> name.

    Parameters
    ----------
    catalog
        What was listed, with the files at the roots of the data sets.
    names
        The derivatives that something is brought of; None is the raw data, which a stand-alone derivative has instead.
    prefix
        The root of the study, which names a stand-alone derivative.
    """
    layout = catalog.layout
    wanted = {layout.description_path(name): name.rpartition("/")[2] for name in sorted(filter(None, names))}
    if layout is Layout.STANDALONE and None in names:
        wanted["dataset_description.json"] = prefix.rpartition("/")[2] or "derivative"
    if not wanted:
        return {}
    there = set(catalog.paths)
    return {path: name for path, name in wanted.items() if path not in there}


def undescribed_in(catalog: Catalog, prefix: str) -> dict[str, str]:
    """As :func:`undescribed`, for all derivatives of a catalog."""
    return undescribed(catalog, {*catalog.derivatives}, prefix)
