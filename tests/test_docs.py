"""What the pages in docs/ show is what happens; docs/storage.md, run on every backend, has a file of its own."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PROGRAM = Path(sys.executable).with_name("s3bids")
#: The pages whose examples are about the demo, with the number of those in Python.
EXAMPLES = {"choosing": 2, "reading-without-downloading": 6}


def text_of(page):
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


COMMANDS = [
    pytest.param(page, line.removeprefix("$ "), id=f"{page}: {line}")
    for page in EXAMPLES
    for block in re.findall(r"```console\n(.*?)```", text_of(page), re.DOTALL)
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
    """Run the commands of the pages in their order, since some need what others made: command -> outcome."""
    study = f"file://{demo}/demo/source/demo-bucket/study"
    outcomes = {}
    for _, command in (case.values for case in COMMANDS):
        words = shlex.split(command.replace("$STUDY", study))
        outcomes[command] = subprocess.run([PROGRAM, *words[1:]], cwd=demo, capture_output=True, text=True, check=False)
    return outcomes


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_of_a_page_does_what_it_should(page, command, ran):
    del page
    outcome = ran[command]
    assert outcome.returncode == 0, outcome.stderr
    if command.startswith("s3bids download"):
        assert "complete: " in outcome.stdout
    assert outcome.stdout


@pytest.mark.parametrize("page", EXAMPLES)
def test_the_examples_in_python_print_what_is_shown(page, demo):
    text = text_of(page)
    examples = re.findall(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", text, flags=re.DOTALL)
    code = "".join(block for block, _ in examples)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=demo)
    assert done.stdout.splitlines() == [line.strip() for _, shown in examples for line in shown.splitlines()]
    assert len(examples) == text.count("```python") == EXAMPLES[page]


def test_the_examples_of_every_page_are_run():
    pages = {page.stem for page in DOCS.glob("*.md") if "```python" in text_of(page.stem)}
    assert pages - {"storage"} == EXAMPLES.keys()


@pytest.mark.parametrize("page", sorted(page.stem for page in DOCS.glob("*.md")))
def test_every_link_of_a_page_leads_to_a_file(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", text_of(page)):
        assert (DOCS / target).is_file()


def test_the_page_on_choosing_shows_every_option_of_it():
    from s3bids.cli.options import ASKED

    names = {name.replace("_", "-") for name in ASKED} - {"keys"} | {
        "keys-from",
        "filter",
        "bids-filter-file",
        "subjects-file",
    }
    text = text_of("choosing")
    assert [name for name in sorted(names) if f"--{name}" not in text] == []
