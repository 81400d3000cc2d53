"""Only what failed is fetched again, and with few requests."""

from __future__ import annotations

import pytest

from s3bids import DownloadError, HBNSite
from s3bids.errors import ObjectNotFoundError
from s3bids.testing.faults import Answer, Fault
from s3bids.transfer.manifest import read_failures

BVAL = "sub-1/dwi/sub-1_dwi.bval"
DENIED = Answer(403, "AccessDenied")


def failing(proxy, *patterns, operation="get"):
    for pattern in patterns:
        proxy.script(Fault(operation, pattern, times=None, action=DENIED))


def healed(proxy):
    """Let everything pass again, and count from here on."""
    proxy.reset()


def requests(proxy):
    return {operation: count for operation, count in proxy.counts().items() if count}


def got(proxy):
    return sorted(request.key.removeprefix("ds/") for request in proxy.requests if request.operation == "get")


@pytest.fixture
def failed(served, proxy, out):
    """A download of everything, of which the files that match some patterns fail; then the server is well again."""

    def download(*patterns):
        failing(proxy, *patterns)
        with pytest.raises(DownloadError) as caught:
            served.study().download_dataset(out, derivatives=True)
        healed(proxy)
        return caught.value.report

    return download


# What is fetched


@pytest.mark.parametrize("method", ["download", "download_dataset"])
def test_only_what_failed_is_fetched(failed, served, proxy, out, tree, ds, method):
    assert failed("*.bval", "ds/README", "ds/derivatives/afq/*").failed == 6
    (out / "CHANGES").unlink()
    served.put({"ds/sub-2/new": "x"})
    study = served.study()
    proxy.reset()
    report = getattr(study, method)(out, retry_failed=True)
    assert (report.fetched, report.skipped, report.failed) == (6, 0, 0)
    again = [BVAL, "README", *(path for path in ds if path.startswith("derivatives/afq/"))]
    assert got(proxy) == sorted(again)
    found = tree(out)
    # Written, since the derivative has none.
    found.pop("derivatives/qsiprep/dataset_description.json")
    assert found == {path: content for path, content in ds.items() if path != "CHANGES"}
    assert study.subjects[0].files["raw"].keys() == {f"ds/{BVAL}"}
    assert read_failures(out) == {}


@pytest.mark.usefixtures("failed")
def test_nothing_failed_means_no_request_at_all(served, proxy, out):
    study = served.study()
    study.download_dataset(out)
    proxy.reset()
    report = study.download_dataset(out, retry_failed=True)
    assert (report.fetched, report.skipped, report.conflicts, report.failed, len(report.plan)) == (0, 0, 0, 0, 0)
    assert proxy.requests == []


def test_what_came_by_a_plain_run_has_not_failed_any_more(failed, served, proxy, out):
    failed("*.bval")
    study = served.study()
    study.download_dataset(out)
    proxy.reset()
    assert study.download_dataset(out, retry_failed=True).fetched == 0
    assert proxy.requests == []


def test_what_fails_again_is_listed_again(failed, served, proxy, out):
    failed("*.bval", "ds/README")
    failing(proxy, "*.bval")
    with pytest.raises(DownloadError) as caught:
        served.study().download_dataset(out, retry_failed=True)
    assert [failure.target for failure in caught.value.failures] == [BVAL]
    assert caught.value.report.fetched == 1
    healed(proxy)
    assert served.study().download_dataset(out, retry_failed=True).fetched == 1


def test_an_object_that_is_gone_is_still_listed_as_failed(failed, served, out):
    failed("*.bval", "ds/README", "ds/sub-10/*", "ds/code/*")
    for key in (f"ds/{BVAL}", "ds/sub-10/anat/sub-10_T1w.nii.gz", "ds/code/run.py"):
        served.remove(key)
    with pytest.raises(DownloadError) as caught:
        served.study().download_dataset(out, retry_failed=True)
    gone = {failure.target: failure.reason for failure in caught.value.failures}
    assert set(gone) == {BVAL, "sub-10/anat/sub-10_T1w.nii.gz", "code/run.py"}
    assert all("no longer in the bucket" in reason and "access denied" in reason for reason in gone.values())
    assert (caught.value.report.fetched, caught.value.report.failed) == (2, 3)
    assert "3 files could not be downloaded" in str(caught.value)
    assert set(read_failures(out)) == set(gone)


def test_an_object_that_may_not_be_looked_at_fails_by_itself(failed, served, proxy, out):
    failed("*.bval", "ds/README")
    study = served.study()
    failing(proxy, "*.bval", operation="head")
    with pytest.raises(DownloadError) as caught:
        study.download_dataset(out, retry_failed=True)
    assert [(failure.target, "access denied" in failure.reason) for failure in caught.value.failures] == [(BVAL, True)]
    assert caught.value.report.fetched == 1


def test_a_refused_key_fails_again_and_nothing_is_written_outside(on_moto, keys, out):
    on_moto.put({**keys, "ds/sub-2/../../evil": "x", "ds/sub-2//x": "x"})
    for retry_failed in (False, True):
        with pytest.raises(DownloadError) as caught:
            on_moto.study(subjects="2").download(out, pbar=False, retry_failed=retry_failed)
        assert {failure.key for failure in caught.value.failures} == {"ds/sub-2/../../evil", "ds/sub-2//x"}
    assert not (out.parent / "evil").exists()


def test_objects_that_were_made_public_come(on_moto, keys, out, tree):
    on_moto.put({key: content for key, content in keys.items() if key != f"ds/{BVAL}"})
    on_moto.client.put_object(Bucket=on_moto.bucket, Key=f"ds/{BVAL}", Body=b"1 2 3")
    with pytest.raises(DownloadError):
        on_moto.study().download(out, pbar=False)
    assert BVAL not in tree(out)
    on_moto.client.put_object_acl(Bucket=on_moto.bucket, Key=f"ds/{BVAL}", ACL="public-read")
    assert on_moto.study().download(out, pbar=False, retry_failed=True).fetched == 1
    assert tree(out)[BVAL] == b"1 2 3"


def test_a_file_of_ones_own_is_a_conflict_as_ever(failed, served, out):
    failed("*.bval")
    (out / "sub-1" / "dwi").mkdir(exist_ok=True)
    (out / BVAL).write_text("mine, and longer than the object is")
    report = served.study().download_dataset(out, retry_failed=True)
    assert (report.fetched, report.conflicts) == (0, 1)
    assert served.study().download_dataset(out, retry_failed=True, overwrite=True).fetched == 1


def test_a_dry_run_says_what_would_be_done(failed, served, proxy, out):
    failed("*.bval", "ds/README")
    study = served.study()
    proxy.reset()
    report = study.download_dataset(out, retry_failed=True, dry_run=True)
    assert {row.target for row in report.plan} == {BVAL, "README"}
    assert "get" not in requests(proxy)


def test_a_site_gets_no_description_from_a_second_try(counted, proxy, out):
    counted.put({"Site-SI/sub-1/anat/a": "x", "Site-SI/derivatives/sub-1/afq/b": "x", "Site-SI/sub-2/c": "x"})
    failing(proxy, "*/a", "*/b")
    site = HBNSite("SI", bucket=counted.bucket, s3_prefix="", subjects="all")
    with pytest.raises(DownloadError):
        site.download(out, False, ["afq"], pbar=False)
    healed(proxy)
    (out / "dataset_description.json").unlink()
    assert site.download(out, pbar=False, retry_failed=True).fetched == 2
    assert not (out / "dataset_description.json").exists()
    assert site.subjects[0].files["derivatives"].keys() == {"afq"}


# A selection narrows it


@pytest.mark.parametrize(
    ("subjects", "options", "expected"),
    [
        ("all", {}, {"README", "1", "1j", "10", "2", "afq1", "afq10", "qsi1"}),
        (["1"], {}, {"README", "1", "1j", "afq1", "qsi1"}),
        (["2"], {"derivatives": "afq"}, {"README", "2"}),
        ("all", {"derivatives": "afq"}, {"README", "1", "1j", "10", "2", "afq1", "afq10"}),
        ("all", {"derivatives": ["q*"]}, {"README", "1", "1j", "10", "2", "qsi1"}),
        ("all", {"derivatives": "nothing"}, {"README", "1", "1j", "10", "2"}),
        (["1"], {"suffix": "T1w.nii.gz"}, {"README", "1"}),
        ("all", {"suffix": "nothing"}, {"README"}),
    ],
)
def test_subjects_derivatives_and_suffix_narrow_it(failed, served, out, subjects, options, expected):
    names = {
        "README": "README",
        "1": "sub-1/anat/sub-1_T1w.nii.gz",
        "1j": "sub-1/anat/sub-1_T1w.json",
        "10": "sub-10/anat/sub-10_T1w.nii.gz",
        "2": "sub-2/anat/sub-2_T1w.nii.gz",
        "afq1": "derivatives/afq/sub-1/sub-1_profiles.csv",
        "afq10": "derivatives/afq/sub-10/sub-10_profiles.csv",
        "qsi1": "derivatives/qsiprep/sub-1/dwi/sub-1_dwi.nii.gz",
    }
    failed(*(f"ds/{path}" for path in names.values()))
    report = served.study(subjects=subjects).download_dataset(out, retry_failed=True, **options)
    assert {row.target for row in report.plan} == {names[name] for name in expected}
    assert report.fetched == len(expected)


def test_failures_of_another_study_are_left_alone(failed, served, proxy, out):
    failed("*.bval")
    served.put({"other/sub-1/x": "x"})
    failing(proxy, "other/*")
    with pytest.raises(DownloadError):
        served.study("other").download(out, pbar=False, allow_other_study=True)
    healed(proxy)
    assert served.study("other").download(out, pbar=False, retry_failed=True).fetched == 1
    assert set(read_failures(out)) == {BVAL}


# Requests


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*.bval"], {"head": 1, "get": 1}),
        (["ds/README", "ds/CHANGES", "ds/participants.tsv"], {"list": 1, "get": 3}),
        (["ds/sub-1/anat/*"], {"list": 1, "get": 2}),
        (["ds/sub-1/*"], {"list": 1, "get": 3}),
        (["ds/sub-*/anat/*"], {"list": 1, "head": 2, "get": 4}),
        (["ds/derivatives/afq/sub-*"], {"list": 1, "head": 1, "get": 3}),
    ],
)
def test_few_requests_find_what_failed(failed, served, proxy, out, patterns, expected):
    failed(*patterns)
    study = served.study()
    proxy.reset()
    study.download_dataset(out, retry_failed=True)
    assert requests(proxy) == expected


def test_many_failures_of_many_subjects_cost_one_listing_each(counted, proxy, out):
    counted.put({f"ds/sub-{s:02}/{folder}/{n}": "x" for s in range(10) for folder in ("anat", "dwi") for n in range(5)})
    failing(proxy, "ds/sub-0[1-3]*")
    with pytest.raises(DownloadError):
        counted.study().download(out, False, pbar=False)
    healed(proxy)
    study = counted.study()
    proxy.reset()
    study.download(out, pbar=False, retry_failed=True)
    assert requests(proxy) == {"list": 3, "get": 30}


# Bad input


def test_a_directory_without_a_manifest_is_an_error(served, proxy, out):
    study = served.study()
    proxy.reset()
    for directory, why in ((out, "there is no such directory"), (out.parent, "it has no manifest")):
        with pytest.raises(ObjectNotFoundError, match=f"cannot retry what failed in .*: {why}"):
            study.download(directory, pbar=False, retry_failed=True)
    assert proxy.requests == []
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [({"retry_failed": 1}, TypeError), ({"retry_failed": "yes"}, TypeError), ({"suffix": 1}, TypeError)],
)
def test_arguments_that_make_no_sense_are_refused(failed, served, proxy, out, options, error):
    failed("*.bval")
    study = served.study()
    proxy.reset()
    with pytest.raises(error):
        study.download(out, pbar=False, **{"retry_failed": True, **options})
    assert proxy.requests == []
