"""Threads, processes and a Dask cluster: the same files and records, also where a worker is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from contextlib import contextmanager

import joblib
import psutil
import pytest

from s3bids.testing.faults import Fault, Stall
from s3bids.transfer.manifest import read_records
from s3bids.transfer.verify import verify_directory

FILES = 600


@pytest.fixture
def large(counted):
    """More files than two tasks take."""
    counted.put({f"ds/sub-{s:02}/anat/{n}.txt": f"{s} {n}" for s in range(4) for n in range(FILES // 4)})
    return counted


@contextmanager
def dask_cluster(**options):
    """A scheduler and two worker processes of Dask."""
    with warnings.catch_warnings():
        # Of its own making, about its own modules.
        warnings.simplefilter("ignore")
        from distributed import Client, LocalCluster

        with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, **options
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client


def records_of(directory):
    """What the manifest says, but for the moments of writing."""
    return {
        target: (record.key, record.location, record.size, record.etag, record.check, record.md5)
        for target, record in read_records(directory).items()
    }


def check_same(directory, expected, tree):
    assert tree(directory) == {key.removeprefix("ds/"): data for key, data in expected.items()}
    assert set(read_records(directory)) == set(tree(directory))
    assert verify_directory(directory, deep=True).differences == ()


def content():
    return {f"ds/sub-{s:02}/anat/{n}.txt": f"{s} {n}".encode() for s in range(4) for n in range(FILES // 4)}


@pytest.mark.slow
def test_threads_processes_and_dask_give_the_same(large, tmp_path, tree):
    found = {}
    for name, options in {
        "alone": {},
        "threading": {"backend": "threading", "n_jobs": 2},
        "loky": {"backend": "loky", "n_jobs": 2},
    }.items():
        with joblib.parallel_config(**options) if options else joblib.parallel_config(n_jobs=1):
            large.study().download(tmp_path / name, include_modality_agnostic=False, pbar=False)
        found[name] = tree(tmp_path / name), records_of(tmp_path / name)
    with dask_cluster(), joblib.parallel_config(backend="dask"):
        report = large.study().download(tmp_path / "dask", include_modality_agnostic=False, pbar=False)
    found["dask"] = tree(tmp_path / "dask"), records_of(tmp_path / "dask")
    assert (report.fetched, report.failed) == (FILES, 0)
    assert all(each == found["alone"] for each in found.values())
    check_same(tmp_path / "dask", content(), tree)


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_costs_nothing(large, proxy, out, tree):
    """Its tasks are done by the other one, and by the one that takes its place."""
    with dask_cluster() as client, joblib.parallel_config(backend="dask"):
        pids = set(client.run(os.getpid).values())
        study = large.study()
        proxy.reset()
        proxy.script(Fault("get", times=1, skip=40, action=Stall()))
        killer = _kill_when_stalled(proxy, lambda: pids.pop())
        report = study.download(out, include_modality_agnostic=False, pbar=False)
        killer.join()
    assert (report.fetched, report.failed) == (FILES, 0)
    check_same(out, content(), tree)


def _kill_when_stalled(proxy, choose):
    import threading

    def kill():
        assert proxy.wait_for_stalls(1)
        os.kill(choose(), signal.SIGKILL)
        # It may have been the other worker that waits.
        proxy.release()

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_loky_worker_that_is_killed_costs_nothing(large, proxy, out, tree, caplog):
    study = large.study()
    proxy.reset()
    proxy.script(Fault("get", times=1, skip=40, action=Stall()))

    def a_worker():
        children = psutil.Process().children()
        return next(child.pid for child in children if any("popen_loky" in word for word in child.cmdline()))

    killer = _kill_when_stalled(proxy, a_worker)
    with warnings.catch_warnings():
        # loky tells of the worker that it lost.
        warnings.simplefilter("ignore")
        report = study.download(out, include_modality_agnostic=False, pbar=False, n_jobs=2)
    killer.join()
    assert (report.fetched, report.failed) == (FILES, 0)
    assert "a worker process was lost" in caplog.text
    check_same(out, content(), tree)


def _download(study, directory):
    report = study.download(directory, pbar=False)
    os._exit(0 if report.failed == 0 else 1)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_study_that_was_used_serves_in_a_child(served, out, tmp_path, tree, method):
    """Neither the threads nor the connections of the parent are there."""
    study = served.study()
    study.download(tmp_path / "parent", pbar=False)
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        # Python warns of forks with threads; that is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = context.Process(target=_download, args=(study, out))
        child.start()
    child.join(60)
    is_hung = child.is_alive()
    child.kill()
    assert not is_hung
    assert child.exitcode == 0
    assert tree(out) == tree(tmp_path / "parent")
