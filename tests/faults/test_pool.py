"""The threads of one run: how many, what they take, and how they end."""

import errno
import os
import random
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from s3bids.errors import AccessDeniedError, ObjectChangedError, StorageConnectionError, StorageUnavailableError
from s3bids.transfer import pool
from s3bids.transfer.engine import run_transfers
from s3bids.transfer.outcome import Settings
from s3bids.transfer.partial import read_partial
from s3bids.transfer.pool import Part
from s3bids.transfer.progress import Finished, Planned
from s3bids.transfer.report import Status

PIECE = 10


class Watch:
    """How many GETs are under way at once, and who makes them."""

    def __init__(self, storage):
        self.most = self.now = 0
        self.threads = set()
        self._lock = threading.Lock()
        self._stream = storage.stream
        storage.stream = self.stream

    @contextmanager
    def counted(self):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.threads.add(threading.get_ident())
        try:
            yield
        finally:
            with self._lock:
                self.now -= 1

    def stream(self, *arguments, **options):
        with self.counted():
            # Others get a chance to be under way as well.
            time.sleep(0)
            yield from self._stream(*arguments, **options)


def engine_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("s3bids-")]


@pytest.fixture
def begin(run):
    """A function that runs parts of a plan and gives the iterator of results: parts, settings -> results."""

    def make(storage, parts, *, emit=None, **settings):
        chosen = replace(Settings(run.directory, retry=run.retry, piece_bytes=PIECE), **settings)
        return run_transfers(storage, parts, chosen, emit or run.events.append)

    yield make
    assert engine_threads() == [], "every thread has ended"


def part_of(transfers):
    return Part(iter(transfers), Planned(len(transfers), sum(transfer.size for transfer in transfers)))


def objects_of(sizes):
    return {f"ds/{number:03}": random.Random(number).randbytes(size) for number, size in enumerate(sizes)}


def statuses(results):
    return {result.target: result.status for result in results}


def contents(storage):
    return {key.removeprefix("ds/"): data for key, data in storage.objects.items()}


# How many


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("sizes", [[5] * 100, [200] * 5, [5, 200] * 20], ids=["small", "large", "mixed"])
def test_no_more_transfers_and_pieces_are_under_way_than_were_asked_for(make_storage, run, begin, threads, sizes):
    storage = make_storage(objects_of(sizes))
    watch = Watch(storage)
    results = list(begin(storage, [part_of(storage.transfers())], threads=threads))
    assert set(statuses(results).values()) == {Status.FETCHED}
    assert run.files() == contents(storage)
    assert watch.most <= threads


def test_no_more_threads_are_begun_than_there_is_work_for(make_storage, run, begin):
    storage = make_storage(objects_of([5, 5, 5]))
    watch = Watch(storage)
    list(begin(storage, [part_of(storage.transfers())], threads=100))
    assert len(watch.threads) <= 3


def test_the_pieces_of_one_object_are_shared_among_threads(make_storage, run, begin):
    storage = make_storage(objects_of([200]))
    barrier = threading.Barrier(4)
    for start in (0, 10, 20, 30):
        storage.calls("ds/000", lambda: barrier.wait(10), start=start)
    assert statuses(begin(storage, [part_of(storage.transfers())], threads=4)) == {"000": Status.FETCHED}


class ScriptedGauge:
    """A gauge that says what it is told: the number to have under way, after so many batches."""

    def __init__(self, targets, pieces):
        self._targets = list(targets)
        self.pieces = pieces
        self.target = self._targets.pop(0)

    def share(self, processes):
        assert processes == 1

    def target_after(self, outcomes, received):
        if self._targets:
            self.target = self._targets.pop(0)
        return self.target


@pytest.mark.parametrize("pieces", [1, 4])
def test_no_more_pieces_are_under_way_than_memory_is_for(make_storage, run, begin, monkeypatch, pieces):
    """However many transfers the link rewards: each piece holds a megabyte or two."""
    monkeypatch.setattr(pool, "Gauge", lambda threads: ScriptedGauge([40], pieces))
    storage = make_storage(objects_of([200] * 5))
    watch = Watch(storage)
    assert len(list(begin(storage, [part_of(storage.transfers())]))) == 5
    assert watch.most <= pieces
    assert run.files() == contents(storage)


@pytest.mark.parametrize("targets", [[8, 1], [1, 8], [8, 1, 8, 1, 8], [1, 2, 4, 8, 16, 32]], ids=str)
@pytest.mark.parametrize("sizes", [[5] * 300, [55] * 40, [5, 55] * 40], ids=["small", "large", "mixed"])
def test_nothing_is_lost_while_the_number_changes(make_storage, run, begin, monkeypatch, targets, sizes):
    monkeypatch.setattr(pool, "Gauge", lambda threads: ScriptedGauge(targets, 8))
    # Batches are small, so that the number changes within the run.
    monkeypatch.setattr(pool, "_BATCH", 5)
    monkeypatch.setattr(pool, "_GATHER_S", 0.0)
    storage = make_storage(objects_of(sizes))
    results = list(begin(storage, [part_of(storage.transfers())]))
    assert set(statuses(results).values()) == {Status.FETCHED}
    assert len(results) == len(sizes)
    assert run.files() == contents(storage)


def test_threads_beyond_the_wanted_number_end(make_storage, run, begin, monkeypatch):
    """What they would have taken is taken by those that are left."""
    monkeypatch.setattr(pool, "Gauge", lambda threads: ScriptedGauge([8, 1], 8))
    storage = make_storage(objects_of([5] * 100))
    keys = sorted(storage.objects)
    barrier, is_told = threading.Barrier(8), threading.Event()
    for key in keys[:8]:
        storage.calls(key, lambda: barrier.wait(10))
    for key in keys[8:16]:
        storage.calls(key, lambda: is_told.wait(10))
    left = set()
    storage.refuses = lambda key: left.add(threading.get_ident()) if key in keys[16:] else None

    def emit(event):
        # The number has fallen before the first result is told.
        if isinstance(event, Finished):
            is_told.set()

    assert len(list(begin(storage, [part_of(storage.transfers())], emit=emit))) == 100
    assert len(left) == 1


# Parts


def test_transfers_begin_before_the_plan_is_complete(make_storage, run, begin):
    storage = make_storage(objects_of([5, 55, 5, 55]))
    first, *others = storage.transfers()
    goes_on = threading.Event()

    def parts():
        yield part_of([first])
        assert goes_on.wait(10), "the first result came before the second part"
        for transfer in others:
            yield part_of([transfer])

    results = begin(storage, parts())
    assert next(results).target == "000"
    goes_on.set()
    assert len(list(results)) == 3
    assert run.files() == contents(storage)


@pytest.mark.parametrize("threads", [1, 3])
def test_empty_parts_and_late_ones_are_no_hindrance(make_storage, run, begin, threads):
    storage = make_storage(objects_of([5, 55, 5, 55, 5]))
    done = threading.Semaphore(0)

    def parts():
        yield part_of([])
        for transfer in storage.transfers():
            yield part_of([transfer])
            yield part_of([])
            # All threads have nothing to do, and wait.
            assert done.acquire(timeout=10)

    results = []
    for result in begin(storage, parts(), threads=threads):
        results.append(result)
        done.release()
    assert len(results) == 5
    assert run.files() == contents(storage)


def test_nothing_to_do_is_a_run_too(make_storage, run, begin):
    assert list(begin(make_storage({}), [])) == []
    assert list(begin(make_storage({}), [part_of([])])) == []
    assert not run.directory.exists()


@pytest.mark.parametrize("error", [StorageConnectionError("the listing broke off"), ValueError("a fault of ours")])
@pytest.mark.parametrize("sizes", [[5], [200]], ids=["small", "large"])
def test_a_plan_that_breaks_off_ends_the_run_with_its_error(make_storage, run, begin, error, sizes):
    storage = make_storage(objects_of(sizes))
    is_asked = threading.Event()
    storage.calls("ds/000", is_asked.set)

    def parts():
        yield part_of(storage.transfers())
        assert is_asked.wait(10)
        raise error

    with pytest.raises(type(error), match=str(error)):
        list(begin(storage, parts(), threads=1))
    assert set(run.records) == {name for name in run.files() if name in contents(storage)}
    for path in run.parts():
        assert read_partial(str(path)) is not None
        path.unlink()


# No space: what is under way ends, and nothing else begins


def test_after_the_disk_is_full_pieces_that_were_begun_still_come(make_storage, run, begin):
    storage = make_storage(objects_of([200, 5, 5, 5, 5, 200]))
    is_full = threading.Event()
    held = threading.Barrier(2)

    def no_space():
        held.wait(10)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def wait():
        held.wait(10)
        assert is_full.wait(10)

    storage.calls("ds/000", wait, start=0)
    storage.calls("ds/001", no_space)
    for key in ("ds/002", "ds/003", "ds/004", "ds/005"):
        storage.calls(key, lambda: is_full.wait(10))

    def emit(event):
        if isinstance(event, Finished) and event.result.no_space:
            is_full.set()

    results = {result.target: result for result in begin(storage, [part_of(storage.transfers())], emit=emit, threads=2)}
    storage.forget_script()
    assert results["001"].no_space
    assert results["000"].status is Status.FETCHED
    assert set(results) <= {"000", "001", "002"}, "one was taken before it was known, and no other"
    assert run.files() == {name: contents(storage)[name] for name, result in results.items() if not result.no_space}


def test_a_large_object_begins_anew_even_after_the_disk_was_full(make_storage, run, begin):
    """Its pieces are taken though nothing new is."""
    storage = make_storage(objects_of([200, 5, 5]))
    held, is_full = threading.Barrier(2), threading.Event()

    def no_space():
        held.wait(10)
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    def change():
        held.wait(10)
        assert is_full.wait(10)
        raise ObjectChangedError("changed")

    storage.calls("ds/000", change, start=0)
    storage.calls("ds/001", no_space)

    def emit(event):
        if isinstance(event, Finished) and event.result.no_space:
            is_full.set()

    results = {result.target: result for result in begin(storage, [part_of(storage.transfers())], emit=emit, threads=2)}
    assert (results["000"].status, results["000"].attempts) == (Status.FETCHED, 2)
    assert run.files()["000"] == storage.objects["ds/000"]


# Left early


@pytest.mark.parametrize("threads", [1, 4])
def test_an_iteration_left_early_leaves_whole_files_and_pieces_to_go_on_with(make_storage, run, begin, threads):
    storage = make_storage(objects_of([5, 995, 995, 5]))
    storage.never_ends("ds/001", start=500)
    storage.never_ends("ds/002", start=300)
    results = begin(storage, [part_of(storage.transfers())], threads=threads)
    next(results)
    results.close()
    storage.forget_script()
    whole = {name: data for name, data in run.files().items() if name in contents(storage)}
    assert whole == {name: contents(storage)[name] for name in whole}
    assert set(run.records) == set(whole)
    report = run.download(storage, piece_bytes=PIECE)
    assert report.failed == 0
    assert run.files() == contents(storage)


def test_a_run_is_stopped_while_a_thread_waits_for_the_server(make_storage, run, begin, monkeypatch):
    """The thread ends when the server answers at last; what it was at is then left for the next run."""
    monkeypatch.setattr(pool, "_PATIENCE_S", 0.1)
    storage = make_storage(objects_of([5, 95]))
    waiting, answers = threading.Event(), threading.Event()

    def wait():
        waiting.set()
        assert answers.wait(10)

    storage.calls("ds/001", wait, start=90)
    results = begin(storage, [part_of(storage.transfers())], threads=2)
    next(results)
    assert waiting.wait(10)
    results.close()
    [part] = run.parts()
    assert "-free-" not in part.name
    answers.set()
    for thread in threading.enumerate():
        if thread.name.startswith("s3bids-"):
            thread.join(10)
    [part] = run.parts()
    assert "-free-" in part.name
    assert run.download(storage, piece_bytes=PIECE).fetched == 1
    assert run.files() == contents(storage)


def test_an_error_of_whoever_listens_ends_the_run(make_storage, run, begin):
    storage = make_storage(objects_of([5] * 20 + [200] * 3))

    def emit(event):
        if isinstance(event, Finished):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(begin(storage, [part_of(storage.transfers())], emit=emit))
    whole = {name for name in run.files() if name in contents(storage)}
    assert set(run.records) == whole
    for path in run.parts():
        path.unlink()


# Everything at once


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_each_file_is_right_or_listed(make_storage, run, begin, seed):
    """Faults of all kinds at random places, small and large objects, and any number of threads."""
    generator = random.Random(seed)
    storage = make_storage(objects_of([generator.choice([0, 1, 5, 14, 16, 55, 200]) for _ in range(60)]))
    transfers = storage.transfers()
    errors = (
        StorageConnectionError("reset"),
        StorageUnavailableError("slow down"),
        AccessDeniedError("denied"),
        ObjectChangedError("changed"),
        RuntimeError("a fault of ours"),
    )
    for key, data in storage.objects.items():
        start = generator.choice([None, *range(0, len(data), PIECE)]) if len(data) > 15 else None
        times = generator.randrange(1, 4)
        if generator.random() < 0.5 and data:
            storage.fails(key, generator.choice(errors), times=times, after=generator.randrange(8), start=start)
        if generator.random() < 0.2 and data:
            storage.flips(key, -1, start=start)
        if generator.random() < 0.2 and data:
            storage.cuts(key, generator.randrange(len(data)), start=start)
    cut = generator.randrange(60)
    parts = [part_of(transfers[:cut]), part_of([]), part_of(transfers[cut:])]
    results = {result.target: result for result in begin(storage, parts, threads=generator.choice([None, 1, 2, 7, 40]))}
    storage.forget_script()
    assert set(results) == set(contents(storage))
    whole = {name for name, result in results.items() if result.status is Status.FETCHED}
    found = {name: data for name, data in run.files().items() if name in results}
    assert found == {name: contents(storage)[name] for name in whole}
    assert set(run.records) == whole
    assert all(result.reason for result in results.values() if result.status is Status.FAILED)
    assert run.received == sum(len(data) for data in found.values())
    report = run.download(storage, piece_bytes=PIECE)
    assert (report.failed, report.conflicts) == (0, 0)
    assert run.files() == contents(storage)
