"""The demo ends as README shows; tests/test_docs.py runs the blocks of README with those of the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = Path(sys.executable).with_name("s3bids")
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """Run what `make demo` runs, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return subprocess.run([PROGRAM, "demo", "demo"], capture_output=True, text=True, check=True).stdout


def without_times(text):
    return re.sub(r"in \d+\.\d+ s", "in T", text)


def test_the_demo_ends_as_shown(demo):
    [shown] = re.findall(
        r"`make demo` tells at its end, before what to try next:\n\n```text\n(.*?)```", TEXT, flags=re.DOTALL
    )
    for line in shown.splitlines():
        assert without_times(line.strip()) in without_times(demo)
