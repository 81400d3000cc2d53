"""JSON, on local disks and straight on storage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..storage.files import atomic_file
from .address import open_object

if TYPE_CHECKING:
    import os


def write_json(fname: str | os.PathLike[str], data: Any) -> None:
    """Write a value to a local file as JSON, whole or not at all.

    Raises
    ------
    TypeError
        If JSON cannot express the value; a file that is there stays as it is.
    FileNotFoundError
        If the directory does not exist.
    """
    path = Path(fname)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the directory {path.parent} does not exist; make it first")
    text = to_text(data)
    with atomic_file(path) as file:
        file.write(text)


def read_json(fname: str | os.PathLike[str]) -> Any:
    """Read any JSON value from a local file; a byte order mark is passed over.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    json.JSONDecodeError
        If its content is no JSON; an empty file is none.
    """
    return from_text(Path(fname).read_bytes())


def s3fs_json_write(data: Any, fname: str, fs: Any = None) -> None:
    """Write a value to an object as JSON, with one upload.

    Parameters
    ----------
    data
        Serialised before anything is sent, so on an error the old object is unchanged.
    fname
        ``bucket/key`` or ``s3://bucket/key``.
    fs
        A file system with ``open(path, mode)``, such as ``s3fs.S3FileSystem``. Default: our own storage.
    """
    text = to_text(data)
    if fs is not None:
        with fs.open(fname, "wb") as file:
            file.write(text)
        return
    storage, key = open_object(fname, anon=False)
    with storage:
        storage.write(key, text)


def s3fs_json_read(fname: str, fs: Any = None, anon: bool = False) -> Any:  # noqa: FBT001, FBT002 - the signature of 0.1.7
    """Read any JSON value from an object; a byte order mark is passed over.

    Parameters
    ----------
    fname
        ``bucket/key`` or ``s3://bucket/key``.
    fs
        A file system with ``open(path, mode)``, such as ``s3fs.S3FileSystem``. Default: our own storage.
    anon
        Ask without credentials. Default False, as in s3bids 0.1.7.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    json.JSONDecodeError
        If its content is no JSON; an empty object is none.
    """
    if fs is not None:
        with fs.open(fname, "rb") as file:
            return from_text(file.read())
    storage, key = open_object(fname, anon=anon)
    with storage:
        return from_text(storage.read(key))


def to_text(data: Any) -> bytes:
    """Express a value as JSON in UTF-8.

    Raises
    ------
    TypeError
        If JSON cannot express the value, such as NaN or a value that contains itself.
    """
    try:
        return json.dumps(data, indent=4, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise TypeError(f"JSON cannot express the value: {error}") from error


def from_text(text: bytes) -> Any:
    """Read JSON in UTF-8, with or without a byte order mark."""
    return json.loads(text.decode("utf-8-sig"))
