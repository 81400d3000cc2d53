"""A frozen plan: what is written is read, without secrets, and nothing else is taken for one."""

import gzip
import itertools
import json
import math
from dataclasses import replace

import pytest

from s3bids.batch import Access, Shard, freeze, read_plan, save_plan
from s3bids.bids.layouts import Layout
from s3bids.errors import ConfigError
from s3bids.storage import LocalFSParams, LocalStorage, S3Params, S3Storage
from s3bids.transfer.plan import Wanted

STORAGE = S3Storage(S3Params("bucket", anon=True))


def wanted_of(*targets, versions=()):
    number = len(targets)
    return Wanted(
        [f"ds/{target}" for target in targets],
        list(targets),
        [10 * index for index in range(number)],
        [f"etag-{index}" if index else None for index in range(number)],
        [float(index) if index else math.nan for index in range(number)],
        versions,
    )


def plan_of(*targets, storage=STORAGE, versions=(), layout=Layout.NESTED):
    return freeze(
        storage,
        wanted_of(*targets, versions=versions),
        study="mine",
        prefix="ds",
        layout=layout,
        selection=("subjects=01",),
    )


def columns(plan):
    wanted = plan.wanted
    times = [None if math.isnan(time) else time for time in wanted.modified]
    return [
        *map(list, (wanted.keys, wanted.targets, wanted.sizes, wanted.etags, wanted.versions, plan.subjects)),
        times,
    ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plan.jsonl.gz"


@pytest.mark.parametrize("versions", [(), ("v0", None, "v2")])
def test_what_is_written_is_read(path, versions):
    plan = plan_of("CHANGES", "sub-1/anat/é \n.json", "derivatives/afq/sub-2/x", versions=versions)
    save_plan(plan, path)
    found = read_plan(path)
    assert columns(found) == columns(plan)
    assert found.subjects == [None, "sub-1", "sub-2"]
    for name in ("study", "location", "prefix", "layout", "access", "selection", "tool", "time"):
        assert getattr(found, name) == getattr(plan, name)
    assert (len(found), found.bytes, found.source) == (3, 30, "s3://bucket/ds")


def test_an_empty_plan_is_one_too(path):
    save_plan(plan_of(), path)
    assert len(read_plan(path)) == 0
    assert len(read_plan(path).shard(Shard(1, 3))) == 0


def test_no_secret_is_in_the_file(path):
    params = S3Params(
        "bucket",
        "http://me:hidden1@127.0.0.1:9000",
        aws_access_key_id="hidden2",
        aws_secret_access_key="hidden3",
        aws_session_token="hidden4",
        region_name="eu-west-1",
        request_payer=True,
    )
    save_plan(plan_of("x", storage=S3Storage(params)), path)
    assert "hidden" not in gzip.decompress(path.read_bytes()).decode()
    assert read_plan(path).access == Access(False, "http://127.0.0.1:9000", "eu-west-1", None, True)


@pytest.mark.parametrize(
    "params",
    [
        S3Params("bucket", "http://127.0.0.1:9", anon=True, region_name="eu-west-1", request_payer=True),
        S3Params("bucket", profile_name="lab"),
    ],
)
def test_a_plan_opens_the_storage_it_was_made_of(params):
    plan = plan_of("x", storage=S3Storage(params))
    assert plan.access.open(plan.location).params == params


def test_a_local_emulation_is_opened_too(tmp_path):
    storage = LocalStorage(LocalFSParams(True, tmp_path, "me", "bucket"))
    plan = plan_of("x", storage=storage)
    assert plan.access.open(plan.location).location == storage.location


def test_shards_of_a_plan_are_the_plan(path):
    targets = [*sorted(f"sub-{n % 7}/anat/{n}" for n in range(100)), "README"]
    plan = plan_of(*targets)
    parts = [plan.shard(Shard(number, 8)) for number in range(1, 9)]
    assert sorted(target for part in parts for target in part.wanted.targets) == sorted(targets)
    assert columns(plan.shard(Shard(1, 1))) == columns(plan)


@pytest.mark.parametrize(
    "targets",
    [
        ("a", "sub-1/x", "sub-2/x", "sub-3/y", "sub-3/y/z", "sub-4/x"),
        ("sub-3/y", "sub-1/x", "sub-2/x", "sub-3/y"),
        ("x", "x/sub-1/y", "z", "y"),
    ],
)
def test_names_that_exclude_each_other_meet_in_one_shard(targets):
    """Apart, each would be a file somewhere, and whoever is later would fail for no reason he can see."""
    from s3bids.transfer.refusals import refusals

    plan = plan_of(*targets)
    names = {targets[row] for row in refusals(targets)}
    assert len(names) == 1
    parts = [plan.shard(Shard(number, 4)).wanted.targets for number in range(1, 5)]
    assert sum(len(part) for part in parts) == len(targets)
    assert {part[row] for part in parts for row in refusals(part)} == names


def test_a_plan_says_what_was_chosen_however_long_that_is(path):
    chosen = tuple(f"sub-NDAR{number:08}" for number in range(20_000))
    save_plan(replace(plan_of("x"), selection=(f"subjects={','.join(chosen)}", "keys=é")), path)
    assert read_plan(path).selection == (f"subjects={','.join(chosen)}", "keys=é")


@pytest.mark.parametrize(
    "targets",
    [
        ("x", "x/sub-1", "x/sub-1/y", "sub-2/a", "sub-3/a", "sub-4/a"),
        ("sub-1/x", "sub-1/x/y", "sub-1/x/y", "sub-1/x/y/z", "sub-2/a", "sub-3/a", "a", "b"),
    ],
)
def test_names_that_exclude_each_other_in_a_row_meet_in_one_shard(targets):
    from s3bids.transfer.refusals import refusals

    plan = plan_of(*targets)
    whole = sorted(targets[row] for row in refusals(targets))
    for count in range(2, 9):
        parts = [plan.shard(Shard(number, count)).wanted.targets for number in range(1, count + 1)]
        assert sorted(part[row] for part in parts for row in refusals(part)) == whole


# What is no plan


def rewritten(path, change):
    """Save a plan whose lines were changed: by a function of the list of lines as values."""
    save_plan(plan_of("CHANGES", "sub-1/x", "sub-1/y"), path)
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    lines = change(lines) or lines
    path.write_bytes(gzip.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode()))


def header(**changes):
    return lambda lines: lines[0].update(changes)


def row(**changes):
    return lambda lines: lines[2].update(changes)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (header(version=2, tool="s3bids 9.9"), "version 2 .written by 's3bids 9.9'.*reads version 1; make it anew"),
        (header(version=None), "version None"),
        (header(kind="manifest"), "is no plan"),
        (header(study=3), "line 1: 'study' is 3"),
        (header(layout="upside-down"), "line 1: the layout"),
        (header(selection=[1]), "line 1: the layout or the selection"),
        (header(storage={}), "line 1: 'storage'"),
        (header(storage={"anon": 1, "endpoint_url": 2, "region": 3, "profile": 4, "request_payer": 5}), "'storage'"),
        (header(files=4), "cut short: 3 of 4 objects"),
        (header(files=2), "line 4: more objects"),
        (header(bytes=1), "cut short"),
        (lambda lines: lines[:2], "cut short: 1 of 3"),
        (lambda lines: lines[:1], "cut short: 0 of 3"),
        (lambda lines: lines[1:], "is no plan"),
        (lambda lines: [[], *lines[1:]], "is no plan"),
        (lambda lines: [*lines[:2], "x", *lines[3:]], "damaged in line 3"),
        (row(key=""), "line 3: no object has"),
        (row(key=None), "line 3: 'key' is None"),
        (row(size=-1), "line 3: no object has"),
        (row(size=True), "line 3: 'size' is True"),
        (row(size=1 << 64), "line 3: no object has"),
        (row(etag=5), "line 3: 'etag' is 5"),
        (row(modified="now"), "line 3: 'modified' is 'now'"),
        (row(modified=math.inf), "line 3: no object has"),
        (row(target=["x"]), "line 3: 'target'"),
        (row(subject=1), "line 3: 'subject' is 1"),
        (row(key="x" * 100_000), "damaged in line 3"),
        (row(modified=10**400), "line 3: no object has"),
        (row(key="x" * 5000), "line 3: no object has a name of this length"),
        (row(target="x/" * 5000), "line 3: no object has a name of this length"),
        (row(etag="a\r\nX-Other: 1"), "line 3: no object has the ETag"),
        (row(etag="é"), "line 3: no object has the ETag"),
        (row(key="\ud800"), "line 3: the names are no text"),
        (row(target="sub-1/\ud800"), "line 3: the names are no text"),
        (row(subject="\udcff"), "line 3: the names are no text"),
        (header(time=math.nan), "line 1: 'time' is nan"),
        (header(time=10**400), "line 1: 'time' is 1000"),
        (header(undescribed={".s3bids/manifest.jsonl": "x"}), "'undescribed'"),
        (header(undescribed={".s3bids/dataset_description.json": "x"}), "'undescribed'"),
        (header(undescribed={"../dataset_description.json": "x"}), "'undescribed'"),
        (header(undescribed={"sub-1/anat/x.json": "x"}), "'undescribed'"),
        (header(undescribed={"\ud800/dataset_description.json": "x"}), "'undescribed'"),
    ],
    ids=itertools.count(),
)
def test_a_plan_that_makes_no_sense_is_refused(path, change, text):
    rewritten(path, change)
    with pytest.raises(ConfigError, match=text) as whole:
        read_plan(path)
    # Every part is refused where the whole is, also if the row is in none of its own.
    for number in (1, 2):
        with pytest.raises(ConfigError) as part:
            read_plan(path, shard=Shard(number, 2))
        assert str(part.value) == str(whole.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is no plan"),
        (b"\x1f\x8b", "is damaged"),
        (b"{}\n", "is no plan"),
        (gzip.compress(b""), "is no plan"),
        (gzip.compress(b"\xff\xfe"), "is no plan"),
        (gzip.compress(b"[" * 60_000), "is no plan"),
        (gzip.compress(b"x" * 10_000_000), "is no plan"),
    ],
    ids=itertools.count(),
)
def test_a_file_that_is_no_plan_is_refused(path, content, text):
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=text):
        read_plan(path)


def test_a_plan_that_was_cut_off_is_refused(path):
    save_plan(plan_of(*(f"sub-1/{n}" for n in range(1000))), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConfigError, match="is damaged"):
        read_plan(path)


def test_a_plan_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the plan .*nowhere\.gz: No such file"):
        read_plan(tmp_path / "nowhere.gz")
