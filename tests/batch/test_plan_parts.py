"""One part of a plan, read from its file: the same as out of the whole, in the memory of the part."""

import gzip
import itertools
import json
import os
import threading
import tracemalloc
from array import array
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3bids.batch import Access, FrozenPlan, Shard, assign, download_plan, read_plan, save_plan
from s3bids.batch.names import meetings, suspects
from s3bids.bids.layouts import Layout
from s3bids.errors import ConfigError
from s3bids.transfer.plan import Wanted
from s3bids.transfer.refusals import refusals

#: Names that often exclude each other, or are no names of files.
NAMES = st.lists(st.sampled_from(["a", "b", "sub-1", "é\n", "..", "", '"\\']), min_size=1, max_size=4).map("/".join)
ROWS = st.lists(
    st.tuples(
        NAMES,
        st.integers(0, 10**6) | st.sampled_from([0, 5, 1 << 40]),
        st.sampled_from([None, "sub-1", "sub-2", "sub-ü", "sub-3"]),
        st.sampled_from([None, "", "etag"]),
        st.sampled_from([None, "v1"]),
        st.sampled_from([0.0, 1.5, 1.7e9, 1e22, 1e-7, -3.0]),
    ),
    max_size=40,
)


def plan_of(rows):
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(6)]
    targets, sizes, subjects, etags, versions, times = columns
    has_versions = any(versions)
    keys = [f"ds/{target}" for target in targets]
    wanted = Wanted(keys, targets, array("q", sizes), etags, array("d", times), versions if has_versions else ())
    return FrozenPlan("s", "s3://b", "ds", Layout.NESTED, Access(), (), "t", 1.0, wanted, subjects)


def shown(plan):
    wanted = [list(getattr(plan.wanted, column.name)) for column in fields(Wanted)]
    return [wanted, plan.subjects, plan.part, plan.undescribed, plan.access, plan.location]


def naive_assign(sizes, subjects, count):
    """Spread files as the words of :func:`assign` say, without a thought of memory or time."""
    total, share = max(1, sum(sizes)), -(-max(1, sum(sizes)) * max(1, len(sizes)) // count)
    number = max(1, len(sizes))
    loads, found = [[0, 0] for _ in range(count)], [None] * len(sizes)

    def load(size, files):
        return max(size * number, files * total)

    def lightest():
        return min(range(count), key=lambda n: (load(*loads[n]), loads[n][0] * number + loads[n][1] * total, n))

    def put(shard, rows):
        for row in rows:
            found[row] = shard
        loads[shard][0] += sum(sizes[row] for row in rows)
        loads[shard][1] += len(rows)

    groups = {}
    for row, subject in enumerate(subjects):
        groups.setdefault(subject, []).append(row)
    alone = groups.pop(None, [])
    order = sorted(groups, key=lambda name: (-sum(sizes[row] for row in groups[name]), -len(groups[name]), name))
    for name in order:
        rows, shard = groups[name], lightest()
        size, files = loads[shard]
        if load(size + sum(sizes[row] for row in rows), files + len(rows)) <= share + share // 10:
            put(shard, rows)
            continue
        while rows:
            shard = lightest()
            size, files = loads[shard]
            ends = (
                n for n in range(1, len(rows) + 1) if load(size + sum(sizes[r] for r in rows[:n]), files + n) >= share
            )
            end = next(ends, len(rows))
            put(shard, rows[:end])
            rows = rows[end:]
    for row in alone:
        put(lightest(), [row])
    return found


def naive_moves(targets):
    """Say which rows have to meet which, by comparing all with all."""
    moved = {}
    for row in refusals(targets):
        at = row
        while True:
            below = [other for other, target in enumerate(targets) if target.startswith(f"{targets[at]}/")]
            there = below[0] if below and targets[at] else targets.index(targets[at])
            if there == at:
                break
            at = there
        if at != row:
            moved[row] = at
    return moved


@given(ROWS, st.integers(1, 6))
def test_files_are_spread_as_it_is_said(rows, count):
    """Also where a plan was begun by an earlier version: its tasks have the same parts as before."""
    sizes, subjects = [row[1] for row in rows], [row[2] for row in rows]
    assert list(assign(sizes, subjects, count)) == (
        naive_assign(sizes, subjects, count) if count > 1 else [0] * len(rows)
    )


@given(st.lists(NAMES, max_size=30))
def test_names_that_have_to_meet_are_found(targets):
    rows = suspects(targets)
    assert rows == sorted(set(rows))
    assert meetings({row: targets[row] for row in rows}) == naive_moves(targets)


def test_names_that_have_to_meet_are_found_among_many():
    targets = [f"sub-{n // 50:04}/anat/{n}" for n in range(50_000)]
    targets += ["sub-0001/anat", "sub-0999", "sub-0007/anat/350", "other"]
    rows = suspects(targets)
    assert meetings({row: targets[row] for row in rows}) == {50_000: 50, 50_001: 49_950, 50_002: 350}
    assert len(rows) < 10


@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(1, 6))
def test_the_parts_of_a_file_are_those_of_the_plan(tmp_path_factory, rows, count):
    path = tmp_path_factory.getbasetemp() / "parts.jsonl.gz"
    save_plan(plan_of(rows), path)
    whole = read_plan(path)
    parts = [read_plan(path, shard=Shard(number, count)) for number in range(1, count + 1)]
    for part in parts:
        assert shown(part) == shown(whole.shard(part.part))
    assert sorted(itertools.chain.from_iterable(part.wanted.keys for part in parts)) == sorted(whole.wanted.keys)
    found = assign(whole.wanted.sizes, whole.subjects, count)
    moved = naive_moves(whole.wanted.targets) if count > 1 else {}
    for number, part in enumerate(parts):
        rows_of = [row for row in range(len(whole)) if found[moved.get(row, row)] == number]
        assert part.wanted.targets == [whole.wanted.targets[row] for row in rows_of]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A plan of a hundred thousand files."""
    path = tmp_path_factory.mktemp("large") / "plan.jsonl.gz"
    number = 100_000
    targets = [f"sub-{n // 100:05}/func/sub-{n // 100:05}_run-{n % 100:03}_bold.nii.gz" for n in range(number)]
    columns = [(target, n % 977, target[:9], f"{n:032x}", None, 1.7e9 + n) for n, target in enumerate(targets)]
    save_plan(plan_of(columns), path)
    return path


def peak_of(action):
    tracemalloc.start()
    try:
        result = action()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_part_takes_little_more_memory_than_it_holds(large):
    """The whole takes some 400 bytes a row; what decides where a row belongs takes less than fifty."""
    part, peak = peak_of(lambda: read_plan(large, shard=Shard(7, 50)))
    assert len(part) == 2_000
    assert peak < 50 * 100_000 + 1_000 * len(part)


@pytest.mark.parametrize("shard", [None, Shard(1, 2)])
def test_a_plan_that_says_too_little_is_refused_at_the_first_row_that_is_too_many(large, tmp_path, shard):
    """However many there are: they may be few bytes in the file."""
    header, _, rest = gzip.decompress(large.read_bytes()).partition(b"\n")
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(json.dumps(json.loads(header) | {"files": 10}).encode() + b"\n" + rest, 1))

    def read():
        with pytest.raises(ConfigError, match="line 12: more objects than the header says"):
            read_plan(path, shard=shard)

    assert peak_of(read)[1] < 2_000_000


def test_a_part_comes_out_of_a_pipe_too(large, tmp_path):
    """As with the shell's ``<(...)``, which can be read once only."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(large.read_bytes()))
    writer.start()
    part = read_plan(pipe, shard=Shard(3, 50))
    writer.join()
    assert shown(part) == shown(read_plan(large, shard=Shard(3, 50)))


def test_a_part_is_no_plan_to_be_parted_again(large, tmp_path):
    """Otherwise who reads a part and downloads "the part" would miss most of it."""
    part = read_plan(large, shard=Shard(3, 50))
    assert part.shard(Shard(3, 50)) is part
    with pytest.raises(ConfigError, match="this is part 3/50 of a plan, which has no part 1/2; read the whole plan"):
        download_plan(part, tmp_path / "out", shard=Shard(1, 2))
    assert not (tmp_path / "out").exists()
