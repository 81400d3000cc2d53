"""The functions of virt_s3: code written for them runs after ``import s3bids.storage as virt_s3``.

Each opens the storage of its `params` and calls it, so all do the same on every backend. What they have in common:

`params`
    :class:`~s3bids.storage.S3Params`, :class:`~s3bids.storage.LocalFSParams` or those of another backend; None means
    :func:`~s3bids.storage.get_default_params`. Parameters of another type are ValueError.
`client`
    A boto3 client, by which then all requests go; None means one that is kept for equal `params`.
`fpath`, `dir_path`, `save_fpath`
    A key, relative to the bucket, as text or path. The empty key is ValueError. For a directory ``""`` and ``"/"`` mean
    the whole bucket.
`transfer_config`, `progress_callback`
    As in :class:`~s3bids.storage.Storage`.

Errors are those of :mod:`s3bids.errors`: a missing object is ``ObjectNotFoundError`` (a FileNotFoundError), a missing
bucket ``BucketNotFoundError``, refused access ``AccessDeniedError``. None is never given for a failure.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..errors import ObjectNotFoundError
from .base import UNWANTED_NAMES, RequestArgs, check_bucket_name, directory_prefix
from .functions_read import get_file, get_file_chunked, get_files_batch, get_files_generator, get_image, key_of
from .registry import shared_storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .functions_read import AnyPath
    from .params import Params
    from .sources import Data
    from .transfers import ProgressCallback, TransferSettings


def create_bucket(
    bucket_name: str,
    params: Params | None = None,
    client: Any = None,
    *,
    create_args: RequestArgs | None = None,
    bucket_encryption_args: RequestArgs | None = None,
    block_bucket_public_access_args: RequestArgs | None = None,
    bucket_policy_args: RequestArgs | None = None,
) -> bool:
    """Create a bucket, which need not be that of `params`.

    Parameters
    ----------
    create_args, bucket_encryption_args, block_bucket_public_access_args, bucket_policy_args
        Arguments for the requests CreateBucket, PutBucketEncryption, PutPublicAccessBlock and PutBucketPolicy of S3;
        without effect in the local emulation.

    Returns
    -------
    bool
        True if it is yours now, also if it was before; False if the name belongs to someone else.

    Raises
    ------
    ValueError
        If the name is not one path component.
    """
    return shared_storage(params, client).create_bucket(
        check_bucket_name(bucket_name),
        create_args=create_args,
        bucket_encryption_args=bucket_encryption_args,
        block_bucket_public_access_args=block_bucket_public_access_args,
        bucket_policy_args=bucket_policy_args,
    )


def upload_data(
    data: Data | AnyPath,
    fpath: AnyPath,
    params: Params | None = None,
    client: Any = None,
    *,
    progress_callback: ProgressCallback | None = None,
    transfer_config: TransferSettings | None = None,
    ignore: Iterable[str] = UNWANTED_NAMES,
) -> str | list[str]:
    """Write bytes, a file or a folder.

    Parameters
    ----------
    data
        bytes, bytearray, memoryview, BytesIO (all of it), an open binary file (from its position on), or the path of
        a file or folder.
    ignore
        Names that are left out of a folder.

    Returns
    -------
    str or list of str
        The key; for a folder the sorted keys.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path.
    TypeError
        If `data` is something else.
    """
    storage, key = shared_storage(params, client), key_of(fpath)
    if isinstance(data, str | os.PathLike):
        return storage.upload(
            data, key, ignore=ignore, transfer_config=transfer_config, progress_callback=progress_callback
        )
    return storage.write(key, data, transfer_config=transfer_config, progress_callback=progress_callback)


def list_dirs(dir_path: AnyPath, params: Params | None = None, client: Any = None, delimiter: str = "/") -> list[str]:
    """List the directories directly below a directory: their keys, sorted, each with the delimiter at its end.

    Where there is nothing, or a file, the list is empty.
    """
    if not delimiter:
        raise ValueError("the empty delimiter separates nothing; '/' is the usual one")
    directories, _ = shared_storage(params, client).children(key_of(dir_path), delimiter)
    return directories


def get_valid_file_paths(
    dir_path: AnyPath,
    ignore: Sequence[AnyPath] | AnyPath | None = [".DS_Store"],  # noqa: B006 - virt_s3's signature; it is not changed
    filter_extensions: Sequence[str] | str | None = [],
    params: Params | None = None,
    client: Any = None,
) -> list[str]:
    """List the keys of all objects below a directory, sorted.

    Names that begin with a dot are among them, directory markers are not. Where there is nothing, or a file, the list
    is empty.

    Parameters
    ----------
    ignore
        What is left out: a name that some part of the path below `dir_path` has, or a key or directory, from the top of
        the bucket or from `dir_path`.
    filter_extensions
        Ends of the names that are wanted, such as ``".nii.gz"``; none means all.
    """
    storage, prefix = shared_storage(params, client), key_of(dir_path)
    ends = tuple(_several(filter_extensions))
    # A storage in a folder takes absolute paths as well, and gives keys.
    home = storage.location.removeprefix("file://") + "/"
    start = directory_prefix(f"{prefix}/".removeprefix(home).rstrip("/"))
    unwanted = set()
    for entry in _several(ignore):
        name = key_of(entry).rstrip("/").removeprefix(home)
        unwanted |= {name, name.removeprefix(start)} - {""}
    return [
        entry.key
        for entry in storage.list(prefix)
        if (not ends or entry.key.endswith(ends)) and not _is_ignored(entry.key.removeprefix(start), unwanted)
    ]


def _is_ignored(path: str, unwanted: set[str]) -> bool:
    """Say whether a path has an unwanted part, is one of them or lies below one."""
    if not unwanted.isdisjoint(path.split("/")):
        return True
    return any(f"{path}/".startswith(f"{name}/") for name in unwanted)


def file_exists(fpath: AnyPath, params: Params | None = None, client: Any = None) -> bool:
    """Say whether there is an object; a directory is none. Refused access is raised."""
    try:
        shared_storage(params, client).head(key_of(fpath))
    except ObjectNotFoundError:
        return False
    return True


def delete_file(fpath: AnyPath, params: Params | None = None, client: Any = None) -> bool:
    """Delete an object, and say whether there was one. Refused access is raised."""
    try:
        return bool(shared_storage(params, client).delete(key_of(fpath)))
    except ObjectNotFoundError:
        return False


def delete_files_by_dir(
    dir_path: AnyPath, params: Params | None = None, client: Any = None, *, force: bool = False
) -> list[str]:
    """Delete everything below a directory, and give the sorted keys that are gone.

    Parameters
    ----------
    force
        Without it ``""`` and ``"/"``, which would empty the bucket, are ValueError. The bucket itself stays.
    """
    return shared_storage(params, client).delete(key_of(dir_path), recursive=True, force=force)


def extract_archive_file(
    fpath: AnyPath,
    save_prefix: AnyPath,
    cleanup_local: bool = False,  # noqa: FBT001, FBT002 - virt_s3's signature
    cleanup_bucket: bool = False,  # noqa: FBT001, FBT002 - as above
    params: Params | None = None,
    client: Any = None,
    *,
    max_bytes: int | None = None,
    progress_callback: ProgressCallback | None = None,
    transfer_config: TransferSettings | None = None,
) -> str:
    """Unpack an archive of the bucket into the bucket.

    Parameters
    ----------
    save_prefix
        Directory for the members.
    cleanup_local
        Changes nothing: the private folder that is used on the way always goes.
    cleanup_bucket
        Delete the archive when everything is unpacked.
    max_bytes
        The most that may be unpacked, in bytes; as in :func:`s3bids.storage.archives.extract_object`.

    Returns
    -------
    str
        `save_prefix` with one ``/`` at its end; ``""`` stays.

    Raises
    ------
    ArchiveError
        If the archive is broken, too large, or has members that lead out; nothing has been uploaded then.
    ValueError
        If the name does not end in ``.zip``, ``.tar``, ``.tar.gz`` or ``.tgz``.
    """
    from .archives import extract_object

    del cleanup_local
    return extract_object(
        shared_storage(params, client),
        key_of(fpath),
        key_of(save_prefix),
        delete_archive=cleanup_bucket,
        max_bytes=max_bytes,
        transfer_config=transfer_config,
        progress_callback=progress_callback,
    )


def _several(value: Any) -> list[Any]:
    """Read an argument that is a list, one entry of it, or None for none."""
    if value is None:
        return []
    return [value] if isinstance(value, str | os.PathLike) else list(value)


__all__ = [
    "create_bucket",
    "delete_file",
    "delete_files_by_dir",
    "extract_archive_file",
    "file_exists",
    "get_file",
    "get_file_chunked",
    "get_files_batch",
    "get_files_generator",
    "get_image",
    "get_valid_file_paths",
    "list_dirs",
    "upload_data",
]
