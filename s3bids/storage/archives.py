"""Packing data into a zip or tar, and unpacking one from a file or from a storage."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArchiveError, DestinationError
from .archive_members import ARCHIVE_EXTENSIONS, archive_extension
from .base import check_writable_key, directory_prefix, require_key
from .files import make_parents, private_folder, remove_empty
from .unpacking import Unpacking, limit_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .base import Storage
    from .transfers import ProgressCallback, TransferSettings

#: The first day that a zip can name. Times in an archive would make equal content different.
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644
#: gzip's own default; the last levels take thrice the time for a hundredth less.
_LEVEL = 6


def archive_zip_as_buffer(data_bytes_dict: Mapping[str, bytes | bytearray | memoryview]) -> io.BytesIO:
    """Pack data into a zip in memory; equal data give equal bytes.

    Parameters
    ----------
    data_bytes_dict
        Name in the archive, taken as it is -> content (bytes, bytearray, memoryview).

    Returns
    -------
    io.BytesIO
        At position 0. Members are compressed.

    Raises
    ------
    TypeError
        If a name is no text or a content has no bytes.
    """
    contents = _contents(data_bytes_dict)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            info = zipfile.ZipInfo(name, _FIRST_DAY)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix, whatever packs it
            info.external_attr = _MODE << 16
            archive.writestr(info, content)
    buffer.seek(0)
    return buffer


def archive_tar_as_buffer(
    data_bytes_dict: Mapping[str, bytes | bytearray | memoryview],
    compress: bool = False,  # noqa: FBT001, FBT002 - virt_s3's signature
) -> io.BytesIO:
    """Pack data into a tar in memory; equal data give equal bytes.

    Parameters
    ----------
    data_bytes_dict
        Name in the archive, taken as it is -> content (bytes, bytearray, memoryview).
    compress
        Make a ``.tar.gz``.

    Returns
    -------
    io.BytesIO
        At position 0.

    Raises
    ------
    TypeError
        If a name is no text or a content has no bytes.
    """
    contents = _contents(data_bytes_dict)
    buffer = io.BytesIO()
    if compress:
        with gzip.GzipFile("", "wb", _LEVEL, buffer, mtime=0) as packed:
            _write_tar(packed, contents)
    else:
        _write_tar(buffer, contents)
    buffer.seek(0)
    return buffer


def _write_tar(file: Any, contents: dict[str, memoryview]) -> None:
    with tarfile.TarFile(fileobj=file, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = _MODE
            archive.addfile(info, io.BytesIO(content))


def _contents(data: Mapping[str, bytes | bytearray | memoryview]) -> dict[str, memoryview]:
    """Check what is to be packed: name -> bytes."""
    contents = {}
    for name, content in data.items():
        if not isinstance(name, str):
            raise TypeError(f"cannot pack {name!r}: a name in an archive is text, not {type(name).__name__}")
        try:
            view = memoryview(content)
        except TypeError as error:
            message = f"cannot pack {name!r}: its content must be bytes, bytearray or memoryview, "
            raise TypeError(f"{message}not {type(content).__name__}") from error
        contents[name] = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    return contents


def extract_file(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    remove_extra_metadata: bool = True,
    max_bytes: int | None = None,
) -> str:
    """Unpack an archive on this computer into a directory, all of it or nothing.

    Archives in the archive are unpacked where they lie, and not kept. A ``/`` at the beginning of a member's name is
    dropped. Files that are in the directory already are replaced by members of the same name. Owners, modes and times
    are not kept. Parallel calls do not disturb each other.

    Parameters
    ----------
    path
        A ``.zip``, ``.tar``, ``.tar.gz`` or ``.tgz``.
    directory
        Made if it is missing. The files wait in a folder of their own inside it, until all are there.
    remove_extra_metadata
        Leave out what macOS adds: files whose names begin with ``._``.
    max_bytes
        Bytes that may be unpacked, archives in the archive included. Default: 100 times the archive's size, and at
        least 1 GiB.

    Returns
    -------
    str
        ``str(directory)``.

    Raises
    ------
    ArchiveError
        Naming the member, and before anything is in the directory: if the archive is broken or encrypted; has a link,
        a device, a sparse file, or a name that leads out of the folder; has more than 100,000 members or `max_bytes`;
        has archives in one another more than 8 deep, or two of them with a file for the same place; or is a zip with
        members packed in another way than those of all tools (stored, deflated).
    FileNotFoundError
        If there is no such file.
    DestinationError
        If the directory cannot be written, or has a folder where a file must be.
    """
    source = Path(path)
    _require_extension(str(path))
    most = limit_bytes(source.stat().st_size, max_bytes)
    target = Path(directory)
    made = _make_directory(target)
    try:
        with private_folder(target) as folder:
            files = _unpack(source, str(path), folder, most, drops_metadata=remove_extra_metadata)
            _move(files, target)
    except BaseException:
        remove_empty(made)
        raise
    return str(directory)


def extract_object(
    storage: Storage,
    key: str,
    prefix: str,
    *,
    delete_archive: bool = False,
    max_bytes: int | None = None,
    transfer_config: TransferSettings | None = None,
    progress_callback: ProgressCallback | None = None,
) -> str:
    """Unpack an archive on a storage to a prefix of the same storage.

    The archive is fetched and unpacked as by :func:`extract_file`, in a private folder of the system's directory for
    temporary files (``TMPDIR``), which needs room for both and goes in any case. Only when everything is unpacked and
    every key can be written is the first member uploaded. What macOS adds (``._*``, ``.DS_Store``, ``__MACOSX``) is
    left out.

    If an upload fails, the members uploaded before stay, each whole, and the archive stays too: what they replaced
    cannot be brought back, and another may be reading them. Calling again completes it.

    Parameters
    ----------
    storage
        The bucket.
    key
        The archive: ``.zip``, ``.tar``, ``.tar.gz`` or ``.tgz``.
    prefix
        Where the members go; ``""`` is the top of the bucket.
    delete_archive
        Delete the archive after the last upload.
    max_bytes
        As in :func:`extract_file`.
    transfer_config
        For the way down and up, where the storage has use for it.
    progress_callback
        Called with (bytes uploaded, bytes of all members).

    Returns
    -------
    str
        `prefix` with one trailing ``/``; ``""`` stays. Also for an archive without members.

    Raises
    ------
    ArchiveError
        As in :func:`extract_file`; nothing has been uploaded then.
    ObjectNotFoundError
        If there is no such archive.
    KeyRefusedError
        If a member's key cannot be written; nothing has been uploaded then.
    """
    extension = _require_extension(require_key(key))
    start = directory_prefix(prefix.rstrip("/"))
    if not start.startswith("/"):
        # An absolute path, which a storage in a folder takes, is for the storage to judge.
        check_writable_key(f"{start}member")
    limit_bytes(0, max_bytes)
    with private_folder() as folder:
        archive = folder / f"archive{extension}"
        storage.download(key, archive, transfer_config=transfer_config)
        most = limit_bytes(archive.stat().st_size, max_bytes)
        files = _unpack(archive, f"{storage.location}/{key}", folder, most, drops_metadata=True)
        archive.unlink()
        try:
            storage.upload(files, start, transfer_config=transfer_config, progress_callback=progress_callback)
        except Exception as error:
            error.add_note(
                f"members of {key} uploaded before this, if any, stay below {start!r}; call again to complete it"
            )
            raise
    if delete_archive:
        storage.delete(key)
    return start


def _require_extension(name: str) -> str:
    extension = archive_extension(name)
    if extension is None:
        raise ArchiveError(f"cannot unpack {name}: its name must end in {', '.join(ARCHIVE_EXTENSIONS)}")
    return extension


def _make_directory(directory: Path) -> list[Path]:
    """Make a directory and its parents; return those that were missing, the deepest first."""
    if directory.exists() and not directory.is_dir():
        raise DestinationError(f"cannot unpack into {directory}: it is a file; name a directory")
    try:
        return make_parents(directory / "member")
    except OSError as error:
        raise DestinationError(f"cannot unpack into {directory}: {error.strerror or error}") from error


def _unpack(path: Path, name: str, folder: Path, most_bytes: int, *, drops_metadata: bool) -> Path:
    """Unpack an archive into a folder inside `folder`, and give that."""
    files, aside = folder / "files", folder / "aside"
    files.mkdir()
    aside.mkdir()
    Unpacking(files, aside, most_bytes, drops_metadata).unpack(path, name)
    return files


def _move(files: Path, directory: Path) -> None:
    """Move unpacked files to a directory, once it is clear that all can go there."""
    folders = [(Path(folder), names) for folder, _, names in os.walk(files)]
    for folder, names in folders:
        _check_target(directory / folder.relative_to(files), names, directory)
    try:
        for folder, names in folders:
            target = directory / folder.relative_to(files)
            target.mkdir(exist_ok=True)
            for name in names:
                (folder / name).replace(target / name)
    except OSError as error:
        raise DestinationError(f"cannot unpack into {directory}: {error.strerror or error}") from error


def _check_target(target: Path, names: list[str], directory: Path) -> None:
    """Refuse what would make a folder of a file or a file of a folder, or follow a link out of the directory."""
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise DestinationError(f"cannot unpack into {directory}: {target} is a file, where members need a folder")
    if not target.resolve().is_relative_to(directory.resolve()):
        raise DestinationError(f"cannot unpack into {directory}: the link {target} leads out of it")
    for name in names:
        path = target / name
        if path.is_dir() and not path.is_symlink():
            raise DestinationError(f"cannot unpack into {directory}: {path} is a folder, where a member is a file")


__all__ = ["archive_tar_as_buffer", "archive_zip_as_buffer", "extract_file", "extract_object"]
