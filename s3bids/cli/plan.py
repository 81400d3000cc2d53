"""``s3bids plan``: what a download would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import choice_options, connection_options, directory_argument, json_option, log_option, study_argument

if TYPE_CHECKING:
    from .options import Choice, Connection


@click.command("plan")
@study_argument
@directory_argument
@choice_options
@click.option("--overwrite", is_flag=True, help="Plan to replace files that differ and are not ours.")
@json_option
@log_option
@connection_options
def command(
    study: str, directory: str | None, choice: Choice, overwrite: bool, as_json: bool, connection: Connection
) -> None:
    """Show files and bytes of a download, and what is here already.

    Nothing is fetched or written: this is what `s3bids download` with the same options would do. DIR is by default
    the study's name in the working directory.
    """
    from .outcome import show_trouble
    from .plan_view import show_plan
    from .study_argument import open_chosen

    chosen = open_chosen(study, connection, choice)
    target = chosen.directory(directory)
    report = chosen.study.download_dataset(
        target,
        derivatives=chosen.derivatives,
        suffix=chosen.suffix,
        **chosen.asked,
        overwrite=overwrite,
        dry_run=True,
    )
    show_trouble(report)
    show_plan(chosen, report, target, as_json=as_json)
