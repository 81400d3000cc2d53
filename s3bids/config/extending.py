"""A study file and the one that it extends, read as one."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .keys import ALLOWED
from .shipped import shipped_studies
from .yaml_text import Document, read_document

if TYPE_CHECKING:
    import os

#: Longest chain of files that extend each other.
_MOST_FILES = 8
#: Keys that are a file's own.
_OWN = ("extends", "name")


def read_study(path: str | os.PathLike[str]) -> Document:
    """Read a study file with all that it takes over from others; see :func:`~s3bids.config.load_config`."""
    return _read(Path(path), [])


def _read(path: Path, before: list[Path]) -> Document:
    document = read_document(path)
    unknown = [key for key in document.values if key not in ALLOWED]
    if unknown:
        raise ConfigError(_unknown_text(document, unknown[0]))
    if document.values.get("extends") is None:
        return document
    seen = [*before, path.resolve()]
    base = _base_path(document)
    if base.resolve() in seen:
        raise ConfigError(f"{document.where('extends')}: extends is {document.shown('extends')}, which leads back here")
    if len(seen) == _MOST_FILES:
        raise ConfigError(f"{document.where('extends')}: more than {_MOST_FILES} files extend each other")
    return _joined(document, _read(base, seen))


def _unknown_text(document: Document, key: str) -> str:
    near = difflib.get_close_matches(key, ALLOWED, 1)
    hint = f"did you mean {near[0]!r}? Allowed" if near else "allowed"
    return f"{document.where(key)}: the key {key!r} is unknown; {hint} are {', '.join(ALLOWED)}"


def _base_path(document: Document) -> Path:
    base = document.values["extends"]
    start = f"{document.where('extends')}: extends is {document.shown('extends')}"
    if not isinstance(base, str) or not base:
        raise ConfigError(f"{start}; allowed is {ALLOWED['extends']}")
    shipped = shipped_studies()
    if base in shipped:
        return shipped[base]
    if "/" not in base and not base.endswith((".yaml", ".yml")):
        near = difflib.get_close_matches(base, shipped, 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(f"{start}, which is no shipped study; {hint}allowed is {ALLOWED['extends']}")
    path = document.path.parent / base
    if not path.is_file():
        raise ConfigError(f"{start}, and there is no such file; allowed is {ALLOWED['extends']}")
    return path


def _joined(document: Document, base: Document) -> Document:
    """Give a document with the keys of another one that it lacks."""
    own = document.values
    left_out = {*_OWN, *own}
    # Signed or not: the one way to reach a bucket takes the place of the other.
    if own.get("profile") is not None:
        left_out.add("anon")
    if own.get("anon") is True:
        left_out.add("profile")
    inherited = {key: value for key, value in base.values.items() if key not in left_out}
    return Document(document.path, {**inherited, **own}, document.nodes, document.filled, base)


__all__ = ["read_study"]
