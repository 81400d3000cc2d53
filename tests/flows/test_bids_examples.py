"""Real BIDS data sets, served by an S3 server and by a directory, arrive byte for byte."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from s3bids import LocalFSParams, S3BIDSStudy, S3Params
from s3bids.testing.faults import Proxy

DATA_SETS = (
    "7t_trt",
    "asl001",
    "ds000001-fmriprep",
    "ds000246",
    "ds102",
    "ds114",
    "dwi_deriv",
    "micr_SEMzarr",
    "pet001",
    "pheno004",
    "qmri_mp2rage",
)
STANDALONE = ("ds000001-fmriprep", "dwi_deriv")
BUCKET = "bids-examples"


def tree(directory: Path) -> dict[str, bytes]:
    """Give every file of a directory but our own records: path -> content."""
    files = (path for path in directory.rglob("*") if path.is_file())
    found = {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}
    return {path: content for path, content in found.items() if not path.startswith(".s3bids/")}


def verdict(directory: Path) -> list[str]:
    """Give what the official validator says of a data set, whatever its directory is called."""
    program = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([program, "--json", directory], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    return sorted(json.dumps(issue, sort_keys=True) for issue in issues)


def open_study(name: str, params: S3Params | LocalFSParams) -> S3BIDSStudy:
    layout = "standalone" if name in STANDALONE else "nested"
    return S3BIDSStudy(name, BUCKET, name, subjects="all", storage=params, layout=layout)


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_data_set_served_by_rclone_arrives_whole_and_is_not_fetched_again(name, bids_examples, rclone, tmp_path):
    shutil.copytree(bids_examples / name, rclone.root / BUCKET / name, dirs_exist_ok=True)
    rclone.refresh()
    with Proxy(rclone.url) as proxy:
        study = open_study(name, S3Params(BUCKET, proxy.url, anon=True))
        first = study.download_dataset(tmp_path / name, derivatives=True)
        # Objects without bytes need no request.
        with_bytes = sum(bool(content) for content in tree(tmp_path / name).values())
        assert proxy.counts()["get"] == with_bytes
        assert proxy.counts()["head"] == 0
        proxy.reset()
        second = study.download_dataset(tmp_path / name, derivatives=True)
        assert (proxy.counts()["get"], proxy.counts()["head"]) == (0, 0)
    original = tree(bids_examples / name)
    assert tree(tmp_path / name) == original
    assert (first.fetched, second.fetched, second.skipped) == (len(original), 0, len(original))


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_data_set_of_the_local_emulation_arrives_whole(name, bids_examples, tmp_path):
    params = LocalFSParams(use_local_fs=True, root_dir=bids_examples.parent, user="", bucket_name=bids_examples.name)
    study = open_study(name, params)
    study.download_dataset(tmp_path / name, derivatives=True)
    assert tree(tmp_path / name) == tree(bids_examples / name)
    assert study.download_dataset(tmp_path / name, derivatives=True).fetched == 0


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_official_validator_says_the_same_of_copy_and_original(name, bids_examples, tmp_path):
    params = LocalFSParams(use_local_fs=True, root_dir=bids_examples.parent, user="", bucket_name=bids_examples.name)
    open_study(name, params).download_dataset(tmp_path / name, derivatives=True)
    assert verdict(tmp_path / name) == verdict(bids_examples / name)
