import os
import re
import stat
import subprocess
import sys
import threading

import pytest

from s3bids.errors import KeyRefusedError
from s3bids.storage import files
from s3bids.storage.files import (
    Together,
    atomic_file,
    folder_files,
    is_abandoned,
    is_part,
    make_parents,
    part_name,
    remove_empty,
    upload_with,
)


@pytest.fixture
def umask():
    """Set the umask of this process, and put it back."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class BoomError(Exception):
    pass


def test_a_file_takes_its_name_at_the_end(tmp_path):
    target = tmp_path / "a" / "b" / "x"
    with atomic_file(target) as file:
        file.write(b"con")
        [name] = os.listdir(target.parent)
        assert is_part(name)
        file.write(b"tent")
    assert target.read_bytes() == b"content"
    assert tree(tmp_path) == ["a", "a/b", "a/b/x"]


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with atomic_file(str(target)) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("error", [BoomError, OSError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_failure_leaves_nothing(tmp_path, error):
    with pytest.raises(error), atomic_file(tmp_path / "a" / "b" / "x") as file:
        file.write(b"con")
        raise error
    assert tree(tmp_path) == []


def test_a_failure_leaves_the_old_file_and_directories_that_were_there(tmp_path):
    target = tmp_path / "a" / "x"
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(BoomError), atomic_file(target):
        raise BoomError
    assert tree(tmp_path) == ["a", "a/x"]
    assert target.read_bytes() == b"old"


def test_a_failure_leaves_what_others_put_beside_it(tmp_path):
    with pytest.raises(BoomError), atomic_file(tmp_path / "a" / "b" / "x"):
        (tmp_path / "a" / "own").write_bytes(b"own")
        raise BoomError
    assert tree(tmp_path) == ["a", "a/own"]


def test_a_directory_of_that_name_is_named_and_stays(tmp_path):
    (tmp_path / "x" / "y").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match="a directory has that name"), atomic_file(tmp_path / "x"):
        pytest.fail("nothing is to be written")
    assert tree(tmp_path) == ["x", "x/y"]


def test_a_file_in_the_way_of_a_directory_leaves_nothing(tmp_path):
    (tmp_path / "a").write_bytes(b"own")
    with pytest.raises(OSError, match="a"), atomic_file(tmp_path / "a" / "b" / "x"):
        pytest.fail("nothing is to be written")
    assert (tmp_path / "a").read_bytes() == b"own"


@pytest.mark.parametrize(
    ("mask", "file_mode", "directory_mode"), [(0o007, 0o660, 0o770), (0o022, 0o644, 0o755), (0o077, 0o600, 0o700)]
)
def test_modes_follow_the_umask(tmp_path, umask, mask, file_mode, directory_mode):
    """Not the 0600 of a temporary file: a group that shares a disk must be able to read the copy."""
    umask(mask)
    with atomic_file(tmp_path / "a" / "x") as file:
        file.write(b"x")
    assert mode(tmp_path / "a" / "x") == file_mode
    assert mode(tmp_path / "a") == directory_mode


def test_a_replaced_file_has_the_mode_of_a_new_one(tmp_path, umask):
    umask(0o007)
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "x").chmod(0o400)
    with atomic_file(tmp_path / "x") as file:
        file.write(b"new")
    assert mode(tmp_path / "x") == 0o660


def test_directories_below_a_group_directory_keep_its_mark(tmp_path, umask):
    """The set-group-id bit, by which a shared directory passes its group on."""
    umask(0o007)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    with atomic_file(shared / "a" / "b" / "x") as file:
        file.write(b"x")
    assert [mode(shared / name) for name in ("a", "a/b")] == [0o2770, 0o2770]
    assert (shared / "a" / "b" / "x").stat().st_gid == shared.stat().st_gid


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"own")
    (tmp_path / "x").symlink_to("elsewhere")
    with atomic_file(tmp_path / "x") as file:
        file.write(b"new")
    assert (tmp_path / "elsewhere").read_bytes() == b"own"
    assert not (tmp_path / "x").is_symlink()


def test_writers_of_one_name_do_not_meet(tmp_path):
    barrier = threading.Barrier(8)

    def write(number):
        with atomic_file(tmp_path / "x") as file:
            barrier.wait(30)
            for _ in range(100):
                file.write(bytes([number]) * 1000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    data = (tmp_path / "x").read_bytes()
    assert len(data) == 100_000
    assert len(set(data)) == 1
    assert tree(tmp_path) == ["x"]


def test_part_names_are_dot_named_short_and_never_alike():
    names = {part_name() for _ in range(1000)}
    assert len(names) == 1000
    for name in names:
        assert is_part(name)
        assert re.fullmatch(r"\.[0-9a-z.-]{1,80}", name)
        assert f"-{os.getpid()}-" in name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x.part",
        ".part",
        "sub-01_T1w.nii.gz",
        ".s3bids",
        ".s3bids-x.part",
        ".s3bids-0123abcd-4711-0-89abcdef.part.gz",
        "x.s3bids-0123abcd-4711-0-89abcdef.part",
        ".s3bids-0123abcd-4711-0-89abcdef.part\n",
        ".s3bids-0123ABCD-4711-0-89abcdef.part",
    ],
)
def test_the_parts_of_others_are_not_ours(name):
    assert not is_part(name)
    assert not is_abandoned(name)


def test_a_part_is_abandoned_when_its_process_is_gone():
    code = "from s3bids.storage.files import part_name; print(part_name(), flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        name = process.stdout.readline().strip()
        assert is_part(name)
        assert not is_abandoned(name), "it is still running"
        process.communicate("\n")
    assert process.returncode == 0
    assert is_abandoned(name)


def test_a_part_of_this_process_is_not_abandoned():
    assert not is_abandoned(part_name())


def test_of_another_computer_nothing_is_known(monkeypatch):
    name = part_name().replace(f"-{os.getpid()}-", "-999999999-")
    assert is_abandoned(name)
    monkeypatch.setattr(files, "_host", lambda: "ffffffff")
    assert not is_abandoned(name)


def test_a_process_of_somebody_else_is_alive(monkeypatch):
    def refuse(pid, signal):
        raise PermissionError

    monkeypatch.setattr(files.os, "kill", refuse)
    assert not is_abandoned(part_name().replace(f"-{os.getpid()}-", "-1-"))


def test_a_number_that_no_process_has_is_gone():
    assert is_abandoned(part_name().replace(f"-{os.getpid()}-", f"-{10**30}-"))


def test_parents_that_were_made_are_told_the_deepest_first(tmp_path):
    made = make_parents(tmp_path / "a" / "b" / "x")
    assert made == [tmp_path / "a" / "b", tmp_path / "a"]
    assert make_parents(tmp_path / "a" / "b" / "y") == []


def test_parents_that_cannot_be_made_are_not_made_in_part(tmp_path):
    with pytest.raises(OSError, match="too long"):
        make_parents(tmp_path / "a" / ("x" * 300) / "x")
    with pytest.raises(OSError, match="too long"), atomic_file(tmp_path / "a" / ("x" * 300) / "x"):
        pytest.fail("nothing is to be written")
    assert tree(tmp_path) == []


def test_only_empty_directories_are_removed(tmp_path):
    made = make_parents(tmp_path / "a" / "b" / "c" / "x")
    (tmp_path / "a" / "own").write_bytes(b"")
    remove_empty(made)
    remove_empty(made)
    assert tree(tmp_path) == ["a", "a/own"]


def test_the_files_of_a_folder_without_what_nobody_wants(tmp_path):
    for name in ("b", "a/x", "a/.DS_Store", "__MACOSX/x", ".hidden", f"a/{part_name()}"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "empty").mkdir()
    assert folder_files(tmp_path, (".DS_Store", "__MACOSX")) == [
        (name, tmp_path / name) for name in (".hidden", "a/x", "b")
    ]


def test_a_folder_with_a_name_that_is_no_text_is_refused_before_the_first_upload(tmp_path):
    for name in ("a", os.fsdecode(b"z\xff")):
        (tmp_path / name).write_bytes(b"1")
    uploaded = []
    with pytest.raises(KeyRefusedError, match="Unicode"):
        upload_with(lambda *given: uploaded.append(given), tmp_path, "ds", ())
    assert uploaded == []


def test_small_files_go_together_and_large_ones_one_by_one(tmp_path):
    for name in ("a", "b", "c", "large-1", "large-2"):
        (tmp_path / name).write_bytes(b"1" * (10 if name.startswith("large") else 1))
    meeting, uploaded = threading.Barrier(3), []

    def upload(path, key, progress):
        if len(path.name) == 1:
            meeting.wait(60)
        uploaded.append((key, threading.current_thread() is threading.main_thread()))
        return key

    keys = upload_with(upload, tmp_path, "ds", (), together=Together(workers=3, below=5))
    assert keys == ["ds/a", "ds/b", "ds/c", "ds/large-1", "ds/large-2"]
    assert sorted(uploaded[:3]) == [("ds/a", False), ("ds/b", False), ("ds/c", False)]
    assert uploaded[3:] == [("ds/large-1", True), ("ds/large-2", True)]
