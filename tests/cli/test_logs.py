"""What a log holds when much goes wrong, when many threads write, and when names try to be lines of it."""

import json
import logging
import threading

import pytest

from s3bids.cli.logs import open_log

EVIL = 'sub-1/x\n2026-01-01 00:00:00,000 ERROR s3bids: forged "\\\x1b[31m\u2028\r\x00\ud800'


@pytest.fixture
def logs(tmp_path):
    """A logger that writes a log for people and one for programs, and their paths."""
    known = logging.getLogger("s3bids")
    before, level = list(known.handlers), known.level
    paths = tmp_path / "log", tmp_path / "log.jsonl"
    open_log(str(paths[0]))
    open_log(str(paths[1]), as_json=True)
    # What pytest hears it sends between processes, which half a character cannot survive: this logger nobody hears.
    logger = logging.Logger("s3bids")  # noqa: LOG001 - one that no other code can get
    for handler in set(known.handlers) - set(before):
        known.removeHandler(handler)
        logger.addHandler(handler)
    known.setLevel(level)
    yield logger, *paths
    for handler in logger.handlers:
        handler.close()


def fail(logger, key):
    try:
        raise ValueError(f"cannot read {key}")
    except ValueError as error:
        logger.debug("transfer of %s failed", key, exc_info=error)


def test_every_line_is_an_object_however_many_threads_write_whatever_names(logs):
    logger, _, path = logs
    threads = [threading.Thread(target=lambda: [fail(logger, EVIL) for _ in range(100)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    assert [line["message"] for line in lines].count(f"transfer of {EVIL} failed") == 800


def test_no_name_makes_a_line_of_its_own_in_the_log_for_people(logs):
    logger, path, _ = logs
    logger.warning("%s", EVIL)
    fail(logger, EVIL)
    text = path.read_text()
    assert "\n2026-01-01" not in text
    assert not {"\x1b", "\r", "\0", "\u2028"} & set(text)
    assert "Traceback" in text


def test_ten_thousand_failures_leave_logs_that_can_be_read(logs):
    """The first say where it went wrong, and all of them what it was of."""
    logger, *paths = logs
    for number in range(10_000):
        fail(logger, f"sub-{number:05}/anat/sub-{number:05}_T1w.nii.gz")
    for path in paths:
        assert path.stat().st_size < 3_000_000
        text = path.read_text()
        assert text.count("Traceback") == 20
        assert all(f"transfer of sub-{number:05}/" in text for number in (0, 20, 9_999))
        assert "ValueError, as others before" in text
