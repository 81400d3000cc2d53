"""What users ask for beyond subjects, derivatives and a suffix: checked once, before anything is listed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .bids.cohorts import check_query
from .bids.filters import parse_filters
from .bids.globs import compile_globs
from .errors import ConfigError
from .selection import as_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .bids.filters import Filter


#: What a regular expression may be compiled with, and how it says so itself.
_FLAGS = ((re.ASCII, "a"), (re.IGNORECASE, "i"), (re.MULTILINE, "m"), (re.DOTALL, "s"), (re.VERBOSE, "x"))


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

    @property
    def chooses_subjects(self) -> bool:
        """Whether it says which subjects are wanted."""
        by_filter = any(condition.name == "sub" for item in self.filters for condition in item.conditions)
        by_cohort = (self.where, self.sample, self.balance, self.keys)
        return by_filter or bool(self.require) or any(value is not None for value in by_cohort)


#: What the arguments of a download are that say nothing, where that is neither None nor False.
_SILENT = {"verify": "etag", "reserve": 0, "with_sidecars": None}


def told(given: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Give the arguments of a call, and where one says nothing, what the study's file says.

    >>> told({"where": None, "sample": 3, "with_sidecars": False}, {"where": "age > 8", "sample": 9})
    {'where': 'age > 8', 'sample': 3, 'with_sidecars': False}
    """
    return {name: said.get(name, value) if _is_silent(name, value) else value for name, value in given.items()}


def _is_silent(name: str, value: object) -> bool:
    if name in _SILENT:
        silent = _SILENT[name]
        return type(value) is type(silent) and value == silent
    return value is None or value is False


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
        Subjects' files by BIDS entity, such as ``{"suffix": "bold", "run": [1, 2], "space": None}``; or a dict of such
        dicts, which is fMRIPrep's filter file. Values: text, numbers, None (absent), ``"*"`` (present), regular
        expressions, lists; see :mod:`s3bids.bids.filters`.
    where
        Subjects by a query on the participant table, such as ``"age >= 8 and sex == 'F'"``; see
        :mod:`s3bids.bids.cohorts`. This, `sample`, `balance`, `keys`, `require` and a filter by subject choose among
        the subjects of the study, or among all of them if it was opened with ``subjects=None``.
    sample, balance, random_seed
        So many subjects, drawn with this seed (default: the study's, else 0, so that the same call draws the same); in
        equal numbers for each value of the column `balance` of the participant table.
    include, exclude
        Globs of paths: take these alone, leave these out; see :mod:`s3bids.bids.globs`. A glob that begins with a
        directory at the root, such as ``phenotype/*``, takes files of no subject.
    keys
        Single files: paths from the root of the study on, whole keys, or addresses.
    require
        Drop subjects that lack one of these suffixes (``T1w``) or datatypes (``dwi``).
    with_sidecars
        Bring what the chosen files need: sidecars of every level, events, recordings that are directories, stimuli, and
        the essential root files. Default: True if any other of these arguments is given.
    with_fieldmaps
        Bring the fieldmaps of the chosen files, by ``IntendedFor`` and ``B0FieldIdentifier``.
    valid_subset
        Cut the tables and links of a subset down to what is there, so that it validates; the originals stay in the
        manifest. A full study is never altered.

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
    if isinstance(value, re.Pattern):
        flags = "".join(letter for flag, letter in _FLAGS if value.flags & flag)
        return f"re:(?{flags}){value.pattern}" if flags else f"re:{value.pattern}"
    if value is None or isinstance(value, str | int | float | bool):
        return value
    # A number of numpy is one; as text it could not be asked for again.
    number = as_index(value)
    return str(value) if number is None else number
