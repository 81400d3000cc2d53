import builtins
import sys
import types

import pytest
from tqdm import tqdm

from s3bids.transfer.progress import Bar, Ended, Finished, Received, Started, silent
from s3bids.transfer.report import Result, Status

DONE = Finished(Result("ds/x", "x", Status.FETCHED, 3))


class FakeBar:
    """Remember what a tqdm bar is told."""

    def __init__(self, **options):
        self.options = options
        self.bytes = 0
        self.texts = []
        self.is_closed = False

    def update(self, number):
        self.bytes += number

    def set_postfix_str(self, text, refresh=True):
        self.texts.append((text, refresh))

    def close(self):
        self.is_closed = True


@pytest.fixture
def made():
    return []


@pytest.fixture
def bar(made):
    def make(**options):
        made.append(FakeBar(**options))
        return made[-1]

    return Bar(make)


def test_bytes_run_over_the_planned_total(bar, made):
    for event in (Started(2, 10), Received(6), Received(-6), Received(6), DONE, Received(4), DONE):
        bar(event)
    [shown] = made
    assert shown.options == {"total": 10, "unit": "B", "unit_scale": True, "unit_divisor": 1024}
    assert shown.bytes == 10
    assert not shown.is_closed
    bar(Ended())
    assert shown.is_closed


def test_files_are_counted_and_the_last_one_shows_at_once(bar, made):
    for event in (Started(2, 10), DONE, DONE):
        bar(event)
    assert made[0].texts == [("0/2 files", False), ("1/2 files", False), ("2/2 files", True)]


def test_events_outside_a_run_show_nothing(bar, made):
    for event in (Received(3), DONE, Ended()):
        bar(event)
    assert made == []


def test_a_bar_serves_one_run_after_the_other(bar, made):
    for event in (Started(1, 3), Received(3), DONE, Ended(), Ended(), Started(2, 5), DONE):
        bar(event)
    first, second = made
    assert first.is_closed
    assert not second.is_closed
    assert second.texts == [("0/2 files", False), ("1/2 files", False)]


def test_a_real_bar_goes_to_stderr_and_reaches_its_total(capsys):
    bar = Bar()
    for event in (Started(1, 2048), Received(2048), DONE, Ended()):
        bar(event)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2.00k/2.00k" in shown.err
    assert "1/1 files" in shown.err


def test_a_notebook_without_widgets_gets_the_plain_bar_without_a_warning(monkeypatch, capsys):
    def refuse(**options):
        raise ImportError("IProgress not found. Please update jupyter and ipywidgets.")

    module = types.ModuleType("tqdm.auto")
    module.tqdm = refuse
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    bar = Bar()
    for event in (Started(1, 2048), Received(2048), Ended()):
        bar(event)
    assert "2.00k/2.00k" in capsys.readouterr().err


def test_no_bar_is_left_behind():
    bar = Bar()
    bar(Started(1, 3))
    bar(Ended())
    assert list(getattr(tqdm, "_instances", ())) == []


def test_silence_prints_nothing(monkeypatch, capsys):
    monkeypatch.setattr(builtins, "print", pytest.fail)
    for event in (Started(1, 3), Received(3), DONE, Ended()):
        assert silent(event) is None
    assert capsys.readouterr() == ("", "")
