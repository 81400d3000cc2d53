"""From parameters to a storage: a new one, or one that is kept for equal parameters."""

import threading
from dataclasses import dataclass, replace

import pytest

from s3bids.storage import LocalFSParams, LocalStorage, S3Params, S3Storage, get_storage, registry
from s3bids.storage.registry import MOST_SHARED, shared_storage

PARAMS = S3Params("bucket", "http://127.0.0.1:9", "key", "secret")


@pytest.fixture(autouse=True)
def own_shared(monkeypatch):
    """No storage of another test."""
    monkeypatch.setattr(registry, "_shared", {})


def local(root):
    return LocalFSParams(use_local_fs=True, root_dir=root, user="someone", bucket_name="bucket")


def test_a_storage_is_new_each_time(tmp_path):
    assert isinstance(get_storage(PARAMS), S3Storage)
    assert isinstance(get_storage(local(tmp_path)), LocalStorage)
    assert get_storage(PARAMS) is not get_storage(PARAMS)


def test_equal_parameters_share_a_storage_and_a_client():
    first = shared_storage(PARAMS)
    assert shared_storage(replace(PARAMS)) is first
    assert shared_storage(replace(PARAMS)).client is first.client
    assert shared_storage(replace(PARAMS, bucket_name="other")) is not first
    assert shared_storage(replace(PARAMS, aws_secret_access_key="other")) is not first
    assert shared_storage(replace(PARAMS, region_name="eu-west-3")) is not first


def test_parameters_that_were_changed_are_others():
    params = replace(PARAMS)
    first = shared_storage(params)
    params.bucket_name = "changed"
    assert first.bucket == "bucket"
    assert shared_storage(params).bucket == "changed"
    assert shared_storage(PARAMS) is first


def test_a_client_that_is_given_makes_a_storage_of_its_own():
    client = object()
    storage = shared_storage(PARAMS, client)
    assert storage.client is client
    assert shared_storage(PARAMS) is not storage
    assert shared_storage(PARAMS, client) is not storage


def test_the_local_emulation_follows_the_working_directory(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert shared_storage(local("root")).location == f"file://{tmp_path}/{name}/root/bucket"


def test_threads_share_one_storage():
    start = threading.Barrier(16)
    found = []

    def work():
        start.wait(60)
        found.append(shared_storage(replace(PARAMS)))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_only_so_many_are_kept():
    for number in range(MOST_SHARED + 20):
        last = shared_storage(replace(PARAMS, bucket_name=f"bucket-{number}"))
    assert len(registry._shared) == MOST_SHARED
    assert shared_storage(replace(PARAMS, bucket_name=f"bucket-{MOST_SHARED + 19}")) is last


@pytest.mark.parametrize("call", [get_storage, shared_storage])
def test_parameters_of_no_backend_are_refused(call):
    with pytest.raises(ValueError, match="params must be S3Params or LocalFSParams, not str"):
        call("bucket")


def test_without_parameters_the_environment_decides(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCAL_FS", "1")
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", str(tmp_path))
    monkeypatch.setenv("S3_DEFAULT_BUCKET", "ours")
    assert get_storage().location == shared_storage().location == f"file://{tmp_path}/ours"


def test_a_new_backend_is_one_line(monkeypatch):
    @dataclass
    class MemoryParams:
        name: str

    class MemoryStorage:
        def __init__(self, params):
            self.params = params

    monkeypatch.setitem(registry.BACKENDS, MemoryParams, MemoryStorage)
    assert isinstance(get_storage(MemoryParams("x")), MemoryStorage)
    assert isinstance(shared_storage(MemoryParams("x")), MemoryStorage)
    with pytest.raises(ValueError, match="MemoryParams go without a client"):
        get_storage(MemoryParams("x"), client=object())
    with pytest.raises(ValueError, match="MemoryParams, not int"):
        get_storage(3)
