from concurrent.futures import ThreadPoolExecutor

import pytest

from s3bids.errors import BucketNotFoundError, KeyRefusedError, ObjectNotFoundError
from s3bids.storage import LocalFSParams, LocalStorage
from s3bids.storage.files import part_name
from s3bids.testing.conformance import FilesRig, StorageContract
from s3bids.testing.conformance.rig import keys_of


class TestLocal(FilesRig, StorageContract):
    has_etags = False
    honours_if_match = False
    unreachable_error = BucketNotFoundError

    @pytest.fixture(autouse=True)
    def root(self, tmp_path_factory):
        self.root = tmp_path_factory.mktemp("root")

    @pytest.fixture
    def open_storage(self):
        return lambda bucket: LocalStorage(LocalFSParams(True, self.root, "someone", bucket))

    @pytest.fixture
    def unreachable(self):
        return LocalStorage(LocalFSParams(True, self.root / "none", "someone", "bucket"))


@pytest.fixture
def storage(tmp_path):
    """A bucket with one object, beside another bucket and a file in the root."""
    for name in ("bucket/ds/x", "other/x", "secret"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return LocalStorage(LocalFSParams(True, tmp_path, "someone", "bucket"))


@pytest.mark.parametrize("key", ["../secret", "../other/x", "ds/../../secret", "/etc/passwd", "ds/../x", "./ds/x"])
def test_a_key_never_leads_out(storage, tmp_path, key):
    with pytest.raises(ObjectNotFoundError):
        storage.read(key)
    with pytest.raises(ObjectNotFoundError):
        storage.head(key)
    with pytest.raises(KeyRefusedError):
        storage.path(key)
    assert storage.delete(key) == []
    assert storage.delete(key, recursive=True) == []
    assert list(storage.list(key)) == list(storage.list(key, literal=True)) == []
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["secret", "x", "x"]


def test_a_link_that_leads_out_is_absent(storage, tmp_path):
    home = tmp_path / "bucket"
    (home / "file").symlink_to(tmp_path / "secret")
    (home / "folder").symlink_to(tmp_path / "other")
    (home / "dangling").symlink_to(home / "none")
    assert keys_of(storage.list()) == ["ds/x"]
    directories, objects = storage.children()
    assert (directories, objects) == (["ds/"], [])
    for key in ("file", "folder/x", "dangling"):
        with pytest.raises(ObjectNotFoundError):
            storage.read(key)
        assert storage.delete(key) == []
    for key in ("file", "folder/x", "folder/new"):
        with pytest.raises(KeyRefusedError, match=key):
            storage.write(key, b"1")
    assert storage.delete("folder", recursive=True) == []
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["x"]


def test_a_link_inside_the_bucket_is_followed(storage, tmp_path):
    home = tmp_path / "bucket"
    (home / "again").symlink_to(home / "ds")
    (home / "ds" / "circle").symlink_to(home / "ds")
    assert keys_of(storage.list()) == ["again/x", "ds/x"]
    assert storage.read("again/x") == b"bucket/ds/x"


def test_a_path_is_reduced_to_its_key_and_back(storage, tmp_path):
    path = tmp_path / "bucket" / "ds" / "x"
    assert storage.key(path) == storage.key(str(path)) == storage.key("ds/x") == "ds/x"
    assert storage.path("ds/x") == path
    for outside in (tmp_path / "secret", tmp_path / "bucket2" / "x", "../secret", "/"):
        with pytest.raises(KeyRefusedError, match="outside"):
            storage.key(outside)


def test_a_relative_root_is_taken_when_the_storage_is_made(storage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = LocalStorage(LocalFSParams(True, ".", "someone", "bucket"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert relative.location == storage.location == f"file://{tmp_path}/bucket"
    assert relative.read("ds/x") == b"bucket/ds/x"


def test_unfinished_files_do_not_show(storage, tmp_path):
    part = tmp_path / "bucket" / "ds" / part_name()
    part.write_bytes(b"half")
    assert keys_of(storage.list()) == ["ds/x"]
    assert keys_of(storage.children("ds")[1]) == ["ds/x"]


def test_a_reader_sees_the_old_object_or_the_new_one(storage):
    versions = [bytes([number]) * 300_000 for number in range(40)]
    storage.write("ds/y", versions[0])
    with ThreadPoolExecutor(1) as writer:
        done = writer.submit(lambda: [storage.write("ds/y", version) for version in versions])
        seen = {storage.read("ds/y")}
        while not done.done():
            seen.add(storage.read("ds/y"))
        done.result()
    assert seen <= set(versions)
    assert keys_of(storage.list()) == ["ds/x", "ds/y"]
