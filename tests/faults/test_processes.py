"""Several processes on one destination at once: real ones, which know nothing of each other."""

import itertools
import random
import threading
import time

import pytest

from s3bids.testing.faults import Answer, Call, Fault, Flip, Stall
from s3bids.transfer.manifest import STATE_FOLDER, read_records
from s3bids.transfer.verify import verify_directory


def check_complete(chain, processes, tree):
    """All ended well, and what they left is as if there had been one."""
    assert tree(chain.directory) == chain.files
    assert chain.parts() == []
    assert set(read_records(chain.directory)) == set(chain.files)
    assert verify_directory(chain.directory, deep=True).differences == ()
    assert 0 < len(list((chain.directory / STATE_FOLDER).iterdir())) <= 2 * processes
    ran = chain.run()
    assert (ran.code, ran.report["fetched"], ran.report["skipped"]) == (0, 0, len(chain.files))


def together(chain, number, *, lists=1):
    """Let processes wait for each other in their listings, so that all plan before one has fetched anything."""
    barrier = threading.Barrier(number)
    chain.proxy.script(Fault("list", times=number * lists, action=Call(lambda: barrier.wait(300))))


#: 50 processes take their time on two processors to begin.
MANY = pytest.param(50, marks=pytest.mark.slow)


@pytest.mark.parametrize("number", [2, 8, MANY])
def test_processes_that_want_the_same_end_intact(chain, note, start, tree, number):
    chain.fill(small=60, large=4)
    together(chain, number)
    outcomes = start(*[()] * number)
    assert [(code, err) for code, _, err in outcomes] == [(0, "")] * number
    for _, report, _ in outcomes:
        assert report["fetched"] + report["skipped"] == len(chain.files)
        assert (report["failed"], report["conflicts"]) == (0, 0)
    note(f"{number} processes, one destination", len(chain.files), len(chain.files), 0)
    check_complete(chain, number, tree)


@pytest.mark.parametrize("number", [2, 8, MANY])
def test_processes_whose_subjects_overlap_end_intact(chain, note, start, tree, number):
    """Every file of the whole study is wanted by all, and each subject by some."""
    chain.fill(small=60, large=4)
    together(chain, number)
    choices = [("--subjects", choice) for choice in ("0,1", "1,2", "2,0", "0", "1", "2", "0,1,2", "all")]
    outcomes = start(*itertools.islice(itertools.cycle(choices), number))
    assert [(code, err) for code, _, err in outcomes] == [(0, "")] * number
    assert {report["failed"] for _, report, _ in outcomes} == {0}
    note(f"{number} processes, overlapping subjects", len(chain.files), len(chain.files), 0)
    check_complete(chain, number, tree)


def test_processes_whose_requests_are_spoiled_end_intact(chain, start, tree):
    chain.fill(small=40, large=3)
    together(chain, 3)
    generator = random.Random(8)
    chain.proxy.script(
        Fault("get", times=None, action=Answer(503, "SlowDown"), when=lambda request: generator.random() < 0.1),
        Fault("get", times=5, skip=20, action=Flip(7)),
    )
    outcomes = start((), (), ())
    assert [(code, err) for code, _, err in outcomes] == [(0, "")] * 3
    check_complete(chain, 3, tree)


def test_a_process_that_is_killed_beside_another_leaves_it_alone(chain, begin, tree):
    """What it was writing is taken over by nobody while the other runs, and by the next run after that."""
    chain.fill(small=20, large=2)
    together(chain, 2)
    chain.proxy.script(Fault("get", f"ds/{chain.large}", times=1, skip=3, action=Stall()))
    first, second = begin(()), begin(())
    assert chain.proxy.wait_for_stalls(1)
    # One of them waits for its last piece; the other ends.
    while first.poll() is None and second.poll() is None:
        time.sleep(0.01)
    waiting, done = (first, second) if second.poll() is not None else (second, first)
    assert done.communicate()[1] == ""
    assert done.returncode == 0
    assert tree(chain.directory) == chain.files
    assert len(chain.parts()) == 1
    waiting.kill()
    waiting.communicate()
    chain.renew_proxy()
    ran = chain.run()
    assert (ran.code, ran.report["fetched"]) == (0, 0)
    assert chain.parts() == []


@pytest.mark.parametrize("number", [2, 8])
def test_an_unfinished_file_that_several_want_is_claimed_by_one(chain, begin, start, tree, number):
    chain.fill(small=2, large=1)
    name = chain.large
    chain.proxy.script(Fault("get", f"ds/{name}", times=None, skip=7, action=Stall()))
    process = begin(())
    assert chain.proxy.wait_for_stalls(4)
    while sum(sum(partial.there) for partial in chain.partials()) < 7:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    there = sum(partial.bytes for partial in chain.partials())

    chain.renew_proxy()
    together(chain, number)
    outcomes = start(*[()] * number)
    assert [(code, err) for code, _, err in outcomes] == [(0, "")] * number
    # One goes on, and each of the others begins anew, or is late and finds the file.
    asked = chain.asked_for(name)
    assert asked % chain.LARGE == chain.LARGE - there
    assert asked <= number * chain.LARGE - there
    check_complete(chain, number + 1, tree)
