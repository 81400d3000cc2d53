"""One download over several workers: the same files and the same records as one process."""

from __future__ import annotations

import joblib
import pytest

from s3bids import DownloadError
from s3bids.transfer.manifest import read_records
from s3bids.transfer.verify import verify_directory


@pytest.fixture
def large(counted):
    """More files than one task takes."""
    counted.put({f"ds/sub-{s:02}/anat/{n}.txt": f"{s} {n}" for s in range(4) for n in range(75)})
    counted.put({"ds/dataset_description.json": "{}", "ds/sub-00/empty": ""})
    return counted


def records_of(directory):
    """What the manifest says, but for the moments of writing."""
    return {
        target: (record.key, record.location, record.size, record.etag, record.check, record.md5)
        for target, record in read_records(directory).items()
    }


@pytest.fixture
def alone(large, tmp_path, tree):
    """What one process brings: files, records."""
    report = large.study().download(tmp_path / "alone", pbar=False)
    assert report.fetched == 302
    return tree(tmp_path / "alone"), records_of(tmp_path / "alone")


def test_two_processes_bring_the_same_files_and_records(large, alone, proxy, out, tree):
    proxy.reset()
    report = large.study().download(out, pbar=False, n_jobs=2)
    assert (tree(out), records_of(out)) == alone
    assert (report.fetched, report.bytes) == (302, sum(map(len, alone[0].values())))
    assert proxy.counts()["get"] == 301
    assert verify_directory(out, deep=True).differences == ()
    proxy.reset()
    again = large.study().download(out, pbar=False, n_jobs=2)
    assert (again.fetched, again.skipped, proxy.counts()["get"]) == (0, 302, 0)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_what_joblib_is_configured_to_is_used(large, alone, out, tree, backend):
    with joblib.parallel_config(backend=backend, n_jobs=2):
        report = large.study().download(out, pbar=False)
    assert (tree(out), records_of(out)) == alone
    assert report.fetched == 302
    if backend == "loky":
        # Each process has records of its own.
        assert len(list((out / ".s3bids").glob("manifest-*.jsonl"))) > 1


@pytest.mark.parametrize("n_jobs", [1, -1, 3])
def test_any_number_of_processes_serves(local, out, tree, n_jobs):
    study = local.study(subjects="1")
    assert study.download(out, pbar=False, n_jobs=n_jobs).fetched == 4
    assert study.subjects[0].download(out, pbar=False, n_jobs=n_jobs).skipped == 3
    assert len(tree(out)) == 4


def test_the_bar_counts_over_processes_too(large, out, capfd):
    large.study().download(out, n_jobs=2)
    stdout, stderr = capfd.readouterr()
    assert stdout == ""
    assert "302/302 files" in stderr


def test_failures_of_all_processes_are_gathered(on_moto, out, tree):
    on_moto.put({f"ds/sub-1/{number:03}": "x" for number in range(300)})
    study = on_moto.study()
    on_moto.client.put_object_acl(Bucket=on_moto.bucket, Key="ds/sub-1/000", ACL="private")
    on_moto.client.put_object_acl(Bucket=on_moto.bucket, Key="ds/sub-1/299", ACL="private")
    with pytest.raises(DownloadError) as caught:
        study.download(out, pbar=False, n_jobs=2)
    assert sorted(failure.target for failure in caught.value.failures) == ["sub-1/000", "sub-1/299"]
    assert all("access denied" in failure.reason for failure in caught.value.failures)
    assert len(tree(out)) == caught.value.report.fetched == 298


def test_downloads_of_one_program_may_spread_their_work_inside_each_other(local, tmp_path, tree):
    """Each in a thread of a program that uses joblib for itself."""

    def bring(number):
        return local.study().download_dataset(tmp_path / str(number), n_jobs=2).failed

    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(bring)(number) for number in range(2)) == [0, 0]
    assert tree(tmp_path / "0") == tree(tmp_path / "1") != {}
