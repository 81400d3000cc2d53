"""What README shows is what happens."""

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
    [shown] = re.findall(r"`make demo` tells at its end, before what to try next:\n\n((?:    .*\n)+)", TEXT)
    for line in shown.splitlines():
        assert without_times(line.strip()) in without_times(demo)


def test_the_python_example_prints_what_is_shown(demo, tmp_path):
    [code] = re.findall(r"```python\n(.*?)```\n\n", TEXT, flags=re.DOTALL)
    [shown] = re.findall(r"```python\n.*?```\n\n((?:    [^\n]*\n)+)", TEXT, flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == [line.strip() for line in shown.splitlines()]


def test_the_commands_shown_have_the_options_shown():
    [block] = re.findall(r"```console\n(.*?)```", TEXT, flags=re.DOTALL)
    for line in block.splitlines():
        words = line.partition("#")[0].split()
        done = subprocess.run([PROGRAM, words[2], "--help"], capture_output=True, text=True, check=True)
        for option in (word for word in words if word.startswith("--")):
            assert option in done.stdout


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)]+)\)", TEXT))))
def test_every_link_leads_to_a_file(target):
    assert (ROOT / target).is_file()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^    make ([a-z-]+)", TEXT, flags=re.MULTILINE))))
def test_every_make_target_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
