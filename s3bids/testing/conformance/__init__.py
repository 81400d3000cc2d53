"""The contract of :class:`~s3bids.storage.base.Storage` as one test class that every backend inherits.

A backend subclasses :class:`StorageContract` in a test file, says how to reach its buckets without the code under test,
and where it truly cannot do what S3 does::

    class TestMyStorage(StorageContract):
        has_etags = False

        @pytest.fixture
        def open_storage(self, tmp_path): ...  # gives a function: bucket name -> storage
        @pytest.fixture
        def unreachable(self): ...  # a storage whose server is not there
        def make_bucket(self, bucket): ...
        def seed(self, bucket, objects): ...
        def stored(self, bucket): ...

No test is ever overridden or left out: where a capability is missing, the test asserts what happens instead. S3 servers
inherit :class:`S3Contract`, which has all the hooks and needs the name of a fixture that runs the server.
"""

from __future__ import annotations

from .deleting import DeletingContract
from .listing import ListingContract
from .pieces import PiecesContract
from .reading import ReadingContract
from .rig import FilesRig, Rig, S3Rig
from .sharing import SharingContract
from .transferring import TransferringContract
from .writing import WritingContract


class StorageContract(
    ListingContract,
    ReadingContract,
    WritingContract,
    TransferringContract,
    PiecesContract,
    DeletingContract,
    SharingContract,
):
    """What every storage does; the hooks and the capabilities are those of :class:`Rig`."""


class S3Contract(S3Rig, StorageContract):
    """What :class:`~s3bids.storage.s3.S3Storage` does on any server."""


__all__ = ["FilesRig", "Rig", "S3Contract", "StorageContract"]
