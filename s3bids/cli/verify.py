"""``s3bids verify``: the files of a download against its manifest, and against the bucket."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from .completion import complete_directories, complete_files
from .options import Connection, connection_options, is_local, json_option, log_option, not_empty
from .render import files_text, plain, size_text

if TYPE_CHECKING:
    from ..transfer.verify import Verification


@click.command("verify", short_help="Check a download, and compare it with the bucket.")
@click.argument("directory", metavar="DIR", shell_complete=complete_directories, callback=is_local)
@click.option("--deep", is_flag=True, help="Read every file and compare its hash, where one is known.")
@click.option("--remote", is_flag=True, help="List the bucket as well, and compare it with what was downloaded.")
@click.option(
    "--plan",
    metavar="F",
    shell_complete=complete_files,
    callback=not_empty,
    help="Compare with this frozen plan, object by object.",
)
@click.option(
    "--report",
    metavar="STEM",
    shell_complete=complete_files,
    callback=not_empty,
    help="Also write STEM.txt and STEM.json.",
)
@json_option
@log_option
@connection_options
def command(
    directory: str,
    deep: bool,
    remote: bool,
    plan: str | None,
    report: str | None,
    as_json: bool,
    connection: Connection,
) -> int:
    """Check a download against its manifest, and with --remote against the bucket as it is now.

    The manifest knows what came and what failed. What an interrupted download did not come to, it does not: run that
    download again first, which says when all is complete.

    Listed are files that are missing or have another size, and with --deep those with other bytes. With --remote also:
    objects that have changed or are gone, objects that were written since and are not here (in the directories of
    those subjects and derivatives of which something is here), and files that no manifest knows. Nothing is fetched;
    without --remote no server is asked. The bucket is the one that the manifest names.

    With --plan every object of the plan has to be here as it was planned; files of other downloads in DIR do not count.

    Exit codes: 0 no difference, 2 there is no manifest, or the bucket cannot be listed, 3 there are differences.
    """
    from .program import Exit
    from .render import out_all, out_json

    if connection != Connection() and not remote:
        raise click.UsageError("options that say how to reach the bucket need --remote")
    if plan is not None and remote:
        raise click.UsageError("--plan compares with a plan and asks no server; leave --remote out")
    if plan is not None:
        found = _planned(directory, plan, deep=deep)
    else:
        found = _compared(directory, deep=deep, connection=connection) if remote else _checked(directory, deep=deep)
    value = _json(found, directory, deep=deep, remote=remote) | ({} if plan is None else {"plan": plan})
    lines = _lines(found, directory, deep=deep, others=_others(remote=remote, plan=plan))
    if report is not None:
        _write_report(report, value, lines)
    if as_json:
        out_json(value)
    else:
        out_all(lines)
    return Exit.DIFFERENT if found.differences else Exit.DONE


def _planned(directory: str, plan: str, *, deep: bool) -> Verification:
    from ..batch import read_plan, verify_plan

    return verify_plan(directory, read_plan(plan), deep=deep)


def _checked(directory: str, *, deep: bool) -> Verification:
    from ..transfer.verify import verify_directory

    return verify_directory(directory, deep=deep)


def _compared(directory: str, *, deep: bool, connection: Connection) -> Verification:
    from ..batch.frozen import Access
    from ..branches import branch_of
    from ..transfer.remote import verify_remote

    open_storage = connection.applied_to(Access()).open
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


def _others(*, remote: bool, plan: str | None) -> str:
    if plan is not None:
        return "the plan"
    return "the manifest and the bucket" if remote else "the manifest"


def _lines(found: Verification, directory: str, *, deep: bool, others: str) -> list[str]:
    lines = [f"{each.kind}: {each.target}: {each.detail}" for each in found.differences]
    what = "sizes and hashes" if deep else "sizes"
    if found.unproven:
        lines.append(f"{files_text(found.unproven)} without a known hash: only the size was compared")
    if not found.differences:
        here = f"{files_text(found.files)}, {size_text(found.bytes)}, in {directory}"
        return [*lines, f"{here}: {what} agree with {others}"]
    if others != "the manifest":
        kinds = Counter(each.kind for each in found.differences)  # in the order of the differences
        counts = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
        return [*lines, f"{directory}, with {files_text(found.files)}, differs from {others} ({what}): {counts}"]
    number = len({each.target for each in found.differences})
    return [*lines, f"{number:,} of {files_text(found.files)} in {directory} differ from {others} ({what})"]


def _write_report(stem: str, value: dict[str, Any], lines: list[str]) -> None:
    """Write a verification for people and for programs."""
    import json

    from ..storage.files import atomic_file

    texts = {".txt": "".join(f"{plain(line)}\n" for line in lines), ".json": json.dumps(value, indent=2) + "\n"}
    for ending, text in texts.items():
        with atomic_file(f"{stem}{ending}") as file:
            file.write(text.encode())


__all__ = ["command"]
