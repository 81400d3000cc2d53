"""The installed program in a process of its own, in an empty folder, with an environment made here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from s3bids.testing.faults import Proxy
from s3bids.testing.studies import write_study

PROGRAM = Path(sys.executable).with_name("s3bids")


@dataclass(frozen=True)
class Outcome:
    """What one run of the program left."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def work(tmp_path):
    """The empty folder that the program runs in."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path):
    """The whole environment of the program; a test may change it."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-credentials"),
    }


@pytest.fixture
def run(work, environment):
    """A function that runs the program to its end: arguments -> outcome. No run may end in a traceback."""

    def go(*arguments, code=None, program=(str(PROGRAM),)):
        found = subprocess.run(
            [*program, *map(str, arguments)],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert "Traceback" not in found.stderr
        assert code is None or found.returncode == code, found.stderr
        return Outcome(found.returncode, found.stdout, found.stderr)

    return go


@pytest.fixture
def refused(run, work):
    """A function that runs the program and expects exit 2, one sentence, and nothing written: arguments -> text."""

    def go(*arguments):
        before = sorted(work.rglob("*"))
        found = run(*arguments, code=2)
        assert found.out == ""
        assert sorted(work.rglob("*")) == before
        lines = found.err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("s3bids: error: ")
        return lines[0]

    return go


@pytest.fixture(scope="session")
def buckets(tmp_path_factory):
    """The root of a local emulation with the synthetic study at ``demo/ds``; only for reading."""
    root = tmp_path_factory.mktemp("buckets")
    write_study(root / "demo" / "ds")
    return root


@pytest.fixture
def url(buckets):
    """The address of the synthetic study."""
    return f"file://{buckets.as_posix()}/demo/ds"


@pytest.fixture
def own(buckets, tmp_path):
    """A copy of the synthetic study that a test may change: the directory that is its root."""
    shutil.copytree(buckets / "demo", tmp_path / "own" / "demo")
    return tmp_path / "own" / "demo" / "ds"


@pytest.fixture
def proxy(rclone, bucket_name, buckets):
    """A counting proxy before an S3 server; `study` is the address of the synthetic study there."""
    shutil.copytree(buckets / "demo", rclone.root / bucket_name)
    rclone.refresh()
    with Proxy(rclone.url) as running:
        running.study = f"s3://{bucket_name}/ds"
        yield running


@pytest.fixture
def files_of():
    """A function that reads the files of a directory but our own records: path -> bytes."""

    def read(directory):
        found = {path.relative_to(directory).as_posix(): path for path in Path(directory).rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".s3bids/")}

    return read
