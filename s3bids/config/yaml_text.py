"""Read a YAML file from people we do not know: plain values, and for each key the line that it is on.

Nothing is constructed but text, numbers, true, false, null, lists and mappings. ``${NAME}`` stands for a variable of
the environment, but for none that may hold a secret: a file could send it to a server of its own. Tags, aliases,
several documents, keys that come twice, and files that are large or deeply nested are refused: no study file needs
them, and each has been a way to harm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..storage.params import environment_text

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

#: Most bytes of a study file.
MOST_BYTES = 64 * 1024
#: Deepest nesting of lists and mappings.
MOST_LEVELS = 8

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map"))
#: Numbers as people mean them; YAML 1.1 also reads 010 as 8 and 1:30 as 90. Longer ones count nothing, and are text.
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
#: A variable, or with a second dollar sign just these characters.
_VARIABLE = re.compile(r"\$(\$?)\{([^}]*)\}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Words in the names of variables that may hold secrets.
_SECRET = re.compile(
    r"SECRET|TOKEN|PASS|CREDENTIAL|AUTH|PRIVATE|(?:^|_)(?:API)?KEYS?(?:_|$)|_(?:PWD|PAT)$", re.IGNORECASE
)
#: Characters of a value that an error shows.
_MOST_SHOWN = 60


@dataclass(frozen=True, eq=False)
class Document:
    """The values of one file, and where each is."""

    path: Path
    #: Key -> text, int, bool, None, or a tuple or dict of these.
    values: dict[str, Any]
    #: Key -> the YAML node of its value.
    nodes: dict[str, Any]
    #: Keys whose values variables were filled into: errors show them as they were written.
    filled: frozenset[str] = frozenset()
    #: Where the values are from that have no node here.
    base: Document | None = None

    def of(self, key: str) -> Document:
        """Give the document that says a key: this one, or one that it extends."""
        return self if key in self.nodes or self.base is None or key not in self.values else self.base.of(key)

    def is_filled(self, key: str) -> bool:
        """Say whether a value holds what a variable held."""
        return key in self.of(key).filled

    def where(self, key: str) -> str:
        """Name the file, and the line of a key that it has."""
        owner = self.of(key)
        node = owner.nodes.get(key)
        return f"{owner.path}" if node is None else f"{owner.path}, line {node.start_mark.line + 1}"

    def shown(self, key: str) -> str:
        """Describe what was found for a key."""
        owner = self.of(key)
        found = owner.values[key]
        if key in owner.filled and isinstance(found, tuple | dict):
            return "a list" if isinstance(found, tuple) else "a mapping"
        if key in owner.filled:
            return _kind(owner.nodes[key].value)
        if isinstance(found, tuple):
            items = ", ".join(_kind(item) for item in found[:3])
            return f"a list of {items}{' ...' if len(found) > 3 else ''}"
        return _kind(found)

    def text(self, key: str) -> Any:
        """Give a value as text, though it looks like a number; no text if it is a list or a mapping."""
        node = self.of(key).nodes[key]
        return _filled(node, self.path) if node.id == "scalar" else self.values[key]

    def texts(self, key: str) -> tuple[str, ...]:
        """Give the items of a list as they were written; empty if there is no list, or one not of texts and numbers."""
        node, found = self.of(key).nodes[key], self.values[key]
        if not isinstance(found, tuple):
            return ()
        if any(isinstance(item, bool) or not isinstance(item, str | int) for item in found):
            return ()
        return tuple(_filled(item, self.path) for item in node.value)


def _kind(found: object) -> str:
    if isinstance(found, dict):
        return "a mapping"
    if isinstance(found, tuple):
        return "a list"
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, int):
        return f"the number {found}"
    text = str(found)
    return "null" if found is None else repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")


def read_document(path: str | os.PathLike[str]) -> Document:
    """Read a file that holds one YAML mapping.

    Raises
    ------
    ConfigError
        If it cannot be read, is no YAML, or holds what no study file needs; names the file and, if there is one, the
        line.
    """
    import yaml

    source = Path(path)
    text = _text(source)
    try:
        _check_events(yaml.parse(text, Loader=yaml.SafeLoader), source)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{source}{line}: this is no YAML ({error.problem or error.context})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: this is no YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{source}: a study file holds lines such as 'bucket: fcp-indi', and this one does not")
    nodes = _members(root, source)
    values = {name: _value(node, source) for name, node in nodes.items()}
    return Document(source, values, nodes, frozenset(name for name, node in nodes.items() if _has_variable(node)))


def _members(mapping: Any, source: Path) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for key, value in mapping.value:
        name = _key(key, source)
        if name in nodes:
            raise ConfigError(f"{source}, line {key.start_mark.line + 1}: the key {name!r} comes twice; leave one")
        nodes[name] = value
    return nodes


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the study file {path}: {error.strerror or error}") from error
    if len(data) > MOST_BYTES:
        raise ConfigError(f"cannot read the study file {path}: it has more than {MOST_BYTES} bytes, so it is none")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read the study file {path}: it is no UTF-8 text, so it is none") from error


def _check_events(events: Iterator[Any], path: Path) -> None:
    """Refuse what may not be there, before anything is built."""
    import yaml

    level = documents = 0
    for event in events:
        problem = None
        level += isinstance(event, yaml.CollectionStartEvent)
        level -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "anchors and aliases (&x, *x) are not allowed"
        elif getattr(event, "tag", None) not in (None, "!", *_PLAIN_TAGS):
            problem = f"tags such as {event.tag} are not allowed"
        elif level > MOST_LEVELS:
            problem = f"more than {MOST_LEVELS} levels are not allowed"
        elif documents > 1:
            problem = "a second document (---) is not allowed"
        if problem:
            raise ConfigError(f"{path}, line {event.start_mark.line + 1}: {problem} in a study file")


def _key(node: Any, path: Path) -> str:
    if node.id != "scalar" or not node.value:
        raise ConfigError(f"{path}, line {node.start_mark.line + 1}: a key must be a word")
    return str(node.value)


def _has_variable(node: Any) -> bool:
    if node.id == "mapping":
        return any(_has_variable(value) for _, value in node.value)
    if node.id == "sequence":
        return any(map(_has_variable, node.value))
    return _VARIABLE.search(node.value) is not None


def _filled(node: Any, path: Path) -> str:
    """Give the text of a value with its variables filled in."""

    def filled(match: re.Match[str]) -> str:
        escape, name = match.groups()
        if escape:
            return f"${{{name}}}"
        if _VARIABLE_NAME.fullmatch(name) is None:
            raise ConfigError(f"{place}: ${{{name}}} names no variable; write ${{NAME}}, or $${{ for these characters")
        if _SECRET.search(name):
            raise ConfigError(
                f"{place}: the variable {name} may hold a secret, which a study file cannot read; "
                "leave credentials to the environment, or name a profile"
            )
        value = environment_text(name)
        if not value:
            raise ConfigError(f"{place}: the variable {name} is not set, or empty; set it, or write the value here")
        return value

    place = f"{path}, line {node.start_mark.line + 1}"
    return _VARIABLE.sub(filled, node.value)


def _value(node: Any, path: Path) -> Any:
    if node.id == "mapping":
        return {name: _value(value, path) for name, value in _members(node, path).items()}
    if node.id == "sequence":
        return tuple(_value(item, path) for item in node.value)
    text = _filled(node, path)
    if text != node.value and node.style is None:
        return _plain(text)
    if node.style is not None or node.tag == _TAG + "str":
        return text
    if node.tag == _TAG + "null":
        return None
    return _plain(text)


def _plain(text: str) -> Any:
    if text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    return int(text) if _NUMBER.fullmatch(text) else text


__all__ = ["Document", "read_document"]
