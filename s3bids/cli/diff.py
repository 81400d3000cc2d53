"""``s3bids diff``: what changed upstream since a download."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from .completion import complete_directories
from .options import choice_options, connection_options, is_local, json_option, log_option, study_argument

if TYPE_CHECKING:
    from .options import Choice, Connection


@click.command("diff", short_help="Show what changed in a study since it was downloaded.")
@click.argument("directory", metavar="DIR", shell_complete=complete_directories, callback=is_local)
@study_argument
@choice_options
@json_option
@log_option
@connection_options
def command(directory: str, study: str, choice: Choice, as_json: bool, connection: Connection) -> int:
    """Show what changed in a study since it was downloaded to DIR: objects that are new, changed or gone.

    STUDY is listed as s3bids download with the same options would; nothing is fetched, and the files in DIR are not
    looked at (s3bids verify does that). s3bids download with the same options then fetches what is new or changed.

    Exit codes: 0 nothing changed, 2 there is no manifest, or the study cannot be listed, 3 there are differences.
    """
    from pathlib import Path

    from ..batch import drift
    from ..transfer.manifest import require_manifest
    from .frozen_source import frozen
    from .program import Exit
    from .render import out, out_all, out_json
    from .study_argument import open_chosen

    require_manifest(Path(directory), "compare")
    chosen = open_chosen(study, connection, choice)
    plan = frozen(chosen, choice.words, Path(directory), may_be_trimmed=True)
    has_all_raw = len(chosen.study.subjects) == chosen.study.subject_count and not (chosen.asked or chosen.suffix)
    found = drift(directory, plan, has_all_raw=has_all_raw)
    if as_json:
        differences = [{"target": each.target, "kind": each.kind, "detail": each.detail} for each in found]
        out_json({"directory": str(Path(directory).absolute()), "source": chosen.location, "differences": differences})
    else:
        out_all(f"{each.kind}: {each.target}: {each.detail}" for each in found)
        counts = ", ".join(f"{number:,} {kind}" for kind, number in Counter(each.kind for each in found).items())
        out(f"{chosen.location} against {directory}: {counts or 'nothing changed'}")
    return Exit.DIFFERENT if found else Exit.DONE
