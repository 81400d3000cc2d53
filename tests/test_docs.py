"""What docs/choosing.md shows is what happens."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = Path(sys.executable).with_name("s3bids")
TEXT = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder in which the demo was made, with the file of keys that one command reads."""
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run([PROGRAM, "demo", "demo"], cwd=folder, capture_output=True, check=True)
    (folder / "keys.txt").write_text("sub-01/anat/sub-01_T1w.nii.gz\n")
    return folder


@pytest.fixture(scope="module")
def ran(demo):
    """Run the commands of the page in their order, since some need what others made: command -> outcome."""
    study = f"file://{demo}/demo/source/demo-bucket/study"
    outcomes = {}
    for command in COMMANDS:
        words = shlex.split(command.replace("$STUDY", study))
        outcomes[command] = subprocess.run([PROGRAM, *words[1:]], cwd=demo, capture_output=True, text=True, check=False)
    return outcomes


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_does_what_it_should(command, ran):
    outcome = ran[command]
    assert outcome.returncode == 0, outcome.stderr
    if command.startswith("s3bids download"):
        assert "complete: " in outcome.stdout
    assert outcome.stdout


def test_the_examples_in_python_print_what_is_shown(demo):
    blocks = re.findall(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", TEXT, flags=re.DOTALL)
    code = "".join(block for block, _ in blocks)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=demo)
    assert done.stdout.splitlines() == [line.strip() for _, shown in blocks for line in shown.splitlines()]
    assert len(blocks) == 2


def test_the_page_shows_every_option_of_choosing():
    from s3bids.cli.options import ASKED

    names = {name.replace("_", "-") for name in ASKED} - {"keys"} | {
        "keys-from",
        "filter",
        "bids-filter-file",
        "subjects-file",
    }
    assert [name for name in sorted(names) if f"--{name}" not in TEXT] == []
