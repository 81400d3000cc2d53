"""From parameters to a storage: a new backend is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .local import LocalStorage
from .params import LocalFSParams, Params, S3Params, get_default_params
from .s3 import S3Storage

if TYPE_CHECKING:
    from .base import Storage

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
