"""Going on where a run was cut off: what is asked for again, and that what was there is verified like the rest."""

import random
import time

import pytest

from s3bids.testing.faults import Call, Fault, Flip, Stall
from s3bids.transfer.outcome import PIECE_BYTES
from s3bids.transfer.verify import file_hash

MIB = 1024 * 1024
PIECES = 40
NAME = "sub-1/func/sub-1_bold.nii.gz"


@pytest.fixture
def chain(chain):
    """One large object of forty pieces, and a small one."""
    chain.put("dataset_description.json", b'{"Name": "resume", "BIDSVersion": "1.10.0"}')
    chain.put(NAME, random.Random(1).randbytes(PIECES * chain.PIECE))
    chain.proxy.reset()
    return chain


@pytest.fixture
def size(chain):
    return len(chain.files[NAME])


@pytest.fixture
def cut_off(chain, begin):
    """A function that kills a run when it has got a share of the pieces: share -> bytes that are kept."""

    def there():
        return sum(sum(partial.there) for partial in chain.partials())

    def kill(share, *, piece_bytes=chain.PIECE, pieces=PIECES):
        before, wanted = there(), int(share * pieces)
        chain.proxy.script(Fault("get", f"ds/{NAME}", times=None, skip=wanted, action=Stall()))
        process = begin((), piece_bytes=piece_bytes)
        assert chain.proxy.wait_for_stalls(1)
        deadline = time.monotonic() + 60.0
        while there() < before + wanted:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.communicate()
        [partial] = chain.partials()
        assert NAME not in [path.name for path in chain.directory.rglob("*")]
        chain.renew_proxy()
        return partial.bytes

    return kill


def test_a_killed_run_is_gone_on_with(chain, cut_off, size, note):
    there = cut_off(0.7)
    assert there >= 0.7 * size
    ran = chain.run()
    assert ran.code == 0
    assert ran.report["bytes"] <= size - there + 100, "the other object is small"
    # Only what is missing, each byte once: no more than the rest, and a piece of each thread.
    assert chain.asked_for(NAME) == size - there <= 0.3 * size + 8 * chain.PIECE
    assert chain.parts() == []
    note("killed at 70 %, the same object", 1, 1, 0)


@pytest.mark.parametrize("verify", ["size", "etag", "sha256"])
def test_a_run_that_is_killed_again_and_again_gets_on(chain, cut_off, size, verify):
    there = [cut_off(share) for share in (0.2, 0.2, 0.2)]
    assert there == sorted(there)
    assert there[-1] >= 0.6 * size
    assert chain.run("--verify", verify).code == 0
    assert chain.asked_for(NAME) == size - there[-1]


def test_another_object_is_begun_anew(chain, cut_off, size, note):
    cut_off(0.7)
    chain.put(NAME, chain.files[NAME][::-1])
    ran = chain.run("--verify", "size")
    assert ran.code == 0
    assert chain.asked_for(NAME) == size
    assert chain.parts() == [], "what nobody can go on with is gone"
    note("killed at 70 %, another object", 1, 1, 0)


def test_a_byte_that_was_damaged_meanwhile_is_caught(chain, cut_off, size, note):
    there = cut_off(0.7)
    [part] = chain.parts()
    with part.open("r+b") as file:
        file.seek(12_345)
        byte = file.read(1)
        file.seek(12_345)
        file.write(bytes([byte[0] ^ 0xFF]))
    ran = chain.run()
    assert ran.code == 0
    assert chain.asked_for(NAME) == size - there + size, "the rest, and then all of it"
    assert chain.parts() == []
    note("killed at 70 %, a kept byte damaged", 1, 1, 0)


def test_a_byte_that_is_damaged_on_the_way_is_caught_too(chain, cut_off, size):
    cut_off(0.7)
    chain.proxy.script(Fault("get", f"ds/{NAME}", action=Flip(77)))
    assert chain.run().code == 0


def test_an_object_that_changes_while_the_rest_is_fetched_is_begun_anew(chain, cut_off, size):
    cut_off(0.7)
    new = random.Random(2).randbytes(size)
    chain.proxy.script(Fault("get", f"ds/{NAME}", skip=3, action=Call(lambda: chain.put(NAME, new))))
    ran = chain.run("--verify", "size")
    assert ran.code == 0
    assert chain.files[NAME] == new
    assert chain.parts() == []


def test_a_file_that_another_tool_has_cut_short_is_completed(chain, size, note):
    path = chain.directory / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(chain.files[NAME][: int(0.7 * size)])
    ran = chain.run()
    assert (ran.code, ran.report["fetched"]) == (0, 2)
    assert chain.asked_for(NAME) <= 0.3 * size + chain.PIECE
    note("file cut short at 70 %", 1, 1, 0)


def test_a_file_that_is_no_beginning_of_the_object_is_kept(chain, start, size, note):
    """Nobody knows what it is of: it is somebody's own."""
    path = chain.directory / NAME
    path.parent.mkdir(parents=True)
    own = chain.files[NAME][::-1][: int(0.7 * size)]
    path.write_bytes(own)
    [(code, report, _)] = start(())
    assert (code, report["conflicts"], report["failed"]) == (1, 1, 0)
    assert "not those of the object" in report["conflicting_files"][0]["reason"]
    assert path.read_bytes() == own
    note("file cut short at 70 %, of another object", 1, 0, 1)


@pytest.mark.slow
def test_a_gigabyte_is_gone_on_with(chain, start, cut_off, rclone, note):
    """In pieces of the usual size; the object is sparse on the server."""
    size = 1024 * MIB
    path = rclone.root / chain.bucket / "ds" / NAME
    with path.open("r+b") as file:
        file.truncate(size)
    rclone.refresh()
    there = cut_off(0.7, piece_bytes=PIECE_BYTES, pieces=size // PIECE_BYTES)
    assert there >= 0.68 * size
    [(code, _, err)] = start((), piece_bytes=PIECE_BYTES)
    assert (code, err) == (0, "")
    assert chain.asked_for(NAME) == size - there
    assert file_hash(chain.directory / NAME) == file_hash(path)
    assert chain.parts() == []
    note("killed at 70 % of 1 GiB, the same object", 1, 1, 0)
