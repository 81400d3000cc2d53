"""A plan that is made once and fetched in parts: no listing, each object once, and a bucket that changed is named."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from s3bids import DownloadError
from s3bids.batch import Shard, download_plan, drift, freeze, read_plan, save_plan, verify_plan
from s3bids.errors import ConfigError
from s3bids.testing.faults import Proxy
from s3bids.transfer.download import Options
from s3bids.transfer.manifest import read_failures, read_records
from s3bids.transfer.verify import verify_directory

OUTDATED = "the plan is older than the object; make it anew"


def freeze_study(study, *, describes=False):
    """List a study whole, as the command line does; descriptions that it lacks are left out unless they are wanted."""
    report = study.download_dataset(Path("/nowhere"), derivatives=True, dry_run=True)
    return freeze(
        study.storage,
        report.plan.wanted,
        study=study.study_id,
        prefix=study.s3_prefix,
        layout=study.layout,
        undescribed=report.undescribed if describes else (),
    )


@pytest.fixture
def strict(rclone):
    """A counting proxy that refuses a request whose If-Match is not the object's ETag, as S3 does."""
    with Proxy(rclone.url, strict=True) as running:
        yield running


@pytest.fixture
def on_strict(on_rclone, strict, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", strict.url)
    return on_rclone


@pytest.fixture
def frozen(on_strict, keys, tmp_path):
    """A plan of the small study, saved and read again."""
    on_strict.put(keys)
    save_plan(freeze_study(on_strict.study()), tmp_path / "plan.jsonl.gz")
    return read_plan(tmp_path / "plan.jsonl.gz")


@pytest.mark.parametrize("count", [7, pytest.param(200, marks=pytest.mark.slow)])
def test_a_plan_in_shards_makes_no_list_and_fetches_each_object_once(on_strict, strict, tmp_path, out, tree, count):
    content = {f"ds/sub-{n % 13:02}/anat/sub-{n % 13:02}_run-{n}_T1w.json": f"{n}" * (n % 50 + 1) for n in range(600)}
    on_strict.put(content | {"ds/README": "x", "ds/derivatives/afq/sub-01/x.csv": "y"})
    save_plan(freeze_study(on_strict.study()), tmp_path / "plan.jsonl.gz")
    strict.reset()
    plan = read_plan(tmp_path / "plan.jsonl.gz")
    fetched = [download_plan(plan, out, shard=Shard(number, count)).fetched for number in range(1, count + 1)]
    assert sum(fetched) == 602
    assert {operation: count for operation, count in strict.counts().items() if count} == {"get": 602}
    assert set(Counter(request.key for request in strict.requests).values()) == {1}
    assert set(tree(out)) == {key.removeprefix("ds/") for key in (*content, "ds/README")} | {
        "derivatives/afq/sub-01/x.csv"
    }
    assert set(read_records(out)) == set(tree(out))
    assert verify_directory(out, deep=True).differences == ()


def test_the_whole_plan_brings_what_a_download_brings(frozen, strict, on_strict, out, tmp_path, tree):
    save_plan(freeze_study(on_strict.study(), describes=True), tmp_path / "whole.jsonl.gz")
    frozen = read_plan(tmp_path / "whole.jsonl.gz")
    strict.reset()
    strict.reset()
    report = download_plan(frozen, out)
    assert report.fetched == len(frozen)
    assert strict.counts()["get"] == len(frozen)
    assert strict.counts()["list"] == strict.counts()["head"] == 0
    on_strict.study().download_dataset(tmp_path / "alone", derivatives=True)
    assert tree(out) == tree(tmp_path / "alone")
    strict.reset()
    assert download_plan(frozen, out).skipped == len(frozen)
    assert strict.requests == []


@pytest.mark.parametrize("content", [b"something else", b"x" * len("sub-1/anat/sub-1_T1w.json")], ids=["size", "same"])
def test_an_object_that_changed_is_named_and_the_others_come(frozen, strict, on_strict, out, tree, content):
    on_strict.put({"ds/sub-1/anat/sub-1_T1w.json": content})
    strict.reset()
    with pytest.raises(DownloadError) as caught:
        download_plan(frozen, out)
    [failure] = caught.value.failures
    assert failure.target == "sub-1/anat/sub-1_T1w.json"
    assert failure.reason.endswith(OUTDATED)
    assert failure.attempts == 1
    assert strict.counts()["head"] == 0
    assert len(tree(out)) == len(frozen) - 1
    assert set(read_failures(out)) == {"sub-1/anat/sub-1_T1w.json"}


def test_a_large_object_that_changed_is_named_too(on_strict, strict, out, monkeypatch):
    monkeypatch.setattr("s3bids.downloading.Options", partial(Options, piece_bytes=1000))
    on_strict.put({"ds/sub-1/x.nii.gz": b"1" * 9000, "ds/README": b"x"})
    plan = freeze_study(on_strict.study())
    on_strict.put({"ds/sub-1/x.nii.gz": b"2" * 9000})
    strict.reset()
    with pytest.raises(DownloadError) as caught:
        download_plan(plan, out)
    assert len({request.range for request in strict.requests if request.key == "ds/sub-1/x.nii.gz"}) > 1
    [failure] = caught.value.failures
    assert failure.reason.endswith(OUTDATED)
    assert strict.counts()["head"] == 0
    assert [path.name for path in out.rglob("*") if path.is_file() and ".s3bids" not in str(path)] == ["README"]


def test_an_object_that_is_gone_is_named(frozen, on_strict, out):
    on_strict.remove("ds/sub-1/dwi/sub-1_dwi.bval")
    with pytest.raises(DownloadError) as caught:
        download_plan(frozen, out)
    [failure] = caught.value.failures
    assert failure.target == "sub-1/dwi/sub-1_dwi.bval"
    assert "the plan is older than the bucket: make it anew" in failure.reason


def test_a_local_emulation_that_changed_is_named(local, out):
    """It has no ETags: size and time of the file tell."""
    plan = freeze_study(local.study())
    local.put({"ds/README": b"EDITED"})
    with pytest.raises(DownloadError) as caught:
        download_plan(plan, out, storage=local.study().storage)
    [failure] = caught.value.failures
    assert (failure.target, failure.attempts) == ("README", 1)
    assert failure.reason.endswith(OUTDATED)


def test_a_file_that_is_not_ours_is_kept(frozen, out):
    out.mkdir()
    (out / "README").write_text("mine")
    report = download_plan(frozen, out)
    assert (report.conflicts, report.fetched) == (1, len(frozen) - 1)
    assert (out / "README").read_text() == "mine"


def test_a_target_that_leads_out_of_the_directory_is_refused(frozen, tmp_path, out):
    index = list(frozen.wanted.targets).index("README")
    frozen.wanted.targets[index] = "../README"
    with pytest.raises(DownloadError, match="leads out of the directory"):
        download_plan(frozen, out)
    assert not (tmp_path / "README").exists()


def test_a_plan_that_was_made_just_now_follows_the_bucket(frozen, on_strict, out, tree):
    on_strict.put({"ds/README": b"new"})
    assert download_plan(frozen, out, is_frozen=False).failed == 0
    assert tree(out)["README"] == b"new"


def test_a_storage_of_another_place_is_refused(frozen, local, out):
    with pytest.raises(ConfigError, match="the storage is at file://"):
        download_plan(frozen, out, storage=local.study().storage)
    assert not out.exists()


def test_processes_may_share_the_work_of_a_shard(frozen, out, tree):
    report = download_plan(frozen, out, shard=Shard(1, 2), n_jobs=2)
    assert 0 < report.fetched == len(tree(out)) < len(frozen)


def test_an_older_file_of_the_same_size_is_not_the_object_of_the_plan(local, out):
    """Where a storage has no ETags the time tells: the task that should bring the new object may have failed."""
    study = local.study()
    study.download_dataset(out, derivatives=True)
    path = local.root / local.bucket / "ds" / "README"
    path.write_bytes(b"readme")
    os.utime(path, (1, 1))
    plan = freeze_study(study)
    [difference] = verify_plan(out, plan).differences
    assert (difference.target, difference.kind) == ("README", "other")
    assert [each.target for each in drift(out, plan)] == ["README"]
    download_plan(plan, out)
    assert verify_plan(out, plan).differences == ()
