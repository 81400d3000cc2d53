"""How values are shown to people: sizes, counts and names as text, and small cards of HTML for notebooks.

Knows nothing of the rest of the package.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_SECRET = re.compile(r"(?<=://)[^/@\s]*@")
_STYLE_OF_NAMES = "text-align:left;font-weight:normal;opacity:.7;padding:0 1em 0 0;white-space:nowrap"
_STYLE_OF_VALUES = "text-align:left;padding:0;font-variant-numeric:tabular-nums"


def size_text(size: float) -> str:
    """Give a number of bytes for people.

    >>> size_text(0), size_text(1023), size_text(1536), size_text(3 * 1024**3)
    ('0 B', '1023 B', '1.5 KiB', '3.0 GiB')
    """
    if size < 1024:
        return f"{size:.0f} B"
    for unit in _UNITS:
        size /= 1024
        if size < 1024 or unit == _UNITS[-1]:
            break
    return f"{size:.1f} {unit}"


def files_text(number: int) -> str:
    """Give a number of files for people.

    >>> files_text(1), files_text(20000)
    ('1 file', '20,000 files')
    """
    return "1 file" if number == 1 else f"{number:,} files"


def plain(text: str) -> str:
    r"""Give a text as one line that is safe to show.

    Names of objects are made by anybody: control characters, escape sequences and marks that turn the direction of
    writing are escaped, and a password in an address is left out.

    >>> print(plain("sub-1\x1b[2J.json"), plain("http://me:secret@host/"))
    sub-1\x1b[2J.json http://***@host/
    """
    shown = text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)
    return without_passwords(shown)


def without_passwords(text: str) -> str:
    """Leave name and password out of the addresses in a text."""
    return _SECRET.sub("***@", text)


def card(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Give a title and some named values as HTML, for a notebook; every text is escaped.

    >>> card("A <study>", [("subjects", "3")]).count("&lt;study&gt;")
    1
    """
    lines = "".join(
        f'<tr><th scope="row" style="{_STYLE_OF_NAMES}">{_html(name)}</th>'
        f'<td style="{_STYLE_OF_VALUES}">{_html(value)}</td></tr>'
        for name, value in rows
    )
    return f'<div><strong>{_html(title)}</strong><table style="margin:.3em 0;border:none">{lines}</table></div>'


def some(names: Iterable[str], most: int = 5) -> str:
    """Give the first of some names, and say how many more there are.

    >>> some(["a", "b", "c"], 2), some([])
    ('a, b and 1 more', 'none')
    """
    found = list(names)
    if not found:
        return "none"
    more = f" and {len(found) - most:,} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _html(text: str) -> str:
    return escape(plain(text))


__all__ = ["card", "files_text", "plain", "size_text", "some", "without_passwords"]
