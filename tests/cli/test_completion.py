"""What Tab offers, by the protocol that the scripts for the shells speak."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import s3bids
from s3bids.cli.program import COMMANDS, program

SHIPPED = {path.stem for path in (Path(s3bids.__file__).parents[1] / "studies").glob("*.yaml")}
HEAVY = {"boto3", "botocore", "s3fs", "obstore", "nibabel", "numpy", "pandas", "joblib", "pydantic", "yaml", "tqdm"}


@pytest.fixture
def offered(run, environment):
    """A function that presses Tab behind some words: what is offered, as kind and value."""

    def press(line, **how):
        words = f"s3bids {line}"
        environment.update(_S3BIDS_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
        found = run(code=0, **how)
        return [tuple(item.split(",", 1)) for item in found.out.splitlines()], found.err

    return press


def plain(items):
    assert {kind for kind, _ in items} <= {"plain"}
    return {value for _, value in items}


def test_commands_are_offered(offered):
    assert offered("") == ([("plain", name) for name in COMMANDS], "")


@pytest.mark.parametrize("line", ["download ", "ls ", "plan --subjects 3 ", "report ", "slurm ", "lock ", "diff data "])
def test_shipped_studies_are_offered_where_a_study_stands(offered, line):
    assert plain(offered(line)[0]) == SHIPPED
    assert "hbn-si" in SHIPPED


def test_what_was_begun_narrows_it(offered):
    assert offered("download hbn-") == (
        [("plain", name) for name in sorted(SHIPPED) if name.startswith("hbn-")],
        "",
    )


def test_study_files_stand_beside_the_shipped_ones(offered, work):
    for name in ("lab.yaml", "own.yml", "notes.txt"):
        (work / name).touch()
    assert plain(offered("download ")[0]) == {*SHIPPED, "lab.yaml", "own.yml"}
    assert plain(offered("download l")[0]) == {"lab.yaml"}


@pytest.mark.parametrize(
    ("line", "item"),
    [
        ("download ./st", ("file", "./st")),
        ("report my", ("file", "my")),
        ("download hbn-si da", ("dir", "da")),
        ("download --plan pl", ("file", "pl")),
        ("download --plan plan.jsonl.gz da", ("dir", "da")),
        ("download --locked study.lock da", ("dir", "da")),
        ("verify da", ("dir", "da")),
        ("report hbn-si -o pa", ("file", "pa")),
        ("plan hbn-si --subjects-file su", ("file", "su")),
        ("ls hbn-si --log-file lo", ("file", "lo")),
    ],
)
def test_files_and_directories_are_left_to_the_shell(offered, line, item):
    assert offered(line) == ([item], "")


def test_values_of_options_are_offered(offered):
    assert plain(offered("download hbn-si --verify ")[0]) == {"size", "etag", "sha256"}


def test_every_directory_and_file_is_completed():
    """Without a function of its own a parameter offers nothing, and the shell does not help out."""
    told = {"DIR", "[DIR]", "F", "FILE", "STEM", "STUDY", "STUDY|DIR"}
    for name in COMMANDS:
        command = program.get_command(click.Context(program), name)
        context = click.Context(command)
        silent = [
            each.name for each in command.params if each.metavar in told and not each.shell_complete(context, "x")
        ]
        assert silent == []


def test_tab_writes_and_reads_nothing(offered, work, buckets):
    items, err = offered("download hbn-si --log-file log --subjects-file none.txt --verify s")
    assert (plain(items), err) == ({"size", "sha256"}, "")
    assert list(work.iterdir()) == []


def test_tab_loads_nothing_heavy(offered):
    _, err = offered("download hbn", program=(sys.executable, "-X", "importtime", "-m", "s3bids"))
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in err.splitlines() if line.count("|") == 2}
    assert "click" in loaded
    assert loaded & HEAVY == set()


def test_the_help_says_how_it_is_switched_on_and_bash_then_completes(run, environment, work):
    [line] = [line.strip() for line in run("--help").out.splitlines() if "bash_source" in line]
    rc_file, _, command = line.partition("  ")
    assert rc_file == "~/.bashrc"
    bash = shutil.which("bash")
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    script = (
        f"{command.strip()}\nCOMP_WORDS=(s3bids download hbn-s); COMP_CWORD=2\n"
        '_s3bids_completion s3bids hbn-s download; echo "${COMPREPLY[@]}"'
    )
    found = subprocess.run(
        [bash, "--norc", "-c", script], cwd=work, env=environment, capture_output=True, text=True, check=True
    )
    assert (found.stdout, found.stderr) == ("hbn-si\n", "")
