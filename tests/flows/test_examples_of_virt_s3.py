"""The examples of virt_s3's own documentation, on every backend; nothing is changed but the import."""

from __future__ import annotations

import pandas as pd
import pytest

import s3bids.storage as virt_s3

IMPORT = "import s3bids.storage as virt_s3\n"

#: README of virt_s3 0.1.6, "Example Usage", and of 0.1.2, whose first example gives the name that the last one reads.
CREATE = """
params = virt_s3.get_default_params()

# use context manager to manage session scope
with virt_s3.SessionManager(params=params) as session:
    virt_s3.create_bucket('test-bucket', params=params, client=session)
"""
UPLOAD = """
import pandas as pd

# ENV variable `Local_FS` = '1' or '0' (local file system or S3)
params = virt_s3.get_default_params()

# path to locally saved csv file
fpath = "/tmp/data.csv"

# use context manager to manage session scope
with virt_s3.SessionManager(params=params) as session:
    s3_key = f"fixture/data/data.csv"
    virt_s3.upload_data(fpath, s3_key, params=params, client=session)
"""
WRITE = """
import pandas as pd
from io import BytesIO

# ENV variable `Local_FS` = '1' or '0' (local file system or S3)
params = virt_s3.get_default_params()

df = pd.DataFrame([{'a': 1, 'b': 2}])
buffer = BytesIO()
df.to_csv(buffer, index=None)

with virt_s3.SessionManager(params=params) as session:
    virt_s3.create_bucket('test-bucket', params=params, client=session)
    path = f"fixture/data/data.csv"
    saved_key = virt_s3.upload_data(buffer.getbuffer(), path, params=params, client=session)
"""
READ = """
import pandas as pd

# ENV variable `Local_FS` = '1' or '0' (Local file system or S3)
params = virt_s3.get_default_params()

# use context manager to manage session scope
with virt_s3.SessionManager(params=params) as session:
    data = virt_s3.get_file(saved_key, bytes_io=True, params=params, client=session)
    df = pd.read_csv(data)
"""
#: The example in the documentation of SessionManager.
SESSION = """
params = virt_s3.get_default_params()
with virt_s3.SessionManager(params=params) as session:
    virt_s3.create_bucket('default-bucket', params=params, client=session)
"""


@pytest.fixture(params=["local", "moto", "rclone"])
def environment(request, tmp_path, monkeypatch):
    """The variables of virt_s3's README, "Getting Started"."""
    values = {"LOCAL_FS_USER": "someone", "LOCAL_FS": "1", "LOCAL_FS_ROOT_DIR": str(tmp_path / "buckets")}
    if request.param != "local":
        server = request.getfixturevalue(request.param)
        values |= {
            "LOCAL_FS": "0",
            "S3_URL": server.url,
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_REGION": "us-east-1",
        }
    values["S3_DEFAULT_BUCKET"] = "test-bucket"
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def run(code, names):
    exec(compile(IMPORT + code, "README of virt_s3", "exec", dont_inherit=True), names)


@pytest.mark.usefixtures("environment")
def test_the_examples_of_the_readme_run(tmp_path):
    (tmp_path / "data.csv").write_text("a,b\n3,4\n")
    names = {}
    for code in (CREATE, UPLOAD.replace("/tmp/data.csv", str(tmp_path / "data.csv"))):
        run(code, names)
    assert virt_s3.get_file("fixture/data/data.csv") == b"a,b\n3,4\n"
    for code in (WRITE, READ):
        run(code, names)
    assert names["saved_key"] == "fixture/data/data.csv"
    pd.testing.assert_frame_equal(names["df"], pd.DataFrame([{"a": 1, "b": 2}]))
    assert virt_s3.delete_files_by_dir("/", force=True) == ["fixture/data/data.csv"]


@pytest.mark.usefixtures("environment")
def test_the_example_of_a_session_runs():
    run(SESSION, {})
    params = virt_s3.get_default_params()
    params.bucket_name = "default-bucket"
    assert virt_s3.get_valid_file_paths("", params=params) == []


@pytest.mark.usefixtures("environment")
def test_a_service_works_without_naming_anything():
    """As services do that leave all to the environment: no params, no client."""
    virt_s3.create_bucket("test-bucket")
    assert virt_s3.upload_data(b'{"a": 1}', "app/state.json") == "app/state.json"
    assert virt_s3.file_exists("app/state.json")
    assert virt_s3.get_file("app/state.json").decode() == '{"a": 1}'
    assert virt_s3.list_dirs("") == ["app/"]
    assert virt_s3.get_valid_file_paths("app") == ["app/state.json"]
    assert virt_s3.delete_file("app/state.json")
    assert virt_s3.get_valid_file_paths("app") == []
