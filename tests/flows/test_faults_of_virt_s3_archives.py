"""Faults of virt_s3 0.1.6 in archives, images, tables and validators, each by its symptom."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import s3bids.storage as virt_s3
from s3bids.errors import ArchiveError

PIXELS = (np.arange(4 * 6 * 3) * 3 % 256).astype(np.uint8).reshape(4, 6, 3)


@pytest.fixture
def put(any_params):
    """A function that writes objects: key -> bytes."""

    def write(objects):
        for key, data in objects.items():
            virt_s3.upload_data(data, key, params=any_params)

    return write


@pytest.fixture
def keys(any_params):
    """A function that lists all keys, or those below a directory."""
    return lambda directory="": virt_s3.get_valid_file_paths(directory, params=any_params)


def png():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    return buffer.getvalue()


def tar_with(member, content=b""):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


# V-7: inner calls forgot explicit LocalFSParams


def test_v7_images_and_archives_are_found_below_a_relative_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = virt_s3.LocalFSParams(use_local_fs=True, root_dir="root", user="someone", bucket_name="bkt")
    virt_s3.create_bucket("bkt", params=params)
    virt_s3.upload_data(png(), "a.png", params=params)
    virt_s3.upload_data(virt_s3.archive_zip_as_buffer({"x": b"1"}), "a.zip", params=params)
    assert np.array_equal(virt_s3.get_image("a.png", params=params, img_format="numpy_array"), PIXELS)
    assert virt_s3.extract_archive_file("a.zip", "out", params=params) == "out/"
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == [
        "root/bkt/a.png",
        "root/bkt/a.zip",
        "root/bkt/out/x",
    ]


# V-9: members of a tar were written anywhere, and a link's target was uploaded


@pytest.mark.parametrize("name", ["../../../v9-outside", "/../v9-outside"])
def test_v9_a_member_never_leaves_the_folder(any_params, put, keys, tmp_path, monkeypatch, name):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    put({"a.tar": tar_with(tarfile.TarInfo(name), b"bad")})
    with pytest.raises(ArchiveError, match="v9-outside"):
        virt_s3.extract_archive_file("a.tar", "out", params=any_params)
    assert keys() == ["a.tar"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_v9_an_absolute_member_goes_below_the_prefix(any_params, put, keys, tmp_path):
    outside = tmp_path / "v9-outside"
    put({"a.tar": tar_with(tarfile.TarInfo(str(outside)), b"1")})
    virt_s3.extract_archive_file("a.tar", "out", params=any_params)
    assert keys("out") == [f"out{outside}"]
    assert not outside.exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_v9_the_target_of_a_link_is_not_uploaded(any_params, put, keys, tmp_path, kind):
    (tmp_path / "secret").write_text("secret")
    member = tarfile.TarInfo("harmless.txt")
    member.type, member.linkname = kind, str(tmp_path / "secret")
    put({"a.tar": tar_with(member)})
    with pytest.raises(ArchiveError, match=r"harmless\.txt"):
        virt_s3.extract_archive_file("a.tar", "out", params=any_params)
    assert keys() == ["a.tar"]


# V-10: ./tmp/<name> was shared, and what was seen once was never unpacked again


def test_v10_a_second_archive_of_the_same_name_brings_its_own_files(any_params, put, keys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        inner = virt_s3.archive_zip_as_buffer({f"{name}.txt": b"1"}).getvalue()
        put({f"{name}/data.zip": virt_s3.archive_zip_as_buffer({"inner.zip": inner}).getvalue()})
        virt_s3.extract_archive_file(f"{name}/data.zip", f"out/{name}", params=any_params)
        assert keys(f"out/{name}") == [f"out/{name}/{name}.txt"]
        virt_s3.extract_archive_file(f"{name}/data.zip", f"again/{name}", params=any_params)
        assert keys(f"again/{name}") == [f"again/{name}/{name}.txt"]
    assert list(tmp_path.iterdir()) == []


def test_v10_parallel_calls_do_not_fail(any_params, put, keys):
    put({f"{number}/data.zip": virt_s3.archive_zip_as_buffer({f"{number}": b"1"}).getvalue() for number in range(6)})
    with ThreadPoolExecutor(6) as threads:
        jobs = [
            threads.submit(virt_s3.extract_archive_file, f"{number}/data.zip", f"out/{number}", params=any_params)
            for number in range(6)
        ]
        assert [job.result() for job in jobs] == [f"out/{number}/" for number in range(6)]
    assert keys("out") == [f"out/{number}/{number}" for number in range(6)]


@pytest.mark.parametrize("cleanup_local", [True, False])
def test_v10_nothing_is_left_on_this_computer(any_params, put, tmp_path, monkeypatch, cleanup_local):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    put({"good.zip": virt_s3.archive_zip_as_buffer({"x": b"1"}).getvalue(), "bad.zip": b"bad"})
    virt_s3.extract_archive_file("good.zip", "out", cleanup_local, params=any_params)
    with pytest.raises(ArchiveError, match=r"bad\.zip"):
        virt_s3.extract_archive_file("bad.zip", "out", cleanup_local, params=any_params)
    assert list(tmp_path.iterdir()) == []


# V-12: run() of the validators raised TypeError, and a JSON list was invalid


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (virt_s3.JSONFileValidator, {"a.json": b"[]", "b.json": b"{}", "c.json": b"0"}, {"z.json": b"{"}),
        (virt_s3.CSVFileValidator, {"a.csv": b"a,b\n1,2\n"}, {"z.csv": b""}),
        (virt_s3.ParquetFileValidator, {"a.parquet": pd.DataFrame({"a": [1]}).to_parquet()}, {"z.parquet": b"z"}),
    ],
)
def test_v12_validators_run_and_any_json_is_valid(any_params, put, kind, good, bad):
    put(good | bad)
    assert kind(params=any_params).run([*good, *bad]) == {"valid": list(good), "invalid": list(bad)}
    assert kind(params=any_params).run(root_path="") == {"valid": list(good), "invalid": list(bad)}


# V-13: a missing column, a bad filter or a bad engine gave the whole table


@pytest.mark.parametrize(
    "options", [{"columns": ["nope"]}, {"filters": [("nope", "==", 1)]}, {"filters": "a > 1"}, {"engine": "nope"}]
)
def test_v13_what_makes_no_sense_is_an_error(any_params, options):
    virt_s3.write_parquet_file_df(pd.DataFrame({"a": [1, 2]}), "t.parquet", params=any_params)
    with pytest.raises(ValueError, match=r"nope|unpack|filters"):
        virt_s3.read_parquet_file_df("t.parquet", params=any_params, **options)


def test_v13_columns_and_filters_are_obeyed_and_partitions_are_written(any_params, keys):
    table = pd.DataFrame({"site": ["SI", "RU", "SI"], "n": [1, 2, 3]})
    assert virt_s3.write_parquet_file_df(table, "t", params=any_params, partition_cols=["site"]) == "t/"
    assert [key.rpartition("/")[0] for key in keys()] == ["t/site=RU", "t/site=SI"]
    found = virt_s3.read_parquet_file_df("t/", params=any_params, columns=["n"], filters=[("site", "==", "SI")])
    assert found.to_dict("list") == {"n": [1, 3]}


# V-14: unpacking told the audit nothing


def test_v14_unpacking_tells_the_audit_of_each_object_once(any_params, put):
    put({"a.zip": virt_s3.archive_zip_as_buffer({"x": b"1", "d/y": b"2"}).getvalue()})
    told = []

    def audit(operation, bucket, key, _extra):
        told.append((operation, bucket, key))

    virt_s3.register_audit_callback(audit)
    try:
        virt_s3.extract_archive_file("a.zip", "out", cleanup_bucket=True, params=any_params)
    finally:
        virt_s3.unregister_audit_callback(audit)
    bucket = any_params.bucket_name
    assert sorted(told[:2]) == [("write", bucket, "out/d/y"), ("write", bucket, "out/x")]
    assert told[2:] == [("delete", bucket, "a.zip")]


# V-15: NUMPY_ARRAY never worked


@pytest.mark.parametrize("form", [virt_s3.ImageFormatType.NUMPY_ARRAY, "numpy_array"])
def test_v15_an_image_is_an_array(any_params, put, form):
    put({"a.png": png()})
    found = virt_s3.get_image("a.png", params=any_params, img_format=form)
    assert type(found) is np.ndarray
    assert np.array_equal(found, PIXELS)


# V-17: warnings on import, and NameError or TypeError without the optional packages

WITHOUT = """
import sys
for name in ("PIL", "pyarrow"):
    sys.modules[name] = None
import s3bids.storage as virt_s3
params = virt_s3.get_default_params()
virt_s3.create_bucket(params.bucket_name)
virt_s3.upload_data(b"x", "a.png")
calls = {
    "images": lambda: virt_s3.get_image("a.png", img_format="pil_img"),
    "parquet": lambda: virt_s3.read_parquet_file_df("a.png"),
}
virt_s3.ParquetFileValidator()
for extra, call in calls.items():
    try:
        call()
    except ImportError as error:
        assert f"pip install 's3bids[{extra}]'" in str(error), error
    else:
        raise SystemExit(f"{extra} did not raise")
"""


def test_v17_the_import_is_silent_and_a_missing_package_is_named(tmp_path):
    environment = {"LOCAL_FS": "1", "LOCAL_FS_ROOT_DIR": str(tmp_path / "root"), "PATH": os.defpath}
    command = [sys.executable, "-W", "error", "-c", WITHOUT]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["root"]
