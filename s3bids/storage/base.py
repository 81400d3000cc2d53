"""What every storage can do: the :class:`Storage` protocol, its one record, and the rules about keys.

A *key* is text with ``/`` between its parts, relative to the bucket. A *prefix* means whole path segments:
``ds/sub-1`` covers ``ds/sub-1/anat/x`` and neither ``ds/sub-10/x`` nor ``ds/sub-1.json``. A *directory marker* (a key
that ends in ``/``) is not an object to any method here, except to :meth:`Storage.delete`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..errors import ConfigError, KeyRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from .chooser import TransferMethod
    from .sources import Data
    from .transfers import ProgressCallback, TransferSettings

#: Several keys. An alias, because ``list`` means the listing inside :class:`Storage`.
Keys = list[str]

#: Arguments of one request to S3, by name.
RequestArgs = Mapping[str, Any]

#: Names that no one wants in a bucket: what macOS leaves in folders and archives.
UNWANTED_NAMES = (".DS_Store", "MACOSX", "__MACOSX")

#: Longest key that S3 accepts, in bytes of UTF-8 (S3 user guide, "Creating object key names").
MAX_KEY_BYTES = 1024

#: Bytes that :meth:`Storage.stream` hands out at a time: large enough that Python's share is small.
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing says of one object."""

    #: The key, without the bucket.
    key: str
    #: Size in bytes.
    size: int
    #: The ETag without quotes; None where the storage has none (local emulation).
    etag: str | None = None
    #: When the object was last written, with a time zone.
    last_modified: datetime | None = None


#: Some bytes of an object.
Piece = bytes | memoryview

#: Several entries of a listing; an alias for the same reason as `Keys`.
Entries = list[ObjectInfo]


@runtime_checkable
class Storage(Protocol):
    """One bucket, wherever it is.

    Every backend has the same semantics, which :class:`s3bids.testing.conformance.StorageContract` proves. A storage
    pickles, serves many threads, opens nothing in its constructor and one pooled client in each process on first
    use. It is a context manager; after :meth:`close` it opens anew when used.

    All methods raise :class:`~s3bids.errors.BucketNotFoundError`, :class:`~s3bids.errors.AccessDeniedError` and
    :class:`~s3bids.errors.StorageConnectionError` as the case may be; what else they raise is said at each.

    A `progress_callback` is called as ``callback(done, total)``, in bytes, one call at a time but from any thread:
    never going back, and with ``(total, total)`` at the end, when all is stored. What it raises ends the transfer and
    reaches the caller. A `transfer_config` is a ``boto3.s3.transfer.TransferConfig``, of which an attribute that is
    None means the documented default; None stands for ``TransferConfig(max_concurrency=3)``. It limits the size and
    the number of the parts on S3 and has no effect elsewhere.
    """

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        ...

    @property
    def location(self) -> str:
        """Where the bucket is, for messages and manifests: ``s3://bucket`` or ``file:///root/bucket``."""
        ...

    def list(self, prefix: str = "", *, literal: bool = False, after: str = "") -> Iterator[ObjectInfo]:
        """List the objects below a prefix, recursively, sorted by key (UTF-8 order), without markers.

        Pages are asked for as they are needed: an iteration that is left early asks for no more.

        Parameters
        ----------
        prefix
            Whole path segments; ``""`` and ``"/"`` mean the whole bucket. Nothing there: an empty listing.
        literal
            Take `prefix` as S3 does, as the beginning of the text of a key: ``ds/sub-1`` then covers ``ds/sub-10/x``.
        after
            Begin behind this text: only keys that are greater are listed (``StartAfter`` of ListObjectsV2).
        """
        ...

    def children(self, prefix: str = "", delimiter: str = "/") -> tuple[Keys, Entries]:
        """List one level: the keys of directories (each with a trailing `delimiter`) and the objects, both sorted."""
        ...

    def head(self, key: str) -> ObjectInfo:
        """Say what one object is; :class:`~s3bids.errors.ObjectNotFoundError` if there is none."""
        ...

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
        """Read the bytes ``[start:end]`` of an object, as a slice does: past its end there are none.

        With `method` ``"simple"`` an object comes in one request, with ``"transfer"`` a large one comes in ranges side
        by side; None leaves it to what has been faster. A part of an object always comes in one request.

        Raises :class:`~s3bids.errors.ObjectNotFoundError` if the object is missing, ValueError for a negative bound.
        `if_match` is that of :meth:`stream`.
        """
        ...

    def stream(
        self,
        key: str,
        start: int = 0,
        if_match: str | None = None,
        *,
        end: int | None = None,
        chunk_size: int = CHUNK_BYTES,
        progress_callback: ProgressCallback | None = None,
    ) -> Iterator[Piece]:
        """Yield the bytes ``[start:end]`` of an object, as a slice does, in pieces of about `chunk_size` bytes.

        Pieces are bytes or memoryviews, whichever saves a copy, and none is empty. A server that cannot serve a part
        of an object is :class:`~s3bids.errors.RangeNotServedError` where `end` is given; without it the bytes before
        `start` are received and passed over.

        With `if_match` (an ETag without quotes) :class:`~s3bids.errors.ObjectChangedError` is raised when the server
        says that the object has another one; a storage without ETags does not look at it. The first request is made
        when the first piece is asked for. With a `progress_callback` the size is asked for first.
        """
        ...

    def write(
        self,
        key: str,
        data: Data,
        *,
        method: TransferMethod | str | None = None,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str:
        """Write one object at once and return its key; readers see the old object or the new one.

        Parameters
        ----------
        data
            Bytes in memory, which are not copied, or an open binary file, which is read from its position on; of a
            BytesIO all bytes are taken.
        method
            ``"simple"``: in one request; ``"transfer"``: large data go in parts side by side; None leaves it to what
            has been faster.

        Raises
        ------
        KeyRefusedError
            For a key that :func:`check_writable_key` refuses.
        TypeError
            If `data` is something else.
        """
        ...

    def upload(
        self,
        path: str | PathLike[str],
        key: str,
        *,
        ignore: Iterable[str] = UNWANTED_NAMES,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str | Keys:
        """Write a file under `key`, or a folder's files below it; return the key, or the sorted keys of a folder.

        A missing `path` is FileNotFoundError. Parts of a path named in `ignore` are left out of a folder. All keys are
        checked before the first byte is sent. The progress counts the whole folder.
        """
        ...

    def download(
        self,
        key: str,
        path: str | PathLike[str],
        *,
        overwrite: bool = True,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str:
        """Write one object to a file, atomically, making its parents; return ``str(path)``.

        With ``overwrite=False`` an existing file is left alone and nothing is requested. A directory at `path` is
        IsADirectoryError. A failure leaves neither a file nor a new directory behind. Memory does not grow with the
        object.
        """
        ...

    def delete(self, key: str, *, recursive: bool = False, force: bool = False) -> Keys:
        """Delete one object, or with `recursive` all below a prefix (markers too); return the sorted keys deleted.

        ``""`` and ``"/"`` with `recursive` would empty the bucket: ValueError unless `force`.
        """
        ...

    def create_bucket(
        self,
        name: str | None = None,
        *,
        create_args: RequestArgs | None = None,
        bucket_encryption_args: RequestArgs | None = None,
        block_bucket_public_access_args: RequestArgs | None = None,
        bucket_policy_args: RequestArgs | None = None,
    ) -> bool:
        """Create a bucket (default: this one). True if it is yours now, False if the name belongs to someone else.

        Parameters
        ----------
        create_args, bucket_encryption_args, block_bucket_public_access_args, bucket_policy_args
            Arguments for the requests CreateBucket, PutBucketEncryption, PutPublicAccessBlock and PutBucketPolicy of
            S3; the last three are sent only if they have some. They have no effect elsewhere.

        Raises
        ------
        ValueError
            If the name is not one path component.
        """
        ...

    def close(self) -> None:
        """Give connections back. The storage stays usable."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def directory_prefix(prefix: str) -> str:
    """Give the text that all keys below a directory begin with.

    >>> directory_prefix("ds/sub-1"), directory_prefix("ds/sub-1/"), directory_prefix("/")
    ('ds/sub-1/', 'ds/sub-1/', '')
    """
    if prefix in ("", "/"):
        return ""
    return prefix if prefix.endswith("/") else f"{prefix}/"


def require_key(key: str) -> str:
    """Refuse the empty key, which names no object."""
    if not isinstance(key, str):
        raise TypeError(f"a key is text, not {type(key).__name__}: {key!r}")
    if not key:
        raise KeyRefusedError("the empty key names no object; give the object's whole key")
    return key


def check_writable_key(key: str) -> str:
    """Refuse a key that could not be stored and read back alike on every backend.

    Refused are an empty key, a ``/`` at either end, ``//``, a ``.`` or ``..`` component, NUL, a lone surrogate, and
    more than 1,024 bytes of UTF-8.

    Raises
    ------
    KeyRefusedError
        Naming the key and what is wrong with it.
    """
    require_key(key)
    problem = _key_problem(key)
    if problem is not None:
        raise KeyRefusedError(f"cannot write the key {key!r}: {problem}; choose another name")
    return key


def _key_problem(key: str) -> str | None:
    parts = key.split("/")
    if not parts[0] or not parts[-1]:
        return "it begins or ends with '/'"
    if "" in parts:
        return "it holds '//'"
    if "." in parts or ".." in parts:
        return "it has a '.' or '..' component"
    if "\0" in key:
        return "it holds a NUL character"
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if length > MAX_KEY_BYTES:
        return f"it has {length} bytes, and S3 takes at most {MAX_KEY_BYTES}"
    return None


def check_bucket_name(name: str) -> str:
    """Refuse a bucket's name that is not one path component: on disk it would lead elsewhere."""
    if not isinstance(name, str):
        raise TypeError(f"a bucket's name is text, not {type(name).__name__}: {name!r}")
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise ConfigError(f"cannot create the bucket {name!r}: a bucket's name is one path component")
    return name


def plain_etag(etag: str | None) -> str | None:
    """Take the quotes and the weak mark off an ETag; None and an empty one are None.

    >>> plain_etag('"d41d8cd98f00b204e9800998ecf8427e"')
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    if etag is None:
        return None
    return etag.removeprefix("W/").strip('"') or None


def group_entries(entries: Entries, start: str, delimiter: str) -> tuple[Keys, Entries]:
    """Group sorted entries below `start` by a delimiter, as S3 does: (texts up to the delimiter, the other entries)."""
    directories: set[str] = set()
    objects = []
    for entry in entries:
        head, found, _ = entry.key[len(start) :].partition(delimiter)
        if found:
            directories.add(f"{start}{head}{delimiter}")
        else:
            objects.append(entry)
    return sorted(directories), objects


def check_range(start: int, end: int | None) -> None:
    """Refuse a negative bound: counting from the end would need the size first."""
    if start < 0 or (end is not None and end < 0):
        raise ValueError(f"cannot read the range {start}:{end}: bounds count from the beginning of the object")


__all__ = [
    "CHUNK_BYTES",
    "MAX_KEY_BYTES",
    "UNWANTED_NAMES",
    "Entries",
    "Keys",
    "ObjectInfo",
    "Piece",
    "RequestArgs",
    "Storage",
    "check_bucket_name",
    "check_range",
    "check_writable_key",
    "directory_prefix",
    "group_entries",
    "plain_etag",
    "require_key",
]
