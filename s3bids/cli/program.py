"""The commands, loaded when they are needed, and the one place where errors become a sentence and an exit code."""

from __future__ import annotations

import difflib
import errno
import logging
from enum import IntEnum
from importlib import import_module
from typing import TYPE_CHECKING

import click

from .. import __version__
from ..errors import S3BIDSError
from .examples import epilog
from .interrupts import INTERRUPTED, watch_interrupts
from .logs import set_up_logging
from .render import say, set_up_streams

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

#: The commands in the order of the help; each is a module of this package with a ``command``.
COMMANDS = (
    *("demo", "studies", "ls", "header", "plan", "download", "verify", "report"),
    *("diff", "update", "lock", "slurm"),
)


class Exit(IntEnum):
    """What the program's exit code means."""

    #: All wanted files are here and checked.
    DONE = 0
    #: Some files failed, or differ and were kept.
    FAILED = 1
    #: The command line, a study file, or what they name makes no sense; nothing was transferred.
    USAGE = 2
    #: `verify` or `diff` found a difference.
    DIFFERENT = 3
    #: No space or quota is left.
    NO_SPACE = 4
    #: Interrupted, by Ctrl-C or by the SIGTERM of a batch system.
    INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that imports a command when it is named, or when the help lists it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None if there is none of this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__package__}.{cmd_name}").command
        command.epilog = epilog(cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the line; ``help`` and ``help COMMAND`` are what other programs call --help."""
        if args[:1] == ["help"]:
            args = [*args[1:2], "--help"]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; where there is none, say what may have been meant."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(_unknown_text(name), ctx)
        return super().resolve_command(ctx, args)


def _unknown_text(name: str) -> str:
    """Say of a word in the place of a command what may have been meant."""
    from ..config.shipped import shipped_studies

    if "://" in name or name in shipped_studies() or name.endswith((".yaml", ".yml")):
        return f"{name!r} is a study; a command stands before it, such as s3bids ls {name}"
    near = difflib.get_close_matches(name.lower(), COMMANDS, 2)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"there is no command {name!r}{hint}"


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def program(ctx: click.Context) -> None:
    """Download BIDS studies from S3, or from a local directory that emulates it.

    To begin, without a network: s3bids demo. Then: s3bids ls hbn-si, and s3bids download hbn-si data --subjects 2.
    What a command takes, with examples: s3bids help COMMAND.

    STUDY is a YAML file, the name of a shipped study (see `s3bids studies`), or an address such as
    s3://openneuro.org/ds000102 or file:///root/bucket/prefix. Requests are unsigned unless you say otherwise.

    Exit codes: 0 all wanted files are here and checked, 1 some failed or differ, 2 usage or configuration,
    3 verify or diff found a difference, 4 no space is left, 130 interrupted.

    \b
    Completion by Tab of commands, options, shipped studies and files: put this into
      ~/.bashrc                   eval "$(_S3BIDS_COMPLETE=bash_source s3bids)"
      ~/.zshrc                    eval "$(_S3BIDS_COMPLETE=zsh_source s3bids)"
      ~/.config/fish/config.fish  _S3BIDS_COMPLETE=fish_source s3bids | source
    """  # noqa: D301 - with a backspace click is told to keep the lines that follow
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run the program.

    Parameters
    ----------
    arguments
        What stands behind the program's name.

    Returns
    -------
    int
        The exit code. No exception leaves this function.
    """
    set_up_streams()
    set_up_logging()
    watch_interrupts()
    try:
        result = program.main(args=list(arguments), prog_name="s3bids", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        say(INTERRUPTED)
        return Exit.INTERRUPTED
    except click.ClickException as error:
        say(f"error: {_usage_text(error, arguments)}")
        return Exit.USAGE
    except S3BIDSError as error:
        logger.debug("the command ended with an error", exc_info=True)
        say(f"error: {error}")
        return Exit.NO_SPACE if _lacks_space(error) else Exit.USAGE
    except OSError as error:
        logger.debug("the command ended with an error", exc_info=True)
        say(f"error: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        return Exit.NO_SPACE if _lacks_space(error) else Exit.FAILED
    except Exception as error:
        logger.debug("unexpected error", exc_info=True)
        kind = type(error).__name__
        say(f"error: unexpected {kind}: {error}; please report this with the file that --log-file writes")
        return Exit.FAILED
    return int(result or Exit.DONE)


def _usage_text(error: click.ClickException, arguments: Sequence[str]) -> str:
    context = getattr(error, "ctx", None)
    # click's parser itself knows no context.
    command = [name for name in arguments[:1] if name in COMMANDS]
    path = context.command_path if context else " ".join(["s3bids", *command])
    text = error.format_message().rstrip(".")
    if text.startswith("Got unexpected extra argument"):
        text += "; an option takes one word: several values are joined by commas, as in --subjects 01,02"
    return f"{text} See {path} --help" if text.endswith("?") else f"{text}; see {path} --help"


def _lacks_space(error: BaseException) -> bool:
    """Say whether an error, or the one below it, tells that a disk or a quota is full."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        cause = cause.__cause__
    return False


__all__ = ["COMMANDS", "Exit", "LazyGroup", "program", "run"]
