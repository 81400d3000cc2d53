"""Names that exclude each other: rows of a plan that cannot both be files, and so have to meet in one shard.

Two targets exclude each other if they are equal, or if one is a directory of the other. A plan of millions of names is
looked through with a few bytes a name: hashes find the rows that may be concerned, and only those are then compared as
texts.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from ..transfer.refusals import parents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Bits of the map for each hash, at least: one name in about sixty then looks like one that was there before.
_BITS = 32


class Names:
    """Targets of a plan in the order of its rows; of each a hash is kept, and one of each directory."""

    def __init__(self) -> None:
        self._names = array("q")
        #: Directories, and the row of a target in each; some come several times, the first row first.
        self._folders = array("q")
        self._rows = array("L")
        self._last = ""

    def add(self, target: str) -> None:
        """Add the target of the next row."""
        end = target.rfind("/") + 1
        if not (end == len(self._last) and target.startswith(self._last)):
            self._add_folders(target[:end])
        self._names.append(hash(target))

    def _add_folders(self, folder: str) -> None:
        """Add those directories of a target that the row before did not have."""
        for parent in parents(folder):
            if self._last.startswith(f"{parent}/"):
                break
            self._folders.append(hash(parent))
            self._rows.append(len(self._names))
        self._last = folder

    def suspects(self) -> list[int]:
        """Give the rows that may exclude another one, or be excluded, in their order.

        All those are among them that do, and few others: hashes of different texts are hardly ever the same.
        """
        found = self._repeated()
        folders = {name for name in self._folders if name in found}
        # A name that comes once, and is no directory, only looked like another one.
        seen: set[int] = set()
        twice: set[int] = set()
        for name in self._names:
            if name in found:
                (twice if name in seen else seen).add(name)
        concerned = twice | (folders & seen)
        if not concerned:
            return []
        first: dict[int, int] = {}
        for name, row in zip(self._folders, self._rows, strict=True):
            if name in concerned:
                first.setdefault(name, row)
        rows = {row for row, name in enumerate(self._names) if name in concerned}
        return sorted(rows.union(first.values()))

    def _repeated(self) -> set[int]:
        """Give the hashes of names that are there more than once or as a directory too, and of some others."""
        number = len(self._names) + len(self._folders)
        size = 1 << max(6, (number * _BITS).bit_length())
        bits, mask = bytearray(size >> 3), size - 1
        found = set()
        for name in self._folders:
            place = name & mask
            bits[place >> 3] |= 1 << (place & 7)
        for name in self._names:
            place = name & mask
            bit = 1 << (place & 7)
            if bits[place >> 3] & bit:
                found.add(name)
            else:
                bits[place >> 3] |= bit
        return found


def suspects(targets: Iterable[str]) -> list[int]:
    """Give the rows of targets that may exclude each other; see :meth:`Names.suspects`."""
    names = Names()
    for target in targets:
        names.add(target)
    return names.suspects()


def meetings(targets: Mapping[int, str]) -> dict[int, int]:
    """Say which row each of the excluded ones has to meet: the first of its name, or the first that is below it.

    Parameters
    ----------
    targets
        The target of each suspected row, in the order of rows.
    """
    first: dict[str, int] = {}
    below: dict[str, int] = {}
    for row, target in targets.items():
        first.setdefault(target, row)
        for parent in parents(target[: target.rfind("/") + 1]):
            below.setdefault(parent, row)

    def stays(row: int) -> int:
        """Follow a row to the one that it has to meet; that may have to meet a further one, deeper down."""
        while (other := below.get(targets[row], first[targets[row]])) != row:
            row = other
        return row

    found = {row: stays(row) for row in targets}
    return {row: other for row, other in found.items() if row != other}


__all__ = ["Names", "meetings", "suspects"]
