"""``s3bids header``: what the header of an image says, and what its sidecars say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import connection_options, json_option, log_option, not_empty

if TYPE_CHECKING:
    from ..neuro.headers import ImageHeader
    from ..storage.base import Storage
    from ..storage.params import LocalFSParams
    from .options import Connection

#: What is shown of the sidecars, in this order; --json has all.
HIGHLIGHTS = (
    "TaskName", "Manufacturer", "ManufacturersModelName", "MagneticFieldStrength", "RepetitionTime", "EchoTime",
    "FlipAngle", "MultibandAccelerationFactor", "PhaseEncodingDirection", "TotalReadoutTime", "EffectiveEchoSpacing",
    "SliceTiming", "Units", "SkullStripped",
)  # fmt: skip


@click.command("header", short_help="Show the header of one image, without a download.")
@click.argument("url", metavar="URL", callback=not_empty)
@click.option("--sidecars/--no-sidecars", default=True, help="Look for the image's sidecars (the default), or do not.")
@json_option
@log_option
@connection_options
def command(url: str, sidecars: bool, as_json: bool, connection: Connection) -> int:
    """Show the header of one image, read with one request of at most 64 KB.

    URL is s3://bucket/key or file:///root/bucket/key. Sidecars are looked for beside the image and in the directories
    above it, up to the one that holds the subject's.
    """
    from ..errors import S3BIDSError
    from ..neuro.headers import read_header
    from .program import Exit
    from .render import out_all, out_json, say

    storage, key = _place(url, connection)
    with storage:
        header = read_header(key, storage)
        found: list[str] = []
        metadata: dict[str, Any] = {}
        problem = None
        try:
            if sidecars:
                found, metadata = _sidecars(storage, key)
        except S3BIDSError as error:
            problem = str(error)
    if as_json:
        out_json({**_as_json(header), "sidecars": found, "metadata": metadata, "sidecar_error": problem})
    else:
        out_all(_lines(header, found, metadata))
    if problem is not None:
        say(f"sidecars: {problem}")
        return Exit.FAILED
    return Exit.DONE


def _place(url: str, connection: Connection) -> tuple[Storage, str]:
    """Give the storage and the key of a URL, with what was said about the connection."""
    from ..config import params_of
    from ..errors import ConfigError
    from ..storage.registry import get_storage
    from .study_argument import url_config

    if "://" not in url:
        hint = f", or file://{Path(url).absolute().as_posix()}" if Path(url).is_file() else ""
        raise ConfigError(f"{url!r} is no address of an object; write s3://bucket/key{hint}")
    config = connection.applied_to(url_config(url))
    if not config.prefix:
        raise ConfigError(f"{url!r} names no object; write s3://bucket/key or file:///root/bucket/key")
    params, key = params_of(config), config.prefix
    if config.local_root is not None:
        params, key = _from_the_study_on(Path(config.local_root, config.bucket, key))
    return get_storage(params), key


def _from_the_study_on(path: Path) -> tuple[LocalFSParams, str]:
    """Take the directory that holds the subject's as the bucket, since sidecars may lie in it; else the file's own."""
    from ..bids.names import is_subject_directory
    from ..storage.params import DEFAULT_USER, LocalFSParams

    names = path.parts[1:]
    last = len(names) - 1
    first = next((index for index, name in enumerate(names[:-1]) if index > 0 and is_subject_directory(name)), last)
    root, bucket, key = Path("/", *names[: first - 1]), names[first - 1], "/".join(names[first:])
    return LocalFSParams(use_local_fs=True, root_dir=root, user=DEFAULT_USER, bucket_name=bucket), key


def _sidecars(storage: Storage, key: str) -> tuple[list[str], dict[str, Any]]:
    from ..loading import merged_metadata, sidecars_of

    found = sidecars_of(storage, key)
    return [f"{storage.location}/{name}" for name in found], merged_metadata(storage, found)


def _lines(header: ImageHeader, sidecars: list[str], metadata: dict[str, Any]) -> list[str]:
    from .render import size_text

    packed = ", compressed" if header.is_compressed else ""
    arrays = f", {header.arrays} arrays, of the first:" if header.arrays > 1 else ""
    rows = [
        ("format", f"{header.format}{packed}, {size_text(header.size)}{arrays}"),
        ("shape", " x ".join(map(str, header.shape))),
        ("voxel size", " x ".join(f"{size:g}" for size in header.voxel_sizes) + " mm" if header.voxel_sizes else ""),
        ("TR", f"{header.repetition_time:g} s" if header.repetition_time is not None else ""),
        ("dtype", header.dtype),
        ("orientation", header.orientation or ""),
        ("extensions", str(len(header.extensions)) if header.extensions else ""),
        *((name, _shown(metadata[name])) for name in HIGHLIGHTS if name in metadata),
        ("sidecars", ", ".join(name.rpartition("/")[2] for name in sidecars)),
    ]
    width = max(len(name) for name, text in rows if text)
    return [f"{name:<{width}}  {text}" for name, text in rows if text]


def _shown(value: object) -> str:
    if isinstance(value, list) and len(value) > 3:
        return f"{len(value)} values"
    return str(value)


def _as_json(header: ImageHeader) -> dict[str, Any]:
    return {
        "url": header.name,
        "format": header.format,
        "compressed": header.is_compressed,
        "size": header.size,
        "shape": list(header.shape),
        "dtype": header.dtype,
        "voxel_sizes_mm": list(header.voxel_sizes),
        "repetition_time_s": header.repetition_time,
        "orientation": header.orientation,
        "affine": None if header.affine is None else _finite(header.affine.tolist()),
        "extensions": [extension.get_code() for extension in header.extensions],
        "arrays": header.arrays,
    }


def _finite(rows: list[list[float]]) -> list[list[float | None]]:
    """Give an affine without NaN and infinity, which JSON cannot express."""
    return [[value if abs(value) < float("inf") else None for value in row] for row in rows]
