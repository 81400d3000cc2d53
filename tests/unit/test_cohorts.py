"""Cohorts by a query on the participant table: what pandas says of it, and nothing that pandas could be made to do."""

import re

import numpy as np
import pandas as pd
import pytest

from s3bids.bids.cohorts import check_query, group_by, query_ids, typed_column
from s3bids.bids.participants import parse_participants
from s3bids.errors import ConfigError

TEXT = (
    "participant_id\tage\tsex\tsite\tFull Scale IQ\tempty\n"
    "01\t7\tF\t01\t100\t\n"
    "sub-02\t9\tM\t02\tn/a\tn/a\n"
    "03\tn/a\tn/a\t01\t90\t\n"
    "04\t12.5\tF\t02\t80\t\n"
)
TABLE = parse_participants(TEXT.encode(), source="t.tsv")


def ids(where):
    return [subject.removeprefix("sub-0") for subject in query_ids(TABLE, where, source="t.tsv")]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("age >= 8", "24"),
        ("age >= 8 and sex == 'F'", "4"),
        ("age>=8 & sex=='F'", "4"),
        ("6 <= age <= 9", "12"),
        ("age < 8 | age > 12", "14"),
        ("not (sex == 'F')", "23"),
        ("~(sex == 'F')", "23"),
        ("sex != 'F'", "23"),
        ("sex in ['F', 'M']", "124"),
        ("sex not in ('F', 'X')", "23"),
        ("sex.isin(['F'])", "14"),
        ("age.isna()", "3"),
        ("age.notna() and sex == 'F'", "14"),
        ("age.between(7, 9)", "12"),
        ("age / 2 > 4", "24"),
        ("-age < -8", "24"),
        ("age + age == 14", "1"),
        ("`Full Scale IQ` > 85", "13"),
        ("site == '01'", "13"),
        ("sex >= 'F'", "124"),
        ("not (sex < 'G')", "23"),
        ("'F' <= sex", "124"),
        ("participant_id == '01'", "1"),
        ("participant_id in ['01', 'sub-03']", "13"),
        ("participant_id != 'sub-01'", "234"),
        ("empty == 1", ""),
        ("empty == 'x'", ""),
        ("empty.isna()", "1234"),
        ("age > 99999999999999999999", ""),
        ('sex == "a`b & c|\'"', ""),
        ("age > 5 and\n sex == 'F'", "14"),
        ("(" * 50 + "age" + ")" * 50 + " > 8", "24"),
    ],
)
def test_a_query_chooses_subjects(where, expected):
    assert "".join(ids(where)) == expected


@pytest.mark.parametrize(
    "where",
    [
        "age >= 8",
        "sex != 'F'",
        "age >= 8 and sex == 'F'",
        "not (age > 8) or site == '02'",
        "6 <= age <= 9",
        "age * 2 < 20",
    ],
)
def test_the_answer_is_that_of_pandas(where):
    frame = pd.DataFrame(
        {
            "age": [7.0, 9.0, np.nan, 12.5],
            "sex": np.array(["F", "M", np.nan, "F"], dtype=object),
            "site": ["01", "02", "01", "02"],
        },
        index=["1", "2", "3", "4"],
    )
    assert ids(where) == list(frame.query(where, engine="python").index)


@pytest.mark.parametrize(
    "where",
    [
        "__import__('os').system('true')",
        "age.__class__",
        "age.__class__.__mro__ == 1",
        "age.pipe(print)",
        "age.apply('x')",
        "sex.str.upper() == 'F'",
        "@age > 1",
        "open('x')",
        "[x for x in age]",
        "lambda: 1",
        "age > 1 if 1 else 2",
        "age ** 9 > 3",
        "'a' * 3 == sex",
        "age > 1; age",
        "f'{age}' == 'x'",
        "(age := 3) > 2",
        "age[0] > 1",
        "age is 3",
        "age == True",
        "age == None",
        "age.isin(sex)",
        "age.between(1, 2, inclusive='both')",
        "age.isna(1)",
        "sex in sex",
        "sex in []",
        "sex in ['F', age]",
        "await age",
        "age > 1 and age.sum()",
        "1 == 1",
        "age",
        "'F'",
        "",
        "sex = 'F'",
        "age && sex",
        "age >",
        "age\0 > 1",
        "(" * 300 + "age" + ")" * 300,
        "not " * 200 + "age > 3",
        "-" * 500 + "age > 3",
        "age > 1 or " * 300 + "age > 1",
    ],
)
def test_nothing_but_the_language_is_let_through(where):
    with pytest.raises(ConfigError, match="query"):
        ids(where)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("agee > 3", "no column 'agee'; did you mean age? it has participant_id, age, sex, site, Full Scale IQ, empty"),
        ("`Full Scale` > 3", "no column 'Full Scale'; did you mean Full Scale IQ?"),
        ("age > 'x'", "the column 'age' holds numbers"),
        ("sex > 3", "the column 'sex' holds text, such as 'F'"),
        ("site == 1", "the column 'site' holds text, such as '01'"),
        ("`Full Scale IQ` == 'x'", "at `Full Scale IQ`: the column 'Full Scale IQ' holds numbers"),
        ("sex = 'F'", "with == for equality"),
        ("age > 1 " * 300, "2400 characters"),
    ],
)
def test_a_bad_query_is_explained(where, text):
    with pytest.raises(ConfigError, match=re.escape(text)):
        ids(where)


def test_a_column_that_is_there_twice_is_not_guessed():
    table = parse_participants(b"participant_id\tage\tage\n01\t1\t2\n", source="t")
    with pytest.raises(ConfigError, match="2 columns 'age'"):
        query_ids(table, "age > 1", source="t")


def test_a_query_is_refused_before_there_is_a_table():
    assert check_query("agee > 3") == "agee > 3"
    with pytest.raises(ConfigError, match="makes no sense"):
        check_query("age >")
    with pytest.raises(TypeError, match="text"):
        check_query(3)


@pytest.mark.parametrize(
    ("cells", "type_"),
    [
        (["1", "2.5", "n/a", "", "-3", "+4", "1e3", ".5", "0", "0.5"], "number"),
        (["NaN", "N/A", "7"], "number"),
        (["01", "2"], "text"),
        (["1", "unknown"], "text"),
        (["1234567890123456"], "text"),
        (["1,5"], "text"),
        (["0x10"], "text"),
        (["inf"], "text"),
        (["1_000"], "text"),
        (["n/a", ""], "unknown"),
        ([], "unknown"),
        (["٣"], "text"),
    ],
)
def test_a_column_is_one_of_numbers_only_if_all_its_cells_are(cells, type_):
    assert typed_column("x", cells).type == type_


def test_zeros_in_front_are_kept():
    assert typed_column("x", ["01", "n/a", "2"]).cells == ("01", None, "2")


def test_subjects_are_grouped_by_a_column():
    assert group_by(TABLE, "sex", TABLE.ids, source="t") == {"F": ["sub-01", "sub-04"], "M": ["sub-02"]}
    assert group_by(TABLE, "sex", ["sub-02", "sub-03"], source="t") == {"M": ["sub-02"]}
    with pytest.raises(ConfigError, match="no column 'sexx'; did you mean sex"):
        group_by(TABLE, "sexx", TABLE.ids, source="t")
    with pytest.raises(ConfigError, match="no chosen subject has a value"):
        group_by(TABLE, "empty", TABLE.ids, source="t")
