"""The contract of ``write``, ``upload`` and ``create_bucket``, and of buckets that do not exist."""

# ruff: noqa: D102 - the name of a test says what it holds, and its parameters come from a table

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import pytest

from ...errors import BucketNotFoundError, KeyRefusedError, ObjectNotFoundError
from ...storage.base import MAX_KEY_BYTES
from .rig import PATH_LIKE_KEYS, PRINTABLE_KEYS, Rig, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ...storage import Storage

#: Keys that must not be written anywhere.
REFUSED_KEYS = {
    **{key: key for key in ("/", "a/", "ds/a/", "a//b", ".", "a/.", *PATH_LIKE_KEYS)},
    "empty": "",
    "NUL": "a\0b",
    "surrogate": "a\udcffb",
    "1025 bytes": "k" * (MAX_KEY_BYTES + 1),
    "1026 bytes in 513 letters": "é" * (MAX_KEY_BYTES // 2 + 1),
}


class WritingContract(Rig):
    """What was written is read back; what could not be read back alike everywhere is refused."""

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    @pytest.mark.parametrize("data", [b"0123456789", b""], ids=["digits", "empty"])
    def test_what_is_written_is_stored(self, storage: Storage, kind: Callable[[bytes], bytes], data: bytes) -> None:
        assert storage.write("ds/new/x", kind(data)) == "ds/new/x"
        assert self.stored(storage.bucket) == {"ds/new/x": data}
        assert storage.read("ds/new/x") == data
        assert storage.head("ds/new/x").size == len(data)
        assert keys_of(storage.list("ds")) == ["ds/new/x"]

    def test_a_view_of_wide_items_is_written_whole(self, storage: Storage) -> None:
        numbers = array("d", [1.5, 2.5, 3.5])
        storage.write("x", memoryview(numbers))
        assert self.stored(storage.bucket) == {"x": numbers.tobytes()}
        storage.write("x", memoryview(b"0123456789")[::3])
        assert self.stored(storage.bucket) == {"x": b"0369"}

    def test_writing_replaces(self, storage: Storage) -> None:
        self.seed(storage.bucket, {"ds/x": b"a longer text than the new one"})
        storage.write("ds/x", b"new")
        assert self.stored(storage.bucket) == {"ds/x": b"new"}
        assert storage.read("ds/x") == b"new"
        assert [entry.size for entry in storage.list()] == [3]

    @pytest.mark.parametrize("name", REFUSED_KEYS)
    def test_a_key_that_not_all_can_hold_is_refused(self, storage: Storage, tmp_path: Path, name: str) -> None:
        key = REFUSED_KEYS[name]
        file = tmp_path / "file"
        file.write_bytes(b"1")
        with pytest.raises(KeyRefusedError) as write:
            storage.write(key, b"1")
        with pytest.raises(KeyRefusedError) as upload:
            storage.upload(file, key)
        assert isinstance(write.value, ValueError)
        assert str(write.value) == str(upload.value)
        assert (repr(key) if key else "empty key") in str(write.value)
        assert self.stored(storage.bucket) == {}

    @pytest.mark.parametrize("letter", ["k", "é"])
    def test_the_longest_key_is_taken(self, storage: Storage, letter: str) -> None:
        # Components of 200 bytes, since a file name has at most 255.
        size = len(letter.encode())
        key = "/".join([letter * (200 // size)] * 5) + "/" + "k" * 19
        assert len(key.encode()) == MAX_KEY_BYTES
        assert storage.write(key, b"1") == key
        assert storage.read(key) == b"1"
        assert keys_of(storage.list()) == [key]
        assert storage.delete(key) == [key]

    def test_odd_keys_are_written_literally(self, storage: Storage) -> None:
        assert [storage.write(key, key.encode()) for key in PRINTABLE_KEYS] == list(PRINTABLE_KEYS)
        assert self.stored(storage.bucket) == {key: key.encode() for key in PRINTABLE_KEYS}

    def test_a_file_in_place_of_a_directory_is_named(self, storage: Storage) -> None:
        self.seed(storage.bucket, {"ds/fd": b"1"})
        if self.can_hold_file_and_directory:
            storage.write("ds/fd/x", b"2")
            assert self.stored(storage.bucket) == {"ds/fd": b"1", "ds/fd/x": b"2"}
            return
        with pytest.raises(self.clash_error, match="ds/fd/x"):
            storage.write("ds/fd/x", b"2")
        assert self.stored(storage.bucket) == {"ds/fd": b"1"}

    def test_a_directory_in_place_of_a_file_is_named(self, storage: Storage) -> None:
        self.seed(storage.bucket, {"ds/fd/x": b"1"})
        if self.can_hold_file_and_directory:
            storage.write("ds/fd", b"2")
            assert self.stored(storage.bucket) == {"ds/fd/x": b"1", "ds/fd": b"2"}
            return
        with pytest.raises(self.clash_error, match="ds/fd"):
            storage.write("ds/fd", b"2")
        assert self.stored(storage.bucket) == {"ds/fd/x": b"1"}

    # Nine mebibytes go in parts, where there are parts.
    @pytest.mark.parametrize("size", [0, 10, 9 * 1024 * 1024 + 1])
    def test_a_file_is_uploaded(self, storage: Storage, tmp_path: Path, size: int) -> None:
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        file = tmp_path / "file"
        file.write_bytes(data)
        assert storage.upload(file, "ds/x") == "ds/x"
        assert storage.upload(str(file), "ds/y") == "ds/y"
        assert self.stored(storage.bucket) == {"ds/x": data, "ds/y": data}

    @pytest.mark.parametrize("key", ["ds", "ds/"])
    def test_a_folder_is_uploaded(self, storage: Storage, tmp_path: Path, key: str) -> None:
        files = {"a": b"1", "a-b/c": b"2", "b/c/d": b"", "b/ e.json": b"3"}
        write_tree(tmp_path / "folder", {**files, ".DS_Store": b"", "b/.DS_Store": b"", "__MACOSX/b/c": b""})
        assert storage.upload(tmp_path / "folder", key) == sorted(f"ds/{name}" for name in files)
        assert self.stored(storage.bucket) == {f"ds/{name}": data for name, data in files.items()}

    def test_names_to_ignore_are_whole_components(self, storage: Storage, tmp_path: Path) -> None:
        write_tree(tmp_path, {".DS_Store": b"1", "x": b"1", "x.json": b"1", "a/x/b": b"1", "a/xx": b"1"})
        assert storage.upload(str(tmp_path), "ds", ignore=("x",)) == ["ds/.DS_Store", "ds/a/xx", "ds/x.json"]
        assert sorted(self.stored(storage.bucket)) == ["ds/.DS_Store", "ds/a/xx", "ds/x.json"]

    def test_a_folder_goes_to_the_top_of_the_bucket(self, storage: Storage, tmp_path: Path) -> None:
        write_tree(tmp_path, {"a": b"1", "b/c": b"2"})
        assert storage.upload(tmp_path, "") == ["a", "b/c"]
        assert self.stored(storage.bucket) == {"a": b"1", "b/c": b"2"}

    def test_an_empty_folder_uploads_nothing(self, storage: Storage, tmp_path: Path) -> None:
        assert storage.upload(tmp_path, "ds") == []
        assert self.stored(storage.bucket) == {}

    def test_a_missing_path_is_named(self, storage: Storage, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="nowhere"):
            storage.upload(tmp_path / "nowhere", "ds/x")

    def test_a_bucket_is_created_once_and_again(self, missing: Storage) -> None:
        assert missing.create_bucket() is True
        assert keys_of(missing.list()) == []
        missing.write("ds/x", b"1")
        assert missing.create_bucket() is True
        assert self.stored(missing.bucket) == {"ds/x": b"1"}

    def test_another_bucket_is_created(self, storage: Storage, open_storage: Callable[[str], Storage]) -> None:
        other = f"{storage.bucket}-other"
        assert storage.create_bucket(other) is True
        open_storage(other).write("x", b"1")
        assert self.stored(other) == {"x": b"1"}
        assert self.stored(storage.bucket) == {}

    @pytest.mark.parametrize("name", ["", "a/b", "/abc", "abc/", ".", "..", "../abc"])
    def test_a_bucket_name_is_one_component(self, storage: Storage, name: str) -> None:
        with pytest.raises(ValueError, match="bucket") as caught:
            storage.create_bucket(name)
        assert repr(name) in str(caught.value)

    def test_a_missing_bucket_is_named(self, missing: Storage, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"1")
        target = tmp_path / "new" / "x"
        calls: dict[str, Callable[[], object]] = {
            "list": lambda: list(missing.list()),
            "list a prefix": lambda: list(missing.list("ds")),
            "list by text": lambda: list(missing.list("ds", literal=True)),
            "children": missing.children,
            "children of a prefix": lambda: missing.children("ds"),
            "children by text": lambda: missing.children("ds", "_"),
            "read": lambda: missing.read("ds/x"),
            "stream": lambda: next(missing.stream("ds/x")),
            "download": lambda: missing.download("ds/x", target),
            "write": lambda: missing.write("ds/x", b"1"),
            "upload": lambda: missing.upload(file, "ds/x"),
            "delete all below": lambda: missing.delete("ds", recursive=True),
        }
        found = {}
        for name, call in calls.items():
            with pytest.raises(ObjectNotFoundError) as caught:
                call()
            found[name] = (type(caught.value), missing.bucket in str(caught.value))
        assert found == dict.fromkeys(calls, (BucketNotFoundError, True))
        assert list(tmp_path.iterdir()) == [file]

    def test_a_missing_bucket_has_no_objects(self, missing: Storage) -> None:
        # The answer to a HEAD has no body, so it cannot tell a missing bucket from a missing object.
        with pytest.raises(ObjectNotFoundError, match=missing.bucket):
            missing.head("ds/x")


def write_tree(folder: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
