"""Addresses of single objects: ``s3://bucket/key``, ``file:///root/bucket/key``, or ``bucket/key``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..storage.params import LocalFSParams, S3Params, url_params
from ..storage.registry import get_storage, open_storage

if TYPE_CHECKING:
    from ..storage.base import Storage
    from ..storage.params import Params


def open_object(fname: str, *, anon: bool) -> tuple[Storage, str]:
    """Give the storage and the key of an object.

    Parameters
    ----------
    fname
        ``bucket/key`` or ``s3://bucket/key``, for which the environment is obeyed as for a study; or
        ``file:///root/bucket/key``, a file of this computer.
    anon
        Ask without credentials.

    Raises
    ------
    ConfigError
        If it names no object.
    """
    if not isinstance(fname, str):
        raise TypeError(f"fname must be text, not {type(fname).__name__}")
    if fname.startswith("file://"):
        params, key = url_params(fname)
        return get_storage(params), key
    bucket, _, key = fname.removeprefix("s3://").partition("/")
    if not bucket or not key or "://" in fname.removeprefix("s3://"):
        raise ConfigError(f"{fname!r} names no object; write bucket/key, s3://bucket/key or file:///root/bucket/key")
    return open_storage(bucket, None, anon=anon), key


def _opened(storage: Storage | Params) -> Storage:
    """Open parameters, as a study does with its `storage`."""
    return get_storage(storage) if isinstance(storage, S3Params | LocalFSParams) else storage


def place_of(url_or_key: str, storage: Storage | Params | None, *, anon: bool) -> tuple[Storage, str]:
    """Give the storage and the key of an object: of an address, or of a key in a storage or parameters that were given.

    Raises
    ------
    ConfigError
        If an address is given beside a storage that it does not lie in.
    """
    if storage is None:
        return open_object(url_or_key, anon=anon)
    if not isinstance(url_or_key, str):
        raise TypeError(f"the key must be text, not {type(url_or_key).__name__}")
    storage = _opened(storage)
    if "://" not in url_or_key:
        return storage, url_or_key
    key = url_or_key.removeprefix(f"{storage.location}/")
    if key == url_or_key:
        raise ConfigError(f"{url_or_key!r} does not lie in the storage that was given, {storage.location}")
    return storage, key
