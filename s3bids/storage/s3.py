"""A bucket on S3: obstore carries GET and LIST, boto3 everything else and the keys that obstore cannot carry."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import AccessDeniedError, ObjectNotFoundError, StorageError
from .base import (
    CHUNK_BYTES,
    UNWANTED_NAMES,
    Entries,
    Keys,
    ObjectInfo,
    Piece,
    check_range,
    check_writable_key,
    directory_prefix,
    group_entries,
    require_key,
)
from .files import save, upload_with
from .params import S3Params
from .s3_answers import PAGE_KEYS, answered_info, cut, first_page, info, is_odd, raw_info, without_markers
from .s3_clients import PATIENT_RETRIES, S3Clients
from .s3_errors import is_not_partial, is_outside, translating
from .s3_parts import read_part, stream_part
from .s3_uploads import uploading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from obstore import ObjectMeta

#: Characters that XML 1.0 cannot say (section 2.2), and so no DELETE of several keys.
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class S3Storage:
    """One bucket on S3, or on a server that speaks its language.

    Parameters
    ----------
    params
        The bucket, its endpoint, and the credentials.
    client
        A boto3 S3 client to use for all but GET and LIST. Default: one is made on first use. It does not pickle; a
        copy in another process makes its own.
    """

    def __init__(self, params: S3Params, *, client: Any = None) -> None:
        if not isinstance(params, S3Params):
            raise TypeError(f"S3Storage needs S3Params, not {type(params).__name__}")
        self.params = params
        self._clients = S3Clients(params, client)

    def __repr__(self) -> str:
        return f"S3Storage({self.params!r})"

    def __reduce__(self) -> tuple[type[S3Storage], tuple[S3Params]]:
        return S3Storage, (self.params,)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give connections back; a client that was given is left open. The storage stays usable."""
        self._clients.close()

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.params.bucket_name

    @property
    def location(self) -> str:
        """``s3://bucket``."""
        return f"s3://{self.params.bucket_name}"

    @property
    def client(self) -> Any:
        """The boto3 S3 client, made on first use."""
        return self._clients.boto3

    def _translating(self, operation: str, key: str = "") -> translating:
        return translating(operation, self.location, key, self.params.endpoint_url or "")

    def list(self, prefix: str = "", *, literal: bool = False, after: str = "") -> Iterator[ObjectInfo]:
        """List the objects below a prefix; see :meth:`Storage.list`.

        One LIST request for each 1,000 keys, and one more for each such page that holds an empty object: obstore shows
        a directory marker ``x/`` as an empty object ``x``, and only boto3 tells them apart.
        """
        start = prefix if literal else directory_prefix(prefix)
        # obstore drops a '/' at the beginning of a key without a word: a whole bucket is asked for such keys first.
        loses_slash = not literal and not start and next(self._raw_listing("/"), None) is not None
        if literal or loses_slash or is_odd(start.removesuffix("/")) or is_odd(after):
            yield from without_markers(self._raw_listing(start, after))
            return
        yield from without_markers(self._fast_listing(start, after))

    def _fast_listing(self, start: str, after: str) -> Iterator[ObjectInfo]:
        """List by obstore, and by boto3 the pages that obstore cannot tell; markers may be among the entries."""
        from obstore.exceptions import InvalidPathError

        pages: Iterator[Sequence[ObjectMeta]] | None = None
        while True:
            try:
                with self._translating("list", start):
                    if pages is None:
                        pages, page = self._clients.ask(partial(first_page, start, after))
                    else:
                        page = next(pages, [])
            except InvalidPathError:
                # One key that obstore cannot name ends its listing; boto3 goes on from here.
                yield from self._raw_listing(start, after)
                return
            if not page:
                return
            entries = [info(meta) for meta in page]
            if any(entry.size == 0 for entry in entries):
                last = entries[-1].key
                entries = list(islice(self._raw_listing(start, after), len(entries)))
                if not entries or entries[-1].key.removesuffix("/") != last:
                    # The bucket changed meanwhile and pages no longer match: boto3 lists the rest.
                    yield from self._raw_listing(start, after)
                    return
            yield from entries
            after = entries[-1].key

    def _raw_listing(self, start: str, after: str = "") -> Iterator[ObjectInfo]:
        """List by boto3 all keys that begin with the text `start`, markers included."""
        with self._translating("list", start):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=start, **({"StartAfter": after} if after else {})
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield raw_info(entry)

    def children(self, prefix: str = "", delimiter: str = "/") -> tuple[Keys, Entries]:
        """List one level; see :meth:`Storage.children`. One request for each 1,000 entries."""
        if delimiter != "/" or is_odd(prefix.removesuffix("/")):
            return self._raw_children(prefix, delimiter)
        import obstore
        from obstore.exceptions import InvalidPathError

        start = directory_prefix(prefix)
        itself = start.removesuffix("/")
        try:
            with self._translating("list", start):
                found = self._clients.ask(lambda store: obstore.list_with_delimiter(store, itself or None))
        except InvalidPathError:
            return self._raw_children(prefix, delimiter)
        objects = [info(meta) for meta in found["objects"] if meta["path"] != itself]
        return sorted(f"{name}/" for name in found["common_prefixes"]), sorted(objects, key=attrgetter("key"))

    def _raw_children(self, prefix: str, delimiter: str) -> tuple[Keys, Entries]:
        start = directory_prefix(prefix)
        directories: Keys = []
        objects = []
        with self._translating("list", start):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=start, Delimiter=delimiter
            )
            for page in pages:
                directories += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
                objects += [raw_info(entry) for entry in page.get("Contents", ()) if not entry["Key"].endswith("/")]
        if any(delimiter in entry.key[len(start) :] for entry in objects):
            # This server knows no delimiter but '/'.
            return group_entries(list(without_markers(self._raw_listing(start))), start, delimiter)
        return sorted(directories), sorted(objects, key=attrgetter("key"))

    def head(self, key: str) -> ObjectInfo:
        """Say what one object is; see :meth:`Storage.head`."""
        require_key(key)
        self._refuse_marker("look at", key)
        if is_odd(key):
            with self._translating("look at", key):
                return answered_info(key, self.client.head_object(Bucket=self.bucket, Key=key))
        import obstore

        with self._translating("look at", key):
            return info(self._clients.ask(lambda store: obstore.head(store, key)))

    def _refuse_marker(self, operation: str, key: str) -> None:
        if key.endswith("/"):
            raise ObjectNotFoundError(f"cannot {operation} {self.location}/{key}: it is a directory, not an object")

    def read(self, key: str, start: int = 0, end: int | None = None, *, if_match: str | None = None) -> bytes:
        """Read bytes of an object; see :meth:`Storage.read`."""
        require_key(key)
        check_range(start, end)
        if start == 0 and end is None:
            return b"".join(self._stream(key, 0, None, if_match, CHUNK_BYTES, retries=PATIENT_RETRIES))
        return self.read_range(key, start, end, if_match=if_match)[0]

    def read_range(
        self, key: str, start: int, end: int | None, *, if_match: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        """Read a range, and say what object it is of; see :class:`~s3bids.storage.capabilities.RangeReader`."""
        require_key(key)
        check_range(start, end)
        self._refuse_marker("read", key)
        if end is not None and end <= start:
            return b"", self.head(key)
        with self._translating("read", key):
            found = read_part(self._clients, self.bucket, key, start, end, if_match)
        return (b"", self.head(key)) if found is None else found

    def stream(
        self,
        key: str,
        start: int = 0,
        if_match: str | None = None,
        *,
        end: int | None = None,
        chunk_size: int = CHUNK_BYTES,
    ) -> Iterator[Piece]:
        """Yield an object's bytes; see :meth:`Storage.stream`. One request, which is not sent again when it fails."""
        require_key(key)
        check_range(start, end)
        if chunk_size < 1:
            raise ValueError(f"cannot stream in pieces of {chunk_size} bytes; chunk_size is at least 1")
        return self._stream(key, start, end, if_match, chunk_size, retries=0)

    def _stream(
        self, key: str, start: int, end: int | None, if_match: str | None, chunk_size: int, *, retries: int
    ) -> Iterator[Piece]:
        self._refuse_marker("read", key)
        if end is not None and end <= start:
            self.head(key)
            return
        if is_odd(key) or (start and end is None) or (end is not None and self._clients.ranges_need_boto3):
            yield from self._stream_by_boto3(key, start, end, if_match, chunk_size)
            return
        # No context manager around: small files are many, and each microsecond counts for them.
        try:
            answer = self._clients.get(key, start, end, if_match, retries=retries)
            first, last = answer.range
            if last - first > chunk_size:
                for piece in answer.stream(min_chunk_size=chunk_size):
                    yield from cut(memoryview(piece), chunk_size)
                return
            # One call instead of one for each piece and one for the end.
            data = memoryview(answer.bytes())
        except Exception as error:
            if is_outside(error):
                return
            if end is None or not is_not_partial(error):
                with self._translating("read", key):
                    raise
            data = None
        if data is None:
            yield from self._stream_by_boto3(key, start, end, if_match, chunk_size)
        elif data:
            yield data

    def _stream_by_boto3(
        self, key: str, start: int, end: int | None, if_match: str | None, chunk_size: int
    ) -> Iterator[bytes]:
        with self._translating("read", key):
            yield from stream_part(self._clients, self.bucket, key, start, end, if_match, chunk_size)

    def write(self, key: str, data: bytes | bytearray | memoryview) -> str:
        """Write one object at once; see :meth:`Storage.write`."""
        check_writable_key(key)
        with self._translating("write", key):
            self.client.put_object(Bucket=self.bucket, Key=key, Body=bytes(data))
        return key

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """Open an object for writing, in parts; see :class:`~s3bids.storage.capabilities.ObjectWriter`."""
        check_writable_key(key)
        with uploading(self.client, self.bucket, key, self._translating("write", key)) as file:
            yield file

    def upload(self, path: str | os.PathLike[str], key: str, *, ignore: tuple[str, ...] = UNWANTED_NAMES) -> str | Keys:
        """Write a file, or a folder's files; see :meth:`Storage.upload`. Large files go in parts."""
        return upload_with(self._upload_file, path, key, ignore)

    def _upload_file(self, path: Path, key: str) -> str:
        check_writable_key(key)
        with self._translating("write", key):
            self.client.upload_file(str(path), self.bucket, key)
        return key

    def download(self, key: str, path: str | os.PathLike[str], *, overwrite: bool = True) -> str:
        """Write one object to a file; see :meth:`Storage.download`."""
        require_key(key)
        return save(self._stream(key, 0, None, None, CHUNK_BYTES, retries=PATIENT_RETRIES), path, overwrite=overwrite)

    def delete(self, key: str, *, recursive: bool = False, force: bool = False) -> Keys:
        """Delete one object or all below a prefix; see :meth:`Storage.delete`. 1,000 keys a request."""
        if not recursive:
            return self._delete_one(key)
        start = directory_prefix(key)
        if not start and not force:
            raise ValueError(f"deleting everything in {self.location} needs force=True")
        keys = [entry.key for entry in self._raw_listing(start)]
        plain = [key for key in keys if not _NOT_IN_XML.search(key)]
        for first in range(0, len(plain), PAGE_KEYS):
            self._delete_many(plain[first : first + PAGE_KEYS])
        for key in set(keys).difference(plain):
            self._remove(key)
        return sorted(keys)

    def _delete_one(self, key: str) -> Keys:
        require_key(key)
        if not self._exists(key):
            return []
        self._remove(key)
        return [key]

    def _exists(self, key: str) -> bool:
        """Say whether there is an object or a marker of this key."""
        if key.endswith("/"):
            first = next(self._raw_listing(key), None)
            return first is not None and first.key == key
        try:
            self.head(key)
        except ObjectNotFoundError:
            return False
        return True

    def _remove(self, key: str) -> None:
        with self._translating("delete", key):
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def _delete_many(self, keys: Keys) -> None:
        with self._translating("delete", keys[0]):
            answer = self.client.delete_objects(
                Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
            )
        for failure in answer.get("Errors", ()):
            kind = AccessDeniedError if failure.get("Code") == "AccessDenied" else StorageError
            raise kind(
                f"cannot delete {self.location}/{failure['Key']}: {failure.get('Message') or failure.get('Code')}"
            )

    def create_bucket(self, name: str | None = None) -> bool:
        """Create a bucket; see :meth:`Storage.create_bucket`."""
        bucket = self.bucket if name is None else name
        if not bucket or "/" in bucket or bucket in (".", ".."):
            raise ValueError(f"cannot create the bucket {bucket!r}: a bucket's name is one path component")
        region = self.client.meta.region_name
        options = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
        taken, ours = self.client.exceptions.BucketAlreadyExists, self.client.exceptions.BucketAlreadyOwnedByYou
        with translating("create the bucket", f"s3://{bucket}", endpoint=self.params.endpoint_url or ""):
            try:
                self.client.create_bucket(Bucket=bucket, **options)
            except ours:
                return True
            except taken:
                return self._is_mine(bucket)
        return True

    def _is_mine(self, bucket: str) -> bool:
        """Ask whether a bucket that exists is ours: some servers answer BucketAlreadyExists in both cases."""
        owned = self.client.list_buckets().get("Buckets", ())
        return any(entry["Name"] == bucket for entry in owned)
