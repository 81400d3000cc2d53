"""The coverage page: one HTML file that opens offline and asks no other host for anything.

Every text of a bucket, a table or a manifest is input from outside. Jinja2 escapes what stands in the page; what the
page's script reads is JSON in a block that is no script, in which nothing can end the block. The script writes texts
only as texts, and a Content-Security-Policy allows no style and no script but the two of this file, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..display import files_text, plain, size_text
from ..errors import ConfigError, DestinationError
from ..storage.files import part_name
from .holdings import Cell, Share, State

if TYPE_CHECKING:
    from datetime import datetime

    from .coverage import Coverage
    from .holdings import Column, Holdings
    from .people import People

_FOLDER = Path(__file__).parent
#: Rows of a table of sizes, and of the list of problems, that a page holds.
MOST_ROWS, MOST_PROBLEMS = 40, 1000
_EXTENSIONS = (".html", ".htm")
#: What stands for files without a datatype, derivative or session.
NO_DATATYPE, RAW, NO_SESSION = "no datatype", "raw data", "no session"


def write_page(path: str | os.PathLike[str], coverage: Coverage, *, now: datetime) -> Path:
    """Write a coverage page; a file of this name is replaced, and at no moment half written.

    Parameters
    ----------
    path
        Where to; its name must end in ``.html`` or ``.htm``, so that no data are replaced by a slip.
    coverage
        What to show.
    now
        The date that the page gives.

    Raises
    ------
    ConfigError
        If the name has another ending.
    DestinationError
        If the file cannot be written.
    """
    target = check_page_name(path)
    text = render_page(coverage, now=now)
    unfinished = target.with_name(part_name())
    try:
        unfinished.write_text(text, encoding="utf-8", newline="\n")
        unfinished.replace(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        message = f"cannot write the page {target}: {error.strerror or error}; choose a file in a folder that exists"
        raise DestinationError(message) from error
    return target


def check_page_name(path: str | os.PathLike[str]) -> Path:
    """Refuse what cannot be the name of a page, before anything is listed."""
    target = Path(path)
    if target.suffix.lower() not in _EXTENSIONS:
        raise ConfigError(f"cannot write the page to {target}: it is an HTML file; give a name that ends in .html")
    if target.is_dir():
        raise ConfigError(f"cannot write the page to {target}: it is a directory; give the name of a file")
    if not target.absolute().parent.is_dir():
        raise ConfigError(f"cannot write the page to {target}: there is no folder {target.parent}; make it first")
    return target


def render_page(coverage: Coverage, *, now: datetime) -> str:
    """Give the page as text; the same values give the same text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=size_text, files=files_text, plain=plain, number="{:,}".format)
    style, script = (_asset(name) for name in ("page.css", "page.js"))
    holdings = coverage.holdings
    return environment.get_template("page.html.jinja").render(
        coverage=coverage,
        figures=_figures(coverage),
        sizes=_sizes(holdings),
        states=[(state.value, coverage.checked.states.get(state, 0)) for state in State] if coverage.checked else [],
        problems=coverage.checked.problems[:MOST_PROBLEMS] if coverage.checked else (),
        most_rows=MOST_ROWS,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=_embedded(page_data(coverage)),
        date=now.strftime("%Y-%m-%d %H:%M %Z").strip(),
        version=__version__,
    )


def page_data(coverage: Coverage) -> dict[str, Any]:
    """Give what the page's script works on, as JSON can hold it."""
    holdings = coverage.holdings
    width = len(Cell._fields) if coverage.checked else 3
    return {
        "fields": Cell._fields[:width],
        "columns": [_column(column) for column in holdings.columns],
        "subjects": [plain(subject) for subject in holdings.subjects],
        # Cells in one flat row of numbers: column, then as many as there are fields.
        "cells": [
            [part for number in sorted(row) for part in (number, *row[number][:width])] for row in holdings.cells
        ],
        "people": _people(coverage.people) if coverage.people else None,
    }


def _column(column: Column) -> dict[str, str | None]:
    return {
        "dataset": RAW if column.derivative is None else plain(column.derivative) or "loose files",
        "datatype": None if column.datatype is None else plain(column.datatype),
        "suffix": None if column.suffix is None else plain(column.suffix),
    }


def _people(people: People) -> dict[str, Any]:
    ages, sexes = people.ages, people.sexes
    return {
        "columns": [plain(column) for column in people.columns],
        "rows": [None if row is None else [plain(value) for value in row] for row in people.rows],
        "ages": ages and {"column": ages.column, "start": ages.start, "width": ages.width, "bars": len(ages.counts)},
        "sexes": sexes and {"column": sexes.column, "values": [value and plain(value) for value, _ in sexes.counts]},
    }


def _figures(coverage: Coverage) -> list[tuple[str, str]]:
    holdings = coverage.holdings
    sessions = sum(share.name is not None for share in holdings.sessions)
    derivatives = sum(bool(share.name) for share in holdings.derivatives)
    return [
        _counted(len(holdings.subjects), "subject"),
        *([_counted(sessions, "session")] if sessions else []),
        _counted(holdings.total.files, "file"),
        ("total size", size_text(holdings.total.bytes)),
        *([_counted(derivatives, "derivative")] if derivatives else []),
    ]


def _counted(number: int, what: str) -> tuple[str, str]:
    return what if number == 1 else f"{what}s", f"{number:,}"


def _sizes(holdings: Holdings) -> list[tuple[str, str, list[Any]]]:
    """Give title, head and rows of the tables of sizes; derivatives and sessions only where there are any."""
    parts = [
        ("By data type", "Data type", holdings.datatypes, NO_DATATYPE),
        ("By derivative", "Data set", holdings.derivatives, RAW),
        ("By session", "Session", holdings.sessions, NO_SESSION),
    ]
    return [
        (title, head, _bars(shares, nameless))
        for title, head, shares, nameless in parts
        if shares is holdings.datatypes or any(share.name for share in shares)
    ]


def _bars(shares: tuple[Share, ...], nameless: str) -> list[Any]:
    """Give rows of name, files, bytes and the length of a bar in percent of the longest."""
    longest = max((share.bytes for share in shares), default=0) or 1
    shown, rest = shares[:MOST_ROWS], shares[MOST_ROWS:]
    rows = [(plain(share.name or nameless), share, round(100 * share.bytes / longest, 2)) for share in shown]
    if rest:
        others = Share(None, sum(share.files for share in rest), sum(share.bytes for share in rest))
        rows.append((f"{len(rest):,} others", others, min(100.0, round(100 * others.bytes / longest, 2))))
    return rows


def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(value: Any) -> str:
    """Give JSON that may stand in a block of a page: in ASCII, and without any character that begins markup."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


__all__ = ["check_page_name", "page_data", "render_page", "write_page"]
