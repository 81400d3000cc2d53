"""``s3bids lock``: a frozen plan that names versions, to fetch exactly the same objects ever after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .completion import complete_files
from .options import choice_options, connection_options, json_option, log_option, not_empty, study_argument

if TYPE_CHECKING:
    from .options import Choice, Connection


@click.command("lock", short_help="Write down the exact objects of a study, to fetch them again.")
@study_argument
@click.option(
    "-o",
    "--output",
    metavar="F",
    shell_complete=complete_files,
    required=True,
    callback=not_empty,
    help="The file to write: study.lock.",
)
@choice_options
@json_option
@log_option
@connection_options
def command(study: str, output: str, choice: Choice, as_json: bool, connection: Connection) -> None:
    """Write down which objects a study consists of now, with their versions where the bucket keeps them.

    s3bids download --locked F DIR fetches exactly these, by version id, or else only while they have the same ETag;
    what has drifted is listed as failed. The file has the format of a frozen plan, with a version id for each object.
    """
    from pathlib import Path

    from ..batch import lock, save_plan
    from .frozen_source import frozen
    from .render import files_text, out, out_json, size_text
    from .study_argument import open_chosen

    chosen = open_chosen(study, connection, choice)
    plan = lock(frozen(chosen, choice.words, Path()), chosen.study.storage)
    save_plan(plan, output)
    known = sum(version is not None for version in plan.wanted.versions)
    if as_json:
        out_json({"lock": output, "files": len(plan), "bytes": plan.bytes, "with_version": known})
        return
    out(f"{output}: {files_text(len(plan))}, {size_text(plan.bytes)}; {known:,} with a version id, the rest by ETag")
