"""``s3bids download``: bring a study here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from .options import choice_options, connection_options, directory_argument, json_option, log_option, study_argument

if TYPE_CHECKING:
    from .options import Choice, Connection

logger = logging.getLogger(__name__)


@click.command("download")
@study_argument
@directory_argument
@choice_options
@click.option("--jobs", type=int, metavar="N", help="Processes, -1 for all cores (default: 1, with many threads).")
@click.option(
    "--verify",
    type=click.Choice(["size", "etag", "sha256"]),
    default="etag",
    show_default=True,
    help="How to check: the size; the MD5 too, where the ETag is one; and a SHA-256 for the record.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that differ and are not ours.")
@click.option("--dry-run", is_flag=True, help="Print the plan; fetch and write nothing.")
@click.option("--retry-failed", is_flag=True, help="Fetch only what failed before, as the manifest in DIR has it.")
@click.option("--no-progress", is_flag=True, help="Show neither a bar nor lines of progress.")
@json_option
@log_option
@connection_options
def command(
    study: str,
    directory: str | None,
    choice: Choice,
    jobs: int | None,
    verify: str,
    overwrite: bool,
    dry_run: bool,
    retry_failed: bool,
    no_progress: bool,
    as_json: bool,
    connection: Connection,
) -> int:
    """Download a study or a part of it, complete and checked.

    DIR is by default the study's name in the working directory. Without further options you get the whole raw data
    set. Run the same command again to fetch what is missing or has changed: complete files are never fetched twice,
    and files that are not ours are kept. With --retry-failed only those files are asked for that failed and have not
    come since, out of what the other options choose; without --derivatives those of all derivatives are meant too.

    Exit codes: 0 all wanted files are here and checked, 1 some failed or differ, 2 usage or configuration,
    4 no space is left, 130 interrupted.
    """
    from ..errors import DownloadError
    from .outcome import exit_code, show_outcome, show_trouble
    from .plan_view import show_plan
    from .progress import progress
    from .study_argument import open_chosen

    if jobs == 0:
        raise click.BadParameter("0 processes do nothing; give at least 1, or -1 for all cores", param_hint="--jobs")
    chosen = open_chosen(study, connection, choice)
    target = chosen.directory(directory)
    logger.debug("download from %s to %s", chosen.location, target.absolute())
    try:
        report = chosen.study.download_dataset(
            target,
            derivatives=chosen.derivatives,
            suffix=chosen.suffix,
            **chosen.asked,
            overwrite=overwrite,
            n_jobs=jobs,
            verify=verify,
            dry_run=dry_run,
            retry_failed=retry_failed,
            emit=progress(wanted=not no_progress),
        )
    except DownloadError as error:
        report = error.report
    show_trouble(report)
    if dry_run:
        show_plan(chosen, report, target, as_json=as_json)
        return 0
    show_outcome(chosen, report, target, as_json=as_json, retry_failed=retry_failed)
    return exit_code(report)
