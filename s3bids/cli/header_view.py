"""The table of ``s3bids ls --headers``: on stdout, or as a file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from .study_argument import Chosen

_FORMATS = (".tsv", ".parquet")


def check_table(output: str | None, asked: dict[str, Any], *, with_headers: bool, alone: bool) -> None:
    """Refuse options that make no sense together, and a file that cannot be written, before anything is asked."""
    if with_headers and not alone:
        raise click.UsageError(
            "--headers gives a table of its own; ask for subjects, derivatives or files by another call"
        )
    if asked and not with_headers:
        raise click.UsageError("--filter and --where are for the table of --headers; s3bids plan takes them for files")
    if output is None:
        return
    if not with_headers:
        raise click.UsageError("--output is for the table of --headers")
    if Path(output).suffix not in _FORMATS:
        raise click.UsageError(f"--output {output!r} must end in {' or '.join(_FORMATS)}")
    if not Path(output).parent.is_dir():
        raise click.UsageError(f"the directory of --output {output!r} does not exist")
    if Path(output).suffix == ".parquet" and find_spec("pyarrow") is None:
        raise click.UsageError("a .parquet file needs the package pyarrow: pip install 's3bids[parquet]'")


def show_headers(chosen: Chosen, output: str | None, *, as_json: bool) -> int:
    """Read and show the headers; the exit code says whether all could be read."""
    from ..header_table import COLUMNS, header_rows
    from .outcome import MOST_NAMED
    from .program import Exit
    from .render import files_text, out, out_json, out_tsv, say

    rows = header_rows(chosen.study, suffix=chosen.suffix, **chosen.asked)
    failed = [row for row in rows if row["error"] is not None]
    for row in failed[:MOST_NAMED]:
        say(f"no header: {row['path']}: {row['error']}")
    if len(failed) > MOST_NAMED:
        say(f"no header: and {len(failed) - MOST_NAMED:,} more; the column 'error' has them all")
    if output is not None:
        _write(rows, Path(output))
    if as_json:
        out_json({"study": chosen.study.study_id, "source": chosen.location, "headers": rows})
    elif output is None:
        out_tsv(COLUMNS, rows)
    else:
        out(f"the headers of {files_text(len(rows) - len(failed))} are in {output}; {len(failed):,} could not be read")
    return Exit.FAILED if failed else Exit.DONE


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    from ..header_table import COLUMNS, header_frame
    from ..storage.files import atomic_file
    from .render import tsv_lines

    with atomic_file(path) as file:
        if path.suffix == ".parquet":
            header_frame(rows).to_parquet(file, engine="pyarrow", index=False)
        else:
            file.writelines(f"{line}\n".encode("utf-8", "backslashreplace") for line in tsv_lines(COLUMNS, rows))


__all__ = ["check_table", "show_headers"]
