"""JSON, on local disks and straight on storage."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from math import isfinite
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ..errors import JSONReadError, JSONWriteError
from ..storage.base import check_writable_key
from ..storage.files import atomic_file
from .address import open_object, place_of

if TYPE_CHECKING:
    import os

    from ..storage.base import Storage
    from ..storage.params import Params

#: How deep a value may be nested: far deeper than any metadata, and far less than Python's own stack.
MOST_DEPTH = 200
_DOUBLE_BYTES = 8


def write_json(fname: str | os.PathLike[str], data: Any) -> None:
    """Write a value to a local file as JSON, whole or not at all.

    Parameters
    ----------
    fname
        The file; its directory must be there.
    data
        As for :func:`write_json_object`.

    Raises
    ------
    JSONWriteError
        If JSON cannot express the value (a TypeError); a file that is there stays as it is.
    FileNotFoundError
        If the directory does not exist.
    """
    path = Path(fname)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the directory {path.parent} does not exist; make it first")
    text = to_text(data, name=str(path))
    with atomic_file(path) as file:
        file.write(text)


def read_json(fname: str | os.PathLike[str]) -> Any:
    """Read any JSON value from a local file; a byte order mark is passed over.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    JSONReadError
        If its content is no JSON (a json.JSONDecodeError); an empty file is none.
    """
    return from_text(Path(fname).read_bytes(), name=str(fname))


def write_json_object(data: Any, url_or_key: str, storage: Storage | Params | None = None) -> None:
    """Write a value to an object as JSON, with one request.

    Parameters
    ----------
    data
        What JSON can express; beside that NumPy's numbers, texts, truth values and arrays (as nested lists), paths (as
        texts with ``/``), and dates and times (as texts by ISO 8601). Serialised before anything is sent, so on an
        error the old object is unchanged.
    url_or_key
        ``s3://bucket/key``, ``file:///root/bucket/key`` or ``bucket/key``; with `storage`, the key.
    storage
        Where to write: a storage, or its parameters. Default: where the address says.

    Raises
    ------
    JSONWriteError
        If JSON cannot express a value (a TypeError), with the place of the value inside the document; nothing was
        sent.
    """
    text = to_text(data, name=url_or_key)
    place, key = place_of(url_or_key, storage, anon=False)
    place.write(check_writable_key(key), text)


def read_json_object(url_or_key: str, storage: Storage | Params | None = None, *, anon: bool = False) -> Any:
    """Read any JSON value from an object, with one request; a byte order mark is passed over.

    Parameters
    ----------
    url_or_key, storage
        As for :func:`write_json_object`.
    anon
        Ask without credentials. Default False.

    Raises
    ------
    ObjectNotFoundError
        If there is no such object (a FileNotFoundError).
    JSONReadError
        If its content is no JSON (a json.JSONDecodeError); an empty object is none.
    """
    place, key = place_of(url_or_key, storage, anon=anon)
    return from_text(place.read(key), name=f"{place.location}/{key}")


def s3fs_json_write(data: Any, fname: str, fs: Any = None) -> None:
    """Write a value to an object as JSON, as :func:`write_json_object` does.

    Parameters
    ----------
    data
        Serialised before anything is sent, so on an error the old object is unchanged.
    fname
        ``bucket/key`` or ``s3://bucket/key``.
    fs
        A file system with ``open(path, mode)``, such as ``s3fs.S3FileSystem``. Default: our own storage.
    """
    if fs is None:
        write_json_object(data, fname)
        return
    text = to_text(data, name=fname)
    with fs.open(fname, "wb") as file:
        file.write(text)


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
            return from_text(file.read(), name=fname)
    storage, key = open_object(fname, anon=anon)
    with storage:
        return read_json_object(key, storage)


def to_text(data: Any, *, name: str = "the value") -> bytes:
    """Express a value as JSON in UTF-8.

    Parameters
    ----------
    data
        As for :func:`write_json_object`.
    name
        What it is for, in messages.

    Raises
    ------
    JSONWriteError
        If JSON cannot express the value, such as NaN or a value that contains itself.
    """
    return json.dumps(_plain(data, "$", name, 0), indent=4, ensure_ascii=False, allow_nan=False).encode()


def _plain(value: Any, path: str, name: str, depth: int) -> Any:
    """Give a value as dicts, lists, texts and numbers; `path` is its place in the document, as JSONPath writes it."""
    if depth > MOST_DEPTH:
        raise _cannot(name, path[:80] + "...", "is nested too deeply, or contains itself")
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return _plain(_from_numpy(value, path, name), path, name, depth)
    if isinstance(value, dict):
        return _plain_dict(value, path, name, depth)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{number}]", name, depth + 1) for number, item in enumerate(value)]
    if isinstance(value, PurePath):
        value = value.as_posix()
    elif isinstance(value, datetime | date | time):
        value = _moment(value.isoformat(), path, name)
    _check_scalar(value, path, name)
    return value


def _moment(text: str, path: str, name: str) -> str:
    if text == "NaT":
        raise _cannot(name, path, "is no time (NaT)")
    return text


def _plain_dict(value: dict[Any, Any], path: str, name: str, depth: int) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    texts = set()
    for key, item in value.items():
        place = f"{path}.{key}" if isinstance(key, str) and key.isidentifier() else f"{path}[{key!r}]"
        plain = _plain(key, place, name, depth)
        if isinstance(plain, dict | list):
            raise _cannot(name, place, f"has a name of type {type(key).__name__}")
        text = plain if isinstance(plain, str) else json.dumps(plain)
        if text in texts:
            raise _cannot(name, place, "has the same name as another value: all names become texts")
        texts.add(text)
        found[text] = _plain(item, place, name, depth + 1)
    return found


def _from_numpy(value: Any, path: str, name: str) -> Any:
    if value.dtype.kind in "mM":
        # As numbers they would lose their unit.
        value = value.astype(str)
        if "NaT" in str(value):
            raise _cannot(name, path, "is no time (NaT)")
    if value.dtype.kind not in "biufUO" or (value.dtype.kind == "f" and value.dtype.itemsize > _DOUBLE_BYTES):
        raise _cannot(name, path, f"is of the type {value.dtype}")
    return value.tolist()


def _check_scalar(value: Any, path: str, name: str) -> None:
    if (type(value) is str and value.isascii()) or (type(value) is float and isfinite(value)):
        # Nothing else is that frequent.
        return
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise _cannot(name, path, f"is the text {value!r}, which is not valid Unicode") from error
    except ValueError as error:
        what = f"is {value!r}" if isinstance(value, float) else f"is a number out of range ({error})"
        raise _cannot(name, path, what) from error
    except TypeError as error:
        raise _cannot(name, path, f"is of the type {type(value).__name__}") from error


def _cannot(name: str, path: str, what: str) -> JSONWriteError:
    return JSONWriteError(f"cannot write {name} as JSON: {path} {what}; JSON cannot express that, nothing was written")


def from_text(text: bytes, *, name: str = "the text") -> Any:
    """Read JSON in UTF-8, with or without a byte order mark, or in UTF-16 or UTF-32.

    Raises
    ------
    JSONReadError
        If it is no JSON; says where.
    """
    encoding = json.detect_encoding(text)
    try:
        decoded = text.decode(encoding)
    except UnicodeDecodeError as error:
        whole = text.decode(encoding, "replace")
        place = len(text[: error.start].decode(encoding, "replace"))
        raise JSONReadError(
            f"cannot read {name}: the byte {text[error.start]:#04x} at {error.start} is not {encoding.upper()}",
            whole,
            place,
        ) from error
    try:
        return json.loads(decoded)
    except json.JSONDecodeError as error:
        what = "it is empty" if not decoded.strip() else error.msg
        raise JSONReadError(f"cannot read {name}: it is no JSON: {what}", decoded, error.pos) from error
    except (RecursionError, ValueError) as error:
        # A number of too many digits is a ValueError of its own.
        raise JSONReadError(f"cannot read {name}: {error}", decoded, 0) from error
