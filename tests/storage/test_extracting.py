"""Archives on a storage, unpacked to the storage: the same on every backend."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import s3bids.storage as virt_s3
from s3bids.errors import (
    ArchiveError,
    BucketNotFoundError,
    KeyRefusedError,
    ObjectNotFoundError,
    StorageError,
)
from s3bids.storage import LocalFSParams, archive_tar_as_buffer, archive_zip_as_buffer, get_storage
from s3bids.storage.archives import extract_object

CONTENT = {"a.txt": b"a", "deep/b.bin": bytes(range(256)) * 40, "deep/er/c": b"", "é 日本.json": b"{}"}
PACKERS = {
    ".zip": archive_zip_as_buffer,
    ".tar": archive_tar_as_buffer,
    ".tar.gz": lambda data: archive_tar_as_buffer(data, compress=True),
    ".tgz": lambda data: archive_tar_as_buffer(data, compress=True),
}


def pack(extension, data):
    return PACKERS[extension](data).getvalue()


@pytest.fixture
def storage(any_params, tmp_path, monkeypatch):
    """An empty bucket; the directory for temporary files must be empty when the test is over."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with get_storage(any_params) as storage:
        yield storage
    assert list(tmp_path.iterdir()) == []


def stored(storage, prefix=""):
    return {entry.key: storage.read(entry.key) for entry in storage.list(prefix)}


@pytest.mark.parametrize("extension", list(PACKERS))
@pytest.mark.parametrize(
    ("prefix", "start"),
    [("", ""), ("/", ""), ("out", "out/"), ("out/", "out/"), ("out//", "out/"), ("ds/é out", "ds/é out/")],
)
def test_the_members_are_below_the_prefix_that_is_given_back(storage, extension, prefix, start):
    storage.write(f"in/x{extension}", pack(extension, CONTENT))
    assert extract_object(storage, f"in/x{extension}", prefix) == start
    assert stored(storage) == {
        f"in/x{extension}": pack(extension, CONTENT),
        **{f"{start}{name}": data for name, data in CONTENT.items()},
    }


def test_inner_archives_are_unpacked_and_what_macos_adds_is_left_out(storage):
    inner = pack(".tgz", {"x": b"x", "deeper.zip": pack(".zip", {"y": b"y"})})
    members = {"n/inner.tgz": inner, "._a": b"m", "__MACOSX/._n": b"m", "n/.DS_Store": b"m", ".bidsignore": b"k"}
    storage.write("x.zip", pack(".zip", members))
    extract_object(storage, "x.zip", "out")
    assert stored(storage, "out") == {"out/n/x": b"x", "out/n/y": b"y", "out/.bidsignore": b"k"}


@pytest.mark.parametrize("extension", list(PACKERS))
def test_an_empty_archive_gives_its_prefix_too(storage, extension):
    storage.write(f"x{extension}", pack(extension, {}))
    assert extract_object(storage, f"x{extension}", "out") == "out/"
    assert list(stored(storage)) == [f"x{extension}"]


def test_the_archive_goes_after_the_last_upload_if_that_is_wanted(storage):
    storage.write("x.zip", pack(".zip", CONTENT))
    extract_object(storage, "x.zip", "out", delete_archive=True)
    assert sorted(stored(storage)) == [f"out/{name}" for name in sorted(CONTENT)]


def test_objects_of_the_same_keys_are_replaced_and_others_stay(storage):
    storage.write("out/a.txt", b"old")
    storage.write("out/other", b"old")
    storage.write("x.zip", pack(".zip", CONTENT))
    extract_object(storage, "x.zip", "out")
    assert stored(storage, "out") == {f"out/{name}": data for name, data in CONTENT.items()} | {"out/other": b"old"}


@pytest.mark.parametrize(
    ("extension", "data", "reason"),
    [
        (".zip", pack(".zip", {"good": b"1", "../../bad": b"2"}), r"'\.\./\.\./bad'"),
        (".tar", pack(".tar", {"good": b"1", "a/../../bad": b"2"}), r"'a/\.\./\.\./bad'"),
        (".tgz", pack(".tgz", {"good": b"1", "C:/bad": b"2"}), "'C:/bad'"),
        (".zip", pack(".zip", {"good": b"1", "inner.tar": b"no tar"}), r"x\.zip > inner\.tar: it is damaged"),
        (".zip", b"no zip", "damaged or cut short"),
        (".tar", pack(".tar", CONTENT)[:700], "damaged or cut short"),
        (".tar.gz", pack(".tgz", CONTENT)[:-4], "damaged or cut short"),
        (".zip", pack(".zip", {"good": b"1", "large": bytes(2_000_000)}), r"'large'.*max_bytes"),
    ],
)
def test_a_bad_archive_is_named_and_nothing_is_uploaded(storage, extension, data, reason):
    storage.write(f"in/x{extension}", data)
    with pytest.raises(ArchiveError, match=rf"{storage.location}/in/x{extension}.*{reason}|{reason}"):
        extract_object(storage, f"in/x{extension}", "out", delete_archive=True, max_bytes=1_000_000)
    assert stored(storage) == {f"in/x{extension}": data}


def test_a_key_that_cannot_be_written_is_named_and_nothing_is_uploaded(storage):
    storage.write("x.zip", pack(".zip", {"a": b"1", "/".join(["n" * 200] * 5): b"2"}))
    with pytest.raises(KeyRefusedError, match=r"nnn.* 1024"):
        extract_object(storage, "x.zip", "out" * 20, delete_archive=True)
    assert list(stored(storage)) == ["x.zip"]


@pytest.mark.parametrize("key", ["none.zip", "ds/none.tar.gz"])
def test_a_missing_archive_is_named(storage, key):
    with pytest.raises(ObjectNotFoundError, match=key):
        extract_object(storage, key, "out")
    assert stored(storage) == {}


@pytest.mark.parametrize("key", ["x.gz", "x.nii.gz", "x", "x.zip/", "x.rar"])
def test_another_name_is_refused_before_anything_is_asked(any_params, key):
    any_params.bucket_name = "no-such-bucket"
    with get_storage(any_params) as missing, pytest.raises(ValueError, match=r"\.zip, \.tar, \.tar\.gz, \.tgz"):
        extract_object(missing, key, "out")


@pytest.mark.parametrize(
    ("key", "prefix", "options", "error"),
    [
        ("", "out", {}, KeyRefusedError),
        ("x.zip", "a//b", {}, KeyRefusedError),
        ("x.zip", "../up", {}, KeyRefusedError),
        ("x.zip", "out", {"max_bytes": -1}, ValueError),
        ("x.zip", "out", {}, BucketNotFoundError),
    ],
)
def test_bad_input_is_refused_before_the_bucket_is_asked(any_params, key, prefix, options, error):
    any_params.bucket_name = "no-such-bucket"
    with get_storage(any_params) as missing, pytest.raises(error):
        extract_object(missing, key, prefix, **options)


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("any_params", ["local", "rclone"], indirect=True)
def test_a_failed_upload_leaves_whole_objects_and_the_archive(storage):
    """One member cannot be written: an object stands where its folder should be."""
    members = {"a": b"1", "b": b"2", "z/c": b"3"}
    storage.write("out/z", b"in the way")
    storage.write("x.zip", pack(".zip", members))
    with pytest.raises(StorageError, match="out/z/c") as caught:
        extract_object(storage, "x.zip", "out", delete_archive=True)
    assert "call again to complete it" in caught.value.__notes__[0]
    found = stored(storage)
    assert (found.pop("x.zip"), found.pop("out/z")) == (pack(".zip", members), b"in the way")
    assert found.items() <= {f"out/{name}": data for name, data in members.items()}.items()
    storage.delete("out/z")
    extract_object(storage, "x.zip", "out", delete_archive=True)
    assert stored(storage) == {f"out/{name}": data for name, data in members.items()}


def test_parallel_calls_with_archives_of_one_name_do_not_mix(storage):
    names = [f"{number}" for number in range(8)]
    for name in names:
        storage.write(f"{name}/data.zip", pack(".zip", {"x": name.encode() * 1000, f"only-{name}": b""}))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: extract_object(storage, f"{name}/data.zip", f"out/{name}"), names))
    expected = {f"out/{name}/x": name.encode() * 1000 for name in names}
    assert stored(storage, "out") == expected | {f"out/{name}/only-{name}": b"" for name in names}


def test_progress_counts_the_members(storage):
    storage.write("x.zip", pack(".zip", CONTENT))
    told = []
    extract_object(storage, "x.zip", "out", progress_callback=lambda *numbers: told.append(numbers))
    total = sum(map(len, CONTENT.values()))
    assert told[-1] == (total, total)
    assert told == sorted(told)
    assert {all_bytes for _, all_bytes in told} == {total}


# The function of virt_s3


@pytest.mark.parametrize("as_path", [True, False])
def test_the_function_of_virt_s3_does_the_same(any_params, as_path):
    kind = Path if as_path else str
    virt_s3.upload_data(pack(".tgz", CONTENT), "in/x.tgz", params=any_params)
    options = {"cleanup_local": True, "cleanup_bucket": True, "params": any_params, "client": None}
    assert virt_s3.extract_archive_file(kind("in/x.tgz"), kind("out"), **options) == "out/"
    assert virt_s3.get_valid_file_paths("", params=any_params) == [f"out/{name}" for name in sorted(CONTENT)]


def test_an_absolute_path_inside_the_root_is_a_key(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    params = LocalFSParams(use_local_fs=True, root_dir=root, user="someone", bucket_name="bucket")
    virt_s3.create_bucket("bucket", params=params)
    virt_s3.upload_data(pack(".zip", {"a": b"1"}), "x.zip", params=params)
    virt_s3.extract_archive_file(root / "bucket" / "x.zip", root / "bucket" / "out", params=params)
    assert virt_s3.get_valid_file_paths("", params=params) == ["out/a", "x.zip"]


def test_a_directory_for_temporary_files_that_is_not_there_is_named(storage, tmp_path, monkeypatch):
    storage.write("x.zip", pack(".zip", CONTENT))
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
        with pytest.raises(OSError, match="TMPDIR"):
            extract_object(storage, "x.zip", "out")
