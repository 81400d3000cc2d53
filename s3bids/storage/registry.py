"""From parameters to a storage: a new backend is one file and one line here."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from .base import Storage
from .local import LocalStorage
from .params import LocalFSParams, Params, S3Params, get_default_params, location_params, study_params
from .s3 import S3Storage

BACKENDS: dict[type, type[Any]] = {
    S3Params: S3Storage,
    LocalFSParams: LocalStorage,
}


def get_storage(params: Params | None = None, *, client: Any = None) -> Storage:
    """Give the storage of some parameters.

    Parameters
    ----------
    params
        Of one of the backends; None means :func:`~s3bids.storage.get_default_params`.
    client
        A boto3 client for S3 to use instead of a new one.

    Raises
    ------
    ValueError
        If `params` belongs to no backend, or a client is given where none is used.
    """
    params = get_default_params() if params is None else params
    backend = BACKENDS.get(type(params))
    if backend is None:
        names = " or ".join(kind.__name__ for kind in BACKENDS)
        raise ValueError(f"params must be {names}, not {type(params).__name__}")
    if client is None:
        storage: Storage = backend(params)
        return storage
    if backend is LocalStorage:
        raise ValueError("LocalFSParams go without a client: the local emulation makes no connections")
    return S3Storage(params, client=client)  # type: ignore[arg-type] # the only backend with a client


def open_storage(bucket: str, storage: Storage | Params | None, *, anon: bool) -> Storage:
    """Give the storage of a bucket: the one given, or the one that the environment describes.

    Raises
    ------
    TypeError
        If `storage` is neither a storage nor parameters.
    ConfigError
        If it is of another bucket.
    """
    if storage is None:
        return get_storage(study_params(bucket, anon=anon))
    opened: object = get_storage(storage) if isinstance(storage, S3Params | LocalFSParams) else storage
    if not isinstance(opened, Storage):
        raise TypeError(f"storage must be a Storage, S3Params or LocalFSParams, not {type(storage).__name__}")
    if opened.bucket != bucket:
        raise ConfigError(f"the storage is of the bucket {opened.bucket!r}, the study of {bucket!r}; name the same one")
    return opened


def storage_at(location: str) -> Storage:
    """Give the storage of a location such as ``s3://bucket`` or ``file:///root/bucket``; requests are unsigned.

    Raises
    ------
    ConfigError
        If the location is of another kind.
    """
    return get_storage(location_params(location))
