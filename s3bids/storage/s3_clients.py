"""The connections of one S3 storage: made on first use, renewed after a fork, turned to the bucket's region."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ..errors import StorageError
from .session import make_client, make_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore import GetOptions, GetResult
    from obstore.store import S3Store

    from .params import S3Params

T = TypeVar("T")

#: How often a LIST, a HEAD or a small read is sent again. A stream is not: whoever consumes it knows what it has.
PATIENT_RETRIES = 4


class _Runtime:
    """obstore's threads, which a process has once: a forked child has none of them, and what waits for them hangs."""

    #: The process that they were begun in.
    pid: int | None = None
    #: Clients that a child got from its parent. To close them would reach into the parent's connections.
    left_alone: ClassVar[list[object]] = []


def obstore_is_lost() -> bool:
    """Say whether this is a forked child of a process that has used obstore: then only boto3 serves."""
    return _Runtime.pid not in (None, os.getpid())


class S3Clients:
    """Hold the boto3 client and the obstore clients of one bucket. Serves many threads."""

    def __init__(self, params: S3Params, given_client: Any = None) -> None:
        self._params = params
        self._given_client = given_client
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._boto3: Any = self._given_client
        self._stores: dict[int, S3Store] = {}
        self._region: str | None = None
        #: Whether the server marks a part of an object in a way that obstore does not accept; None: not seen yet.
        self.ranges_need_boto3: bool | None = None if self._params.endpoint_url else False
        self._pid = os.getpid()

    def close(self) -> None:
        """Give connections back, but not those of a client that was given."""
        with self._lock:
            if self._boto3 is not None and self._boto3 is not self._given_client:
                self._boto3.close()
            self._reset()

    @property
    def is_given(self) -> bool:
        """Whether the boto3 client was given: it may know what the parameters do not say, so all requests go by it."""
        return self._given_client is not None

    @property
    def boto3(self) -> Any:
        """The boto3 S3 client."""
        self._renew_after_fork()
        with self._lock:
            if self._boto3 is None:
                self._boto3 = make_client(self._params, region=self._region)
            return self._boto3

    def _store(self, retries: int) -> S3Store:
        self._renew_after_fork()
        # First without the lock: many threads asking for it at once would queue up, and for Python's own lock too.
        store = self._stores.get(retries)
        if store is not None:
            return store
        with self._lock:
            if retries not in self._stores:
                _Runtime.pid = os.getpid()
                self._stores[retries] = make_store(self._params, retries=retries, region=self._region)
            return self._stores[retries]

    def _renew_after_fork(self) -> None:
        # Neither sockets nor obstore's threads survive a fork.
        if self._pid != os.getpid():
            _Runtime.left_alone += [self._stores, self._boto3]
            self._reset()

    def ask(self, request: Callable[[S3Store], T], *, retries: int = PATIENT_RETRIES) -> T:
        """Send a request by obstore; if the bucket lives in another region, learn which and send it again.

        obstore follows no redirect between regions.
        """
        from obstore.exceptions import BaseError

        asked_in = self._region
        try:
            return request(self._store(retries))
        except BaseError as error:
            if "without LOCATION" not in str(error) or not self._learn_region(asked_in):
                raise
            return request(self._store(retries))
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            # No `except Exception` catches it: one odd object or address would end the whole program.
            raise StorageError(
                f"cannot ask for s3://{self._params.bucket_name}: obstore gave up ({error}); check the address"
            ) from error

    def get(self, key: str, start: int, end: int | None, if_match: str | None, *, retries: int) -> GetResult:
        """Begin to read ``[start:end]`` of an object by obstore."""
        import obstore

        options: GetOptions = {}
        if if_match and not (if_match.isascii() and if_match.isprintable()):
            # obstore panics, which no `except Exception` catches: one such object would end the whole run.
            raise StorageError(
                f"cannot read s3://{self._params.bucket_name}/{key}: its ETag {if_match!r} can be part of no request"
            )
        if if_match:
            options["if_match"] = f'"{if_match}"'
        if end is not None:
            options["range"] = (start, end)
        elif start:
            options["range"] = {"offset": start}
        answer = self.ask(lambda store: obstore.get(store, key, options=options), retries=retries)
        if "range" in options:
            self.ranges_need_boto3 = False
        return answer

    def _learn_region(self, asked_in: str | None) -> bool:
        """Ask in which region the bucket is, and turn to it. False if it is the one that was asked already.

        Another thread may have turned there meanwhile. Whoever asks is told, even without access: header
        ``x-amz-bucket-region`` of HeadBucket.
        """
        from botocore.exceptions import ClientError

        try:
            answer = self.boto3.head_bucket(Bucket=self._params.bucket_name)
        except ClientError as error:
            answer = error.response
        region = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        with self._lock:
            if not region or region == asked_in:
                return False
            if region != self._region:
                self._region = region
                self._stores.clear()
            return True
