"""Images that cannot be read in part: several files, or formats of which nibabel needs a file's name.

Analyze, NIfTI pairs, MINC, PAR/REC, AFNI, GIFTI with external data, and whatever is compressed by bzip2. Their files
are fetched whole into a temporary directory, which goes when the data are no longer used.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ImageError, ObjectNotFoundError, S3BIDSError
from .sources import StorageSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .sources import Source

_COMPRESSED = (".gz", ".bz2")
#: Extensions of formats that are seen from the content: what has such a name and another content is no image.
_SNIFFED = (".nii", ".mgh", ".mgz", ".gii")
_EXTERNAL_NAME = re.compile(rb"""ExternalFileName\s*=\s*(?:"([^"]*)"|'([^']*)')""")


def load_whole(source: Source, companions: Iterable[str] | None = None, *, is_sniffed: bool = False) -> Any:
    """Fetch an image whole, with the files that belong to it, and let nibabel load it.

    Parameters
    ----------
    source
        The object whose name says what it is.
    companions
        Names of the files that belong to it. Default: what its extension says.
    is_sniffed
        Whether its content is of a format that is seen from the content.

    Returns
    -------
    nibabel image or None
        None if its name is not that of such an image.

    Raises
    ------
    ImageError
        If it is damaged, or belongs to a file system of the caller: its companions cannot be looked for there.
    """
    name = source.name.rpartition("/")[2]
    names = companion_names(name) if companions is None else list(companions)
    if not names or (Path(_bare(name)).suffix.lower() in _SNIFFED and not is_sniffed):
        return None
    if not isinstance(source, StorageSource):
        raise ImageError(f"cannot read {source.name}: it consists of several files; read it without fs=")
    directory = Path(tempfile.mkdtemp(prefix="s3bids-image-"))
    try:
        _fetch(source, {name, *names}, directory)
        image = _load(source, directory / name)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    weakref.finalize(getattr(image, "dataobj", image), shutil.rmtree, directory, ignore_errors=True)
    return image


def companion_names(name: str) -> list[str]:
    """Give the names of the files that an image consists of; empty if the name has no extension of an image."""
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError

    found: dict[str, None] = {}
    for kind in nib.all_image_classes:
        if Path(_bare(name)).suffix.lower() not in kind.valid_exts:
            continue
        try:
            holders = kind.filespec_to_file_map(name).values()
        except ImageFileError:
            continue
        found.update(dict.fromkeys(str(holder.filename) for holder in holders))
    return list(found)


def _bare(name: str) -> str:
    """Give a name without the extension of its compression."""
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return name


def external_names(gifti: bytes) -> list[str]:
    """Give the names of the files that a GIFTI document has its data in.

    Raises
    ------
    ImageError
        If one of them is not in the same directory: it could be any file of this computer.
    """
    names = [unescape((double or single).decode()) for double, single in _EXTERNAL_NAME.findall(gifti)]
    for name in names:
        if not name or name in (".", "..") or "/" in name or "\\" in name:
            raise ImageError(
                f"cannot read the external data {name!r} of a GIFTI image: only its own directory is looked at"
            )
    return names


def _fetch(source: StorageSource, names: Iterable[str], directory: Path) -> None:
    """Bring the files that exist; a companion may be compressed by itself, as AFNI has it."""
    start = source.key.rpartition("/")[0]
    for name in sorted(names):
        for variant in (name, *(f"{name}{suffix}" for suffix in _COMPRESSED)):
            try:
                source.storage.download(f"{start}/{variant}" if start else variant, directory / variant)
            except ObjectNotFoundError:
                continue
            break


def _load(source: StorageSource, path: Path) -> Any:
    import nibabel as nib

    options = {"mmap": False} if ".gii" in path.suffixes else {}
    try:
        return nib.load(path, **options)
    except (ImportError, MemoryError, S3BIDSError):
        raise
    except FileNotFoundError as error:
        missing = Path(error.filename or path).name
        raise ObjectNotFoundError(
            f"cannot read {source.name}: the file {missing} that belongs to it is not beside it"
        ) from error
    except Exception as error:
        raise ImageError(f"cannot read {source.name}: {error}".replace(str(path), path.name)) from error
