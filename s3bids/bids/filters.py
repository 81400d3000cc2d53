"""Filters by BIDS entity: from what users write to conditions on names, and which condition left nothing.

A filter names entities, long or short, and ``datatype``, ``suffix`` and ``extension``. All its conditions must hold. Of
several alternative filters, as the groups of a filter file of fMRIPrep are, one must.

==============  =======================================================================================
value           holds if the file's value
==============  =======================================================================================
text            is this text; for an entity that counts (``run``, ``echo`` ...) is this number: 1 is 01
int             is this number, whatever zeros stand before it
None            is absent
``"*"``         is there, whatever it is
``"re:..."``    holds a match of this regular expression, as a compiled pattern does (``re.search``)
list            is as one of its items says
==============  =======================================================================================
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from . import schema
from .table import value_of

if TYPE_CHECKING:
    from .table import Folder, Kind, NameTable

#: What may be asked of a name beside its entities.
PARTS = ("datatype", "suffix", "extension")
#: Of these, what a folder says.
_OF_FOLDER = ("datatype", "sub", "ses")
ANY = "*"
_PATTERN = "re:"
#: Words for an absent entity on the command line.
_ABSENT = ("none", "null")
#: A key of pybids' queries that filter files may hold: texts are regular expressions.
_REGEX_SEARCH = "regex_search"

#: What the groups of a filter file stand for, where the file does not say it (fMRIPrep, qsiprep and aslprep, "BIDS
#: filter file").
_GROUPS: dict[str, dict[str, Any]] = {
    "fmap": {"datatype": "fmap"},
    "bold": {"datatype": "func", "suffix": "bold"},
    "sbref": {"suffix": "sbref"},
    "flair": {"datatype": "anat", "suffix": "FLAIR"},
    "t1w": {"datatype": "anat", "suffix": "T1w"},
    "t2w": {"datatype": "anat", "suffix": "T2w"},
    "roi": {"datatype": "anat", "suffix": "roi"},
    "dwi": {"datatype": "dwi"},
    "asl": {"datatype": "perf", "suffix": "asl"},
    "pet": {"datatype": "pet", "suffix": "pet"},
}

#: Values that one error names.
_NAMED = 12


@dataclass(frozen=True, slots=True)
class Condition:
    """What one entity or part of a name must be: one of some tests must hold."""

    #: Short name of an entity, or one of :data:`PARTS`.
    name: str
    #: As users wrote it.
    written: str
    tests: tuple[str | int | re.Pattern[str] | None, ...]

    def holds(self, value: str | None) -> bool:
        """Say whether a value, without its entity's name, is as wanted; None is an absent one."""
        return any(self._passes(test, value) for test in self.tests)

    def _passes(self, test: str | int | re.Pattern[str] | None, value: str | None) -> bool:
        if test is None or value is None:
            return test is None and value is None
        if isinstance(test, re.Pattern):
            return test.search(value) is not None
        if test == ANY:
            return True
        if isinstance(test, int):
            return _number(value) == test
        if self.name == "extension":
            return test.rstrip("/") == value.rstrip("/")
        if self.name in schema.index_entities():
            return test == value or (_number(value) is not None and _number(value) == _number(test))
        return test == value

    def __str__(self) -> str:
        return self.written


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that must all hold."""

    conditions: tuple[Condition, ...]
    #: Its name in a filter file; ``""`` if it is the only one.
    group: str = ""

    def holds(self, folder: Folder, kind: Kind) -> bool:
        """Say whether a name is as wanted."""
        return all(condition.holds(value_of(folder, kind, condition.name)) for condition in self.conditions)

    def __str__(self) -> str:
        start = f"{self.group}: " if self.group else ""
        return start + ", ".join(map(str, self.conditions))


def parse_filters(filters: object) -> tuple[Filter, ...]:
    """Read filters as Python and JSON write them.

    Parameters
    ----------
    filters
        None; a mapping from entities to values; a mapping from names of groups to such mappings, which is what the file
        of fMRIPrep's ``--bids-filter-file`` holds; or a list of mappings. A group that fMRIPrep knows has its datatype
        and suffix where it does not give them, so ``{"t1w": {"session": "01"}}`` means T1-weighted images.

    Returns
    -------
    tuple of Filter
        Alternatives: a file is wanted if one of them holds. Empty for None: nothing is asked.

    Raises
    ------
    TypeError
        If it is no mapping.
    ConfigError
        If a value is of no use, a regular expression is none, or an entity is given twice.

    Examples
    --------
    >>> [found] = parse_filters({"suffix": "bold", "run": 1, "space": None})
    >>> str(found), found.conditions[1].holds("01")
    ('suffix=bold, run=1, space=none', True)
    """
    if filters is None:
        return ()
    if isinstance(filters, Mapping):
        are_groups = [isinstance(value, Mapping) for value in filters.values()]
        if any(are_groups):
            if not all(are_groups):
                raise ConfigError("filters holds groups and conditions side by side; put the conditions into a group")
            return tuple(_group(str(name), values) for name, values in filters.items())
        return (_filter("", filters),) if filters else ()
    if isinstance(filters, list | tuple) and all(isinstance(item, Mapping) for item in filters):
        return tuple(_filter(str(number), item) for number, item in enumerate(filters, 1))
    kind = type(filters).__name__
    raise TypeError(f"filters must be a dict of entities, a dict of such dicts, or a list of them, not {kind}")


def parse_filter_texts(texts: Iterable[str]) -> dict[str, Any]:
    """Read filters as the command line has them, ``ENTITY=VALUE[,VALUE]..``, into what :func:`parse_filters` takes.

    ``none`` and ``null`` stand for an absent entity. A value that begins with ``re:`` goes on to the end of the text.
    Texts on one entity add values.

    Raises
    ------
    ConfigError
        If a text is no filter.

    Examples
    --------
    >>> parse_filter_texts(["task=rest", "run=1,2", "space=none", "desc=re:pre,?proc"])
    {'task': ['rest'], 'run': ['1', '2'], 'space': [None], 'desc': ['re:pre,?proc']}
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not name or not equals or not values:
            raise ConfigError(f"the filter {text!r} is none; write ENTITY=VALUE, such as task=rest or run=1,2")
        items = [values] if values.startswith(_PATTERN) else values.split(",")
        if not all(items):
            raise ConfigError(f"the filter {text!r} has an empty value; write {name}=none for files without {name}")
        short = schema.short_name(name)
        found.setdefault(short, []).extend(None if item.lower() in _ABSENT else item for item in items)
    return found


def _group(name: str, values: Mapping[Any, Any]) -> Filter:
    known = {schema.short_name(str(key)) for key in values}
    defaults = {key: value for key, value in _GROUPS.get(name.lower(), {}).items() if key not in known}
    if not values and not defaults:
        raise ConfigError(f"the group {name!r} of the filters is empty and would choose everything; say what it wants")
    return _filter(name, {**defaults, **values})


def _filter(group: str, values: Mapping[Any, Any]) -> Filter:
    regex = values.get(_REGEX_SEARCH, False)
    if not isinstance(regex, bool):
        raise ConfigError(f"{_REGEX_SEARCH} in the filters is {regex!r}; it can be true or false")
    conditions: dict[str, Condition] = {}
    for key, value in values.items():
        if key == _REGEX_SEARCH:
            continue
        if not isinstance(key, str) or not key:
            raise ConfigError(f"the filters name an entity {key!r}; an entity is a word such as task")
        name = schema.short_name(key)
        if name in conditions:
            raise ConfigError(f"the filters give {schema.long_names().get(name, name)} twice, by two names; leave one")
        conditions[name] = _condition(key, name, value, regex=regex)
    return Filter(tuple(conditions.values()), group)


def _condition(key: str, name: str, value: object, *, regex: bool) -> Condition:
    items = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    if not items:
        raise ConfigError(f"the filter on {key} is an empty list; name a value, or None for files without {key}")
    written = f"{key}={','.join(map(_written, items))}"
    return Condition(name, written, tuple(_test(key, name, item, regex=regex) for item in items))


def _written(item: object) -> str:
    if item is None:
        return "none"
    return f"{_PATTERN}{item.pattern}" if isinstance(item, re.Pattern) else str(item)


def _test(key: str, name: str, item: object, *, regex: bool) -> str | int | re.Pattern[str] | None:
    if item is None:
        return None
    if isinstance(item, int) and not isinstance(item, bool):
        return item
    if isinstance(item, re.Pattern) and isinstance(item.pattern, str):
        return item
    if not isinstance(item, str) or not item:
        raise ConfigError(
            f"the filter on {key} has the value {item!r}; a value is text, a whole number, None, '*' or a regular "
            "expression"
        )
    if item == ANY:
        return item
    if item.startswith(_PATTERN) or regex:
        return _pattern(key, item.removeprefix(_PATTERN))
    if name == "extension":
        return item if item.startswith(".") else f".{item}"
    # People write 01 or ses-01; no value of BIDS begins with the name of its own entity and a hyphen.
    return item.removeprefix(f"{name}-") or item


def _pattern(key: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"the filter on {key} has the regular expression {text!r}, which is none: {error}") from error


def _number(value: str) -> int | None:
    return int(value) if value.isdecimal() and len(value) < 20 else None


def matching_rows(table: NameTable, filters: Sequence[Filter], rows: Iterable[int]) -> list[int]:
    """Give those of some rows for which one of the filters holds; all of them if there are no filters."""
    asked = list(rows)
    if not filters:
        return asked
    if len(filters) == 1:
        return _matching(table, filters[0], asked)
    wanted = {row for item in filters for row in _matching(table, item, asked)}
    return [row for row in asked if row in wanted]


def _matching(table: NameTable, item: Filter, rows: list[int]) -> list[int]:
    """Ask each folder and each kind once, and a row only if its name has a subject or session of its own."""
    of_folder = [c for c in item.conditions if c.name in _OF_FOLDER]
    of_kind = [c for c in item.conditions if c.name not in _OF_FOLDER]
    folders = bytearray(all(c.holds(_folder_value(f, c.name)) for c in of_folder) for f in table.folders)
    kinds = bytearray(all(c.holds(_kind_value(k, c.name)) for c in of_kind) for k in table.kinds)
    own = bytearray(any(name in _OF_FOLDER for name, _ in kind.entities) for kind in table.kinds)
    folder_of, kind_of = table.folder_of, table.kind_of
    if not any(own):
        return [row for row in rows if kinds[kind_of[row]] and folders[folder_of[row]]]
    return [
        row
        for row in rows
        if kinds[kind := kind_of[row]]
        and (item.holds(table.folder(row), table.kinds[kind]) if own[kind] else folders[folder_of[row]])
    ]


def _folder_value(folder: Folder, name: str) -> str | None:
    if name == "datatype":
        return folder.datatype
    return folder.subject_label if name == "sub" else folder.session_label


def _kind_value(kind: Kind, name: str) -> str | None:
    if name == "suffix":
        return kind.suffix
    return kind.extension or None if name == "extension" else kind.get(name)


def check_entities(filters: Iterable[Filter], table: NameTable) -> None:
    """Refuse a filter on an entity that neither BIDS nor any of the names knows.

    Raises
    ------
    ConfigError
        Naming the entity and the nearest known ones.
    """
    known = set(schema.entity_order()) | set(PARTS)
    asked = {condition.name for item in filters for condition in item.conditions} - known
    if not asked:
        return
    used = {name for kind in table.kinds for name, _ in kind.entities}
    for name in sorted(asked - used):
        words = sorted(known | used | set(schema.long_names().values()))
        near = difflib.get_close_matches(name, words, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(words)}"
        raise ConfigError(f"the filters name the entity {name!r}, which neither BIDS nor this study has; {hint}")


def explain_empty(table: NameTable, filters: Sequence[Filter], rows: Sequence[int]) -> str:
    """Say which condition left none of the rows, and which values there are that are near to the wanted.

    Of alternatives, the first is explained.
    """
    left = list(rows)
    for number, condition in enumerate(filters[0].conditions):
        kept = [row for row in left if condition.holds(table.value(row, condition.name))]
        if kept:
            left = kept
            continue
        before = ", ".join(map(str, filters[0].conditions[:number]))
        among = f"the {len(left):,} files " + (f"with {before}" if before else "of the chosen subjects")
        return f"of {among} none has {condition}; {_values_text(condition, table, left)}"
    return "no file is left"


def _values_text(condition: Condition, table: NameTable, rows: Sequence[int]) -> str:
    values = sorted({value for row in rows if (value := table.value(row, condition.name)) is not None})
    if not values:
        return f"none of them has any {condition.name}"
    wanted = [test for test in condition.tests if isinstance(test, str)]
    near = list(dict.fromkeys(v for test in wanted for v in difflib.get_close_matches(test, values, 3, 0.5)))
    shown = ", ".join(values[:_NAMED]) + (f" and {len(values) - _NAMED} more" if len(values) > _NAMED else "")
    if near:
        return f"did you mean {' or '.join(near)}? There are {shown}"
    return f"there are {shown}"
