"""Which objects of a study are wanted. Pure: from values to values, nothing is asked of any storage."""

from __future__ import annotations

import difflib
import operator
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from .bids.names import is_subject_directory, subject_label
from .errors import ConfigError, SubjectNotFoundError

if TYPE_CHECKING:
    from .bids.layouts import Place
    from .catalog import Catalog

#: What users may give as `subjects`.
SubjectChoice = int | str | Sequence[int] | Sequence[str] | None

#: Which derivatives: all, none, one name or glob, or several.
DerivativeChoice = bool | str | list[str] | tuple[str, ...]

#: Files of a whole data set that may be chosen by name (BIDS, "Modality agnostic files").
AGNOSTIC_NAMES = ("dataset_description.json", "CHANGES", "README", "LICENSE")
_TEXT_EXTENSIONS = ("", ".md", ".rst", ".txt")
ALL = "all"
FILES = "files"
#: As FILES, with the files of single subjects that lie at the root.
EVERY_FILE = "every file"


@dataclass(frozen=True)
class Selection:
    """Which objects of a study are wanted."""

    #: Subjects with their prefix.
    subjects: tuple[str, ...]
    #: Names or globs of derivatives.
    derivatives: tuple[str, ...] = ()
    #: Files of the whole data set: names, ``"files"`` (those at its root that are no subject's), ``"every file"`` (all
    #: at its root), or ``"all"`` (directories too).
    root: tuple[str, ...] | str = ()
    #: The same for each derivative's own root.
    derivative_root: tuple[str, ...] | str = ()
    #: What the names of subjects' files must end with.
    suffix: str | None = None

    @property
    def can_miss(self) -> bool:
        """Whether a part of it may match nothing, which only the whole listing tells."""
        return self.suffix is not None or bool(self.derivatives)


def choose_subjects(available: Iterable[str], subjects: SubjectChoice, random_seed: int | None = None) -> list[str]:
    """Choose subjects out of those that a study has.

    Parameters
    ----------
    available
        All ids, with their prefix.
    subjects
        None (the first), a number (so many from the first on), positions, ``"all"``, or ids with or without ``sub-``.
    random_seed
        Shuffles the ids before numbers and positions are applied, as numpy.random.RandomState does.

    Returns
    -------
    list of str
        Ids in the order of the selection, each once.

    Raises
    ------
    SubjectNotFoundError
        If an id is unknown, naming the nearest; or if one is wanted and there is none.
    ValueError
        If a number is less than one, or a sequence empty.
    IndexError
        If a position lies outside.
    TypeError
        If `subjects` is of another type.

    >>> choose_subjects(["sub-02", "sub-01", "sub-03"], 2)
    ['sub-01', 'sub-02']
    >>> choose_subjects(["sub-01", "sub-02", "sub-03"], ["03", "sub-01"])
    ['sub-03', 'sub-01']
    """
    choice = check_choice(subjects, random_seed)
    ids = sorted(available)
    if isinstance(choice, str):
        return ids
    names = [] if isinstance(choice, int) else [item for item in choice if isinstance(item, str)]
    if names:
        return _named(ids, names)
    ordered = ids if random_seed is None else shuffled(ids, random_seed)
    if isinstance(choice, int):
        return _first(ordered, choice)
    return _at(ordered, [item for item in choice if isinstance(item, int)])


def check_choice(subjects: SubjectChoice, random_seed: int | None = None) -> str | int | list[str | int]:
    """Refuse a choice of subjects that no study could fulfil, before anything is listed.

    Returns
    -------
    str, int or list
        ``"all"``, a number, ids with their prefix, or positions.
    """
    if random_seed is not None:
        _check_seed(random_seed)
    if isinstance(subjects, str):
        return ALL if subjects == ALL else [subject_label(subjects)]
    number = 1 if subjects is None else as_index(subjects)
    if number is not None:
        if number < 1:
            raise ValueError(f"subjects is {number}; ask for at least one")
        return number
    items = _items(subjects)
    if all(isinstance(item, str) for item in items):
        return [subject_label(str(item)) for item in items]
    positions = [position for position in map(as_index, items) if position is not None]
    if len(positions) < len(items):
        raise TypeError(f"subjects must hold ids or positions, not both or others: {subjects!r}")
    return list(positions)


def as_index(value: object) -> int | None:
    """Give an integer of any kind as an int, and None for anything else; a bool is no integer."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type] # whatever is no integer raises
    except TypeError:
        return None


def _items(subjects: object) -> list[object]:
    # An array of NumPy is no Sequence, but has __array__; a set has no order, and a dict or file is a mistake. Bytes
    # would pass for positions.
    is_sequence = isinstance(subjects, Sequence) or hasattr(subjects, "__array__")
    is_scalar = getattr(subjects, "ndim", 1) == 0
    if not is_sequence or is_scalar or isinstance(subjects, bytes | bytearray | memoryview):
        raise TypeError(
            "subjects must be None, a number, 'all', an id, or a sequence of ids or positions, "
            f"not {type(subjects).__name__}"
        )
    items: list[object] = list(subjects)  # type: ignore[call-overload] # an array iterates
    if not items:
        raise ValueError("subjects is an empty sequence; name at least one subject, or 'all'")
    return items


def _first(ordered: list[str], number: int) -> list[str]:
    if not ordered:
        raise SubjectNotFoundError("the study has no subjects, so none can be chosen; look at it with subjects='all'")
    return ordered[:number]


def _at(ordered: list[str], positions: list[int]) -> list[str]:
    chosen = []
    for position in positions:
        if not -len(ordered) <= position < len(ordered):
            raise IndexError(f"there is no subject at position {position}: the study has {len(ordered)}, from 0 on")
        chosen.append(ordered[position])
    return list(dict.fromkeys(chosen))


def _named(ids: list[str], names: list[str]) -> list[str]:
    wanted = list(dict.fromkeys(names))
    known = set(ids)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SubjectNotFoundError(_unknown_text(unknown, ids))
    return wanted


def _unknown_text(unknown: list[str], ids: list[str]) -> str:
    named = ", ".join(unknown[:10]) + (f" and {len(unknown) - 10} more" if len(unknown) > 10 else "")
    near = list(dict.fromkeys(match for name in unknown[:10] for match in difflib.get_close_matches(name, ids, 3, 0.5)))
    hint = f"the nearest are {', '.join(near[:6])}" if near else "none is similar"
    return f"the study has no {named}; {hint} of its {len(ids)} subjects"


def shuffled(ids: Sequence[str], random_seed: int) -> list[str]:
    """Shuffle ids exactly as ``numpy.random.RandomState(random_seed).shuffle`` does, without NumPy.

    MT19937 is set up by ``init_genrand``; item i, from the last to the second, changes places with item j, where j is
    the next 32-bit output cut to the bits of i and drawn again while it is greater than i.

    >>> shuffled([f"{n:02}" for n in range(1, 27)], 42)[:5]
    ['09', '17', '01', '25', '12']
    """
    _check_seed(random_seed)
    state = [random_seed]
    for number in range(1, 624):
        state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + number) & 0xFFFFFFFF)
    generator = random.Random()  # noqa: S311 - a reproducible order, no secret
    generator.setstate((3, (*state, 624), None))
    items = list(ids)
    for i in range(len(items) - 1, 0, -1):
        mask = (1 << i.bit_length()) - 1
        j = generator.getrandbits(32) & mask
        while j > i:
            j = generator.getrandbits(32) & mask
        items[i], items[j] = items[j], items[i]
    return items


def _check_seed(random_seed: int) -> None:
    if not 0 <= random_seed < 2**32:
        raise ValueError(f"random_seed must be from 0 to 2**32 - 1, not {random_seed}")


def derivative_patterns(include: DerivativeChoice, types: Iterable[str] = ()) -> tuple[str, ...]:
    """Turn `include_derivs` into names and globs of derivatives.

    Parameters
    ----------
    include
        True for all, False for none, one name or glob, or several; an element of `types` stands for its own name.
    types
        What ``derivative_types`` gives: names, or ``bucket/prefix/derivatives/name``.

    >>> derivative_patterns(True), derivative_patterns("afq*")
    (('*',), ('afq*',))
    >>> derivative_patterns(["bucket/ds/derivatives/afq"], ["bucket/ds/derivatives/afq"])
    ('afq',)
    """
    if isinstance(include, bool):
        return ("*",) if include else ()
    names = [include] if isinstance(include, str) else include
    if not _are_names(names):
        raise TypeError(
            f"include_derivs must be True, False, a name, or a list or tuple of names, not {type(include).__name__}"
        )
    known = set(types)
    return tuple(name.rpartition("/")[2] if name in known else name for name in names)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Say whether a derivative's name is one of some names or globs. Upper and lower case differ.

    A derivative of a derivative is meant by ``*`` and by what names both.

    >>> matches("qsiprep/dlqc", ["qsi*"]), matches("qsiprep/dlqc", ["qsi*/dlqc"]), matches("qsiprep/dlqc", ["*"])
    (False, True, True)
    """
    return any(pattern in (name, "*") or _matches_glob(name, pattern) for pattern in patterns)


def _matches_glob(name: str, pattern: str) -> bool:
    names, patterns = name.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))


def unmatched(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Give the patterns that no name matches."""
    names = list(names)
    return [pattern for pattern in patterns if not any(matches(name, [pattern]) for name in names)]


def wants_root_entry(name: str, *, is_directory: bool, rule: tuple[str, ...] | str) -> bool:
    """Say whether an entry at the root of a data set is wanted.

    Parameters
    ----------
    name
        Its own name. Files that begin with ``sub-`` belong to one subject and come with ``"all"`` only.
    rule
        As in :class:`Selection`.
    """
    if rule == ALL:
        return True
    if is_directory:
        return False
    if rule == EVERY_FILE:
        return True
    if rule == FILES:
        return not name.startswith("sub-")
    return any(is_agnostic_file(name, wanted) for wanted in rule)


def is_agnostic_file(name: str, wanted: str) -> bool:
    """Say whether a file is the one meant by a name such as ``README``, which may carry an extension on disk.

    >>> is_agnostic_file("README.md", "README"), is_agnostic_file("README.old", "README")
    (True, False)
    """
    if wanted not in ("README", "LICENSE"):
        return name == wanted
    return name.removeprefix(wanted) in _TEXT_EXTENSIONS and name.startswith(wanted)


def agnostic_rule(include: object) -> tuple[str, ...] | str:
    """Turn `include_modality_agnostic` into a rule for the root of the data set; refuse anything unknown."""
    if isinstance(include, bool):
        return ALL if include else ()
    if include == ALL:
        return ALL
    names = [include] if isinstance(include, str) else include
    if not _are_names(names):
        raise TypeError(
            "include_modality_agnostic must be True, False, 'all', a name, or a list or tuple of names, "
            f"not {type(include).__name__}"
        )
    for name in names:  # type: ignore[attr-defined] # a list or tuple, as was just checked
        if name not in AGNOSTIC_NAMES:
            raise ValueError(
                f"include_modality_agnostic cannot be {name!r}; choose from {', '.join(AGNOSTIC_NAMES)}, or 'all'"
            )
    return tuple(names)  # type: ignore[arg-type]


def _are_names(names: object) -> bool:
    return isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)


def select(catalog: Catalog, selection: Selection) -> Catalog:
    """Keep the wanted rows of a catalog.

    A subject's file is wanted if its subject is chosen, its derivative (if any) matches, and its name ends with the
    suffix. Other files are wanted if they are of raw data or of a derivative that matches: whoever made the listing
    asked for them.
    """
    subjects = set(selection.subjects)
    # Whose a file is depends on its folder only, and files are many more than folders.
    choices: dict[str, _Choice] = {}
    wanted = []
    for index, path in enumerate(catalog.paths):
        folder = path[: path.rfind("/") + 1]
        choice = choices.get(folder)
        if choice is None:
            choice = choices[folder] = _choice(catalog.layout.place(path), selection, subjects)
        if choice is _Choice.ALL or (choice is _Choice.SUFFIX and path.endswith(selection.suffix or "")):
            wanted.append(index)
    return catalog if len(wanted) == len(catalog) else catalog.take(wanted)


class _Choice(Enum):
    """Which files of a folder are wanted."""

    NONE = 0
    ALL = 1
    #: Those whose names end with the suffix.
    SUFFIX = 2


def _choice(place: Place, selection: Selection, subjects: set[str]) -> _Choice:
    if place.derivative and not matches(place.derivative, selection.derivatives):
        return _Choice.NONE
    if place.subject and place.derivative == "" and "*" not in selection.derivatives:
        # A loose file beside a subject's derivatives belongs to none of them.
        return _Choice.NONE
    if place.subject is None:
        return _Choice.ALL
    if place.subject not in subjects:
        return _Choice.NONE
    return _Choice.ALL if selection.suffix is None else _Choice.SUFFIX


def require_matches(catalog: Catalog, selection: Selection) -> None:
    """Refuse a selection of which a part matches nothing: a derivative without files, a suffix that no file has.

    Raises
    ------
    ConfigError
        Naming the derivative or the suffix.
    """
    if not selection.derivatives and selection.suffix is None:
        return
    places = [catalog.layout.place(catalog.path(index)) for index in range(len(catalog))]
    for pattern in unmatched({place.derivative or "" for place in places}, selection.derivatives):
        if pattern != "*":
            raise ConfigError(
                f"no wanted file is in a derivative {pattern!r}; see which there are (s3bids ls STUDY --derivatives)"
            )
    if selection.suffix is not None and all(place.subject is None for place in places):
        raise ConfigError(
            f"no file of the chosen subjects has a name that ends with {selection.suffix!r}; "
            "see the names there are (s3bids ls STUDY --files)"
        )


def subject_directories(directories: Iterable[str]) -> list[str]:
    """Give the subjects among directory keys, by their own names, sorted.

    >>> subject_directories(["ds/code/", "ds/sub-2/", "ds/sub-1/", "ds/sub-/"])
    ['sub-1', 'sub-2']
    """
    names = (directory.removesuffix("/").rpartition("/")[2] for directory in directories)
    return sorted(name for name in names if is_subject_directory(name))
