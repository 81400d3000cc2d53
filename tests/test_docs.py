"""What README and the documentation show is what happens: every command and code block runs, every path exists.

Commands for buckets of others go to a server on this machine that has synthetic studies under the same names. A line of
a block that is no command is one that the command before it must have printed, whatever time it took, or with ``...``
at its end the beginning of one; a comment ``# exits with N`` says how it ends. The Python blocks of a page are one
session; a block of text behind one is what it prints. A block of ``sh`` is a script that the commands behind it call
``job.sh``; the first line of one of ``yaml`` names its file. Other people's programs (in tables, as
inline code) are not run.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

import s3bids
from s3bids import batch, errors
from s3bids.cli.options import ASKED
from s3bids.cli.program import program
from s3bids.config import load_config
from s3bids.testing.studies import write_hbn_site, write_study

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: Programs that a page may call, besides our own.
KNOWN = {"s3bids", "python", "rm", "echo", "export", "make", "pip", "sh"}
LANGUAGES = {"console", "python", "text", "yaml", "bash", "sh"}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
#: The page whose examples must print the same on every backend.
STORAGE = ROOT / "docs" / "storage.md"
#: Runs the blocks that it reads, each a line of JSON, in one set of names; answers each with what it printed.
_INTERPRETER = """
import contextlib, io, json, sys
names = {"__name__": "__main__"}
for line in sys.stdin:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(json.loads(line), "<page>", "exec", dont_inherit=True), names)
    print(json.dumps(printed.getvalue()), flush=True)
"""


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks_of(page):
    return [Block(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def without_fences(page):
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def prepared(rclone, tmp_path_factory):
    """A folder with what `make demo` leaves, and a server with the studies that pages speak of: folder, address."""
    root = rclone.root
    for place in ("openneuro.org/ds000102", "bucket/study"):
        write_study(root / place)
    afq = root / "bucket" / "study" / "derivatives" / "afq"
    (afq / "sub-01").mkdir(parents=True)
    (afq / "dataset_description.json").write_text('{"Name": "afq", "BIDSVersion": "1.10.0"}')
    (afq / "sub-01" / "sub-01_profiles.csv").write_text("tractID,nodeID\n")
    write_derivative(root / "openneuro-derivatives/fmriprep/ds000102-fmriprep")
    subjects = [f"NDARAA{number:03}XYZ" for number in range(12)]
    write_hbn_site(root / "fcp-indi/data/Projects/HBN/MRI/Site-SI", site="SI", subjects=subjects)
    rclone.refresh()
    folder = tmp_path_factory.mktemp("docs")
    program = Path(sys.executable).with_name("s3bids")
    subprocess.run([program, "demo", "demo"], cwd=folder, check=True, capture_output=True)
    return folder, rclone.url


def write_derivative(root):
    """Write a data set that is a derivative by itself, as OpenNeuroDerivatives has them."""
    (root / "sub-01" / "anat").mkdir(parents=True)
    (root / "dataset_description.json").write_text(
        '{"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}'
    )
    (root / "sub-01" / "anat" / "sub-01_desc-preproc_T1w.json").write_text("{}")


class Session:
    """A folder and an environment in which the blocks of one page run, in order."""

    def __init__(self, folder, url):
        self.folder = folder
        self.exports = []
        self.interpreter = None
        self.complaints = folder / "complaints.txt"
        self.environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
            "HOME": str(folder / "home"),
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "an-id-of-nobody",
            "AWS_SECRET_ACCESS_KEY": "a-secret-of-nobody",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MPLBACKEND": "agg",
        }

    def run(self, *command):
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )

    def console(self, text):
        for command, wanted in commands_of(text):
            # Variables may stand before the program.
            first = next(word for word in command.split() if "=" not in word)
            assert first in KNOWN, f"{command}: a program that nobody runs"
            if first == "make":
                assert_make_target(command.split()[1])
            elif first == "export":
                self.exports.append(command)
            elif first != "pip":
                self._check(command, wanted)

    def _check(self, command, wanted):
        comment = command.partition("# exits with ")[2]
        done = self.run("bash", "-c", "; ".join([*self.exports, command]))
        assert done.returncode == int(comment or 0), f"{command}: {done.stderr}"
        if command.startswith("s3bids download") and not comment:
            assert "complete: " in done.stdout or "nothing that was chosen has failed" in done.stdout, done.stdout
        printed = [*done.stdout.splitlines(), *done.stderr.splitlines()]
        for line in wanted:
            assert any(is_shown(line, found) for found in printed), f"{command} prints no {line!r}: {printed}"

    def python(self, text, wanted):
        if self.interpreter is None:
            self.interpreter = self._started()
        self.interpreter.stdin.write(json.dumps(text) + "\n")
        self.interpreter.stdin.flush()
        answer = self.interpreter.stdout.readline()
        assert answer, self.complaints.read_text()
        if wanted is not None:
            assert json.loads(answer) == wanted

    def _started(self):
        with self.complaints.open("w") as stderr:
            return subprocess.Popen(
                [sys.executable, "-W", "error", "-c", _INTERPRETER],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.interpreter is not None:
            with self.interpreter:
                self.interpreter.stdin.close()

    def yaml(self, text):
        name = re.match(r"# (\S+\.yaml)\b", text)
        path = self.folder / (name[1] if name else "study.yaml")
        path.write_text(text, encoding="utf-8")
        assert load_config(path).name


def is_shown(line, found):
    """Say whether a page shows a line that was printed: whole, or with ``...`` in place of its end."""
    if line.endswith("..."):
        return found.startswith(line.removesuffix("..."))
    return without_times(line) == without_times(found)


def without_times(line):
    return re.sub(r"in \d+\.\d s\b", "in T", line)


def commands_of(text):
    """Give the commands of a block, each with the lines that stand below it."""
    found = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif line:
            found[-1][1].append(line)
    return found


def assert_make_target(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE), target


def run_page(page, session):
    blocks = blocks_of(page)
    for block, following in itertools.pairwise([*blocks, Block("", "")]):
        assert block.language in LANGUAGES, f"a block of {block.language or 'no language'}: nobody runs it"
        if block.language == "console":
            session.console(block.text)
        elif block.language == "python":
            session.python(block.text, following.text if following.language == "text" else None)
        elif block.language == "yaml":
            session.yaml(block.text)
        elif block.language == "sh":
            (session.folder / "job.sh").write_text(block.text, encoding="utf-8")
        elif block.language == "bash":
            assert session.run("bash", "-n", "-c", block.text).returncode == 0
            assert session.run("bash", "-c", block.text).returncode == 0


@pytest.mark.parametrize("page", [page for page in PAGES if page != STORAGE], ids=name_of)
def test_every_block_of_a_page_runs(page, prepared, tmp_path):
    folder, url = prepared
    here = tmp_path / "here"
    if "$ s3bids demo demo\n" in page.read_text(encoding="utf-8"):
        # A copied demo is another study, at another address.
        here.mkdir()
    else:
        shutil.copytree(folder, here)
    with Session(here, url) as session:
        run_page(page, session)


@pytest.mark.parametrize("backend", ["local", "moto", "rclone"])
def test_the_page_of_the_storage_prints_the_same_on_every_backend(backend, request, bucket_name, tmp_path):
    with Session(tmp_path, "http://127.0.0.1:9") as session:
        session.environment["S3_DEFAULT_BUCKET"] = bucket_name
        if backend == "local":
            session.environment |= {"LOCAL_FS": "1", "LOCAL_FS_ROOT_DIR": str(tmp_path / "buckets")}
        else:
            server = request.getfixturevalue(backend)
            session.environment |= {
                "S3_URL": server.url,
                "AWS_ACCESS_KEY_ID": server.access_key,
                "AWS_SECRET_ACCESS_KEY": server.secret_key,
            }
        run_page(STORAGE, session)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_block_of_a_page_is_only_indented(page):
    """Nobody would run it."""
    assert re.findall(r"(?<=\n\n) {4}\S.*", without_fences(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_to_a_file(page):
    targets = set(re.findall(r"\]\(([^)\s]+)\)", without_fences(page)))
    for target in targets:
        assert not target.startswith("http"), "a page that needs the network is checked by nobody"
        assert (page.parent / (target.partition("#")[0] or page.name)).is_file(), target


def test_pictures_are_small_and_show_what_was_run():
    pictures = sorted((ROOT / "docs" / "images").iterdir())
    assert [picture.name for picture in pictures] == ["bar.svg", "page.png"]
    assert max(picture.stat().st_size for picture in pictures) < 100_000
    drawn = pictures[0].read_text(encoding="utf-8")
    for command in re.findall(r">\$ (s3bids [^<]*)<", drawn):
        words = command.split()
        program.get_command(None, words[1]).make_parser(click.Context(program)).parse_args(words[2:])
    assert "complete: 891 files in data, all of them checked" in drawn


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_a_page_names_exists(page):
    rooms = r"s3bids|docs|tests|studies|notebooks|benchmarks|\.ci"
    for path in re.findall(rf"`((?:{rooms})/[\w./-]+)`", without_fences(page)):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`make ([a-z-]+)`", without_fences(page)):
        assert_make_target(name)


def reference():
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(reference().PAGES))
def test_the_reference_is_what_the_code_says(name):
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == reference().PAGES[name](), "run `make docs`"


def test_every_error_has_a_next_step():
    kinds = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.S3BIDSError)
    }
    assert kinds == set(reference().NEXT_STEPS)


def test_the_page_of_python_has_every_public_name():
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: (\S+)$", page, flags=re.MULTILINE))
    public = {f"s3bids.{name}" for name in s3bids.__all__} | {f"s3bids.batch.{name}" for name in batch.__all__}
    # Errors have a page of their own.
    assert {name for name in public - shown if not name.endswith("Error")} == set()


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert page.relative_to(ROOT / "docs").as_posix() in menu


def test_the_page_of_choosing_shows_every_option_of_choosing():
    text = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    names = {name.replace("_", "-") for name in ASKED} - {"keys"} | {
        *("keys-from", "filter", "bids-filter-file", "subjects-file"),
    }
    assert [name for name in sorted(names) if f"--{name}" not in text] == []


# The tests above can fail


@pytest.mark.parametrize(
    "text",
    [
        "$ s3bids ls hbn-si --no-such-option\n",
        "$ s3bids ls hbn-si\nsub-nobody\n",
        "$ s3bids verify demo/download\n61 files\n",
        "$ s3bids verify demo/download  # exits with 3\n",
        "$ curl http://example.org\n",
        "$ make nonsense\n",
    ],
)
def test_a_console_block_that_is_wrong_fails(text, prepared, tmp_path):
    folder, url = prepared
    shutil.copytree(folder, tmp_path / "here")
    with pytest.raises(AssertionError):
        Session(tmp_path / "here", url).console(text)


@pytest.mark.parametrize(("text", "why"), [("print(1)", "'1"), ("1 / 0", "ZeroDivisionError")])
def test_a_python_block_that_does_something_else_fails(text, why, tmp_path):
    with Session(tmp_path, "http://127.0.0.1:9") as session, pytest.raises(AssertionError, match=why):
        session.python(text, "2\n")
