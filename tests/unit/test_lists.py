"""Lists in files: subjects, keys, filters."""

import pytest

from s3bids.bids.lists import parse_filter_json, parse_keys, parse_subjects
from s3bids.errors import ConfigError, ParticipantsError


@pytest.mark.parametrize(
    ("data", "subjects"),
    [
        (b"01\nsub-02\n", ["sub-01", "sub-02"]),
        (b"\xef\xbb\xbf01\r\n\r\n  # none of these\r\n 02 \r\n", ["sub-01", "sub-02"]),
        (b"01\rsub-01\r02", ["sub-01", "sub-02"]),
        (b"participant_id\tage\n01\t7\nsub-02\tn/a\n", ["sub-01", "sub-02"]),
        (b"subject_id,age\n01,7\n", ["sub-01"]),
        (b"participant_id\n01\n", ["sub-01"]),
    ],
)
def test_subjects_are_read(data, subjects):
    assert parse_subjects(data, source="f") == subjects


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (b"", ConfigError, "f names no subject"),
        (b"# 01\n", ConfigError, "f names no subject"),
        (b"01\n02 03\n", ConfigError, "f, line 2: '02 03' is no subject"),
        (b"01,02\n", ConfigError, "f, line 1"),
        (b"sub-\n", ConfigError, "no label"),
        (b"a/b\n", ConfigError, "holds a '/'"),
        (b"\xff\xfe", ConfigError, "UTF-8"),
        (b"participant_id\tage\n01\n", ParticipantsError, "line 2 has 1 cell"),
    ],
)
def test_a_list_of_subjects_that_is_none_is_named(data, error, text):
    with pytest.raises(error, match=text):
        parse_subjects(data, source="f")


def test_keys_are_read():
    assert parse_keys(b"# of two\nsub-1/a b\ns3://b/ds/sub-1/c\nsub-1/a b\n", source="f") == [
        "sub-1/a b",
        "s3://b/ds/sub-1/c",
    ]
    with pytest.raises(ConfigError, match="f names no file"):
        parse_keys(b"\n# x\n", source="f")


def test_a_filter_file_is_read():
    assert parse_filter_json(b'\xef\xbb\xbf{"bold": {"run": null}}', source="f") == {"bold": {"run": None}}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "f, line 1: this is no JSON"),
        (b'{\n  "bold": {\n    task: 1\n}}', "f, line 3: this is no JSON"),
        (b"[]", "holds no JSON object"),
        (b"3", "holds no JSON object"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 100_000, "f"),
    ],
)
def test_a_filter_file_that_is_none_is_named(data, text):
    with pytest.raises(ConfigError, match=text):
        parse_filter_json(data, source="f")
