"""Filters by BIDS entity."""

import re

import pytest

from s3bids.bids.filters import check_entities, explain_empty, matching_rows, parse_filter_texts, parse_filters
from s3bids.bids.layouts import Layout
from s3bids.bids.table import name_table
from s3bids.errors import ConfigError

PATHS = [
    "sub-01/ses-1/anat/sub-01_ses-1_acq-MPR_T1w.nii.gz",
    "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-01_bold.json",
    "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-01_bold.nii.gz",
    "sub-01/ses-2/func/sub-01_ses-2_task-nback_run-2_bold.nii.gz",
    "sub-01/ses-2/func/sub-01_ses-2_task-nback_run-2_events.tsv",
    "sub-02/fmap/sub-02_dir-PA_acq-fMRI_epi.nii.gz",
    "sub-02/func/sub-02_task-rest_space-MNI_desc-preproc_bold.nii.gz",
    "sub-02/meg/sub-02_task-AEF_meg.ds/BadChannels",
    "sub-02/meg/sub-02_task-AEF_meg.ds/x.meg4",
    "sub-02/surf/lh.pial",
]
TABLE = name_table(PATHS, Layout.NESTED)
ALL = range(len(PATHS))


def chosen(filters):
    return matching_rows(TABLE, parse_filters(filters), ALL)


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        (None, list(ALL)),
        ({}, list(ALL)),
        ({"suffix": "bold"}, [1, 2, 3, 6]),
        ({"datatype": "func", "suffix": "bold", "extension": ".nii.gz"}, [2, 3, 6]),
        ({"extension": "nii.gz", "suffix": "T1w"}, [0]),
        ({"subject": "01", "task": "rest"}, [1, 2]),
        ({"sub": "01", "task": "rest"}, [1, 2]),
        ({"subject": "sub-02", "suffix": "bold"}, [6]),
        ({"session": ["1", "ses-2"], "suffix": "bold", "extension": ".nii.gz"}, [2, 3]),
        ({"session": None, "suffix": "bold"}, [6]),
        ({"session": "*"}, [0, 1, 2, 3, 4]),
        ({"session": [None, "2"], "suffix": "bold"}, [3, 6]),
        # Numbers mean numbers; text means text, but for entities that count.
        ({"run": 1}, [1, 2]),
        ({"run": "1"}, [1, 2]),
        ({"run": "01"}, [1, 2]),
        ({"run": ["001", 2]}, [1, 2, 3, 4]),
        ({"subject": 1, "suffix": "T1w"}, [0]),
        ({"subject": "1", "suffix": "T1w"}, []),
        ({"session": 1, "suffix": "T1w"}, [0]),
        ({"space": None, "suffix": "bold", "subject": "02"}, []),
        ({"space": "*"}, [6]),
        ({"task": "re:^re"}, [1, 2, 6]),
        ({"task": re.compile("BACK", re.I)}, [3, 4]),
        ({"task": ["re:^n", "AEF"]}, [3, 4, 7, 8]),
        ({"acquisition": "fMRI", "direction": "PA"}, [5]),
        ({"acq": ("MPR", "fMRI")}, [0, 5]),
        ({"extension": ".ds"}, [7, 8]),
        ({"extension": ".ds/"}, [7, 8]),
        ({"extension": ".meg4"}, []),
        ({"description": "preproc"}, [6]),
        ({"subject": "02", "task": None}, [5, 9]),
        # The file names no subject; its folder does.
        ({"subject": "02", "suffix": None}, []),
        # Groups are alternatives.
        ({"a": {"suffix": "T1w"}, "b": {"suffix": "epi"}}, [0, 5]),
        ([{"suffix": "T1w"}, {"suffix": "epi"}], [0, 5]),
    ],
)
def test_files_that_fit_are_chosen(filters, rows):
    assert chosen(filters) == rows


def test_a_suffix_that_must_be_absent():
    paths = ["sub-1/figures/sub-1_desc-about.html", "sub-1/anat/sub-1_T1w.nii"]
    table = name_table(paths, Layout.NESTED)
    assert matching_rows(table, parse_filters({"suffix": None}), range(2)) == [0]


def test_a_name_that_speaks_of_another_subject_than_its_folder_is_taken_at_its_word():
    table = name_table(
        ["sub-01/func/sub-02_task-rest_bold.nii", "sub-01/func/sub-01_task-rest_bold.nii"], Layout.NESTED
    )
    assert matching_rows(table, parse_filters({"subject": "02"}), range(2)) == [0]
    assert matching_rows(table, parse_filters({"subject": "01", "suffix": "bold"}), range(2)) == [1]


# fMRIPrep's filter file


def test_the_groups_of_a_filter_file_mean_what_they_mean_to_fmriprep():
    found = parse_filters({"t1w": {"session": "1"}, "bold": {"task": "rest", "space": None}, "fmap": {}})
    assert list(map(str, found)) == [
        "t1w: datatype=anat, suffix=T1w, session=1",
        "bold: datatype=func, suffix=bold, task=rest, space=none",
        "fmap: datatype=fmap",
    ]
    assert chosen({"t1w": {"session": "1"}, "bold": {"task": "rest", "space": None}, "fmap": {}}) == [0, 1, 2, 5]


def test_a_group_that_says_its_datatype_keeps_it():
    [found] = parse_filters({"bold": {"datatype": "perf", "suffix": ["asl", "m0scan"]}})
    assert str(found) == "bold: datatype=perf, suffix=asl,m0scan"


def test_regex_search_turns_texts_into_regular_expressions():
    assert chosen({"bold": {"task": "^n", "regex_search": True}}) == [3]
    assert chosen({"task": "^n", "regex_search": False}) == []


# The command line


@pytest.mark.parametrize(
    ("texts", "filters"),
    [
        (["task=rest"], {"task": ["rest"]}),
        (["run=1,2"], {"run": ["1", "2"]}),
        (["run=1", "run=2", "task=rest"], {"run": ["1", "2"], "task": ["rest"]}),
        (["ses=1", "session=2"], {"ses": ["1", "2"]}),
        (["space=none", "acq=NULL"], {"space": [None], "acq": [None]}),
        (["acq=*"], {"acq": ["*"]}),
        (["task=re:^(a|b),c"], {"task": ["re:^(a|b),c"]}),
        (["extension=.nii.gz,.json"], {"extension": [".nii.gz", ".json"]}),
        (["desc=a=b"], {"desc": ["a=b"]}),
    ],
)
def test_texts_are_filters(texts, filters):
    assert parse_filter_texts(texts) == filters
    parse_filters(parse_filter_texts(texts))


@pytest.mark.parametrize("text", ["task", "task=", "=rest", "", "run=1,,2", "run=1,"])
def test_a_text_that_is_no_filter_is_named(text):
    with pytest.raises(ConfigError, match=re.escape(repr(text))):
        parse_filter_texts([text])


# Bad input


@pytest.mark.parametrize(
    ("filters", "error", "text"),
    [
        ("task=rest", TypeError, "not str"),
        (3, TypeError, "not int"),
        ([1], TypeError, "not list"),
        ({"run": 1.5}, ConfigError, "run has the value 1.5"),
        ({"run": True}, ConfigError, "run has the value True"),
        ({"run": ""}, ConfigError, "run has the value ''"),
        ({"run": []}, ConfigError, "empty list"),
        ({"run": [[1]]}, ConfigError, "run has the value"),
        ({"task": re.compile(b"x")}, ConfigError, "regular"),
        ({"task": "re:("}, ConfigError, "regular expression '\\('"),
        ({1: "x"}, ConfigError, "entity 1"),
        ({"ses": "1", "session": "2"}, ConfigError, "session twice"),
        ({"t1w": {"suffix": "T1w"}, "task": "rest"}, ConfigError, "side by side"),
        ({"mine": {}}, ConfigError, "'mine' of the filters is empty"),
        ({"task": "x", "regex_search": "yes"}, ConfigError, "regex_search"),
    ],
)
def test_filters_that_make_no_sense_are_refused(filters, error, text):
    with pytest.raises(error, match=text):
        parse_filters(filters)


@pytest.mark.parametrize(
    ("name", "near"), [("taks", "task"), ("sesion", "session"), ("sufix", "suffix"), ("acqusition", "acquisition")]
)
def test_an_unknown_entity_is_named_with_the_nearest(name, near):
    with pytest.raises(
        ConfigError, match=rf"'{name}', which neither BIDS nor this study has; did you mean .*\b{near}\b"
    ):
        check_entities(parse_filters({name: "x"}), TABLE)


def test_an_entity_that_only_this_study_has_is_known():
    table = name_table(["sub-1/dwi/sub-1_model-CSD_desc-x_tractography.trk"], Layout.NESTED)
    check_entities(parse_filters({"model": "CSD", "task": "rest"}), table)


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ({"task": "rset"}, "of the 10 files of the chosen subjects none has task=rset; did you mean rest? There are "),
        ({"suffix": "bold", "task": "AEF"}, "of the 4 files with suffix=bold none has task=AEF; there are nback, rest"),
        (
            {"suffix": "bold", "datatype": "func", "session": "3"},
            "of the 4 files with suffix=bold, datatype=func none has session=3",
        ),
        ({"suffix": "epi", "run": 1}, "of the 1 files with suffix=epi none has run=1; none of them has any run"),
    ],
)
def test_the_condition_that_left_nothing_is_named(filters, text):
    assert explain_empty(TABLE, parse_filters(filters), list(ALL)).startswith(text)
