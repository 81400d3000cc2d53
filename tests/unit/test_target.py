"""The file that a transfer makes: whole writes, and a final name that is nobody else's."""

import math
import os
import stat
from pathlib import Path

import pytest

from s3bids.storage.files import is_part
from s3bids.transfer.plan import Action, Transfer
from s3bids.transfer.target import IsConflict, copy_beginning, create, part_beside, remove, take_name, write, write_at

DATA = bytes(range(256)) * 4


def transfer(action):
    return Transfer("ds/x", "x", len(DATA), None, math.nan, action, "")


@pytest.fixture
def part(tmp_path):
    path = tmp_path / "x.part"
    path.write_bytes(DATA)
    return str(path)


@pytest.mark.parametrize("target", ["/a/b/x", "/x", "relative/x"])
def test_a_temporary_file_lies_beside_its_target(target):
    found = part_beside(target)
    assert found.rpartition("/")[0] == target.rpartition("/")[0]
    assert is_part(found.rpartition("/")[2])
    assert part_beside(target) != found


def test_a_file_is_made_with_its_folders_and_only_once(tmp_path):
    path = str(tmp_path / "a" / "b" / "x")
    os.close(create(path))
    with pytest.raises(FileExistsError):
        create(path)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("at_once", [1, 7, 1000, 10_000])
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_what_the_system_takes_in_parts_is_written_whole(tmp_path, monkeypatch, at_once, kind):
    real_write, real_pwrite = os.write, os.pwrite
    monkeypatch.setattr(os, "write", lambda file, data: real_write(file, data[:at_once]))
    monkeypatch.setattr(os, "pwrite", lambda file, data, position: real_pwrite(file, data[:at_once], position))
    path = tmp_path / "x"
    file = create(str(path))
    write(file, kind(DATA))
    write_at(file, kind(DATA), 2000)
    os.close(file)
    assert path.read_bytes() == DATA + bytes(2000 - len(DATA)) + DATA


@pytest.mark.parametrize("size", [0, 1, 1024, 5000])
@pytest.mark.parametrize("there", [0, 100, 1024, 3000])
def test_the_beginning_of_a_file_is_copied_as_far_as_it_goes(tmp_path, there, size):
    (tmp_path / "source").write_bytes((DATA * 3)[:there])
    (tmp_path / "part").write_bytes(b"x" * 6000)
    copy_beginning(str(tmp_path / "source"), str(tmp_path / "part"), size, lambda: None)
    copied = min(there, size)
    assert (tmp_path / "part").read_bytes() == (DATA * 3)[:copied] + b"x" * (6000 - copied)


def test_a_copy_can_be_stopped(tmp_path):
    (tmp_path / "source").write_bytes(bytes(3 * 1024 * 1024))
    (tmp_path / "part").touch()
    calls = []

    def stop():
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_beginning(str(tmp_path / "source"), str(tmp_path / "part"), 3 * 1024 * 1024, stop)
    assert (tmp_path / "part").stat().st_size == 1024 * 1024


def make(path, kind):
    if kind == "the same":
        path.write_bytes(DATA)
    elif kind == "another":
        path.write_bytes(DATA[:-1] + b"!")
    elif kind == "a shorter one":
        path.write_bytes(DATA[:-1])
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a link to nowhere":
        path.symlink_to("nowhere")
    elif kind == "a link to the same":
        (path.parent / "elsewhere").write_bytes(DATA)
        path.symlink_to("elsewhere")


@pytest.mark.parametrize("kind", ["nothing", "the same", "a link to the same"])
def test_a_name_that_is_free_or_has_the_same_bytes_is_taken(tmp_path, part, kind):
    path = tmp_path / "x"
    make(path, kind)
    take_name(part, str(path), transfer(Action.FETCH))
    assert path.read_bytes() == DATA
    assert not path.is_symlink()
    assert not Path(part).exists()


@pytest.mark.parametrize("kind", ["another", "a shorter one", "a folder", "a link to nowhere"])
def test_what_has_appeared_meanwhile_is_kept(tmp_path, part, kind):
    path = tmp_path / "x"
    make(path, kind)
    before = os.lstat(path)
    with pytest.raises(IsConflict, match="appeared"):
        take_name(part, str(path), transfer(Action.FETCH))
    assert os.lstat(path) == before
    assert Path(part).exists(), "whoever made it removes it"


@pytest.mark.parametrize("action", [Action.REPLACE, Action.COMPLETE])
@pytest.mark.parametrize("kind", ["nothing", "another", "a link to nowhere"])
def test_what_is_to_be_replaced_is_replaced(tmp_path, part, action, kind):
    path = tmp_path / "x"
    make(path, kind)
    take_name(part, str(path), transfer(action))
    assert path.read_bytes() == DATA


def test_what_is_gone_is_removed(tmp_path, part):
    remove(part)
    remove(part)
    assert not Path(part).exists()
    with pytest.raises(OSError, match="directory"):
        remove(str(tmp_path))
