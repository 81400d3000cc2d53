"""A lock: the same objects by version id, or by name what has drifted; and what a manifest says of a run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import s3bids
from s3bids import DownloadError
from s3bids.batch import download_plan, freeze, lock, read_plan, save_plan, verify_plan
from s3bids.errors import AccessDeniedError
from s3bids.transfer.manifest import read_notes, read_records


def freeze_study(study):
    wanted = study.download_dataset(Path("/nowhere"), dry_run=True).plan.wanted
    return freeze(study.storage, wanted, study=study.study_id, prefix=study.s3_prefix, layout=study.layout)


@pytest.fixture
def versioned(on_moto, keys):
    on_moto.client.put_bucket_versioning(Bucket=on_moto.bucket, VersioningConfiguration={"Status": "Enabled"})
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}'
    on_moto.client.put_bucket_policy(Bucket=on_moto.bucket, Policy=policy)
    on_moto.put({key: data for key, data in keys.items() if "derivatives" not in key})
    return on_moto


def locked(place, tmp_path):
    study = place.study()
    save_plan(lock(freeze_study(study), study.storage), tmp_path / "study.lock")
    return read_plan(tmp_path / "study.lock")


def test_a_lock_brings_the_old_versions_back(versioned, tmp_path, out, tree):
    plan = locked(versioned, tmp_path)
    assert None not in plan.wanted.versions
    before = dict(zip(plan.wanted.keys, plan.wanted.versions, strict=True))
    versioned.put({"ds/README": b"another", "ds/sub-1/anat/sub-1_T1w.json": b"{}"})
    versioned.remove("ds/CHANGES")
    assert download_plan(plan, out).fetched == len(plan)
    assert tree(out)["README"] == b"README"
    assert tree(out)["CHANGES"] == b"CHANGES"
    records = read_records(out)
    assert {record.key: record.version for record in records.values()} == before


def test_what_has_the_version_null_or_is_deleted_is_locked_as_it_is(versioned, tmp_path, out, tree):
    versioned.put({"ds/gone.txt": b"x"})
    versioned.remove("ds/gone.txt")
    status = {"Bucket": versioned.bucket, "VersioningConfiguration": {"Status": "Suspended"}}
    versioned.client.put_bucket_versioning(**status)
    versioned.put({"ds/README": b"of no version"})
    plan = locked(versioned, tmp_path)
    versions = dict(zip(plan.wanted.keys, plan.wanted.versions, strict=True))
    assert "ds/gone.txt" not in versions
    assert [key for key, version in versions.items() if version is None] == ["ds/README"]
    versioned.put({"ds/README": b"again"})
    with pytest.raises(DownloadError) as caught:
        download_plan(plan, out)
    assert [failure.target for failure in caught.value.failures] == ["README"]
    assert tree(out)["CHANGES"] == b"CHANGES"


def test_a_version_that_is_gone_is_named(versioned, tmp_path, out):
    plan = locked(versioned, tmp_path)
    version = dict(zip(plan.wanted.keys, plan.wanted.versions, strict=True))["ds/README"]
    versioned.client.delete_object(Bucket=versioned.bucket, Key="ds/README", VersionId=version)
    with pytest.raises(DownloadError) as caught:
        download_plan(plan, out)
    [failure] = caught.value.failures
    assert failure.target == "README"
    assert "make it anew" in failure.reason


def test_a_bucket_without_versions_is_locked_by_etag(on_moto, keys, tmp_path, out):
    on_moto.put({key: data for key, data in keys.items() if "derivatives" not in key})
    plan = locked(on_moto, tmp_path)
    assert list(plan.wanted.versions) == []
    on_moto.put({"ds/README": b"another"})
    with pytest.raises(DownloadError) as caught:
        download_plan(plan, out)
    assert [failure.target for failure in caught.value.failures] == ["README"]


def test_a_server_that_knows_no_versions_is_locked_by_etag(on_rclone, keys, tmp_path, out):
    on_rclone.put({key: data for key, data in keys.items() if "derivatives" not in key})
    plan = locked(on_rclone, tmp_path)
    assert list(plan.wanted.versions) == []
    assert download_plan(plan, out).fetched == len(plan)


class Refusing:
    """A storage whose bucket shows objects to everybody and versions to nobody."""

    def versions(self, prefix):
        raise AccessDeniedError(f"cannot list the versions of s3://bucket/{prefix}: access denied")

    def stream_version(self, key, version, start=0, *, end=None, chunk_size):
        raise AssertionError(f"{key} has no version that is known")


def test_where_versions_may_not_be_listed_a_warning_says_so(on_moto, keys, caplog):
    on_moto.put({key: data for key, data in keys.items() if "derivatives" not in key})
    plan = freeze_study(on_moto.study())
    assert lock(plan, Refusing()) is plan
    [record] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.message.startswith("cannot list the versions of s3://bucket/ds")
    assert record.message.endswith("objects are locked by ETag alone")


def test_the_manifest_says_which_tool_brought_what(local, out):
    local.study(subjects=["1", "10"]).download(out, pbar=False, include_derivs="afq", suffix=".csv")
    [note] = read_notes(out, "run")
    assert note["tool"] == f"s3bids {s3bids.__version__}"
    assert note["study"] == "study"
    assert note["source"].endswith("/ds")
    assert note["selection"] == {"subjects": ["sub-1", "sub-10"], "derivatives": ["afq"], "suffix": ".csv"}


def test_two_selections_into_one_directory_are_both_recorded(local, out):
    for subject in ("1", "10"):
        local.study(subjects=subject).download(out, pbar=False)
    assert [note["selection"]["subjects"] for note in read_notes(out, "run")] == [["sub-1"], ["sub-10"]]


def test_failures_are_in_a_table_until_they_have_come(on_moto, out):
    on_moto.put({f"ds/sub-1/{number}": "x" for number in range(5)})
    study = on_moto.study()
    on_moto.client.put_object_acl(Bucket=on_moto.bucket, Key="ds/sub-1/3", ACL="private")
    with pytest.raises(DownloadError):
        study.download(out, pbar=False)
    path = out / ".s3bids" / "failed.tsv"
    [row] = csv.DictReader(path.read_text().splitlines(), delimiter="\t")
    assert (row["key"], row["target"], row["attempts"]) == ("ds/sub-1/3", "sub-1/3", "1")
    assert "access denied" in row["reason"]
    on_moto.client.put_object_acl(Bucket=on_moto.bucket, Key="ds/sub-1/3", ACL="public-read")
    assert study.download(out, pbar=False).fetched == 1
    assert not path.exists()


def test_an_object_that_was_uploaded_in_parts_is_locked_by_its_etag_too(on_moto, tmp_path, out, tree):
    """Such an ETag is no MD5; it tells one object from another all the same, also one of the same bytes' number."""
    mib = 1024 * 1024
    name = {"Bucket": on_moto.bucket, "Key": "ds/sub-1/anat/sub-1_T1w.nii.gz"}

    def upload(data):
        begun = on_moto.client.create_multipart_upload(**name)["UploadId"]
        parts = []
        for number, start in enumerate(range(0, len(data), 5 * mib), 1):
            body = data[start : start + 5 * mib]
            etag = on_moto.client.upload_part(**name, UploadId=begun, PartNumber=number, Body=body)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
        on_moto.client.complete_multipart_upload(**name, UploadId=begun, MultipartUpload={"Parts": parts})
        on_moto.client.put_object_acl(**name, ACL="public-read")

    first, second = b"a" * (6 * mib), b"a" * (6 * mib - 1) + b"b"
    upload(first)
    plan = locked(on_moto, tmp_path)
    [etag] = plan.wanted.etags
    assert etag.endswith("-2")
    assert download_plan(plan, out).fetched == 1
    assert tree(out)["sub-1/anat/sub-1_T1w.nii.gz"] == first
    assert verify_plan(out, plan, deep=True).differences == ()
    upload(second)
    with pytest.raises(DownloadError) as caught:
        download_plan(plan, tmp_path / "later")
    assert [failure.target for failure in caught.value.failures] == ["sub-1/anat/sub-1_T1w.nii.gz"]
    assert download_plan(plan, out).skipped == 1
