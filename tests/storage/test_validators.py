"""Validators: which files are what their names say, the same on every backend."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

import s3bids.storage as virt_s3
from s3bids.errors import AccessDeniedError, BucketNotFoundError, MissingPackageError, StorageConnectionError
from s3bids.storage import (
    CSVFileValidator,
    FileValidator,
    JSONFileValidator,
    LocalFSParams,
    ParquetFileValidator,
    S3Params,
    get_default_params,
)
from s3bids.testing.faults import Answer, Fault, Proxy


@pytest.fixture
def put(any_params):
    """A function that writes objects: key -> bytes or text."""

    def write(objects):
        for key, content in objects.items():
            virt_s3.upload_data(content.encode() if isinstance(content, str) else content, key, any_params)

    return write


def parquet():
    return pd.DataFrame({"a": [1, 2]}).to_parquet()


GOOD = {
    JSONFileValidator: ["{}", "[]", '{"a": [1, 2.5, null, true, "é"]}', "0", "null", '"text"', " [1] \n", "\ufeff{}"],
    CSVFileValidator: ["a,b\n1,2\n", "a,b\n", 'a,b\n"x, y",2\n', "é\n1\n", "a\r\n1\r\n", "a,b\n1\n"],
    ParquetFileValidator: [parquet()],
}
BAD = {
    JSONFileValidator: ["", "{", "{'a': 1}", "[1,]", "NaN", "[Infinity]", b"\xff\xfe\xfd", "[" * 100_000, "1 2"],
    CSVFileValidator: ["", "\n", "a,b\n1,2,3\n4,5,6,7,8\n", b"a,b\n\xff\xff,1\n", 'a,b\n"open,1\n'],
    ParquetFileValidator: ["", "a,b\n1,2\n", b"PAR1", parquet()[:-10], parquet()[:60] + bytes(40) + parquet()[100:]],
}
EXTENSION = {JSONFileValidator: ".json", CSVFileValidator: ".csv", ParquetFileValidator: ".parquet"}
each_kind = pytest.mark.parametrize("kind", list(EXTENSION))


@each_kind
def test_files_are_sorted_into_valid_and_invalid_ones(any_params, put, kind):
    extension = EXTENSION[kind]
    good = {f"ds/good-{number}{extension}": data for number, data in enumerate(GOOD[kind])}
    bad = {f"ds/bad-{number}{extension}": data for number, data in enumerate(BAD[kind])}
    put(good | bad | {"ds/other.txt": "", f"elsewhere/x{extension}": b""})
    validator = kind(params=any_params)
    found = validator.run(root_path="ds")
    assert found == {"valid": sorted(good), "invalid": sorted(bad)}
    assert (validator.fpaths, validator.bad_fpaths) == (found["valid"], found["invalid"])
    assert validator.run(root_path="nothing-here") == {"valid": [], "invalid": []}
    assert (validator.fpaths, validator.bad_fpaths) == ([], [])


@each_kind
def test_one_file_can_be_asked_for(any_params, put, kind):
    extension = EXTENSION[kind]
    put({f"good{extension}": GOOD[kind][0], f"bad{extension}": BAD[kind][0], "as.another": GOOD[kind][0]})
    validator = kind(params=any_params)
    assert validator.validate_file(f"good{extension}") is True
    assert validator.validate_file(f"good{extension}", None) is True
    assert validator.validate_file(Path(f"bad{extension}"), client=None) is False
    assert validator.validate_file(f"none{extension}") is False
    assert validator.validate_file("as.another") is True
    other = kind(params=LocalFSParams(True, "/nowhere", "someone", "bucket"))
    assert other.validate_file(f"good{extension}", params=any_params) is True


def test_a_list_keeps_its_order_and_other_extensions_are_in_neither(any_params, put):
    put({"b.json": "{}", "a.json": "{}", "c.json": "{", "d.csv": "a\n", "x/e.json": "[]"})
    names = ["x/e.json", "b.json", "none.json", "d.csv", Path("c.json"), "a.json", "b.json"]
    assert JSONFileValidator(params=any_params).run(names) == {
        "valid": ["x/e.json", "b.json", "a.json", "b.json"],
        "invalid": ["none.json", "c.json"],
    }


def test_what_is_ignored_is_in_neither(any_params, put):
    put({"ds/a.json": "{}", "ds/code/b.json": "{", "ds/.DS_Store": "", "ds/c.json": "{}"})
    validator = JSONFileValidator(params=any_params)
    assert validator.run(root_path="ds", ignore=["code"]) == {"valid": ["ds/a.json", "ds/c.json"], "invalid": []}
    assert validator.run(root_path="", ignore=["code", "ds/c.json"]) == {"valid": ["ds/a.json"], "invalid": []}


@pytest.mark.parametrize("fpath_li", [[], None, ()])
def test_nothing_to_validate_is_refused(any_params, fpath_li):
    with pytest.raises(ValueError, match="fpath_li, or root_path"):
        JSONFileValidator(params=any_params).run(fpath_li)


def test_one_text_is_no_list(any_params):
    with pytest.raises(TypeError, match=r"'a\.json'"):
        JSONFileValidator(params=any_params).run("a.json")
    with pytest.raises(TypeError, match=r"'\.json'"):
        JSONFileValidator(".json", any_params)


# What cannot be asked for is not invalid


@each_kind
def test_a_missing_bucket_raises(any_params, kind):
    any_params.bucket_name = "no-such-bucket"
    validator = kind(params=any_params)
    for call in (
        lambda: validator.run(root_path=""),
        lambda: validator.run([f"a{EXTENSION[kind]}"]),
        lambda: validator.validate_file(f"a{EXTENSION[kind]}"),
    ):
        with pytest.raises(BucketNotFoundError):
            call()


@each_kind
@pytest.mark.usefixtures("no_backoff")
def test_refused_access_and_a_lost_connection_raise(rclone, bucket_name, kind):
    (rclone.root / bucket_name).mkdir()
    (rclone.root / bucket_name / f"a{EXTENSION[kind]}").write_bytes(b"")
    rclone.refresh()
    with Proxy(rclone.url) as proxy:
        params = S3Params(bucket_name, proxy.url, rclone.access_key, rclone.secret_key)
        proxy.script(Fault("*", times=None, action=Answer(403, "AccessDenied")))
        with pytest.raises(AccessDeniedError):
            kind(params=params).run([f"a{EXTENSION[kind]}"])
    with pytest.raises(StorageConnectionError):
        kind(params=params).run([f"a{EXTENSION[kind]}"])


def test_without_pyarrow_a_table_is_not_called_invalid(any_params, put, monkeypatch):
    put({"a.parquet": parquet()})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingPackageError, match=r"pip install 's3bids\[parquet\]'"):
        ParquetFileValidator(params=any_params).run(["a.parquet"])


# Parameters


@pytest.mark.parametrize(
    ("kind", "extensions"),
    [
        (FileValidator, [".json", ".csv", ".parquet.sz"]),
        (JSONFileValidator, [".json"]),
        (CSVFileValidator, [".csv"]),
        (ParquetFileValidator, [".parquet.sz", ".parquet"]),
    ],
)
def test_the_signatures_are_those_of_virt_s3(kind, extensions):
    parameters = inspect.signature(kind).parameters
    assert list(parameters) == ["file_extensions", "params"]
    assert parameters["file_extensions"].default == extensions
    assert parameters["params"].default is get_default_params
    assert list(inspect.signature(kind.run).parameters) == ["self", "fpath_li", "root_path", "ignore"]


def test_parameters_are_a_value_or_a_function_called_at_once(any_params, monkeypatch):
    calls = []

    def params():
        calls.append(1)
        return any_params

    assert JSONFileValidator(params=params).params is any_params
    assert calls == [1]
    assert JSONFileValidator(params=any_params).params is any_params
    monkeypatch.setenv("LOCAL_FS", "1")
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", "/some/root")
    assert JSONFileValidator().params == get_default_params()


def test_the_list_of_extensions_is_the_validator_s_own(any_params):
    first = FileValidatorOfOld(params=any_params)
    first.file_extensions.append(".txt")
    assert FileValidatorOfOld(params=any_params).file_extensions == [".json", ".csv", ".parquet.sz"]


# Validators of users


class FileValidatorOfOld(FileValidator):
    """As code for virt_s3 has them: it notes what it was given."""

    def validate_file(self, fpath, *args, params=None, client=None, **kwargs):
        self.given = (params, client, args, kwargs)
        return json.loads(virt_s3.get_file(fpath, params=params, client=client)) != {}


class WithClient(FileValidator):
    def validate_file(self, fpath, client=None):
        self.given = client
        return True


class WithParams(FileValidator):
    def validate_file(self, fpath, *, params):
        self.given = params
        return True


class WithNothing(FileValidator):
    def validate_file(self, fpath):
        return fpath == "good.json"


class WithAnything(FileValidator):
    def validate_file(self, fpath, **options):
        self.given = options
        return True


def test_a_validator_gets_what_it_takes(any_params, put):
    put({"good.json": '{"a": 1}', "bad.json": "{}"})
    keys = ["good.json", "bad.json"]
    validator = FileValidatorOfOld(params=any_params)
    assert validator.run(keys) == {"valid": ["good.json"], "invalid": ["bad.json"]}
    params, client, args, kwargs = validator.given
    assert (params, args, kwargs) == (any_params, (), {})
    is_local = isinstance(any_params, LocalFSParams)
    assert (client is None) is is_local
    if not is_local:
        assert client.meta.endpoint_url == any_params.endpoint_url
    takes_client, takes_params, takes_all = (kind(params=any_params) for kind in (WithClient, WithParams, WithAnything))
    for validator in (takes_client, takes_params, takes_all):
        assert validator.run(keys) == {"valid": keys, "invalid": []}
    assert (takes_client.given is None) is is_local
    assert takes_params.given is any_params
    assert takes_all.given.keys() == {"params", "client"}
    assert WithNothing(params=any_params).run(keys) == {"valid": ["good.json"], "invalid": ["bad.json"]}


def test_what_a_validator_raises_reaches_the_caller(any_params, put):
    put({"a.json": "no json"})
    with pytest.raises(json.JSONDecodeError):
        FileValidatorOfOld(params=any_params).run(["a.json"])


def test_a_validator_must_say_what_is_valid():
    class Undecided(FileValidator):
        pass

    with pytest.raises(TypeError, match="validate_file"):
        Undecided(params=None)
