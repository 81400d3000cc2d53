"""The options that several commands share, and the values they are gathered into."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import ConfigError
from .completion import complete_directories, complete_files, complete_studies
from .logs import open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..batch import Access, Shard
    from ..config import StudyConfig

    Command = Callable[..., Any]

#: What says how a bucket is reached.
Reached = TypeVar("Reached", "StudyConfig", "Access")
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

    def applied_to(self, config: Reached) -> Reached:
        """Give the config of a study, or the access of a plan, with what was chosen on the command line."""
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
    #: Further arguments of :meth:`s3bids.study.S3BIDSStudy.download_dataset`.
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        """What was chosen, in words for a record."""
        said = {"subjects": self.subjects, "derivatives": self.derivatives, "suffix": self.suffix, **self.asked}
        return tuple(f"{name}={_word(value)}" for name, value in said.items() if _is_given(value))


def _word(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={_word(each)}" for name, each in value.items())
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


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


def shard_option_value(ctx: click.Context, param: click.Parameter, value: str | None) -> Shard | None:
    """Take the value of --shard."""
    if value is None:
        return None
    from ..batch import parse_shard

    try:
        return parse_shard(value)
    except ConfigError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def size_option_value(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Take a number of bytes, such as 500M or 1.5G."""
    if value is None:
        return None
    from ..transfer.space import parse_size

    try:
        return parse_size(value)
    except ConfigError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def study_argument(command: Command) -> Command:
    """Add STUDY."""
    return click.argument("study", metavar="STUDY", shell_complete=complete_studies, callback=not_empty)(command)


def directory_argument(command: Command) -> Command:
    """Add DIR."""
    return click.argument(
        "directory", metavar="[DIR]", shell_complete=complete_directories, required=False, callback=is_local
    )(command)


def is_local(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse an address as DIR: as a path it would be a folder called ``s3:``."""
    if value is not None and "://" in value and not ctx.resilient_parsing:
        usage = " ".join([ctx.command_path, *ctx.command.collect_usage_pieces(ctx)[1:]])
        text = f"{value!r} is an address, and DIR is a local directory; write {usage}"
        raise click.BadParameter(text, ctx, param)
    return not_empty(ctx, param, value)


def json_option(command: Command) -> Command:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")(command)


def log_option(command: Command) -> Command:
    """Add --log-file and --log-json, which are opened before anything else happens."""

    def opened(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        # Tab reads the line as well, and must not make a file.
        if value is not None and not ctx.resilient_parsing:
            open_log(value, as_json=param.name == "log_json")

    text = "Append what happens, in detail, to this file."
    how: dict[str, Any] = {"metavar": "F", "expose_value": False, "is_eager": True, "callback": opened}
    how["shell_complete"] = complete_files
    as_json = click.option("--log-json", help="The same, one JSON object a line.", **how)
    return click.option("--log-file", help=text, **how)(as_json(command))


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
        *args: Any,
        subjects: tuple[str, ...],
        subjects_file: tuple[str, ...],
        derivatives: tuple[str, ...],
        suffix: str | None,
        filter: tuple[str, ...],
        bids_filter_file: dict[str, Any] | None,
        **rest: Any,
    ) -> Any:
        if subjects and subjects_file:
            raise click.UsageError("--subjects and --subjects-file both say which subjects; give one of them")
        if filter and bids_filter_file is not None:
            raise click.UsageError("--filter and --bids-filter-file both say which files; give one of them")
        asked = {name: rest.pop(name) for name in ASKED}
        filters = bids_filter_file if bids_filter_file is not None else parsed_filters(filter)
        asked = {name: value for name, value in {"filters": filters, **asked}.items() if _is_given(value)}
        if asked.pop("no_sidecars", False):
            asked["with_sidecars"] = False
        return command(*args, choice=Choice(subjects or subjects_file, derivatives, suffix, asked), **rest)

    return _decorated(gathered, (*_SUBJECT_OPTIONS, *_FILE_OPTIONS))


#: Options that are arguments of `download_dataset`, by the names that those have; and one that turns one off.
ASKED = (
    *("where", "sample", "balance", "random_seed", "include", "exclude", "keys", "require", "with_fieldmaps"),
    *("valid_subset", "no_sidecars"),
)


def _is_given(value: object) -> bool:
    # A seed of 0 is one, though it equals False.
    return value is not None and value is not False and value != ()


def parsed_filters(texts: tuple[str, ...]) -> dict[str, Any] | None:
    """Read the values of --filter; None if there are none."""
    from ..bids.filters import parse_filter_texts

    return parse_filter_texts(texts) if texts else None


def _from_file(parse: str) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Give a callback that reads the file of an option by a function of :mod:`s3bids.bids.lists`."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
        if value is None or ctx.resilient_parsing:
            return () if parse == "parse_subjects" else None
        not_empty(ctx, param, value)
        from ..bids import lists

        try:
            data = Path(value).read_bytes()
        except OSError as error:
            raise click.BadParameter(f"cannot read {value}: {error.strerror or error}", ctx, param) from error
        found = getattr(lists, parse)(data, source=value)
        return tuple(found) if isinstance(found, list) else found

    return read


def split_names(ctx: click.Context, param: click.Parameter, values: Iterable[str]) -> tuple[str, ...]:
    """As :func:`split_list`, where no word stands for everything."""
    names = tuple(name.strip() for value in values for name in value.split(","))
    if not all(names):
        raise click.BadParameter("a name is empty; write for example T1w,dwi", ctx, param)
    return names


def _joined(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> str | None:
    """Join the queries of an option that may be repeated: all must hold."""
    for value in values:
        not_empty(ctx, param, value)
    return " and ".join(f"({value})" for value in values) if len(values) > 1 else next(iter(values), None)


def _only_once(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> str | None:
    """Refuse a second value, of which click would silently take the last."""
    if len(values) > 1:
        raise click.BadParameter("it takes one ending; choose several kinds by --filter suffix=T1w,bold", ctx, param)
    return next(iter(values), None)


where_option = click.option(
    "--where",
    metavar="EXPR",
    multiple=True,
    callback=_joined,
    help="Subjects by a query on the participant table: \"age >= 8 and sex == 'F'\". Several must all hold.",
)
filter_option = click.option(
    "--filter",
    metavar="ENTITY=VALUE,..",
    multiple=True,
    help="Of the subjects' files, only those whose names say this: task=rest, run=1,2, suffix=T1w; space=none"
    " (absent), acq=* (present), desc=re:^pre (a regular expression). All filters must hold.",
)
_SUBJECT_OPTIONS = (
    click.option(
        "--subjects",
        metavar="all|ID,..|N",
        multiple=True,
        callback=split_list,
        help="Which subjects (default: all): ids with or without sub-, as in 01,sub-02 or by repeating the option;"
        " or how many, from the first on. A number that is the id of a subject means this subject.",
    ),
    click.option(
        "--subjects-file",
        metavar="FILE",
        shell_complete=complete_files,
        callback=_from_file("parse_subjects"),
        help="Subjects from a file: one id a line, or a table with a column participant_id.",
    ),
    where_option,
    click.option("--sample", type=int, metavar="N", help="Of these, N drawn at random; the same N at every run."),
    click.option("--balance", metavar="COLUMN", callback=not_empty, help="Draw as many for each value of this column."),
    click.option("--random-seed", type=int, metavar="N", help="Draw another sample (default: 0)."),
    click.option(
        "--require", metavar="T1w,..", multiple=True, callback=split_names, help="Leave out subjects that lack these."
    ),
)
_FILE_OPTIONS = (
    click.option(
        "--derivatives",
        metavar="NAME,..",
        multiple=True,
        callback=split_list,
        help="Derivatives to bring as well: names, globs such as 'fmri*', or all (default: none).",
    ),
    click.option(
        "--suffix",
        metavar="S",
        multiple=True,
        callback=_only_once,
        help="Of the subjects' files, only those whose names end with this.",
    ),
    filter_option,
    click.option(
        "--bids-filter-file",
        metavar="FILE",
        shell_complete=complete_files,
        callback=_from_file("parse_filter_json"),
        help="Filters from the JSON file of fMRIPrep's option of this name.",
    ),
    click.option("--include", metavar="GLOB", multiple=True, help="Only paths like this: 'sub-*/**/*_T1w.nii.gz'."),
    click.option("--exclude", metavar="GLOB", multiple=True, help="No paths like this."),
    click.option(
        "--keys-from",
        "keys",
        metavar="FILE",
        shell_complete=complete_files,
        callback=_from_file("parse_keys"),
        help="Only the files named in a file: paths in the study, or keys, one a line.",
    ),
    click.option("--no-sidecars", is_flag=True, help="Leave out what the chosen files need: sidecars, root files."),
    click.option("--with-fieldmaps", is_flag=True, help="Bring the fieldmaps of the chosen files."),
    click.option(
        "--valid-subset", is_flag=True, help="Cut tables and links down to what is there, so that the subset validates."
    ),
)


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
    "filter_option",
    "is_local",
    "json_option",
    "log_option",
    "not_empty",
    "parsed_filters",
    "shard_option_value",
    "size_option_value",
    "split_list",
    "split_names",
    "study_argument",
    "where_option",
]
