"""What users ask for, checked; samples; and the choice on a complete listing."""

import json
import re

import numpy
import pytest

from s3bids.bids.filters import parse_filters
from s3bids.bids.layouts import Layout
from s3bids.catalog import catalog_of
from s3bids.choice import choosing
from s3bids.choosing import Reading, chosen_rows, filtered_subjects, sampled
from s3bids.errors import ConfigError
from s3bids.selection import ALL, Selection, shuffled
from s3bids.storage.base import ObjectInfo

PATHS = [
    "CHANGES",
    "README",
    "code/run.py",
    "dataset_description.json",
    "derivatives/d/dataset_description.json",
    "derivatives/d/desc-x_dseg.tsv",
    "derivatives/d/sub-1/anat/sub-1_desc-x_dseg.nii.gz",
    "derivatives/d/sub-2/anat/sub-2_desc-x_dseg.nii.gz",
    "participants.tsv",
    "phenotype/ace.tsv",
    "stimuli/a.png",
    "stimuli/b.png",
    "sub-1.html",
    "sub-1/anat/sub-1_T1w.nii.gz",
    "sub-1/fmap/sub-1_epi.json",
    "sub-1/fmap/sub-1_epi.nii.gz",
    "sub-1/func/sub-1_task-rest_bold.nii.gz",
    "sub-1/func/sub-1_task-rest_events.tsv",
    "sub-2/anat/sub-2_T1w.nii.gz",
    "sub-2/func/sub-2_task-nap_bold.nii.gz",
    "task-nap_bold.json",
    "task-rest_bold.json",
]
ESSENTIAL = {"CHANGES", "README", "dataset_description.json", "participants.tsv"}
BOLD = {
    "sub-1/func/sub-1_task-rest_bold.nii.gz",
    "sub-1/func/sub-1_task-rest_events.tsv",
    "stimuli/a.png",
    "task-rest_bold.json",
}


def catalog():
    return catalog_of([ObjectInfo(f"ds/{path}", 1, None, None) for path in PATHS], "ds", Layout.NESTED)


def nothing_is_read(rows):
    raise AssertionError(f"read: {[PATHS[row] for row in rows]}")


READING = Reading(
    json=lambda rows: {row: {"IntendedFor": "func/sub-1_task-rest_bold.nii.gz"} for row in rows if "epi" in PATHS[row]},
    tables=lambda rows: dict.fromkeys(rows, b"stim_file\na.png\n"),
)
NO_READING = Reading(json=nothing_is_read, tables=nothing_is_read)


def choose(
    *, subjects=("sub-1", "sub-2"), suffix=None, root=(), derivative_root=(), reading=READING, paths=None, **asked
):
    selection = Selection(tuple(subjects), ("*",), root, derivative_root, suffix)
    rows = chosen_rows(catalog(), selection, choosing(**asked), reading, keys=paths)
    return {PATHS[row] for row in rows}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"filters": {"task": "rest", "suffix": "bold"}}, ESSENTIAL | BOLD),
        (
            {"filters": {"task": "rest", "suffix": "bold"}, "with_fieldmaps": True},
            ESSENTIAL | BOLD | {"sub-1/fmap/sub-1_epi.json", "sub-1/fmap/sub-1_epi.nii.gz"},
        ),
        (
            {"filters": {"suffix": "T1w"}, "with_sidecars": False},
            {"sub-1/anat/sub-1_T1w.nii.gz", "sub-2/anat/sub-2_T1w.nii.gz"},
        ),
        (
            {"filters": {"suffix": "dseg", "subject": "1"}},
            {p for p in PATHS if p.startswith(("derivatives/d/sub-1", "derivatives/d/d"))},
        ),
        (
            {"include": ["*_T1w.nii.gz"], "exclude": ["sub-2", "README"]},
            ESSENTIAL - {"README"} | {"sub-1/anat/sub-1_T1w.nii.gz"},
        ),
        ({"include": "phenotype/*", "with_sidecars": False}, {"phenotype/ace.tsv"}),
        (
            {"include": ["code/", "sub-2/anat/*"], "with_sidecars": False},
            {"code/run.py", "sub-2/anat/sub-2_T1w.nii.gz"},
        ),
        (
            {"exclude": ["*.nii.gz", "derivatives/"], "with_sidecars": False},
            {"sub-1.html", "sub-1/fmap/sub-1_epi.json", "sub-1/func/sub-1_task-rest_events.tsv"},
        ),
        (
            {"filters": {"suffix": "bold"}, "include": ["sub-2/"], "with_sidecars": False},
            {"sub-2/func/sub-2_task-nap_bold.nii.gz"},
        ),
        (
            {"suffix": "_T1w.nii.gz", "with_sidecars": False},
            {"sub-1/anat/sub-1_T1w.nii.gz", "sub-2/anat/sub-2_T1w.nii.gz"},
        ),
        (
            {"subjects": ["sub-2"], "exclude": "derivatives", "with_sidecars": True},
            ESSENTIAL | {"sub-2/anat/sub-2_T1w.nii.gz", "sub-2/func/sub-2_task-nap_bold.nii.gz", "task-nap_bold.json"},
        ),
        ({"subjects": ["sub-1"], "include": "*.html", "with_sidecars": False}, {"sub-1.html"}),
        (
            {"paths": ["code/run.py", "sub-1/anat/sub-1_T1w.nii.gz"], "with_sidecars": False},
            {"code/run.py", "sub-1/anat/sub-1_T1w.nii.gz"},
        ),
    ],
)
def test_what_is_asked_for_is_chosen_with_what_it_needs(asked, expected):
    assert choose(**asked) == expected


def test_files_of_the_study_come_as_the_selection_says():
    only = {"filters": {"suffix": "T1w", "subject": "1"}, "with_sidecars": False}
    image = "sub-1/anat/sub-1_T1w.nii.gz"
    assert choose(**only, root=("README",)) == {image, "README"}
    assert choose(**only, derivative_root=("dataset_description.json",)) == {
        image,
        "derivatives/d/dataset_description.json",
    }
    everything = choose(**only, root=ALL, subjects=["sub-1"])
    assert everything == {image, *(p for p in PATHS if not p.startswith(("sub-1/", "sub-2", "derivatives")))}


def test_nothing_is_read_where_nothing_links():
    assert choose(filters={"suffix": "T1w"}, reading=NO_READING) >= {"sub-1/anat/sub-1_T1w.nii.gz"}
    with pytest.raises(ConfigError):
        choose(filters={"suffix": "T2w"}, with_fieldmaps=True, reading=NO_READING)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"filters": {"suffix": "T2w"}}, "none has suffix=T2w; did you mean T1w"),
        ({"suffix": ".json.gz"}, "ends with '.json.gz'"),
        ({"include": "*.xyz"}, r"none of the \d+ files fits \*.xyz"),
        ({"filters": {"suffix": "T1w"}, "include": "sub-3"}, "none of the 2 files fits sub-3"),
        ({"filters": {"suffix": "T1w"}, "exclude": ["sub-1", "sub-2"]}, "each of the 2 files fits sub-1 or sub-2"),
        ({"filters": {"nosuch": "x"}}, "entity 'nosuch'"),
        ({"subjects": [], "filters": {"suffix": "T1w"}}, "the chosen subjects have no files"),
        ({"paths": ["sub-1/gone", "README"]}, "1 of the 2 keys are none of the study's files: sub-1/gone"),
        ({"paths": ["README"], "filters": {"suffix": "T1w"}}, "that fit the filters: README"),
    ],
)
def test_the_condition_that_leaves_nothing_is_named(asked, text):
    with pytest.raises(ConfigError, match=text):
        choose(**asked)


# What users may ask for


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        ({"where": 3}, TypeError, "where"),
        ({"where": "age >"}, ConfigError, "makes no sense"),
        ({"sample": 0}, ConfigError, "sample is 0"),
        ({"sample": "3"}, TypeError, "sample"),
        ({"sample": True}, TypeError, "sample"),
        ({"random_seed": -1}, ConfigError, "random_seed"),
        ({"random_seed": 1.5}, TypeError, "random_seed"),
        ({"balance": ""}, TypeError, "balance"),
        ({"balance": 3}, TypeError, "balance"),
        ({"include": 3}, TypeError, "include"),
        ({"include": [3]}, TypeError, "include"),
        ({"include": [""]}, ConfigError, "include holds an empty text"),
        ({"exclude": "/x"}, ConfigError, "glob '/x'"),
        ({"keys": []}, ConfigError, "keys is empty"),
        ({"keys": {"x": 1}}, TypeError, "keys"),
        ({"require": [None]}, TypeError, "require"),
        ({"with_sidecars": "yes"}, TypeError, "with_sidecars"),
        ({"with_fieldmaps": 1}, TypeError, "with_fieldmaps"),
        ({"valid_subset": None}, TypeError, "valid_subset"),
        ({"filters": "task=rest"}, TypeError, "filters"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(asked, error, text):
    with pytest.raises(error, match=text):
        choosing(**asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"filters": {"suffix": "T1w"}}, {"where": "age > 1"}, {"sample": 1}, {"balance": "sex"}, {"include": "*"},
        {"exclude": ["x"]}, {"keys": "x"}, {"require": "T1w"}, {"with_sidecars": False}, {"with_sidecars": True},
        {"with_fieldmaps": True}, {"valid_subset": True},
    ],
)  # fmt: skip
def test_one_argument_makes_the_difference(asked):
    assert choosing(**asked).is_active


def test_without_arguments_nothing_differs():
    assert not choosing().is_active
    assert not choosing(random_seed=3, with_fieldmaps=False, valid_subset=False).is_active


def test_sidecars_come_unless_they_are_turned_off():
    assert choosing(sample=1).with_sidecars
    assert not choosing(sample=1, with_sidecars=False).with_sidecars


# Subjects

SUBJECTS = [f"sub-{n}" for n in range(1, 10)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"suffix": "T1w"}, SUBJECTS),
        ({"subject": "3"}, ["sub-3"]),
        ({"sub": ["sub-3", 5]}, ["sub-3", "sub-5"]),
        ({"subject": "re:[12]"}, ["sub-1", "sub-2"]),
        ({"a": {"subject": "1"}, "b": {"subject": "2"}}, ["sub-1", "sub-2"]),
        ({"a": {"subject": "1"}, "b": {"suffix": "T1w"}}, SUBJECTS),
        ({"subject": "*"}, SUBJECTS),
    ],
)
def test_only_subjects_that_filters_may_want_are_listed(filters, expected):
    assert filtered_subjects(parse_filters(filters), SUBJECTS) == expected


@pytest.mark.parametrize("value", ["10", ["1", "x"], None, "re:z", 77])
def test_a_filter_by_a_subject_that_is_not_there_is_refused(value):
    with pytest.raises(ConfigError, match="not among the 9 chosen: sub-1"):
        filtered_subjects(parse_filters({"subject": value}), SUBJECTS)


def test_a_sample_is_the_beginning_of_the_shuffled_order():
    assert sampled(SUBJECTS, 4, 42, None) == sorted(shuffled(SUBJECTS, 42)[:4])
    assert sampled(list(reversed(SUBJECTS)), 4, 42, None) == sampled(SUBJECTS, 4, 42, None)
    assert sampled(SUBJECTS, 4, 1, None) != sampled(SUBJECTS, 4, 2, None)


@pytest.mark.parametrize(("number", "sizes"), [(4, (2, 2)), (5, (3, 2)), (1, (1, 0)), (None, (3, 3)), (6, (3, 3))])
def test_a_balanced_sample_takes_as_many_of_each_value(number, sizes):
    groups = {"F": SUBJECTS[:6], "M": SUBJECTS[6:]}
    found = sampled(SUBJECTS, number, 0, groups)
    assert tuple(len(set(found) & set(members)) for members in groups.values()) == sizes


@pytest.mark.parametrize(
    ("number", "groups", "text"),
    [
        (10, None, "a sample of 10 is asked for, and there are 9"),
        (
            8,
            {"F": SUBJECTS[:6], "M": SUBJECTS[6:]},
            "needs 4 subjects with 'M', and there are 6 with 'F', 3 with 'M'; ask for at most 6",
        ),
    ],
)
def test_a_sample_that_is_too_large_is_refused(number, groups, text):
    with pytest.raises(ConfigError, match=text):
        sampled(SUBJECTS, number, 0, groups)


def test_what_was_asked_for_is_given_as_json_can_hold_it_and_can_be_asked_for_again():
    chosen = choosing(
        sample=numpy.int64(2),
        random_seed=numpy.int32(1),
        keys={"README"},
        filters={"task": re.compile("^Rest", re.IGNORECASE), "run": [1, None]},
    )
    given = json.loads(json.dumps(chosen.given))
    assert given == {
        "sample": 2,
        "random_seed": 1,
        "keys": ["README"],
        "filters": {"task": "re:(?i)^Rest", "run": [1, None]},
    }
    assert choosing(**given).given == given
