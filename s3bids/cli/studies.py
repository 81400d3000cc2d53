"""``s3bids studies``: the studies that come with s3bids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import json_option

if TYPE_CHECKING:
    from ..config import StudyConfig


@click.command("studies")
@json_option
@click.option("--long", "is_long", is_flag=True, help="Also layout, region, participant table and address of each.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of study files, for editors.")
def command(as_json: bool, is_long: bool, schema: bool) -> None:
    """List the studies that come with s3bids.

    Their names serve as STUDY; each is a YAML file that can be copied and changed.
    """
    from ..config import load_config, shipped_studies, study_schema
    from .render import out, out_all, out_json, table

    if schema:
        out_json(study_schema())
        return
    files = shipped_studies()
    configs = [load_config(path) for path in files.values()]
    if as_json:
        rows = zip(configs, files.values(), strict=True)
        out_json([{**_as_in_the_file(config), "file": str(path)} for config, path in rows])
        return
    header = ["study", "data sets", "description", *(["layout", "region", "participants", "where"] if is_long else [])]
    out_all(table(header, (_cells(config)[: len(header)] for config in configs), texts=len(header)))
    folder = next(iter(files.values())).parent
    out(
        "",
        "Where there are many data sets, s3bids ls STUDY lists them, and STUDY/NAME is one of them.",
        f"The files are in {folder}; s3bids studies --long tells where the data are.",
    )


def _cells(config: StudyConfig) -> tuple[str, ...]:
    return (
        config.name,
        "many" if config.collection else "one",
        config.description,
        config.layout or ("subject-first" if config.site else "nested"),
        config.region or "-",
        config.participants or "-",
        config.location,
    )


def _as_in_the_file(config: StudyConfig) -> dict[str, Any]:
    return {"class" if name == "study_class" else name: value for name, value in vars(config).items()}
