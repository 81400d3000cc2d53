"""``s3bids demo``: the embedded study, from nothing to a checked download."""

import shlex
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("s3bids")


def test_the_demo_shows_what_came_and_what_to_try(run, work):
    found = run("demo", code=0)
    assert found.err == ""
    assert "fetched 61 files" in found.out
    assert "complete: 61 files in s3bids-demo/download, all of them checked" in found.out
    for name in ("sub-01", "sub-02", "sub-10", "anat", "dwi", "fmap", "func", "fmriprep-mini"):
        assert f"\n{name} " in found.out
    assert (work / "s3bids-demo" / "download" / "sub-01" / "anat" / "sub-01_T1w.nii.gz").is_file()
    assert [path.name for path in work.iterdir()] == ["s3bids-demo"]


def test_a_second_run_fetches_nothing(run):
    run("demo", "mine", code=0)
    assert "fetched 0 files, 0 B" in (found := run("demo", "mine", code=0)).out
    assert "61 complete already" in found.out


def commands_to_try(found):
    return [shlex.split(line) for line in found.out.partition("Next, try:\n")[2].splitlines()]


def test_the_commands_to_try_work_as_they_are_shown(run):
    """The environment is not activated here: the program is not on PATH, so its whole path is shown."""
    commands = commands_to_try(run("demo", "my demo", code=0))
    assert [words[1] for words in commands] == ["ls", "download", "verify", "report", "studies"]
    for program, *arguments in commands:
        assert run(*arguments, code=0, program=(program,)).out != ""


def test_a_program_on_the_path_is_called_by_its_name(run, environment):
    environment["PATH"] = str(PROGRAM.parent)
    assert {words[0] for words in commands_to_try(run("demo", code=0))} == {"s3bids"}


def test_a_file_in_the_way_is_named(refused, work):
    (work / "file").touch()
    assert str(work / "file") in refused("demo", "file")


def test_a_demo_that_was_changed_is_shown_and_kept(run, work):
    run("demo", "mine", code=0)
    changed = work / "mine" / "download" / "README.md"
    changed.write_text("mine " * 500)
    found = run("demo", "mine", code=1)
    assert "differs, is kept: study/README.md" in found.err
    assert changed.read_text().startswith("mine")


@pytest.mark.parametrize("where", ["a/b/c", "süß"])
def test_the_demo_goes_where_it_is_told(run, work, where):
    run("demo", where, code=0)
    assert (work / where / "download" / "dataset_description.json").is_file()
