"""``s3bids ls``: what is in a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import connection_options, json_option, log_option, study_argument

if TYPE_CHECKING:
    from ..catalog import Entry
    from ..study import S3BIDSStudy
    from .options import Connection


@click.command("ls")
@study_argument
@click.option("--subjects", "with_subjects", is_flag=True, help="List the subjects (the default).")
@click.option("--derivatives", "with_derivatives", is_flag=True, help="List the names of the derivatives.")
@click.option("--files", "with_files", is_flag=True, help="List the files of the raw data set, with their sizes.")
@json_option
@log_option
@connection_options
def command(
    study: str,
    with_subjects: bool,
    with_derivatives: bool,
    with_files: bool,
    as_json: bool,
    connection: Connection,
) -> None:
    """List the subjects, derivatives or files of a study.

    Nothing of their content is fetched. A file is one line: its size in bytes, then its path. Control characters in
    names are escaped; --json has the names as they are.
    """
    from .options import Choice
    from .render import out, out_all, out_json
    from .study_argument import open_chosen

    chosen = open_chosen(study, connection, Choice())
    lists: dict[str, list[Any]] = {}
    if with_subjects or not (with_derivatives or with_files):
        lists["subjects"] = [subject.subject_id for subject in chosen.study.subjects]
    if with_derivatives:
        lists["derivatives"] = _derivatives(chosen.study)
    if with_files:
        lists["files"] = [_file(entry) for entry in chosen.study.dataset_catalog()]
    if as_json:
        out_json({"study": chosen.study.study_id, "source": chosen.location, **lists})
        return
    for number, (title, items) in enumerate(lists.items()):
        if len(lists) > 1:
            out(*([""] if number else []), f"{title}:")
        out_all(f"{item['size']:>12}  {item['path']}" if title == "files" else item for item in items)


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
