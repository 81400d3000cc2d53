"""Every notebook runs in an empty folder, and prints what it is shown to print."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
#: Characters of one notebook with its pictures.
MOST_CHARACTERS = 200_000


def printed(path):
    """Give what each cell shows as text, and whether it shows a picture: id -> (text, picture)."""
    found = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        outputs = cell.get("outputs", [])
        data = [output.get("data", {}) for output in outputs if output.get("name") != "stderr"]
        has_picture = any("image/png" in each for each in data)
        texts = [output["text"] for output in outputs if output.get("name") == "stdout"]
        texts += [each["text/plain"] for each in data if "text/plain" in each and "image/png" not in each]
        found[cell["id"]] = ("".join("".join(text) for text in texts), has_picture)
    return found


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebooks after nbmake has run them, in a folder where nothing else is."""
    folder = tmp_path_factory.mktemp("notebooks")
    for path in NOTEBOOKS:
        (folder / path.stem).mkdir()
        shutil.copy(path, folder / path.stem)
    command = [sys.executable, "-m", "pytest", "-q", "--nbmake", "--overwrite", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", "/dev/null", "--rootdir", folder, folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{len(NOTEBOOKS)} passed" in done.stdout
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_is_kept_in_it(path, executed):
    kept = printed(path)
    assert any(has_picture for _, has_picture in kept.values())
    assert printed(executed / path.stem / path.name) == kept, "run `make notebooks`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_the_same_on_every_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < MOST_CHARACTERS
    assert not re.search(r"(?<![\w.])/(tmp|home|root|Users|work|var)/", text)
    assert '"stderr"' not in text
    assert not re.search(r"\d\.\d+ s\b|seconds=|iopub", text)


def test_there_are_four_notebooks():
    assert [path.stem for path in NOTEBOOKS] == [
        "01-download-a-site",
        "02-choose-a-cohort",
        "03-read-without-downloading",
        "04-batch-on-a-cluster",
    ]
