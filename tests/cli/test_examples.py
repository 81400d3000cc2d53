"""The examples in the help: every line is one that the program takes."""

import shlex

import pytest

from s3bids.cli.examples import EXAMPLES
from s3bids.cli.program import COMMANDS, program

LINES = [(command, line) for command, pairs in EXAMPLES.items() for line, _ in pairs]


def test_every_command_has_examples():
    assert tuple(EXAMPLES) == COMMANDS
    assert all(EXAMPLES.values())


@pytest.mark.parametrize(("command", "line"), LINES)
def test_an_example_is_a_command_line_of_its_command(command, line):
    name, called, *arguments = shlex.split(line)
    assert (name, called) == ("s3bids", command)
    found = program.get_command(None, command)
    assert found.make_context(command, arguments).params


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_ends_with_the_examples(run, command):
    found = run(command, "--help", code=0).out
    for line, what in EXAMPLES[command]:
        assert f"  {line}\n" in found
        assert f"      {what}\n" in found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(run, environment, shell):
    environment["_S3BIDS_COMPLETE"] = f"{shell}_source"
    found = run(code=0)
    assert "_S3BIDS_COMPLETE" in found.out
    assert found.err == ""


@pytest.mark.parametrize(
    ("words", "completed"),
    [("s3bids re", {"plain,report"}), ("s3bids report --de", {"plain,--deep", "plain,--derivatives"})],
)
def test_commands_and_options_are_completed(run, environment, words, completed):
    environment.update(_S3BIDS_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    assert set(run(code=0).out.split()) == completed
