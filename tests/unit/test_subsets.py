"""Tables and JSON files cut down to what is there."""

import json

import pytest

from s3bids.bids.subsets import Kind, kind_of, trim_links, trim_table, trimmed

KEEP = {"sub-1", "sub-3"}


def kept(text, columns=("participant_id",), keep=KEEP.__contains__):
    return trim_table(text.encode() if isinstance(text, str) else text, columns, keep)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("participant_id\tage\nsub-1\t8\nsub-2\t9\nsub-3\tn/a\n", "participant_id\tage\nsub-1\t8\nsub-3\tn/a\n"),
        ("participant_id\tage\r\nsub-2\t9\r\nsub-1\t8", "participant_id\tage\r\nsub-1\t8"),
        ("participant_id\tage\rsub-2\t9\rsub-3\t8\r", "participant_id\tage\rsub-3\t8\r"),
        ("participant_id,age\nsub-2,9\nsub-1,8\n", "participant_id,age\nsub-1,8\n"),
        ('participant_id,note\nsub-2,"a\nb"\nsub-1,"c\nd"\n', 'participant_id,note\nsub-1,"c\nd"\n'),
        ("age\tparticipant_id\n8\tsub-1\n9\tsub-2\n", "age\tparticipant_id\n8\tsub-1\n"),
        ("\n\nparticipant_id\tage\nsub-2\t9\n\nsub-1\t8\n", "\n\nparticipant_id\tage\n\nsub-1\t8\n"),
        ("participant_id\nsub-2\n", "participant_id\n"),
        ("age\tparticipant_id\n9\tsub-2\nshort\n8\tsub-1 \n7\t\n", "age\tparticipant_id\nshort\n8\tsub-1 \n"),
    ],
)
def test_rows_of_others_go_and_the_rest_stays_as_it_was(text, expected):
    assert kept(text) == expected.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"age\tsex\n1\tF\n",
        b"participant_id\tage\nsub-1\t1\n",
        b'participant_id,note\nsub-2,"never closed\n',
        b"\xff\xfe\x00",
    ],
)
def test_a_table_without_others_or_without_the_column_is_the_same(data):
    assert kept(data) == data


def test_a_byte_order_mark_and_latin_1_stay():
    data = b"\xef\xbb\xbfparticipant_id\tname\nsub-1\tM\xfcller\nsub-2\tx\n"
    assert kept(data) == b"\xef\xbb\xbfparticipant_id\tname\nsub-1\tM\xfcller\n"


def test_a_cell_is_compared_as_utf_8():
    assert kept("participant_id\nsub-ü\nsub-2\n", keep="sub-ü".__eq__) == "participant_id\nsub-ü\n".encode()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("participants.tsv", Kind.SUBJECTS),
        ("phenotype/ace.tsv", Kind.SUBJECTS),
        ("sub-1/participants.tsv", None),
        ("phenotype/ace.json", Kind.LINKS),
        ("phenotype/deep/ace.tsv", None),
        ("sub-1/sub-1_sessions.tsv", Kind.SESSIONS),
        ("sub-1/ses-1/sub-1_ses-1_scans.tsv", Kind.SCANS),
        ("sub-1/fmap/sub-1_epi.json", Kind.LINKS),
        # At the root it speaks of all subjects at once.
        ("epi.json", None),
        ("participants.json", None),
        ("sub-1/func/sub-1_task-a_events.tsv", None),
        ("scans.tsv.bak", None),
    ],
)
def test_files_that_list_others_are_known_by_their_names(path, kind):
    assert kind_of(path) is kind


def cut(data, path, there, data_set="", subject=None):
    return trimmed(data.encode(), path, data_set=data_set, subject=subject, is_there=there.__contains__).decode()


def test_each_table_is_cut_down_by_what_it_lists():
    table = "participant_id\n1\nsub-2\n"
    assert cut(table, "participants.tsv", {"sub-1"}) == "participant_id\n1\n"
    assert (
        cut(table, "participants.tsv", {"derivatives/d/sub-2"}, data_set="derivatives/d") == "participant_id\nsub-2\n"
    )
    sessions = "session_id\nses-1\n2\n"
    assert cut(sessions, "sub-1/sub-1_sessions.tsv", {"sub-1/ses-2"}) == "session_id\n2\n"
    scans = "filename\nfunc/a\n./anat/b\nfunc/c\n"
    there = {"sub-1/ses-1/func/a", "sub-1/ses-1/anat/b"}
    assert cut(scans, "sub-1/ses-1/sub-1_ses-1_scans.tsv", there) == "filename\nfunc/a\n./anat/b\n"
    assert cut(scans, "sub-1/func/x.tsv", there) == scans


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (["func/a", "func/gone"], ["func/a"]),
        (["bids::sub-1/func/a", "bids::sub-1/func/gone"], ["bids::sub-1/func/a"]),
        (["func/gone"], None),
        ("func/gone", None),
        ("func/a", "func/a"),
        ([], []),
        (3, 3),
        (["func/gone", 3], [3]),
        # What lies in another data set cannot be told from here.
        ("bids:other:x", "bids:other:x"),
    ],
)
def test_links_to_what_is_not_there_go(value, left):
    data = json.dumps({"EchoTime": 0.1, "IntendedFor": value, "ü": "ü"}).encode()
    found = trim_links(data, data_set="", subject="sub-1", is_there={"sub-1/func/a"}.__contains__)
    expected = {"EchoTime": 0.1, "IntendedFor": left, "ü": "ü"}
    if left is None:
        del expected["IntendedFor"]
    assert json.loads(found) == expected
    assert (found == data) == (left == value)


@pytest.mark.parametrize(
    "data", [b"", b"IntendedFor", b'{"IntendedFor": ', b'["IntendedFor"]', b'\xff"IntendedFor"', b"[" * 100_000]
)
def test_what_is_no_json_object_stays(data):
    assert trim_links(data, data_set="", subject=None, is_there=lambda path: False) == data


def test_the_empty_room_of_another_subject_goes_too():
    data = b'{"AssociatedEmptyRoom": "bids::sub-emptyroom/meg/x.ds"}'
    assert json.loads(trim_links(data, data_set="", subject="sub-1", is_there=lambda path: False)) == {}
