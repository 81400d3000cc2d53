"""What S3's two clients answer, in our words; and which keys obstore cannot carry."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING, Any

from .base import ObjectInfo, plain_etag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from obstore import ObjectMeta
    from obstore.store import S3Store

#: Most keys in one LIST answer and in one DELETE request (S3 API, ListObjectsV2 and DeleteObjects).
PAGE_KEYS = 1000

#: obstore parses keys as paths: an empty, '.' or '..' segment is refused or lost, and so are control characters.
_ODD_KEY = re.compile(r"(?:^|/)(?:\.{1,2})?(?:/|$)|[\x00-\x1f\x7f]")


def first_page(start: str, after: str, store: S3Store) -> tuple[Iterator[Sequence[ObjectMeta]], Sequence[ObjectMeta]]:
    """Begin a listing by obstore; give its first page, and the rest."""
    import obstore

    prefix = start.removesuffix("/") or None
    pages = iter(obstore.list(store, prefix, offset=after or None, chunk_size=PAGE_KEYS))
    return pages, next(pages, [])


def without_markers(entries: Iterator[ObjectInfo]) -> Iterator[ObjectInfo]:
    """Leave directory markers out."""
    return (entry for entry in entries if not entry.key.endswith("/"))


def info(meta: ObjectMeta) -> ObjectInfo:
    """Give what obstore says of an object."""
    return ObjectInfo(meta["path"], meta["size"], plain_etag(meta["e_tag"]), meta["last_modified"])


def raw_info(entry: dict[str, Any]) -> ObjectInfo:
    """Give what boto3 says of an object in a listing."""
    return ObjectInfo(entry["Key"], entry["Size"], plain_etag(entry.get("ETag")), entry["LastModified"].astimezone(UTC))


def answered_info(key: str, answer: dict[str, Any]) -> ObjectInfo:
    """Give what boto3 says of the one object that a HEAD or a GET, of a part or the whole, has answered with."""
    part = answer.get("ContentRange")
    size = answer["ContentLength"] if part is None else int(part.rpartition("/")[2])
    moment = answer.get("LastModified")
    return ObjectInfo(key, size, plain_etag(answer.get("ETag")), moment.astimezone(UTC) if moment else None)


def cut(piece: memoryview, size: int) -> Iterator[memoryview]:
    """Cut a piece that is much too large into even ones: obstore promises a least size only."""
    step = -(-len(piece) // max(1, len(piece) // size)) or 1
    for first in range(0, len(piece), step):
        yield piece[first : first + step]


def is_odd(key: str) -> bool:
    """Say whether obstore cannot carry a key or prefix; "" is no oddity, since it stands for the whole bucket."""
    return bool(key) and _ODD_KEY.search(key) is not None
