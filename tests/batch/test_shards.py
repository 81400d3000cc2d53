"""Shards: every file in one of them, balanced, subjects together, and the same wherever they are worked out."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3bids.batch import Shard, assign, parse_shard
from s3bids.batch.shards import MOST_SHARDS
from s3bids.errors import ConfigError

MIB = 1024 * 1024


def loads(sizes, found, count):
    """Give bytes and files of each shard."""
    of = [[size for size, shard in zip(sizes, found, strict=True) if shard == number] for number in range(count)]
    return [sum(each) for each in of], [len(each) for each in of]


def shards_of(subjects, found):
    """Give the shards that each subject is in."""
    places = {}
    for subject, shard in zip(subjects, found, strict=True):
        places.setdefault(subject, set()).add(shard)
    return places


def study(subjects, sizes):
    """Give the columns of a study whose subjects all have files of the same sizes."""
    return sizes * subjects, [f"sub-{number:04}" for number in range(subjects) for _ in sizes]


@pytest.mark.parametrize(
    ("text", "number", "count"), [("1/1", 1, 1), ("3/16", 3, 16), ("200/200", 200, 200), ("01/08", 1, 8)]
)
def test_a_shard_is_read_as_it_is_written(text, number, count):
    assert parse_shard(text) == Shard(number, count)


@pytest.mark.parametrize(
    "text", ["", "3", "/", "3/", "/3", "a/b", "9/8", "0/8", "1/0", "0/0", "-1/8", "1/-8", "1.0/8", "1/8/9", " 1/8",
             "1/8\n", "１/８", "1/1000001", "1/9999999999"]
)  # fmt: skip
def test_what_is_no_shard_is_refused_with_the_way_to_write_one(text):
    with pytest.raises(ConfigError, match="I/N"):
        parse_shard(text)


def test_a_shard_shows_as_it_is_written():
    assert str(Shard(3, 16)) == "3/16"
    assert parse_shard(f"{MOST_SHARDS}/{MOST_SHARDS}").count == MOST_SHARDS


@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.sampled_from([None, "sub-1", "sub-2", "sub-3"])), max_size=80),
    st.integers(1, 20),
)
def test_every_file_is_in_one_shard(rows, count):
    found = assign([size for size, _ in rows], [subject for _, subject in rows], count)
    assert len(found) == len(rows)
    assert all(0 <= shard < count for shard in found)


@given(st.lists(st.integers(0, 100 * MIB), min_size=50, max_size=400), st.integers(2, 12))
def test_no_shard_has_much_more_than_its_share(sizes, count):
    """More than a tenth over it is at most one file over it, in bytes and in number."""
    subjects = [f"sub-{number // 7}" for number in range(len(sizes))]
    by_bytes, by_files = loads(sizes, assign(sizes, subjects, count), count)
    assert max(by_bytes) <= 2.1 * sum(sizes) / count + max(sizes)
    assert max(by_files) <= 2.1 * len(sizes) / count + 1


@pytest.mark.parametrize("count", [2, 7, 8, 16, 50])
def test_a_real_study_is_balanced_by_bytes_and_by_number(count):
    """Subjects with a large functional run and many sidecars, as in HBN; some have a second session."""
    sizes, subjects = study(200, [300 * MIB, 20 * MIB, *[4000] * 12])
    more, others = study(40, [300 * MIB, *[2000] * 6])
    sizes, subjects = sizes + more, subjects + [f"more-{name}" for name in others]
    sizes, subjects = [*sizes, *[1000] * 30], [*subjects, *[None] * 30]
    by_bytes, by_files = loads(sizes, assign(sizes, subjects, count), count)
    for found in (by_bytes, by_files):
        mean = sum(found) / count
        assert 0.8 * mean < min(found) <= max(found) < 1.2 * mean


def test_a_subject_stays_in_one_shard_where_that_is_fair():
    sizes, subjects = study(64, [100, 50, 1])
    found = assign(sizes, subjects, 16)
    assert all(len(places) == 1 for places in shards_of(subjects, found).values())
    assert set(loads(sizes, found, 16)[1]) == {12}


def test_a_subject_that_is_too_large_for_one_shard_is_divided():
    sizes, subjects = [10] * 100 + [1] * 4, ["sub-1"] * 100 + ["sub-2"] * 4
    found = assign(sizes, subjects, 4)
    places = shards_of(subjects, found)
    assert len(places["sub-1"]) == 4
    assert len(places["sub-2"]) == 1


def test_more_shards_than_files_leave_some_empty():
    found = assign([5, 5, 5], ["sub-1", "sub-1", "sub-2"], 200)
    assert len(set(found)) == 3


def test_files_without_bytes_are_balanced_by_number():
    sizes = [0] * 40
    assert loads(sizes, assign(sizes, ["sub-1"] * 40, 4), 4)[1] == [10] * 4


def test_files_of_no_subject_fill_the_gaps():
    subjects = ["sub-1"] * 3 + ["sub-2"] * 3 + ["sub-3"] * 3 + [None] * 3
    sizes = [10, 0, 0] * 3 + [4, 3, 3]
    by_bytes, _ = loads(sizes, assign(sizes, subjects, 4), 4)
    assert max(by_bytes) == 10


def test_shards_are_the_same_in_every_process():
    """Also where texts hash otherwise, as they do in each new process."""
    code = (
        "from s3bids.batch import assign\n"
        "sizes = [(n * 7919) % 1000 for n in range(3000)]\n"
        "subjects = [None if n % 11 == 0 else f'sub-{n % 37}' for n in range(3000)]\n"
        "print(list(assign(sizes, subjects, 13)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(found.pop()) > 3000
