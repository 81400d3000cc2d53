"""Sizes as text, and the logger of virt_s3."""

import logging
import uuid

import pytest

from s3bids.storage import format_bytes, get_custom_logger

KB, MB, GB, TB, PB = (1024**power for power in range(1, 6))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0.00 B"),
        (1, "1.00 B"),
        (1023, "1023.00 B"),
        (KB, "1.00 KB"),
        (1.5 * KB, "1.50 KB"),
        (MB - 1, "1.00 MB"),
        (5.11 * MB, "5.11 MB"),
        (3 * GB, "3.00 GB"),
        (2 * TB, "2.00 TB"),
        (PB, "1.00 PB"),
        (5000 * PB, "5000.00 PB"),
        (-1, "-1.00 B"),
        (-1.5 * KB, "-1.50 KB"),
        (-2 * GB, "-2.00 GB"),
    ],
)
def test_a_number_of_bytes_has_the_unit_that_fits(number, text):
    assert format_bytes(number) == text


@pytest.mark.parametrize("wrong", ["12", None, b"1", [1], 1j])
def test_what_is_no_number_is_refused(wrong):
    with pytest.raises(TypeError, match="number"):
        format_bytes(wrong)


@pytest.fixture
def name():
    name = f"test-{uuid.uuid4()}"
    yield name
    logging.getLogger(name).handlers.clear()


def test_a_logger_writes_to_stdout_once_however_often_it_is_asked_for(name, capsys):
    for _ in range(3):
        logger = get_custom_logger(name)
    logger.info("the message")
    logger.debug("not this")
    out, err = capsys.readouterr()
    assert out.count("the message") == 1
    assert name in out
    assert "not this" not in out
    assert err == ""
    assert len(logger.handlers) == 1


def test_the_level_is_set_each_time(name, capsys):
    get_custom_logger(name)
    get_custom_logger(name, logging.DEBUG).debug("now this")
    get_custom_logger(name, log_level=40).info("not this")
    assert "now this" in capsys.readouterr().out
    assert logging.getLogger(name).level == logging.ERROR


def test_the_default_name_is_the_documented_one():
    logger = get_custom_logger()
    assert (logger.name, logger.level) == ("VirtS3", logging.INFO)
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
