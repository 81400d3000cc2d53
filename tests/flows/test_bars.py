"""A bar where people work: inside a running event loop, and in a notebook without ipywidgets."""

import asyncio
import sys

from s3bids import LocalFSParams, S3BIDSStudy
from s3bids.testing.studies import write_study
from s3bids.transfer.verify import verify_directory


def opened(root):
    write_study(root / "bucket" / "ds")
    place = LocalFSParams(use_local_fs=True, root_dir=root, user="", bucket_name="bucket")
    return S3BIDSStudy("s", "bucket", "ds", "all", storage=place)


def test_a_download_in_a_running_event_loop_is_complete_when_it_returns(tmp_path, capfd):
    async def cell():
        report = opened(tmp_path).download(tmp_path / "out", pbar=True)
        # Nothing is awaited: as in a notebook, what the call promises holds when it returns.
        return report, verify_directory(tmp_path / "out", deep=True)

    report, found = asyncio.run(cell())
    assert report.fetched == found.files > 0
    assert found.differences == ()
    assert "100%" in capfd.readouterr().err


def test_a_bar_is_shown_without_ipywidgets(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    report = opened(tmp_path).download(tmp_path / "out", pbar=True)
    assert report.fetched > 0
    assert "100%" in capfd.readouterr().err
