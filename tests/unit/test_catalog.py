import math
import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3bids.bids.layouts import Layout
from s3bids.catalog import Catalog, catalog_of, joined, list_catalog, relative_path
from s3bids.storage import LocalFSParams, LocalStorage
from s3bids.storage.base import ObjectInfo

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
T1W = "sub-01/ses-1/anat/sub-01_ses-1_acq-hi_run-02_T1w.nii.gz"


@pytest.fixture
def storage(tmp_path):
    """A bucket with two siblings that begin alike, at its top and below a prefix."""
    for start in ("", "data/"):
        for key in ("README", "sub-1/x", "sub-1/y/z", "sub-10/x", "sub-1.json"):
            path = tmp_path / "bucket" / f"{start}{key}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(key)
    return LocalStorage(LocalFSParams(True, tmp_path, "me", "bucket"))


def test_a_row_says_what_the_listing_and_the_name_say():
    info = ObjectInfo(f"ds/{T1W}", 7, "abc", MOMENT)
    [entry] = catalog_of([info], "ds", Layout.NESTED)
    assert (entry.key, entry.path, entry.size, entry.etag, entry.last_modified) == (info.key, T1W, 7, "abc", MOMENT)
    assert (entry.subject, entry.derivative) == ("sub-01", None)
    assert (entry.name.session, entry.name.suffix, entry.name.datatype) == ("ses-1", "T1w", "anat")


def test_what_a_listing_does_not_say_stays_unknown():
    catalog = catalog_of([ObjectInfo("x", 0)], "", Layout.NESTED)
    [entry] = catalog
    assert (entry.etag, entry.last_modified) == (None, None)
    assert math.isnan(catalog.modified[0])


@pytest.mark.parametrize(
    ("key", "prefix", "path"),
    [
        ("ds/sub-1/x", "ds", "sub-1/x"),
        ("sub-1/x", "", "sub-1/x"),
        ("data/sub-1/sub-1_desc-data/data/x", "data", "sub-1/sub-1_desc-data/data/x"),
        ("a/b/a/b/x", "a/b", "a/b/x"),
    ],
)
def test_the_prefix_is_cut_once_and_at_the_beginning(key, prefix, path):
    assert relative_path(key, prefix) == path


def test_rows_are_sorted_as_s3_sorts_them_and_come_once():
    keys = ["ds/b", "ds/a/x", "ds/a", "ds/é", "ds/Z", "ds/a-b", "ds/b", "ds/\U0001f600", "ds/\uffee"]
    catalog = catalog_of([ObjectInfo(key, index) for index, key in enumerate(keys)], "ds", Layout.NESTED)
    assert catalog.keys == sorted(set(keys), key=str.encode)
    assert len(catalog) == len(keys) - 1
    assert catalog.sizes[catalog.keys.index("ds/a-b")] == 5


@given(st.lists(st.tuples(st.text(max_size=4), st.integers(0, 2**60))))
def test_columns_stay_together_whatever_the_order(pairs):
    sizes = dict(pairs)
    catalog = catalog_of([ObjectInfo(key, size, key) for key, size in pairs], "", Layout.NESTED)
    assert dict(zip(catalog.keys, catalog.sizes, strict=True)) == sizes
    assert list(catalog.etags) == list(catalog.keys) == sorted(sizes, key=lambda key: key.encode("utf-8", "replace"))


def test_taking_rows_keeps_their_order():
    catalog = catalog_of([ObjectInfo(key, n, f"e{n}", MOMENT) for n, key in enumerate("abc")], "", Layout.STANDALONE)
    taken = catalog.take([2, 0])
    assert (list(taken.keys), list(taken.sizes), taken.etags) == (["c", "a"], [2, 0], ["e2", "e0"])
    assert list(taken.modified) == [MOMENT.timestamp()] * 2
    assert taken.layout is Layout.STANDALONE


def test_joining_keeps_one_of_each_object():
    one = catalog_of([ObjectInfo("b", 1), ObjectInfo("c", 2, "x", MOMENT)], "", Layout.NESTED)
    other = catalog_of([ObjectInfo("c", 2, "x", MOMENT), ObjectInfo("a", 3)], "", Layout.NESTED)
    both = joined([one, other], "", Layout.NESTED)
    assert list(both.keys) == ["a", "b", "c"]
    assert list(both.sizes) == [3, 1, 2]
    assert both.row(2).last_modified == MOMENT
    assert list(one.keys) == ["b", "c"], "the first stays as it was"


@pytest.mark.parametrize("prefix", ["", "data"])
def test_a_listing_goes_by_whole_names(storage, prefix):
    start = f"{prefix}/" if prefix else ""
    catalog = list_catalog(storage, prefix, ["sub-1/"])
    assert list(catalog.keys) == [f"{start}sub-1/x", f"{start}sub-1/y/z"]
    assert [entry.path for entry in catalog] == ["sub-1/x", "sub-1/y/z"]


def test_overlapping_listings_give_each_object_once(storage):
    catalog = list_catalog(storage, "data", ["sub-1/y/", "sub-1/", "sub-10/", "sub-1/", "sub-none/"])
    assert [entry.path for entry in catalog] == ["sub-1/x", "sub-1/y/z", "sub-10/x"]


def test_known_objects_are_joined_in_without_a_listing(storage):
    known = ObjectInfo("data/README", 6)
    assert [entry.path for entry in list_catalog(storage, "data", [], known=[known])] == ["README"]
    both = list_catalog(storage, "data", ["sub-10/"], known=[known])
    assert [entry.path for entry in both] == ["README", "sub-10/x"]


def test_the_whole_data_set_in_one_pass(storage):
    catalog = list_catalog(storage, "data", [""])
    assert [entry.path for entry in catalog] == ["README", "sub-1.json", "sub-1/x", "sub-1/y/z", "sub-10/x"]
    assert catalog.sizes[0] == len("README")


def test_a_table_for_users():
    infos = [
        ObjectInfo("ds/README", 1),
        ObjectInfo(f"ds/{T1W}", 2, "abc", MOMENT),
        ObjectInfo("ds/derivatives/afq/sub-01/sub-01_profiles.csv", 3, None, MOMENT),
    ]
    frame = catalog_of(infos, "ds", Layout.NESTED).to_frame()
    assert list(frame.columns) == [
        "key", "path", "size", "etag", "last_modified", "subject", "session", "derivative", "datatype", "suffix",
        "extension", "entities",
    ]  # fmt: skip
    assert list(frame["path"]) == ["README", "derivatives/afq/sub-01/sub-01_profiles.csv", T1W]
    image = frame.set_index("path").loc[T1W]
    assert image.drop(["key", "last_modified", "derivative"]).to_dict() == {
        "size": 2,
        "etag": "abc",
        "subject": "sub-01",
        "session": "ses-1",
        "datatype": "anat",
        "suffix": "T1w",
        "extension": ".nii.gz",
        "entities": "acq-hi_run-02",
    }
    assert image["last_modified"] == MOMENT
    assert frame["derivative"].isna().tolist() == [True, False, True]
    assert frame["subject"].isna().tolist() == [True, False, False]


@pytest.mark.parametrize("infos", [[], [ObjectInfo("README", 1)]])
def test_a_table_has_its_types_whatever_is_in_it(infos):
    frame = catalog_of(infos, "", Layout.NESTED).to_frame()
    assert len(frame) == len(infos)
    assert frame["size"].dtype == "int64"
    assert frame["subject"].dtype == "string"


def test_a_catalog_pickles():
    catalog = catalog_of([ObjectInfo("a", 1, "e", MOMENT)], "", Layout.SUBJECT_FIRST)
    copy = pickle.loads(pickle.dumps(catalog))
    assert isinstance(copy, Catalog)
    assert list(copy) == list(catalog)
