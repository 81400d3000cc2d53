"""The contract of :class:`~s3bids.storage.base.Storage` as one test class that every backend inherits.

A backend subclasses :class:`StorageContract` in a test file, says how to reach its buckets without the code under test,
and where it truly cannot do what S3 does::

    class TestMyStorage(StorageContract):
        has_etags = False

        @pytest.fixture
        def open_storage(self, tmp_path): ...  # bucket name -> storage
        def make_bucket(self, bucket): ...
        def seed(self, bucket, objects): ...
        def stored(self, bucket): ...
        @pytest.fixture
        def unreachable(self): ...

No test is ever overridden or left out: where a capability is missing, the test asserts what happens instead. S3 servers
inherit :class:`S3Contract`, which leaves only the fixture `server` to write.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, ClassVar
from uuid import uuid4

import pytest

from ..errors import (
    KeyClashError,
    ObjectNotFoundError,
    StorageConnectionError,
    StorageError,
)
from ..storage import Storage
from ..storage.base import MAX_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable


#: Siblings that one text prefix covers and one directory does not.
SIBLINGS = ("ds/sub-1-2/x", "ds/sub-1.json", "ds/sub-1/anat/x", "ds/sub-1/z", "ds/sub-10/x", "ds/sub-1_scans.tsv")

#: Keys that a file system can hold as well, each with a character that some layer may quote, split or fold.
ODD_NAMES = (
    *("ds/a b", "ds/ a ", "ds/a+b", "ds/a#b", "ds/a%b", "ds/a%20b", "ds/a%2Fb", "ds/a&b=c", "ds/a?b", "ds/*?[a]"),
    *("ds/a\\b", "ds/a:b", "ds/a;b,c", "ds/a'b\"c", "ds/<a>", "ds/$a@b", "ds/~a", "ds/.a", "ds/a.", "ds/...", "ds/é"),
    *("ds/e\u0301", "ds/日本", "ds/😀", "ds/a\tb", "ds/a\nb", "ds/a\rb", "ds/a\x01b", "ds/a\x7fb", "ds/a\u2028b", " a"),
)
#: Keys that only an object store can hold: no file has such a path.
PATH_LIKE_KEYS = ("/a", "//a", "ds//a", "ds/./a", "./a", "ds/../a", "../a", "ds/..", "ds/.", "..", "ds/a//b/../c")

#: Keys that must not be written anywhere.
REFUSED_KEYS = (
    *("", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/./b", "a/.", "../a", "a/../b", "a/..", "a\0b", "a\udcffb"),
    *("k" * (MAX_KEY_BYTES + 1), "é" * (MAX_KEY_BYTES // 2) + "k"),
)
DIGITS = b"0123456789"


class StorageContract:
    """What every storage does. The hooks and capabilities stand first; all else is tests."""

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
        raise NotImplementedError

    @pytest.fixture
    def unreachable(self) -> Storage:
        """Give a new storage whose server or root directory is not there."""
        raise NotImplementedError

    def make_bucket(self, bucket: str) -> None:
        """Make an empty bucket without the code under test."""
        raise NotImplementedError

    def seed(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Write objects without the code under test; only such that the backend can hold."""
        raise NotImplementedError

    def stored(self, bucket: str) -> dict[str, bytes]:
        """Read all objects of a bucket without the code under test."""
        raise NotImplementedError

    @pytest.fixture
    def bucket(self) -> str:
        """Give a bucket name that no other test uses."""
        return f"contract-{uuid4().hex[:16]}"

    @pytest.fixture
    def storage(self, open_storage: Callable[[str], Storage], bucket: str) -> Storage:
        """Give a storage on an empty bucket."""
        self.make_bucket(bucket)
        return open_storage(bucket)

    @pytest.fixture
    def missing(self, open_storage: Callable[[str], Storage], bucket: str) -> Storage:
        """Give a storage whose bucket does not exist."""
        return open_storage(f"{bucket}-missing")

    def can_hold(self, key: str) -> bool:
        """Say whether the backend can store a key."""
        if set(key) & set(self.unheld_characters):
            return False
        return self.can_hold_path_like_keys or key not in PATH_LIKE_KEYS

    # list

    @pytest.mark.parametrize("prefix", ["ds/sub-1", "ds/sub-1/"])
    def test_a_prefix_covers_whole_segments(self, storage: Storage, prefix: str) -> None:
        self.seed(storage.bucket, dict.fromkeys(SIBLINGS, b"1"))
        assert keys_of(storage.list(prefix)) == ["ds/sub-1/anat/x", "ds/sub-1/z"]

    def test_a_literal_prefix_covers_text(self, storage: Storage) -> None:
        self.seed(storage.bucket, dict.fromkeys((*SIBLINGS, "ds/sub-2", "e"), b"1"))
        assert keys_of(storage.list("ds/sub-1", literal=True)) == list(SIBLINGS)
        assert keys_of(storage.list("ds/sub-1/", literal=True)) == ["ds/sub-1/anat/x", "ds/sub-1/z"]
        assert keys_of(storage.list("ds/sub-1/an", literal=True)) == ["ds/sub-1/anat/x"]
        assert keys_of(storage.list("", literal=True)) == [*SIBLINGS, "ds/sub-2", "e"]
        assert keys_of(storage.list("ds/sub-3", literal=True)) == []

    def test_keys_come_in_utf8_order(self, storage: Storage) -> None:
        names = [
            "A/x",
            "a",
            "a b",
            "a!/x",
            "a-b/c",
            "a.b",
            "a0",
            "a_",
            "b/a-1/x",
            "b/a/x",
            "b/a0/x",
            "é",
            "\uffee",
            "😀",
        ]
        self.seed(storage.bucket, dict.fromkeys(reversed(names), b"1"))
        assert keys_of(storage.list()) == sorted(names, key=str.encode)

    @pytest.mark.parametrize("prefix", ["", "/"])
    def test_the_empty_prefix_and_the_slash_mean_the_whole_bucket(self, storage: Storage, prefix: str) -> None:
        assert keys_of(storage.list(prefix)) == []
        assert storage.children(prefix) == ([], [])
        self.seed(storage.bucket, {"a": b"1", "ds/b": b"1"})
        assert keys_of(storage.list(prefix)) == ["a", "ds/b"]
        directories, objects = storage.children(prefix)
        assert (directories, keys_of(objects)) == (["ds/"], ["a"])

    @pytest.mark.parametrize("prefix", ["none", "ds/none/", "ds/su", "ds/sub-1.json", "ds/sub-1.json/x"])
    def test_a_prefix_without_objects_is_empty(self, storage: Storage, prefix: str) -> None:
        self.seed(storage.bucket, dict.fromkeys(SIBLINGS, b"1"))
        assert keys_of(storage.list(prefix)) == []
        assert storage.children(prefix) == ([], [])

    def test_more_than_two_pages_are_listed(self, storage: Storage) -> None:
        directories = [f"ds/d{number:04}/" for number in range(1050)]
        files = [f"ds/f{number:04}" for number in range(1050)]
        keys = [*(f"{directory}x" for directory in directories), *files]
        self.seed(storage.bucket, dict.fromkeys(keys, b"1"))
        assert keys_of(storage.list("ds")) == keys
        assert keys_of(storage.list("ds/f", literal=True)) == files
        found, objects = storage.children("ds")
        assert found == directories
        assert keys_of(objects) == files

    def test_odd_keys_do_not_break_a_listing(self, storage: Storage) -> None:
        keys = [f"ds/f{number:04}" for number in range(1100)]
        keys += [key for key in ("ds/f0500//x", "ds/f0700/../x", "ds/f1050//") if self.can_hold_path_like_keys]
        keys += [key for key in ("ds/f0600 \x01", "ds/f0601 \n") if self.can_hold(key)]
        self.seed(storage.bucket, {**dict.fromkeys(keys, b"1"), "ds/f0300": b"", "ds/f1099": b""})
        expected = sorted(key for key in keys if not key.endswith("/"))
        assert keys_of(storage.list("ds")) == expected
        assert keys_of(storage.list()) == expected

    def test_empty_objects_are_listed_and_markers_are_not(self, storage: Storage) -> None:
        objects = {"a/": b"", "b": b"", "c.ds/": b"", "ds/": b"", "ds/e/f": b"", "ds/e/": b"", "ds/g": b"1"}
        self.seed(storage.bucket, {key: objects[key] for key in objects if self.has_markers or not key.endswith("/")})
        assert keys_of(storage.list()) == ["b", "ds/e/f", "ds/g"]
        assert keys_of(storage.list("ds")) == ["ds/e/f", "ds/g"]
        assert keys_of(storage.list("ds/e")) == keys_of(storage.list("ds/e/", literal=True)) == ["ds/e/f"]
        assert keys_of(storage.list("a")) == []
        directories, files = storage.children()
        assert directories == (["a/", "c.ds/", "ds/"] if self.has_markers else ["ds/"])
        assert keys_of(files) == ["b"]
        directories, files = storage.children("ds")
        assert (directories, keys_of(files)) == (["ds/e/"], ["ds/g"])
        assert storage.children("a") == ([], [])

    def test_an_entry_tells_size_time_and_etag(self, storage: Storage) -> None:
        self.seed(storage.bucket, {"ds/a": b"12345", "ds/b": b""})
        first, second = entries = list(storage.list("ds"))
        assert (first.size, second.size) == (5, 0)
        assert first.etag == (hashlib.md5(b"12345", usedforsecurity=False).hexdigest() if self.has_etags else None)
        assert first.last_modified is not None
        assert first.last_modified.utcoffset() is not None
        assert [storage.head(entry.key).size for entry in entries] == [5, 0]
        assert [storage.head(entry.key).etag for entry in entries] == [entry.etag for entry in entries]
        assert storage.children("ds") == ([], entries)

    # children

    @pytest.mark.parametrize("prefix", ["ds", "ds/"])
    def test_children_are_one_level(self, storage: Storage, prefix: str) -> None:
        self.seed(storage.bucket, dict.fromkeys((*SIBLINGS, "ds.json", "dsx/y"), b"1"))
        directories, objects = storage.children(prefix)
        assert directories == ["ds/sub-1-2/", "ds/sub-1/", "ds/sub-10/"]
        assert keys_of(objects) == ["ds/sub-1.json", "ds/sub-1_scans.tsv"]

    @pytest.mark.parametrize(
        ("prefix", "delimiter", "directories", "objects"),
        [
            ("ds", "_", ["ds/sub-1_"], ["ds/sub-1.json", "ds/sub-1/anat_x", "ds/sub-2/y"]),
            ("ds", "sub-1", ["ds/sub-1"], ["ds/sub-2/y"]),
            ("", "_", ["ds/sub-1/anat_", "ds/sub-1_", "x_"], ["ds/sub-1.json", "ds/sub-2/y"]),
        ],
    )
    def test_any_delimiter_is_honoured(
        self, storage: Storage, prefix: str, delimiter: str, directories: list[str], objects: list[str]
    ) -> None:
        keys = ("ds/sub-1.json", "ds/sub-1/anat_x", "ds/sub-1_scans.tsv", "ds/sub-1_T1w.json", "ds/sub-2/y", "x_y_z")
        self.seed(storage.bucket, dict.fromkeys(keys, b"1"))
        if delimiter == "_" and prefix == "ds":
            directories = ["ds/sub-1/anat_", *directories]
            objects = [key for key in objects if "_" not in key]
        found, files = storage.children(prefix, delimiter)
        assert (found, keys_of(files)) == (directories, objects)
