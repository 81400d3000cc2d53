"""Parts of a data set that are downloaded, and so compared and retried, as one: a directory, or the files in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..storage.base import ObjectInfo, Storage


class Branch(NamedTuple):
    """A directory of a data set."""

    #: Relative to the root, without outer slashes; ``""`` is the root.
    directory: str
    #: Whether its subdirectories belong to it; otherwise only the files directly in it do.
    is_whole: bool

    def entries(self, storage: Storage, root: str) -> Iterator[ObjectInfo]:
        """List it, with one LIST request for each 1,000 entries; `root` is that of the data set, as a prefix."""
        prefix = f"{root}{self.directory}"
        if self.is_whole:
            yield from storage.list(prefix)
        else:
            yield from storage.children(prefix)[1]


def root_of(key: str, target: str) -> str | None:
    """Give the root of the data set that a key belongs to, as a prefix; None if the target does not tell.

    >>> root_of("ds/sub-1/x", "sub-1/x"), root_of("sub-1/x", "sub-1/x"), root_of("ds/x", "y")
    ('ds/', '', None)
    """
    root = key.removesuffix(target)
    # A root that begins with a slash is none that a study can have.
    is_root = root == "" or (root.endswith("/") and not root.startswith("/"))
    return root if key.endswith(target) and is_root else None


__all__ = ["Branch", "root_of"]
