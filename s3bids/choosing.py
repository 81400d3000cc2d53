"""Exactly what is wanted: filters, globs, keys and cohorts on a complete listing, and what the chosen files need.

Pure: from values to values. What has to be read from storage on the way, metadata that name fieldmaps and tables that
name stimuli, is read by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .bids.filters import check_entities, explain_empty, matching_rows
from .bids.globs import compile_globs
from .bids.links import fieldmap_rows
from .bids.sidecars import Sidecars, essential_rows
from .bids.stimuli import stimulus_rows, tables_with_stimuli
from .bids.table import name_table, rows_of_subjects
from .errors import ConfigError
from .selection import ALL, Selection, is_agnostic_file, shuffled

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .bids.filters import Filter
    from .bids.table import NameTable
    from .catalog import Catalog
    from .choice import Choosing

#: Unknown keys that one error names.
_NAMED = 5


# Subjects


def sampled(
    subjects: Sequence[str], number: int | None, seed: int, groups: Mapping[str, Sequence[str]] | None
) -> list[str]:
    """Draw subjects.

    Parameters
    ----------
    subjects
        All that may be drawn.
    number
        How many; None: as many as equal groups allow.
    seed
        The order in which they are drawn is that of :func:`s3bids.selection.shuffled`, so a seed always draws the same.
    groups
        Value -> subjects, to draw equal numbers from; where that cannot be, the first values give one more.

    Returns
    -------
    list of str
        Sorted.

    Raises
    ------
    ConfigError
        If there are too few.

    Examples
    --------
    >>> sampled(["sub-1", "sub-2", "sub-3", "sub-4"], 2, 1, {"F": ["sub-1", "sub-2"], "M": ["sub-3", "sub-4"]})
    ['sub-1', 'sub-3']
    """
    if groups is None:
        if number is None or number > len(subjects):
            raise ConfigError(f"a sample of {number} is asked for, and there are {len(subjects)} subjects to draw from")
        return sorted(shuffled(sorted(subjects), seed)[:number])
    smallest = min(map(len, groups.values()))
    wanted = smallest * len(groups) if number is None else number
    share, rest = divmod(wanted, len(groups))
    drawn = []
    for place, (value, members) in enumerate(groups.items()):
        size = share + (place < rest)
        if size > len(members):
            counts = ", ".join(f"{len(names)} with {name!r}" for name, names in groups.items())
            raise ConfigError(
                f"a balanced sample of {wanted} needs {size} subjects with {value!r}, and there are {counts}; "
                f"ask for at most {smallest * len(groups)}"
            )
        drawn += shuffled(sorted(members), seed)[:size]
    return sorted(drawn)


def filtered_subjects(filters: Sequence[Filter], subjects: Sequence[str]) -> list[str]:
    """Give the subjects that filters may want, so that no other is listed.

    Raises
    ------
    ConfigError
        If a filter names a subject that is not among them, or wants none of them.
    """
    if not filters:
        return list(subjects)
    wanted: set[str] = set()
    labels = {subject: subject.removeprefix("sub-") for subject in subjects}
    for item in filters:
        conditions = [condition for condition in item.conditions if condition.name == "sub"]
        wanted.update(s for s, label in labels.items() if all(condition.holds(label) for condition in conditions))
        for condition in conditions:
            named = [test for test in condition.tests if isinstance(test, str) and test != "*"]
            missing = [name for name in named if name not in labels.values()]
            if missing or not any(condition.holds(label) for label in labels.values()):
                shown = ", ".join(list(labels)[:_NAMED]) + (" ..." if len(labels) > _NAMED else "")
                raise ConfigError(
                    f"the filter {condition} wants a subject that is not among the {len(labels)} chosen: {shown or '-'}"
                )
    return [subject for subject in subjects if subject in wanted]


# Files


@dataclass(frozen=True)
class Reading:
    """How metadata and tables on the way are read: rows of a catalog -> contents; what cannot be read is left out."""

    json: Callable[[Sequence[int]], Mapping[int, Mapping[str, Any]]]
    tables: Callable[[Sequence[int]], Mapping[int, bytes]]


def chosen_rows(
    catalog: Catalog,
    selection: Selection,
    choice: Choosing,
    reading: Reading,
    *,
    keys: Iterable[str] | None = None,
    table: NameTable | None = None,
) -> list[int]:
    """Choose rows of a catalog.

    Parameters
    ----------
    catalog
        All files of the subjects in question, and those at the roots of the data sets.
    selection
        The subjects, the suffix, and the files of the whole study that come in any case.
    choice
        What is wanted of them.
    reading
        Asked only after it is certain that something was chosen.
    keys
        Paths of single files, for ``choice.keys``.
    table
        The names of the catalog, if they were read before.

    Returns
    -------
    list of int
        Rows, sorted.

    Raises
    ------
    ConfigError
        If nothing is chosen: says which condition left nothing, and what there is that is near.
    """
    found = name_table(catalog.paths, catalog.layout) if table is None else table
    chooser = _Chooser(catalog, selection, choice, found)
    chosen = chooser.chosen(keys)
    asked = set(chosen) | chooser.of_the_study()
    if choice.with_sidecars:
        asked |= chooser.needs(chosen, reading)
    return sorted(chooser.without_excluded(asked))


class _Chooser:
    """A catalog, and what is wanted of it."""

    def __init__(self, catalog: Catalog, selection: Selection, choice: Choosing, table: NameTable) -> None:
        self.catalog = catalog
        self.selection = selection
        self.choice = choice
        self.table = table
        self.exclude: re.Pattern[str] | None = compile_globs(choice.exclude)

    def chosen(self, keys: Iterable[str] | None) -> list[int]:
        """Give the rows that were asked for themselves, each condition after the other."""
        choice, path = self.choice, self.catalog.path
        rows = list(rows_of_subjects(self.table, self.selection.subjects))
        others = self.others() if choice.include or keys is not None else []
        self.require(rows or others, "the chosen subjects have no files")
        if self.selection.suffix is not None:
            rows = [row for row in rows if path(row).endswith(self.selection.suffix)]
            self.require(rows, f"no file of the chosen subjects has a name that ends with {self.selection.suffix!r}")
        if choice.filters:
            check_entities(choice.filters, self.table)
            kept = matching_rows(self.table, choice.filters, rows)
            self.require(kept, lambda: explain_empty(self.table, choice.filters, rows))
            rows = kept
        include = compile_globs(choice.include)
        if include is not None:
            number = len(rows)
            rows = sorted(row for row in [*rows, *others] if include.match(path(row)))
            self.require(rows, f"none of the {number:,} files fits {' or '.join(choice.include)}")
        if keys is not None:
            rows = self.named(keys, rows, others, is_narrow=bool(choice.filters or include))
        number, rows = len(rows), self.without_excluded(rows)
        self.require(rows or not number, f"each of the {number:,} files fits {' or '.join(choice.exclude)}")
        return rows

    def others(self) -> list[int]:
        """Give the files that belong to no subject."""
        owned = set(rows_of_subjects(self.table, self.selection.subjects))
        return [row for row in range(len(self.table)) if row not in owned and self.table.subject(row) is None]

    def named(self, keys: Iterable[str], rows: list[int], others: list[int], *, is_narrow: bool) -> list[int]:
        """Give the rows of single files."""
        wanted = list(keys)
        by_path = {self.catalog.path(row): row for row in [*rows, *([] if is_narrow else others)]}
        unknown = [path for path in wanted if path not in by_path]
        if unknown:
            more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
            whose = "the study's files that fit the filters" if is_narrow else "the study's files"
            raise ConfigError(
                f"{len(unknown)} of the {len(wanted)} keys are none of {whose}: {', '.join(unknown[:_NAMED])}{more}; "
                "write paths from the root of the study on, or whole keys, as s3bids ls STUDY --files shows them"
            )
        return sorted({by_path[path] for path in wanted})

    def of_the_study(self) -> set[int]:
        """Give the files of whole data sets that come in any case."""
        selection, table = self.selection, self.table
        found = set()
        for number, folder in enumerate(table.folders):
            if folder.subject is not None:
                continue
            rule = selection.root if folder.derivative is None else selection.derivative_root
            for row in table.rows_in(number) if rule else ():
                is_root = folder.path == folder.data_set
                if rule == ALL or (is_root and any(is_agnostic_file(table.kind(row).name, name) for name in rule)):
                    found.add(row)
        # At a root, a file may belong to one subject, by its name.
        return {row for row in found if table.subject(row) in (None, *selection.subjects)}

    def needs(self, chosen: list[int], reading: Reading) -> set[int]:
        """Give what the chosen files need: sidecars, companions, fieldmaps, stimuli, and the essential root files."""
        sidecars = Sidecars(self.table)
        found = sidecars.needed(chosen)
        if self.choice.with_fieldmaps:
            fieldmaps = fieldmap_rows(self.table, chosen, self.catalog.path, sidecars, reading.json)
            found |= sidecars.needed(fieldmaps)
        tables = tables_with_stimuli(self.table, found)
        if tables:
            found |= stimulus_rows(self.table, reading.tables(tables), self.catalog.path)
        return found | essential_rows(self.table, found)

    def without_excluded(self, rows: Iterable[int]) -> list[int]:
        exclude = self.exclude
        return [row for row in rows if exclude is None or not exclude.match(self.catalog.path(row))]

    def require(self, found: object, why: str | Callable[[], str]) -> None:
        if not found:
            text = why if isinstance(why, str) else why()
            raise ConfigError(f"nothing is chosen: {text}")
