"""Text for people and JSON for programs: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from ..display import files_text, plain, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: Lines that one write carries.
_BATCH = 1000


def set_up_streams() -> None:
    """Let every text pass, whatever the encoding of the place: what it cannot show is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Write one line for people on stderr."""
    _write(sys.stderr, f"s3bids: {plain(text)}\n")


def out(*lines: str) -> None:
    """Write lines of a result on stdout."""
    out_all(lines)


def out_all(lines: Iterable[str]) -> None:
    """Write many lines of a result on stdout."""
    batch: list[str] = []
    for line in lines:
        batch.append(f"{plain(line)}\n")
        if len(batch) == _BATCH:
            _write(sys.stdout, "".join(batch))
            batch.clear()
    _write(sys.stdout, "".join(batch))


def tsv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    r"""Give the lines of a table as BIDS writes tables: tabs between values, ``n/a`` for what there is not.

    >>> list(tsv_lines(["path", "tr_s"], [{"path": "a\tb", "tr_s": None}]))
    ['path\ttr_s', 'a\\tb\tn/a']
    """
    yield "\t".join(columns)
    for row in rows:
        yield "\t".join("n/a" if row[name] is None else plain(str(row[name])) for name in columns)


def out_tsv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table with tabs on stdout."""
    _write(sys.stdout, "".join(f"{line}\n" for line in tsv_lines(columns, rows)))


def out_json(value: Any) -> None:
    """Write a result as JSON on stdout; names are as they are, in ASCII."""
    _write(sys.stdout, json.dumps(value, indent=2) + "\n")


def _write(stream: TextIO, text: str) -> None:
    """Write and flush; a reader that has gone away, as ``head`` does, is no error."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # What comes now goes nowhere, also what Python itself flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, texts: int = 1) -> list[str]:
    r"""Lay rows out in columns: the first `texts` of them to the left, numbers and sizes to the right.

    >>> print("\n".join(table(["name", "files"], [["raw", 1], ["derivative", 23]])))
    name        files
    raw             1
    derivative     23
    """
    cells = [[_cell(value) for value in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(_padded(row, widths, texts)).rstrip() for row in cells]


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else plain(str(value))


def _padded(row: Sequence[str], widths: Sequence[int], texts: int) -> list[str]:
    left = [cell.ljust(width) for cell, width in zip(row[:texts], widths[:texts], strict=True)]
    return left + [cell.rjust(width) for cell, width in zip(row[texts:], widths[texts:], strict=True)]


__all__ = [
    "files_text",
    "out",
    "out_all",
    "out_json",
    "out_tsv",
    "plain",
    "say",
    "set_up_streams",
    "size_text",
    "table",
    "tsv_lines",
]
