"""A directory that emulates S3: the object ``key`` is the file ``root_dir/bucket_name/key``."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import BucketNotFoundError, KeyClashError, KeyRefusedError, ObjectNotFoundError
from . import audit
from .base import (
    CHUNK_BYTES,
    UNWANTED_NAMES,
    Entries,
    Keys,
    ObjectInfo,
    RequestArgs,
    check_bucket_name,
    check_range,
    check_writable_key,
    directory_prefix,
    group_entries,
    require_key,
)
from .files import atomic_file, is_part, save, upload_with
from .local_files import info, is_text, remove_empty_below, translate, translating
from .params import DEFAULT_BUCKET, LocalFSParams
from .sources import Data, FileSource, Source, source_of
from .transfers import Progress, ProgressCallback, TransferSettings, check_settings, counted, span_bytes, tell_all, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from .chooser import TransferMethod

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

    def _own(self, key: str) -> str:
        """Reduce an absolute path inside the bucket's directory to its key; leave any other key as it is."""
        home = self._home.as_posix()
        if not str(key).startswith(home):
            return key
        rest = key.removeprefix(home)
        return rest.removeprefix("/") if rest[:1] in ("", "/") else key

    def list(self, prefix: str = "", *, literal: bool = False, after: str = "") -> Iterator[ObjectInfo]:
        """List the objects below a prefix; see :meth:`Storage.list`."""
        prefix = self._own(prefix)
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
            with translating("list", self.location, start):
                stat = entry.stat()
            yield info(f"{start}{name}", stat)

    def _is_shown(self, name: str, entry: os.DirEntry[str]) -> bool:
        """Say whether an entry is a directory with an object below; an empty one has no counterpart on S3."""
        return name.endswith("/") and next(self._walk(Path(entry.path), "", ()), None) is not None

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
                    elif entry.is_file() and not is_part(entry.name) and is_text(entry.name):
                        found.append((entry.name, entry))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise translate(error, f"cannot list {directory}") from error
        return sorted(found, key=lambda item: item[0])

    def children(self, prefix: str = "", delimiter: str = "/") -> tuple[Keys, Entries]:
        """List one level; see :meth:`Storage.children`."""
        prefix = self._own(prefix)
        start = directory_prefix(prefix)
        if delimiter != "/":
            return group_entries(list(self.list(prefix)), start, delimiter)
        self._require_bucket("list", prefix)
        if start and not self._is_inside(start.removesuffix("/")):
            return [], []
        entries = self._sorted_entries(self._home / start)
        directories = [f"{start}{name}" for name, entry in entries if self._is_shown(name, entry)]
        objects = [info(f"{start}{name}", entry.stat()) for name, entry in entries if not name.endswith("/")]
        return directories, objects

    def head(self, key: str) -> ObjectInfo:
        """Say what one object is; see :meth:`Storage.head`."""
        key = self._own(key)
        path = self._existing(key, "look at")
        return info(key, path.stat())

    def read(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        if_match: str | None = None,
        method: TransferMethod | str | None = None,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> bytes:
        """Read bytes of an object; see :meth:`Storage.read`. There are no ETags, so `if_match` is not looked at."""
        check_settings(method, transfer_config)
        data, _ = self.read_range(key, start, end, if_match=if_match)
        tell_all(progress_callback, len(data))
        return data

    def read_range(
        self, key: str, start: int, end: int | None, *, if_match: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        """Read a range, and say what object it is of; see :class:`~s3bids.storage.capabilities.RangeReader`."""
        del if_match
        check_range(start, end)
        key = self._own(key)
        path = self._existing(key, "read")
        with translating("read", self.location, key), path.open("rb") as file:
            found = info(key, os.fstat(file.fileno()))
            file.seek(start)
            return file.read(span_bytes(found.size, start, end)), found

    def stream(
        self,
        key: str,
        start: int = 0,
        if_match: str | None = None,
        *,
        end: int | None = None,
        chunk_size: int = CHUNK_BYTES,
        progress_callback: ProgressCallback | None = None,
    ) -> Iterator[bytes]:
        """Yield an object's bytes; see :meth:`Storage.stream`. There are no ETags, so `if_match` is not looked at."""
        del if_match
        require_key(key)
        check_range(start, end)
        if chunk_size < 1:
            raise ValueError(f"cannot stream in pieces of {chunk_size} bytes; chunk_size is at least 1")
        key = self._own(key)
        pieces = self._stream(key, start, end, chunk_size)
        return told(pieces, lambda: span_bytes(self.head(key).size, start, end), progress_callback)

    def _stream(self, key: str, start: int, end: int | None, chunk_size: int) -> Iterator[bytes]:
        path = self._existing(key, "read")
        with translating("read", self.location, key), path.open("rb") as file:
            file.seek(start)
            left = sys.maxsize if end is None else end - start
            while left > 0 and (piece := file.read(min(chunk_size, left))):
                left -= len(piece)
                yield piece

    def write(
        self,
        key: str,
        data: Data,
        *,
        method: TransferMethod | str | None = None,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str:
        """Write one object at once; see :meth:`Storage.write`."""
        check_settings(method, transfer_config)
        source = source_of(data)
        progress = Progress(progress_callback, source.size)
        key = self._write(self._own(key), source, progress)
        progress.end()
        return key

    def _write(self, key: str, source: Source, progress: Progress) -> str:
        with self.writing(key) as file:
            for piece in source.pieces(CHUNK_BYTES):
                file.write(piece)
                progress.add(len(piece))
        return key

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """Open an object for writing; see :class:`~s3bids.storage.capabilities.ObjectWriter`."""
        path = self._writable(key)
        with translating("write", self.location, key), atomic_file(path) as file:
            yield file
        audit.tell("write", self.bucket, key)

    def upload(
        self,
        path: str | os.PathLike[str],
        key: str,
        *,
        ignore: Iterable[str] = UNWANTED_NAMES,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str | Keys:
        """Write a file, or a folder's files; see :meth:`Storage.upload`."""
        check_settings(None, transfer_config)
        return upload_with(self._upload_file, path, self._own(key), ignore, progress_callback=progress_callback)

    def _upload_file(self, path: Path, key: str, progress: Progress) -> str:
        with path.open("rb") as file:
            return self._write(key, FileSource(file), progress)

    def download(
        self,
        key: str,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = True,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str:
        """Write one object to a file; see :meth:`Storage.download`."""
        check_settings(None, transfer_config)
        key = self._own(require_key(key))
        if not overwrite and Path(path).is_file():
            return str(path)
        progress = Progress(progress_callback, self.head(key).size)
        save(counted(self._stream(key, 0, None, CHUNK_BYTES), progress), path, overwrite=True)
        progress.end()
        return str(path)

    def delete(self, key: str, *, recursive: bool = False, force: bool = False) -> Keys:
        """Delete one object or all below a prefix; see :meth:`Storage.delete`. Directories left empty go too."""
        if not recursive:
            return self._delete_one(key)
        start = directory_prefix(self._own(key))
        if not start and not force:
            raise ValueError(f"deleting everything in {self.location} needs force=True")
        keys = [entry.key for entry in self.list(key)]
        for name in keys:
            self._unlink(self._home / name, name)
        if not start or self._is_inside(start.removesuffix("/")):
            remove_empty_below(self._home / start, keep=self._home)
        return keys

    def _delete_one(self, key: str) -> Keys:
        key = self._own(key)
        try:
            path = self._existing(key, "delete")
        except ObjectNotFoundError:
            return []
        self._unlink(path, key)
        return [key]

    def _unlink(self, path: Path, key: str) -> None:
        with translating("delete", self.location, key):
            path.unlink()
        audit.tell("delete", self.bucket, key)

    def create_bucket(
        self,
        name: str | None = None,
        *,
        create_args: RequestArgs | None = None,
        bucket_encryption_args: RequestArgs | None = None,
        block_bucket_public_access_args: RequestArgs | None = None,
        bucket_policy_args: RequestArgs | None = None,
    ) -> bool:
        """Create a bucket; see :meth:`Storage.create_bucket`. The root directory is made if it is missing."""
        del create_args, bucket_encryption_args, block_bucket_public_access_args, bucket_policy_args
        bucket = check_bucket_name(self.bucket if name is None else name)
        with translating("create the bucket", f"file://{self._root}", bucket):
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

    def _writable(self, key: str) -> Path:
        """Give the file that an object is written to."""
        path = self.path(key)
        self._require_bucket("write", key)
        if not self._leads_inside(path):
            raise KeyRefusedError(f"cannot write the key {key!r}: a link leads it out of the directory {self._home}")
        if path.is_dir():
            raise KeyClashError(f"cannot write {self.location}/{key}: other keys have it as their directory already")
        return path
