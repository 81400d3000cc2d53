"""The functions of s3bids 0.1.7 that its users call by themselves. New code uses :mod:`s3bids.storage`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bids.names import is_subject_directory
from .neuro.json import write_json
from .storage.params import s3_params
from .storage.registry import open_storage
from .storage.session import make_client

if TYPE_CHECKING:
    from collections.abc import Iterator


def get_s3_client(anon: bool = True) -> Any:  # noqa: FBT001, FBT002 - this and what follows: the signatures of 0.1.7
    """Make a boto3 S3 client, unsigned if `anon`; ``AWS_ENDPOINT_URL`` is honoured. A new one at every call."""
    return make_client(s3_params("any", anon=anon))


def _ls_s3fs(s3_prefix: str, anon: bool = True) -> dict[str, list[str]]:  # noqa: FBT001, FBT002
    """List one level: ``{'subjects': [...], 'other': [...]}`` of ``bucket/key``, files and directories mixed, sorted.

    An entry is a subject's if its own name begins with ``sub-`` and a label. A missing prefix gives empty lists, a
    missing bucket is BucketNotFoundError.
    """
    bucket, _, prefix = s3_prefix.removeprefix("s3://").partition("/")
    with open_storage(bucket, None, anon=anon) as storage:
        directories, files = storage.children(prefix.strip("/"))
    keys = sorted({key.removesuffix("/") for key in directories} | {file.key for file in files})
    found: dict[str, list[str]] = {"subjects": [], "other": []}
    for key in keys:
        kind = "subjects" if is_subject_directory(key.rpartition("/")[2]) else "other"
        found[kind].append(f"{bucket}/{key}")
    return found


def _get_matching_s3_keys(
    bucket: str,
    prefix: str | tuple[str, ...] = "",
    suffix: str | tuple[str, ...] = "",
    anon: bool = True,  # noqa: FBT001, FBT002
) -> Iterator[str]:
    """Yield the keys that begin with a text and end with another, in S3's order, each once, without markers.

    Several beginnings or ends may be given as a tuple; each beginning is listed by itself.
    """
    for name, value in (("prefix", prefix), ("suffix", suffix)):
        items: tuple[object, ...] = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(item, str) for item in items):
            raise TypeError(f"{name} must be text or a tuple of texts, not {type(value).__name__}")
    seen: set[str] = set()
    with open_storage(bucket, None, anon=anon) as storage:
        for start in (prefix,) if isinstance(prefix, str) else prefix:
            for entry in storage.list(start, literal=True):
                if entry.key.endswith(suffix) and entry.key not in seen:
                    seen.add(entry.key)
                    yield entry.key


def _download_from_s3(
    fname: str | os.PathLike[str],
    bucket: str,
    key: str,
    overwrite: bool = False,  # noqa: FBT001, FBT002
    anon: bool = True,  # noqa: FBT001, FBT002
) -> None:
    """Download one object to a file, whole or not at all; an existing file stays unless `overwrite`."""
    if not overwrite and Path(fname).exists():
        return
    with open_storage(bucket, None, anon=anon) as storage:
        storage.download(key, fname)


def to_bids_description(
    path: str | os.PathLike[str],
    fname: str = "dataset_description.json",
    BIDSVersion: str = "1.4.0",  # noqa: N803 - the name of the field
    **kwargs: Any,
) -> None:
    """Write a ``dataset_description.json`` of the keywords given and the BIDS version, replacing what is there."""
    write_json(Path(path) / fname, {**kwargs, "BIDSVersion": BIDSVersion})
