"""How many requests each step costs, counted by a proxy before a real server."""

from __future__ import annotations

import math
import threading

import pytest

from s3bids import HBNSite, S3BIDSStudy
from s3bids.storage import LocalFSParams, LocalStorage

PAGE = 1000


def listed(proxy):
    """The prefixes that were listed since the last reset, sorted."""
    return sorted(request.prefix for request in proxy.requests if request.operation == "list")


def nothing_but(proxy, **expected):
    counts = {operation: count for operation, count in proxy.counts().items() if count}
    assert counts == {operation: count for operation, count in expected.items() if count}


@pytest.fixture
def site(counted):
    """A small HBN site with three subjects, of which two have derivatives."""
    counted.put({f"Site-SI/sub-{n}/anat/sub-{n}_T1w.nii.gz": "x" for n in (1, 2, 3)})
    counted.put({f"Site-SI/derivatives/sub-{n}/{kind}/x.csv": "x" for n in (1, 2) for kind in ("afq", "qsiprep")})
    counted.put({"Site-SI/participants.tsv": "participant_id,Age\n1,9\n2,9\n3,9\n"})
    return counted


def open_site(place, **options):
    return HBNSite("SI", bucket=place.bucket, s3_prefix="", subjects="all", **options)


# Construction


@pytest.mark.parametrize(
    "options", [{}, {"subjects": 2, "random_seed": 1}, {"subjects": ["1", "10"]}, {"subjects": [0]}]
)
def test_constructing_a_study_costs_one_listing(served, proxy, options):
    served.study(**options)
    nothing_but(proxy, list=1)
    assert listed(proxy) == ["ds/"]


def test_a_participant_table_costs_one_get_more(served, proxy):
    served.study(use_participants_tsv=True)
    nothing_but(proxy, list=1, get=1)


@pytest.mark.parametrize("options", [{}, {"use_participants_tsv": True}])
def test_constructing_a_site_costs_the_same(site, proxy, options):
    open_site(site, **options)
    nothing_but(proxy, list=1, get=len(options))


@pytest.mark.parametrize("subjects", [PAGE - 1, PAGE, PAGE + 1])
def test_constructing_a_large_study_costs_one_listing_a_page(counted, proxy, subjects):
    counted.put({f"ds/sub-{number:04}/x": "" for number in range(subjects)})
    study = counted.study()
    assert len(study.subjects) == subjects
    nothing_but(proxy, list=math.ceil(subjects / PAGE))


@pytest.mark.parametrize("prefix", ["none", "ds/none"])
def test_a_missing_prefix_costs_one_listing(served, proxy, prefix):
    with pytest.raises(FileNotFoundError):
        served.study(prefix)
    nothing_but(proxy, list=1)


# What is listed on first use


def test_derivative_types_cost_one_listing_once(served, proxy):
    study = served.study()
    proxy.reset()
    assert study.derivative_types == study.derivative_types
    assert listed(proxy) == ["ds/derivatives/"]


def test_no_derivatives_cost_no_listing(counted, proxy):
    counted.put({"ds/sub-1/x": "x"})
    study = counted.study()
    proxy.reset()
    assert study.derivative_types == []
    assert study.non_sub_s3_keys == {"raw": [], "derivatives": []}
    assert proxy.requests == []


def test_other_files_cost_one_listing_a_derivative(served, proxy):
    study = served.study()
    proxy.reset()
    assert study.non_sub_s3_keys is study.non_sub_s3_keys
    types = ["ds/derivatives/", *(f"ds/derivatives/{name}/" for name in ("afq", "afq-old", "qsiprep"))]
    assert listed(proxy) == sorted(types)


def test_the_keys_of_a_subject_cost_one_listing_a_derivative_and_one(served, proxy):
    study = served.study()
    assert study.derivative_types
    proxy.reset()
    assert study.subjects[1].s3_keys is study.subjects[1].s3_keys
    assert len(listed(proxy)) == 4
    nothing_but(proxy, list=4)


def test_a_site_lists_its_derivatives_only_when_they_are_read(site, proxy):
    study = open_site(site)
    proxy.reset()
    keys = study.subjects[0].s3_keys
    assert set(keys["derivatives"]) == {"afq", "qsiprep"}
    assert listed(proxy) == ["Site-SI/derivatives/sub-1/", "Site-SI/sub-1/"]
    proxy.reset()
    assert study.derivative_types == ["afq", "qsiprep"]
    assert listed(proxy) == ["Site-SI/derivatives/", "Site-SI/derivatives/sub-1/", "Site-SI/derivatives/sub-2/"]


# Downloads


@pytest.mark.parametrize(
    ("options", "prefixes"),
    [
        ({"include_modality_agnostic": False}, ["ds/sub-1/", "ds/sub-10/"]),
        ({}, ["ds/", "ds/sub-1/", "ds/sub-10/"]),
        ({"suffix": ".nii.gz"}, ["ds/", "ds/sub-1/", "ds/sub-10/"]),
        ({"include_modality_agnostic": "all"}, ["ds/", "ds/code/", "ds/sub-1/", "ds/sub-10/"]),
        (
            {"include_derivs": "afq"},
            [
                *("ds/", "ds/derivatives/", "ds/derivatives/afq/", "ds/derivatives/afq/sub-1/"),
                *("ds/derivatives/afq/sub-10/", "ds/sub-1/", "ds/sub-10/"),
            ],
        ),
        (
            {"include_derivs": "qsiprep", "include_derivs_dataset_description": False},
            [
                *("ds/", "ds/derivatives/", "ds/derivatives/qsiprep/sub-1/", "ds/derivatives/qsiprep/sub-10/"),
                *("ds/sub-1/", "ds/sub-10/"),
            ],
        ),
    ],
)
def test_a_download_lists_what_it_needs_and_gets_each_file_once(served, proxy, out, options, prefixes):
    study = served.study(subjects=["1", "10"])
    proxy.reset()
    report = study.download(out, pbar=False, **options)
    assert listed(proxy) == prefixes
    nothing_but(proxy, list=len(prefixes), get=report.fetched)
    got = [request.key for request in proxy.requests if request.operation == "get"]
    assert len(got) == len(set(got))


def test_a_download_of_everything_takes_one_flat_listing(counted, proxy, out):
    counted.put({f"ds/sub-{s:02}/anat/{n}": "x" for s in range(60) for n in range(20)})
    counted.put({"ds/README": "x"})
    study = counted.study()
    proxy.reset()
    assert study.download(out, "all", pbar=False).fetched == 1201
    # Two pages hold the 1,201 keys; the listing of the root at the construction told that there are no derivatives.
    nothing_but(proxy, list=2, get=1201)


def test_all_subjects_beside_unwanted_directories_take_one_flat_listing(counted, proxy, out):
    """It begins at the first subject and is left behind the last: other directories may hold millions of files."""
    counted.put({f"ds/sub-{s:02}/anat/{n}": "x" for s in range(60) for n in range(20)})
    counted.put({f"ds/derivatives/afq/sub-{s:02}/{n}": "x" for s in range(60) for n in range(40)})
    counted.put({f"ds/task-{n:04}_bold.json": "x" for n in range(2200)})
    counted.put({"ds/README": "x", "ds/sub-00_notes.txt": "x"})
    study = counted.study()
    proxy.reset()
    assert study.download(out, False, pbar=False).fetched == 1200
    assert len(listed(proxy)) == 2
    assert sorted(path.name for path in out.iterdir()) == [".s3bids", *(f"sub-{s:02}" for s in range(60))]


def test_a_file_that_is_new_at_the_root_comes_with_everything(counted, proxy, out):
    counted.put({"ds/sub-1/x": "x", "ds/sub-2/x": "x"})
    study = counted.study()
    counted.put({"ds/README": "new", "ds/sub-3/x": "was not chosen"})
    report = study.download(out, "all", pbar=False)
    assert sorted(report.plan.wanted.targets) == ["README", "sub-1/x", "sub-2/x"]


class WaitingStorage(LocalStorage):
    """A storage whose listing goes on only when a file has been asked for."""

    def __init__(self, params):
        super().__init__(params)
        self.has_read = threading.Event()

    def list(self, prefix="", **options):
        for number, entry in enumerate(super().list(prefix, **options)):
            if number == 2 * PAGE:
                assert self.has_read.wait(30)
            yield entry

    def stream(self, key, *args, **options):
        self.has_read.set()
        return super().stream(key, *args, **options)


def test_the_first_file_comes_before_the_last_page(tmp_path, out):
    for number in range(2 * PAGE + 10):
        path = tmp_path / "bucket" / "ds" / f"sub-{number // 100:02}" / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    storage = WaitingStorage(LocalFSParams(True, tmp_path, "me", "bucket"))
    study = S3BIDSStudy("ds", "bucket", "ds", subjects="all", storage=storage)
    assert study.download(out, "all", pbar=False).fetched == 2 * PAGE + 10


@pytest.mark.parametrize("files", [999, 1000, 1001])
def test_a_subject_with_many_files_costs_one_listing_a_page(counted, proxy, out, files):
    counted.put({f"ds/sub-1/{number:04}": "x" for number in range(files)})
    counted.put({"ds/sub-10/x": "x"})
    study = counted.study(subjects="1")
    proxy.reset()
    study.download(out, dry_run=True)
    nothing_but(proxy, list=1 + math.ceil(files / PAGE))


@pytest.mark.parametrize(
    "options", [{}, {"include_derivs": True, "include_modality_agnostic": "all"}, {"verify": "size"}]
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_second_run_gets_nothing(served, proxy, out, options, overwrite):
    first = served.study().download(out, pbar=False, **options)
    proxy.reset()
    second = served.study().download(out, overwrite=overwrite, pbar=False, **options)
    assert (second.fetched, second.skipped) == (0, first.fetched)
    assert {operation for operation, count in proxy.counts().items() if count} == {"list"}


def test_a_second_run_gets_what_is_missing_or_new_alone(served, proxy, out):
    served.study().download(out, pbar=False)
    (out / "sub-2" / "anat" / "sub-2_T1w.nii.gz").unlink()
    served.put({"ds/sub-10/new": "x", "ds/sub-1/dwi/sub-1_dwi.bval": "a new version"})
    proxy.reset()
    report = served.study().download(out, pbar=False)
    got = sorted(request.key for request in proxy.requests if request.operation == "get")
    assert got == ["ds/sub-1/dwi/sub-1_dwi.bval", "ds/sub-10/new", "ds/sub-2/anat/sub-2_T1w.nii.gz"]
    assert (report.fetched, report.conflicts) == (3, 0)
    assert (out / "sub-1/dwi/sub-1_dwi.bval").read_text() == "a new version"


def test_files_that_others_brought_are_compared_without_a_get(served, proxy, ds, out):
    for path, content in ds.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)
    proxy.reset()
    report = served.study().download(out, True, True, pbar=False)
    assert (report.fetched, report.skipped, report.conflicts) == (0, 20, 0)
    assert proxy.counts()["get"] == 0


def test_an_empty_object_costs_no_get(counted, proxy, out, tree):
    counted.put({"ds/sub-1/empty": "", "ds/sub-1/full": "x"})
    study = counted.study()
    proxy.reset()
    assert study.download(out, pbar=False).fetched == 2
    assert tree(out) == {"sub-1/empty": b"", "sub-1/full": b"x"}
    assert proxy.counts()["get"] == 1
    assert proxy.counts()["head"] == 0


def test_a_site_is_downloaded_without_a_look_at_other_subjects(site, proxy, out):
    study = HBNSite("SI", bucket=site.bucket, s3_prefix="", subjects=["2"])
    proxy.reset()
    study.download(out, False, ["afq"], pbar=False)
    assert listed(proxy) == ["Site-SI/", "Site-SI/derivatives/", "Site-SI/derivatives/sub-2/", "Site-SI/sub-2/"]
    nothing_but(proxy, list=4, get=2)


def test_other_files_by_name_cost_no_listing_of_the_study(served, proxy, out):
    study = served.study()
    assert study.non_sub_s3_keys
    proxy.reset()
    study._download_non_sub_keys(out, select=("README",))
    assert listed(proxy) == ["ds/README"]
    nothing_but(proxy, list=1, get=1)


def test_requests_name_the_version_that_was_listed_and_are_unsigned(served, proxy, out):
    served.study().download(out, pbar=False)
    got = [request for request in proxy.requests if request.operation == "get"]
    assert all(request.if_match and request.range is None for request in got)
    assert not any(request.is_signed for request in proxy.requests)


def test_credentials_in_the_environment_are_used_only_when_asked_for(served, proxy, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for anon in (True, False):
        proxy.reset()
        S3BIDSStudy("x", served.bucket, "ds", anon=anon)
        assert [request.is_signed for request in proxy.requests] == [not anon]
