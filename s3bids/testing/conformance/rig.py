"""What a backend has to say about itself: hooks that go around the code under test, and capabilities."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest

from ...errors import KeyClashError, ObjectNotFoundError, StorageConnectionError, StorageError
from ...storage import S3Params, S3Storage, Storage, session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ...storage.base import ObjectInfo
    from ..servers import Server

#: Keys with a character that some layer may quote, split or fold; a file system can hold them as well.
PRINTABLE_KEYS = (
    *("ds/a b", "ds/ a ", "ds/a+b", "ds/a#b", "ds/a%b", "ds/a%20b", "ds/a%2Fb", "ds/a&b=c", "ds/a?b", "ds/*?[a]"),
    *("ds/a\\b", "ds/a:b", "ds/a;b,c", "ds/a'b\"c", "ds/<a>", "ds/$a@b", "ds/~a", "ds/.a", "ds/a.", "ds/...", "ds/é"),
    *("ds/e\u0301", "ds/日本", "ds/😀", " a"),
)
CONTROL_KEYS = ("ds/a\tb", "ds/a\nb", "ds/a\rb", "ds/a\x01b", "ds/a\x7fb", "ds/a\u2028b")
#: Keys that only an object store can hold: no file has such a path.
PATH_LIKE_KEYS = ("/a", "//a", "ds//a", "ds/./a", "./a", "ds/../a", "../a", "ds/..", "ds/.", "..", "ds//b/../c")

#: Tables for parametrize. The troublesome keys come one by one, since one alone may change the way of a whole listing.
NAMED_KEYS = [
    pytest.param(PRINTABLE_KEYS, id="printable"),
    *(pytest.param((key,), id=ascii(key)) for key in CONTROL_KEYS),
]
ODD_KEYS = [*NAMED_KEYS, *(pytest.param((key,), id=key) for key in PATH_LIKE_KEYS)]


class Rig:
    """The hooks and capabilities of one backend."""

    #: Whether listings tell ETags, which are the MD5 of the objects written here.
    has_etags: ClassVar[bool] = True
    #: Whether `if_match` is looked at.
    honours_if_match: ClassVar[bool] = True
    #: Whether a key that ends in ``/`` can be stored.
    has_markers: ClassVar[bool] = True
    #: Whether the keys ``fd`` and ``fd/x`` can exist together.
    can_hold_file_and_directory: ClassVar[bool] = True
    #: Whether `PATH_LIKE_KEYS` can be stored.
    can_hold_path_like_keys: ClassVar[bool] = True
    #: Characters that no key can hold.
    unheld_characters: ClassVar[str] = ""
    #: What reading a key raises that cannot be stored.
    unheld_key_error: ClassVar[type[StorageError]] = ObjectNotFoundError
    #: What writing ``fd/x`` beside ``fd`` raises where both cannot be.
    clash_error: ClassVar[type[StorageError]] = KeyClashError
    #: What the storage of the fixture `unreachable` raises when used.
    unreachable_error: ClassVar[type[StorageError]] = StorageConnectionError

    @pytest.fixture
    def open_storage(self) -> Callable[[str], Storage]:
        """Give a function that opens a storage by the name of its bucket, which need not exist."""
        pytest.fail("a test of a storage defines `open_storage`")

    @pytest.fixture
    def unreachable(self) -> Storage:
        """Give a new storage whose server or root directory is not there."""
        pytest.fail("a test of a storage defines `unreachable`")

    def make_bucket(self, bucket: str) -> None:
        """Make an empty bucket without the code under test."""
        pytest.fail("a test of a storage defines `make_bucket`")

    def drop_bucket(self, bucket: str) -> None:
        """Give back what a bucket takes; do nothing if that is not worth the time."""

    def seed(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Write objects without the code under test; only such that the backend can hold."""
        pytest.fail("a test of a storage defines `seed`")

    def stored(self, bucket: str) -> dict[str, bytes]:
        """Read all objects of a bucket without the code under test, markers too."""
        pytest.fail("a test of a storage defines `stored`")

    def can_hold(self, keys: tuple[str, ...]) -> bool:
        """Say whether the backend can store some keys."""
        if set("".join(keys)) & set(self.unheld_characters):
            return False
        return self.can_hold_path_like_keys or not set(keys) & set(PATH_LIKE_KEYS)

    @pytest.fixture
    def bucket(self) -> Iterator[str]:
        """Give a bucket name that no other test uses, and drop the bucket after the test."""
        name = f"contract-{uuid4().hex[:16]}"
        yield name
        self.drop_bucket(name)

    @pytest.fixture
    def storage(self, open_storage: Callable[[str], Storage], bucket: str) -> Storage:
        """Give a storage on an empty bucket."""
        self.make_bucket(bucket)
        return open_storage(bucket)

    @pytest.fixture
    def missing(self, open_storage: Callable[[str], Storage], bucket: str) -> Storage:
        """Give a storage whose bucket does not exist."""
        return open_storage(bucket)


class S3Rig(Rig):
    """The hooks of an S3 server, by plain boto3."""

    #: The name of a fixture that gives a running :class:`~s3bids.testing.servers.Server`; all that a subclass must say.
    server_fixture: ClassVar[str]
    #: Set by a fixture.
    server: ClassVar[Server]
    client: ClassVar[Any]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _server(cls, request: pytest.FixtureRequest) -> Iterator[None]:
        cls.server = request.getfixturevalue(cls.server_fixture)
        cls.client = cls.server.boto3_client()
        yield
        cls.client.close()

    @pytest.fixture(autouse=True)
    def _no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # botocore and obstore sleep between attempts; the attempts are made all the same.
        clock = SimpleNamespace(**{**vars(time), "sleep": lambda _seconds: None})
        monkeypatch.setattr("botocore.endpoint.time", clock)
        monkeypatch.setitem(session.BACKOFF, "init_backoff", timedelta(milliseconds=1))
        monkeypatch.setitem(session.BACKOFF, "max_backoff", timedelta(milliseconds=1))

    def params(self, bucket: str, url: str) -> S3Params:
        """Give the parameters of a bucket of this server."""
        return S3Params(bucket, url, self.server.access_key, self.server.secret_key, region_name="us-east-1")

    @pytest.fixture
    def open_storage(self) -> Iterator[Callable[[str], Storage]]:
        """Open storages on this server, and close them after the test."""
        opened: list[S3Storage] = []

        def open_(bucket: str) -> Storage:
            opened.append(S3Storage(self.params(bucket, self.server.url)))
            return opened[-1]

        yield open_
        for storage in opened:
            storage.close()

    @pytest.fixture
    def unreachable(self) -> Iterator[Storage]:
        """Give a storage on a port where no one listens."""
        # The port of discard (RFC 863): no one has served it for decades.
        with S3Storage(self.params("bucket", "http://127.0.0.1:9")) as storage:
            yield storage

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket."""
        self.client.create_bucket(Bucket=bucket)

    def seed(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Put objects, all at once where the server takes them so, else several at a time."""
        if self.server.put_url is not None:
            self.server.put_many(bucket, objects)
            return
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda key: self.client.put_object(Bucket=bucket, Key=key, Body=objects[key]), objects))

    def stored(self, bucket: str) -> dict[str, bytes]:
        """Get all objects."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {key: self.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


class FilesRig(Rig):
    """The hooks of a backend whose buckets are the folders of a directory, by plain files."""

    has_markers = False
    can_hold_file_and_directory = False
    can_hold_path_like_keys = False
    #: Set by a fixture of the subclass.
    root: Path

    def changed(self) -> None:
        """Tell a server over the directory that files were written or removed."""

    def make_bucket(self, bucket: str) -> None:
        """Make a folder."""
        (self.root / bucket).mkdir()
        self.changed()

    def drop_bucket(self, bucket: str) -> None:
        """Remove the folder."""
        shutil.rmtree(self.root / bucket, ignore_errors=True)
        self.changed()

    def seed(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Write files."""
        for key, data in objects.items():
            path = self.root / bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.changed()

    def stored(self, bucket: str) -> dict[str, bytes]:
        """Read all files."""
        folder = self.root / bucket
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def keys_of(entries: Iterable[ObjectInfo]) -> list[str]:
    """Give the keys of some entries."""
    return [entry.key for entry in entries]
