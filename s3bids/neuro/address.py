"""Addresses of single objects: ``bucket/key`` or ``s3://bucket/key``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..storage.registry import open_storage

if TYPE_CHECKING:
    from ..storage.base import Storage


def open_object(fname: str, *, anon: bool) -> tuple[Storage, str]:
    """Give the storage and the key of an object.

    Parameters
    ----------
    fname
        ``bucket/key`` or ``s3://bucket/key``.
    anon
        Ask without credentials.
    """
    if not isinstance(fname, str):
        raise TypeError(f"fname must be text, not {type(fname).__name__}")
    bucket, _, key = fname.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise ConfigError(f"{fname!r} names no object; write bucket/key or s3://bucket/key")
    return open_storage(bucket, None, anon=anon), key
