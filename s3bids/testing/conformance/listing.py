"""The contract of ``list`` and ``children``."""

# ruff: noqa: D102 - the name of a test says what it holds, and its parameters come from a table

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from .rig import NAMED_KEYS, ODD_KEYS, Rig, keys_of

if TYPE_CHECKING:
    from ...storage import Storage

#: Siblings that one text prefix covers and one directory does not, in the order of their keys.
SIBLINGS = ("ds/sub-1-2/x", "ds/sub-1.json", "ds/sub-1/anat/x", "ds/sub-1/z", "ds/sub-10/x", "ds/sub-1_scans.tsv")


class ListingContract(Rig):
    """Whole segments, one order, all pages, no markers, every key as it is."""

    @pytest.mark.parametrize("prefix", ["ds/sub-1", "ds/sub-1/"])
    def test_a_prefix_covers_whole_segments(self, storage: Storage, prefix: str) -> None:
        self.seed(storage.bucket, dict.fromkeys(SIBLINGS, b"1"))
        assert keys_of(storage.list(prefix)) == ["ds/sub-1/anat/x", "ds/sub-1/z"]

    @pytest.mark.parametrize(
        ("prefix", "keys"),
        [
            ("ds/sub-1", list(SIBLINGS)),
            ("ds/sub-1/", ["ds/sub-1/anat/x", "ds/sub-1/z"]),
            ("ds/sub-1/an", ["ds/sub-1/anat/x"]),
            ("ds/sub-1.json", ["ds/sub-1.json"]),
            ("ds/sub-3", []),
            ("d", [*SIBLINGS, "ds/sub-2"]),
            ("", [*SIBLINGS, "ds/sub-2", "e"]),
        ],
    )
    def test_a_literal_prefix_covers_text(self, storage: Storage, prefix: str, keys: list[str]) -> None:
        self.seed(storage.bucket, dict.fromkeys((*SIBLINGS, "ds/sub-2", "e"), b"1"))
        assert keys_of(storage.list(prefix, literal=True)) == keys

    @pytest.mark.parametrize(
        ("prefix", "after", "first"),
        [
            ("ds", "", 0),
            ("ds", "a", 0),
            ("ds", "ds/", 0),
            ("ds", "ds/sub-1-2/x", 1),
            ("ds", "ds/sub-1-3", 1),
            ("ds", "ds/sub-1.json", 2),
            ("ds", "ds/sub-1.json ", 2),
            ("ds", "ds/sub-1/", 2),
            ("ds/sub-1", "ds/sub-1/anat/x", 3),
            ("ds", "ds/sub-1/anat/x\u00e9", 3),
            ("ds", "ds/sub-10/x", 5),
            ("ds", "ds/sub-1_scans.tsv", 6),
            ("ds", "ds/~", 6),
            ("ds", "e", 6),
            ("", "ds/sub-10/x", 5),
        ],
    )
    def test_a_listing_begins_behind_a_text(self, storage: Storage, prefix: str, after: str, first: int) -> None:
        self.seed(storage.bucket, dict.fromkeys(SIBLINGS, b"1"))
        whole = keys_of(storage.list(prefix))
        behind = [key for key in SIBLINGS[first:] if key in whole]
        assert keys_of(storage.list(prefix, after=after)) == behind
        assert keys_of(storage.list(prefix or "d", literal=True, after=after)) == list(SIBLINGS[first:])

    def test_a_listing_begins_behind_any_of_many_keys(self, storage: Storage) -> None:
        keys = [f"ds/{number // 100:02}/{number % 100:02}" for number in range(1100)]
        self.seed(storage.bucket, {**dict.fromkeys(keys, b"1"), "ds/00/50": b"", "ds/10/50": b"", "e": b"1"})
        for number in (0, 49, 50, 51, 98, 99, 1049, 1050, 1099):
            assert keys_of(storage.list("ds", after=keys[number])) == keys[number + 1 :]
        assert keys_of(storage.list(after=keys[1098])) == [keys[1099], "e"]

    def test_a_listing_begins_behind_a_marker_or_an_odd_key(self, storage: Storage) -> None:
        keys = ["ds/a/", "ds/a/x", "ds/b//x", "ds/b/y", "ds/c \x01/x", "ds/d"]
        keys = [key for key in keys if self.can_hold_path_like_keys or "//" not in key]
        keys = [key for key in keys if (self.has_markers or key[-1] != "/") and self.can_hold((key,))]
        self.seed(storage.bucket, dict.fromkeys(keys, b"1"))
        for after in ("ds/a", "ds/a/", "ds/b//", "ds/b//x", "ds/b/", "ds/c"):
            expected = [key for key in keys if key > after and not key.endswith("/")]
            assert keys_of(storage.list("ds", after=after)) == expected

    def test_keys_come_in_utf8_order(self, storage: Storage) -> None:
        keys = ["A/x", "a", "a b", "a!/x", "a-b/c", "a.b", "a0", "a_", "b-1/x", "b/-/x", "b/a", "b0"]
        keys += ["é", "\uffee", "😀"]
        self.seed(storage.bucket, dict.fromkeys(reversed(keys), b"1"))
        assert keys_of(storage.list()) == keys == sorted(keys, key=str.encode)

    @pytest.mark.parametrize("prefix", ["", "/"])
    def test_the_empty_prefix_and_the_slash_mean_the_whole_bucket(self, storage: Storage, prefix: str) -> None:
        assert keys_of(storage.list(prefix)) == []
        assert storage.children(prefix) == ([], [])
        self.seed(storage.bucket, {"a": b"1", "ds/b": b"1"})
        assert keys_of(storage.list(prefix)) == ["a", "ds/b"]
        directories, objects = storage.children(prefix)
        assert (directories, keys_of(objects)) == (["ds/"], ["a"])

    @pytest.mark.parametrize("prefix", ["none", "ds/none/", "ds/su", "ds/sub-1.json", "ds/sub-1.json/x", "../ds"])
    def test_a_prefix_without_objects_is_empty(self, storage: Storage, prefix: str) -> None:
        self.seed(storage.bucket, dict.fromkeys(SIBLINGS, b"1"))
        assert keys_of(storage.list(prefix)) == []
        assert storage.children(prefix) == ([], [])

    def test_more_than_two_pages_are_listed(self, storage: Storage) -> None:
        keys = [f"ds/{number // 100:02}/{number % 100:02}" for number in range(2100)]
        self.seed(storage.bucket, {**dict.fromkeys(keys, b"1"), "e": b"1"})
        assert keys_of(storage.list("ds")) == keys
        assert keys_of(storage.list("ds/1", literal=True)) == keys[1000:2000]
        assert keys_of(storage.list()) == [*keys, "e"]

    def test_more_than_a_page_of_directories_and_objects_are_children(self, storage: Storage) -> None:
        directories = [f"ds/d{number:04}/" for number in range(1010)]
        files = [f"ds/f{number:04}" for number in range(1010)]
        self.seed(storage.bucket, dict.fromkeys([*files, *(f"{name}x" for name in directories)], b"1"))
        found, objects = storage.children("ds")
        assert found == directories
        assert keys_of(objects) == files

    def test_odd_keys_and_empty_objects_leave_the_pages_whole(self, storage: Storage) -> None:
        keys = [f"ds/f{number:04}" for number in range(1100)]
        keys += [key for key in ("ds/f0500//x", "ds/f0700/../x", "ds/f1050//") if self.can_hold_path_like_keys]
        keys += [key for key in ("ds/f0600 \x01", "ds/f0601 \n") if self.can_hold((key,))]
        self.seed(storage.bucket, {**dict.fromkeys(keys, b"1"), "ds/f0300": b"", "ds/f1099": b""})
        expected = sorted(key for key in keys if not key.endswith("/"))
        assert keys_of(storage.list("ds")) == expected
        assert keys_of(storage.list()) == expected
        assert [entry.key for entry in storage.list("ds") if entry.size == 0] == ["ds/f0300", "ds/f1099"]

    def test_empty_objects_are_listed_and_markers_are_not(self, storage: Storage) -> None:
        keys = ["a/", "b", "c.ds/", "ds/", "ds/e/", "ds/e/f", "ds/g"]
        self.seed(storage.bucket, {key: b"" for key in keys if self.has_markers or not key.endswith("/")})
        assert keys_of(storage.list()) == ["b", "ds/e/f", "ds/g"]
        assert keys_of(storage.list("ds")) == ["ds/e/f", "ds/g"]
        assert keys_of(storage.list("ds/e")) == ["ds/e/f"]
        assert keys_of(storage.list("ds/e/", literal=True)) == ["ds/e/f"]
        assert keys_of(storage.list("a")) == []

    def test_a_marker_makes_a_directory_and_no_object(self, storage: Storage) -> None:
        keys = ["a/", "b", "c.ds/", "ds/", "ds/e/", "ds/e/f", "ds/g"]
        self.seed(storage.bucket, {key: b"" for key in keys if self.has_markers or not key.endswith("/")})
        directories, objects = storage.children()
        assert directories == (["a/", "c.ds/", "ds/"] if self.has_markers else ["ds/"])
        assert keys_of(objects) == ["b"]
        directories, objects = storage.children("ds")
        assert (directories, keys_of(objects)) == (["ds/e/"], ["ds/g"])
        assert storage.children("a") == ([], [])

    def test_a_file_and_a_directory_of_one_name_are_both_there(self, storage: Storage) -> None:
        keys = ["ds/fd", "ds/fd/x"] if self.can_hold_file_and_directory else ["ds/fd/x"]
        self.seed(storage.bucket, dict.fromkeys(keys, b"1"))
        assert keys_of(storage.list("ds")) == keys
        assert keys_of(storage.list("ds/fd")) == ["ds/fd/x"]
        directories, objects = storage.children("ds")
        assert (directories, keys_of(objects)) == (["ds/fd/"], keys[:-1])

    def test_an_entry_tells_size_time_and_etag(self, storage: Storage) -> None:
        self.seed(storage.bucket, {"ds/a": b"12345", "ds/b": b""})
        first, second = entries = list(storage.list("ds"))
        assert (first.size, second.size) == (5, 0)
        assert first.etag == (hashlib.md5(b"12345", usedforsecurity=False).hexdigest() if self.has_etags else None)
        assert first.last_modified is not None
        assert first.last_modified.utcoffset() is not None
        assert storage.children("ds") == ([], entries)
        heads = [storage.head(entry.key) for entry in entries]
        assert [(head.key, head.size, head.etag) for head in heads] == [(e.key, e.size, e.etag) for e in entries]

    @pytest.mark.parametrize("prefix", ["ds", "ds/"])
    def test_children_are_one_level(self, storage: Storage, prefix: str) -> None:
        self.seed(storage.bucket, dict.fromkeys((*SIBLINGS, "ds.json", "dsx/y"), b"1"))
        directories, objects = storage.children(prefix)
        assert directories == ["ds/sub-1-2/", "ds/sub-1/", "ds/sub-10/"]
        assert keys_of(objects) == ["ds/sub-1.json", "ds/sub-1_scans.tsv"]

    @pytest.mark.parametrize(
        ("prefix", "delimiter", "directories", "objects"),
        [
            ("ds", "_", ["ds/sub-1/anat_", "ds/sub-1_"], ["ds/sub-1.json", "ds/sub-2/y"]),
            ("ds", "sub-1", ["ds/sub-1"], ["ds/sub-2/y"]),
            ("", "_", ["ds/sub-1/anat_", "ds/sub-1_", "x_"], ["ds/sub-1.json", "ds/sub-2/y"]),
            ("none", "_", [], []),
        ],
    )
    def test_any_delimiter_is_honoured(
        self, storage: Storage, prefix: str, delimiter: str, directories: list[str], objects: list[str]
    ) -> None:
        keys = ("ds/sub-1.json", "ds/sub-1/anat_x", "ds/sub-1_a.tsv", "ds/sub-1_b.json", "ds/sub-2/y", "x_y_z")
        self.seed(storage.bucket, dict.fromkeys(keys, b"1"))
        found, files = storage.children(prefix, delimiter)
        assert (found, keys_of(files)) == (directories, objects)

    @pytest.mark.parametrize("keys", ODD_KEYS)
    def test_odd_keys_are_listed_as_they_are(self, storage: Storage, keys: tuple[str, ...]) -> None:
        expected = sorted({"ds/b", *(keys if self.can_hold(keys) else ())})
        self.seed(storage.bucket, {key: key.encode() for key in expected})
        assert keys_of(storage.list()) == expected
        assert keys_of(storage.list("", literal=True)) == expected
        assert keys_of(storage.list("ds")) == [key for key in expected if key.startswith("ds/")]
        assert [entry.size for entry in storage.list()] == [len(key.encode()) for key in expected]

    @pytest.mark.parametrize("keys", ODD_KEYS)
    def test_odd_keys_are_children(self, storage: Storage, keys: tuple[str, ...]) -> None:
        keys = tuple(sorted({"ds/b", *(keys if self.can_hold(keys) else ())}))
        self.seed(storage.bucket, dict.fromkeys(keys, b"1"))
        for start in ("", "ds/"):
            directories, objects = storage.children(start)
            names = [key.removeprefix(start) for key in keys if key.startswith(start)]
            assert directories == sorted({f"{start}{name.split('/')[0]}/" for name in names if "/" in name})
            assert keys_of(objects) == [f"{start}{name}" for name in names if "/" not in name]

    @pytest.mark.parametrize("keys", NAMED_KEYS)
    def test_odd_names_of_directories_are_taken_literally(self, storage: Storage, keys: tuple[str, ...]) -> None:
        keys = tuple(sorted(keys)) if self.can_hold(keys) else ("ds/b",)
        self.seed(storage.bucket, {f"{key}/{name}": b"1" for key in keys for name in ("x", "y/z")})
        assert storage.children("ds") == ([f"{key}/" for key in keys if key.startswith("ds/")], [])
        for key in keys:
            assert keys_of(storage.list(key)) == [f"{key}/x", f"{key}/y/z"]
            assert keys_of(storage.list(f"{key}/y", literal=True)) == [f"{key}/y/z"]
            directories, objects = storage.children(key)
            assert (directories, keys_of(objects)) == ([f"{key}/y/"], [f"{key}/x"])
