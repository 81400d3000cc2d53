"""A bucket on S3: obstore carries GET and LIST, boto3 everything else and the keys that obstore cannot carry."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import ObjectNotFoundError
from .base import (
    CHUNK_BYTES,
    UNWANTED_NAMES,
    Entries,
    Keys,
    ObjectInfo,
    Piece,
    RequestArgs,
    check_bucket_name,
    check_range,
    check_writable_key,
    directory_prefix,
    group_entries,
    plain_etag,
    require_key,
)
from .params import S3Params
from .s3_answers import answered_info, first_page, info, is_odd, raw_info, without_markers
from .s3_asking import Asking
from .s3_buckets import create, delete_all, delete_one
from .s3_clients import S3Clients
from .s3_errors import is_unknown_operation
from .s3_parts import stream_part
from .s3_transfers import S3Transfers
from .session import ClientOptions, make_client
from .sources import Data, source_of
from .transfers import ProgressCallback, TransferSettings, limits_of, method_of, span_bytes, tell_all, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from obstore import ObjectMeta

    from .chooser import TransferChooser, TransferMethod


class S3Storage:
    """One bucket on S3, or on a server that speaks its language.

    Parameters
    ----------
    params
        The bucket, its endpoint, and the credentials.
    client
        A boto3 S3 client for all requests. Default: one is made on first use, and obstore carries GET and LIST. A
        client does not pickle; a copy in another process makes its own.
    """

    def __init__(self, params: S3Params, *, client: Any = None) -> None:
        if not isinstance(params, S3Params):
            raise TypeError(f"S3Storage needs S3Params, not {type(params).__name__}")
        self.params = params
        self._clients = S3Clients(params, client)
        self._asking = Asking(params, self._clients)
        self._transfers = S3Transfers(params.bucket_name, self._clients, self._asking)

    def __repr__(self) -> str:
        return f"S3Storage({self.params!r})"

    def __reduce__(self) -> tuple[type[S3Storage], tuple[S3Params]]:
        return S3Storage, (self.params,)

    @property
    def travels(self) -> bool:
        """Whether a copy in another process may do the same: one without the client that was given may not."""
        return not self._clients.is_given

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give connections back; a client that was given is left open. The storage stays usable."""
        self._clients.close()

    @staticmethod
    def make_client(params: S3Params, options: ClientOptions) -> Any:
        """Make a boto3 client for whoever wants to hold one; they close it."""
        return make_client(params, options=options)

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

    @property
    def chooser(self) -> TransferChooser:
        """What chooses between one request and several for an object, by measured throughput."""
        return self._transfers.chooser

    def list(self, prefix: str = "", *, literal: bool = False, after: str = "") -> Iterator[ObjectInfo]:
        """List the objects below a prefix; see :meth:`Storage.list`.

        One LIST request for each 1,000 keys, and one more for each such page that holds an empty object: obstore shows
        a directory marker ``x/`` as an empty object ``x``, and only boto3 tells them apart.
        """
        start = prefix if literal else directory_prefix(prefix)
        # obstore drops a '/' at the beginning of a key without a word: a whole bucket is asked for such keys first.
        by_boto3 = literal or self._asking.by_boto3(start.removesuffix("/")) or is_odd(after)
        if by_boto3 or (not start and next(self._raw_listing("/"), None) is not None):
            yield from without_markers(self._raw_listing(start, after))
            return
        yield from without_markers(self._fast_listing(start, after))

    def _fast_listing(self, start: str, after: str) -> Iterator[ObjectInfo]:
        """List by obstore, and by boto3 the pages that obstore cannot tell; markers may be among the entries."""
        from obstore.exceptions import InvalidPathError

        pages: Iterator[Sequence[ObjectMeta]] | None = None
        while True:
            try:
                with self._asking.translating("list", start):
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
        with self._asking.translating("list", start):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=start, **({"StartAfter": after} if after else {})
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield raw_info(entry)

    def children(self, prefix: str = "", delimiter: str = "/") -> tuple[Keys, Entries]:
        """List one level; see :meth:`Storage.children`. One request for each 1,000 entries."""
        if delimiter != "/" or self._asking.by_boto3(prefix.removesuffix("/")):
            return self._raw_children(prefix, delimiter)
        import obstore
        from obstore.exceptions import InvalidPathError

        start = directory_prefix(prefix)
        itself = start.removesuffix("/")
        try:
            with self._asking.translating("list", start):
                found = self._clients.ask(lambda store: obstore.list_with_delimiter(store, itself or None))
        except InvalidPathError:
            return self._raw_children(prefix, delimiter)
        objects = [info(meta) for meta in found["objects"] if meta["path"] != itself]
        return sorted(f"{name}/" for name in found["common_prefixes"]), sorted(objects, key=attrgetter("key"))

    def _raw_children(self, prefix: str, delimiter: str) -> tuple[Keys, Entries]:
        start = directory_prefix(prefix)
        directories: Keys = []
        objects = []
        with self._asking.translating("list", start):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=start, Delimiter=delimiter
            )
            for page in pages:
                directories += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
                objects += [raw_info(entry) for entry in page.get("Contents", ()) if not entry["Key"].endswith("/")]
        if any(delimiter in entry.key[len(start) :] for entry in objects) or any(
            not name.endswith(delimiter) for name in directories
        ):
            # This server knows no delimiter but '/'.
            return group_entries(list(without_markers(self._raw_listing(start))), start, delimiter)
        return sorted(directories), sorted(objects, key=attrgetter("key"))

    def head(self, key: str) -> ObjectInfo:
        """Say what one object is; see :meth:`Storage.head`."""
        require_key(key)
        self._refuse_marker("look at", key)
        if self._asking.by_boto3(key):
            with self._asking.translating("look at", key):
                return answered_info(key, self.client.head_object(Bucket=self.bucket, Key=key))
        import obstore

        with self._asking.translating("look at", key):
            return info(self._clients.ask(lambda store: obstore.head(store, key)))

    def _refuse_marker(self, operation: str, key: str) -> None:
        if key.endswith("/"):
            raise ObjectNotFoundError(f"cannot {operation} {self.location}/{key}: it is a directory, not an object")

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
        """Read bytes of an object; see :meth:`Storage.read`."""
        require_key(key)
        check_range(start, end)
        chosen, limits = method_of(method), limits_of(transfer_config)
        self._refuse_marker("read", key)
        if start == 0 and end is None:
            return self._transfers.read(key, chosen, limits, progress_callback, if_match)
        data, _ = self.read_range(key, start, end, if_match=if_match)
        tell_all(progress_callback, len(data))
        return data

    def read_range(
        self, key: str, start: int, end: int | None, *, if_match: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        """Read a range, and say what object it is of; see :class:`~s3bids.storage.capabilities.RangeReader`."""
        require_key(key)
        check_range(start, end)
        self._refuse_marker("read", key)
        found = None if end is not None and end <= start else self._asking.part(key, start, end, if_match)
        return (b"", self.head(key)) if found is None else found

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
        """Yield an object's bytes; see :meth:`Storage.stream`. One request, which is not sent again when it fails."""
        require_key(key)
        check_range(start, end)
        if chunk_size < 1:
            raise ValueError(f"cannot stream in pieces of {chunk_size} bytes; chunk_size is at least 1")
        pieces = self._stream(key, start, end, if_match, chunk_size)
        return told(pieces, lambda: span_bytes(self.head(key).size, start, end), progress_callback)

    def _stream(self, key: str, start: int, end: int | None, if_match: str | None, chunk_size: int) -> Iterator[Piece]:
        self._refuse_marker("read", key)
        if end is not None and end <= start:
            self.head(key)
            return
        yield from self._asking.stream(key, start, end, if_match, chunk_size, retries=0)

    def write(
        self,
        key: str,
        data: Data,
        *,
        method: TransferMethod | str | None = None,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str:
        """Write one object; see :meth:`Storage.write`. Large data go in parts, unless `method` says otherwise."""
        return self._transfers.write(
            check_writable_key(key), source_of(data), method_of(method), limits_of(transfer_config), progress_callback
        )

    def versions(self, prefix: str) -> dict[str, tuple[str, str | None]]:
        """Give the present versions below a prefix; see :meth:`Versioned.versions`. 1,000 versions a request."""
        found: dict[str, tuple[str, str | None]] = {}
        start = directory_prefix(prefix)
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=start)
        with self._asking.translating("list the versions of", start):
            try:
                for entry in (entry for page in pages for entry in page.get("Versions", ())):
                    if entry["IsLatest"] and entry.get("VersionId", "null") != "null":
                        found[entry["Key"]] = entry["VersionId"], plain_etag(entry.get("ETag"))
            except Exception as error:
                if not is_unknown_operation(error):
                    raise
        return found

    def stream_version(
        self, key: str, version: str, start: int = 0, *, end: int | None = None, chunk_size: int
    ) -> Iterator[Piece]:
        """Yield the bytes of one version; see :meth:`Versioned.stream_version`. One request, sent once."""
        with self._asking.translating("read", key):
            yield from stream_part(self._clients, self.bucket, key, start, end, None, chunk_size, version=version)

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """Open an object for writing, in parts; see :class:`~s3bids.storage.capabilities.ObjectWriter`."""
        with self._transfers.writing(check_writable_key(key)) as file:
            yield file

    def upload(
        self,
        path: str | os.PathLike[str],
        key: str,
        *,
        ignore: Iterable[str] = UNWANTED_NAMES,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str | Keys:
        """Write a file, or a folder's files; see :meth:`Storage.upload`. Large files go in parts."""
        return self._transfers.upload(path, key, ignore, limits_of(transfer_config), progress_callback)

    def download(
        self,
        key: str,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = True,
        transfer_config: TransferSettings | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> str:
        """Write one object to a file; see :meth:`Storage.download`. A large object comes in ranges."""
        limits = limits_of(transfer_config)
        self._refuse_marker("read", require_key(key))
        if not overwrite and Path(path).is_file():
            return str(path)
        return self._transfers.download(key, path, limits, progress_callback)

    def delete(self, key: str, *, recursive: bool = False, force: bool = False) -> Keys:
        """Delete one object or all below a prefix; see :meth:`Storage.delete`. 1,000 keys a request."""
        if not recursive:
            return self._delete_one(key)
        start = directory_prefix(key)
        if not start and not force:
            raise ValueError(f"deleting everything in {self.location} needs force=True")
        keys = sorted(entry.key for entry in self._raw_listing(start))
        delete_all(self.client, self.bucket, keys, self.params.endpoint_url or "")
        return keys

    def _delete_one(self, key: str) -> Keys:
        require_key(key)
        if not self._exists(key):
            return []
        delete_one(self.client, self.bucket, key, self.params.endpoint_url or "")
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

    def create_bucket(
        self,
        name: str | None = None,
        *,
        create_args: RequestArgs | None = None,
        bucket_encryption_args: RequestArgs | None = None,
        block_bucket_public_access_args: RequestArgs | None = None,
        bucket_policy_args: RequestArgs | None = None,
    ) -> bool:
        """Create a bucket; see :meth:`Storage.create_bucket`."""
        requests = {
            "create_bucket": create_args,
            "put_bucket_encryption": bucket_encryption_args,
            "put_public_access_block": block_bucket_public_access_args,
            "put_bucket_policy": bucket_policy_args,
        }
        bucket = check_bucket_name(self.bucket if name is None else name)
        return create(self.client, bucket, self.params.endpoint_url or "", requests)
