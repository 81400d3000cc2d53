"""Bytes to one object on S3: in one request, or in parts side by side."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from .chooser import TransferMethod
from .concurrency import in_threads
from .transfers import MIB, Progress, Throttle

if TYPE_CHECKING:
    from .sources import Source, Window
    from .transfers import Limits

logger = logging.getLogger(__name__)

#: Most parts of one object, and the least size of each but the last (S3 user guide, "Multipart upload limits").
MOST_PARTS = 10_000
LEAST_PART_BYTES = 5 * MIB

#: What an upload's last request must repeat of each part's answer, where the answer has it (S3 API, CompletedPart).
_PART_FIELDS = ("ETag", "ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA1", "ChecksumSHA256")


class Target(NamedTuple):
    """Where the bytes go."""

    #: A boto3 S3 client.
    client: Any
    bucket: str
    key: str


def upload(target: Target, source: Source, method: TransferMethod, limits: Limits, progress: Progress) -> int:
    """Write one object; give its size in bytes. An error leaves the old object, and no parts."""
    if method is TransferMethod.SIMPLE or source.is_below(limits.multipart_threshold):
        return _upload_whole(target, source, limits, progress)
    return _upload_parts(target, source, limits, progress)


def _upload_whole(target: Target, source: Source, limits: Limits, progress: Progress) -> int:
    window = source.window()
    size = len(window)
    Throttle(limits.max_bandwidth).take(size)
    put_whole(target, window if size else b"")
    progress.add(size)
    return size


def put_whole(target: Target, body: Window | bytes) -> None:
    """Write an object in one request."""
    target.client.put_object(Bucket=target.bucket, Key=target.key, Body=body)


def _upload_parts(target: Target, source: Source, limits: Limits, progress: Progress) -> int:
    parts = Parts(target)
    throttle = Throttle(limits.max_bandwidth)
    sizes: dict[int, int] = {}

    def send(item: tuple[int, Window]) -> dict[str, Any]:
        number, window = item
        throttle.take(len(window))
        sent = parts.send(number, window)
        progress.add(len(window))
        sizes[number] = len(window)
        return sent

    numbered = enumerate(source.windows(part_bytes(source.size, limits)), 1)
    try:
        # A part that arrives after the abort would stay, and be paid for: so what has begun is waited for.
        parts.complete(in_threads(send, numbered, workers=limits.workers, finish=True))
    except BaseException:
        parts.abort()
        raise
    return sum(sizes.values())


class Parts:
    """A multipart upload, which begins here. Serves many threads."""

    def __init__(self, target: Target) -> None:
        self._client = target.client
        self._place = {"Bucket": target.bucket, "Key": target.key}
        self._place["UploadId"] = self._client.create_multipart_upload(**self._place)["UploadId"]

    def send(self, number: int, body: Window | bytes) -> dict[str, Any]:
        """Upload one part, counted from 1; give what :meth:`complete` needs of it."""
        answer = self._client.upload_part(**self._place, PartNumber=number, Body=body)
        return {"PartNumber": number} | {name: answer[name] for name in _PART_FIELDS if name in answer}

    def complete(self, parts: list[dict[str, Any]]) -> None:
        """Make the object of its parts, in their order."""
        self._client.complete_multipart_upload(**self._place, MultipartUpload={"Parts": parts})

    def abort(self) -> None:
        """Take back the parts: they would be kept, and paid for, until somebody does."""
        try:
            self._client.abort_multipart_upload(**self._place)
        except Exception:  # the error that led here is what the caller must see
            text = "the parts of a failed upload to %(Bucket)s/%(Key)s may remain there"
            logger.warning(text, self._place, exc_info=True)


def part_bytes(size: int | None, limits: Limits) -> int:
    """Give the size of the parts that S3 takes: not too small, and not too many of them."""
    least = -(-(size or 0) // MOST_PARTS)
    return max(limits.multipart_chunksize, LEAST_PART_BYTES, least)


__all__ = ["Parts", "Target", "part_bytes", "put_whole", "upload"]
