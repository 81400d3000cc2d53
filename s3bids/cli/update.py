"""``s3bids update``: fetch what is new or changed upstream, and with --prune delete what is gone there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .completion import complete_directories
from .options import Connection, connection_options, is_local, json_option, log_option

if TYPE_CHECKING:
    pass


@click.command("update", short_help="Bring a download up to date with its study.")
@click.argument("directory", metavar="DIR", shell_complete=complete_directories, callback=is_local)
@click.option("--prune", "prunes", is_flag=True, help="Also delete files whose objects are gone, after listing them.")
@click.option("--yes", is_flag=True, help="Delete without a question.")
@click.option("--dry-run", is_flag=True, help="Fetch and delete nothing; say what would be.")
@click.option("--no-progress", is_flag=True, help="Show neither a bar nor lines of progress.")
@json_option
@log_option
@connection_options
def command(
    directory: str,
    prunes: bool,
    yes: bool,
    dry_run: bool,
    no_progress: bool,
    as_json: bool,
    connection: Connection,
) -> int:
    """Bring DIR up to date with the study and the choice that its manifest names.

    Fetched is what is new or has changed; nothing else. With --prune those files are listed whose objects are gone, and
    after a question, or with --yes, deleted: only files that s3bids wrote and nobody has changed since.

    Exit codes: 0 all is here and checked, 1 some failed or differ, 2 usage or configuration, 4 no space is left.
    """
    from ..batch.frozen import Access
    from ..batch.update import gone_upstream, prune, selections, update
    from ..errors import DownloadError
    from ..transfer.plan import FETCHING
    from .outcome import exit_code, is_complete, show_trouble
    from .progress import progress
    from .render import files_text, out, out_all, out_json, say, size_text

    open_storage = connection.applied_to(Access()).open
    reports = []
    for selection in selections(directory):
        emit = progress(wanted=not no_progress)
        with open_storage(selection.location) as storage:
            try:
                reports.append(update(selection, directory, storage, dry_run=dry_run, emit=emit))
            except DownloadError as error:
                reports.append(error.report)
        show_trouble(reports[-1])
    ours, kept = gone_upstream(directory, open_storage=open_storage) if prunes else ([], [])
    lines = [f"gone: {target}" for target in ours] + [f"gone, but changed here and kept: {each}" for each in kept]
    deleted: list[str] = []
    if not as_json:
        out_all(lines)
    elif not (yes or dry_run):
        # Whoever is asked has to see what for.
        for line in lines:
            say(line)
    if ours and not dry_run and any(report.failed for report in reports):
        # What an object is now called may be what failed.
        say("since some files failed, nothing is deleted; run the same command again")
    elif ours and not dry_run and (yes or _agreed(len(ours))):
        deleted = prune(directory, ours)
    fetched = sum(report.fetched for report in reports)
    to_fetch = sum(report.plan.count(*FETCHING) for report in reports if report.plan) if dry_run else 0
    number = sum(report.bytes for report in reports)
    if as_json:
        out_json(
            {
                "directory": directory,
                "complete": all(map(is_complete, reports)),
                "fetched": fetched,
                "to_fetch": to_fetch,
                "bytes": number,
                "failed": sum(report.failed for report in reports),
                "gone": ours,
                "gone_but_changed_here": kept,
                "deleted": deleted,
            }
        )
    elif dry_run:
        out(f"{directory}: {files_text(to_fetch)} to fetch, {len(ours):,} to delete")
    else:
        out(f"{directory}: fetched {files_text(fetched)}, {size_text(number)}; deleted {len(deleted):,}")
    return 0 if dry_run else max(exit_code(report) for report in reports)


def _agreed(number: int) -> bool:
    """Ask before files are deleted; where nobody can answer, --yes has to say it."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{number:,} file(s) listed above would be deleted; agree with --yes")
    return click.confirm(f"delete {number:,} file(s)?", err=True)
