"""The options that several commands share, and the values they are gathered into."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from .logs import open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..config import StudyConfig

    Command = Callable[..., Any]

#: The word for everything, in `--subjects` and `--derivatives`.
ALL = "all"


@dataclass(frozen=True)
class Connection:
    """How to reach the bucket; None leaves what the study says."""

    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None
    sign: bool | None = None
    request_payer: bool | None = None

    def is_signed(self, *, default: bool) -> bool:
        """Say whether requests are to be signed; `default` is what the study says."""
        if self.profile is not None and self.sign is False:
            raise click.UsageError("--profile signs requests, so it cannot go with --no-sign")
        if self.profile is not None:
            return True
        return default if self.sign is None else self.sign

    def applied_to(self, config: StudyConfig) -> StudyConfig:
        """Give the study's config with what was chosen on the command line."""
        anon = not self.is_signed(default=not config.anon)
        profile = config.profile if self.profile is None else self.profile
        return replace(
            config,
            anon=anon,
            profile=None if anon else profile,
            endpoint_url=config.endpoint_url if self.endpoint_url is None else self.endpoint_url,
            region=config.region if self.region is None else self.region,
            request_payer=config.request_payer if self.request_payer is None else self.request_payer,
        )


@dataclass(frozen=True)
class Choice:
    """What of a study is wanted."""

    #: Ids, ``all``, or one number; empty: what the study says.
    subjects: tuple[str, ...] = ()
    #: Names or globs, or ``all``; empty: what the study says.
    derivatives: tuple[str, ...] = ()
    suffix: str | None = None


def split_list(ctx: click.Context, param: click.Parameter, values: Iterable[str]) -> tuple[str, ...]:
    """Take the values of an option that may be repeated, each of which may be a list with commas."""
    names = tuple(name.strip() for value in values for name in value.split(","))
    if not all(names):
        raise click.BadParameter("a name is empty; write for example 01,02", ctx, param)
    if ALL in names and len(names) > 1:
        raise click.BadParameter(f"{ALL!r} stands alone", ctx, param)
    return names


def not_empty(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse an empty text: scripts give it for a variable that is not set, and as a path it is the working folder."""
    if value == "":
        raise click.BadParameter("it is empty", ctx, param)
    return value


def study_argument(command: Command) -> Command:
    """Add STUDY."""
    return click.argument("study", metavar="STUDY", callback=not_empty)(command)


def directory_argument(command: Command) -> Command:
    """Add DIR."""
    return click.argument("directory", metavar="[DIR]", required=False, callback=not_empty)(command)


def json_option(command: Command) -> Command:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")(command)


def log_option(command: Command) -> Command:
    """Add --log-file, which is opened before anything else happens."""

    def opened(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        del ctx, param
        if value is not None:
            open_log(value)

    text = "Append what happens, in detail, to this file."
    option = click.option("--log-file", metavar="F", expose_value=False, is_eager=True, callback=opened, help=text)
    return option(command)


def connection_options(command: Command) -> Command:
    """Add the options that say how to reach the bucket; the command gets one `connection`."""

    @functools.wraps(command)
    def gathered(
        *args: Any,
        endpoint_url: str | None,
        profile: str | None,
        region: str | None,
        sign: bool | None,
        request_payer: bool | None,
        **rest: Any,
    ) -> Any:
        return command(*args, connection=Connection(endpoint_url, profile, region, sign, request_payer), **rest)

    options = (
        click.option("--endpoint-url", metavar="U", help="Address of an S3-compatible server."),
        click.option("--profile", metavar="P", help="Sign with this profile of the AWS configuration files."),
        click.option("--region", metavar="R", help="Region of the bucket."),
        click.option("--sign/--no-sign", default=None, help="Sign requests, or do not (the default)."),
        click.option("--request-payer", is_flag=True, default=None, help="Agree to pay for the requests."),
    )
    return _decorated(gathered, options)


def choice_options(command: Command) -> Command:
    """Add the options that say what of the study is wanted; the command gets one `choice`."""

    @functools.wraps(command)
    def gathered(
        *args: Any, subjects: tuple[str, ...], derivatives: tuple[str, ...], suffix: str | None, **rest: Any
    ) -> Any:
        return command(*args, choice=Choice(subjects, derivatives, suffix), **rest)

    options = (
        click.option(
            "--subjects",
            metavar="all|ID,..|N",
            multiple=True,
            callback=split_list,
            help="Which subjects (default: all): ids with or without sub-, as in 01,sub-02 or by repeating the option;"
            " or how many, from the first on. A number that is the id of a subject means this subject.",
        ),
        click.option(
            "--derivatives",
            metavar="NAME,..",
            multiple=True,
            callback=split_list,
            help="Derivatives to bring as well: names, globs such as 'fmri*', or all (default: none).",
        ),
        click.option("--suffix", metavar="S", help="Of the subjects' files, only those whose names end with this."),
    )
    return _decorated(gathered, options)


def _decorated(command: Command, options: Iterable[Callable[[Command], Command]]) -> Command:
    for option in reversed(tuple(options)):
        command = option(command)
    return command


__all__ = [
    "ALL",
    "Choice",
    "Connection",
    "choice_options",
    "connection_options",
    "directory_argument",
    "json_option",
    "log_option",
    "not_empty",
    "split_list",
    "study_argument",
]
