"""Space is asked for before the first request."""

import pytest

from s3bids.errors import DestinationError
from s3bids.transfer.plan import Action, Plan, Wanted
from s3bids.transfer.space import Free, SpaceCheck, free_space

KIB = 1024


def plan_of(*sizes):
    names = [str(number) for number in range(len(sizes))]
    wanted = Wanted(names, names, sizes, [None] * len(sizes), [0.0] * len(sizes))
    return Plan("s3://b", wanted, [Action.FETCH] * len(sizes), {})


@pytest.fixture
def check(tmp_path, monkeypatch):
    def make(free, reserve=0):
        monkeypatch.setattr("s3bids.transfer.space.free_space", lambda directory: free)
        return SpaceCheck(tmp_path, reserve)

    return make


def test_what_fits_is_taken(check):
    check(Free(30, 2)).take(plan_of(10, 20), 2)
    check(Free(None, None)).take(plan_of(10**18), 1)


@pytest.mark.parametrize(
    ("free", "reserve", "text"),
    [
        (Free(29, None), 0, "at least 30 B are to come, and 29 B are free"),
        (Free(30, None), 1, r"of which 1 B are to stay free \(reserve\)"),
        (Free(None, 1), 0, "2 files are to come, and there is room for 1 more"),
    ],
)
def test_what_does_not_fit_is_refused(check, free, reserve, text):
    with pytest.raises(DestinationError, match=text):
        check(free, reserve).take(plan_of(10, 20), 2)


def test_parts_of_a_plan_are_added_up(check):
    space = check(Free(30, None))
    space.take(plan_of(20), 1)
    with pytest.raises(DestinationError, match="40 B are to come"):
        space.take(plan_of(20), 1)


def test_a_real_file_system_tells(tmp_path):
    found = free_space(tmp_path)
    assert found.bytes is not None
    assert found.bytes > 0
    assert free_space(tmp_path / "nowhere") == Free(None, None)


@pytest.mark.parametrize("options", ["size=400k", "size=64m,nr_inodes=30"])
def test_a_disk_that_is_too_small_is_refused_before_the_first_request(chain, small_disk, options, monkeypatch):
    from s3bids.transfer.download import Options

    monkeypatch.setattr("s3bids.downloading.Options", Options)
    small_disk.mount(options)
    chain.directory = small_disk.path / "copy"
    chain.fill(small=60, large=1)
    ran = chain.run()
    assert (ran.code, ran.report) == (4, None)
    assert "are to come" in ran.err
    assert chain.proxy.counts()["get"] == 0
    small_disk.mount("remount,size=64m,nr_inodes=1000")
    assert chain.run("--reserve", "1G").code == 4
    assert chain.run("--reserve", "1M").code == 0
