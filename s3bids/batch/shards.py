"""Parts of a plan for several processes on any machines: worked out from the plan alone, the same everywhere.

Only whole numbers and the order of texts decide, so every task of a batch job finds its part without asking anybody.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from heapq import heapify, heapreplace
from itertools import accumulate
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TEXT = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)
#: How much more than its share a shard may get so that a subject stays in one piece: a tenth.
_EASE = 10
#: More shards than this are a mistake in the command line: no batch system runs so many tasks.
MOST_SHARDS = 1_000_000


@dataclass(frozen=True)
class Shard:
    """One part out of several.

    Raises
    ------
    ConfigError
        If there is no such part.
    """

    #: From 1 on.
    number: int
    #: How many parts there are.
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_SHARDS or not 1 <= self.number <= self.count:
            raise ConfigError(
                f"there is no shard {self.number}/{self.count}; "
                f"write I/N with I from 1 to N, and N at most {MOST_SHARDS:,}, such as 3/16"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Read a shard as users write it.

    >>> parse_shard("3/16")
    Shard(number=3, count=16)

    Raises
    ------
    ConfigError
        If the text is no shard, or there is no such shard.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is no shard; write I/N, such as 3/16 for the third of sixteen parts")
    return Shard(int(match[1]), int(match[2]))


def assign(sizes: Sequence[int], subjects: Sequence[str | None], count: int) -> Sequence[int]:
    """Spread files over shards, balanced by bytes and by number.

    A shard's load is its share of all bytes or its share of all files, whichever is larger. A subject goes to one shard
    as long as that shard then has at most a tenth more than its share; otherwise the subject is divided. Files of no
    subject come last and fill the gaps.

    Parameters
    ----------
    sizes
        Bytes of each file, in the order of the plan.
    subjects
        The subject of each file; None for a file of the whole study.
    count
        How many shards there are.

    Returns
    -------
    array of int, shape (n_files,)
        The shard of each file, from 0 on. Which one depends on the arguments alone.
    """
    if count == 1:
        return array("i", [0]) * len(sizes)
    loads = _Loads(sizes, count)
    found = array("i", [-1]) * len(sizes)
    for rows in _by_subject(sizes, subjects):
        loads.put(rows, found)
    for row, subject in enumerate(subjects):
        if subject is None:
            found[row] = loads.put_one(row)
    return found


def _by_subject(sizes: Sequence[int], subjects: Sequence[str | None]) -> Iterator[Sequence[int]]:
    """Give the rows of each subject; the subject with most bytes comes first."""
    totals: dict[str, list[int]] = {}
    for size, subject in zip(sizes, subjects, strict=True):
        if subject is not None:
            total = totals.setdefault(subject, [0, 0])
            total[0] += size
            total[1] += 1
    # Of equal ones the first in the order of names stays the first: sorting is stable.
    names = sorted(sorted(totals), key=lambda name: (-totals[name][0], -totals[name][1]))
    ends = list(accumulate(totals[name][1] for name in names))
    # All rows in one array: a list for each subject would take several times as much.
    rows = array("l", [0]) * (ends[-1] if ends else 0)
    places = {name: end - totals[name][1] for name, end in zip(names, ends, strict=True)}
    for row, subject in enumerate(subjects):
        if subject is not None:
            rows[places[subject]] = row
            places[subject] += 1
    return (rows[end - totals[name][1] : end] for name, end in zip(names, ends, strict=True))


class _Loads:
    """What each shard has so far, in parts that make bytes and files comparable: whole numbers, so exact everywhere."""

    def __init__(self, sizes: Sequence[int], count: int) -> None:
        self._sizes = sizes
        #: A file weighs this much by number, and as much times its bytes over all bytes.
        self._all_bytes = max(1, sum(sizes))
        self._all_files = max(1, len(sizes))
        #: A shard's fair share in these parts, rounded up.
        self._share = -(-self._all_bytes * self._all_files // count)
        #: (load, load of both kinds, shard, bytes, files), the lightest first.
        self._shards = [(0, 0, shard, 0, 0) for shard in range(count)]
        heapify(self._shards)

    def put(self, rows: Sequence[int], found: array[int]) -> None:
        """Give a subject's rows to the lightest shard, or to several."""
        size = sum(self._sizes[row] for row in rows)
        _, _, shard, bytes_there, files_there = self._shards[0]
        if self._load(bytes_there + size, files_there + len(rows)) <= self._share + self._share // _EASE:
            self._add(size, len(rows))
            for row in rows:
                found[row] = shard
            return
        self._divide(rows, found)

    def _divide(self, rows: Sequence[int], found: array[int]) -> None:
        """Fill the lightest shard up to its share with rows that follow each other, then the next one."""
        start = 0
        while start < len(rows):
            _, _, shard, size, files = self._shards[0]
            end, came = start, 0
            while end < len(rows):
                came += self._sizes[rows[end]]
                end += 1
                if self._load(size + came, files + end - start) >= self._share:
                    break
            self._add(came, end - start)
            for row in rows[start:end]:
                found[row] = shard
            start = end

    def put_one(self, row: int) -> int:
        """Give one row to the lightest shard, and say which that is."""
        shard = self._shards[0][2]
        self._add(self._sizes[row], 1)
        return shard

    def _load(self, size: int, files: int) -> int:
        return max(size * self._all_files, files * self._all_bytes)

    def _add(self, size: int, files: int) -> None:
        """Add to the lightest shard."""
        _, _, shard, bytes_there, files_there = self._shards[0]
        size, files = bytes_there + size, files_there + files
        both = size * self._all_files + files * self._all_bytes
        heapreplace(self._shards, (self._load(size, files), both, shard, size, files))


__all__ = ["MOST_SHARDS", "Shard", "assign", "parse_shard"]
