"""Names of objects that cannot be files below a directory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .manifest import STATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DRIVE = re.compile(r"[A-Za-z]:")
_LEAVES = "its name leads out of the directory ('..')"


def refusals(targets: Sequence[str]) -> dict[int, str]:
    """Find the targets that cannot be files below the directory: row -> why.

    Refused are paths that leave the directory or that a file system would write in another way (``..``, ``.``, ``//``,
    absolute ones, drives), our own folder, a target that comes twice, and a file whose name other targets need as a
    directory.
    """
    folders = {target[: target.rfind("/") + 1] for target in targets}
    problems = {folder: _folder_problem(folder) for folder in folders}
    directories = {parent for folder in folders for parent in parents(folder)}
    seen: set[str] = set()
    refused = {}
    for index, target in enumerate(targets):
        folder = target[: target.rfind("/") + 1]
        problem = problems[folder] or _name_problem(target[len(folder) :], at_root=not folder)
        if problem is None and target in directories:
            problem = "other keys need this name as a directory"
        if problem is None and target in seen:
            problem = "another key has the same name"
        if problem is not None:
            refused[index] = problem
        seen.add(target)
    return refused


def parents(folder: str) -> Iterator[str]:
    """Give the directories that a path with ``/`` at its end leads through, the deepest first."""
    end = folder.rfind("/")
    while end > 0:
        yield folder[:end]
        end = folder.rfind("/", 0, end)


def _folder_problem(folder: str) -> str | None:
    """Say why a path that ends in ``/``, or none, cannot be a folder of the directory."""
    if not folder:
        return None
    parts = folder.split("/")[:-1]
    if ".." in parts:
        return _LEAVES
    if not parts[0]:
        return "its name is an absolute path"
    return next((problem for part in parts if (problem := _name_problem(part, at_root=part is parts[0]))), None)


def _name_problem(name: str, *, at_root: bool) -> str | None:
    """Say why a component of a path cannot be the name of a file or folder."""
    if name == "..":
        return _LEAVES
    if name in ("", "."):
        return "its name has an empty or '.' component, which no file can have"
    if "\0" in name:
        return "its name holds a NUL character"
    if at_root and _DRIVE.match(name):
        return "its name begins with a drive"
    if at_root and name.lower() == STATE_FOLDER:
        return f"its name is in {STATE_FOLDER}/, where s3bids keeps its own records"
    return None


__all__ = ["parents", "refusals"]
