"""The vocabulary of BIDS: entities and their order, datatypes, suffixes, extensions of folders.

All of it is read from the schema that the standard itself publishes, in the package ``bidsschematools``. That package
is imported, and its schema read, when the first of these functions is called (some 30 ms); importing this module
costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """What the package needs of the schema, as plain values."""

    entity_order: tuple[str, ...]
    long_names: dict[str, str]
    short_names: dict[str, str]
    datatypes: frozenset[str]
    suffixes: frozenset[str]
    directory_extensions: tuple[str, ...]
    index_entities: frozenset[str]


def entity_order() -> tuple[str, ...]:
    """Return the short names of all entities, in the order in which they stand in a file name.

    Returns
    -------
    tuple of str
        From ``sub`` to ``desc`` (BIDS schema, ``rules.entities``).

    Examples
    --------
    >>> entity_order()[0], entity_order()[-1]
    ('sub', 'desc')
    """
    return _vocabulary().entity_order


def long_names() -> dict[str, str]:
    """Return the long name of every entity by its short name.

    Returns
    -------
    dict
        A new dictionary at every call, in the order of :func:`entity_order`.

    Examples
    --------
    >>> long_names()["acq"]
    'acquisition'
    """
    return dict(_vocabulary().long_names)


def short_name(entity: str) -> str:
    """Return the short name of an entity that is given by its short or its long name.

    Parameters
    ----------
    entity
        A name such as ``ses`` or ``session``. A name that BIDS does not know is returned as it is.

    Returns
    -------
    str
        The name that stands in file names.

    Examples
    --------
    >>> short_name("session"), short_name("ses"), short_name("model")
    ('ses', 'ses', 'model')
    """
    return _vocabulary().short_names.get(entity, entity)


def index_entities() -> frozenset[str]:
    """Return the short names of the entities whose values are numbers, which names may write with zeros in front.

    Examples
    --------
    >>> "run" in index_entities(), "ses" in index_entities()
    (True, False)
    """
    return _vocabulary().index_entities


def datatypes() -> frozenset[str]:
    """Return the names of all datatypes.

    Returns
    -------
    frozenset of str
        ``anat``, ``dwi``, ``func``, ... These are also the names of the folders that hold the files.

    Examples
    --------
    >>> "dwi" in datatypes()
    True
    """
    return _vocabulary().datatypes


def suffixes() -> frozenset[str]:
    """Return all suffixes that the standard knows.

    Returns
    -------
    frozenset of str
        ``T1w``, ``bold``, ``events``, ...; derivatives often have others.

    Examples
    --------
    >>> "T1w" in suffixes()
    True
    """
    return _vocabulary().suffixes


def directory_extensions() -> tuple[str, ...]:
    """Return the extensions of the folders that count as one file.

    Returns
    -------
    tuple of str
        Each with a leading dot and a trailing slash, as the schema writes them. The folder without an extension that
        BTi/4D recordings are (a bare ``/`` in the schema) is left out: by its name it cannot be told from any other.

    Examples
    --------
    >>> ".ds/" in directory_extensions()
    True
    """
    return _vocabulary().directory_extensions


# The vocabulary is a constant of the installed standard, so one cached value can never go stale.
@cache
def _vocabulary() -> _Vocabulary:
    """Read the schema once."""
    from bidsschematools.schema import load_schema

    schema = load_schema()
    entities = schema.objects.entities
    long_by_short = {str(entities[name].name): str(name) for name in schema.rules.entities}
    extensions = {str(entry.value) for entry in schema.objects.extensions.values()}
    return _Vocabulary(
        entity_order=tuple(long_by_short),
        long_names=long_by_short,
        short_names={long: short for short, long in long_by_short.items()},
        datatypes=frozenset(str(entry.value) for entry in schema.objects.datatypes.values()),
        suffixes=frozenset(str(entry.value) for entry in schema.objects.suffixes.values()),
        directory_extensions=tuple(sorted(e for e in extensions if e.startswith(".") and e.endswith("/"))),
        index_entities=frozenset(s for s, name in long_by_short.items() if entities[name].format == "index"),
    )
