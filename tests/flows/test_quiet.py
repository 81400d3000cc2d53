"""The library says nothing by itself: no output but the bar, no handlers, no levels. It runs wherever it is called."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import threading
from contextlib import redirect_stderr

import pytest

from s3bids import DownloadError, s3fs_json_read
from s3bids.testing.faults import Answer, Fault

QUIET = ("", "s3bids", "boto3", "botocore", "s3fs", "fsspec", "urllib3", "asyncio", "joblib", "obstore")


@pytest.fixture
def loggers():
    """What is set at the loggers of everybody involved, before and after."""

    def state():
        found = {name: logging.getLogger(name) for name in QUIET}
        return {name: (log.level, handlers(log), log.propagate, log.disabled) for name, log in found.items()}

    def handlers(log):
        # A library's NullHandler handles nothing.
        return [handler for handler in log.handlers if not isinstance(handler, logging.NullHandler)]

    before = state()
    yield
    assert state() == before


@pytest.mark.usefixtures("loggers")
def test_nothing_is_written_to_stdout_and_the_bar_to_stderr(place, keys, out, capfd):
    place.put(keys)
    capfd.readouterr()
    study = place.study(use_participants_tsv=True)
    assert study.derivative_types
    assert study.non_sub_s3_keys
    assert study.subjects[0].s3_keys
    assert capfd.readouterr() == ("", "")
    study.download(out, "all", True)
    stdout, stderr = capfd.readouterr()
    assert stdout == ""
    assert "20/20 files" in stderr
    study.download(out / "again", "all", True, pbar=False)
    study.subjects[0].download(out / "again", True, pbar=False)
    study._download_non_sub_keys(out / "again")
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("loggers")
def test_a_failure_is_raised_and_not_printed(served, proxy, out, capfd):
    proxy.script(Fault("get", "*/sub-2_T1w.nii.gz", times=None, action=Answer(403, "AccessDenied")))
    with pytest.raises(DownloadError):
        served.study().download(out, pbar=False)
    assert capfd.readouterr() == ("", "")


def test_a_download_with_nothing_to_do_shows_no_bar(local, out, capfd):
    local.study().download(out, pbar=False)
    local.study().download(out)
    assert capfd.readouterr() == ("", "")


def test_the_bar_counts_files_and_bytes(local, out):
    stream = io.StringIO()
    with redirect_stderr(stream):
        local.study(subjects="2").download(out, False)
    assert "1/1 files" in stream.getvalue()
    assert "27.0/27.0" in stream.getvalue()


def test_warnings_reach_whoever_listens_and_debug_is_not_switched_on(local, out, caplog):
    (out / "sub-2/anat").mkdir(parents=True)
    (out / "sub-2/anat/sub-2_T1w.nii.gz").write_text("mine")
    local.study().download(out, include_derivs="none", pbar=False)
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert {record.name.partition(".")[0] for record in caplog.records} == {"s3bids"}
    assert len(caplog.records) == 2


def test_a_whole_program_prints_nothing_of_ours(local, out):
    program = f"""
from s3bids import LocalFSParams
from s3bids.utils import S3BIDSStudy
params = LocalFSParams(True, {str(local.root)!r}, "", {local.bucket!r})
study = S3BIDSStudy("x", {local.bucket!r}, "ds", subjects="all", storage=params)
report = study.download({str(out)!r}, "all", True, pbar=False)
print(report.fetched)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("20\n", "", 0)


# Wherever it is called


def test_it_runs_inside_a_running_event_loop(place, keys, out, tree):
    """As in a notebook."""
    place.put(keys)

    async def cell():
        await asyncio.sleep(0)
        study = place.study(subjects="1")
        report = study.download(out, include_derivs="afq")
        return report, study.subjects[0].s3_keys

    report, listed = asyncio.run(cell())
    assert report.fetched == len(tree(out)) == 7
    assert len(listed["raw"]) == 3


@pytest.mark.usefixtures("on_moto")
def test_the_functions_run_inside_a_running_event_loop(on_moto):
    on_moto.put({"x.json": "[1]"})

    async def cell():
        return s3fs_json_read(f"{on_moto.bucket}/x.json", anon=True)

    assert asyncio.run(cell()) == [1]


def test_several_threads_may_use_one_study(served, out, tree):
    study = served.study()
    threads = [
        threading.Thread(target=study.download, args=(out / str(number), True, True), kwargs={"pbar": False})
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trees = [tree(out / str(number)) for number in range(4)]
    assert len(trees[0]) == 20
    assert trees == [trees[0]] * 4


def test_several_threads_may_download_into_one_directory(served, proxy, out, tree, ds):
    studies = [served.study(subjects=[number]) for number in (0, 1, 2, 0)]
    reports = []
    threads = [
        threading.Thread(target=lambda study=study: reports.append(study.download(out, True, True, pbar=False)))
        for study in studies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 4
    assert all(report.failed == report.conflicts == 0 for report in reports)
    unwanted = {"derivatives/loose.txt", "derivatives/qsiprep/sub-1.html"}
    assert tree(out) == {path: content for path, content in ds.items() if path not in unwanted}
    proxy.reset()
    assert served.study().download(out, True, True, pbar=False).skipped == 20
    assert proxy.counts()["get"] == 0
