"""The eighteen faults of virt_s3 0.1.6, each by the behaviour that took its place."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import tarfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import s3bids.storage as virt_s3
from s3bids.errors import AccessDeniedError, ArchiveError, ObjectNotFoundError
from s3bids.storage import (
    LocalFSParams,
    S3Params,
    get_storage,
    register_audit_callback,
    s3_clients,
    unregister_audit_callback,
)
from s3bids.testing.faults import Answer, Fault, Proxy

NOWHERE = "http://127.0.0.1:9"
MIB = 1024 * 1024


@pytest.fixture
def params(any_params):
    return any_params


@pytest.fixture
def misleading(monkeypatch):
    """An environment in which nothing works."""
    for name, value in {
        "S3_URL": NOWHERE,
        "S3_DEFAULT_BUCKET": "another-bucket",
        "AWS_ENDPOINT_URL": NOWHERE,
        "AWS_ACCESS_KEY_ID": "wrong",
        "AWS_SECRET_ACCESS_KEY": "wrong",
        "AWS_REGION": "mars-north-1",
        "LOCAL_FS_ROOT_DIR": "/none/such",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def events():
    """What is told to audit callbacks: (operation, bucket, key)."""
    found = []

    def remember(operation, bucket, key, extra):
        found.append((operation, bucket, key))

    register_audit_callback(remember)
    yield found
    unregister_audit_callback(remember)


def keys_in(params):
    return virt_s3.get_valid_file_paths("", None, params=params)


@pytest.mark.usefixtures("misleading")
def test_v1_given_parameters_are_the_only_source(params):
    """``s3_params`` without a client went to the environment's endpoint; ``get_image`` read its bucket."""
    assert virt_s3.upload_data(b"mine", "x.png", params) == "x.png"
    assert virt_s3.get_file("x.png", params=params) == b"mine"
    assert virt_s3.get_image("x.png", params=params) == b"mine"
    assert virt_s3.get_files_batch(["x.png"], params, max_concurrency=2) == [b"mine"]
    assert virt_s3.delete_files_by_dir("", params, force=True) == ["x.png"]


def test_v2_many_files_are_read_on_every_backend(params):
    """On local both functions always raised UnboundLocalError."""
    for key in ("a", "b"):
        virt_s3.upload_data(key.encode(), key, params)
    assert list(virt_s3.get_files_generator(["b", "a"], params)) == [b"b", b"a"]
    assert virt_s3.get_files_batch(["b", "a"], params, max_concurrency=2) == [b"b", b"a"]


def test_v3_a_missing_file_is_an_error_whatever_was_called_before(params):
    """``get_file`` raised or gave None, depending on earlier calls."""
    for _ in range(3):
        with pytest.raises(ObjectNotFoundError):
            virt_s3.get_file("missing", params=params)
        virt_s3.upload_data(b"1", "x", params)
        assert virt_s3.get_file("x", params=params) == b"1"
        with pytest.raises(ObjectNotFoundError):
            virt_s3.get_file("missing", params=params, bytes_io=True)


def test_v4_uploads_from_many_threads_fail_by_no_shared_record(params):
    """One metrics dict was shared by all; stored uploads raised IndexError, and it grew for ever."""
    storage = get_storage(params)
    with ThreadPoolExecutor(16) as threads:
        keys = list(threads.map(lambda number: storage.write(f"{number:03}", bytes(1000)), range(160)))
    assert keys_in(params) == keys
    chooser = virt_s3.TransferChooser()
    for _ in range(1000):
        chooser.record("upload", chooser.choose("upload"), 1000, 1.0)
    assert sum(len(chooser.history("upload", method)) for method in ("simple", "transfer")) <= 10
    assert chooser.history("download", "transfer") == virt_s3.TransferChooser().history("upload", "simple") == []


@pytest.mark.parametrize("method", ["simple", "transfer"])
def test_v4_there_is_progress_by_both_methods(params, method):
    """With 'simple' there was none."""
    told = []
    storage = get_storage(params)
    storage.write("x", bytes(1000), method=method, progress_callback=lambda *call: told.append(call))
    storage.read("x", method=method, progress_callback=lambda *call: told.append(call))
    assert told.count((1000, 1000)) == 2


@pytest.mark.parametrize("size", [0, 1, 10, 20, 25])
def test_v5_chunks_fit_any_size(params, size):
    """Size 0 and multiples of the chunk were InvalidRange; the callback got wrong counts."""
    told = []
    data = bytes(range(size))
    virt_s3.upload_data(data, "x", params)
    found = virt_s3.get_file_chunked("x", params, chunk_size=10, progress_callback=lambda *call: told.append(call))
    assert found == data
    assert told == sorted(told)
    assert told[-1] == (size, size)


def test_v6_local_keys_neither_escape_nor_collide(tmp_path):
    """``/x/y`` and ``../../y`` left the root; ``sub/bkt/file`` overwrote ``file``; a bucket was lost in its root."""
    root = tmp_path / "bkt-root-bkt"
    params = LocalFSParams(True, root, "someone", "bkt")
    virt_s3.create_bucket("bkt", params)
    for key in ("/x/y", "../../y", "../y", "a/../../y"):
        with pytest.raises(ValueError, match="cannot write"):
            virt_s3.upload_data(b"1", key, params)
    virt_s3.upload_data(b"file", "file", params)
    virt_s3.upload_data(b"other", "sub/bkt/file", params)
    virt_s3.upload_data(b"third", "bkt/file", params)
    assert keys_in(params) == ["bkt/file", "file", "sub/bkt/file"]
    assert virt_s3.get_file("file", params=params) == b"file"
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == [f"bkt-root-bkt/bkt/{key}" for key in ("bkt/file", "file", "sub/bkt/file")]


@pytest.mark.usefixtures("misleading")
def test_v7_calls_inside_keep_to_explicit_local_parameters(tmp_path, monkeypatch):
    """Delete, image and extract looked elsewhere, or failed with a relative root."""
    monkeypatch.chdir(tmp_path)
    params = LocalFSParams(True, "relative", "someone", "bucket")
    virt_s3.create_bucket("bucket", params)
    virt_s3.upload_data(virt_s3.archive_zip_as_buffer({"a": b"1"}), "x.zip", params)
    assert virt_s3.extract_archive_file("x.zip", "out", cleanup_bucket=True, params=params) == "out/"
    assert virt_s3.get_image("out/a", params=params) == b"1"
    assert virt_s3.delete_files_by_dir("out", params=params) == ["out/a"]
    assert keys_in(params) == []
    assert [path.name for path in tmp_path.iterdir()] == ["relative"]


def test_v8_region_and_token_reach_the_client(monkeypatch):
    """``region_name`` was not passed on, and ``AWS_SESSION_TOKEN`` was lost."""
    client = virt_s3.get_session_client(S3Params("bucket", NOWHERE, "key", "secret", "eu-north-1"))
    assert client.meta.region_name == "eu-north-1"
    for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "SESSION_TOKEN": "the-token"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    with virt_s3.SessionManager(virt_s3.get_default_params()) as client:
        assert client.meta.region_name == "eu-west-3"
        assert "the-token" in client.generate_presigned_url("get_object", {"Bucket": "b", "Key": "k"})


def evil_tar(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def link(name, target):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def test_v9_archive_members_lead_nowhere(params, tmp_path):
    """``../..`` and absolute members were written anywhere, and a symlink's target was uploaded."""
    (tmp_path / "secret").write_bytes(b"secret")
    members = {
        "up.tar": (tarfile.TarInfo(f"../../../../../../..{tmp_path}/planted"), b"1"),
        "link.tar": (link("secret", str(tmp_path / "secret")), b""),
    }
    for name, member in members.items():
        virt_s3.upload_data(evil_tar((tarfile.TarInfo("good"), b"1"), member), name, params)
        with pytest.raises(ArchiveError, match=name):
            virt_s3.extract_archive_file(name, "out", params=params)
    virt_s3.upload_data(evil_tar((tarfile.TarInfo(f"{tmp_path}/absolute"), b"1")), "absolute.tar", params)
    virt_s3.extract_archive_file("absolute.tar", "out", params=params)
    assert virt_s3.get_valid_file_paths("out", params=params) == [f"out{tmp_path}/absolute"]
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_v10_archives_of_one_name_do_not_mix(params, tmp_path, monkeypatch):
    """``./tmp/<name>`` was shared: a second ``data.zip`` uploaded the first one's files, and parallel calls failed."""
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        packed = virt_s3.archive_zip_as_buffer({f"member-{number}": b"1"})
        virt_s3.upload_data(packed, f"in/{number}/data.zip", params)

    def extract(number):
        return virt_s3.extract_archive_file(f"in/{number}/data.zip", f"out/{number}", params=params)

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(extract, range(6))) == [f"out/{number}/" for number in range(6)]
    expected = [f"out/{number}/member-{number}" for number in range(6)]
    assert virt_s3.get_valid_file_paths("out", params=params) == expected
    assert list(tmp_path.iterdir()) == []


def test_v11_a_path_to_save_to_is_a_path_and_its_errors_are_raised(params, tmp_path):
    """``save_path=Path(..)`` was ignored, and errors of copying gave None."""
    virt_s3.upload_data(b"1", "x", params)
    assert virt_s3.get_file("x", Path(tmp_path / "x"), params) == str(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"1"
    with pytest.raises(OSError, match="x"):
        virt_s3.get_file("x", tmp_path / "x" / "below a file", params)


def test_v11_a_denied_delete_is_raised(moto, bucket_name):
    """It gave []."""
    with Proxy(moto.url) as proxy:
        params = S3Params(bucket_name, proxy.url, "testing", "secret")
        virt_s3.create_bucket(bucket_name, params)
        virt_s3.upload_data(b"1", "ds/x", params)
        proxy.script(Fault("delete", times=None, action=Answer(403, "AccessDenied")))
        for call in (virt_s3.delete_file, virt_s3.delete_files_by_dir):
            with pytest.raises(AccessDeniedError, match="ds/x"):
                call("ds/x" if call is virt_s3.delete_file else "ds", params)
        proxy.reset()
        assert keys_in(params) == ["ds/x"]


def test_v11_the_asynchronous_function_raises():
    """It lost exceptions."""

    async def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        virt_s3.run_async_func_in_new_event_loop_in_thread(fail)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(virt_s3.run_concurrent_tasks([fail()]))


def test_v12_validators_run(params):
    """``run()`` of all three raised TypeError, and a JSON list and ``{}`` counted as invalid."""
    for key, data in {"list.json": b"[1]", "empty.json": b"{}", "bad.json": b"{", "table.csv": b"a,b\n1,2\n"}.items():
        virt_s3.upload_data(data, key, params)
    virt_s3.write_parquet_file_df(pd.DataFrame({"a": [1]}), "table.parquet", params)
    virt_s3.upload_data(b"none", "bad.parquet", params)
    found = virt_s3.JSONFileValidator(params=params).run(root_path="")
    assert found == {"valid": ["empty.json", "list.json"], "invalid": ["bad.json"]}
    assert virt_s3.CSVFileValidator(params=params).run(root_path="/") == {"valid": ["table.csv"], "invalid": []}
    found = virt_s3.ParquetFileValidator(params=params).run(["table.parquet", "bad.parquet"])
    assert found == {"valid": ["table.parquet"], "invalid": ["bad.parquet"]}


def test_v13_a_wrong_column_filter_or_engine_is_an_error(params):
    """The whole table came."""
    virt_s3.write_parquet_file_df(pd.DataFrame({"a": [1, 2], "b": [3, 4]}), "x.parquet", params)
    assert list(virt_s3.read_parquet_file_df("x.parquet", params, columns=["b"], filters=[("a", "==", 2)])["b"]) == [4]
    for options in ({"columns": ["none"]}, {"filters": [("none", "==", 1)]}, {"engine": "abacus"}):
        with pytest.raises(ValueError, match=r"none|abacus"):
            virt_s3.read_parquet_file_df("x.parquet", params, **options)


def test_v14_each_object_is_told_once(params, tmp_path, events):
    """A folder emitted one event with a list; extract, local and lower-level calls emitted none."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"1")
    virt_s3.upload_data(tmp_path, "folder", params)
    virt_s3.upload_data(virt_s3.archive_zip_as_buffer({"m": b"1", "n": b"2"}), "x.zip", params)
    virt_s3.extract_archive_file("x.zip", "out", cleanup_bucket=True, params=params)
    virt_s3.write_parquet_file_df(pd.DataFrame({"a": [1]}), "x.parquet", params)
    get_storage(params).write("low", b"1")
    virt_s3.delete_files_by_dir("folder", params)
    virt_s3.delete_file("none", params)
    written = [key for operation, _, key in events if operation == "write"]
    deleted = [key for operation, _, key in events if operation == "delete"]
    assert sorted(written) == ["folder/a", "folder/b", "low", "out/m", "out/n", "x.parquet", "x.zip"]
    assert deleted == ["x.zip", "folder/a", "folder/b"]
    assert {bucket for _, bucket, _ in events} == {params.bucket_name}


def test_v15_an_image_is_an_array(params):
    """NUMPY_ARRAY never worked."""
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), (10, 20, 30)).save(buffer, "png")
    virt_s3.upload_data(buffer, "x.png", params)
    for img_format in (virt_s3.ImageFormatType.NUMPY_ARRAY, "numpy_array"):
        array = virt_s3.get_image("x.png", params, img_format=img_format)
        assert array.shape == (2, 3, 3)
        assert array[1, 2].tolist() == [10, 20, 30]


def test_v16_calls_without_a_client_share_one(moto, bucket_name, monkeypatch):
    """Each made a client of its own, and left it open."""
    made = []
    make = s3_clients.make_client
    monkeypatch.setattr(s3_clients, "make_client", lambda *given, **more: made.append(make(*given, **more)) or made[-1])
    params = S3Params(bucket_name, moto.url, "testing", "secret")
    virt_s3.create_bucket(bucket_name, params)
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda number: virt_s3.upload_data(b"1", str(number), replace(params)), range(40)))
    assert virt_s3.get_files_batch(keys, replace(params), max_concurrency=8) == [b"1"] * 40
    assert virt_s3.delete_files_by_dir("/", replace(params), force=True) == sorted(keys)
    assert len(made) == 1


def test_v17_an_import_is_silent_and_needs_no_optional_package(tmp_path):
    """There were warnings on import, INFO lines at each call, and NameError without the optional packages."""
    code = """
import logging, sys
logging.basicConfig(level=logging.INFO)
for name in ("PIL", "pyarrow", "predict_backend"):
    sys.modules[name] = None
import s3bids.storage as virt_s3
params = virt_s3.LocalFSParams(True, "root", "someone", "bucket")
virt_s3.create_bucket("bucket", params)
virt_s3.upload_data(b"1", "x.png", params)
virt_s3.get_file("x.png", params=params)
virt_s3.delete_file("none", params)
for call, extra in (
    (lambda: virt_s3.get_image("x.png", params, img_format="pil_img"), "images"),
    (lambda: virt_s3.read_parquet_file_df("x.png", params), "parquet"),
):
    try:
        call()
    except ImportError as error:
        assert f"s3bids[{extra}]" in str(error), error
    else:
        raise AssertionError(extra)
"""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_v17_calls_log_nothing_above_debug(params, caplog):
    with caplog.at_level(logging.INFO):
        virt_s3.upload_data(b"1", "x", params)
        virt_s3.get_file("x", params=params)
        virt_s3.list_dirs("", params)
        virt_s3.delete_files_by_dir("", params, force=True)
        assert not virt_s3.delete_file("x", params)
    assert [record for record in caplog.records if record.name.startswith("s3bids")] == []


def test_v18_a_view_is_not_copied_and_pieces_stay_small(params, tmp_path):
    """Uploading a memoryview copied it; "chunked" reading held the whole object."""
    data = bytearray(32 * MIB)
    storage = get_storage(params)
    virt_s3.upload_data(b"1", "warm", params)
    storage.read("warm")
    tracemalloc.start()
    try:
        virt_s3.upload_data(memoryview(data), "x", params)
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
        tracemalloc.reset_peak()
        assert sum(len(piece) for piece in storage.stream("x", chunk_size=MIB)) == len(data)
        virt_s3.get_file("x", tmp_path / "x", params)
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    finally:
        tracemalloc.stop()
    assert (tmp_path / "x").stat().st_size == len(data)
