import re

import pandas as pd
import pytest

from s3bids.bids.participants import Participants, compare_ids, parse_participants
from s3bids.errors import ConfigError, ParticipantsError


def table(data, source="s3://bucket/ds/participants.tsv"):
    return parse_participants(data, source=source)


def refused(data, *parts):
    """Check that a table is refused with a text that holds its source and these parts."""
    with pytest.raises(ParticipantsError) as caught:
        table(data)
    assert [part for part in ("s3://bucket/ds/participants.tsv", *parts) if part not in str(caught.value)] == []
    return caught.value


def test_a_tab_separated_table_is_read_as_text():
    assert table(b"participant_id\tAge\tSex\nsub-01\t09\tn/a\nsub-02\t\tM\n") == Participants(
        columns=("participant_id", "Age", "Sex"),
        rows=(("sub-01", "09", "n/a"), ("sub-02", "", "M")),
        ids=("sub-01", "sub-02"),
        id_column="participant_id",
    )


def test_a_comma_separated_table_is_read():
    read = table(b'participant_id,Age,Note\nNDAR1,9.5,"a, b"\nNDAR2,8,"say ""x"""\n')
    assert read.ids == ("sub-NDAR1", "sub-NDAR2")
    assert read.rows == (("NDAR1", "9.5", "a, b"), ("NDAR2", "8", 'say "x"'))


def test_quotes_and_commas_mean_nothing_in_a_tab_separated_table():
    assert table(b'participant_id\tNote\nsub-01\t"a,\nsub-02\tb"\n').rows == (("sub-01", '"a,'), ("sub-02", 'b"'))


def test_the_prefix_is_added_and_nothing_else_is_changed():
    assert table(b"participant_id\n01\n1\nsub-001\nA-02\n").ids == ("sub-01", "sub-1", "sub-001", "sub-A-02")


def test_the_order_of_the_file_is_kept():
    assert table(b"participant_id\tx\nsub-9\t1\nsub-10\t2\nsub-1\t3\n").ids == ("sub-9", "sub-10", "sub-1")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [b"", b"end"])
@pytest.mark.parametrize("separator", [b"\t", b","])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_make_no_difference(end, last, separator, mark):
    lines = [b"participant_id" + separator + b"x", b"sub-01" + separator + b"1", b"sub-02" + separator + b"2"]
    read = table(mark + end.join(lines) + (end if last else b""))
    assert read.columns == ("participant_id", "x")
    assert read.rows == (("sub-01", "1"), ("sub-02", "2"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_utf_8_and_latin_1_are_read(encoding):
    assert table("participant_id\tcity\nsub-01\tZürich\n".encode(encoding)).rows[0][1] == "Zürich"


def test_latin_1_after_a_byte_order_mark_is_read():
    assert table(b"\xef\xbb\xbfparticipant_id\tcity\nsub-01\tZ\xfcrich\n").rows == (("sub-01", "Zürich"),)


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_only_cr_and_lf_end_a_line(character):
    cell = f"a{character}b"
    assert table(f"participant_id\tx\nsub-01\t{cell}\n".encode()).rows == (("sub-01", cell),)


@pytest.mark.parametrize(
    "data",
    [
        b"\n\nparticipant_id\tx\n\nsub-01\t1\n  \n\nsub-02\t2\n\n",
        b"\n\nparticipant_id,x\n\nsub-01,1\n  \n\nsub-02,2\n\n",
    ],
)
def test_blank_lines_are_skipped(data):
    assert table(data).rows == (("sub-01", "1"), ("sub-02", "2"))


def test_the_id_column_may_stand_anywhere():
    read = table(b"Age\tparticipant_id\n9\t01\n")
    assert (read.ids, read.id_column) == (("sub-01",), "participant_id")


def test_subject_id_serves_if_there_is_no_participant_id():
    read = table(b"subject_id\tAge\nsub-01\t9\n")
    assert (read.ids, read.id_column) == (("sub-01",), "subject_id")


def test_participant_id_is_preferred():
    assert table(b"subject_id\tparticipant_id\nA\tB\n").ids == ("sub-B",)


def test_a_table_without_an_id_column_is_refused_with_its_columns():
    refused(b"EID\tAge\n1\t2\n", "participant_id", "subject_id", "'EID'", "'Age'")


def test_utf_16_is_refused():
    refused("participant_id\tx\nsub-01\t1\n".encode("utf-16"), "participant_id")


@pytest.mark.parametrize("data", [b"", b"\n\n", b"  \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(data):
    refused(data, "empty")


@pytest.mark.parametrize("data", [b"participant_id\tAge\n", b"participant_id\tAge", b"participant_id,Age\r\n\r\n"])
def test_a_header_alone_is_a_table_without_rows(data):
    assert table(data) == Participants(columns=("participant_id", "Age"), rows=(), ids=(), id_column="participant_id")


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b"participant_id\tx\nsub-01\t1\n\nsub-02\t2\t3\n", ["line 4", "3 cells", "has 2"]),
        (b"participant_id\tx\nsub-01\n", ["line 2", "1 cell,", "has 2"]),
        (b"participant_id,x\nsub-01,1,\n", ["line 2", "3 cells", "has 2"]),
        (b'participant_id,x\nsub-01,"a\nb"\nsub-02\n', ["line 4", "1 cell,", "has 2"]),
    ],
)
def test_a_line_with_surplus_or_missing_cells_is_named(data, parts):
    refused(data, *parts)


@pytest.mark.parametrize("again", [b"sub-01", b"01"])
def test_an_id_that_occurs_twice_is_named_with_both_lines(again):
    refused(b"participant_id\tx\nsub-02\t1\n01\t1\n\n" + again + b"\t2\n", "sub-01", "line 3", "line 5")


@pytest.mark.parametrize("cell", ["", "sub-", " ", "n/a", "../01", "sub-01/"])
def test_an_id_that_names_no_subject_is_refused_with_its_line(cell):
    error = refused(f"participant_id\tx\nsub-02\t1\n{cell}\t1\n".encode(), "line 3")
    assert isinstance(error.__cause__, ConfigError)


def test_a_line_of_tabs_alone_is_a_row_without_an_id():
    refused(b"participant_id\tx\n\t\n", "line 2")


def test_an_empty_quoted_id_is_refused():
    refused(b'participant_id\nsub-01\n""\n', "line 3")


@pytest.mark.parametrize(
    "data", [b'participant_id,x\nsub-01,1\nsub-02,"a\nsub-03,2\n', b'participant_id,x\nsub-01,1\nsub-02,"a"b\n']
)
def test_quotes_that_do_not_match_are_refused_with_the_line_on_which_the_row_begins(data):
    refused(data, "line 3")


def test_an_error_of_a_table_is_a_value_error():
    with pytest.raises(ValueError, match=re.escape("local.tsv")):
        parse_participants(b"", source="local.tsv")


def test_a_frame_holds_text_and_normalised_ids():
    frame = table(b"Age\tparticipant_id\tRun\n9\t01\t007\nn/a\tsub-02\t\n").to_frame()
    assert list(frame.columns) == ["Age", "participant_id", "Run"]
    assert frame.to_numpy().tolist() == [["9", "sub-01", "007"], ["n/a", "sub-02", ""]]


def test_a_frame_of_a_header_alone_has_columns_and_no_rows():
    frame = table(b"participant_id\tAge\n").to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame.shape == (0, 2)
    assert list(frame.columns) == ["participant_id", "Age"]


@pytest.mark.parametrize(
    ("listed", "in_table", "only_table", "only_listed"),
    [
        ([], [], [], []),
        (["sub-1"], ["sub-1"], [], []),
        (["sub-2", "sub-1"], ["sub-10", "sub-1", "sub-01"], ["sub-01", "sub-10"], ["sub-2"]),
        (iter(["sub-1"]), iter([]), [], ["sub-1"]),
    ],
)
def test_ids_are_compared_both_ways(listed, in_table, only_table, only_listed):
    assert compare_ids(listed, in_table) == (only_table, only_listed)
