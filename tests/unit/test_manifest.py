import json
import os
import re
import threading

import pytest

from s3bids.errors import DestinationError, ObjectNotFoundError
from s3bids.transfer.manifest import (
    STATE_FOLDER,
    FailedRecord,
    ManifestWriter,
    Record,
    is_safe,
    read_failures,
    read_manifest,
    read_records,
    require_manifest,
)

RECORD = Record("sub-1/x", "s3://bucket", "ds/sub-1/x", 3, "abc", 5.5, 1_700_000_000_123_456_789, "md5", "abc", None)


def clock(*times):
    left = iter(times)
    return lambda: next(left)


@pytest.fixture
def lines(tmp_path):
    """Write raw lines into one manifest, beside a good one, and read what is known."""

    def write(*raw, name="raw"):
        folder = tmp_path / STATE_FOLDER
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.jsonl").write_bytes(b"".join(raw))
        return read_records(tmp_path)

    return write


def line(**changes):
    return json.dumps({"event": "file", **RECORD._replace(time=1.0)._asdict(), **changes}).encode() + b"\n"


def test_what_is_written_is_read(tmp_path):
    others = [
        RECORD._replace(target="é \n\"'\\", etag=None, modified=None, md5=None, check="size"),
        RECORD._replace(target="big", size=2**53 + 1, sha256="f" * 64, modified=1234567890.123456),
    ]
    with ManifestWriter(tmp_path, "run", now=clock(1.0, 2.0, 3.0)) as manifest:
        for record in (RECORD, *others):
            manifest.add(record)
    found = read_records(tmp_path)
    assert found == {
        record.target: record._replace(time=float(time)) for time, record in enumerate((RECORD, *others), start=1)
    }


def test_a_writer_that_writes_nothing_leaves_nothing(tmp_path):
    with ManifestWriter(tmp_path, "run", now=clock()):
        pass
    assert list(tmp_path.iterdir()) == []
    assert read_records(tmp_path) == {}


def test_a_failure_is_kept_for_a_retry_and_is_no_record(tmp_path):
    with ManifestWriter(tmp_path, "run", now=clock(7.0)) as manifest:
        manifest.fail("sub-1/x", "ds/sub-1/x", "no answer", 5)
    [text] = (tmp_path / STATE_FOLDER / "run.jsonl").read_text().splitlines()
    assert json.loads(text) == {
        "event": "failed",
        "target": "sub-1/x",
        "key": "ds/sub-1/x",
        "reason": "no answer",
        "attempts": 5,
        "time": 7.0,
    }
    assert read_records(tmp_path) == {}


def test_a_writer_appends_to_its_file(tmp_path):
    for time in (1.0, 2.0):
        with ManifestWriter(tmp_path, "run", now=clock(time)) as manifest:
            manifest.add(RECORD._replace(target=str(time)))
    assert set(read_records(tmp_path)) == {"1.0", "2.0"}


def test_the_latest_record_wins_whichever_file_it_is_in(tmp_path):
    for name, time, size in (("b", 2.0, 22), ("a", 3.0, 33), ("c", 1.0, 11)):
        with ManifestWriter(tmp_path, name, now=clock(time)) as manifest:
            manifest.add(RECORD._replace(size=size))
    assert read_records(tmp_path)["sub-1/x"].size == 33


def test_of_one_moment_the_later_line_wins(tmp_path):
    with ManifestWriter(tmp_path, "run", now=lambda: 1.0) as manifest:
        manifest.add(RECORD._replace(size=1))
        manifest.add(RECORD._replace(size=2))
    assert read_records(tmp_path)["sub-1/x"].size == 2


def test_many_writers_at_once_lose_nothing(tmp_path):
    """Two of them even share a file, as threads of one process may."""

    def write(number):
        with ManifestWriter(tmp_path, f"run-{number // 2}", now=lambda: 1.0) as manifest:
            for index in range(100):
                manifest.add(RECORD._replace(target=f"{number}/{index}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_records(tmp_path)) == 800
    assert len(list((tmp_path / STATE_FOLDER).iterdir())) == 4


@pytest.mark.parametrize("length", range(1, len(line()) - 1, 7))
def test_a_line_that_was_cut_short_is_passed_over(lines, length):
    assert set(lines(line(target="before"), line()[:length])) == {"before"}


def test_a_cut_line_of_one_writer_hides_nothing_of_another(lines):
    lines(line(target="one")[:50], name="a")
    assert set(lines(line(target="two"), name="b")) == {"two"}


def test_a_full_disk_costs_the_line_and_nothing_else(tmp_path, monkeypatch, caplog):
    """It takes a part of a line, and what follows must not be glued to that."""
    real = os.write
    with ManifestWriter(tmp_path, "run", now=lambda: 1.0) as manifest:
        manifest.add(RECORD._replace(target="first"))
        manifest.flush()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda file, data: real(file, data[:20]))
            for target in ("second", "third"):
                manifest.add(RECORD._replace(target=target))
                manifest.flush()
        manifest.add(RECORD._replace(target="fourth"))
    assert set(read_records(tmp_path)) == {"first", "fourth"}
    [warning] = caplog.records
    assert "No space left on device" in warning.getMessage()
    assert "run.jsonl" in warning.getMessage()


def test_a_manifest_that_cannot_be_made_is_warned_of_once(tmp_path, caplog):
    (tmp_path / STATE_FOLDER).write_text("somebody's own")
    with ManifestWriter(tmp_path, "run", now=lambda: 1.0) as manifest:
        manifest.add(RECORD)
        manifest.fail("a", "ds/a", "no answer", 5)
    assert len(caplog.records) == 1
    assert (tmp_path / STATE_FOLDER).read_text() == "somebody's own"


@pytest.mark.parametrize(
    "hostile",
    [
        b"\n",
        b"{}\n",
        b"null\n",
        b"[]\n",
        b'"file"\n',
        b"not json\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"event": "file", "size": ' + b"9" * 10_000 + b"}\n",
        line(event="something new"),
        line(event=["file"]),
        line(target="../outside"),
        line(target="a/../../outside"),
        line(target="/etc/passwd"),
        line(target=""),
        line(target="a//b"),
        line(target="./a"),
        line(target="a\0b"),
        line(target=5),
        line(target=None),
        line(target=["a"]),
        line(size="3"),
        line(size=3.5),
        line(size=None),
        line(size=True),
        line(size=-1),
        line(mtime_ns="now"),
        line(mtime_ns=None),
        line(time="later"),
        line(time=None),
        line(time=[1]),
        line(location=1),
        line(key={}),
        line(etag=1),
        line(md5=["x"]),
        line(sha256=1),
        line(check=1),
        line(modified="yesterday"),
        line(time=float("nan")),
        line(time=10**400),
        line(key="\ud800"),
        line(target="\udcff"),
        line(location="\ud800"),
    ],
)
def test_a_hostile_line_is_passed_over(lines, hostile):
    found = lines(line(target="before"), hostile, line(target="after", time=2.0))
    assert set(found) == {"before", "after"}


@pytest.mark.parametrize("field", ["target", "location", "key", "size", "mtime_ns", "check", "time"])
def test_a_line_without_what_is_needed_is_passed_over(lines, field):
    entry = json.loads(line())
    del entry[field]
    assert lines(json.dumps(entry).encode() + b"\n") == {}


def test_a_line_of_a_later_version_is_read_as_far_as_it_is_known(lines):
    found = lines(line(crc64nvme="abc", writer={"version": "9"}))
    assert found == {"sub-1/x": RECORD._replace(time=1.0)}


def test_whole_numbers_may_stand_for_times(lines):
    """JSON of other writers does not tell 1 from 1.0."""
    assert lines(line(time=1, modified=5))["sub-1/x"].modified == 5


@pytest.mark.parametrize("name", ["notes.txt", "x.json", "x.jsonl.part"])
def test_other_files_in_the_folder_are_left_alone(tmp_path, lines, name):
    lines(line())
    (tmp_path / STATE_FOLDER / name).write_bytes(line(target="other"))
    assert set(read_records(tmp_path)) == {"sub-1/x"}


def test_a_manifest_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / STATE_FOLDER / "x.jsonl").mkdir(parents=True)
    with pytest.raises(DestinationError, match=r"x\.jsonl"):
        read_records(tmp_path)


def test_a_missing_manifest_is_an_error_only_where_one_is_needed(tmp_path):
    assert read_records(tmp_path) == {}
    assert read_records(tmp_path / "nowhere") == {}
    with pytest.raises(ObjectNotFoundError, match="has no manifest"):
        read_records(tmp_path, required=True)
    (tmp_path / STATE_FOLDER).mkdir()
    with pytest.raises(ObjectNotFoundError, match="download the study there first"):
        read_records(tmp_path, required=True)


@pytest.mark.parametrize(
    ("target", "expected"),
    [("a", True), ("a/b", True), ("..a/b", True), ("", False), ("/a", False), ("a/", False), ("a/../b", False)],
)
def test_a_safe_path_stays_inside(target, expected):
    assert is_safe(target) is expected


# Failures


def failure_line(**changes):
    entry = {
        "event": "failed",
        "target": "sub-1/x",
        "key": "ds/sub-1/x",
        "reason": "denied",
        "attempts": 2,
        "time": 1.0,
    }
    return json.dumps({**entry, **changes}).encode() + b"\n"


@pytest.fixture
def failures(lines, tmp_path):
    """Write raw lines into manifests, one after the other, and read which targets have failed."""

    def write(*files):
        for number, raw in enumerate(files):
            lines(*raw, name=f"m{number}")
        return read_failures(tmp_path)

    return write


def test_a_failure_is_read_as_it_was_written(tmp_path):
    with ManifestWriter(tmp_path, "run", now=clock(7.0)) as manifest:
        manifest.fail("sub-1/x", "ds/sub-1/x", "no answer", 5)
    assert read_failures(tmp_path) == {"sub-1/x": FailedRecord("sub-1/x", "ds/sub-1/x", "no answer", 5, 7.0)}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([[failure_line()]], {"sub-1/x"}),
        ([[failure_line(), line(time=2.0)]], set()),
        ([[failure_line()], [line(time=2.0)]], set()),
        ([[line(time=2.0)], [failure_line()]], set()),
        ([[failure_line(time=3.0)], [line(time=2.0)]], {"sub-1/x"}),
        ([[line(time=2.0)], [failure_line(time=3.0)]], {"sub-1/x"}),
        ([[line(time=2.0), failure_line(time=2.0)]], {"sub-1/x"}),
        ([[failure_line(time=2.0), line(time=2.0)]], set()),
        ([[failure_line(), line(time=2.0), failure_line(time=3.0)]], {"sub-1/x"}),
        ([[failure_line(time=3.0)], [failure_line(time=1.0)], [line(time=2.0)]], {"sub-1/x"}),
        ([[failure_line(), line(target="other", time=2.0)]], {"sub-1/x"}),
        ([[failure_line(target="a"), failure_line(target="b"), line(target="a", time=2)]], {"b"}),
    ],
)
def test_the_latest_event_of_a_target_tells_whether_it_failed(failures, files, expected):
    assert set(failures(*files)) == expected


def test_the_latest_of_several_failures_is_the_one(failures):
    found = failures([failure_line(time=3.0, reason="late")], [failure_line(time=2.0, reason="early")])
    assert found["sub-1/x"].reason == "late"


@pytest.mark.parametrize(
    "hostile",
    [
        b"{}\n",
        failure_line()[:30] + b"\n",
        failure_line(event="Failed"),
        failure_line(target=None),
        failure_line(target=["a"]),
        failure_line(key=5),
        failure_line(key="\ud800"),
        failure_line(reason=None),
        failure_line(attempts="2"),
        failure_line(attempts=True),
        failure_line(time="now"),
        failure_line(time=float("inf")),
        failure_line(time=10**400),
    ],
)
def test_a_hostile_failure_is_passed_over(failures, hostile):
    assert set(failures([failure_line(target="before"), hostile, failure_line(target="after")])) == {"before", "after"}


def test_the_failure_of_a_refused_key_is_read_as_it_is(failures):
    """It fails for good; whoever asks has to hear of it, and nobody may use it as a path."""
    assert set(failures([failure_line(target="a/../../evil")])) == {"a/../../evil"}


def test_without_a_manifest_nothing_failed(tmp_path):
    assert read_failures(tmp_path) == read_failures(tmp_path / "nowhere") == {}
    with pytest.raises(ObjectNotFoundError, match=r"cannot do this to .*: it has no manifest"):
        require_manifest(tmp_path, "do this to")


def test_a_manifest_that_lies_one_level_deeper_is_named(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / ".s3bids").mkdir(parents=True)
    (tmp_path / "two" / ".s3bids" / "a.jsonl").touch()
    with pytest.raises(ObjectNotFoundError, match=rf"; did you mean {re.escape(str(tmp_path / 'two'))}\?$"):
        require_manifest(tmp_path, "do this to")


# Files that we made ourselves


def test_a_file_of_our_own_making_is_noted(tmp_path):
    with ManifestWriter(tmp_path, "w", now=lambda: 1.0) as writer:
        for target in ("a.json", "b.json"):
            writer.note("made", {"target": target})
    assert read_manifest(tmp_path).made == {"a.json", "b.json"}
    assert read_records(tmp_path) == read_failures(tmp_path) == {}


def test_a_hostile_note_is_passed_over(lines, tmp_path):
    lines(b'{"event": "made"}\n', b'{"event": "made", "target": 5}\n', b'{"event": "made", "target": "x"}\n')
    assert read_manifest(tmp_path).made == {"x"}
