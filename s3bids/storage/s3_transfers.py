"""Whole objects to and from S3: which method, how many parts at once, and how far it is."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from . import audit
from .chooser import TransferChooser, TransferKind, TransferMethod
from .files import Together, atomic_file, upload_with
from .s3_downloads import FileSink, MemorySink, fetch
from .s3_uploads import Target
from .s3_uploads import upload as upload_source
from .s3_writing import uploading
from .sources import FileSource
from .transfers import Progress

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from .s3_asking import Asking
    from .s3_clients import S3Clients
    from .sources import Source
    from .transfers import Limits, ProgressCallback


class S3Transfers:
    """Carry the objects of one bucket. Serves many threads.

    Attributes
    ----------
    chooser
        Chooses the method where the caller does not.
    """

    def __init__(self, bucket: str, clients: S3Clients, asking: Asking) -> None:
        self._bucket = bucket
        self._clients = clients
        self._asking = asking
        self.chooser = TransferChooser()

    def read(
        self,
        key: str,
        method: TransferMethod | None,
        limits: Limits,
        callback: ProgressCallback | None,
        if_match: str | None = None,
    ) -> bytes:
        """Read a whole object; with `if_match` only the one of this ETag."""
        sink = MemorySink()
        chosen = method or self.chooser.choose(TransferKind.DOWNLOAD)
        started = time.perf_counter()
        size, progress = fetch(self._asking, key, sink, chosen, limits, callback, if_match)
        self._record(TransferKind.DOWNLOAD, chosen, size, started, limits)
        progress.end()
        return sink.data()

    def download(
        self,
        key: str,
        path: str | os.PathLike[str],
        limits: Limits,
        callback: ProgressCallback | None,
    ) -> str:
        """Write an object to a file, whole or not at all."""
        started = time.perf_counter()
        with atomic_file(path) as file:
            size, progress = fetch(self._asking, key, FileSink(file), TransferMethod.TRANSFER, limits, callback)
        self._record(TransferKind.DOWNLOAD, TransferMethod.TRANSFER, size, started, limits)
        progress.end()
        return str(path)

    def write(
        self,
        key: str,
        source: Source,
        method: TransferMethod | None,
        limits: Limits,
        callback: ProgressCallback | None,
    ) -> str:
        """Write an object."""
        chosen = method or self.chooser.choose(TransferKind.UPLOAD)
        progress = Progress(callback, source.size)
        self._upload(key, source, chosen, limits, progress)
        progress.end()
        return key

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """Open an object for writing, in parts."""
        with uploading(self._target(key), self._asking.translating("write", key)) as file:
            yield file
        audit.tell("write", self._bucket, key)

    def upload(
        self,
        path: str | os.PathLike[str],
        key: str,
        ignore: Iterable[str],
        limits: Limits,
        callback: ProgressCallback | None,
    ) -> str | list[str]:
        """Write a file, or a folder's files: small ones several at once, large ones one by one, in parts at once."""

        def upload_file(file: Path, name: str, progress: Progress) -> str:
            with file.open("rb") as opened:
                self._upload(name, FileSource(opened), TransferMethod.TRANSFER, limits, progress)
            return name

        together = Together(workers=limits.workers, below=limits.multipart_threshold)
        return upload_with(upload_file, path, key, ignore, progress_callback=callback, together=together)

    def _upload(self, key: str, source: Source, method: TransferMethod, limits: Limits, progress: Progress) -> None:
        started = time.perf_counter()
        with self._asking.translating("write", key):
            size = upload_source(self._target(key), source, method, limits, progress)
        self._record(TransferKind.UPLOAD, method, size, started, limits)
        audit.tell("write", self._bucket, key)

    def _target(self, key: str) -> Target:
        return Target(self._clients.boto3, self._bucket, key)

    def _record(self, kind: TransferKind, method: TransferMethod, size: int, started: float, limits: Limits) -> None:
        # A small object travels in one request by either method, and says nothing about them.
        if size >= limits.multipart_threshold:
            self.chooser.record(kind, method, size, time.perf_counter() - started)
