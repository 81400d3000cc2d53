import pytest

from s3bids.errors import BucketNotFoundError
from s3bids.storage import LocalFSParams, LocalStorage
from s3bids.testing.conformance import FilesRig, StorageContract


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
