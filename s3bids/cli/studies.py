"""``s3bids studies``: the studies that come with s3bids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import json_option

if TYPE_CHECKING:
    from ..config import StudyConfig


@click.command("studies")
@json_option
def command(as_json: bool) -> None:
    """List the studies that come with s3bids.

    Their names serve as STUDY; each is a YAML file that can be copied and changed.
    """
    from ..config import load_config, shipped_studies
    from .render import out, out_all, out_json, table

    files = shipped_studies()
    configs = [load_config(path) for path in files.values()]
    if as_json:
        rows = zip(configs, files.values(), strict=True)
        out_json([{**_as_in_the_file(config), "file": str(path)} for config, path in rows])
        return
    cells = [(config.name, config.description, config.location) for config in configs]
    out_all(table(["study", "description", "where"], cells, texts=3))
    folder = next(iter(files.values())).parent
    out("", f"Their files are in {folder}; s3bids studies --json tells more.")


def _as_in_the_file(config: StudyConfig) -> dict[str, Any]:
    return {"class" if name == "study_class" else name: value for name, value in vars(config).items()}
