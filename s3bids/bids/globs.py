r"""Globs over paths of a study.

====================  ==========================================================================================
glob                  chooses
====================  ==========================================================================================
``*_T1w.nii.gz``      without a slash before its end: files and folders of this name, wherever they are
``sub-01/anat/*``     with one: paths from the root of the study on; ``*`` and ``?`` stop at a slash
``sub-*/**/*.json``   ``**`` as a whole part stands for any number of folders, none included
``anat/``             a folder stands for all that lies in it, with the slash or without
``run-[0-3]*``        one character of a set; ``[!0-3]`` of none of it
====================  ==========================================================================================

Upper and lower case differ, as they do on S3.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPECIAL = re.compile(r"[*?\[]")
_STAR = "[^/]*"
_NOT = ("!", "^")


def compile_globs(globs: Iterable[str]) -> re.Pattern[str] | None:
    """Make one regular expression that matches what one of some globs chooses; None if there are none.

    Use it with ``match`` on paths relative to the root of the study.

    Raises
    ------
    ConfigError
        If a glob can choose nothing: it is empty, begins with ``/``, or a part of it is empty or ``..``.

    Examples
    --------
    >>> found = compile_globs(["*_bold.*", "code/"])
    >>> bool(found.match("sub-1/func/sub-1_bold.json")), bool(found.match("code/a/b.py")), bool(found.match("README"))
    (True, True, False)
    """
    patterns = [_translated(glob) for glob in globs]
    # A key may hold a line end, and a dot stands for that too.
    return re.compile("|".join(patterns), re.DOTALL) if patterns else None


def literal_start(glob: str) -> str:
    """Give the beginning of a glob that is no pattern: where what it chooses lies, if it begins at the root.

    >>> literal_start("code/tools/*.py"), literal_start("code/x.py"), literal_start("code/"), literal_start("*.json")
    ('code/tools', 'code', 'code', '')
    """
    parts = glob.rstrip("/").split("/")
    literal = list(takewhile(lambda part: not _SPECIAL.search(part), parts))
    if len(literal) == len(parts) > 1 and not glob.endswith("/"):
        literal.pop()
    return "/".join(literal)


def _translated(glob: str) -> str:
    if not isinstance(glob, str):
        raise TypeError(f"a glob must be text, not {type(glob).__name__}")
    parts = glob.removesuffix("/").split("/")
    if "" in parts or ".." in parts:
        raise ConfigError(f"the glob {glob!r} can choose nothing; write it from the study's root on: sub-01/anat/*")
    folders = ["(?:.*/)?" if part == "**" else f"{_part(part, glob)}/" for part in parts[:-1]]
    last = ".+" if parts[-1] == "**" else _part(parts[-1], glob)
    start = "" if folders else "(?:.*/)?"
    end = "/.+" if glob.endswith("/") else "(?:/.+)?"
    return rf"(?:{start}{''.join(folders)}{last}{end}\Z)"


def _part(part: str, glob: str) -> str:
    """Translate what stands between two slashes."""
    found: list[str] = []
    at = 0
    while at < len(part):
        character = part[at]
        if character == "*":
            # One star is as good as several, and several make a regular expression slow.
            if not found or found[-1] != _STAR:
                found.append(_STAR)
        elif character == "?":
            found.append("[^/]")
        elif character == "[" and (end := part.find("]", at + (3 if part[at + 1 : at + 2] in _NOT else 2))) > 0:
            found.append(_set(part[at + 1 : end], glob))
            at = end
        else:
            found.append(re.escape(character))
        at += 1
    return "".join(found)


def _set(members: str, glob: str) -> str:
    """Translate what stands between brackets; a set never matches a slash."""
    is_negated = members[0] in _NOT
    # Two hyphens would be an operator of regular expressions, some day.
    text = re.sub("-+", "-", "".join(c if c == "-" else re.escape(c) for c in members[is_negated:]))
    found = f"[^/{text}]" if is_negated else f"(?!/)[{text}]"
    try:
        re.compile(found)
    except re.error as error:
        raise ConfigError(f"the glob {glob!r} has the set [{members}], which is none: {error}") from error
    return found
