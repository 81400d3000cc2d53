"""``s3bids ls``: what is in a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .completion import complete_files
from .header_view import check_table, show_headers
from .options import (
    connection_options,
    filter_option,
    json_option,
    log_option,
    not_empty,
    parsed_filters,
    split_names,
    study_argument,
    where_option,
)

if TYPE_CHECKING:
    from ..catalog import Entry
    from ..config import StudyConfig
    from ..study import S3BIDSStudy
    from .options import Connection


@click.command("ls", short_help="List subjects, derivatives or files of a study.")
@study_argument
@click.option("--subjects", "with_subjects", is_flag=True, help="List the subjects (the default).")
@click.option("--derivatives", "with_derivatives", is_flag=True, help="List the names of the derivatives.")
@click.option(
    "--sizes", "with_sizes", is_flag=True, help="List the derivatives with subjects, files and bytes of each."
)
@click.option("--files", "with_files", is_flag=True, help="List the files of the raw data set, with their sizes.")
@click.option("--headers", "with_headers", is_flag=True, help="Read the headers of its images into a table.")
@click.option(
    "--suffix", metavar="S", help="With --files or --headers: only subjects' files whose names end with this."
)
@click.option(
    "-o",
    "--output",
    metavar="F",
    shell_complete=complete_files,
    callback=not_empty,
    help="Write the table of --headers to a file: .tsv or .parquet.",
)
@click.option(
    "--coverage", "with_coverage", is_flag=True, help="Count each subject's recordings: anat/T1w, func/bold ..."
)
@click.option(
    "--require", metavar="T1w,..", multiple=True, callback=split_names, help="List the subjects that lack one of these."
)
@filter_option
@where_option
@json_option
@log_option
@connection_options
def command(
    study: str,
    with_subjects: bool,
    with_derivatives: bool,
    with_sizes: bool,
    with_files: bool,
    with_headers: bool,
    suffix: str | None,
    output: str | None,
    with_coverage: bool,
    require: tuple[str, ...],
    filter: tuple[str, ...],
    where: str | None,
    as_json: bool,
    connection: Connection,
) -> int:
    """List the subjects, derivatives or files of a study, what each subject has, or the headers of its images.

    Of a collection, its data sets are listed. Of a study file its subjects count, and not what else it chooses, such
    as where and filters: s3bids plan shows that.

    Nothing of their content is fetched, but for --headers at most 64 KB of each image. A file is one line: its size in
    bytes, then its path. Headers are a table with tabs (TSV): one line an image, n/a for what its header does not say;
    --filter and --where choose the images.
    Control characters in names are escaped; --json has the names as they are.
    """
    from .options import Choice
    from .render import out, out_json, say
    from .study_argument import config_of, open_chosen

    lists_asked = (with_subjects, with_derivatives, with_sizes, with_files, with_coverage, bool(require))
    asked = {name: value for name, value in (("filters", parsed_filters(filter)), ("where", where)) if value}
    check_table(output, asked, with_headers=with_headers, alone=not any(lists_asked))
    config = connection.applied_to(config_of(study))
    if config.collection:
        _show_members(config, as_json=as_json)
        return 0
    chosen = open_chosen(study, connection, Choice(suffix=suffix, asked=asked))
    if with_headers:
        return show_headers(chosen, output, as_json=as_json)
    opened = chosen.study
    lists: dict[str, list[Any]] = {}
    if not any(lists_asked) or with_subjects:
        lists["subjects"] = [subject.subject_id for subject in opened.subjects]
    if with_sizes:
        lists["derivatives"] = _sizes(opened)
    elif with_derivatives:
        lists["derivatives"] = _derivatives(opened)
    if with_coverage or require:
        lists |= _coverage(opened, require, with_coverage=with_coverage)
    if with_files:
        lists["files"] = [_file(entry) for entry in opened.dataset_catalog(suffix=suffix)]
    if as_json:
        out_json({"study": opened.study_id, "source": chosen.location, **lists})
        return 0
    for number, (title, items) in enumerate(lists.items()):
        if len(lists) > 1:
            out(*([""] if number else []), f"{title}:")
        _show(title, items)
    if lists.get("subjects") == []:
        say(f"no subject is in {chosen.location}: no folder there is named sub-...; --files lists what there is")
    return 0


def _show_members(config: StudyConfig, *, as_json: bool) -> None:
    """List the data sets of a collection, by the names that serve as STUDY."""
    from ..config import list_members
    from .render import out_all, out_json

    names = [f"{config.name}/{name}" for name in list_members(config)]
    if as_json:
        out_json({"study": config.name, "source": config.location, "data_sets": names})
        return
    out_all(names)


def _show(title: str, items: list[Any]) -> None:
    from .render import out_all, size_text, table

    if title == "files":
        out_all(f"{item['size']:>12}  {item['path']}" for item in items)
    elif title == "coverage":
        columns = sorted({column for item in items for column in item["recordings"]})
        rows = [[item["subject"], *(item["recordings"].get(column, 0) for column in columns)] for item in items]
        out_all(table(["subject", *columns], rows))
    elif title == "lacking":
        out_all(f"{item['subject']}  {', '.join(item['lacks'])}" for item in items)
    elif title == "derivatives" and items and isinstance(items[0], dict):
        rows = [
            [item["derivative"], item["subjects"], item["files"], size_text(item["bytes"]), _yes(item["is_described"])]
            for item in items
        ]
        out_all(table(["derivative", "subjects", "files", "bytes", "described"], rows))
    else:
        out_all(items)


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _coverage(study: S3BIDSStudy, require: tuple[str, ...], *, with_coverage: bool) -> dict[str, list[Any]]:
    """Count the recordings of each subject, and name the subjects that lack some."""
    from ..bids.coverage import lacking
    from ..overview import count_recordings

    found = count_recordings(study, [subject.subject_id for subject in study.subjects])
    lists: dict[str, list[Any]] = {}
    if with_coverage:
        lists["coverage"] = [{"subject": subject, "recordings": counts} for subject, counts in found.items()]
    if require:
        lists["lacking"] = [{"subject": s, "lacks": names} for s, names in lacking(found, require).items()]
    return lists


def _sizes(study: S3BIDSStudy) -> list[dict[str, Any]]:
    """Count subjects, files and bytes of each derivative."""
    from ..overview import derivative_overview

    return [
        {
            "derivative": one.name,
            "subjects": len(one.subjects),
            "files": one.files,
            "bytes": one.bytes,
            "is_described": one.is_described,
        }
        for one in derivative_overview(study)
    ]


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
