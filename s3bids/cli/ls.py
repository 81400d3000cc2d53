"""``s3bids ls``: what is in a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .header_view import check_table, show_headers
from .options import connection_options, json_option, log_option, not_empty, study_argument

if TYPE_CHECKING:
    from ..catalog import Entry
    from ..study import S3BIDSStudy
    from .options import Connection


@click.command("ls")
@study_argument
@click.option("--subjects", "with_subjects", is_flag=True, help="List the subjects (the default).")
@click.option("--derivatives", "with_derivatives", is_flag=True, help="List the names of the derivatives.")
@click.option("--files", "with_files", is_flag=True, help="List the files of the raw data set, with their sizes.")
@click.option("--headers", "with_headers", is_flag=True, help="Read the headers of its images into a table.")
@click.option(
    "--suffix", metavar="S", help="With --files or --headers: only subjects' files whose names end with this."
)
@click.option(
    "-o", "--output", metavar="F", callback=not_empty, help="Write the table of --headers to a file: .tsv or .parquet."
)
@json_option
@log_option
@connection_options
def command(
    study: str,
    with_subjects: bool,
    with_derivatives: bool,
    with_files: bool,
    with_headers: bool,
    suffix: str | None,
    output: str | None,
    as_json: bool,
    connection: Connection,
) -> int:
    """List the subjects, derivatives or files of a study, or the headers of its images.

    Nothing of their content is fetched, but for --headers at most 64 KB of each image. A file is one line: its size in
    bytes, then its path. Headers are a table with tabs (TSV): one line an image, n/a for what its header does not say.
    Control characters in names are escaped; --json has the names as they are.
    """
    from .options import Choice
    from .render import out, out_all, out_json
    from .study_argument import open_chosen

    check_table(output, with_headers=with_headers, alone=not (with_subjects or with_derivatives or with_files))
    chosen = open_chosen(study, connection, Choice(suffix=suffix))
    if with_headers:
        return show_headers(chosen, output, as_json=as_json)
    lists: dict[str, list[Any]] = {}
    if with_subjects or not (with_derivatives or with_files):
        lists["subjects"] = [subject.subject_id for subject in chosen.study.subjects]
    if with_derivatives:
        lists["derivatives"] = _derivatives(chosen.study)
    if with_files:
        lists["files"] = [_file(entry) for entry in chosen.study.dataset_catalog(suffix=suffix)]
    if as_json:
        out_json({"study": chosen.study.study_id, "source": chosen.location, **lists})
        return 0
    for number, (title, items) in enumerate(lists.items()):
        if len(lists) > 1:
            out(*([""] if number else []), f"{title}:")
        out_all(f"{item['size']:>12}  {item['path']}" if title == "files" else item for item in items)
    return 0


def _derivatives(study: S3BIDSStudy) -> list[str]:
    """Name the derivatives, whatever the layout: some types are whole addresses."""
    return [kind.rpartition("/")[2] for kind in study.derivative_types]


def _file(entry: Entry) -> dict[str, Any]:
    moment = entry.last_modified
    return {
        "path": entry.path,
        "size": entry.size,
        "etag": entry.etag,
        "last_modified": moment.isoformat() if moment else None,
        "subject": entry.subject,
    }
