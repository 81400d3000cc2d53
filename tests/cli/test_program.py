"""The program as a whole: how it starts, what it loads, how it ends."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import s3bids
from s3bids.cli.program import COMMANDS, Exit

MODULE = (sys.executable, "-m", "s3bids")
HEAVY = {"boto3", "botocore", "s3fs", "obstore", "nibabel", "numpy", "pandas", "joblib", "pydantic", "yaml", "tqdm"}


def loaded(err):
    """Give the top-level packages that ``-X importtime`` names."""
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in err.splitlines() if line.count("|") == 2}


def test_the_version_is_printed(run):
    assert run("--version", code=0).out == f"s3bids {s3bids.__version__}\n"


def test_python_m_is_the_same_program(run):
    assert run("--help", program=MODULE).out == run("--help").out


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_help_names_every_command(run, arguments):
    found = run(*arguments, code=0)
    assert [name for name in COMMANDS if f"\n  {name} " not in found.out] == []
    assert found.err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(run, command):
    assert run(command, "--help", code=0).out.startswith(f"Usage: s3bids {command}")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["download", "--help"]])
def test_the_help_loads_nothing_heavy(run, arguments):
    found = loaded(run(*arguments, program=(sys.executable, "-X", "importtime", "-m", "s3bids")).err)
    assert "click" in found
    assert found & HEAVY == set()


def test_an_unsigned_download_loads_nothing_heavy_but_obstore(run, proxy):
    program = (sys.executable, "-X", "importtime", "-m", "s3bids")
    arguments = ("download", proxy.study, "--endpoint-url", proxy.url, "--no-progress")
    found = run(*arguments, code=0, program=program)
    assert loaded(found.err) & HEAVY == {"obstore"}


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        ("ValueError('7')", Exit.FAILED, "unexpected ValueError: 7; please report this"),
        ("OSError(28, 'No space left on device', 'x.nii')", Exit.NO_SPACE, "No space left on device: x.nii"),
        ("PermissionError(13, 'Permission denied', 'x.nii')", Exit.FAILED, "Permission denied: x.nii"),
        ("errors.AccessDeniedError('no')", Exit.USAGE, "error: no"),
        ("errors.S3BIDSError('a\\nb \\x1b[31m')", Exit.USAGE, r"error: a\nb \x1b[31m"),
        ("errors.StorageError('http://me:secret@host/ is down')", Exit.USAGE, "error: http://***@host/ is down"),
        ("KeyboardInterrupt()", Exit.INTERRUPTED, "interrupted"),
    ],
)
def test_every_error_is_one_sentence_and_an_exit_code(run, url, raised, code, text):
    """Errors that no command line provokes are raised in the place of a listing."""
    patched = (
        "import sys\nfrom s3bids import errors, study\nfrom s3bids.cli import main\n"
        f"def broken(*_, **__): raise {raised}\n"
        "study.S3BIDSStudy.dataset_catalog = broken\nmain()"
    )
    found = run("ls", url, "--files", program=(sys.executable, "-c", patched))
    assert (found.code, found.out) == (code, "")
    assert text in found.err
    assert "secret" not in found.err
    assert len(found.err.strip().splitlines()) == 1


def test_a_full_disk_below_an_error_of_ours_is_told_apart(run, url):
    patched = (
        "from s3bids import errors, study\nfrom s3bids.cli import main\n"
        "def full(*_, **__):\n"
        "    try: raise OSError(28, 'No space left on device')\n"
        "    except OSError as error: raise errors.DestinationError('cannot be written') from error\n"
        "study.S3BIDSStudy.download_dataset = full\nmain()"
    )
    found = run("download", url, program=(sys.executable, "-c", patched))
    assert (found.code, found.err) == (Exit.NO_SPACE, "s3bids: error: cannot be written\n")


def test_an_unexpected_error_is_written_to_the_log_with_its_traceback(run, url, work):
    patched = (
        "from s3bids import study\nfrom s3bids.cli import main\n"
        "study.S3BIDSStudy.dataset_catalog = lambda self, **_: 1 / 0\nmain()"
    )
    found = run("ls", url, "--files", "--log-file", "log", program=(sys.executable, "-c", patched))
    assert found.code == Exit.FAILED
    assert f"the log is {work / 'log'}" in found.err
    assert "ZeroDivisionError: division by zero" in (work / "log").read_text()


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({"LANG": "C", "LC_ALL": "C"}, "süß"),
        ({"PYTHONIOENCODING": "ascii"}, r"s\xfc\xdf"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, None),
    ],
)
def test_it_works_in_every_locale(run, environment, own, variables, shown):
    (own / "süß.txt").touch()
    environment.update(variables)
    found = run("ls", f"file://{own}", "--files", code=0)
    assert shown is None or f"  {shown}.txt\n" in found.out


def test_a_reader_that_goes_away_is_no_error(url, work, environment):
    reader, writer = os.pipe()
    os.close(reader)
    program = Path(sys.executable).with_name("s3bids")
    with os.fdopen(writer, "wb") as out:
        found = subprocess.run(
            [program, "ls", url, "--files"], cwd=work, env=environment, stdout=out, stderr=subprocess.PIPE, check=False
        )
    assert (found.returncode, found.stderr) == (0, b"")


def test_nothing_is_written_outside_the_destination(run, url, work, environment):
    run("download", url, "out", code=0)
    assert [path.name for path in work.iterdir()] == ["out"]
    assert list(Path(environment["HOME"]).iterdir()) == []


def test_the_commands_of_the_help_are_those_of_the_program(run):
    listed = run("--help").out.partition("Commands:\n")[2]
    assert tuple(re.findall(r"^  (\w+)", listed, re.MULTILINE)) == COMMANDS
