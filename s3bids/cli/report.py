"""``s3bids report``: the coverage page of a study or of a download."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .completion import complete_files, complete_studies
from .options import Choice, Connection, choice_options, connection_options, json_option, log_option, not_empty

if TYPE_CHECKING:
    from ..report.coverage import Coverage


@click.command("report", short_help="Write a page that shows what a study or a download holds.")
@click.argument("study", metavar="STUDY|DIR", shell_complete=complete_studies, callback=not_empty)
@click.option(
    "-o",
    "--output",
    metavar="F",
    shell_complete=complete_files,
    default="coverage.html",
    callback=not_empty,
    help="The file to write.",
)
@click.option("--deep", is_flag=True, help="Of a download: read every file and compare its hash, where one is known.")
@choice_options
@json_option
@log_option
@connection_options
def command(study: str, output: str, deep: bool, choice: Choice, as_json: bool, connection: Connection) -> None:
    """Write a page that shows what a study or a download holds.

    The page is one HTML file that opens offline: subjects by data type, sizes, ages and sexes, and for a download the
    state of its files. Of a study the listing and the participant table are read, and no data; of a directory the
    manifest and the files, and no server is asked. Give ./NAME for a directory that is called like a shipped study.
    """
    from ..report.page import check_page_name, write_page
    from .render import files_text, out, out_json, size_text

    check_page_name(output)
    if _is_directory(study):
        if choice != Choice() or connection != Connection():
            raise click.UsageError("options that choose from a study or reach a bucket do not go with a directory")
        coverage = _of_directory(study, deep=deep)
    else:
        if deep:
            raise click.UsageError("--deep goes with a directory; of a study no data are read")
        coverage = _of_study(study, choice, connection)
    page = write_page(output, coverage, now=_now())
    holdings, checked = coverage.holdings, coverage.checked
    if as_json:
        states = {"states": {state.value: number for state, number in checked.states.items()}} if checked else {}
        out_json(
            {
                "page": str(page.absolute()),
                "source": coverage.source,
                "subjects": len(holdings.subjects),
                "files": holdings.total.files,
                "bytes": holdings.total.bytes,
                **states,
            }
        )
        return
    number = len(holdings.subjects)
    subjects = "1 subject" if number == 1 else f"{number:,} subjects"
    out(f"{page}: {subjects}, {files_text(holdings.total.files)}, {size_text(holdings.total.bytes)}")
    if checked and checked.problems:
        number = len(checked.problems)
        what = (
            "is not as it should be; the page lists it"
            if number == 1
            else "are not as they should be; the page lists them"
        )
        out(f"{number:,} of {files_text(checked.files)} {what}")


def _is_directory(study: str) -> bool:
    from ..config import shipped_studies

    return "://" not in study and Path(study).is_dir() and study not in shipped_studies()


def _of_directory(directory: str, *, deep: bool) -> Coverage:
    from ..report.coverage import directory_coverage

    return directory_coverage(directory, deep=deep)


def _of_study(study: str, choice: Choice, connection: Connection) -> Coverage:
    from ..choice import choosing
    from .study_argument import open_chosen

    chosen = open_chosen(study, connection, choice)
    return chosen.study.dataset_coverage(
        derivatives=chosen.derivatives, suffix=chosen.suffix, choice=choosing(**chosen.asked)
    )


def _now() -> datetime:
    return datetime.now().astimezone()


__all__ = ["command"]
