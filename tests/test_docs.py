"""What the pages in docs/ show is what happens."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PROGRAM = Path(sys.executable).with_name("s3bids")
PAGES = sorted(DOCS.glob("*.md"))


def text_of(page):
    return page.read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", text_of(page), flags=re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if ">>> " in text_of(page)], ids=lambda page: page.stem)
def test_the_examples_of_a_page_give_what_is_shown(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subprocess.run([PROGRAM, "demo", "demo"], capture_output=True, check=True)
    examples = "\n\n".join(blocks(page, "python"))
    test = doctest.DocTestParser().get_doctest(examples, {}, page.name, str(page), 0)
    told = []
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL | doctest.ELLIPSIS)
    outcome = runner.run(test, out=told.append)
    assert outcome.failed == 0, "".join(told)
    assert outcome.attempted >= 10


def test_there_is_a_page_with_examples():
    assert any(">>> " in text_of(page) for page in PAGES)


COMMANDS = [
    pytest.param(line.removeprefix("$ "), id=f"{page.stem}: {line}")
    for page in PAGES
    for block in blocks(page, "console")
    for line in block.splitlines()
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_that_is_shown_has_the_options_shown(line):
    words = line.partition("#")[0].split()
    done = subprocess.run([PROGRAM, words[1], "--help"], capture_output=True, text=True, check=True)
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"(^|\s|/|,){re.escape(option)}\b", done.stdout)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_of_a_page_leads_to_a_file(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text_of(page)):
        assert (DOCS / target).is_file()
