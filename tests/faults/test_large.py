"""A large object in pieces: each fault of a piece, of the disk and of the unfinished file, without a server."""

import errno
import hashlib
import os
import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from s3bids.errors import (
    AccessDeniedError,
    ObjectChangedError,
    ObjectNotFoundError,
    RangeNotServedError,
    StorageConnectionError,
    StorageUnavailableError,
)
from s3bids.storage.files import free_part_name, is_part
from s3bids.transfer import large as large_module
from s3bids.transfer.large import LargeFile, is_large
from s3bids.transfer.manifest import STATE_FOLDER
from s3bids.transfer.outcome import Interrupted, Settings
from s3bids.transfer.partial import Version, piece_count, read_partial, trailer
from s3bids.transfer.plan import Action, Transfer
from s3bids.transfer.progress import Planned, Received
from s3bids.transfer.report import Status
from s3bids.transfer.retry import IN_VAIN, Health, Tries
from s3bids.transfer.verify import Verify, verify_directory

PIECE = 10
DATA = random.Random(1).randbytes(95)
NEW = random.Random(2).randbytes(73)
RANGES = [(start, min(start + PIECE, 95)) for start in range(0, 95, PIECE)]
#: An ETag that says nothing of the bytes.
PARTS = "0f0f0f0f-2"


@pytest.fixture
def storage(make_storage):
    return make_storage({"ds/x": DATA})


@pytest.fixture
def get(run, storage):
    """A function that downloads in pieces of ten bytes and gives the report."""

    def download(storage=storage, **options):
        return run.download(storage, piece_bytes=PIECE, **options)

    return download


def becomes(storage, data):
    storage.objects["ds/x"], storage.etags["ds/x"] = data, hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("size", "etag", "action", "expected"),
    [
        (16, "0" * 32, Action.FETCH, True),
        (15, "0" * 32, Action.FETCH, False),
        (0, "0" * 32, Action.FETCH, False),
        (100, "0" * 32, Action.REPLACE, True),
        (100, PARTS, Action.FETCH, True),
        (100, None, Action.FETCH, False),
        (100, "0" * 32, Action.COMPARE, False),
        (100, "0" * 32, Action.COMPLETE, True),
        (100, PARTS, Action.COMPLETE, False),
    ],
)
def test_what_goes_in_pieces(tmp_path, size, etag, action, expected):
    transfer = Transfer("k", "t", size, etag, 0.0, action, "")
    assert is_large(transfer, Settings(tmp_path, piece_bytes=PIECE)) is expected


def test_an_object_comes_in_pieces(get, run, storage):
    report = get()
    assert (report.fetched, report.bytes, report.failed) == (1, 95, 0)
    assert run.files() == {"x": DATA}
    assert sorted(storage.ranges) == RANGES
    assert (run.records["x"].check, run.received, run.planned) == ("md5", 95, 95)
    assert run.waits == []
    assert get().skipped == 1


@pytest.mark.parametrize("threads", [1, 2, 8, 40])
@pytest.mark.parametrize("size", [16, 20, 21, 95, 100, 1000])
def test_any_size_with_any_number_of_threads(make_storage, run, threads, size):
    data = random.Random(size).randbytes(size)
    storage = make_storage({"ds/x": data, "ds/y": data[::-1], "ds/z": b"small"})
    results = run.transfers(storage, storage.transfers(), threads=threads, piece_bytes=PIECE)
    assert {(result.target, result.status, result.attempts) for result in results} == {
        (name, Status.FETCHED, 1) for name in "xyz"
    }
    assert run.files() == {"x": data, "y": data[::-1], "z": b"small"}


@pytest.mark.parametrize("verify", list(Verify))
def test_every_way_to_verify_is_recorded(get, run, storage, verify):
    get(verify=verify)
    record = run.records["x"]
    assert (record.md5 is not None, record.sha256 is not None) == (verify is not Verify.SIZE, verify is Verify.SHA256)
    assert verify_directory(run.directory, deep=True).differences == ()


@pytest.mark.parametrize(("part_size", "check"), [(8, "md5-parts"), (6, "md5-parts"), (7, "size")])
def test_an_object_that_was_uploaded_in_parts_is_verified_where_their_size_is_a_usual_one(
    make_storage, run, part_size, check
):
    """The file is read once more for the less usual sizes, without the marks that an unfinished file has behind it."""
    mebi = 1024 * 1024
    data = random.Random(5).randbytes(11 * mebi)
    part_bytes = part_size * mebi - (part_size == 7)
    parts = [hashlib.md5(data[start : start + part_bytes]).digest() for start in range(0, len(data), part_bytes)]
    etag = f"{hashlib.md5(b''.join(parts)).hexdigest()}-{len(parts)}"
    storage = make_storage({"ds/x": data}, etags={"ds/x": etag}, piece=mebi)
    report = run.download(storage, piece_bytes=4 * mebi)
    assert (report.fetched, report.failed) == (1, 0)
    assert run.files() == {"x": data}
    assert run.records["x"].check == check
    assert run.download(storage, piece_bytes=4 * mebi).skipped == 1


# Faults of single pieces


def test_a_lost_connection_costs_the_rest_of_a_piece(get, run, storage):
    storage.fails("ds/x", StorageConnectionError("reset"), start=20, after=4)
    assert get().fetched == 1
    assert run.files() == {"x": DATA}
    assert sorted(storage.ranges) == sorted([*RANGES, (24, 30)])
    assert (run.received, run.waits) == (95, [0.2])


def test_a_short_body_is_gone_on_with(get, run, storage):
    storage.cuts("ds/x", 4, start=20)
    storage.cuts("ds/x", 0, start=90)
    assert get().fetched == 1
    assert run.files() == {"x": DATA}
    assert sorted(storage.ranges) == sorted([*RANGES, (24, 30), (90, 95)])


@pytest.mark.parametrize("error", [StorageConnectionError("reset"), StorageUnavailableError("slow down")])
@pytest.mark.parametrize("times", [1, 2, 4])
def test_the_attempts_are_those_of_the_worst_piece(run, storage, error, times):
    storage.fails("ds/x", error, start=0, times=times)
    storage.fails("ds/x", error, start=50, times=1)
    [result] = run.transfers(storage, storage.transfers(), piece_bytes=PIECE)
    assert (result.status, result.attempts, result.bytes) == (Status.FETCHED, times + 1, 95)


def test_a_piece_that_never_comes_fails_the_file_and_keeps_the_others(get, run, storage):
    others = threading.Semaphore(0)

    def break_behind_the_others():
        assert all(others.acquire(timeout=60) for _ in range(9))
        raise StorageConnectionError("cannot read ds/x: reset")

    for start in range(0, 90, PIECE):
        storage.calls("ds/x", others.release, after=PIECE, start=start)
    storage.calls("ds/x", break_behind_the_others, start=90)
    storage.fails("ds/x", StorageConnectionError("cannot read ds/x: reset"), start=90, times=4)
    report = get()
    [failure] = report.failed_files
    assert (failure.reason, failure.attempts) == ("cannot read ds/x: reset", 5)
    assert run.files().keys() != {"x"}
    assert run.received == 0
    [part] = run.parts()
    # Another piece may have come to its end just too late.
    missing = [RANGES[index] for index, is_there in enumerate(read_partial(str(part)).there) if not is_there]
    assert (90, 95) in missing
    assert len(missing) < len(RANGES)
    storage.ranges.clear()
    assert get().bytes == sum(end - start for start, end in missing)
    assert sorted(storage.ranges) == missing
    assert run.files() == {"x": DATA}


@pytest.mark.parametrize(
    "error",
    [
        AccessDeniedError("cannot read: denied"),
        ObjectNotFoundError("cannot read: gone"),
        RuntimeError("a fault of ours"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_stays_fails_at_once(run, storage, error):
    storage.fails("ds/x", error, start=0)
    [result] = run.transfers(storage, storage.transfers(), piece_bytes=PIECE, threads=1)
    assert (result.status, result.attempts) == (Status.FAILED, 1)
    assert str(error) in result.reason
    assert storage.ranges == [(0, 10)], "the other pieces would be in vain"
    assert (run.files(), run.waits) == ({}, [])


def test_more_bytes_than_were_asked_for_never_reach_the_next_piece(get, run, storage):
    storage.serves("ds/x", DATA[:20], start=0)
    storage.serves("ds/x", b"!" * 20, start=90)
    storage.calls("ds/x", lambda: None, start=10)
    assert get(verify=Verify.SIZE).fetched == 1
    assert run.files() == {"x": DATA[:90] + b"!" * 4 + DATA[94:]}, "in pieces of four bytes, as they come here"


@pytest.mark.parametrize("position", [0, 9])
def test_a_flipped_byte_is_caught_and_all_comes_again(get, run, storage, position):
    storage.flips("ds/x", position, start=30)
    report = get()
    assert (report.fetched, report.bytes) == (1, 95)
    assert run.files() == {"x": DATA}
    assert sorted(storage.ranges) == sorted(RANGES * 2)
    assert run.received == run.planned == 95


def test_the_same_wrong_bytes_twice_are_no_accident(get, run, storage):
    storage.flips("ds/x", 0, start=30, times=2)
    [failure] = get().failed_files
    assert "MD5" in failure.reason
    assert failure.attempts == 2
    assert run.files() == {}


def test_other_wrong_bytes_each_time_are_given_up_after_five(get, run, storage):
    for position in range(5):
        storage.flips("ds/x", position, start=30)
    [failure] = get().failed_files
    assert failure.attempts == 5
    assert run.files() == {}


def test_a_server_without_ranges_is_asked_for_the_whole(get, run, storage):
    storage.fails("ds/x", RangeNotServedError("whole only"), start=0)
    for start in range(10, 95, 10):
        storage.fails("ds/x", RangeNotServedError("whole only"), start=start)
    assert get().fetched == 1
    assert storage.ranges[-1] == (0, None)
    assert run.files() == {"x": DATA}
    assert run.received == 95
    storage.forget_script()


# An object that changes


def test_an_object_that_changed_since_the_listing_is_taken_as_it_is_now(get, run, storage):
    wanted = storage.wanted()
    becomes(storage, NEW)
    report = get(wanted=wanted)
    assert (report.fetched, report.bytes) == (1, len(NEW))
    assert run.files() == {"x": NEW}
    assert run.records["x"].etag == storage.etags["ds/x"]
    assert run.received == run.planned == len(NEW)
    assert get().skipped == 1


@pytest.mark.parametrize("new", [NEW, b"tiny", b"", DATA * 3], ids=len)
def test_an_object_replaced_between_two_pieces_is_never_a_mixture(run, storage, new):
    storage.calls("ds/x", lambda: becomes(storage, new), start=40, after=4)
    [result] = run.transfers(storage, storage.transfers(), piece_bytes=PIECE, threads=1)
    assert (result.status, result.attempts, result.bytes) == (Status.FETCHED, 2, len(new))
    assert run.files() == {"x": new}


def test_an_object_that_is_replaced_again_and_again_fails_after_one_new_beginning(run, storage):
    versions = iter(random.Random(seed).randbytes(95) for seed in range(10, 20))
    for start in (40, 60):
        storage.calls("ds/x", lambda: becomes(storage, next(versions)), start=start)
    [result] = run.transfers(storage, storage.transfers(), piece_bytes=PIECE, threads=1)
    assert (result.status, result.attempts) == (Status.FAILED, 2)
    assert "has changed" in result.reason
    assert run.files().keys() & {"x"} == set()
    for part in run.parts():
        assert read_partial(str(part)).object.etag != storage.etags["ds/x"], "it is of no version that still exists"
        part.unlink()


def test_an_object_that_was_replaced_and_is_gone_fails_by_that(run, storage):
    def vanish():
        del storage.objects["ds/x"]
        raise ObjectChangedError("changed")

    storage.calls("ds/x", vanish, start=40)
    [result] = run.transfers(storage, storage.transfers(), piece_bytes=PIECE, threads=1)
    assert "there is no such object" in result.reason
    for part in run.parts():
        part.unlink()


# One file, without an engine around it


class Stop:
    """The check of an engine, which can be told to stop."""

    def __init__(self):
        self.is_set = False

    def __call__(self):
        if self.is_set:
            raise Interrupted


@pytest.fixture
def stop():
    return Stop()


@pytest.fixture
def begin(run, storage, stop):
    """A function that makes the file of an object: options of the transfer -> file, first step."""

    def make(**changes):
        [transfer] = storage.transfers()
        settings = Settings(run.directory, retry=run.retry, piece_bytes=PIECE)
        received = run.events.append
        file = LargeFile(
            storage,
            transfer._replace(**changes),
            settings,
            lambda size: received(Received(size)),
            stop,
            Health(run.retry),
        )
        return file, file.begin()

    return make


def fetch_all(file, pieces):
    """Fetch pieces one after the other, and those that are asked for then; give how it ended."""
    todo = list(pieces)
    while todo:
        step = file.fetch(todo.pop(0))
        if isinstance(step, list):
            todo += step
        elif step is not None:
            return step
    return None


def test_the_first_error_tells_what_happened(begin, run, storage):
    """A connection that breaks after the object was replaced does not hide that."""
    new, waiting, replaced = NEW, threading.Event(), threading.Event()

    def replace_object():
        becomes(storage, new)
        raise ObjectChangedError("changed")

    def break_off():
        waiting.set()
        assert replaced.wait(10)
        raise StorageConnectionError("reset")

    storage.calls("ds/x", replace_object, start=0)
    storage.calls("ds/x", break_off, start=10)
    file, pieces = begin()
    steps = []
    other = threading.Thread(target=lambda: steps.append(file.fetch(1)))
    other.start()
    assert waiting.wait(10)
    assert file.fetch(0) is None
    replaced.set()
    other.join()
    assert steps == [None]
    outcome = fetch_all(file, pieces[2:])
    assert outcome.result.status is Status.FETCHED
    assert run.files() == {"x": new}


def test_a_full_disk_is_not_hidden_by_what_comes_after(begin, run, storage, disk):
    waiting, is_full = threading.Event(), threading.Event()

    def break_off():
        waiting.set()
        assert is_full.wait(10)
        raise StorageConnectionError("reset")

    storage.calls("ds/x", break_off, start=10)
    file, pieces = begin()
    other = threading.Thread(target=lambda: file.fetch(1))
    other.start()
    assert waiting.wait(10)
    disk.left = 0
    file.fetch(0)
    is_full.set()
    other.join()
    assert fetch_all(file, pieces[2:]).result.no_space


def test_pieces_after_an_error_make_no_request(begin, storage):
    storage.fails("ds/x", AccessDeniedError("denied"), start=0)
    file, pieces = begin()
    assert fetch_all(file, pieces).result.status is Status.FAILED
    assert storage.ranges == [(0, 10)]


def test_pieces_come_in_any_order_and_are_hashed_in_theirs(begin, run, storage):
    file, pieces = begin()
    random.Random(3).shuffle(pieces)
    assert fetch_all(file, pieces).record.check == "md5"
    assert run.files() == {"x": DATA}


def test_a_server_that_is_given_up_is_not_asked(run, storage, stop):
    health = Health(replace(run.retry, patience_s=0.0))
    for number in range(IN_VAIN):
        health.gives_up(f"ds/{number}", StorageConnectionError("reset"), Tries())
    [transfer] = storage.transfers()
    file = LargeFile(storage, transfer, Settings(run.directory, piece_bytes=PIECE), lambda size: None, stop, health)
    outcome = file.begin()
    assert (outcome.result.status, outcome.result.attempts) == (Status.FAILED, 0)
    assert "not asked for" in outcome.result.reason
    assert storage.gets == []
    assert not run.directory.exists()


# Interruption


def test_an_interrupted_file_is_left_for_the_next_run(begin, run, storage, stop, get):
    file, _ = begin()
    for piece in (0, 4, 9):
        assert file.fetch(piece) is None
    stop.is_set = True
    assert file.fetch(5) is None
    file.release()
    file.release()
    [part] = run.parts()
    assert "-free-" in part.name
    assert read_partial(str(part)).there == b"\1\0\0\0\1\0\0\0\0\1"
    storage.ranges.clear()
    report = get()
    assert (report.fetched, report.bytes) == (1, 70)
    assert sorted(storage.ranges) == [RANGES[index] for index in (1, 2, 3, 5, 6, 7, 8)]
    assert run.files() == {"x": DATA}
    assert run.received == 95 + 25, "what was there is told as well, by this run and by the one before"


def test_an_interruption_in_the_last_piece_is_passed_on(begin, run, stop):
    file, pieces = begin()
    fetch_all(file, pieces[:-1])
    stop.is_set = True
    with pytest.raises(Interrupted):
        file.fetch(9)
    file.release()
    [part] = run.parts()
    assert read_partial(str(part)).there == b"\1" * 9 + b"\0"
    part.unlink()


def test_a_file_that_is_let_go_while_a_thread_is_at_it_is_left_when_the_thread_leaves(begin, run, storage, stop):
    """Such as one that waits for a server which says nothing."""
    waiting, goes_on = threading.Event(), threading.Event()

    def wait():
        waiting.set()
        assert goes_on.wait(10)

    storage.calls("ds/x", wait, start=10)
    file, _ = begin()
    file.fetch(0)
    thread = threading.Thread(target=lambda: file.fetch(1))
    thread.start()
    assert waiting.wait(10)
    stop.is_set = True
    file.release()
    [part] = run.parts()
    assert "-free-" not in part.name, "it may still be written to"
    goes_on.set()
    thread.join()
    [part] = run.parts()
    assert "-free-" in part.name
    assert read_partial(str(part)).there[0] == 1
    part.unlink()


def test_a_file_that_is_let_go_in_its_last_piece_is_ended(begin, run, storage):
    """The piece came in spite of all: nothing stops the file from taking its name."""
    file, pieces = begin()
    fetch_all(file, pieces[:-1])
    storage.calls("ds/x", file.release, start=90)
    assert file.fetch(9).result.status is Status.FETCHED
    assert run.files() == {"x": DATA}


def test_an_interruption_before_the_first_piece_is_no_failure(begin, run, storage, stop):
    """All pieces are there, and are being hashed."""
    write_partial(run, storage, b"\1" * 10)
    stop.is_set = True
    [partial] = partials(run)
    with pytest.raises(Interrupted):
        begin(partial=partial)
    for part in run.parts():
        assert is_part(part.name)
        part.unlink()


# Going on where a run was cut off


def write_partial(run, storage, there, *, data=DATA, piece_bytes=PIECE, **changes):
    """Leave an unfinished file as a killed run does."""
    version = Version(storage.location, "ds/x", len(data), storage.etags["ds/x"])._replace(**changes)
    run.directory.mkdir(exist_ok=True)
    path = run.directory / free_part_name()
    held = bytearray(len(data))
    for index, flag in enumerate(there):
        if flag:
            piece = slice(index * piece_bytes, (index + 1) * piece_bytes)
            held[piece] = data[piece]
    path.write_bytes(bytes(held) + trailer(version, piece_bytes, there))
    return path


def partials(run):
    return [read_partial(str(path)) for path in run.parts()]


@pytest.mark.parametrize("there", [b"\1" + bytes(9), b"\1" * 7 + bytes(3), b"\0" * 9 + b"\1", b"\1" * 10])
def test_only_what_is_missing_is_asked_for(get, run, storage, there):
    write_partial(run, storage, there)
    report = get()
    missing = [RANGES[index] for index, flag in enumerate(there) if not flag]
    assert sorted(storage.ranges) == missing
    assert report.bytes == sum(end - start for start, end in missing)
    assert run.files() == {"x": DATA}
    assert run.records["x"].check == "md5"
    assert run.received == run.planned == 95


@pytest.mark.parametrize("piece_bytes", [1, 7, 10, 40, 94, 1000])
def test_pieces_of_another_size_are_gone_on_with(get, run, storage, piece_bytes):
    there = b"\1" + bytes(piece_count(95, piece_bytes) - 1)
    write_partial(run, storage, there, piece_bytes=piece_bytes)
    assert get().bytes == 95 - min(95, piece_bytes)
    assert run.files() == {"x": DATA}


@pytest.mark.parametrize("position", [0, 25, 69])
def test_a_wrong_byte_of_what_was_kept_is_caught(get, run, storage, position):
    path = write_partial(run, storage, b"\1" * 7 + bytes(3))
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)
    report = get()
    assert (report.fetched, report.failed) == (1, 0)
    assert run.files() == {"x": DATA}
    assert sorted(storage.ranges) == sorted(RANGES[7:] + RANGES)


@pytest.mark.parametrize(
    "changes",
    [{"etag": "0" * 32}, {"etag": None}, {"location": "s3://other"}, {"key": "ds/y"}],
    ids=lambda changes: str(changes),
)
def test_what_is_of_another_object_is_not_gone_on_with(get, run, storage, changes):
    path = write_partial(run, storage, b"\1" * 7 + bytes(3), **changes)
    assert get().bytes == 95
    assert run.files()["x"] == DATA
    assert sorted(storage.ranges) == RANGES
    if "etag" in changes:
        assert not path.exists(), "nobody can go on with a version that is gone"
    else:
        path.unlink()


def test_of_several_the_fullest_is_taken_and_the_others_go(get, run, storage):
    for pieces in (3, 7, 5):
        write_partial(run, storage, b"\1" * pieces + bytes(10 - pieces))
    assert get().bytes == 25
    assert run.parts() == []


def test_one_that_is_no_longer_needed_goes(get, run, storage):
    """Somebody has put the file there in another way."""
    path = write_partial(run, storage, b"\1" * 7 + bytes(3))
    (run.directory / "x").write_bytes(DATA)
    assert get().skipped == 1
    assert not path.exists()


def test_one_that_a_dry_run_finds_stays(get, run, storage):
    path = write_partial(run, storage, b"\1" * 7 + bytes(3), etag="0" * 32)
    get(dry_run=True)
    assert path.exists()
    path.unlink()


def test_one_of_an_object_that_is_not_wanted_now_stays(get, run, make_storage):
    both = make_storage({"ds/x": DATA, "ds/y": NEW})
    path = write_partial(run, both, b"\1" * 7 + bytes(3))
    only_y = both.wanted()
    only_y = only_y.take([1])
    assert get(both, wanted=only_y).fetched == 1
    assert path.exists()
    assert get(both).bytes == 25


def test_one_that_cannot_be_written_is_no_hindrance(get, run, storage, monkeypatch):
    path = write_partial(run, storage, b"\1" * 7 + bytes(3))
    monkeypatch.setattr(large_module, "claim", lambda partial, name: None)
    assert get().bytes == 95
    assert run.files()["x"] == DATA
    assert path.exists()
    path.unlink()


def test_two_that_want_one_unfinished_file_share_nothing(begin, run, storage):
    write_partial(run, storage, b"\1" * 7 + bytes(3))
    [partial] = partials(run)
    first, left = begin(partial=partial)
    second, all_pieces = begin(partial=partial)
    assert (left, all_pieces) == ([7, 8, 9], list(range(10)))
    results = [fetch_all(second, all_pieces).result, fetch_all(first, left).result]
    assert [(result.status, result.bytes) for result in results] == [(Status.FETCHED, 95), (Status.FETCHED, 25)]
    assert run.files() == {"x": DATA}


# Going on with a file that another tool has cut short


def test_the_beginning_of_an_object_is_not_asked_for_again(get, run, storage):
    run.directory.mkdir()
    (run.directory / "x").write_bytes(DATA[:66])
    report = get()
    assert (report.fetched, report.bytes) == (1, 35)
    assert sorted(storage.ranges) == RANGES[6:]
    assert run.files() == {"x": DATA}
    assert run.records["x"].check == "md5"


def test_other_bytes_are_no_beginning_and_are_kept(get, run, storage):
    run.directory.mkdir()
    own = DATA[:30] + b"!" + DATA[31:66]
    (run.directory / "x").write_bytes(own)
    report = get()
    assert (report.fetched, report.conflicts) == (0, 1)
    assert "not those of the object" in report.conflicting_files[0].reason
    assert run.files() == {"x": own}
    assert run.received == 0


@pytest.mark.parametrize("own", [DATA + b"and more", DATA[:70], b"another"], ids=len)
def test_a_file_that_changes_while_it_is_completed_is_kept(get, run, storage, own):
    run.directory.mkdir()
    path = run.directory / "x"
    path.write_bytes(DATA[:66])

    def change():
        path.write_bytes(own)
        os.utime(path, ns=(1, 1))

    storage.calls("ds/x", change, start=90)
    report = get()
    assert report.conflicts == 1
    assert "changed" in report.conflicting_files[0].reason
    assert run.files() == {"x": own}


def test_a_file_that_vanishes_while_it_is_completed_is_made_anew(get, run, storage):
    run.directory.mkdir()
    path = run.directory / "x"
    path.write_bytes(DATA[:66])
    storage.calls("ds/x", path.unlink, start=90)
    assert get().fetched == 1
    assert run.files() == {"x": DATA}


def test_a_failure_leaves_the_beginning_where_it_was(get, run, storage):
    run.directory.mkdir()
    (run.directory / "x").write_bytes(DATA[:66])
    storage.fails("ds/x", AccessDeniedError("denied"), start=60)
    assert get().failed == 1
    assert run.files() == {"x": DATA[:66]}
    storage.forget_script()


# The disk, and others in the same directory


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("pieces", [-1, 0, 1, 5, 9])
def test_a_full_disk_keeps_what_is_there_and_the_next_run_goes_on(get, run, storage, disk, number, pieces):
    version = Version(storage.location, "ds/x", len(DATA), storage.etags["ds/x"])
    disk.left = len(trailer(version, PIECE, bytes(10))) + pieces * (PIECE + 1)
    disk.error = OSError(number, os.strerror(number))
    report = get()
    assert (report.failed, report.no_space) == (1, True)
    assert "no space or quota is left" in report.failed_files[0].reason
    assert "x" not in run.files()
    assert run.received == 0
    there = sum(partial.bytes for partial in partials(run))
    disk.left = 10**6
    report = get()
    assert (report.fetched, report.bytes) == (1, 95 - there)
    assert run.files() == {"x": DATA}


def test_another_file_that_appears_meanwhile_is_kept(get, run, storage):
    storage.calls("ds/x", lambda: (run.directory / "x").write_bytes(b"own"), start=90)
    report = get()
    assert (report.fetched, report.conflicts) == (0, 1)
    assert run.files() == {"x": b"own"}, "and no unfinished file stays"


def test_a_name_that_cannot_be_taken_leaves_no_unfinished_file(get, run, storage, monkeypatch):
    def broken(part, target, transfer):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(large_module, "take_name", broken)
        [failure] = get().failed_files
    assert "Input/output error" in failure.reason
    assert run.files() == {}
    assert get().fetched == 1


@pytest.mark.parametrize("call", ["rename", "unlink"])
def test_an_unfinished_file_that_cannot_be_let_go_fails_no_other(make_storage, run, monkeypatch, call):
    """As on a disk that the kernel has made read-only after an error."""
    storage = make_storage({"ds/x": DATA, "ds/y": NEW})
    storage.fails("ds/x", AccessDeniedError("denied"), start=50 if call == "rename" else 0)

    def read_only(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, read_only)
        results = list(run.transfers(storage, storage.transfers(), piece_bytes=PIECE, threads=1))
    assert {result.target: result.status for result in results} == {"x": Status.FAILED, "y": Status.FETCHED}
    [result] = [result for result in results if result.target == "x"]
    assert result.reason == "denied"
    for part in run.parts():
        part.unlink()


def test_a_file_in_the_way_of_a_directory_fails_alone(make_storage, run):
    run.directory.mkdir()
    (run.directory / "sub-1").write_bytes(b"own")
    storage = make_storage({"ds/sub-1/x": DATA, "ds/y": NEW})
    results = {result.target: result for result in run.transfers(storage, storage.transfers(), piece_bytes=PIECE)}
    assert results["sub-1/x"].status is Status.FAILED
    assert results["y"].status is Status.FETCHED


@pytest.mark.parametrize("small", [False, True])
def test_sixteen_threads_that_ask_for_one_target_end_intact(make_storage, run, small):
    data = random.Random(4).randbytes(15 if small else 995)
    storage = make_storage({"ds/x": data})
    barrier = threading.Barrier(16)
    storage.calls("ds/x", lambda: barrier.wait(10), start=0, times=16)
    results = []

    def work(index):
        results.extend(run.transfers(storage, storage.transfers(), threads=2, run=f"run-{index}", piece_bytes=PIECE))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.status for result in results] == [Status.FETCHED] * 16
    assert run.files() == {"x": data}


def test_a_record_is_made_of_each_failure(get, run, storage):
    storage.fails("ds/x", AccessDeniedError("denied"), start=0)
    get()
    [manifest] = (run.directory / STATE_FOLDER).glob("*.jsonl")
    assert '"event":"failed"' in manifest.read_text()
    assert Planned not in map(type, run.events[-1:])
    storage.forget_script()
    for part in run.parts():
        Path(part).unlink()
