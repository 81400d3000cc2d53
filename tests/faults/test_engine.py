"""What a download does when storage, disk or people misbehave: every fault is scripted, nothing waits."""

import errno
import hashlib
import itertools
import json
import os
import threading
from pathlib import Path

import pytest

from s3bids.errors import (
    AccessDeniedError,
    DestinationError,
    ObjectChangedError,
    ObjectNotFoundError,
    StorageConnectionError,
    StorageError,
    StorageUnavailableError,
)
from s3bids.transfer import fetch as fetch_module
from s3bids.transfer.manifest import STATE_FOLDER
from s3bids.transfer.plan import Action, Wanted
from s3bids.transfer.progress import Ended, Finished, Planned, Started
from s3bids.transfer.report import Status
from s3bids.transfer.verify import Verify, verify_directory
from s3bids.transfer.width import MOST

DATA = b"0123456789abcdef"
#: An ETag that says nothing of the bytes.
PARTS = "0f0f0f0f-2"


def one(make_storage, data=DATA, **options):
    return make_storage({"ds/x": data}, **options)


def only(results):
    [result] = results
    return result


def contents(storage):
    return {key.removeprefix("ds/"): data for key, data in storage.objects.items()}


# Errors that pass, and errors that do not


def test_everything_comes_where_nothing_goes_wrong(make_storage, run):
    storage = make_storage({"ds/a": b"1", "ds/sub-1/anat/b": DATA, "ds/sub-1/c": b"", "ds/d e.x": b"3" * 1000})
    report = run.download(storage)
    assert (report.fetched, report.failed, report.conflicts, report.skipped, report.bytes) == (4, 0, 0, 0, 1017)
    assert run.files() == contents(storage)
    assert run.waits == []
    assert {name: record.check for name, record in run.records.items()} == dict.fromkeys(contents(storage), "md5")


def test_a_lost_connection_is_asked_for_again(make_storage, run):
    storage = one(make_storage)
    storage.fails("ds/x", StorageConnectionError("reset"), times=1, after=8)
    storage.fails("ds/x", StorageConnectionError("refused"), times=1)
    result = only(run.transfers(storage, storage.transfers()))
    assert (result.status, result.attempts, result.bytes) == (Status.FETCHED, 3, len(DATA))
    assert run.waits == [0.2, 0.4]
    assert run.files() == {"x": DATA}
    assert run.received == len(DATA)


def test_a_server_that_never_can_is_given_up_after_five_attempts(make_storage, run):
    storage = one(make_storage)
    storage.fails("ds/x", StorageUnavailableError("cannot read s3://scripted/ds/x: slow down"), times=5)
    report = run.download(storage)
    assert (report.fetched, report.failed, report.no_space) == (0, 1, False)
    assert report.failed_files == (("ds/x", "x", "cannot read s3://scripted/ds/x: slow down", 5),)
    assert storage.gets == ["ds/x"] * 5
    assert run.waits == [0.2, 0.4, 0.8, 1.6]
    assert run.files() == {}
    assert run.received == 0


@pytest.mark.parametrize("position", [0, 7, -1])
def test_a_flipped_byte_is_caught_and_asked_for_again(make_storage, run, position):
    storage = one(make_storage)
    storage.flips("ds/x", position, times=2)
    result = only(run.transfers(storage, storage.transfers()))
    assert (result.status, result.attempts) == (Status.FETCHED, 3)
    assert run.files() == {"x": DATA}
    assert run.received == len(DATA)


def test_bytes_that_are_always_wrong_are_never_a_file(make_storage, run):
    storage = one(make_storage)
    storage.flips("ds/x", 3, times=5)
    report = run.download(storage)
    [failure] = report.failed_files
    assert failure.attempts == 5
    assert "MD5" in failure.reason
    assert "--verify size" in failure.reason
    assert run.files() == {}
    assert run.records == {}


def test_without_an_md5_only_the_size_is_vouched_for(make_storage, run):
    """The record says so: nothing else is known of these bytes."""
    storage = one(make_storage, etags={"ds/x": PARTS})
    storage.flips("ds/x", 3)
    run.download(storage)
    assert run.records["x"].check == "size"
    assert run.records["x"].md5 is None


@pytest.mark.parametrize("etags", [None, {"ds/x": PARTS}, {"ds/x": None}])
@pytest.mark.parametrize("body", [DATA[:-1], DATA[:5], b"", DATA + b"!"])
def test_a_body_of_another_length_is_caught_by_its_size(make_storage, run, etags, body):
    storage = one(make_storage, etags=etags)
    storage.serves("ds/x", body, times=2)
    result = only(run.transfers(storage, storage.transfers(), verify=Verify.SIZE))
    assert (result.status, result.attempts) == (Status.FETCHED, 3)
    assert run.files() == {"x": DATA}
    assert run.received == len(DATA)


def test_a_body_that_is_always_short_is_named_with_both_sizes(make_storage, run):
    storage = one(make_storage)
    storage.cuts("ds/x", 5, times=5)
    [failure] = run.download(storage).failed_files
    assert "5 bytes came, and the listing says 16" in failure.reason
    assert run.files() == {}


@pytest.mark.parametrize(
    "error",
    [
        AccessDeniedError("cannot read ds/x: access denied"),
        ObjectNotFoundError("cannot read ds/x: missing"),
        StorageError("cannot read ds/x: refused"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_stays_fails_at_once(make_storage, run, error):
    storage = one(make_storage)
    storage.fails("ds/x", error, after=4)
    result = only(run.transfers(storage, storage.transfers()))
    assert (result.status, result.attempts, result.reason) == (Status.FAILED, 1, str(error))
    assert run.waits == []
    assert run.files() == {}
    assert run.received == 0


NEW = b"0123456789ABCDEF and more"


def becomes(storage, data):
    storage.objects["ds/x"], storage.etags["ds/x"] = data, hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_an_object_that_changed_since_the_listing_is_taken_as_it_is_now(make_storage, run):
    storage = one(make_storage)
    wanted = storage.wanted()
    becomes(storage, NEW)
    report = run.download(storage, wanted=wanted)
    assert (report.fetched, report.failed, report.bytes) == (1, 0, len(NEW))
    assert run.files() == {"x": NEW}
    assert (run.records["x"].etag, run.records["x"].size) == (storage.etags["ds/x"], len(NEW))
    assert run.received == run.planned == len(NEW), "a bar ends at its end"
    assert run.download(storage).skipped == 1


def test_an_object_that_changes_between_two_attempts_is_never_a_mixture(make_storage, run):
    storage = one(make_storage)

    def change():
        becomes(storage, NEW)
        raise StorageConnectionError("reset")

    storage.calls("ds/x", change, after=8)
    result = only(run.transfers(storage, storage.transfers()))
    assert (result.status, result.attempts) == (Status.FETCHED, 3)
    assert run.files() == {"x": NEW}


def test_an_object_that_changes_all_the_time_is_given_up_after_one_new_beginning(make_storage, run):
    storage = one(make_storage)
    storage.fails("ds/x", ObjectChangedError("cannot read ds/x: changed"), times=2)
    [failure] = run.download(storage).failed_files
    assert (failure.reason, failure.attempts) == ("cannot read ds/x: changed", 2)
    assert run.files() == {}


def test_an_object_that_changed_and_is_gone_then_fails_by_that(make_storage, run):
    storage = one(make_storage)
    transfers = storage.transfers()

    def vanish():
        del storage.objects["ds/x"]
        raise ObjectChangedError("changed")

    storage.calls("ds/x", vanish)
    result = only(run.transfers(storage, transfers))
    assert "there is no such object" in result.reason
    assert run.files() == {}


@pytest.mark.parametrize("error", [RuntimeError("boom"), ValueError("boom"), ZeroDivisionError("boom")])
def test_an_error_that_nobody_expected_is_a_result(make_storage, run, error):
    storage = make_storage(3)
    storage.fails("ds/001", StorageConnectionError("reset"), after=4)
    storage.fails("ds/001", error, after=4)
    report = run.download(storage)
    assert report.failed_files == (
        ("ds/001", "001", f"unexpected {type(error).__name__}: boom; please report this", 2),
    )
    assert report.fetched == 2
    assert run.received == report.bytes


def test_one_bad_object_never_stops_the_rest(make_storage, run):
    storage = make_storage(100)
    errors = (
        AccessDeniedError("denied"),
        RuntimeError("a fault of ours"),
        ObjectNotFoundError("missing"),
    )
    bad = sorted(storage.objects)[::7]
    for key, error in zip(bad, itertools.cycle(errors), strict=False):
        storage.fails(key, error)
    report = run.download(storage)
    assert (report.fetched, report.failed) == (100 - len(bad), len(bad))
    assert sorted(failure.key for failure in report.failed_files) == bad
    assert run.files() == {name: data for name, data in contents(storage).items() if f"ds/{name}" not in bad}
    assert set(run.records) == set(run.files())


def test_what_failed_is_fetched_alone_the_next_time(make_storage, run):
    storage = make_storage(10)
    storage.fails("ds/004", AccessDeniedError("denied"))
    run.download(storage)
    storage.gets.clear()
    report = run.download(storage)
    assert storage.gets == ["ds/004"]
    assert (report.fetched, report.skipped, report.failed) == (1, 9, 0)
    assert run.files() == contents(storage)


def test_a_failure_is_on_record(make_storage, run):
    storage = one(make_storage)
    storage.fails("ds/x", AccessDeniedError("denied"))
    run.download(storage)
    [manifest] = (run.directory / STATE_FOLDER).glob("*.jsonl")
    [entry] = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert entry["event"] == "failed"
    assert (entry["target"], entry["key"], entry["reason"], entry["attempts"]) == ("x", "ds/x", "denied", 1)


def test_a_listing_that_breaks_off_ends_the_run_with_its_error(make_storage, run):
    storage = make_storage(5)

    def transfers():
        yield from storage.transfers()[:2]
        raise StorageConnectionError("the listing broke off")

    done = []
    with pytest.raises(StorageConnectionError, match="the listing broke off"):
        for result in run.transfers(storage, transfers()):
            done.append(result.target)
    assert set(done) <= set(run.files()) <= {"000", "001"}
    assert set(run.records) == set(run.files())


@pytest.mark.parametrize("error", [StorageConnectionError("refused"), StorageUnavailableError("slow down")])
def test_a_dead_server_ends_a_run_of_any_size(make_storage, run, error):
    """Within the patience; then what is left is not even asked for: each request might take a minute."""
    run.sleeping_takes_time = True
    storage = make_storage(3000)
    storage.refuses = lambda key: error
    report = run.download(storage)
    assert (report.fetched, report.failed) == (0, 3000)
    assert len(storage.gets) < 500
    asked = [failure for failure in report.failed_files if failure.attempts]
    assert len(asked) < 300
    assert {failure.reason for failure in asked} == {str(error)}
    spared = {failure.reason for failure in report.failed_files if not failure.attempts}
    assert spared == {"not asked for, since the server has served nobody for 120 s; check the network and run again"}
    assert 120.0 <= run.clock < 600.0
    assert run.files() == {}
    storage.refuses = lambda key: None
    assert run.download(storage).fetched == 3000


def test_an_outage_of_a_minute_fails_nobody(make_storage, run):
    run.sleeping_takes_time = True
    storage = make_storage(300)
    storage.refuses = lambda key: StorageUnavailableError("down") if 1.0 < run.clock < 61.0 else None
    storage.calls("ds/100", lambda: run.sleep(1.0))
    report = run.download(storage)
    assert (report.fetched, report.failed) == (300, 0)
    assert run.clock > 61.0
    assert run.files() == contents(storage)


def test_bytes_that_come_in_vain_show_that_the_server_serves(make_storage, run):
    """So the object has its few attempts, and the others are asked for."""
    run.sleeping_takes_time = True
    storage = make_storage(10)
    storage.fails("ds/004", StorageConnectionError("reset"), after=8, times=5)
    report = run.download(storage)
    assert (report.fetched, report.failed) == (9, 1)
    assert report.failed_files[0].attempts == 5
    assert run.clock < 10.0


# Progress


def test_bytes_end_at_the_planned_total_whatever_was_sent_twice(make_storage, run):
    storage = make_storage(30)
    for number, key in enumerate(sorted(storage.objects)):
        if number % 3 == 0:
            storage.fails(key, StorageConnectionError("reset"), after=number % 5 * 4, times=2)
        if number % 5 == 0:
            storage.flips(key, 0)
    report = run.download(storage)
    started, ended = run.events[0], run.events[-1]
    assert started == Started(30, sum(map(len, storage.objects.values())))
    assert ended == Ended()
    assert run.received == started.bytes == report.bytes
    assert sum(isinstance(event, Finished) for event in run.events) == 30


def test_bytes_of_what_failed_are_taken_back(make_storage, run):
    storage = make_storage({"ds/a": DATA, "ds/b": DATA * 2, "ds/c": DATA * 3})
    storage.fails("ds/a", AccessDeniedError("denied"), after=8)
    storage.cuts("ds/b", 9, times=5)
    report = run.download(storage)
    assert report.bytes == run.received == len(DATA) * 3


# Files that are there already


def test_the_beginning_of_an_object_is_completed(make_storage, run):
    storage = one(make_storage)
    run.directory.mkdir()
    (run.directory / "x").write_bytes(DATA[:7])
    report = run.download(storage)
    assert (report.fetched, report.conflicts) == (1, 0)
    assert run.files() == {"x": DATA}
    assert run.records["x"].check == "md5"


@pytest.mark.parametrize("etags", [None, {"ds/x": PARTS}])
@pytest.mark.parametrize("own", [b"X", DATA[:6] + b"X", b"X" * 15])
def test_other_bytes_are_no_beginning_and_are_kept(make_storage, run, own, etags):
    storage = one(make_storage, etags=etags)
    run.directory.mkdir()
    (run.directory / "x").write_bytes(own)
    report = run.download(storage)
    assert (report.fetched, report.conflicts, report.failed) == (0, 1, 0)
    [conflict] = report.conflicting_files
    assert f"the file has {len(own)} of 16 bytes, and they are not those of the object" in conflict.reason
    assert run.files() == {"x": own}
    assert run.records == {}
    assert run.received == 0


def test_a_file_that_grows_while_it_is_completed_is_kept(make_storage, run):
    """Somebody else is writing it."""
    storage = one(make_storage)
    run.directory.mkdir()
    path = run.directory / "x"
    path.write_bytes(DATA[:4])
    storage.calls("ds/x", lambda: path.write_bytes(DATA + b"and more"), after=4)
    report = run.download(storage)
    assert report.conflicts == 1
    assert run.files() == {"x": DATA + b"and more"}


def test_a_short_body_is_no_reason_to_doubt_the_file(make_storage, run):
    storage = one(make_storage)
    run.directory.mkdir()
    (run.directory / "x").write_bytes(DATA[:12])
    storage.cuts("ds/x", 4, times=2)
    assert run.download(storage).fetched == 1
    assert run.files() == {"x": DATA}


def test_a_file_that_can_only_be_compared_is_compared_once(make_storage, run):
    storage = one(make_storage, etags={"ds/x": PARTS})
    run.directory.mkdir()
    path = run.directory / "x"
    path.write_bytes(DATA)
    before = path.stat()
    report = run.download(storage)
    assert (report.fetched, report.skipped, report.conflicts, report.bytes) == (0, 1, 0, 0)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns), "it was not replaced"
    assert run.download(storage).skipped == 1
    assert storage.gets == ["ds/x"], "the second run knows from the manifest"


def test_a_file_that_compares_unequal_is_kept(make_storage, run):
    storage = one(make_storage, etags={"ds/x": PARTS})
    run.directory.mkdir()
    (run.directory / "x").write_bytes(DATA[:-1] + b"!")
    report = run.download(storage)
    [conflict] = report.conflicting_files
    assert conflict.reason == "the file has the object's size and other bytes"
    assert run.files() == {"x": DATA[:-1] + b"!"}
    assert run.download(storage, overwrite=True).fetched == 1
    assert run.files() == {"x": DATA}


def test_a_comparison_survives_a_lost_connection(make_storage, run):
    storage = one(make_storage, etags={"ds/x": PARTS})
    storage.fails("ds/x", StorageConnectionError("reset"), after=8)
    run.directory.mkdir()
    (run.directory / "x").write_bytes(DATA)
    assert run.download(storage).skipped == 1
    assert run.waits == [0.2]


def test_the_same_file_that_appears_meanwhile_is_no_conflict(make_storage, run):
    storage = one(make_storage)
    storage.calls("ds/x", lambda: (run.directory / "x").write_bytes(DATA), after=8)
    assert run.download(storage).fetched == 1
    assert run.files() == {"x": DATA}


def test_another_file_that_appears_meanwhile_is_kept(make_storage, run):
    storage = one(make_storage)
    storage.calls("ds/x", lambda: (run.directory / "x").write_bytes(b"own"), after=8)
    report = run.download(storage)
    assert (report.fetched, report.conflicts) == (0, 1)
    assert "appeared" in report.conflicting_files[0].reason
    assert run.files() == {"x": b"own"}
    assert run.received == 0


@pytest.mark.parametrize("kind", ["directory", "link"])
def test_a_directory_or_link_that_appears_meanwhile_is_kept(make_storage, run, kind):
    storage = one(make_storage)
    path = run.directory / "x"
    storage.calls("ds/x", path.mkdir if kind == "directory" else lambda: path.symlink_to("nowhere"), after=8)
    assert run.download(storage).conflicts == 1
    assert path.is_dir() if kind == "directory" else path.is_symlink()


def test_an_older_version_of_ours_is_replaced(make_storage, run):
    storage = one(make_storage)
    run.download(storage)
    new = one(make_storage, b"the new content")
    assert run.download(new).fetched == 1
    assert run.files() == {"x": b"the new content"}
    assert run.records["x"].size == 15


def test_an_old_version_stays_until_the_new_one_is_whole(make_storage, run):
    run.download(one(make_storage))
    new = one(make_storage, b"the new content")
    seen = []
    new.calls("ds/x", lambda: seen.append((run.directory / "x").read_bytes()), after=12)
    new.etags["ds/x"] = "f" * 32
    new.flips("ds/x", 1, times=4)
    report = run.download(new)
    assert report.failed == 1
    assert seen == [DATA]
    assert run.files() == {"x": DATA}


def test_a_second_run_asks_for_nothing_and_writes_nothing(make_storage, run):
    storage = make_storage(20)
    run.download(storage)
    storage.gets.clear()
    before = {path: path.stat().st_mtime_ns for path in run.directory.rglob("*")}
    report = run.download(storage)
    assert (report.fetched, report.skipped) == (0, 20)
    assert storage.gets == []
    assert {path: path.stat().st_mtime_ns for path in run.directory.rglob("*")} == before


def test_files_that_others_brought_are_adopted(make_storage, run):
    storage = make_storage(3)
    run.directory.mkdir()
    for name, data in contents(storage).items():
        (run.directory / name).write_bytes(data)
    assert run.download(storage).skipped == 3
    assert storage.gets == []
    assert set(run.records) == {"000", "001", "002"}
    assert verify_directory(run.directory, deep=True).differences == ()
    manifests = list((run.directory / STATE_FOLDER).iterdir())
    assert run.download(storage).skipped == 3
    assert list((run.directory / STATE_FOLDER).iterdir()) == manifests


def test_a_file_that_is_changed_the_moment_it_is_there_is_not_taken_for_ours(make_storage, run, monkeypatch):
    storage = one(make_storage)
    real = fetch_module.take_name

    def and_somebody_writes(part, target, transfer):
        real(part, target, transfer)
        Path(target).write_bytes(b"X" * len(DATA))
        os.utime(target, ns=(1, 1))

    with monkeypatch.context() as patch:
        patch.setattr(fetch_module, "take_name", and_somebody_writes)
        run.download(storage)
    report = run.download(storage)
    assert (report.conflicts, report.skipped) == (1, 0)
    assert run.files() == {"x": b"X" * len(DATA)}


def test_a_file_that_is_changed_while_it_is_compared_is_not_taken_for_ours(make_storage, run):
    storage = one(make_storage, etags={"ds/x": PARTS})
    run.directory.mkdir()
    path = run.directory / "x"
    path.write_bytes(DATA)

    def somebody_writes():
        path.write_bytes(DATA[:8] + b"X" * 8)
        os.utime(path, ns=(1, 1))

    storage.calls("ds/x", somebody_writes, after=len(DATA))
    run.download(storage)
    assert run.download(storage).conflicts == 1


def test_a_file_that_is_changed_after_the_plan_is_not_adopted(make_storage, run):
    storage = one(make_storage)
    run.directory.mkdir()
    path = run.directory / "x"
    path.write_bytes(DATA)

    calls = []

    def clock():
        calls.append(None)
        if len(calls) > 1:  # the first names the run, before the plan; the second is for the record
            path.write_bytes(b"X" * len(DATA))
            os.utime(path, ns=(1, 1))
        return 1.0

    assert run.download(storage, now=clock).skipped == 1
    assert run.download(storage).conflicts == 1


@pytest.mark.parametrize("etag", ["md5", "D41D8CD98F00B204E9800998ECF8427E", PARTS, "a" * 32, None])
def test_an_object_without_bytes_makes_no_request(make_storage, run, etag):
    storage = one(make_storage, b"", etags=None if etag == "md5" else {"ds/x": etag})
    report = run.download(storage)
    assert (report.fetched, report.failed, report.bytes) == (1, 0, 0)
    assert run.files() == {"x": b""}
    assert run.download(storage).skipped == 1
    (run.directory / "x").unlink()
    (run.directory / "x").touch()
    assert run.download(storage).skipped == 1
    assert storage.gets == []
    assert verify_directory(run.directory, deep=True).differences == ()


def test_a_sha256_goes_on_record(make_storage, run):
    run.download(one(make_storage, etags={"ds/x": PARTS}), verify=Verify.SHA256)
    assert run.records["x"].sha256 == hashlib.sha256(DATA).hexdigest()
    assert run.records["x"].check == "size"
    (run.directory / "x").write_bytes(DATA[:-1] + b"!")
    [difference] = verify_directory(run.directory, deep=True).differences
    assert (difference.target, difference.kind) == ("x", "content")


def test_md5_is_used_as_no_security(make_storage, run, monkeypatch):
    real_new = hashlib.new

    def only_insecure(data=b"", *, usedforsecurity=True):
        if usedforsecurity:
            raise ValueError("disabled for FIPS")
        return real_new("md5", data, usedforsecurity=False)

    storage = one(make_storage)
    monkeypatch.setattr(hashlib, "md5", only_insecure)
    assert run.download(storage).fetched == 1
    assert run.records["x"].check == "md5"


# Names


def test_keys_that_cannot_be_files_here_are_listed_and_the_others_come(make_storage, run):
    storage = make_storage({f"ds/{name}": DATA for name in ("../evil", "a\0b/c", "a//b", ".s3bids/x", "C:/x", "good")})
    report = run.download(storage)
    assert (report.fetched, report.failed) == (1, 5)
    assert {failure.attempts for failure in report.failed_files} == {0}
    assert storage.gets == ["ds/good"]
    assert run.files() == {"good": DATA}
    assert sorted(path.name for path in run.directory.parent.iterdir()) == ["copy"]


def test_what_lies_outside_is_not_even_looked_at(make_storage, run):
    """Its size and MD5 agree; it must stay out of the plan and the manifest all the same."""
    run.directory.mkdir()
    (run.directory.parent / "evil").write_bytes(DATA)
    storage = make_storage({"ds/../evil": DATA})
    report = run.download(storage, overwrite=True)
    assert (report.failed, report.skipped) == (1, 0)
    assert run.records == {}


def test_a_name_too_long_for_the_disk_fails_alone(make_storage, run):
    storage = make_storage({"ds/" + "x" * 300: DATA, "ds/" + "y" * 300 + "/z": DATA, "ds/good": DATA})
    report = run.download(storage)
    assert (report.fetched, report.failed) == (1, 2)
    assert all("too long" in failure.reason for failure in report.failed_files)
    assert run.files() == {"good": DATA}


def test_a_file_in_the_way_of_a_directory_fails_alone_and_stays(make_storage, run):
    run.directory.mkdir()
    (run.directory / "sub-1").write_bytes(b"own")
    storage = make_storage({"ds/sub-1/x": DATA, "ds/sub-2/x": DATA})
    report = run.download(storage)
    assert (report.fetched, report.failed) == (1, 1)
    assert "cannot be written" in report.failed_files[0].reason
    assert run.files() == {"sub-1": b"own", "sub-2/x": DATA}


def test_a_directory_in_the_way_of_a_file_is_a_conflict(make_storage, run):
    (run.directory / "x").mkdir(parents=True)
    report = run.download(one(make_storage), overwrite=True)
    assert report.conflicts == 1
    assert (run.directory / "x").is_dir()


def test_a_link_to_nowhere_is_kept_even_where_we_had_written(make_storage, run):
    """As git-annex leaves it when content is dropped after a download."""
    storage = one(make_storage)
    run.download(storage)
    (run.directory / "x").unlink()
    (run.directory / "x").symlink_to("annex/objects/x")
    report = run.download(storage)
    assert (report.conflicts, report.failed) == (1, 0)
    assert (run.directory / "x").is_symlink()
    assert run.download(storage, overwrite=True).fetched == 1
    assert run.files() == {"x": DATA}


def test_a_directory_that_cannot_be_used_costs_no_request(make_storage, run):
    storage = one(make_storage)
    run.directory.write_bytes(b"own")
    with pytest.raises(DestinationError, match="it is a file"):
        run.download(storage)
    assert storage.gets == []


def test_a_dry_run_writes_and_asks_nothing(make_storage, run):
    storage = make_storage(3)
    report = run.download(storage, dry_run=True)
    assert (report.dry_run, report.fetched, report.failed) == (True, 0, 0)
    assert report.plan.count(Action.FETCH) == 3
    assert storage.gets == []
    assert not run.directory.exists()


# No space


@pytest.fixture
def release_when_space_is_gone(run):
    """Hold GETs until the run has learned that the disk is full: what is not taken by then is not tried."""
    gone = threading.Event()
    events = run.events

    def emit(event):
        events.append(event)
        if isinstance(event, Finished) and event.result.no_space:
            gone.set()

    return emit, lambda: gone.wait(10)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_ends_the_run_and_lists_what_was_not_tried(
    make_storage, run, disk, release_when_space_is_gone, number
):
    storage = make_storage(400)
    emit, wait = release_when_space_is_gone
    for key in sorted(storage.objects)[1:]:
        storage.calls(key, wait)
    disk.left, disk.error = 10, OSError(number, os.strerror(number))
    report = run.download(storage, emit=emit)
    assert report.no_space
    assert (report.fetched, report.failed) == (0, 400)
    tried = [failure for failure in report.failed_files if failure.attempts]
    spared = [failure for failure in report.failed_files if not failure.attempts]
    assert {failure.attempts for failure in tried} == {1}, "a full disk does not pass by asking again"
    assert all("no space or quota is left" in failure.reason for failure in tried)
    assert {failure.reason for failure in spared} == {"not tried, since no space was left; free some and run again"}
    # One for each thread, and the one that the first thread took before it was told.
    assert len(tried) <= MOST + 1
    assert sorted(failure.key for failure in report.failed_files) == sorted(storage.objects)
    assert run.received == 0
    assert run.files() == {}
    storage.forget_script()


def test_after_space_was_made_the_rest_comes(make_storage, run, disk):
    storage = make_storage(40)
    disk.left = 300
    first = run.download(storage)
    assert first.no_space
    assert 0 < first.fetched < 40
    assert first.fetched + first.failed == 40
    assert run.received == first.bytes
    disk.left = 10**9
    second = run.download(storage)
    assert (second.skipped, second.fetched, second.failed) == (first.fetched, 40 - first.fetched, 0)
    assert run.files() == contents(storage)


def test_a_disk_too_full_for_the_manifest_is_no_other_error(make_storage, run, disk, monkeypatch, caplog):
    def no_space(file, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    storage = make_storage(5)
    disk.left = 0
    monkeypatch.setattr(os, "write", no_space)
    report = run.download(storage)
    assert report.no_space
    assert report.failed == 5
    assert sum("cannot record" in record.getMessage() for record in caplog.records) == 1


def test_another_error_of_the_disk_fails_alone(make_storage, run, monkeypatch):
    storage = make_storage(5)
    real = fetch_module.take_name

    def broken(part, target, transfer):
        if target.endswith("/003"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(part, target, transfer)

    monkeypatch.setattr(fetch_module, "take_name", broken)
    report = run.download(storage)
    assert (report.fetched, report.failed, report.no_space) == (4, 1, False)
    assert "Input/output error" in report.failed_files[0].reason


# Interruption


class Interrupt:
    """Raise KeyboardInterrupt at the nth finished file, as Ctrl-C does in the thread that iterates."""

    def __init__(self, at):
        self.left = at
        self.events = []

    def __call__(self, event):
        self.events.append(event)
        if isinstance(event, Finished):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


def test_an_interrupted_run_leaves_whole_files_and_their_records(make_storage, run):
    storage = make_storage(12)
    for key in ("ds/000", "ds/005", "ds/011"):
        storage.never_ends(key)
    emit = Interrupt(at=9)
    with pytest.raises(KeyboardInterrupt):
        run.download(storage, emit=emit)
    expected = {name: data for name, data in contents(storage).items() if name not in ("000", "005", "011")}
    assert run.files() == expected
    assert set(run.records) == set(expected)
    assert emit.events[-1] == Ended()
    storage.gets.clear()
    assert run.download(storage).fetched == 3
    assert sorted(storage.gets) == ["ds/000", "ds/005", "ds/011"]
    assert run.files() == contents(storage)


def test_an_iteration_left_early_leaves_whole_files_and_their_records(make_storage, run):
    storage = make_storage(12)
    storage.never_ends("ds/000")
    results = run.transfers(storage, storage.transfers())
    first = next(results)
    results.close()
    assert first.target in run.files()
    assert set(run.records) == set(run.files())
    for name, data in run.files().items():
        assert data == contents(storage)[name]
    storage.forget_script()


def test_no_thread_goes_on_after_an_interruption(make_storage, run):
    storage = make_storage(3)
    storage.never_ends("ds/000")
    with pytest.raises(KeyboardInterrupt):
        run.download(storage, emit=Interrupt(at=2))
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("s3bids-")] == []


# Others at the same time


def in_threads(number, work):
    """Run `work(n)` in threads and give the results; an error of one is raised."""
    results = [None] * number
    errors = []

    def call(index):
        try:
            results[index] = work(index)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=call, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def test_two_runs_on_one_directory_end_intact(make_storage, run):
    storage = make_storage(40)
    barrier = threading.Barrier(2)

    def emit(event):
        # Both have made their plans, in which every file is to be fetched, before either goes on.
        if isinstance(event, Started):
            barrier.wait(10)

    reports = in_threads(2, lambda index: run.download(storage, emit=emit))
    assert [(report.fetched, report.failed, report.conflicts) for report in reports] == [(40, 0, 0)] * 2
    assert run.files() == contents(storage)
    assert set(run.records) == set(contents(storage))
    assert len(list((run.directory / STATE_FOLDER).iterdir())) == 2
    assert run.download(storage).skipped == 40


def test_sixteen_downloads_of_one_target_end_intact(make_storage, run):
    data = os.urandom(10_000)
    storage = one(make_storage, data, piece=1000)
    barrier = threading.Barrier(16)
    storage.calls("ds/x", lambda: barrier.wait(10), after=5000, times=16)
    results = in_threads(
        16, lambda index: only(run.transfers(storage, storage.transfers(), threads=1, run=f"run-{index}"))
    )
    assert {result.status for result in results} == {Status.FETCHED}
    assert run.files() == {"x": data}


def test_of_two_versions_of_one_target_one_wins_whole(make_storage, run):
    old, new = one(make_storage, b"A" * 5000), one(make_storage, b"B" * 5000)
    barrier = threading.Barrier(2)
    for storage in (old, new):
        storage.calls("ds/x", lambda: barrier.wait(10), after=2000)
    reports = in_threads(2, lambda index: run.download((old, new)[index], emit=lambda event: None))
    assert run.files()["x"] in (b"A" * 5000, b"B" * 5000)
    assert {report.failed for report in reports} == {0}


def test_what_a_killed_run_left_goes_and_what_a_living_one_writes_stays(make_storage, run, dead_part, living_part):
    storage = make_storage({"ds/x": DATA, "ds/sub-1/x": DATA})
    (run.directory / "sub-1").mkdir(parents=True)
    for name in (dead_part, living_part, f"sub-1/{dead_part}", f"sub-1/{living_part}"):
        (run.directory / name).write_bytes(b"half")
    run.download(storage, dry_run=True)
    assert len(run.parts()) == 4, "a dry run removes nothing"
    run.download(storage)
    assert sorted(path.name for path in run.parts()) == [living_part] * 2
    for path in run.parts():
        path.unlink()


def test_an_empty_plan_is_a_run_too(make_storage, run):
    storage = make_storage({"ds/x": b""})
    report = run.download(storage, wanted=Wanted([], [], [], [], []))
    assert (report.fetched, report.failed) == (0, 0)
    assert run.events == [Started(0, 0), Planned(0, 0, is_all=True), Ended()]
    assert list(run.directory.iterdir()) == []
