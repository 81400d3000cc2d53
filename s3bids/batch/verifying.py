"""A download against the plan it was made of: every object of the plan is here, as it was planned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..transfer.manifest import read_manifest
from ..transfer.verify import Difference, Verification, verify_records

if TYPE_CHECKING:
    import os

    from ..transfer.manifest import Manifest, Record
    from .frozen import FrozenPlan


def verify_plan(directory: str | os.PathLike[str], plan: FrozenPlan, *, deep: bool = False) -> Verification:
    """Compare the files of a directory with a plan; nothing is requested from any server.

    Besides what :func:`~s3bids.verify_directory` finds, the differences are of these kinds:

    ``missing``
        Also: the object was not downloaded, or failed.
    ``other``
        The file was downloaded, but is not the object of the plan.

    Parameters
    ----------
    directory
        Where the plan was downloaded to.
    plan
        As :func:`~s3bids.batch.read_plan` gives it.
    deep
        Read every file and compare its hash, where one is known; otherwise sizes are compared.
    """
    root = Path(directory)
    manifest = read_manifest(root)
    found: list[Difference] = []
    records: dict[str, Record] = {}
    for row, target in enumerate(plan.wanted.targets):
        record = manifest.records.get(target)
        problem = _problem(plan, row, record, manifest)
        if problem is not None:
            found.append(problem)
        elif record is not None:
            records[target] = record
    local = verify_records(root, records, deep=deep)
    return replace(local, files=len(plan), bytes=plan.bytes, differences=(*found, *local.differences))


def _problem(plan: FrozenPlan, row: int, record: Record | None, manifest: Manifest) -> Difference | None:
    wanted = plan.wanted
    target = wanted.targets[row]
    if record is None:
        failure = manifest.failures.get(target)
        why = "it was not downloaded" if failure is None else f"it could not be downloaded ({failure.reason})"
        return Difference(target, "missing", why)
    planned = (plan.location, wanted.keys[row], wanted.sizes[row], wanted.etags[row])
    if (record.location, record.key, record.size, record.etag) != planned or plan.is_rewritten(row, record):
        return Difference(target, "other", "the file is of another object, or of another version of it, than planned")
    return None


__all__ = ["verify_plan"]
