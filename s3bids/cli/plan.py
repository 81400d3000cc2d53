"""``s3bids plan``: what a download would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .completion import complete_files
from .options import (
    choice_options,
    connection_options,
    directory_argument,
    json_option,
    log_option,
    not_empty,
    study_argument,
)

if TYPE_CHECKING:
    from .options import Choice, Connection


@click.command("plan", short_help="Show what a download would fetch, and what is here already.")
@study_argument
@directory_argument
@choice_options
@click.option("--overwrite", is_flag=True, help="Plan to replace files that differ and are not ours.")
@click.option(
    "--save",
    metavar="F",
    shell_complete=complete_files,
    callback=not_empty,
    help="Also write the plan to this file (such as plan.jsonl.gz), to be fetched by s3bids download --plan.",
)
@json_option
@log_option
@connection_options
def command(
    study: str,
    directory: str | None,
    choice: Choice,
    overwrite: bool,
    save: str | None,
    as_json: bool,
    connection: Connection,
) -> None:
    """Show files and bytes of a download, and what is here already.

    Nothing is fetched or written, but for the file of --save: this is what `s3bids download` with the same options
    would do. DIR is by default the study's name in the working directory.

    A plan that was saved holds every object as the bucket is listed now, wherever it is fetched later and by how many
    processes: s3bids download --plan F DIR, and with --shard I/N a part of it. It holds no secrets.
    """
    from .outcome import show_trouble
    from .plan_view import show_plan
    from .render import say
    from .study_argument import open_chosen

    chosen = open_chosen(study, connection, choice)
    target = chosen.directory(directory)
    report = chosen.study.download_dataset(
        target,
        derivatives=chosen.derivatives,
        suffix=chosen.suffix,
        **chosen.asked,
        overwrite=overwrite or chosen.config.overwrite,
        dry_run=True,
    )
    show_trouble(report)
    if save is not None:
        from ..batch import save_plan
        from .frozen_source import frozen_report, require_untrimmed

        require_untrimmed(chosen)
        save_plan(frozen_report(chosen, report, choice.words), save)
        say(f"the plan is in {save}; s3bids download --plan {save} DIR fetches it, with --shard I/N a part of it")
    show_plan(chosen, report, target, as_json=as_json)
