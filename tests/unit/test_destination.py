import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from s3bids.errors import DestinationError
from s3bids.storage.files import free_part_name, part_name
from s3bids.transfer.destination import FileState, check_directory, remove_abandoned, scan
from s3bids.transfer.manifest import ManifestWriter, Record
from s3bids.transfer.partial import Version, trailer


def never(index, file, record):
    return False


def always(index, file, record):
    return True


@pytest.fixture
def dead_part():
    """The name of an unfinished file whose process has ended."""
    code = "from s3bids.storage.files import free_part_name, part_name; print(part_name())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def write(path, data=b"data"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_files_that_are_there_are_seen_with_size_and_time(tmp_path):
    path = write(tmp_path / "a" / "x")
    write(tmp_path / "a" / "unasked")
    found = scan(tmp_path, ["a/x", "a/y", "b/x", "z"], never)
    assert found.files == {"a/x": FileState(4, path.stat().st_mtime_ns)}
    assert found.records == {}


def test_a_directory_that_does_not_exist_holds_nothing(tmp_path):
    found = scan(tmp_path / "nowhere", ["a/x"], always)
    assert (found.files, found.records, found.abandoned) == ({}, {}, ())
    assert list(tmp_path.iterdir()) == []


def test_what_the_manifest_says_comes_along(tmp_path):
    record = Record("a/x", "s3://b", "ds/a/x", 4, None, None, 0, "size", time=1.0)
    with ManifestWriter(tmp_path, "run", now=lambda: 1.0) as manifest:
        manifest.add(record)
    assert scan(tmp_path, ["a/x"], never).records == {"a/x": record}


def test_a_file_is_hashed_where_that_is_asked_for(tmp_path):
    for name in ("a", "b", "c"):
        write(tmp_path / name, name.encode())
    asked = []

    def second(index, file, record):
        asked.append((index, file.size, record))
        return index == 1

    found = scan(tmp_path, ["a", "b", "c"], second)
    assert asked == [(0, 1, None), (1, 1, None), (2, 1, None)]
    expected = {"a": None, "b": hashlib.md5(b"b", usedforsecurity=False).hexdigest(), "c": None}
    assert {name: file.md5 for name, file in found.files.items()} == expected


def test_directories_and_links_are_what_they_are(tmp_path):
    (tmp_path / "directory").mkdir()
    write(tmp_path / "file")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("missing")
    (tmp_path / "to_directory").symlink_to("directory")
    files = scan(tmp_path, ["directory", "link", "nowhere", "to_directory"], never).files
    assert {name: (file.is_directory, file.size) for name, file in files.items() if name != "directory"} == {
        "link": (False, 4),
        "nowhere": (False, -1),
        "to_directory": (True, files["to_directory"].size),
    }
    assert files["directory"].is_directory


def test_a_file_in_the_place_of_a_folder_hides_what_would_be_below(tmp_path):
    write(tmp_path / "a")
    assert scan(tmp_path, ["a/x", "a/b/y"], always).files == {}


def test_a_name_that_is_too_long_for_the_disk_is_not_there(tmp_path):
    long = "x" * 300
    assert scan(tmp_path, [long, f"{long}/x", "a"], always).files == {}


def test_targets_that_may_lead_out_are_not_looked_at(tmp_path):
    write(tmp_path / "outside")
    directory = tmp_path / "directory"
    write(directory / "x")
    found = scan(directory, ["../outside", "x", str(tmp_path / "outside"), "a\0b"], always, leave_out={0, 2, 3})
    assert set(found.files) == {"x"}


def test_a_file_that_cannot_be_read_counts_as_unknown(tmp_path):
    """Its hash stays unknown, so it is never taken for the object's; the other files are looked at all the same."""
    write(tmp_path / "x")
    (tmp_path / "directory").mkdir()
    found = scan(tmp_path, ["directory", "x"], always)
    assert found.files["directory"].md5 is None
    assert found.files["x"].md5 is not None


def test_unfinished_files_of_the_dead_are_noted_and_those_of_the_living_are_not(tmp_path, dead_part):
    dead = [write(tmp_path / dead_part), write(tmp_path / "a" / dead_part)]
    living = write(tmp_path / "a" / part_name())
    own = write(tmp_path / "a" / "own.part")
    elsewhere = write(tmp_path / "unasked" / dead_part)
    found = scan(tmp_path, ["x", "a/x", "a/y"], never)
    assert sorted(found.abandoned) == sorted(map(str, dead))
    remove_abandoned(found.abandoned)
    remove_abandoned(found.abandoned)
    assert [path.exists() for path in (*dead, living, own, elsewhere)] == [False, False, True, True, True]


def leave(folder, name, there, *, key="ds/x", size=25):
    """Leave an unfinished file of an object of 25 bytes, which says so."""
    version = Version("s3://bucket", key, size, None)
    return write(folder / name, bytes(size) + trailer(version, 10, there))


def test_of_the_unfinished_files_of_one_object_the_fullest_is_gone_on_with(tmp_path):
    names = [free_part_name() for _ in range(5)]
    paths = [
        leave(tmp_path, name, there) for name, there in zip(names, (b"\1\0\0", b"\1\1\0", b"\1\0\1"), strict=False)
    ]
    other = leave(tmp_path / "a", names[3], b"\0\0\1", key="ds/y")
    empty = leave(tmp_path, names[4], b"\0\0\0", key="ds/z")
    found = scan(tmp_path, ["x", "a/y"], never)
    assert sorted(partial.path for partial in found.partials) == sorted(map(str, (paths[1], other)))
    assert sorted(found.abandoned) == sorted(map(str, (paths[0], paths[2], empty)))


def test_what_lies_under_the_name_of_an_unfinished_file_does_not_stop_a_scan(tmp_path):
    """Nobody knows who put it there."""
    hostile = json.dumps({"location": ["s3://bucket"], "key": {}, "size": 0, "etag": [], "piece_bytes": 1}).encode()
    write(tmp_path / free_part_name(), hostile + len(hostile).to_bytes(4, "big") + b"s3bids-1")
    write(tmp_path / free_part_name(), b"\xff" * 100)
    (tmp_path / free_part_name()).mkdir()
    (tmp_path / free_part_name()).symlink_to("nowhere")
    found = scan(tmp_path, ["x"], never)
    assert len(found.abandoned) == 4
    assert found.partials == ()
    remove_abandoned(found.abandoned)
    assert [path.is_dir() for path in tmp_path.iterdir()] == [True]


def test_an_unfinished_file_that_a_living_process_writes_is_nobody_elses(tmp_path):
    leave(tmp_path, part_name(), b"\1\1\1")
    found = scan(tmp_path, ["x"], never)
    assert (found.partials, found.abandoned) == ((), ())


def test_a_directory_is_made_where_it_can_be(tmp_path):
    check_directory(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []
    check_directory(tmp_path / "a" / "b")


@pytest.mark.parametrize("name", ["file", "file/below", "file/far/below"])
def test_a_file_in_the_way_is_named_and_stays(tmp_path, name):
    write(tmp_path / "file")
    with pytest.raises(DestinationError, match=r"cannot download to .*file"):
        check_directory(tmp_path / name)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"data"


def test_a_name_that_no_directory_can_have_leaves_nothing(tmp_path):
    with pytest.raises(DestinationError, match="too long"):
        check_directory(tmp_path / "a" / ("x" * 300) / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_written_is_named():
    with pytest.raises(DestinationError, match="cannot be written"):
        check_directory(Path("/proc/s3bids-nowhere/x"))
