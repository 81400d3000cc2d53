"""The participant table beside the holdings."""

import pytest

from s3bids.bids.participants import parse_participants
from s3bids.report.people import MOST_BINS, MOST_CHARACTERS, MOST_COLUMNS, Sexes, people_of


def people(*lines, subjects=("sub-1", "sub-2", "sub-3")):
    data = "\n".join(line.replace(" ", "\t") for line in lines).encode()
    return people_of(parse_participants(data, source="participants.tsv"), subjects)


def test_rows_are_those_of_the_subjects_whatever_the_order_of_the_table():
    found = people("participant_id age", "3 30", "sub-1 10", "9 90")
    assert found.columns == ("age",)
    assert found.rows == (("10",), None, ("30",))
    assert found.only_in_table == ("sub-9",)


@pytest.mark.parametrize("name", ["age", "Age", "AGE", "age_at_scan"])
def test_ages_are_found_and_counted(name):
    found = people(f"participant_id {name}", "1 5.5", "2 89+", "3 n/a").ages
    assert (found.low, found.median, found.high, found.unknown) == (5.5, 47.25, 89.0, 1)
    assert sum(found.counts) == 2


@pytest.mark.parametrize("ages", [(5, 5, 5), (5.1, 5.2, 5.3), (0, 50, 100), (5, 22, 89), (0, 500, 36500), (-1, 0, 1)])
def test_the_bars_of_a_histogram_hold_every_age_and_are_few(ages):
    found = people("participant_id age", *(f"{n + 1} {age}" for n, age in enumerate(ages))).ages
    assert sum(found.counts) == 3
    assert len(found.counts) <= MOST_BINS
    assert found.start <= min(ages)
    assert found.start + len(found.counts) * found.width > max(ages)


@pytest.mark.parametrize("values", [("n/a", "n/a", ""), ("old", "young", "nan"), ("inf", "-inf", "1e999")])
def test_ages_that_are_no_numbers_are_none(values):
    assert people("participant_id age x", *(f"{n + 1} {value} x" for n, value in enumerate(values))).ages is None


def test_sexes_are_counted_as_they_stand_and_the_unknown_last():
    found = people("participant_id Sex", "1 n/a", "2 1", "3 n/a").sexes
    assert found == Sexes(0, (("1", 1), (None, 2)))


def test_a_table_without_age_and_sex_has_no_distributions():
    found = people("participant_id site", "1 a", "2 b", "3 c")
    assert (found.ages, found.sexes) == (None, None)


def test_a_wide_table_is_cut_and_long_values_too():
    names = " ".join(f"c{n}" for n in range(MOST_COLUMNS + 7))
    found = people(f"participant_id {names}", "1 " + " ".join("x" * 500 for _ in range(MOST_COLUMNS + 7)))
    assert (len(found.columns), found.left_out) == (MOST_COLUMNS, 7)
    assert {len(value) for value in found.rows[0]} == {MOST_CHARACTERS}
