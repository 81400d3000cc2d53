"""``s3bids slurm``: a plan, and the scripts of a Slurm array that fetches it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

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


@click.command("slurm", short_help="Write the scripts of a Slurm array that downloads a study.")
@study_argument
@directory_argument
@choice_options
@click.option("--tasks", type=int, required=True, metavar="N", help="Tasks of the array; each fetches an equal part.")
@click.option("--at-once", type=int, metavar="N", help="How many of them may run at once (default: what Slurm lets).")
@click.option("--partition", metavar="P", callback=not_empty, help="Partition of the jobs.")
@click.option("--time", "limit", metavar="T", callback=not_empty, help="Time limit of a job, such as 12:00:00.")
@click.option(
    "--sbatch",
    "further",
    metavar="OPTION",
    multiple=True,
    help="A further option of sbatch, such as --sbatch=--mem=4G.",
)
@click.option(
    "--verify",
    "checks",
    type=click.Choice(["size", "etag", "sha256"]),
    help="How the tasks check what they fetch, as for s3bids download (default: etag).",
)
@json_option
@log_option
@connection_options
def command(
    study: str,
    directory: str | None,
    choice: Choice,
    tasks: int,
    at_once: int | None,
    partition: str | None,
    limit: str | None,
    further: tuple[str, ...],
    checks: str | None,
    as_json: bool,
    connection: Connection,
) -> None:
    """Write a plan and the scripts of a Slurm array that fetches it; print the command that submits them.

    STUDY is listed once, here. Each task of the array then fetches its part of the plan into DIR, which all of them
    see. Behind the array, however its tasks end, a last job verifies the whole and writes report.txt and report.json.
    Plan, scripts, logs and report are in a folder of their own in DIR/.s3bids/. A task that is killed or requeued goes
    on where it was. Nothing is fetched and nothing is submitted by this command. DIR is by default what a study file
    says, else the study's name in the working directory.
    """
    from dataclasses import replace

    from ..batch.slurm import SlurmJob, write_job
    from .frozen_source import frozen
    from .render import files_text, out, out_json, size_text
    from .study_argument import open_chosen

    # Before the study is listed, what makes no sense is refused.
    if tasks < 1:
        raise click.BadParameter(f"{tasks} tasks do nothing; give at least 1", param_hint="--tasks")
    job = SlurmJob(tasks, at_once, partition, limit, further, checks or "etag")
    chosen = open_chosen(study, connection, choice)
    config = chosen.config
    job = replace(
        job,
        verify=checks or config.verify,
        jobs=config.jobs,
        reserve=config.reserve_bytes,
        overwrite=config.overwrite,
    )
    root = chosen.directory(directory)
    plan = frozen(chosen, choice.words, root)
    files = write_job(plan, root, job, (sys.executable, "-m", "s3bids"))
    if as_json:
        out_json({name: str(path) for name, path in vars(files).items()})
        return
    out(
        f"{chosen.location} -> {root}: {files_text(len(plan))}, {size_text(plan.bytes)}, in {tasks} tasks",
        f"the scripts are in {files.folder}; submit them with",
        f"  sh {files.submit}",
    )
