"""Exactly what is wanted: filters, globs, keys and cohorts on a complete listing, and what the chosen files need.

Pure: from values to values. What has to be read from storage on the way, metadata that name fieldmaps and tables that
name stimuli, is read by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .bids.cohorts import check_query
from .bids.filters import check_entities, explain_empty, matching_rows, parse_filters
from .bids.globs import compile_globs
from .bids.links import fieldmap_rows
from .bids.sidecars import Sidecars, essential_rows
from .bids.stimuli import stimulus_rows, tables_with_stimuli
from .bids.table import name_table, rows_of_subjects
from .errors import ConfigError
from .selection import ALL, Selection, as_index, is_agnostic_file, shuffled

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .bids.filters import Filter
    from .bids.table import NameTable
    from .catalog import Catalog

#: Unknown keys that one error names.
_NAMED = 5


@dataclass(frozen=True)
class Choosing:
    """What users ask for beyond subjects, derivatives and a suffix; see :func:`choosing` for the arguments."""

    filters: tuple[Filter, ...] = ()
    where: str | None = None
    sample: int | None = None
    balance: str | None = None
    random_seed: int | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    #: As users wrote them.
    keys: tuple[str, ...] | None = None
    require: tuple[str, ...] = ()
    with_sidecars: bool = True
    with_fieldmaps: bool = False
    valid_subset: bool = False
    #: Whether anything at all was asked for: if not, a download does what s3bids 0.1.7 did.
    is_active: bool = False
    #: The arguments that were given, as JSON can hold them, for the manifest.
    given: dict[str, Any] = field(default_factory=dict)


def choosing(
    *,
    filters: object = None,
    where: str | None = None,
    sample: int | None = None,
    balance: str | None = None,
    random_seed: int | None = None,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    keys: str | Iterable[str] | None = None,
    require: str | Iterable[str] | None = None,
    with_sidecars: bool | None = None,
    with_fieldmaps: bool = False,
    valid_subset: bool = False,
) -> Choosing:
    """Check what users ask for, before anything is listed.

    Parameters
    ----------
    filters
        What :func:`s3bids.bids.filters.parse_filters` takes.
    where
        A query on the participant table.
    sample, balance, random_seed
        So many subjects, drawn; in equal numbers for each value of a column of the participant table; in the order of
        this seed.
    include, exclude
        Globs of files to take alone, and to leave out.
    keys
        Single files: paths from the root of the study on, keys, or addresses.
    require
        Suffixes or datatypes that each subject must have.
    with_sidecars
        Bring what the chosen files need. None: if anything else of this is given.
    with_fieldmaps
        Bring the fieldmaps of the chosen files.
    valid_subset
        Cut tables and links down to what is there afterwards.

    Raises
    ------
    TypeError, ValueError, ConfigError
        If an argument makes no sense.
    """
    given = {
        "filters": filters, "where": where, "sample": sample, "balance": balance, "random_seed": random_seed,
        "include": include, "exclude": exclude, "keys": keys, "require": require, "with_sidecars": with_sidecars,
        "with_fieldmaps": with_fieldmaps or None, "valid_subset": valid_subset or None,
    }  # fmt: skip
    for name, flag in (("with_fieldmaps", with_fieldmaps), ("valid_subset", valid_subset)):
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, not {type(flag).__name__}")
    if with_sidecars is not None and not isinstance(with_sidecars, bool):
        raise TypeError(f"with_sidecars must be True, False or None, not {type(with_sidecars).__name__}")
    _check_column(balance)
    number = _whole_number("sample", sample)
    if number is not None and number < 1:
        raise ConfigError(f"sample is {number}; ask for at least one subject")
    seed = _whole_number("random_seed", random_seed)
    if seed is not None and not 0 <= seed < 2**32:
        raise ConfigError(f"random_seed must be from 0 to 2**32 - 1, not {seed}")
    chosen = Choosing(
        filters=parse_filters(filters),
        where=None if where is None else check_query(where),
        sample=number,
        balance=balance,
        random_seed=seed,
        include=_texts("include", include),
        exclude=_texts("exclude", exclude),
        keys=None if keys is None else _texts("keys", keys),
        require=_texts("require", require),
        with_sidecars=with_sidecars is not False,
        with_fieldmaps=with_fieldmaps,
        valid_subset=valid_subset,
        is_active=any(value is not None for name, value in given.items() if name != "random_seed"),
        given={name: _plain(value) for name, value in given.items() if value is not None},
    )
    compile_globs([*chosen.include, *chosen.exclude])
    if chosen.keys == ():
        raise ConfigError("keys is empty; name at least one file")
    return chosen


def _check_column(balance: object) -> None:
    if balance is not None and (not isinstance(balance, str) or not balance):
        raise TypeError(f"balance must be the name of a column, not {balance!r}")


def _whole_number(name: str, value: object) -> int | None:
    number = None if value is None else as_index(value)
    if value is not None and number is None:
        raise TypeError(f"{name} must be a whole number or None, not {type(value).__name__}")
    return number


def _texts(name: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, list | tuple | set | frozenset) or not all(isinstance(item, str) for item in items):
        raise TypeError(f"{name} must be text or a list of texts, not {type(value).__name__}")
    if not all(items):
        raise ConfigError(f"{name} holds an empty text")
    return tuple(dict.fromkeys(items))


def _plain(value: object) -> Any:
    """Give a value as JSON can hold it."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


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
    found = name_table(map(catalog.path, range(len(catalog))), catalog.layout) if table is None else table
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
