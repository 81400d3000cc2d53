import hashlib
import itertools
import math
import os
import pickle
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3bids.transfer.destination import Destination, FileState
from s3bids.transfer.manifest import Record
from s3bids.transfer.partial import Partial, Version
from s3bids.transfer.plan import (
    FETCHING,
    Action,
    Source,
    Wanted,
    decide,
    is_untouched,
    joined,
    joined_wanted,
    make_plan,
    needs_hash,
)
from s3bids.transfer.refusals import refusals

HERE = "s3://bucket"
NOW, LATER = 1_000_000_000, 2_000_000_000


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def source_of(data, *, etag="md5", modified=5.0, location=HERE):
    return Source(location, "ds/x", len(data), md5(data) if etag == "md5" else etag, modified)


def record_of(source, *, check="md5", mtime_ns=NOW, md5=None):
    modified = None if math.isnan(source.modified) else source.modified
    return Record("x", source.location, source.key, source.size, source.etag, modified, mtime_ns, check, md5)


def file_of(data, *, mtime_ns=NOW, hashed=True):
    return FileState(len(data), mtime_ns, md5=md5(data) if hashed else None)


OBJECT = b"0123456789"
OTHER = b"abcdefghij"
BEGINNING = b"01234"
OBJECT_SOURCE = source_of(OBJECT)
PARTS_SOURCE = source_of(OBJECT, etag="abc-2")
OLD = source_of(OTHER)
OURS = record_of(OBJECT_SOURCE, md5=md5(OBJECT))
OLD_OURS = record_of(OLD, md5=md5(OTHER))


@pytest.mark.parametrize(
    ("what", "source", "file", "record", "action", "overwriting"),
    [
        ("nothing is there", OBJECT_SOURCE, None, None, "fetch", "fetch"),
        ("it was removed", OBJECT_SOURCE, None, OURS, "fetch", "fetch"),
        ("it was emptied", OBJECT_SOURCE, file_of(b""), None, "replace", "replace"),
        ("as we wrote it", OBJECT_SOURCE, file_of(OBJECT, hashed=False), OURS, "keep", "keep"),
        ("as we wrote it, and touched", OBJECT_SOURCE, file_of(OBJECT, mtime_ns=LATER), OURS, "keep", "keep"),
        ("somebody else brought the bytes", OBJECT_SOURCE, file_of(OBJECT), None, "keep", "keep"),
        ("ours, of an older version", OBJECT_SOURCE, file_of(OTHER, hashed=False), OLD_OURS, "replace", "replace"),
        ("ours, older and touched", OBJECT_SOURCE, file_of(OTHER, mtime_ns=LATER), OLD_OURS, "replace", "replace"),
        ("only the beginning", OBJECT_SOURCE, file_of(BEGINNING, hashed=False), None, "complete", "replace"),
        ("only the beginning, of ours", OBJECT_SOURCE, file_of(BEGINNING), OURS, "complete", "replace"),
        ("an own file of the same size", OBJECT_SOURCE, file_of(OTHER), None, "conflict", "replace"),
        (
            "an own file that is longer",
            OBJECT_SOURCE,
            file_of(OBJECT + b"!", hashed=False),
            None,
            "conflict",
            "replace",
        ),
        ("ours, edited", OBJECT_SOURCE, file_of(OTHER, mtime_ns=LATER), OURS, "conflict", "replace"),
        ("an old one of ours, edited", OBJECT_SOURCE, file_of(OBJECT + b"!"), OLD_OURS, "conflict", "replace"),
        ("parts: as we wrote it", PARTS_SOURCE, file_of(OBJECT, hashed=False), record_of(PARTS_SOURCE), "keep", "keep"),
        ("parts: same size, unknown", PARTS_SOURCE, file_of(OTHER, hashed=False), None, "compare", "replace"),
        (
            "parts: ours, touched",
            PARTS_SOURCE,
            file_of(OBJECT, mtime_ns=LATER),
            record_of(PARTS_SOURCE),
            "compare",
            "replace",
        ),
        (
            "parts: a new version of the same size",
            PARTS_SOURCE,
            file_of(OTHER, hashed=False),
            record_of(replace(PARTS_SOURCE, etag="old-2")),
            "replace",
            "replace",
        ),
        ("parts: longer", PARTS_SOURCE, file_of(OBJECT + b"!", hashed=False), None, "conflict", "replace"),
        ("a directory", OBJECT_SOURCE, FileState(4096, NOW, is_directory=True), None, "conflict", "conflict"),
        ("a directory, and an empty object", source_of(b""), FileState(0, NOW, True), None, "conflict", "conflict"),
        ("a link to nowhere", OBJECT_SOURCE, FileState(-1, NOW), None, "conflict", "replace"),
        ("a link to nowhere where ours was", OBJECT_SOURCE, FileState(-1, NOW), OURS, "conflict", "replace"),
        ("both are empty", source_of(b""), file_of(b"", hashed=False), None, "keep", "keep"),
        ("both are empty, in parts", source_of(b"", etag="a-1"), file_of(b"", hashed=False), None, "keep", "keep"),
        ("the object became empty", source_of(b""), file_of(OTHER, hashed=False), OLD_OURS, "replace", "replace"),
        ("the object is empty, the file is not", source_of(b""), file_of(OTHER), None, "conflict", "replace"),
    ],
)
def test_the_decision(what, source, file, record, action, overwriting):
    assert decide(source, file, record, overwrite=False)[0] == action, what
    assert decide(source, file, record, overwrite=True)[0] == overwriting, what


@pytest.mark.parametrize(
    ("change", "action"),
    [
        ({}, "keep"),
        ({"modified": 6.0}, "replace"),
        ({"etag": "new-1"}, "replace"),
    ],
)
def test_without_etags_time_and_size_tell_versions_apart(change, action):
    source = source_of(OBJECT, etag=None)
    file = file_of(OBJECT, hashed=False)
    assert decide(replace(source, **change), file, record_of(source, check="size"), overwrite=False)[0] == action


def test_without_etag_and_time_nothing_is_taken_on_trust():
    source = source_of(OBJECT, etag=None, modified=math.nan)
    action, _ = decide(source, file_of(OBJECT, hashed=False), record_of(source, check="size"), overwrite=False)
    assert action in FETCHING


@pytest.mark.parametrize("elsewhere", [{"location": "s3://other"}, {"key": "other/x"}])
def test_a_file_from_elsewhere_is_somebodys_own(elsewhere):
    record = OLD_OURS._replace(**elsewhere)
    assert decide(OBJECT_SOURCE, file_of(OTHER), record, overwrite=False)[0] is Action.CONFLICT


@pytest.mark.parametrize("elsewhere", [{"location": "s3://mirror"}, {"key": "moved/x"}])
def test_a_study_that_moved_is_not_fetched_again(elsewhere):
    """The same bytes under another address: the MD5 shows it, so it must be asked for."""
    record = OURS._replace(**elsewhere)
    file = file_of(OBJECT, hashed=False)
    assert needs_hash(OBJECT_SOURCE, file, record, trust_size=False)
    assert decide(OBJECT_SOURCE, replace(file, md5=md5(OBJECT)), record, overwrite=False)[0] is Action.KEEP


def test_a_file_checked_by_size_alone_is_checked_again():
    record = record_of(OBJECT_SOURCE, check="size")
    file = file_of(OBJECT, hashed=False)
    assert needs_hash(OBJECT_SOURCE, file, record, trust_size=False)
    assert not needs_hash(OBJECT_SOURCE, file, record, trust_size=True)
    assert decide(OBJECT_SOURCE, file, record, overwrite=False, trust_size=True)[0] is Action.KEEP
    damaged = replace(file, md5=md5(OTHER))
    assert decide(OBJECT_SOURCE, damaged, record, overwrite=False)[0] is Action.REPLACE


@pytest.mark.parametrize(
    ("source", "file", "record", "expected"),
    [
        (OBJECT_SOURCE, file_of(OBJECT), None, True),
        (OBJECT_SOURCE, file_of(BEGINNING), None, False),
        (OBJECT_SOURCE, file_of(OBJECT), OURS, False),
        (OBJECT_SOURCE, file_of(OBJECT, mtime_ns=LATER), OURS, True),
        (OBJECT_SOURCE, file_of(OTHER), OLD_OURS, False),
        (OBJECT_SOURCE, file_of(OTHER, mtime_ns=LATER), OLD_OURS, True),
        (OBJECT_SOURCE, file_of(BEGINNING, mtime_ns=LATER), OURS, False),
        (PARTS_SOURCE, file_of(OBJECT), None, False),
        (PARTS_SOURCE, file_of(OBJECT), record_of(PARTS_SOURCE), False),
        (PARTS_SOURCE, file_of(OBJECT, mtime_ns=LATER), record_of(PARTS_SOURCE), False),
        (OBJECT_SOURCE, FileState(10, NOW, is_directory=True), None, False),
        (OBJECT_SOURCE, FileState(-1, NOW), OURS, False),
    ],
)
def test_a_file_is_hashed_only_where_size_and_manifest_do_not_settle_it(source, file, record, expected):
    assert needs_hash(source, file, record, trust_size=False) is expected


@dataclass
class World:
    """An object, a file and a record that can be true together."""

    source: Source
    #: The object's bytes.
    object: bytes
    #: The file's.
    content: bytes
    file: FileState
    record: Record | None
    #: The bytes that we wrote, and whether the record says that it was for this object.
    written: bytes | None
    is_ours: bool


def worlds():
    contents = (OBJECT, OTHER, BEGINNING, b"", OBJECT + b"!")
    etags = ("md5", "parts", None)
    for data, content, etag in itertools.product(contents, contents, etags):
        source = versioned(data, etag)
        yield World(source, data, content, FileState(len(content), LATER), None, None, is_ours=False)
        for written, place, mtime_ns, check in itertools.product(
            contents, (HERE, "s3://mirror"), (NOW, LATER), ("md5", "size")
        ):
            if mtime_ns == NOW and written != content:
                continue  # size and time say that the file is as it was written
            if check == "md5" and etag != "md5":
                continue
            old = versioned(written, etag)
            record = Record(
                "x",
                place,
                "ds/x",
                len(written),
                old.etag,
                old.modified,
                NOW,
                check,
                md5(written) if check == "md5" else None,
            )
            file = FileState(len(content), mtime_ns)
            yield World(source, data, content, file, record, written, is_ours=place == HERE)


def versioned(data, etag):
    """Describe an object whose ETag and time change with its bytes, as on a real server."""
    version = md5(data)
    modified = float(int(version[:6], 16))
    return Source(HERE, "ds/x", len(data), {"md5": version, "parts": f"{version[:8]}-2", None: None}[etag], modified)


WORLDS = list(worlds())


def outcome(world, *, overwrite):
    file = world.file
    if needs_hash(world.source, file, world.record, trust_size=False):
        file = replace(file, md5=md5(world.content))
    return decide(world.source, file, world.record, overwrite=overwrite)[0]


def test_there_are_many_worlds():
    assert len(WORLDS) > 500


def test_nothing_of_somebody_elses_is_ever_replaced():
    for world in WORLDS:
        if outcome(world, overwrite=False) is Action.REPLACE:
            assert world.content == b"" or (world.is_ours and world.content == world.written), world


def test_only_the_objects_bytes_are_kept():
    for world in WORLDS:
        for overwrite in (False, True):
            if outcome(world, overwrite=overwrite) is Action.KEEP:
                assert world.content == world.object, world


def test_the_objects_bytes_are_kept_wherever_that_can_be_known():
    for world in WORLDS:
        known = world.source.etag is not None and "-" not in world.source.etag
        untouched = world.is_ours and world.record is not None and is_untouched(world.file, world.record)
        if world.content == world.object and (known or untouched):
            assert outcome(world, overwrite=False) is Action.KEEP, world
            assert outcome(world, overwrite=True) is Action.KEEP, world


def test_a_beginning_of_the_object_is_always_completed():
    for world in WORLDS:
        if len(world.content) < len(world.object) and world.object.startswith(world.content):
            assert outcome(world, overwrite=False) in (Action.COMPLETE, Action.REPLACE), world


def test_overwriting_leaves_no_conflict():
    for world in WORLDS:
        assert outcome(world, overwrite=True) in (Action.KEEP, Action.REPLACE), world


def test_without_a_conflict_the_run_ends_with_the_objects_bytes():
    """What is neither kept nor a conflict is fetched."""
    for world in WORLDS:
        action = outcome(world, overwrite=False)
        assert action in FETCHING | {Action.KEEP, Action.CONFLICT}
        if action is Action.CONFLICT:
            assert world.content != world.object, world


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("..", "leads out"),
        ("../x", "leads out"),
        ("ds/sub-01/../../../evil", "leads out"),
        ("a/..", "leads out"),
        ("/etc/passwd", "absolute"),
        ("", "empty"),
        ("a//b", "empty"),
        ("a/", "empty"),
        ("./a", "'.'"),
        ("a/./b", "'.'"),
        ("C:/x", "drive"),
        ("c:x", "drive"),
        ("a\0b", "NUL"),
        (".s3bids/manifest.jsonl", ".s3bids/"),
        (".S3BIDS/x", ".s3bids/"),
        (".s3bids", ".s3bids/"),
    ],
)
def test_a_target_that_cannot_be_a_file_here_is_refused_by_name(target, text):
    found = refusals(["a/b", target, "c"])
    assert list(found) == [1]
    assert text in found[1]


@pytest.mark.parametrize(
    "target",
    [
        "x", "a/b/c", "..a", "a..", "...", "a/..b", ".bidsignore", "a/.s3bids/x", ".s3bids-x", "a b", "a\nb", "é",
        "a\\..\\b", "*?[x]", "ab:c",
    ],
)  # fmt: skip
def test_an_odd_name_that_is_a_file_is_not(target):
    assert refusals([target]) == {}


def test_a_target_comes_once():
    assert refusals(["a", "b", "a", "a"]) == {2: "another key has the same name", 3: "another key has the same name"}


@pytest.mark.parametrize("targets", [["a", "a/b"], ["a/b/c", "a"], ["a/b/c", "x", "a/b"]])
def test_a_file_gives_way_to_the_directory_of_the_same_name(targets):
    [refused] = refusals(targets)
    assert targets[refused] in ("a", "a/b")
    assert all(not targets[refused].startswith(f"{target}/") for target in targets)


def test_a_name_that_begins_like_a_directory_stays():
    assert refusals(["a/b", "a.json", "ab"]) == {}


parts = st.sampled_from(["..", ".", "", "a", "b", "C:", ".s3bids", "a\0", "~", "é", "..a"])


@given(st.lists(st.one_of(st.text(max_size=12), st.lists(parts, max_size=4).map("/".join)), max_size=8))
@example(["a", "a/b", "../x"])
def test_no_target_ever_escapes_or_meets_another(targets):
    """Whatever the keys: what is not refused is one file below the directory, written as it reads."""
    refused = refusals(targets)
    accepted = [target for index, target in enumerate(targets) if index not in refused]
    assert len(set(accepted)) == len(accepted)
    for target in accepted:
        path = os.path.normpath(os.path.join("/root/dir", target))  # noqa: PTH118 - as text, to see what is normalised
        assert path == f"/root/dir/{target}"
        assert PurePosixPath("/root/dir") in PurePosixPath(path).parents
        assert not path.startswith("/root/dir/.s3bids/")
        assert not any(other.startswith(f"{target}/") for other in accepted)


def wanted_of(**sizes):
    names = list(sizes)
    data = {name: b"x" * size for name, size in sizes.items()}
    return Wanted(
        [f"ds/{name}" for name in names],
        names,
        list(sizes.values()),
        [md5(data[name]) for name in names],
        [5.0] * len(names),
    )


def plan_of(wanted, files=None, records=None, **options):
    found = Destination(files or {}, records or {})
    return make_plan(HERE, wanted, found, refused=refusals(wanted.targets), **options)


def test_a_plan_is_rows_in_order_with_their_reasons():
    wanted = wanted_of(a=3, b=4, c=5)
    plan = plan_of(wanted, {"b": file_of(b"xxxx"), "c": FileState(9, NOW)})
    assert [(row.key, row.target, row.size, row.action) for row in plan] == [
        ("ds/a", "a", 3, "fetch"),
        ("ds/b", "b", 4, "keep"),
        ("ds/c", "c", 5, "conflict"),
    ]
    assert plan.row(2).note == "the file has 9 bytes, the object 5"
    assert plan.row(0).note == ""
    assert len(plan) == 3
    assert list(plan.rows(Action.KEEP, Action.CONFLICT)) == [plan.row(1), plan.row(2)]


def test_counts_and_bytes():
    plan = plan_of(wanted_of(a=3, b=4, c=5), {"b": file_of(b"xxxx"), "c": FileState(2, NOW)})
    assert plan.count(Action.FETCH) == 1
    assert plan.count(*FETCHING) == 2
    assert plan.total_bytes(Action.KEEP) == 4
    assert plan.bytes_to_fetch == 8


def test_a_refused_row_is_refused_whatever_is_there():
    wanted = Wanted(["ds/../x"], ["../x"], [3], [None], [math.nan])
    [row] = plan_of(wanted, {"../x": FileState(3, NOW)}, overwrite=True)
    assert row.action is Action.REFUSE
    assert "leads out" in row.note


def test_kept_files_that_the_manifest_does_not_know_so_are_adopted():
    """Whatever had to be hashed for this plan is not hashed for the next."""
    wanted = wanted_of(known=3, foreign=3, touched=3, moved=3, unchecked=3)
    record = Record("known", HERE, "ds/known", 3, md5(b"xxx"), 5.0, NOW, "md5", md5(b"xxx"))
    records = {
        "known": record,
        "touched": record._replace(key="ds/touched"),
        "moved": record._replace(key="ds/moved", location="s3://mirror"),
        "unchecked": record._replace(key="ds/unchecked", check="size", md5=None),
    }
    files = {name: file_of(b"xxx") for name in wanted.targets} | {
        "known": file_of(b"xxx", hashed=False),
        "touched": file_of(b"xxx", mtime_ns=LATER),
    }
    plan = plan_of(wanted, files, records)
    assert [row.action for row in plan] == ["keep"] * 5
    assert [plan.row(index).target for index in plan.adopted] == ["foreign", "touched", "moved", "unchecked"]


def test_overwriting_and_trust_reach_the_decision():
    wanted = wanted_of(a=3)
    assert plan_of(wanted, {"a": FileState(9, NOW)}).actions == [Action.CONFLICT]
    assert plan_of(wanted, {"a": FileState(9, NOW)}, overwrite=True).actions == [Action.REPLACE]
    record = Record("a", HERE, "ds/a", 3, md5(b"xxx"), 5.0, NOW, "size")
    files = {"a": FileState(3, NOW)}
    assert plan_of(wanted, files, {"a": record}, trust_size=True).actions == [Action.KEEP]


def test_an_empty_plan():
    plan = plan_of(Wanted([], [], [], [], []))
    assert (len(plan), list(plan), plan.bytes_to_fetch, plan.count(Action.FETCH)) == (0, [], 0, 0)


def test_a_plan_pickles():
    plan = plan_of(wanted_of(a=3))
    assert list(pickle.loads(pickle.dumps(plan))) == list(plan)


# Unfinished files of earlier runs


def partial_of(wanted, name, **changes):
    index = wanted.targets.index(name)
    return Partial(f"/dir/{name}.part", wanted.version(HERE, index)._replace(**changes), 2, b"\1\0")


def with_partials(wanted, *partials, files=None, records=None, **options):
    return make_plan(HERE, wanted, Destination(files or {}, records or {}, (), partials), **options)


def test_a_row_goes_on_with_the_unfinished_file_of_its_version():
    wanted = wanted_of(a=3, b=4, c=5)
    left = partial_of(wanted, "b")
    plan = with_partials(wanted, left)
    assert [row.partial for row in plan] == [None, left, None]
    assert plan.partials == {1: left}
    assert [row.partial for row in plan.rows(*FETCHING)] == [None, left, None]
    assert plan.bytes_to_fetch == 12, "what is there already is told as received"


@pytest.mark.parametrize(
    "changes",
    [{"etag": md5(b"other")}, {"etag": None}, {"size": 5}, {"key": "ds/z"}, {"location": "s3://mirror"}],
    ids=str,
)
def test_an_unfinished_file_of_anything_else_is_not_gone_on_with(changes):
    wanted = wanted_of(b=4)
    assert with_partials(wanted, partial_of(wanted, "b", **changes)).partials == {}


def test_only_rows_that_begin_from_nothing_go_on_with_one():
    wanted = wanted_of(kept=3, conflict=4, beginning=5, older=6)
    files = {
        "kept": file_of(b"xxx"),
        "conflict": FileState(9, NOW),
        "beginning": FileState(2, NOW),
        "older": FileState(8, NOW),
    }
    records = {"older": Record("older", HERE, "ds/older", 8, "0" * 32, 5.0, NOW, "md5", None)}
    left = [partial_of(wanted, name) for name in wanted.targets]
    plan = with_partials(wanted, *left, files=files, records=records)
    assert plan.actions == [Action.KEEP, Action.CONFLICT, Action.COMPLETE, Action.REPLACE]
    assert plan.partials == {3: left[3]}
    overwriting = with_partials(wanted, *left, files=files, records=records, overwrite=True)
    assert overwriting.partials == {1: left[1], 2: left[2], 3: left[3]}


# Plans of the parts of one listing


@given(sizes=st.lists(st.lists(st.integers(0, 5), max_size=5), max_size=5))
def test_joined_plans_are_the_plan_of_all(sizes):
    names = [[f"f{part}-{number}" for number in range(len(found))] for part, found in enumerate(sizes)]
    parts = [wanted_of(**dict(zip(found, size, strict=True))) for found, size in zip(names, sizes, strict=True)]
    files, left = {}, []
    for part in parts:
        for index, target in enumerate(part.targets):
            # Each kind of row, by its number and size.
            if (index + part.sizes[index]) % 3 == 1:
                files[target] = file_of(b"x" * part.sizes[index])
            elif (index + part.sizes[index]) % 3 == 2:
                files[target] = FileState(9, NOW)
            else:
                left.append(partial_of(part, target))
    whole = joined([with_partials(part, *left, files=files) for part in parts])
    at_once = with_partials(joined_wanted(parts), *left, files=files)
    assert list(whole) == list(at_once)
    assert (whole.adopted, whole.notes, whole.partials) == (at_once.adopted, at_once.notes, at_once.partials)
    assert whole.count(*Action) == sum(map(len, sizes))
    assert whole.location == (HERE if parts else "")


def test_one_plan_is_joined_as_it_is():
    plan = plan_of(wanted_of(a=3))
    assert joined([plan]) is plan


def test_joined_plans_leave_their_parts_as_they_were():
    wanted = wanted_of(a=3, b=4)
    plans = [with_partials(wanted, partial_of(wanted, "b"), files={"a": FileState(9, NOW)}) for _ in range(2)]
    whole = joined(plans)
    assert list(whole.partials) == [1, 3]
    assert list(whole.notes) == [0, 2]
    assert [list(plan.partials) for plan in plans] == [[1], [1]]


def test_a_version_is_all_that_tells_objects_apart():
    wanted = wanted_of(a=3)
    assert wanted.version(HERE, 0) == Version(HERE, "ds/a", 3, md5(b"xxx"))
