"""Every function of virt_s3 on the local emulation and on two S3 servers: the same results, in the same order."""

from __future__ import annotations

import inspect
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import s3bids.storage as virt_s3
from s3bids.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    KeyRefusedError,
    ObjectNotFoundError,
    StorageConnectionError,
)
from s3bids.storage import LocalFSParams, S3Params
from s3bids.testing.faults import Answer, Fault, Proxy
from s3bids.testing.servers import rclone_server

MIB = 1024 * 1024
FILES = {
    ".hidden": b"0",
    "ds/.DS_Store": b"1",
    "ds/.bidsignore": b"2",
    "ds/README": b"3",
    "ds/empty": b"",
    "ds/sub-1/anat/T1w.json": b"{}",
    "ds/sub-1/anat/T1w.nii.gz": bytes(range(256)),
    "ds/sub-1/dwi/dwi.bval": b"0 1000",
    "ds/sub-10/anat/T1w.nii.gz": b"10",
    "top.txt": b"top",
}
#: As small as parts can be on the way down.
IN_PARTS = SimpleNamespace(multipart_threshold=10, multipart_chunksize=7, max_concurrency=3, io_chunksize=3)


def fill(params):
    with virt_s3.get_storage(params) as storage:
        for key, data in FILES.items():
            storage.write(key, data)


@pytest.fixture
def params(any_params):
    """A bucket with `FILES`."""
    fill(any_params)
    return any_params


@pytest.fixture(scope="module", params=["local", "moto", "rclone"])
def filled(request, tmp_path_factory):
    """A bucket with `FILES` that no test changes."""
    name = "filled-for-all"
    if request.param == "local":
        params = local_params(tmp_path_factory.mktemp("root"), name)
    else:
        server = request.getfixturevalue(request.param)
        params = S3Params(name, server.url, server.access_key, server.secret_key)
    virt_s3.create_bucket(name, params)
    fill(params)
    yield params
    assert content(params) == FILES


def local_params(root, bucket="bucket"):
    return LocalFSParams(use_local_fs=True, root_dir=root, user="someone", bucket_name=bucket)


@pytest.fixture
def empty(any_params):
    return any_params


@pytest.fixture
def missing(any_params):
    """A bucket that does not exist."""
    return replace(any_params, bucket_name=f"{any_params.bucket_name}-none")


def content(params):
    storage = virt_s3.get_storage(params)
    return {entry.key: storage.read(entry.key) for entry in storage.list()}


class Told:
    def __init__(self):
        self.calls = []

    def __call__(self, done, total):
        self.calls.append((done, total))

    def is_whole(self, total):
        done = [call[0] for call in self.calls]
        return done == sorted(done) and self.calls[-1] == (total, total) and {call[1] for call in self.calls} == {total}


# Reading


@pytest.mark.parametrize("key", FILES)
def test_a_file_is_read_as_bytes_or_buffer_in_one_piece_or_many(filled, key):
    for options in ({}, {"transfer_config": IN_PARTS}):
        told = Told()
        data = virt_s3.get_file(key, params=filled, progress_callback=told, **options)
        assert type(data) is bytes
        assert data == virt_s3.get_file_chunked(Path(key), filled, chunk_size=10, **options) == FILES[key]
        assert told.is_whole(len(data))
        for buffer in (
            virt_s3.get_file(Path(key), None, filled, None, True, **options),
            virt_s3.get_file_chunked(key, params=filled, bytes_io=True, **options),
            virt_s3.get_image(key, params=filled, bytes_io=True, **options),
        ):
            assert type(buffer) is io.BytesIO
            assert buffer.tell() == 0
            assert buffer.read() == FILES[key]
        assert virt_s3.get_image(key, filled) == FILES[key]


@pytest.mark.parametrize("bytes_io", [False, True])
def test_a_file_is_saved(filled, tmp_path, bytes_io):
    for save_path in (tmp_path / "new" / "er" / "x", str(tmp_path / "y")):
        told = Told()
        key = "ds/sub-1/anat/T1w.nii.gz"
        saved = virt_s3.get_file(key, save_path, filled, bytes_io=bytes_io, progress_callback=told)
        assert saved == str(save_path)
        assert Path(saved).read_bytes() == FILES[key]
        assert told.is_whole(256)
    with pytest.raises(IsADirectoryError, match="new"):
        virt_s3.get_file("ds/README", tmp_path / "new", filled)


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 200, 250])
def test_chunks_of_any_size_give_the_whole_file(empty, size):
    data = bytes(number % 251 for number in range(size))
    virt_s3.upload_data(data, "x", empty)
    for chunk_size in (1 + size // 4, 100, 1000):
        told = Told()
        assert virt_s3.get_file_chunked("x", empty, chunk_size=chunk_size, progress_callback=told) == data
        assert told.is_whole(size)


@pytest.mark.parametrize(
    ("chunk_size", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("1", TypeError)]
)
def test_a_chunk_has_at_least_one_byte(filled, chunk_size, error):
    with pytest.raises(error, match="chunk_size"):
        virt_s3.get_file_chunked("ds/README", filled, chunk_size=chunk_size)


KEYS = ["top.txt", "ds/empty", "ds/sub-1/anat/T1w.nii.gz", "ds/README", "top.txt"]


@pytest.mark.parametrize("max_concurrency", [0, 1, 3, 50])
def test_many_files_come_in_the_order_of_their_keys(filled, max_concurrency):
    expected = [FILES[key] for key in KEYS]
    told = Told()
    found = virt_s3.get_files_batch(KEYS, filled, max_concurrency=max_concurrency, progress_callback=told)
    assert found == expected
    assert type(found) is list
    assert told.is_whole(sum(map(len, expected)))
    buffers = virt_s3.get_files_batch(map(Path, KEYS), filled, None, max_concurrency, True)
    assert [buffer.read() for buffer in buffers] == expected
    assert virt_s3.get_files_batch([], filled, max_concurrency=max_concurrency) == []


def test_so_many_files_are_read_at_once_as_was_said(filled, monkeypatch):
    kind = type(virt_s3.get_storage(filled))
    meeting, read = threading.Barrier(3), kind.read

    def read_together(storage, *given, **options):
        meeting.wait(60)
        return read(storage, *given, **options)

    monkeypatch.setattr(kind, "read", read_together)
    assert virt_s3.get_files_batch(KEYS[:3], filled, max_concurrency=3) == [FILES[key] for key in KEYS[:3]]


def test_a_generator_reads_each_file_when_it_is_wanted(filled):
    told = Told()
    files = virt_s3.get_files_generator(KEYS, filled, progress_callback=told, transfer_config=IN_PARTS)
    assert inspect.isgenerator(files)
    assert next(files) == b"top"
    assert list(files) == [FILES[key] for key in KEYS[1:]]
    assert told.is_whole(sum(len(FILES[key]) for key in KEYS))
    assert [file.read() for file in virt_s3.get_files_generator(KEYS[:2], filled, bytes_io=True)] == [b"top", b""]
    assert list(virt_s3.get_files_generator([], filled)) == []
    half = virt_s3.get_files_generator(["top.txt", "none", "ds/README"], filled)
    assert next(half) == b"top"
    with pytest.raises(ObjectNotFoundError, match="none"):
        next(half)


@pytest.mark.parametrize("max_concurrency", [0, 3])
def test_a_missing_file_of_many_is_an_error(filled, max_concurrency):
    with pytest.raises(ObjectNotFoundError, match="none"):
        virt_s3.get_files_batch(["top.txt", "none", "ds/README"], filled, max_concurrency=max_concurrency)


@pytest.mark.parametrize("wrong", ["top.txt", Path("top.txt")])
def test_one_key_is_not_several(filled, wrong):
    with pytest.raises(TypeError, match="list"):
        virt_s3.get_files_batch(wrong, filled)
    with pytest.raises(TypeError, match="list"):
        virt_s3.get_files_generator(wrong, filled)
    with pytest.raises(ValueError, match="max_concurrency"):
        virt_s3.get_files_batch([], filled, max_concurrency=-1)


# Listing


@pytest.mark.parametrize(
    ("dir_path", "expected"),
    [
        ("", ["ds/"]),
        ("/", ["ds/"]),
        (Path(), ["ds/"]),
        ("ds", ["ds/sub-1/", "ds/sub-10/"]),
        ("ds/", ["ds/sub-1/", "ds/sub-10/"]),
        (Path("ds/sub-1"), ["ds/sub-1/anat/", "ds/sub-1/dwi/"]),
        ("ds/sub-1/anat", []),
        ("ds/sub", []),
        ("ds/README", []),
        ("none", []),
        ("../ds", []),
    ],
)
def test_directories_are_listed_one_level_deep(filled, dir_path, expected):
    found = virt_s3.list_dirs(dir_path, filled)
    assert found == expected
    assert [virt_s3.list_dirs(entry, filled) for entry in found] == [virt_s3.list_dirs(e, filled) for e in expected]


def test_any_delimiter_is_honoured(filled):
    assert virt_s3.list_dirs("ds", filled, delimiter="-") == ["ds/sub-"]
    assert virt_s3.list_dirs("ds/sub-1/anat", filled, None, "T1w") == ["ds/sub-1/anat/T1w"]
    assert virt_s3.list_dirs("ds", filled, delimiter="zzz") == []
    with pytest.raises(ValueError, match="delimiter"):
        virt_s3.list_dirs("ds", filled, delimiter="")


SUB_1 = ["ds/sub-1/anat/T1w.json", "ds/sub-1/anat/T1w.nii.gz", "ds/sub-1/dwi/dwi.bval"]
BELOW_DS = [key for key in FILES if key.startswith("ds/") and key != "ds/.DS_Store"]


@pytest.mark.parametrize(
    ("dir_path", "options", "expected"),
    [
        ("", {}, [key for key in FILES if key != "ds/.DS_Store"]),
        ("/", {"ignore": None}, list(FILES)),
        ("", {"ignore": []}, list(FILES)),
        ("ds", {}, BELOW_DS),
        (Path("ds/sub-1"), {}, SUB_1),
        ("ds/sub-1/", {"ignore": "anat"}, SUB_1[2:]),
        ("ds", {"ignore": ["sub-1", "sub-10", ".DS_Store"]}, ["ds/.bidsignore", "ds/README", "ds/empty"]),
        ("ds", {"ignore": ["ds"]}, ["ds/.DS_Store", *BELOW_DS]),
        ("ds", {"ignore": ["ds/sub-1", "ds/.DS_Store", "empty"]}, ["ds/.bidsignore", "ds/README", *BELOW_DS[-1:]]),
        ("ds", {"ignore": ["sub-1/anat/", "sub-1/dwi/dwi.bval"]}, ["ds/.DS_Store", *BELOW_DS[:3], BELOW_DS[-1]]),
        ("ds", {"ignore": [Path("ds/sub-1/anat")]}, ["ds/.DS_Store", *BELOW_DS[:3], *BELOW_DS[5:]]),
        ("ds", {"ignore": ["sub", "ds/sub", "anat/T1w.json", "", "/"]}, ["ds/.DS_Store", *BELOW_DS]),
        ("ds", {"filter_extensions": [".nii.gz", ".bval"]}, [*SUB_1[1:], "ds/sub-10/anat/T1w.nii.gz"]),
        ("ds/sub-1", {"filter_extensions": ".json"}, SUB_1[:1]),
        ("ds/sub-1", {"filter_extensions": None}, SUB_1),
        ("ds/sub-1", {"filter_extensions": ["T1w"]}, []),
        ("ds/sub-1/anat", {"ignore": ["T1w.json"], "filter_extensions": [".json"]}, []),
        ("ds/sub", {}, []),
        ("ds/README", {}, []),
        ("none", {}, []),
    ],
)
def test_files_are_listed_at_any_depth(filled, dir_path, options, expected):
    found = virt_s3.get_valid_file_paths(dir_path, params=filled, **options)
    assert found == expected
    assert found == sorted(found, key=str.encode)
    assert all(virt_s3.file_exists(key, filled) for key in found)


def test_arguments_by_position_are_those_of_virt_s3(params):
    assert virt_s3.get_valid_file_paths("ds", ["anat"], [".bval"], params, None) == SUB_1[2:]
    assert virt_s3.list_dirs("ds/sub-1", params, None, "/") == ["ds/sub-1/anat/", "ds/sub-1/dwi/"]
    assert virt_s3.get_file("top.txt", None, params, None, False) == b"top"
    assert virt_s3.get_image("top.txt", params, None, None, False) == b"top"
    assert virt_s3.upload_data(b"1", "new", params, None) == "new"


@pytest.mark.parametrize("dir_path", ["", "ds"])
def test_the_defaults_are_not_changed_by_a_call(filled, dir_path):
    before = inspect.signature(virt_s3.get_valid_file_paths)
    virt_s3.get_valid_file_paths(dir_path, params=filled)
    assert inspect.signature(virt_s3.get_valid_file_paths) == before


@pytest.mark.parametrize(
    ("key", "exists"),
    [("top.txt", True), (Path("ds/README"), True), ("ds/empty", True), ("ds", False), ("ds/", False), ("none", False)],
)
def test_a_file_exists_and_a_directory_does_not(filled, key, exists):
    assert virt_s3.file_exists(key, filled) is exists


# Writing


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_data_are_uploaded(empty, kind):
    told = Told()
    assert virt_s3.upload_data(kind(b"0123456789"), "ds/x", empty, progress_callback=told) == "ds/x"
    assert told.is_whole(10)
    assert content(empty) == {"ds/x": b"0123456789"}


def test_an_open_file_is_uploaded_from_its_position_and_a_buffer_whole(empty, tmp_path):
    (tmp_path / "x").write_bytes(b"0123456789")
    with (tmp_path / "x").open("rb") as file:
        file.seek(4)
        virt_s3.upload_data(file, Path("file"), empty)
    buffer = io.BytesIO(b"0123456789")
    buffer.seek(4)
    virt_s3.upload_data(buffer, "buffer", empty)
    assert content(empty) == {"buffer": b"0123456789", "file": b"456789"}


def test_a_file_and_a_folder_are_uploaded_by_path(empty, tmp_path):
    for name in ("a", "b/c", "b/.hidden", "b/.DS_Store", "__MACOSX/x", "empty/"):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_bytes(name.encode())
    file, folder = tmp_path / "folder" / "a", tmp_path / "folder"
    assert virt_s3.upload_data(str(file), "x", empty) == "x"
    assert virt_s3.upload_data(file, "y", empty) == "y"
    told = Told()
    keys = virt_s3.upload_data(folder, "ds", empty, progress_callback=told)
    assert keys == ["ds/a", "ds/b/.hidden", "ds/b/c"]
    assert told.is_whole(1 + 3 + 9)
    assert virt_s3.upload_data(str(folder), "", empty, ignore=("b", "__MACOSX")) == ["a"]
    assert virt_s3.upload_data(folder / "empty", "ds", empty) == []
    assert content(empty) == {
        "a": b"a",
        "ds/a": b"a",
        "ds/b/.hidden": b"b/.hidden",
        "ds/b/c": b"b/c",
        "x": b"a",
        "y": b"a",
    }


@pytest.mark.parametrize("data", [None, 7, ["a"], {"a": b"1"}, io.StringIO("text"), object()])
def test_what_cannot_be_uploaded_is_refused(empty, data):
    with pytest.raises(TypeError, match=r"bytes|binary"):
        virt_s3.upload_data(data, "x", empty)
    assert content(empty) == {}


def test_a_path_where_nothing_is_is_named(empty, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        virt_s3.upload_data(tmp_path / "nowhere", "x", empty)
    with pytest.raises(FileNotFoundError, match="some text"):
        virt_s3.upload_data("some text that is no path", "x", empty)
    assert content(empty) == {}


# Deleting


@pytest.mark.parametrize(
    ("key", "was_there"), [("top.txt", True), (Path("ds/README"), True), ("ds", False), ("no", False)]
)
def test_a_file_is_deleted_once(params, key, was_there):
    assert virt_s3.delete_file(key, params) is was_there
    assert virt_s3.delete_file(key, params) is False
    assert len(content(params)) == len(FILES) - was_there


@pytest.mark.parametrize("dir_path", ["ds/sub-1", "ds/sub-1/", Path("ds/sub-1")])
def test_a_directory_is_deleted_without_its_sibling(params, dir_path):
    assert virt_s3.delete_files_by_dir(dir_path, params) == SUB_1
    assert virt_s3.delete_files_by_dir(dir_path, params) == []
    assert sorted(content(params)) == [key for key in FILES if key not in SUB_1]
    assert virt_s3.list_dirs("ds", params) == ["ds/sub-10/"]


@pytest.mark.parametrize("dir_path", ["", "/", Path()])
def test_a_bucket_is_emptied_by_force_only(params, dir_path):
    with pytest.raises(ValueError, match="force"):
        virt_s3.delete_files_by_dir(dir_path, params)
    assert len(content(params)) == len(FILES)
    assert virt_s3.delete_files_by_dir(dir_path, params, force=True) == list(FILES)
    assert virt_s3.delete_files_by_dir(dir_path, params, force=True) == []
    assert virt_s3.create_bucket(params.bucket_name, params) is True


# Buckets


def test_a_bucket_is_created_beside_that_of_the_parameters(empty):
    name = f"{empty.bucket_name}-new"
    assert virt_s3.create_bucket(name, empty, create_args={}) is True
    assert virt_s3.create_bucket(name, params=empty) is True
    other = replace(empty, bucket_name=name)
    virt_s3.upload_data(b"1", "x", other)
    assert content(other) == {"x": b"1"}
    assert content(empty) == {}


@pytest.mark.parametrize("name", ["", "a/b", "..", "."])
def test_a_bucket_name_is_one_component(empty, name):
    with pytest.raises(ValueError, match="bucket"):
        virt_s3.create_bucket(name, empty)
    with pytest.raises(TypeError, match="bucket"):
        virt_s3.create_bucket(None, empty)


# A client over several calls


def test_a_session_serves_every_function(params, tmp_path):
    with virt_s3.SessionManager(params=params) as session:
        given = {"params": params, "client": session}
        assert virt_s3.create_bucket(params.bucket_name, **given) is True
        assert virt_s3.get_file("top.txt", **given) == b"top"
        assert virt_s3.get_file("top.txt", tmp_path / "x", **given) == str(tmp_path / "x")
        assert virt_s3.get_file_chunked("top.txt", chunk_size=2, **given) == b"top"
        assert virt_s3.get_image("top.txt", **given) == b"top"
        assert list(virt_s3.get_files_generator(KEYS[:1], **given)) == [b"top"]
        assert virt_s3.get_files_batch(KEYS, max_concurrency=3, **given) == [FILES[key] for key in KEYS]
        assert virt_s3.list_dirs("", **given) == ["ds/"]
        assert virt_s3.get_valid_file_paths("ds/sub-1", **given) == SUB_1
        assert virt_s3.upload_data(b"new", "new", **given) == "new"
        assert virt_s3.file_exists("new", **given) is True
        assert virt_s3.delete_file("new", **given) is True
        assert virt_s3.delete_files_by_dir("ds/sub-1", **given) == SUB_1
        packed = virt_s3.archive_zip_as_buffer({"a": b"1", "b/c": b"2"})
        virt_s3.upload_data(packed, "x.zip", **given)
        assert virt_s3.extract_archive_file("x.zip", "out", cleanup_bucket=True, **given) == "out/"
        assert virt_s3.get_valid_file_paths("out", **given) == ["out/a", "out/b/c"]
        assert not virt_s3.file_exists("x.zip", **given)


# Bad input


def _zip(key):
    return f"{key}.zip" if isinstance(key, str) and key else key


#: Function -> a call that names one key; the key is filled in.
BY_KEY = {
    "get_file": lambda key, **given: virt_s3.get_file(key, **given),
    "get_file_chunked": lambda key, **given: virt_s3.get_file_chunked(key, **given),
    "get_image": lambda key, **given: virt_s3.get_image(key, **given),
    "get_files_generator": lambda key, **given: list(virt_s3.get_files_generator([key], **given)),
    "get_files_batch": lambda key, **given: virt_s3.get_files_batch([key], **given),
    "get_files_batch in threads": lambda key, **given: virt_s3.get_files_batch([key], max_concurrency=2, **given),
    "extract_archive_file": lambda key, **given: virt_s3.extract_archive_file(_zip(key), "out", **given),
    "read_parquet_file_df": lambda key, **given: virt_s3.read_parquet_file_df(key, **given),
}
#: Functions that answer False where there is no such key.
ASKING = {
    "file_exists": lambda key, **given: virt_s3.file_exists(key, **given),
    "delete_file": lambda key, **given: virt_s3.delete_file(key, **given),
}
WRITING = {"upload_data": lambda key, **given: virt_s3.upload_data(b"1", key, **given)}
BY_DIRECTORY = {
    "list_dirs": lambda key, **given: virt_s3.list_dirs(key, **given),
    "get_valid_file_paths": lambda key, **given: virt_s3.get_valid_file_paths(key, **given),
    "delete_files_by_dir": lambda key, **given: virt_s3.delete_files_by_dir(key, **given),
}
OTHERS = {
    "create_bucket": lambda key, **given: virt_s3.create_bucket("new-bucket", **given),
    "get_session_client": lambda key, params=None, client=None, **more: virt_s3.get_session_client(params, **more),
    "SessionManager": lambda key, **given: virt_s3.SessionManager(**given),
}
ALL = {**BY_KEY, **ASKING, **WRITING, **BY_DIRECTORY, **OTHERS}


@pytest.mark.parametrize("name", {**BY_KEY, **ASKING, **WRITING})
def test_the_empty_key_is_refused(filled, name):
    with pytest.raises(ValueError, match="empty"):
        ALL[name]("", params=filled)


@pytest.mark.parametrize("name", {**BY_KEY, **ASKING, **WRITING, **BY_DIRECTORY})
@pytest.mark.parametrize("wrong", [None, 7, b"top.txt"])
def test_what_is_no_key_is_refused(filled, name, wrong):
    with pytest.raises(TypeError):
        ALL[name](wrong, params=filled)


@pytest.mark.parametrize("key", ["none", "ds", "ds/", "ds/README/"])
def test_a_missing_object_is_named_or_answered_with_no(filled, key):
    # A key that ends in '/' names no archive, and for a table the directory of its parts.
    not_asked = ("extract_archive_file", "read_parquet_file_df") if key.endswith("/") else ()
    for name in BY_KEY.keys() - not_asked:
        with pytest.raises(ObjectNotFoundError, match=filled.bucket_name) as caught:
            BY_KEY[name](key, params=filled)
        assert isinstance(caught.value, FileNotFoundError)
    assert [call(key, params=filled) for call in ASKING.values()] == [False, False]


@pytest.mark.parametrize("key", ["../secret", "/secret", "ds//README", "./top.txt", "ds/../top.txt"])
def test_a_key_that_no_file_can_have_is_missing_in_the_local_emulation(tmp_path, key):
    params = local_params(tmp_path)
    virt_s3.create_bucket("bucket", params)
    fill(params)
    (tmp_path / "secret").write_bytes(b"secret")
    for call in BY_KEY.values():
        with pytest.raises(ObjectNotFoundError, match="bucket"):
            call(key, params=params)
    assert [call(key, params=params) for call in ASKING.values()] == [False, False]
    assert content(params) == FILES
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_the_local_emulation_takes_absolute_paths_in_its_bucket(tmp_path):
    params = local_params(tmp_path)
    virt_s3.create_bucket("bucket", params)
    fill(params)
    home = tmp_path / "bucket"
    assert virt_s3.get_file(home / "top.txt", params=params) == b"top"
    assert virt_s3.get_files_batch([str(home / "top.txt"), "ds/empty"], params) == [b"top", b""]
    assert virt_s3.upload_data(b"new", home / "ds" / "new", params) == "ds/new"
    assert virt_s3.list_dirs(home, params) == ["ds/"]
    assert virt_s3.get_valid_file_paths(home / "ds/sub-1", [home / "ds/sub-1/anat"], params=params) == SUB_1[2:]
    assert virt_s3.get_valid_file_paths(f"{home}/ds/sub-1/", ["bucket", "ds"], params=params) == SUB_1
    assert virt_s3.file_exists(home / "ds/new", params)
    assert virt_s3.delete_file(home / "ds/new", params)
    assert virt_s3.delete_files_by_dir(home / "ds/sub-1", params) == SUB_1
    with pytest.raises(ValueError, match="force"):
        virt_s3.delete_files_by_dir(home, params)
    for outside in (tmp_path / "bucket2" / "x", tmp_path / "x", Path("/x"), home / ".." / "x"):
        assert not virt_s3.file_exists(outside, params)
        with pytest.raises(KeyRefusedError):
            virt_s3.upload_data(b"1", outside, params)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bucket"]


@pytest.mark.parametrize("key", ["/x", "x/", "a//b", "../x", "a/../x", "./x", "a/.", "nul\0", "k" * 1025])
def test_a_key_that_not_all_can_hold_is_refused(filled, tmp_path, key):
    file = tmp_path / "file"
    file.write_bytes(b"1")
    for data in (b"1", file, io.BytesIO(b"1")):
        with pytest.raises(KeyRefusedError) as caught:
            virt_s3.upload_data(data, key, filled)
        assert isinstance(caught.value, ValueError)
    assert content(filled) == FILES


def test_a_missing_bucket_is_named_or_answered_with_no(missing, tmp_path):
    for name, call in {**BY_KEY, **WRITING, **BY_DIRECTORY}.items():
        with pytest.raises(BucketNotFoundError, match=missing.bucket_name):
            call("ds", params=missing)
        assert name
    with pytest.raises(BucketNotFoundError, match=missing.bucket_name):
        virt_s3.get_file("x", tmp_path / "new" / "x", missing)
    assert [call("x", params=missing) for call in ASKING.values()] == [False, False]
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """Parameters of a bucket on a server that looks at signatures."""
    with rclone_server(tmp_path_factory.mktemp("guarded"), auth=("access-key", "secret-key")) as server:
        params = S3Params("guarded", server.url, "access-key", "secret-key")
        virt_s3.create_bucket("guarded", params)
        fill(params)
        yield params
        assert content(params) == FILES


CALLING = {**BY_KEY, **ASKING, **WRITING, **BY_DIRECTORY}


@pytest.mark.parametrize("name", CALLING)
def test_wrong_credentials_are_refused_access(guarded, name):
    assert CALLING["file_exists"]("top.txt", params=guarded)
    for wrong in (
        replace(guarded, aws_secret_access_key="wrong"),
        replace(guarded, aws_access_key_id="nobody"),
    ):
        with pytest.raises(AccessDeniedError, match="s3://guarded") as caught:
            CALLING[name]("top.txt", params=wrong)
        assert isinstance(caught.value, PermissionError)
        assert "secret-key" not in str(caught.value)
        assert caught.value.__cause__ is not None


@pytest.mark.parametrize("name", CALLING)
def test_denied_access_is_raised_and_never_an_answer(moto, bucket_name, name):
    with Proxy(moto.url) as proxy:
        params = S3Params(bucket_name, proxy.url, moto.access_key, moto.secret_key)
        virt_s3.create_bucket(bucket_name, params)
        virt_s3.upload_data(b"1", "ds", params)
        proxy.script(Fault("*", times=None, action=Answer(403, "AccessDenied")))
        with pytest.raises(AccessDeniedError, match=bucket_name):
            CALLING[name]("ds", params=params)
        with pytest.raises(AccessDeniedError, match="new-bucket"):
            virt_s3.create_bucket("new-bucket", params)


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("name", ["get_file", "file_exists", "upload_data", "list_dirs", "delete_files_by_dir"])
def test_a_server_that_does_not_answer_is_named(name):
    params = S3Params("bucket", "http://127.0.0.1:9", "key", "secret")
    with pytest.raises(StorageConnectionError, match=r"127\.0\.0\.1:9") as caught:
        CALLING[name]("ds", params=params)
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize("name", ALL)
def test_parameters_of_another_type_are_refused(name):
    for wrong in ("bucket", {"bucket_name": "x"}, 7, object()):
        with pytest.raises(ValueError, match="params must be S3Params or LocalFSParams"):
            ALL[name]("x", params=wrong)


@pytest.mark.parametrize("name", [name for name in ALL if name != "get_session_client"])
def test_the_local_emulation_takes_no_client(tmp_path, name):
    params = local_params(tmp_path)
    with pytest.raises(ValueError, match="client"):
        ALL[name]("x", params=params, client=object())


@pytest.mark.parametrize("name", ALL)
def test_a_keyword_that_is_not_documented_is_refused(tmp_path, name):
    params = local_params(tmp_path)
    for keyword in ("s3_params", "local_fs_params", "aws_key", "s3_client"):
        with pytest.raises(TypeError, match=keyword):
            ALL[name]("x", params=params, **{keyword: None})


def test_a_failed_call_writes_nothing(empty, tmp_path):
    virt_s3.upload_data(b"no zip", "x.zip", empty)
    virt_s3.upload_data(b"no table", "x.parquet", empty)
    virt_s3.upload_data(b"no image", "x.png", empty)
    before = content(empty)
    with pytest.raises(ValueError, match=r"x\.zip"):
        virt_s3.extract_archive_file("x.zip", "out", params=empty, cleanup_bucket=True)
    with pytest.raises(ValueError, match=r"x\.parquet"):
        virt_s3.read_parquet_file_df("x.parquet", empty)
    with pytest.raises(ValueError, match=r"x\.png"):
        virt_s3.get_image("x.png", empty, img_format="pil_img")
    with pytest.raises(ValueError, match="img_format"):
        virt_s3.get_image("x.png", empty, img_format="jpeg 2000")
    assert content(empty) == before


# Many at once


def test_sixteen_threads_share_the_functions(empty):
    barrier = threading.Barrier(16)

    def work(number):
        barrier.wait(60)
        for index in range(5):
            key = f"ds/{number:02}/{index}"
            assert virt_s3.upload_data(key.encode(), key, empty) == key
            assert virt_s3.get_file(key, params=empty) == key.encode()
            assert virt_s3.file_exists(key, empty)
        return len(virt_s3.get_valid_file_paths(f"ds/{number:02}", params=empty))

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, range(16))) == [5] * 16
    assert len(content(empty)) == 80
