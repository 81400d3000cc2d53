"""Which subjects a study has, in which order: the selection table of the contract."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from s3bids import LocalFSParams, S3BIDSStudy, S3BIDSSubject


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Subjects sub-01 to sub-26."""
    root = tmp_path_factory.mktemp("many")
    for number in range(1, 27):
        folder = root / "bucket" / "ds" / f"sub-{number:02}"
        folder.mkdir(parents=True)
        (folder / "x").touch()
    return LocalFSParams(use_local_fs=True, root_dir=root, user="", bucket_name="bucket")


@pytest.mark.parametrize(
    ("subjects", "seed", "labels"),
    [
        (None, None, "01"),
        (3, None, "01 02 03"),
        (np.int32(2), None, "01 02"),
        ([0, 2], None, "01 03"),
        ((-1, 0, -26), None, "26 01"),
        (range(1, 4), None, "02 03 04"),
        (np.array([4, 1]), None, "05 02"),
        (pd.Series([25]), None, "26"),
        ("07", None, "07"),
        ("sub-07", 42, "07"),
        (["03", "sub-01"], None, "03 01"),
        (("03", "sub-03", "01"), 0, "03 01"),
        (np.array(["26", "sub-02"]), None, "26 02"),
        (None, 0, "03"),
        (5, 0, "03 21 15 18 06"),
        (5, 1, "19 14 18 04 23"),
        (5, 42, "09 17 01 25 12"),
        (5, np.uint32(42), "09 17 01 25 12"),
        ([0, 4], 42, "09 12"),
        ([1, 1, 0], 1, "14 19"),
    ],
)
def test_the_selection_follows_the_table(many, subjects, seed, labels):
    study = S3BIDSStudy("x", "bucket", "ds", subjects, random_seed=seed, storage=many)
    assert [subject.subject_id for subject in study.subjects] == [f"sub-{label}" for label in labels.split()]
    assert study._all_subjects == [f"sub-{number:02}" for number in range(1, 27)]


@pytest.mark.parametrize("seed", [None, 0, 42])
@pytest.mark.parametrize("subjects", ["all", 26, 99])
def test_all_subjects_are_sorted_unless_a_number_is_shuffled(many, subjects, seed):
    study = S3BIDSStudy("x", "bucket", "ds", subjects, random_seed=seed, storage=many)
    ids = [subject.subject_id for subject in study.subjects]
    assert sorted(ids) == study._all_subjects
    assert (ids == study._all_subjects) is (subjects == "all" or seed is None)


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1])
@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 26])
def test_the_shuffled_order_is_that_of_numpy(by_params, seed, count):
    by_params.put({f"ds/sub-{number:02}/x": b"" for number in range(count)})
    expected = [f"sub-{number:02}" for number in range(count)]
    np.random.RandomState(seed).shuffle(expected)
    study = by_params.study(subjects=count, random_seed=seed)
    assert [subject.subject_id for subject in study.subjects] == expected


def test_a_prefix_without_subjects_gives_an_empty_list_for_all(by_params, out, tree):
    by_params.put({"ds/dataset_description.json": b"{}", "ds/sub-/x": b"", "ds/sub-1.json": b"{}"})
    study = by_params.study()
    assert (study.subjects, study._all_subjects) == ([], [])
    assert study.download(out, pbar=False).fetched == 1
    assert set(tree(out)) == {"dataset_description.json"}


def test_subjects_are_of_the_class_asked_for(local):
    class Subject(S3BIDSSubject):
        pass

    study = local.study(_subject_class=Subject)
    assert [type(subject) for subject in study.subjects] == [Subject] * 3
    assert type(study._get_subject("sub-99")) is Subject
