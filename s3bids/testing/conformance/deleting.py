"""The contract of ``delete``."""

# ruff: noqa: D102 - the name of a test says what it holds, and its parameters come from a table

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from .listing import SIBLINGS
from .rig import ODD_KEYS, Rig, keys_of

if TYPE_CHECKING:
    from ...storage import Storage


class DeletingContract(Rig):
    """What was named goes, nothing else, and the answer says what is gone."""

    def test_one_object_is_deleted(self, storage: Storage) -> None:
        self.seed(storage.bucket, dict.fromkeys(SIBLINGS, b"1"))
        assert storage.delete("ds/sub-1.json") == ["ds/sub-1.json"]
        assert sorted(self.stored(storage.bucket)) == sorted(set(SIBLINGS) - {"ds/sub-1.json"})
        assert storage.delete("ds/sub-1.json") == []

    @pytest.mark.parametrize("key", ["none", "ds", "ds/", "ds/sub-1", "ds/sub-1/", "ds/sub-1.json/", "ds/sub-", "/"])
    def test_what_is_no_object_is_not_deleted(self, storage: Storage, key: str) -> None:
        self.seed(storage.bucket, dict.fromkeys(SIBLINGS, b"1"))
        assert storage.delete(key) == []
        assert sorted(self.stored(storage.bucket)) == sorted(SIBLINGS)

    @pytest.mark.parametrize("prefix", ["ds/sub-1", "ds/sub-1/"])
    def test_a_directory_is_deleted_without_its_siblings(self, storage: Storage, prefix: str) -> None:
        self.seed(storage.bucket, dict.fromkeys(SIBLINGS, b"1"))
        gone = ["ds/sub-1/anat/x", "ds/sub-1/z"]
        assert storage.delete(prefix, recursive=True) == gone
        assert sorted(self.stored(storage.bucket)) == sorted(set(SIBLINGS) - set(gone))
        assert storage.delete(prefix, recursive=True) == []
        assert storage.children(prefix) == ([], [])

    @pytest.mark.parametrize("prefix", ["none", "ds/sub-1.json", "ds/su"])
    def test_a_prefix_without_objects_deletes_nothing(self, storage: Storage, prefix: str) -> None:
        self.seed(storage.bucket, dict.fromkeys(SIBLINGS, b"1"))
        assert storage.delete(prefix, recursive=True) == []
        assert sorted(self.stored(storage.bucket)) == sorted(SIBLINGS)

    @pytest.mark.parametrize("prefix", ["", "/"])
    def test_a_whole_bucket_is_deleted_by_force_only(self, storage: Storage, prefix: str) -> None:
        self.seed(storage.bucket, {"a": b"1", "ds/.b": b"1", "ds/.DS_Store": b"1"})
        with pytest.raises(ValueError, match="force"):
            storage.delete(prefix, recursive=True)
        assert sorted(self.stored(storage.bucket)) == ["a", "ds/.DS_Store", "ds/.b"]
        assert storage.delete(prefix, recursive=True, force=True) == ["a", "ds/.DS_Store", "ds/.b"]
        assert self.stored(storage.bucket) == {}
        assert keys_of(storage.list()) == []
        assert storage.children() == ([], [])

    def test_the_empty_key_is_not_deleted(self, storage: Storage) -> None:
        with pytest.raises(ValueError, match="empty key"):
            storage.delete("")

    def test_markers_are_deleted_too(self, storage: Storage) -> None:
        keys = ["ds/", "ds/a/", "ds/a/x", "ds/b/", "e/"] if self.has_markers else ["ds/a/x"]
        self.seed(storage.bucket, {**dict.fromkeys(keys, b""), "f": b""})
        gone = [key for key in keys if key.startswith("ds/")]
        assert storage.delete("ds", recursive=True) == gone
        assert sorted(self.stored(storage.bucket)) == sorted({*keys, "f"} - set(gone))
        assert storage.delete("e/") == (["e/"] if self.has_markers else [])
        assert sorted(self.stored(storage.bucket)) == ["f"]

    def test_more_than_a_request_holds_are_deleted(self, storage: Storage) -> None:
        keys = [f"ds/{number // 50:02}/{number % 50:02}" for number in range(1050)]
        self.seed(storage.bucket, {**dict.fromkeys(keys, b""), "other": b""})
        assert storage.delete("ds", recursive=True) == keys
        assert sorted(self.stored(storage.bucket)) == ["other"]

    @pytest.mark.parametrize("keys", ODD_KEYS)
    def test_odd_keys_are_deleted_literally(self, storage: Storage, keys: tuple[str, ...]) -> None:
        kept = {"ds/b": b"1", "a": b"2", "ds/a": b"3"}
        self.seed(storage.bucket, kept)
        if not self.can_hold(keys):
            with suppress(self.unheld_key_error):  # missing, or refused by the server
                assert storage.delete(*keys) == []
            assert self.stored(storage.bucket) == kept
            return
        self.seed(storage.bucket, dict.fromkeys(keys, b"1"))
        assert [storage.delete(key) for key in keys] == [[key] for key in keys]
        assert self.stored(storage.bucket) == kept
        self.seed(storage.bucket, dict.fromkeys(keys, b"1"))
        assert storage.delete("", recursive=True, force=True) == sorted([*kept, *keys])
        assert self.stored(storage.bucket) == {}
