"""A directory that emulates S3: the object ``key`` is the file ``root_dir/bucket_name/key``."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import (
    AccessDeniedError,
    BucketNotFoundError,
    KeyClashError,
    KeyRefusedError,
    ObjectNotFoundError,
    StorageError,
)
from .base import (
    CHUNK_BYTES,
    UNWANTED_NAMES,
    Entries,
    Keys,
    ObjectInfo,
    check_range,
    check_writable_key,
    directory_prefix,
    group_entries,
    require_key,
)
from .files import atomic_file, is_part, save, upload_with
from .params import DEFAULT_BUCKET, LocalFSParams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    #: A directory's entries by name; the name of a folder ends in '/'.
    NamedEntries = list[tuple[str, os.DirEntry[str]]]


class LocalStorage:
    """One bucket as a directory.

    Objects have no ETag here. A link that leads out of the bucket's directory counts as absent, and so does a key
    that no file name can carry. Unfinished files of s3bids never show.

    Parameters
    ----------
    params
        The root directory and the bucket's name; a relative root is taken from the working directory of this moment.
    """

    def __init__(self, params: LocalFSParams) -> None:
        if not isinstance(params, LocalFSParams):
            raise TypeError(f"LocalStorage needs LocalFSParams, not {type(params).__name__}")
        self.params = params
        self._root = Path(os.path.abspath(params.root_dir))  # noqa: PTH100 - Path.resolve would follow links
        self._home = self._root / params.bucket_name

    def __repr__(self) -> str:
        return f"LocalStorage({self.params!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: no file stays open."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.params.bucket_name

    @property
    def location(self) -> str:
        """``file:///root/bucket``."""
        return f"file://{self._home.as_posix()}"

    def path(self, key: str) -> Path:
        """Give the file of a key, whether or not it exists.

        Raises
        ------
        KeyRefusedError
            If the key could lead out of the bucket, or names no file.
        """
        return self._home / check_writable_key(key)

    def key(self, path: str | os.PathLike[str]) -> str:
        """Give the key of a file inside the bucket's directory.

        Raises
        ------
        KeyRefusedError
            If the path lies elsewhere.
        """
        absolute = Path(os.path.abspath(self._home / path))  # noqa: PTH100 - as in the constructor
        if not absolute.is_relative_to(self._home):
            raise KeyRefusedError(f"the path {path} lies outside the bucket's directory {self._home}")
        return absolute.relative_to(self._home).as_posix()

    def list(self, prefix: str = "", *, literal: bool = False, after: str = "") -> Iterator[ObjectInfo]:
        """List the objects below a prefix; see :meth:`Storage.list`."""
        self._require_bucket("list", prefix)
        start = prefix if literal else directory_prefix(prefix)
        folder, _, _ = start.rpartition("/")
        if folder and not self._is_inside(folder):
            return
        for entry in self._walk(self._home / folder if folder else self._home, f"{folder}/" if folder else "", ()):
            if entry.key.startswith(start) and entry.key > after:
                yield entry

    def _walk(self, directory: Path, start: str, above: tuple[str, ...]) -> Iterator[ObjectInfo]:
        """Yield the files below a directory in the order of their keys; `above` guards against circles of links."""
        here = os.path.realpath(directory)
        if here in above:
            return
        for name, entry in self._sorted_entries(directory):
            if name.endswith("/"):
                yield from self._walk(Path(entry.path), f"{start}{name}", (*above, here))
                continue
            with _translating("list", self.location, start):
                stat = entry.stat()
            yield _info(f"{start}{name}", stat)

    def _sorted_entries(self, directory: Path) -> NamedEntries:
        """Give a directory's entries by name; a folder's name ends in '/', so that keys come out in S3's order."""
        found = []
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_symlink() and not self._leads_inside(entry.path):
                        continue
                    if entry.is_dir():
                        found.append((f"{entry.name}/", entry))
                    elif entry.is_file() and not is_part(entry.name) and _is_text(entry.name):
                        found.append((entry.name, entry))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _translate(error, f"cannot list {directory}") from error
        return sorted(found, key=lambda item: item[0])

    def children(self, prefix: str = "", delimiter: str = "/") -> tuple[Keys, Entries]:
        """List one level; see :meth:`Storage.children`."""
        start = directory_prefix(prefix)
        if delimiter != "/":
            return group_entries(list(self.list(prefix)), start, delimiter)
        self._require_bucket("list", prefix)
        if start and not self._is_inside(start.removesuffix("/")):
            return [], []
        entries = self._sorted_entries(self._home / start)
        directories = [f"{start}{name}" for name, entry in entries if name.endswith("/") and _has_files(entry.path)]
        objects = [_info(f"{start}{name}", entry.stat()) for name, entry in entries if not name.endswith("/")]
        return directories, objects

    def head(self, key: str) -> ObjectInfo:
        """Say what one object is; see :meth:`Storage.head`."""
        path = self._existing(key, "look at")
        return _info(key, path.stat())

    def read(self, key: str, start: int = 0, end: int | None = None, *, if_match: str | None = None) -> bytes:
        """Read bytes of an object; see :meth:`Storage.read`. There are no ETags, so `if_match` is not looked at."""
        return self.read_range(key, start, end, if_match=if_match)[0]

    def read_range(
        self, key: str, start: int, end: int | None, *, if_match: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        """Read a range, and say what object it is of; see :class:`~s3bids.storage.capabilities.RangeReader`."""
        del if_match
        check_range(start, end)
        path = self._existing(key, "read")
        with _translating("read", self.location, key), path.open("rb") as file:
            file.seek(start)
            data = file.read() if end is None else file.read(max(0, end - start))
            return data, _info(key, os.fstat(file.fileno()))

    def stream(
        self,
        key: str,
        start: int = 0,
        if_match: str | None = None,
        *,
        end: int | None = None,
        chunk_size: int = CHUNK_BYTES,
    ) -> Iterator[bytes]:
        """Yield an object's bytes; see :meth:`Storage.stream`. There are no ETags, so `if_match` is not looked at."""
        del if_match
        require_key(key)
        check_range(start, end)
        if chunk_size < 1:
            raise ValueError(f"cannot stream in pieces of {chunk_size} bytes; chunk_size is at least 1")
        return self._stream(key, start, end, chunk_size)

    def _stream(self, key: str, start: int, end: int | None, chunk_size: int) -> Iterator[bytes]:
        path = self._existing(key, "read")
        with _translating("read", self.location, key), path.open("rb") as file:
            file.seek(start)
            left = sys.maxsize if end is None else end - start
            while left > 0 and (piece := file.read(min(chunk_size, left))):
                left -= len(piece)
                yield piece

    def write(self, key: str, data: bytes | bytearray | memoryview) -> str:
        """Write one object at once; see :meth:`Storage.write`."""
        with self._writing(key) as path, atomic_file(path) as file:
            # A view with gaps has no bytes in a row to write from.
            file.write(data if not isinstance(data, memoryview) or data.contiguous else bytes(data))
        return key

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """Open an object for writing; see :class:`~s3bids.storage.capabilities.ObjectWriter`."""
        with self._writing(key) as path, atomic_file(path) as file:
            yield file

    def upload(self, path: str | os.PathLike[str], key: str, *, ignore: tuple[str, ...] = UNWANTED_NAMES) -> str | Keys:
        """Write a file, or a folder's files; see :meth:`Storage.upload`."""
        return upload_with(self._upload_file, path, key, ignore)

    def _upload_file(self, source: Path, key: str) -> str:
        with self._writing(key) as path, source.open("rb") as original, atomic_file(path) as file:
            while piece := original.read(CHUNK_BYTES):
                file.write(piece)
        return key

    def download(self, key: str, path: str | os.PathLike[str], *, overwrite: bool = True) -> str:
        """Write one object to a file; see :meth:`Storage.download`."""
        require_key(key)
        return save(self._stream(key, 0, None, CHUNK_BYTES), path, overwrite=overwrite)

    def delete(self, key: str, *, recursive: bool = False, force: bool = False) -> Keys:
        """Delete one object or all below a prefix; see :meth:`Storage.delete`. Directories left empty go too."""
        if not recursive:
            return self._delete_one(key)
        start = directory_prefix(key)
        if not start and not force:
            raise ValueError(f"deleting everything in {self.location} needs force=True")
        keys = [entry.key for entry in self.list(key)]
        for name in keys:
            with _translating("delete", self.location, name):
                (self._home / name).unlink()
        if not start or self._is_inside(start.removesuffix("/")):
            _remove_empty_below(self._home / start, keep=self._home)
        return keys

    def _delete_one(self, key: str) -> Keys:
        try:
            path = self._existing(key, "delete")
        except ObjectNotFoundError:
            return []
        with _translating("delete", self.location, key):
            path.unlink()
        return [key]

    def create_bucket(self, name: str | None = None) -> bool:
        """Create a bucket; see :meth:`Storage.create_bucket`. The root directory is made if it is missing."""
        bucket = self.bucket if name is None else name
        if not bucket or "/" in bucket or bucket in (".", ".."):
            raise ValueError(f"cannot create the bucket {bucket!r}: a bucket's name is one path component")
        with _translating("create the bucket", f"file://{self._root}", bucket):
            (self._root / bucket).mkdir(parents=True, exist_ok=True)
        return True

    def _require_bucket(self, operation: str, key: str) -> None:
        if self._home.is_dir():
            return
        hint = "; this name is taken when S3_DEFAULT_BUCKET is not set" if self.bucket == DEFAULT_BUCKET else ""
        raise BucketNotFoundError(
            f"cannot {operation} {self.location}/{key}: the directory {self._home}, which stands for the bucket, "
            f"does not exist; check LOCAL_FS_ROOT_DIR (root_dir) and the bucket's name, or create the bucket{hint}"
        )

    def _existing(self, key: str, operation: str) -> Path:
        """Give the file of an object that exists."""
        require_key(key)
        self._require_bucket(operation, key)
        path = self._home / key
        if not self._is_inside(key) or not path.is_file():
            message = f"cannot {operation} {self.location}/{key}: there is no such object"
            raise ObjectNotFoundError(f"{message}; list the bucket to see what it holds")
        return path

    def _is_inside(self, key: str) -> bool:
        """Say whether a key taken literally can be a path inside the bucket, links followed."""
        try:
            check_writable_key(key)
        except KeyRefusedError:
            return False
        return self._leads_inside(self._home / key)

    def _leads_inside(self, path: str | os.PathLike[str]) -> bool:
        home = os.path.realpath(self._home)
        return os.path.realpath(path).startswith(home + os.sep)

    @contextmanager
    def _writing(self, key: str) -> Iterator[Path]:
        path = self.path(key)
        self._require_bucket("write", key)
        if not self._leads_inside(path):
            raise KeyRefusedError(f"cannot write the key {key!r}: a link leads it out of the directory {self._home}")
        if path.is_dir():
            raise KeyClashError(f"cannot write {self.location}/{key}: other keys have it as their directory already")
        with _translating("write", self.location, key):
            yield path


def _info(key: str, stat: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, stat.st_size, None, datetime.fromtimestamp(stat.st_mtime, UTC))


def _is_text(name: str) -> bool:
    """Say whether a file name can be a key: S3 keys are UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _has_files(directory: str) -> bool:
    """Say whether there is a file somewhere below: an empty directory has no counterpart on S3."""
    return any(files for _, _, files in os.walk(directory))


def _remove_empty_below(directory: Path, *, keep: Path) -> None:
    for folder, _, _ in os.walk(directory, topdown=False):
        path = Path(folder)
        if path != keep and not any(path.iterdir()):
            path.rmdir()


@contextmanager
def _translating(operation: str, location: str, key: str) -> Iterator[None]:
    """Turn the operating system's errors into ours."""
    try:
        yield
    except StorageError:
        raise
    except IsADirectoryError:
        raise
    except OSError as error:
        # Without a number it is not the operating system's: whoever writes an object may have lost what he writes.
        if error.errno is None:
            raise
        raise _translate(error, f"cannot {operation} {location}/{key}") from error


def _translate(error: OSError, what: str) -> Exception:
    if isinstance(error, PermissionError):
        return AccessDeniedError(f"{what}: access denied; check the permissions of {error.filename or 'the directory'}")
    if isinstance(error, FileExistsError | NotADirectoryError):
        return KeyClashError(f"{what}: a part of the key is a file already, which cannot also be a directory here")
    if isinstance(error, FileNotFoundError):
        return ObjectNotFoundError(f"{what}: it has just been removed")
    if error.errno == errno.ENAMETOOLONG:
        return KeyRefusedError(f"{what}: a part of the key is too long for a file name")
    return StorageError(f"{what}: {error.strerror or error}")
