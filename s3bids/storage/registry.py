"""From parameters to a storage: a new backend is one file and one line here."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import astuple
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

#: Storages that are kept for further calls; a program with more parameters than that opens some anew.
MOST_SHARED = 64
_shared: dict[tuple[Any, ...], Storage] = {}


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
    backend = backend_of(params)
    storage: Storage = backend(params) if client is None else _with_client(backend, params, client)
    return storage


def backend_of(params: Any) -> type[Any]:
    """Give the backend of some parameters; parameters of no backend are ValueError."""
    backend = BACKENDS.get(type(params))
    if backend is None:
        names = " or ".join(kind.__name__ for kind in BACKENDS)
        raise ValueError(f"params must be {names}, not {type(params).__name__}")
    return backend


def has_clients(backend: type[Any]) -> bool:
    """Say whether a backend works by clients, which are worth keeping and may be given: it has ``make_client``."""
    return hasattr(backend, "make_client")


def _with_client(backend: type[Any], params: Params, client: Any) -> Storage:
    if not has_clients(backend):
        raise ValueError(f"{type(params).__name__} go without a client: {backend.__name__} makes no connections")
    storage: Storage = backend(params, client=client)
    return storage


def shared_storage(params: Params | None = None, client: Any = None) -> Storage:
    """Give the storage of some parameters for one call: the same for equal parameters, so that connections are reused.

    Parameters and errors are those of :func:`get_storage`. With a `client` the storage is a new one, and all requests
    go by that client.
    """
    params = get_default_params() if params is None else params
    backend = backend_of(params)
    if client is not None or not has_clients(backend):
        return get_storage(params, client=client)
    # By value: parameters can be changed, and then they are others. Two threads may both make a storage, which opens
    # nothing, and one of the two is kept; so there is no lock, which a fork could find taken.
    key = (type(params), astuple(params))
    storage = _shared.get(key)
    if storage is None:
        storage = _shared.setdefault(key, backend(deepcopy(params)))
        for old in list(_shared)[:-MOST_SHARED]:
            _shared.pop(old, None)
    return storage


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
    opened: object = get_storage(storage) if type(storage) in BACKENDS else storage  # type: ignore[arg-type] # it is
    if not isinstance(opened, Storage):
        names = " or ".join(kind.__name__ for kind in BACKENDS)
        raise TypeError(f"storage must be a Storage, {names}, not {type(storage).__name__}")
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
