import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3bids.bids.layouts import Layout
from s3bids.catalog import catalog_of
from s3bids.errors import ConfigError, SubjectNotFoundError
from s3bids.selection import (
    ALL,
    EVERY_FILE,
    FILES,
    Selection,
    agnostic_rule,
    as_index,
    choose_subjects,
    derivative_patterns,
    is_agnostic_file,
    matches,
    select,
    shuffled,
    subject_directories,
    unmatched,
    wants_root_entry,
)
from s3bids.storage.base import ObjectInfo

IDS = ["sub-01", "sub-02", "sub-03", "sub-10"]
LETTERS = [f"sub-{number:02}" for number in range(1, 27)]


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        (None, ["sub-01"]),
        (1, ["sub-01"]),
        (3, ["sub-01", "sub-02", "sub-03"]),
        (99, IDS),
        (np.int64(2), ["sub-01", "sub-02"]),
        ("all", IDS),
        ("02", ["sub-02"]),
        ("sub-02", ["sub-02"]),
        (["10", "sub-01"], ["sub-10", "sub-01"]),
        (("03", "01"), ["sub-03", "sub-01"]),
        (["01", "sub-01", "02"], ["sub-01", "sub-02"]),
        ([0, 2], ["sub-01", "sub-03"]),
        ([-1, 0], ["sub-10", "sub-01"]),
        ([0, -4], ["sub-01"]),
        (range(1, 3), ["sub-02", "sub-03"]),
        (np.array([3, 0]), ["sub-10", "sub-01"]),
        (np.array(["02", "sub-01"]), ["sub-02", "sub-01"]),
        (pd.Series(["02", "01"], index=[5, 7]), ["sub-02", "sub-01"]),
        ([np.int32(1), 2], ["sub-02", "sub-03"]),
    ],
)
def test_subjects_are_chosen(subjects, expected):
    assert choose_subjects(reversed(IDS), subjects) == expected


@pytest.mark.parametrize(
    ("subjects", "error", "text"),
    [
        (0, ValueError, "subjects is 0"),
        (-3, ValueError, "subjects is -3"),
        ([], ValueError, "empty"),
        ((), ValueError, "empty"),
        (np.array([], dtype=int), ValueError, "empty"),
        ([4], IndexError, "position 4"),
        ([-5], IndexError, "position -5"),
        (True, TypeError, "bool"),
        (1.5, TypeError, "float"),
        ({"01"}, TypeError, "set"),
        ({"01": 1}, TypeError, "dict"),
        ((name for name in IDS), TypeError, "generator"),
        ([True, False], TypeError, "ids or positions"),
        (["01", 2], TypeError, "ids or positions"),
        ([1.0], TypeError, "ids or positions"),
        ([None], TypeError, "ids or positions"),
        ("", ConfigError, "no label"),
        (["sub-"], ConfigError, "no label"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(subjects, error, text):
    with pytest.raises(error, match=text):
        choose_subjects(IDS, subjects)


def test_an_unknown_subject_is_named_with_the_nearest():
    with pytest.raises(SubjectNotFoundError, match=r"no sub-011; the nearest are .*sub-01.* of its 4 subjects"):
        choose_subjects(IDS, ["01", "011"])


def test_an_unknown_subject_like_no_other_says_so():
    with pytest.raises(SubjectNotFoundError, match="none is similar"):
        choose_subjects(["sub-NDARAA075AMK"], "zz")


def test_many_unknown_subjects_are_counted():
    with pytest.raises(SubjectNotFoundError, match="and 90 more"):
        choose_subjects(IDS, [f"x{number}" for number in range(100)])


def test_case_and_leading_zeros_count():
    for name in ("1", "001", "SUB-01"):
        with pytest.raises(SubjectNotFoundError):
            choose_subjects(IDS, name)


def test_a_study_without_subjects():
    assert choose_subjects([], "all") == []
    for subjects in (None, 1):
        with pytest.raises(SubjectNotFoundError, match="no subjects"):
            choose_subjects([], subjects)
    with pytest.raises(IndexError, match="has 0"):
        choose_subjects([], [0])


@pytest.mark.parametrize(
    ("seed", "first"),
    [(0, "03 21 15 18 06"), (1, "19 14 18 04 23"), (42, "09 17 01 25 12")],
)
def test_the_shuffled_order_is_the_published_one(seed, first):
    expected = [f"sub-{number}" for number in first.split()]
    assert choose_subjects(LETTERS, 5, seed) == expected
    assert choose_subjects(reversed(LETTERS), [0, 1, 2, 3, 4], seed) == expected
    assert choose_subjects(LETTERS, None, seed) == expected[:1]
    assert choose_subjects(LETTERS, [-1], seed) == [shuffled(LETTERS, seed)[-1]]


def test_a_seed_changes_neither_all_nor_ids():
    assert choose_subjects(LETTERS, "all", 42) == LETTERS
    assert choose_subjects(LETTERS, ["02", "01"], 42) == ["sub-02", "sub-01"]


@given(st.integers(0, 2**32 - 1), st.integers(0, 200))
@settings(deadline=None, max_examples=60)
def test_the_shuffle_is_that_of_numpy(seed, number):
    ids = [str(index) for index in range(number)]
    expected = list(ids)
    np.random.RandomState(seed).shuffle(expected)
    assert shuffled(ids, seed) == expected


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_refuses_is_refused(seed):
    with pytest.raises(ValueError, match="random_seed"):
        shuffled(IDS, seed)


def test_shuffling_leaves_the_list_and_the_global_generator_alone():
    ids = list(IDS)
    code = "import random; random.seed(1); a = random.random(); random.seed(1); "
    code += "from s3bids.selection import shuffled; shuffled(['a', 'b', 'c'], 3); assert random.random() == a"
    shuffled(ids, 7)
    assert ids == IDS
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3), (np.int8(3), 3), (True, None), (3.0, None), ("3", None), (None, None), (np.array(3), 3)],
)
def test_an_index_is_an_integer_of_any_kind_but_no_bool(value, expected):
    assert as_index(value) == expected


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (True, ("*",)),
        (False, ()),
        ("afq", ("afq",)),
        ("afq*", ("afq*",)),
        (["afq", "qsiprep"], ("afq", "qsiprep")),
        (("afq",), ("afq",)),
        ([], ()),
        ("bucket/ds/derivatives/afq", ("afq",)),
        (["bucket/ds/derivatives/afq", "qsi*"], ("afq", "qsi*")),
        ("bucket/ds/derivatives/other", ("bucket/ds/derivatives/other",)),
    ],
)
def test_derivatives_are_names_globs_or_elements_of_derivative_types(include, expected):
    assert derivative_patterns(include, ["bucket/ds/derivatives/afq"]) == expected


@pytest.mark.parametrize("include", [None, 1, 1.0, {"afq"}, [1], ["afq", None], b"afq", {"afq": 1}])
def test_derivatives_of_another_type_are_refused(include):
    with pytest.raises(TypeError, match="include_derivs must be"):
        derivative_patterns(include)


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("afq", ["afq"], True),
        ("afq-old", ["afq"], False),
        ("afq-old", ["afq*"], True),
        ("AFQ", ["afq"], False),
        ("afq", ["AFQ*"], False),
        ("afq", ["q", "f"], False),
        ("afq", [], False),
        ("afq", ["*"], True),
        ("a[1]", ["a[1]"], True),
        ("a1", ["a[1]"], True),
        ("derivatives", ["afq"], False),
    ],
)
def test_a_derivative_is_matched_by_its_whole_name(name, patterns, expected):
    assert matches(name, patterns) is expected


def test_patterns_without_a_match_are_given_back():
    assert unmatched(iter(["afq", "qsiprep"]), ["afq", "fmri*", "qsi*", "x"]) == ["fmri*", "x"]
    assert unmatched([], ["*"]) == ["*"]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (True, ALL),
        ("all", ALL),
        (False, ()),
        ("README", ("README",)),
        (("dataset_description.json",), ("dataset_description.json",)),
        (["CHANGES", "LICENSE"], ("CHANGES", "LICENSE")),
        ([], ()),
    ],
)
def test_files_of_the_whole_study(include, expected):
    assert agnostic_rule(include) == expected


@pytest.mark.parametrize(
    ("include", "error"),
    [
        (None, TypeError),
        (1, TypeError),
        ([1], TypeError),
        ({"README"}, TypeError),
        ("readme", ValueError),
        ("participants.tsv", ValueError),
        (["README", "all"], ValueError),
        ("files", ValueError),
    ],
)
def test_files_of_the_whole_study_that_make_no_sense_are_refused(include, error):
    with pytest.raises(error, match="include_modality_agnostic"):
        agnostic_rule(include)


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("README", "README", True),
        ("README.md", "README", True),
        ("README.rst", "README", True),
        ("README.txt", "README", True),
        ("README.old", "README", False),
        ("README_more", "README", False),
        ("readme.md", "README", False),
        ("LICENSE.md", "LICENSE", True),
        ("CHANGES", "CHANGES", True),
        ("CHANGES.md", "CHANGES", False),
        ("dataset_description.json", "dataset_description.json", True),
        (".md", "README", False),
    ],
)
def test_readme_and_license_may_have_an_extension(name, wanted, expected):
    assert is_agnostic_file(name, wanted) is expected


@pytest.mark.parametrize(
    ("name", "is_directory", "wanted_by"),
    [
        ("README.md", False, {"all", "files", "names"}),
        ("participants.tsv", False, {"all", "files"}),
        (".bidsignore", False, {"all", "files"}),
        ("sub-01_scans.tsv", False, {"all"}),
        ("code", True, {"all"}),
        ("README", True, {"all"}),
    ],
)
def test_entries_at_the_root(name, is_directory, wanted_by):
    rules = {"all": ALL, "files": FILES, "names": ("README",), "none": ()}
    found = {word for word, rule in rules.items() if wants_root_entry(name, is_directory=is_directory, rule=rule)}
    assert found == wanted_by


def test_subjects_are_known_by_their_own_names():
    """Not by what stands before: the prefix ``sub-p/ds`` is no subject."""
    directories = ["sub-p/ds/sub-2/", "sub-p/ds/code/", "sub-p/ds/sub-A-02/", "sub-p/ds/sub-/", "sub-p/ds/subject/"]
    assert subject_directories(directories) == ["sub-2", "sub-A-02"]


KEYS = [
    "ds/README",
    "ds/derivatives/afq/dataset_description.json",
    "ds/derivatives/afq/sub-1/x_profiles.csv",
    "ds/derivatives/afq/sub-10/x_profiles.csv",
    "ds/derivatives/afq-old/sub-1/x_profiles.csv",
    "ds/derivatives/notes.txt",
    "ds/sub-1/anat/sub-1_T1w.json",
    "ds/sub-1/anat/sub-1_T1w.nii.gz",
    "ds/sub-10/anat/sub-10_T1w.nii.gz",
]


def selected(selection, layout=Layout.NESTED, keys=KEYS):
    catalog = catalog_of([ObjectInfo(key, 1) for key in keys], "ds", layout)
    return [key.removeprefix("ds/") for key in select(catalog, selection).keys]


def test_a_subject_is_not_the_beginning_of_another():
    assert selected(Selection(("sub-1",))) == [
        "README",
        "derivatives/notes.txt",
        "sub-1/anat/sub-1_T1w.json",
        "sub-1/anat/sub-1_T1w.nii.gz",
    ]


def test_derivatives_need_their_subject_and_their_pipeline():
    assert selected(Selection(("sub-1",), ("afq",)))[:4] == [
        "README",
        "derivatives/afq/dataset_description.json",
        "derivatives/afq/sub-1/x_profiles.csv",
        "derivatives/notes.txt",
    ]


def test_the_suffix_concerns_subjects_files_only():
    assert selected(Selection(("sub-1", "sub-10"), ("afq*",), suffix="profiles.csv")) == [
        "README",
        "derivatives/afq-old/sub-1/x_profiles.csv",
        "derivatives/afq/dataset_description.json",
        "derivatives/afq/sub-1/x_profiles.csv",
        "derivatives/afq/sub-10/x_profiles.csv",
        "derivatives/notes.txt",
    ]


def test_subject_first_derivatives_are_selected_by_the_same_rule():
    keys = ["ds/derivatives/sub-1/afq/x", "ds/derivatives/sub-1/qsiprep/sub-1/x", "ds/derivatives/sub-2/afq/x"]
    found = selected(Selection(("sub-1",), ("qsiprep",)), Layout.SUBJECT_FIRST, keys)
    assert found == ["derivatives/sub-1/qsiprep/sub-1/x"]


def test_a_selection_of_everything_copies_nothing():
    catalog = catalog_of([ObjectInfo(key, 1) for key in KEYS], "ds", Layout.NESTED)
    assert select(catalog, Selection(("sub-1", "sub-10"), ("*",))) is catalog


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("qsiprep/dlqc", "qsiprep/dlqc", True),
        ("qsiprep/dlqc", "*", True),
        ("qsiprep/dlqc", "*/dlqc", True),
        ("qsiprep/dlqc", "qsi*/d*", True),
        ("qsiprep/dlqc", "qsiprep", False),
        ("qsiprep/dlqc", "qsi*", False),
        ("qsiprep/dlqc", "*/*/*", False),
        ("qsiprep", "*/*", False),
    ],
)
def test_a_derivative_of_a_derivative_is_meant_by_what_names_both(name, pattern, expected):
    assert matches(name, [pattern]) is expected


def test_every_file_at_a_root_may_be_wanted():
    assert wants_root_entry("sub-1.html", is_directory=False, rule=EVERY_FILE)
    assert not wants_root_entry("code", is_directory=True, rule=EVERY_FILE)
    assert not wants_root_entry("sub-1.html", is_directory=False, rule=FILES)
