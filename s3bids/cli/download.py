"""``s3bids download``: bring a study here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from .completion import complete_files, complete_studies
from .options import (
    choice_options,
    connection_options,
    directory_argument,
    json_option,
    log_option,
    not_empty,
    shard_option_value,
    size_option_value,
)

if TYPE_CHECKING:
    from ..batch import Shard
    from .frozen_source import FrozenSource
    from .options import Choice, Connection
    from .study_argument import Chosen

logger = logging.getLogger(__name__)


@click.command("download")
@click.argument("study", metavar="STUDY", shell_complete=complete_studies, required=False, callback=not_empty)
@directory_argument
@choice_options
@click.option("--jobs", type=int, metavar="N", help="Processes, -1 for all cores (default: 1, with many threads).")
@click.option(
    "--verify",
    type=click.Choice(["size", "etag", "sha256"]),
    help="How to check: the size; the MD5 too, where the ETag is one; and a SHA-256 for the record (default: etag).",
)
@click.option("--overwrite", is_flag=True, help="Replace files that differ and are not ours.")
@click.option("--dry-run", is_flag=True, help="Print the plan; fetch and write nothing.")
@click.option(
    "--plan",
    "plan",
    metavar="F",
    shell_complete=complete_files,
    callback=not_empty,
    help="Fetch this frozen plan: F DIR, without STUDY.",
)
@click.option(
    "--locked",
    metavar="F",
    shell_complete=complete_files,
    callback=not_empty,
    help="Fetch exactly what s3bids lock wrote: F DIR.",
)
@click.option("--shard", metavar="I/N", callback=shard_option_value, help="Fetch only part I of N equal ones.")
@click.option("--retry-failed", is_flag=True, help="Fetch only what failed before, as the manifest in DIR has it.")
@click.option("--reserve", metavar="SIZE", callback=size_option_value, help="Keep this much of the disk free, as 50G.")
@click.option("--into-other", is_flag=True, help="Download into a directory that holds another study.")
@click.option("--no-progress", is_flag=True, help="Show neither a bar nor lines of progress.")
@json_option
@log_option
@connection_options
def command(
    study: str | None,
    directory: str | None,
    choice: Choice,
    jobs: int | None,
    verify: str | None,
    overwrite: bool,
    dry_run: bool,
    plan: str | None,
    locked: str | None,
    shard: Shard | None,
    retry_failed: bool,
    reserve: int | None,
    into_other: bool,
    no_progress: bool,
    as_json: bool,
    connection: Connection,
) -> int:
    """Download a study or a part of it, complete and checked.

    DIR is by default the study's name in the working directory. Without further options you get the whole raw data
    set. Run the same command again to fetch what is missing or has changed: complete files are never fetched twice,
    and files that are not ours are kept. With --retry-failed only those files are asked for that failed and have not
    come since, out of what the other options choose; without --derivatives those of all derivatives are meant too.

    With --plan the objects of a plan that s3bids plan --save wrote are fetched, and nothing is listed: the only
    argument is then DIR. An object that has changed since is not fetched, but listed as failed. With --shard I/N, on
    any number of machines, each of N processes fetches a part of its own: parts are balanced by bytes and files, and
    the same everywhere.

    Exit codes: 0 all wanted files are here and checked, 1 some failed or differ, 2 usage or configuration,
    4 no space is left, 130 interrupted.
    """
    from ..errors import DownloadError
    from .frozen_source import FrozenSource, from_file, from_study, only_directory, require_study
    from .outcome import exit_code, show_outcome, show_trouble
    from .plan_view import show_plan
    from .progress import progress
    from .study_argument import Chosen, open_chosen

    if jobs == 0:
        raise click.BadParameter("0 processes do nothing; give at least 1, or -1 for all cores", param_hint="--jobs")
    if plan is not None and locked is not None:
        raise click.UsageError("--plan and --locked exclude each other")
    # A lock is a plan that names versions.
    plan = locked if plan is None else plan
    if retry_failed and (plan is not None or shard is not None):
        raise click.UsageError("--retry-failed goes without --plan and --shard; run the same command again instead")
    chosen: Chosen | FrozenSource
    if plan is not None:
        place = only_directory(study, directory)
        chosen = from_file(plan, shard, connection, choice)
    else:
        place = directory
        chosen = open_chosen(require_study(study), connection, choice)
    target = chosen.directory(place)
    how = {"allow_other_study": into_other} | _how(
        chosen, overwrite=overwrite, n_jobs=jobs, verify=verify, reserve=reserve
    )
    if isinstance(chosen, Chosen) and shard is not None:
        chosen = from_study(chosen, shard, target)
    logger.debug("download from %s to %s", chosen.location, target.absolute())
    emit = progress(wanted=not no_progress)
    try:
        if isinstance(chosen, FrozenSource):
            report = chosen.download(target, dry_run=dry_run, emit=emit, **how)
        else:
            report = chosen.study.download_dataset(
                target,
                derivatives=chosen.derivatives,
                suffix=chosen.suffix,
                # What failed was chosen before, by the file too.
                **(choice.asked if retry_failed else chosen.asked),
                retry_failed=retry_failed,
                dry_run=dry_run,
                emit=emit,
                **how,
            )
    except DownloadError as error:
        report = error.report
    show_trouble(report)
    if dry_run:
        show_plan(chosen, report, target, as_json=as_json)
        return 0
    show_outcome(chosen, report, target, as_json=as_json, retry_failed=retry_failed)
    return exit_code(report)


def _how(chosen: Chosen | FrozenSource, *, overwrite: bool, **given: Any) -> dict[str, Any]:
    """Give the arguments that say how to download: those of the command line, else of the study's file."""
    from .study_argument import Chosen

    known = {"n_jobs": None, "verify": "etag", "overwrite": False, "reserve": 0}
    if isinstance(chosen, Chosen):
        known = {name: chosen.config.download_arguments[name] for name in known}
    said = {name: value for name, value in given.items() if value is not None}
    return {**known, **said, "overwrite": overwrite or known["overwrite"]}
