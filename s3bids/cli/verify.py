"""``s3bids verify``: the files of a download against its manifest."""

from __future__ import annotations

import click

from .options import json_option, not_empty


@click.command("verify")
@click.argument("directory", metavar="DIR", callback=not_empty)
@click.option("--deep", is_flag=True, help="Read every file and compare its hash, where one was recorded.")
@json_option
def command(directory: str, deep: bool, as_json: bool) -> int:
    """Check a download against its manifest.

    No server is asked. Listed are files that are missing or have another size, and with --deep those with other
    bytes.

    Exit codes: 0 no difference, 2 there is no manifest, 3 there are differences.
    """
    from pathlib import Path

    from ..transfer.verify import verify_directory
    from .program import Exit
    from .render import files_text, out, out_all, out_json, size_text

    found = verify_directory(directory, deep=deep)
    code = Exit.DIFFERENT if found.differences else Exit.DONE
    if as_json:
        out_json(
            {
                "directory": str(Path(directory).absolute()),
                "deep": deep,
                "files": found.files,
                "bytes": found.bytes,
                "complete": not found.differences,
                "differences": [
                    {"target": each.target, "kind": each.kind, "detail": each.detail} for each in found.differences
                ],
            }
        )
        return code
    out_all(f"{each.kind}: {each.target}: {each.detail}" for each in found.differences)
    what = "sizes and hashes" if deep else "sizes"
    if found.differences:
        out(f"{len(found.differences):,} of {files_text(found.files)} in {directory} differ from the manifest ({what})")
    else:
        out(f"{files_text(found.files)}, {size_text(found.bytes)}, in {directory}: {what} agree with the manifest")
    return code
