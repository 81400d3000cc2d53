"""Versions of objects: which ones a bucket keeps, and the bytes of one of them.

Not every storage has them, so they are no part of :class:`~s3bids.storage.Storage`: whoever wants them asks
whether a storage is :class:`Versioned`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .base import Piece


@runtime_checkable
class Versioned(Protocol):
    """A storage whose bucket may keep versions."""

    def versions(self, prefix: str) -> dict[str, tuple[str, str | None]]:
        """Give the present version of each object below a prefix: key -> version id and ETag.

        Objects without a version id are left out; where the bucket keeps no versions, those are all.
        """
        ...

    def stream_version(
        self, key: str, version: str, start: int = 0, *, end: int | None = None, chunk_size: int
    ) -> Iterator[Piece]:
        """Yield the bytes ``[start:end]`` of one version; :class:`~s3bids.errors.ObjectNotFoundError` if it is gone."""
        ...


__all__ = ["Versioned"]
