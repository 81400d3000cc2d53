"""A study in four places: two S3 servers, and the local emulation reached by parameters and by the environment."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from s3bids import LocalFSParams, S3BIDSStudy
from s3bids.testing.faults import Proxy

#: A small study with what has gone wrong before: sibling names, loose files, a derivative without description.
PATHS = (
    "CHANGES",
    "README",
    "code/run.py",
    "code/tools/convert.sh",
    "dataset_description.json",
    "derivatives/afq-old/dataset_description.json",
    "derivatives/afq-old/sub-1/sub-1_profiles.csv",
    "derivatives/afq/dataset_description.json",
    "derivatives/afq/sub-1/sub-1_profiles.csv",
    "derivatives/afq/sub-1/sub-1_tract.trk",
    "derivatives/afq/sub-10/sub-10_profiles.csv",
    "derivatives/loose.txt",
    "derivatives/qsiprep/sub-1.html",
    "derivatives/qsiprep/sub-1/dwi/sub-1_dwi.nii.gz",
    "participants.tsv",
    "sub-1.json",
    "sub-1/anat/sub-1_T1w.json",
    "sub-1/anat/sub-1_T1w.nii.gz",
    "sub-1/dwi/sub-1_dwi.bval",
    "sub-10/anat/sub-10_T1w.nii.gz",
    "sub-1_scans.tsv",
    "sub-2/anat/sub-2_T1w.nii.gz",
)


class Place:
    """Where the study of a test is: a bucket of its own, filled without the code under test."""

    #: How the bucket is reached, unless the environment says so.
    storage = None

    def __init__(self, bucket):
        self.bucket = bucket

    def put(self, objects):
        """Write objects: key -> bytes or text."""
        raise NotImplementedError

    def remove(self, key):
        raise NotImplementedError

    def put_tree(self, directory, prefix):
        files = [path for path in Path(directory).rglob("*") if path.is_file()]
        self.put({f"{prefix}/{path.relative_to(directory).as_posix()}": path.read_bytes() for path in files})

    def study(self, s3_prefix="ds", kind=S3BIDSStudy, **options):
        """Open the study under a prefix, with all subjects unless said otherwise."""
        options = {"study_id": "study", "subjects": "all", **options}
        if self.storage is not None:
            options.setdefault("storage", self.storage)
        return kind(bucket=self.bucket, s3_prefix=s3_prefix, **options)


class FilesPlace(Place):
    """A place that is a folder."""

    def __init__(self, bucket, root):
        super().__init__(bucket)
        self.root = Path(root)
        (self.root / bucket).mkdir(parents=True)

    def put(self, objects):
        for key, content in objects.items():
            path = self.root / self.bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_bytes(content))

    def remove(self, key):
        (self.root / self.bucket / key).unlink()


class RclonePlace(FilesPlace):
    """A folder that rclone serves."""

    def __init__(self, bucket, server):
        super().__init__(bucket, server.root)
        self.server = server
        server.refresh()

    def put(self, objects):
        super().put(objects)
        self.server.refresh()

    def remove(self, key):
        super().remove(key)
        self.server.refresh()


class MotoPlace(Place):
    """A bucket of moto, which serves unsigned reads of public objects only."""

    def __init__(self, bucket, client):
        super().__init__(bucket)
        self.client = client
        client.create_bucket(Bucket=bucket)

    def put(self, objects):
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(self._put, objects.items()))

    def _put(self, item):
        self.client.put_object(Bucket=self.bucket, Key=item[0], Body=_bytes(item[1]), ACL="public-read")

    def remove(self, key):
        self.client.delete_object(Bucket=self.bucket, Key=key)


def _bytes(content):
    return content.encode() if isinstance(content, str) else content


@pytest.fixture(scope="session")
def moto_client(moto):
    client = moto.boto3_client()
    yield client
    client.close()


@pytest.fixture
def on_moto(moto, moto_client, bucket_name, monkeypatch):
    """A bucket on moto, to which the environment directs unsigned studies."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.url)
    return MotoPlace(bucket_name, moto_client)


@pytest.fixture
def on_rclone(rclone, bucket_name, monkeypatch):
    """A bucket of rclone, to which the environment directs unsigned studies."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", rclone.url)
    return RclonePlace(bucket_name, rclone)


@pytest.fixture
def proxy(rclone):
    """A counting proxy before rclone."""
    with Proxy(rclone.url) as running:
        yield running


@pytest.fixture
def counted(on_rclone, proxy, monkeypatch):
    """As `on_rclone`, with every request passing `proxy`."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    return on_rclone


@pytest.fixture
def by_params(tmp_path, bucket_name):
    """The local emulation, reached by parameters."""
    place = FilesPlace(bucket_name, tmp_path / "buckets")
    place.storage = LocalFSParams(use_local_fs=True, root_dir=place.root, user="someone", bucket_name=bucket_name)
    return place


@pytest.fixture
def by_environment(tmp_path, bucket_name, monkeypatch):
    """The local emulation, to which the environment switches a program."""
    monkeypatch.setenv("LOCAL_FS", "1")
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", str(tmp_path / "buckets"))
    return FilesPlace(bucket_name, tmp_path / "buckets")


@pytest.fixture(params=["on_moto", "on_rclone", "by_params", "by_environment"])
def place(request):
    """Each of the four places in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def ds():
    """The small study: path -> content, which is the path itself where nothing reads it."""
    table = "participant_id\tage\nsub-1\t20\nsub-10\t21\nsub-2\t22\n"
    return {path: path.encode() for path in PATHS} | {"participants.tsv": table.encode()}


@pytest.fixture
def keys(ds):
    """The small study as it lies in a bucket, below the prefix ``ds``."""
    return {f"ds/{path}": content for path, content in ds.items()}


@pytest.fixture
def local(by_params, keys):
    """The small study in the local emulation, for what does not depend on the place."""
    by_params.put(keys)
    return by_params


@pytest.fixture
def served(counted, keys):
    """The small study on rclone, with requests counted."""
    counted.put(keys)
    return counted


@pytest.fixture
def tree():
    """A function that reads every file of a directory but our own records: path -> content."""

    def read(directory):
        directory = Path(directory)
        files = (path for path in directory.rglob("*") if path.is_file())
        found = {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}
        return {path: content for path, content in found.items() if not path.startswith(".s3bids/")}

    return read


@pytest.fixture
def out(tmp_path):
    """A directory to download to, which does not exist yet."""
    return tmp_path / "out"


@pytest.fixture
def reborn():
    """A function that sends a value through pickle."""
    return lambda value: pickle.loads(pickle.dumps(value))
