import math
import subprocess
import sys
import threading

import joblib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3bids.errors import ConfigError
from s3bids.storage import LocalFSParams, LocalStorage
from s3bids.storage.files import free_part_name
from s3bids.transfer import parallel
from s3bids.transfer.outcome import Settings
from s3bids.transfer.parallel import cut_into_tasks, run, worker_count
from s3bids.transfer.plan import Action, Transfer
from s3bids.transfer.pool import Part
from s3bids.transfer.progress import Finished, Planned, Received
from s3bids.transfer.report import Status

MIB = 1024 * 1024


def transfers_of(sizes):
    return [Transfer(f"k{n}", f"k{n}", size, None, math.nan, Action.FETCH, "") for n, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "tasks"),
    [
        ([], []),
        ([0], [1]),
        ([1] * 256, [256]),
        ([1] * 257, [256, 1]),
        ([1] * 1000, [256, 256, 256, 232]),
        ([256 * MIB, 1], [1, 1]),
        ([256 * MIB - 1, 1], [2]),
        ([1, 256 * MIB], [1, 1]),
        ([1000 * MIB] * 3, [1, 1, 1]),
        ([1, 1000 * MIB, 1, 1], [1, 1, 2]),
        ([100 * MIB] * 5, [2, 2, 1]),
    ],
)
def test_tasks_are_neither_long_nor_large(sizes, tasks):
    assert [len(task) for task in cut_into_tasks(transfers_of(sizes))] == tasks


@given(st.lists(st.integers(0, 400 * MIB), max_size=600))
def test_nothing_is_lost_doubled_or_moved_by_cutting(sizes):
    transfers = transfers_of(sizes)
    tasks = list(cut_into_tasks(iter(transfers)))
    assert [transfer for task in tasks for transfer in task] == transfers
    for task in tasks:
        assert 1 <= len(task) <= 256
        assert len(task) == 1 or sum(transfer.size for transfer in task) <= 256 * MIB


def test_tasks_are_cut_as_they_are_needed():
    """A plan of a million rows is not turned into objects at once."""
    taken = []

    def rows():
        for transfer in transfers_of([1] * 2000):
            taken.append(transfer)
            yield transfer

    next(cut_into_tasks(rows()))
    assert len(taken) == 257


@pytest.fixture
def storage(tmp_path):
    folder = tmp_path / "root" / "bucket"
    folder.mkdir(parents=True)
    for number in range(5):
        (folder / f"k{number}").write_bytes(bytes([number]) * number)
    return LocalStorage(LocalFSParams(True, tmp_path / "root", "me", "bucket"))


@pytest.mark.parametrize(
    ("backend", "n_jobs"), [("sequential", 1), ("threading", None), ("threading", 2)], ids=lambda value: str(value)
)
def test_the_work_is_the_same_however_it_is_spread(storage, tmp_path, monkeypatch, backend, n_jobs):
    monkeypatch.setattr(parallel, "_TASK_FILES", 2)
    events = []
    directory = tmp_path / "copy"
    with joblib.parallel_config(backend=backend, n_jobs=2):
        parts = [Part(transfers_of(range(5)), Planned(5, 10))]
        results = list(run(storage, parts, Settings(directory), events.append, n_jobs=n_jobs))
    assert sorted((result.key, result.status, result.bytes) for result in results) == [
        (f"k{number}", Status.FETCHED, number) for number in range(5)
    ]
    assert sum(event.bytes for event in events if isinstance(event, Received)) == 10
    assert sorted(event.result.key for event in events if isinstance(event, Finished)) == [f"k{n}" for n in range(5)]
    assert {path.name: path.read_bytes() for path in directory.glob("k*")} == {
        f"k{number}": bytes([number]) * number for number in range(5)
    }


@pytest.mark.parametrize("keys", [3, 5, 6])
def test_what_a_lost_worker_had_begun_goes_when_all_is_there(storage, tmp_path, keys):
    """While something is missing it stays: the next run may go on with it."""
    left = tmp_path / "copy" / free_part_name()
    left.parent.mkdir()
    left.write_bytes(b"the begin")
    parts = [Part(transfers_of(range(keys)), Planned(keys, 10))]
    with joblib.parallel_config(backend="threading"):
        results = list(run(storage, parts, Settings(left.parent), lambda _: None, n_jobs=2))
    is_whole = all(result.status is Status.FETCHED for result in results)
    assert is_whole == (keys < 6) == (not left.exists())


class Rooted(LocalStorage):
    """A storage that holds what no other process can have."""

    def __init__(self, params):
        super().__init__(params)
        self.lock = threading.Lock()

    def __reduce__(self):
        return type(self), (self.params, self.lock)


def test_a_storage_that_cannot_be_sent_to_workers_is_refused_with_what_helps(storage, tmp_path):
    rooted = Rooted(storage.params)
    parts = [Part(transfers_of(range(5)), Planned(5, 10))]
    with pytest.raises(ConfigError) as caught:
        list(run(rooted, parts, Settings(tmp_path / "copy"), lambda _: None, n_jobs=2))
    for text in (
        "cannot send the Rooted to 2 worker processes",
        "cannot pickle '_thread.lock'",
        "n_jobs=1",
        "threading",
    ):
        assert text in str(caught.value)
    with joblib.parallel_config(backend="threading"):
        results = list(run(rooted, parts, Settings(tmp_path / "copy"), lambda _: None, n_jobs=2))
    assert {result.status for result in results} == {Status.FETCHED}


def test_a_backend_that_gives_results_at_the_end_only_is_refused(storage, tmp_path):
    parts = [Part(transfers_of(range(5)), Planned(5, 10))]
    with joblib.parallel_config(backend="multiprocessing", n_jobs=2), pytest.raises(ConfigError) as caught:
        list(run(storage, parts, Settings(tmp_path / "copy"), lambda _: None))
    assert "backend multiprocessing gives no results before all are there; configure loky" in str(caught.value)


def test_workers_are_counted_as_joblib_counts_them():
    assert worker_count(1) == 1
    assert worker_count(3) == 3
    assert worker_count(-1) == joblib.cpu_count()
    assert worker_count(None) == 1
    with joblib.parallel_config(n_jobs=3):
        assert worker_count(None) == 3
        assert worker_count(1) == 1


def test_one_process_needs_no_joblib():
    code = (
        "import sys; from s3bids.transfer.parallel import worker_count; "
        "assert worker_count(None) == worker_count(1) == 1; assert 'joblib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
