"""What changed upstream since files were downloaded: the manifest of a directory against a fresh listing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..transfer.manifest import read_manifest, require_manifest
from ..transfer.verify import Difference

if TYPE_CHECKING:
    import os

    from ..transfer.manifest import Record
    from .frozen import FrozenPlan


def drift(directory: str | os.PathLike[str], plan: FrozenPlan, *, has_all_raw: bool = False) -> list[Difference]:
    """Compare what was downloaded with what is to be had now; nothing is fetched, and no file is looked at.

    The differences are of these kinds, in the order of the plan and then of the names:

    ``new``
        The object is wanted and was never downloaded here.
    ``changed``
        The object is another one now: by ETag and size, or by time where there is no ETag.
    ``gone``
        The object was downloaded from this study, and is no longer there. Told of the subjects, and of the directories
        of no subject, that the plan has files of, since the plan may be of a part of what is here.

    Parameters
    ----------
    directory
        Where a study was downloaded to.
    plan
        What a listing finds now; see :func:`~s3bids.batch.freeze`.
    has_all_raw
        The plan has the whole raw data set: any raw file that it lacks is gone.

    Raises
    ------
    ObjectNotFoundError
        If there is no manifest in the directory.
    """
    root = Path(directory)
    require_manifest(root, "compare")
    manifest = read_manifest(root)
    # Of a file that was cut down to a subset, the object is compared with what it was.
    records = {target: manifest.stored(record) for target, record in manifest.records.items()}
    found = []
    places: set[tuple[str | None, ...]] = set()
    for row, target in enumerate(plan.wanted.targets):
        places.add(_place(plan, target))
        problem = _problem(plan, row, records.get(target))
        if problem is not None:
            found.append(problem)
    wanted = set(plan.wanted.keys)
    start = f"{plan.prefix}/" if plan.prefix else ""
    for target, record in sorted(records.items()):
        is_of_study = record.location == plan.location and record.key.startswith(start)
        if not is_of_study or record.key in wanted:
            continue
        place = _place(plan, target)
        if place in places or (has_all_raw and place[1] is None):
            found.append(Difference(target, "gone", "the object is no longer in the bucket"))
    return found


def _place(plan: FrozenPlan, target: str) -> tuple[str | None, ...]:
    """Give subject, derivative, and for a file of no subject the directory that it is listed with."""
    place = plan.layout.place(target)
    return place.subject, place.derivative, None if place.subject else target.rpartition("/")[0]


def _problem(plan: FrozenPlan, row: int, record: Record | None) -> Difference | None:
    wanted = plan.wanted
    target, size, etag = wanted.targets[row], wanted.sizes[row], wanted.etags[row]
    if record is None or (record.location, record.key) != (plan.location, wanted.keys[row]):
        return Difference(target, "new", f"the object, of {size} bytes, was not downloaded")
    if size != record.size:
        return Difference(target, "changed", f"the object has {size} bytes now, downloaded were {record.size}")
    if etag != record.etag:
        return Difference(target, "changed", "the object has another ETag now")
    if plan.is_rewritten(row, record):
        return Difference(target, "changed", "the object was written again")
    return None


__all__ = ["drift"]
