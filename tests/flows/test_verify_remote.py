"""A download against the bucket as it is now: what differs, and how few requests tell it."""

from __future__ import annotations

import json
import os
import random
import shutil
import time

import pytest

from s3bids import DownloadError, HBNSite, LocalFSParams, verify_directory
from s3bids.errors import BucketNotFoundError, ConfigError, ObjectNotFoundError
from s3bids.testing.faults import Answer, Fault
from s3bids.testing.studies import write_hbn_site
from s3bids.transfer.manifest import read_records

T1W = "sub-1/anat/sub-1_T1w.nii.gz"


def kinds(found):
    """Target -> kinds of its differences, in order."""
    result = {}
    for difference in found.differences:
        result.setdefault(difference.target, []).append(difference.kind)
        assert difference.detail
    return result


def compared(out, **options):
    return kinds(verify_directory(out, remote=True, **options))


def listed(proxy):
    """The prefixes that were listed, sorted; nothing else may have been asked for."""
    assert {request.operation for request in proxy.requests} <= {"list"}
    return sorted(request.prefix for request in proxy.requests)


def make_old(place, *keys):
    """Let objects of a folder look as if they had been written an hour ago."""
    for key in keys:
        path = place.root / place.bucket / key
        past = path.stat().st_mtime - 3600
        os.utime(path, (past, past))


@pytest.fixture
def everything(place, keys, out):
    """All of the small study, downloaded from each place in turn."""
    place.put(keys)
    place.study().download_dataset(out, derivatives=True)
    return place


# What differs


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize("deep", [False, True])
def test_a_fresh_download_is_what_the_bucket_has(out, ds, deep):
    found = verify_directory(str(out), remote=True, deep=deep)
    assert (found.files, found.bytes, found.differences) == (len(ds), sum(map(len, ds.values())), ())


def test_all_that_can_differ_is_told_apart(everything, out):
    everything.put({"ds/sub-2/ses-2/anat/new.json": "{}", "ds/NEW": "x", "ds/code/tools/new.sh": "x"})
    everything.put({"ds/README": "another length", f"ds/{T1W}": T1W.swapcase()})
    everything.remove("ds/CHANGES")
    (out / "participants.tsv").unlink()
    (out / "sub-1.json").write_text("cut")
    (out / "code" / "mine.py").write_text("mine")
    assert compared(out) == {
        "participants.tsv": ["missing"],
        "sub-1.json": ["size"],
        "README": ["changed"],
        T1W: ["changed"],
        "CHANGES": ["gone"],
        "NEW": ["new"],
        "code/tools/new.sh": ["new"],
        "sub-2/ses-2/anat/new.json": ["new"],
        "code/mine.py": ["extra"],
    }


def test_bytes_that_changed_here_are_found_by_deep_as_well(everything, out):
    path = out / T1W
    path.write_bytes(path.read_bytes().swapcase())
    everything.remove("ds/README")
    # The local emulation gives no hash to compare with.
    expected = {T1W: ["content"]} if read_records(out)[T1W].md5 else {}
    assert compared(out, deep=True) == {**expected, "README": ["gone"]}


def test_a_study_that_is_gone_upstream_is_no_error(everything, keys, out, ds):
    for key in keys:
        everything.remove(key)
    assert compared(out) == {path: ["gone"] for path in ds}


@pytest.mark.usefixtures("everything")
def test_what_is_changed_here_and_gone_there_is_both(everything, out):
    (out / "README").unlink()
    everything.remove("ds/README")
    assert compared(out) == {"README": ["missing", "gone"]}


@pytest.mark.usefixtures("everything")
def test_nothing_is_written(out, tree):
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    verify_directory(out, remote=True, deep=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_an_object_that_was_uploaded_in_parts_is_compared_by_its_parts(on_moto, keys, out, tmp_path):
    data = random.Random(5).randbytes(9 * 1024 * 1024)
    (tmp_path / "big").write_bytes(data)
    on_moto.put(keys)
    on_moto.client.upload_file(str(tmp_path / "big"), on_moto.bucket, "ds/sub-1/big", ExtraArgs={"ACL": "public-read"})
    on_moto.study(subjects=["1"]).download(out, False, pbar=False)
    assert read_records(out)["sub-1/big"].etag.endswith("-2")
    found = verify_directory(out, deep=True, remote=True)
    assert (found.differences, found.unproven) == ((), 0)
    (out / "sub-1" / "big").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    found = verify_directory(out, deep=True)
    # Without a check of the parts when it came, the bytes may have been uploaded in parts of an unusual size.
    assert len(found.differences) + found.unproven == 1


# What counts as new


def test_other_subjects_and_derivatives_are_nobodys_loss(local, out):
    local.study(subjects=["1"]).download(out, include_derivs="afq", pbar=False)
    local.put({"ds/sub-2/anat/new": "x", "ds/sub-3/anat/x": "x", "ds/derivatives/afq/sub-10/new": "x"})
    local.put({"ds/derivatives/new/sub-1/x": "x", "ds/derivatives/qsiprep/sub-1/new": "x"})
    assert compared(out) == {}
    local.put({"ds/sub-1/ses-2/new": "x", "ds/derivatives/afq/sub-1/new": "x", "ds/derivatives/afq/new": "x"})
    new = ("derivatives/afq/new", "derivatives/afq/sub-1/new", "sub-1/ses-2/new")
    assert compared(out) == {target: ["new"] for target in new}


def test_what_was_there_and_was_not_chosen_is_not_new(local, out):
    make_old(local, *(f"ds/{path}" for path in ("sub-1/dwi/sub-1_dwi.bval", "sub-1/anat/sub-1_T1w.json", "README")))
    local.study(subjects=["1"]).download(out, suffix="T1w.nii.gz", pbar=False)
    assert compared(out) == {}
    local.put({"ds/sub-1/dwi/sub-1_dwi.bval": "written again"})
    assert compared(out) == {"sub-1/dwi/sub-1_dwi.bval": ["new"]}


def test_files_of_the_root_count_if_one_was_downloaded(local, out):
    local.study(subjects=["1"]).download(out, False, pbar=False)
    local.put({"ds/NEW": "x"})
    assert compared(out) == {}
    local.study(subjects=["1"]).download(out, pbar=False)
    local.put({"ds/NEWER": "x"})
    assert compared(out) == {"NEWER": ["new"]}


def test_a_file_of_ones_own_in_the_place_of_a_new_object_is_extra_and_no_loss(local, out):
    local.study(subjects=["1"]).download(out, pbar=False)
    local.put({"ds/sub-1/notes.txt": "theirs"})
    (out / "sub-1" / "notes.txt").write_text("mine")
    assert compared(out) == {"sub-1/notes.txt": ["extra"]}


def test_keys_that_cannot_be_files_are_not_missed(on_moto, keys, out):
    on_moto.put(keys)
    on_moto.study(subjects=["1"]).download(out, False, pbar=False)
    on_moto.put({"ds/sub-1/../../evil": "x", "ds/sub-1//x": "x", "ds/.s3bids/x": "x", "ds/sub-1/marker/": ""})
    assert compared(out) == {}


def test_what_failed_is_missing_whenever_it_was_written(served, proxy, out):
    make_old(served, "ds/sub-1/dwi/sub-1_dwi.bval", "ds/sub-2/anat/sub-2_T1w.nii.gz")
    served.server.refresh()
    proxy.script(Fault("get", "*dwi.bval", times=None, action=Answer(403, "AccessDenied")))
    proxy.script(Fault("get", "ds/sub-2/*", times=None, action=Answer(403, "AccessDenied")))
    with pytest.raises(DownloadError):
        served.study().download(out, pbar=False)
    found = verify_directory(out, remote=True)
    assert kinds(found) == {"sub-1/dwi/sub-1_dwi.bval": ["missing"], "sub-2/anat/sub-2_T1w.nii.gz": ["missing"]}
    assert all("access denied" in each.detail and "--retry-failed" in each.detail for each in found.differences)
    served.remove("ds/sub-2/anat/sub-2_T1w.nii.gz")
    assert compared(out) == {"sub-1/dwi/sub-1_dwi.bval": ["missing"]}


# Files that no manifest knows


def test_our_own_records_and_unfinished_files_are_not_extra(local, out):
    local.study().download(out, pbar=False)
    (out / ".s3bids" / "notes").write_text("x")
    (out / "sub-1" / ".s3bids-0123abcd-4711-0-89abcdef.part").write_text("x")
    assert compared(out) == {}
    (out / "sub-1" / ".s3bids").mkdir()
    (out / "sub-1" / ".s3bids" / "mine").write_text("x")
    assert compared(out) == {"sub-1/.s3bids/mine": ["extra"]}


def test_the_description_that_a_site_gets_is_not_extra(tmp_path, out):
    site = tmp_path / "buckets" / "b" / "Site-SI"
    write_hbn_site(site)
    (site / "dataset_description.json").unlink(missing_ok=True)
    params = LocalFSParams(use_local_fs=True, root_dir=tmp_path / "buckets", user="", bucket_name="b")
    HBNSite("SI", bucket="b", s3_prefix="", subjects="all", storage=params).download(out, pbar=False)
    assert (out / "dataset_description.json").is_file()
    assert compared(out) == {}
    (out / "mine.json").write_text("{}")
    assert compared(out) == {"mine.json": ["extra"]}


def test_links_to_directories_are_not_followed(local, out, tmp_path):
    local.study().download(out, pbar=False)
    (out / "loop").symlink_to(out, target_is_directory=True)
    (out / "nowhere").symlink_to(tmp_path / "nothing")
    assert compared(out) == {"nowhere": ["extra"]}


# Several sources


def test_files_of_two_buckets_and_two_roots_are_compared_with_their_own(by_params, keys, out):
    by_params.put(keys)
    by_params.put({"other/sub-7/x": "x"})
    second = LocalFSParams(use_local_fs=True, root_dir=by_params.root, user="", bucket_name="second")
    (by_params.root / "second" / "sub-8").mkdir(parents=True)
    (by_params.root / "second" / "sub-8" / "x").write_text("x")
    by_params.study(subjects=["1"]).download(out, pbar=False)
    other = by_params.study("other", subjects=["7"])
    elsewhere = type(other)("s", "second", subjects=["8"], storage=second)
    for study in (other, elsewhere):
        study.download(out, False, pbar=False, allow_other_study=True)
    assert compared(out) == {}
    by_params.remove("other/sub-7/x")
    (by_params.root / "second" / "sub-8" / "x").write_text("longer")
    assert compared(out) == {"sub-7/x": ["gone"], "sub-8/x": ["changed"]}
    shutil.rmtree(by_params.root / "second")
    with pytest.raises(BucketNotFoundError, match="second"):
        compared(out)


def add_record(out, **changes):
    line = {"event": "file", "target": "a", "location": "s3://b", "key": "ds/a", "size": 1, "etag": None}
    line |= {"modified": None, "mtime_ns": 0, "check": "size", "md5": None, "sha256": None, "time": 1.0, **changes}
    with (out / ".s3bids" / "added.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def test_a_record_whose_key_does_not_tell_the_root_is_looked_up_by_itself(served, proxy, out):
    served.study(subjects=["2"]).download(out, False, pbar=False)
    location = f"s3://{served.bucket}"
    size = len("sub-1.json")
    for target, key in (("renamed", "ds/sub-1.json"), ("sub-1", "ds/sub-1"), ("x", "ds/no-such-x-y")):
        add_record(out, target=target, key=key, location=location, size=size, time=time.time())
        (out / target).write_bytes(b"0" * size)
    proxy.reset()
    found = verify_directory(out, remote=True)
    assert kinds(found) == {"sub-1": ["gone"], "x": ["gone"]}
    assert listed(proxy) == ["ds/", "ds/no-such-x-y", "ds/sub-1.json"]


@pytest.mark.parametrize("location", ["http://127.0.0.1:9/b", "s3://", "s3://b/x", "file://b", "file:///", "b", ""])
def test_a_location_that_makes_no_sense_is_named(local, out, location):
    local.study(subjects=["1"]).download(out, pbar=False)
    add_record(out, location=location)
    with pytest.raises(ConfigError, match="neither s3://bucket nor file:///root/bucket"):
        compared(out)


# The storage


def test_a_storage_may_be_given(local, out):
    local.study(subjects=["1"]).download(out, pbar=False)
    storage = local.study().storage
    assert compared(out, storage=storage) == compared(out, storage=local.storage) == {}
    for other in ("elsewhere", "."):
        params = LocalFSParams(use_local_fs=True, root_dir=local.root / other, user="", bucket_name=local.bucket)
        if other == ".":
            assert compared(out, storage=params) == {}
            continue
        with pytest.raises(ConfigError, match="came from"):
            compared(out, storage=params)
    params = LocalFSParams(use_local_fs=True, root_dir=local.root, user="", bucket_name="other")
    with pytest.raises(ConfigError, match="'other'"):
        compared(out, storage=params)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"storage": LocalFSParams(True, "/", "", "b")}, ConfigError),
        ({"deep": 1}, TypeError),
        ({"remote": "yes"}, TypeError),
    ],
)
def test_arguments_that_make_no_sense_are_refused(local, out, options, error):
    local.study(subjects=["1"]).download(out, pbar=False)
    with pytest.raises(error):
        verify_directory(out, **options)


def test_without_remote_nothing_is_asked(served, proxy, out):
    served.study(subjects=["1"]).download(out, pbar=False)
    proxy.reset()
    assert verify_directory(out, deep=True).differences == ()
    assert proxy.requests == []


def test_a_directory_without_a_manifest_is_an_error(tmp_path):
    with pytest.raises(ObjectNotFoundError, match="cannot verify"):
        verify_directory(tmp_path, remote=True)


def test_a_listing_that_is_refused_is_an_error_and_no_difference(served, proxy, out):
    served.study(subjects=["1"]).download(out, pbar=False)
    proxy.script(Fault("list", times=None, action=Answer(403, "AccessDenied")))
    with pytest.raises(PermissionError, match="cannot list"):
        verify_directory(out, remote=True)


# Requests


def test_a_small_study_is_one_request(served, proxy, out):
    served.study().download_dataset(out)
    proxy.reset()
    assert compared(out) == {}
    assert listed(proxy) == ["ds/"]


def test_one_subject_is_one_request(served, proxy, out):
    served.study(subjects=["1"]).download(out, False, pbar=False)
    proxy.reset()
    assert compared(out) == {}
    assert listed(proxy) == ["ds/sub-1/"]


def test_a_whole_study_is_one_flat_listing(counted, proxy, out):
    counted.put({f"ds/sub-{s:02}/anat/{n}": "x" for s in range(60) for n in range(40)})
    counted.put({"ds/README": "x"})
    counted.study().download_dataset(out)
    proxy.reset()
    assert compared(out) == {}
    assert listed(proxy) == ["ds/"] * 3


def test_a_part_of_a_large_study_costs_little_more_than_its_branches(counted, proxy, out):
    """A page's worth of other keys shows that the branches are better listed one by one."""
    counted.put({f"ds/sub-{s:02}/anat/{n}": "x" for s in range(30) for n in range(300)})
    counted.put({"ds/README": "x"})
    counted.study(subjects=["08", "20"]).download_dataset(out)
    counted.put({"ds/sub-20/anat/new": "x", "ds/NEW": "x"})
    counted.remove("ds/sub-08/anat/7")
    counted.remove("ds/sub-20/anat/8")
    proxy.reset()
    expected = {"sub-08/anat/7": ["gone"], "sub-20/anat/8": ["gone"], "sub-20/anat/new": ["new"], "NEW": ["new"]}
    assert compared(out) == expected
    prefixes = listed(proxy)
    # Besides that page or two, the files of the root take a listing with a delimiter.
    assert prefixes == ["ds/"] * (len(prefixes) - 2) + ["ds/sub-08/", "ds/sub-20/"]
    assert len(prefixes) <= 3 + 2


def test_most_of_a_large_study_is_still_one_flat_listing(counted, proxy, out):
    counted.put({f"ds/sub-{s:02}/anat/{n}": "x" for s in range(60) for n in range(100)})
    subjects = [f"{s:02}" for s in range(60) if s % 5]
    counted.study(subjects=subjects).download(out, False, pbar=False)
    counted.remove("ds/sub-59/anat/7")
    proxy.reset()
    assert compared(out) == {"sub-59/anat/7": ["gone"]}
    assert listed(proxy) == ["ds/"] * 6


def test_a_flat_listing_ends_where_little_is_left(counted, proxy, out):
    counted.put({f"ds/sub-{s:02}/anat/{n}": "x" for s in range(20) for n in range(100)})
    counted.put({f"ds/zzz/{n}": "x" for n in range(5000)})
    counted.study().download(out, False, pbar=False)
    counted.remove("ds/sub-19/anat/7")
    proxy.reset()
    assert compared(out) == {"sub-19/anat/7": ["gone"]}
    assert set(prefixes := listed(proxy)) == {"ds/"}
    assert len(prefixes) <= 5


def test_derivatives_that_were_not_chosen_do_not_hold_up_the_rest(counted, proxy, out):
    counted.put({f"ds/derivatives/huge/sub-{s:02}/{n}": "x" for s in range(6) for n in range(1000)})
    counted.put({f"ds/sub-{s:02}/x": "x" for s in range(4)})
    counted.study().download(out, False, pbar=False)
    proxy.reset()
    assert compared(out) == {}
    prefixes = listed(proxy)
    assert prefixes[-4:] == [f"ds/sub-{s:02}/" for s in range(4)]
    assert len(prefixes) <= 4 + 2
