"""A disk that is full, too small, over quota or read-only: real file systems, mounted where nobody else sees them."""

import errno
import os
from contextlib import suppress

import pytest

from s3bids.testing.faults import Call, Fault
from s3bids.transfer.manifest import STATE_FOLDER, read_records

KIB = 1024


@pytest.fixture
def full(chain, small_disk):
    """A function that lets the study go to a small file system: its size, bytes of it that are taken -> the chain."""

    def prepare(size, taken=0, options=""):
        small_disk.mount(f"size={size}{options}")
        chain.directory = small_disk.path / "copy"
        if taken:
            (small_disk.path / "ballast").write_bytes(bytes(taken))
        return chain

    return prepare


def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(full, small_disk):
    chain = full(1024 * KIB, taken=800 * KIB)
    chain.fill(small=400, large=0)
    ran = chain.run(fault="disk full (ENOSPC), small files")
    assert ran.code == 4
    assert 5 < ran.report["fetched"] < 60, "a file takes a page of four kilobytes"
    tried = [entry for entry in ran.failed.values() if entry["attempts"]]
    assert all("no space or quota is left" in entry["reason"] for entry in tried)
    spared = {entry["reason"] for entry in ran.failed.values() if not entry["attempts"]}
    assert spared == {"not tried, since no space was left; free some and run again"}
    assert chain.proxy.counts()["get"] < 300, "it stops soon"
    assert chain.parts() == []

    before = ran.report["fetched"]
    again = chain.run()
    assert again.code == 4, "nothing has changed"
    small_disk.mount("remount,size=8m")
    ran = chain.run()
    assert (ran.code, ran.report["failed"]) == (0, 0)
    assert ran.report["skipped"] >= before
    assert chain.run().report["skipped"] == len(chain.files)


def test_ballast_that_is_thrown_off_makes_space_too(full, small_disk):
    chain = full(512 * KIB, taken=400 * KIB)
    chain.fill(small=60, large=0)
    assert chain.run(fault="disk full (ENOSPC), small files").code == 4
    (small_disk.path / "ballast").unlink()
    assert chain.run().code == 0


@pytest.mark.parametrize("size", [100 * KIB, 300 * KIB])
def test_a_large_object_that_does_not_fit_is_kept_as_far_as_it_came(full, small_disk, size):
    chain = full(size)
    chain.fill(small=0, large=1)
    ran = chain.run(fault="disk full (ENOSPC), in pieces")
    assert ran.code == 4
    assert "no space or quota is left" in ran.failed[chain.large]["reason"]
    there = sum(partial.bytes for partial in chain.partials())
    assert there <= size
    assert size < 200 * KIB or there > 0

    small_disk.mount("remount,size=8m")
    chain.proxy.reset()
    ran = chain.run()
    assert ran.code == 0
    assert chain.asked_for(chain.large) == chain.LARGE - there
    assert chain.parts() == []


def test_a_disk_that_fills_up_during_the_run(full, small_disk):
    """Somebody else writes to it."""
    chain = full(4096 * KIB)
    chain.fill(small=100, large=2)

    def fill_up():
        with (small_disk.path / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(KIB))

    chain.proxy.script(Fault("get", skip=30, action=Call(fill_up)))
    ran = chain.run(fault="disk full during the run", hits_all=True)
    assert ran.code == 4
    (small_disk.path / "ballast").unlink()
    ran = chain.run()
    assert ran.code == 0
    assert chain.parts() == []


def test_a_disk_without_room_for_another_name_is_full_too(full, small_disk):
    """Its inodes are used up."""
    chain = full(4096 * KIB, options=",nr_inodes=20")
    chain.fill(small=100, large=1)
    ran = chain.run(fault="no inode left (ENOSPC)")
    assert ran.code == 4
    ran = chain.run()
    assert ran.code == 4
    small_disk.mount("remount,nr_inodes=1000")
    assert chain.run().code == 0


@pytest.mark.parametrize("large", [0, 2])
def test_a_quota_that_is_used_up(chain, disk, large):
    disk.left, disk.error = 200_000, OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    chain.fill(small=100, large=large)
    ran = chain.run(fault="quota used up (EDQUOT)")
    assert ran.code == 4
    assert any("Disk quota exceeded" in entry["reason"] for entry in ran.failed.values())
    disk.left = 10**9
    assert chain.run().code == 0
    assert chain.parts() == []


# Read-only


def test_a_read_only_destination_is_refused_before_anything_is_fetched(full, small_disk):
    chain = full("1m", options=",ro")
    chain.fill()
    ran = chain.run(fault="read-only destination")
    assert (ran.code, ran.report) == (2, None)
    assert "cannot be written (Read-only file system)" in ran.err
    assert chain.proxy.counts()["get"] == 0
    small_disk.mount("remount,rw,size=8m")
    assert chain.run().code == 0


def test_files_of_a_folder_that_cannot_be_written_fail_alone(full, small_disk):
    chain = full("8m")
    small_disk.mount("ro", "copy/sub-1")
    chain.fill()
    ran = chain.run(fault="read-only folder")
    assert ran.code == 1
    assert set(ran.failed) == {name for name in chain.files if name.startswith("sub-1/")}
    assert all("Read-only file system" in entry["reason"] for entry in ran.failed.values())
    assert {entry["attempts"] for entry in ran.failed.values()} == {1}
    small_disk.mount("remount,rw,size=8m", "copy/sub-1")
    assert chain.run().code == 0


def test_a_read_only_manifest_costs_the_next_run_a_look_at_the_files(full, small_disk, caplog):
    chain = full("8m")
    small_disk.mount("ro", f"copy/{STATE_FOLDER}")
    chain.fill()
    chain.keeps_records = False
    ran = chain.run(fault="read-only manifest")
    assert (ran.code, ran.report["fetched"]) == (0, len(chain.files))
    assert "cannot record" in caplog.text
    assert read_records(chain.directory) == {}
    small_disk.mount("remount,rw,size=1m", f"copy/{STATE_FOLDER}")
    chain.keeps_records = True
    chain.proxy.reset()
    ran = chain.run()
    assert (ran.code, ran.report["skipped"], chain.proxy.counts()["get"]) == (0, len(chain.files), 0)
