"""``s3bids verify``: the files of a download against its manifest, and against the bucket."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from .options import Connection, connection_options, json_option, log_option, not_empty

if TYPE_CHECKING:
    from ..storage.base import Storage
    from ..transfer.verify import Verification


@click.command("verify")
@click.argument("directory", metavar="DIR", callback=not_empty)
@click.option("--deep", is_flag=True, help="Read every file and compare its hash, where one is known.")
@click.option("--remote", is_flag=True, help="List the bucket as well, and compare it with what was downloaded.")
@json_option
@log_option
@connection_options
def command(directory: str, deep: bool, remote: bool, as_json: bool, connection: Connection) -> int:
    """Check a download against its manifest, and with --remote against the bucket as it is now.

    Listed are files that are missing or have another size, and with --deep those with other bytes. With --remote also:
    objects that have changed or are gone, objects that were written since and are not here (in the directories of
    those subjects and derivatives of which something is here), and files that no manifest knows. Nothing is fetched;
    without --remote no server is asked. The bucket is the one that the manifest names.

    Exit codes: 0 no difference, 2 there is no manifest, or the bucket cannot be listed, 3 there are differences.
    """
    from .program import Exit

    if connection != Connection() and not remote:
        raise click.UsageError("options that say how to reach the bucket need --remote")
    found = _compared(directory, deep=deep, connection=connection) if remote else _checked(directory, deep=deep)
    if as_json:
        from .render import out_json

        out_json(_json(found, directory, deep=deep, remote=remote))
    else:
        _show(found, directory, deep=deep, remote=remote)
    return Exit.DIFFERENT if found.differences else Exit.DONE


def _checked(directory: str, *, deep: bool) -> Verification:
    from ..transfer.verify import verify_directory

    return verify_directory(directory, deep=deep)


def _compared(directory: str, *, deep: bool, connection: Connection) -> Verification:
    from ..branches import branch_of
    from ..storage.params import location_params
    from ..storage.registry import get_storage
    from ..transfer.remote import verify_remote

    is_signed = connection.is_signed(default=False)

    def open_storage(location: str) -> Storage:
        params = location_params(
            location,
            anon=not is_signed,
            endpoint_url=connection.endpoint_url,
            region=connection.region,
            profile=connection.profile,
            request_payer=bool(connection.request_payer),
        )
        return get_storage(params)

    return verify_remote(directory, open_storage=open_storage, branch_of=branch_of, deep=deep)


def _json(found: Verification, directory: str, *, deep: bool, remote: bool) -> dict[str, Any]:
    from pathlib import Path

    return {
        "directory": str(Path(directory).absolute()),
        "deep": deep,
        "remote": remote,
        "files": found.files,
        "bytes": found.bytes,
        "complete": not found.differences,
        "unproven": found.unproven,
        "differences": [
            {"target": each.target, "kind": each.kind, "detail": each.detail} for each in found.differences
        ],
    }


def _show(found: Verification, directory: str, *, deep: bool, remote: bool) -> None:
    from .render import files_text, out, out_all, size_text

    out_all(f"{each.kind}: {each.target}: {each.detail}" for each in found.differences)
    what = "sizes and hashes" if deep else "sizes"
    others = "the manifest and the bucket" if remote else "the manifest"
    if found.unproven:
        out(f"{files_text(found.unproven)} without a known hash: only the size was compared")
    if not found.differences:
        out(f"{files_text(found.files)}, {size_text(found.bytes)}, in {directory}: {what} agree with {others}")
    elif remote:
        kinds = Counter(each.kind for each in found.differences)  # in the order of the differences
        counts = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
        out(f"{directory}, with {files_text(found.files)}, differs from {others} ({what}): {counts}")
    else:
        number = len({each.target for each in found.differences})
        out(f"{number:,} of {files_text(found.files)} in {directory} differ from {others} ({what})")


__all__ = ["command"]
