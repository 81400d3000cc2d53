"""A download against its manifest and against the bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .branches import branch_of
from .downloading import check_directory_argument, check_flags
from .errors import ConfigError
from .storage.registry import open_storage, storage_at
from .transfer import verify
from .transfer.remote import verify_remote

if TYPE_CHECKING:
    import os

    from .storage.base import Storage
    from .storage.params import Params
    from .transfer.verify import Verification


def verify_directory(
    directory: str | os.PathLike[str],
    *,
    deep: bool = False,
    remote: bool = False,
    storage: Storage | Params | None = None,
) -> Verification:
    """Compare a download with its manifest, and on demand with the bucket as it is now.

    Parameters
    ----------
    directory
        Where a study was downloaded to.
    deep
        Read every file and compare its hash, where one is known; otherwise sizes are compared.
    remote
        List the objects that the files came from as well, and the directories that they are in. Nothing is fetched.
    storage
        The storage that the files came from, or its parameters; only with `remote`. Default: what the manifest says,
        with unsigned requests.

    Returns
    -------
    Verification
        What was looked at, and ``differences``, each with target, kind and detail. The kinds are ``missing``, ``size``
        and ``content``; with `remote` also ``changed``, ``gone`` and ``new`` for objects, and ``extra`` for files that
        no manifest knows. An object that is not here is new if it was written since something of its subject's
        directory, or of another directory at the root of the data set or of a derivative, was downloaded.

    Raises
    ------
    ObjectNotFoundError
        If there is no manifest in the directory; BucketNotFoundError if the bucket does not exist.
    ConfigError
        If `storage` is of another place than the files.
    StorageError
        If the bucket cannot be listed.
    """
    check_flags(deep=deep, remote=remote)
    root = check_directory_argument(directory)
    if not remote:
        if storage is not None:
            raise ConfigError("storage is used with remote=True only; without it nothing is asked of any storage")
        return verify.verify_directory(root, deep=deep)

    def storage_of(location: str) -> Storage:
        if storage is None:
            return storage_at(location)
        opened = open_storage(_bucket(location), storage, anon=True)
        if opened.location != location:
            raise ConfigError(f"the storage is at {opened.location}, files in {root} came from {location}")
        return opened

    return verify_remote(root, open_storage=storage_of, branch_of=branch_of, deep=deep)


def _bucket(location: str) -> str:
    return location.rpartition("/")[2]


__all__ = ["verify_directory"]
