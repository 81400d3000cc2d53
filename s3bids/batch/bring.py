"""From a frozen plan to files: nothing is listed, and no other object will do than those that were planned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..downloading import about_run, bring, check_directory_argument, check_options
from ..errors import ConfigError, DownloadError
from ..finishing import describe

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from ..storage.base import Storage
    from ..transfer.progress import Event
    from ..transfer.report import DownloadReport
    from .frozen import FrozenPlan
    from .shards import Shard


def download_plan(
    plan: FrozenPlan,
    directory: str | os.PathLike[str],
    *,
    shard: Shard | None = None,
    storage: Storage | None = None,
    is_frozen: bool = True,
    overwrite: bool = False,
    n_jobs: int | None = None,
    verify: str = "etag",
    dry_run: bool = False,
    emit: Callable[[Event], None] | None = None,
    reserve: int = 0,
    allow_other_study: bool = False,
) -> DownloadReport:
    """Download the objects of a plan, or one shard of them.

    Parameters
    ----------
    plan
        As :func:`~s3bids.batch.read_plan` or :func:`~s3bids.batch.freeze` gives it.
    directory
        Files go to ``directory`` + target. Several shards may use it at once.
    shard
        Only this part. All parts together are the plan, and no object is in two of them. A plan that was read as a part
        needs it no more.
    storage
        Where the objects are. Default: what the plan says, with credentials from here. Look at the `access` of a plan
        that somebody else made: it may name a server of his, and want you to pay.
    is_frozen
        Only the very objects of the plan will do: each GET carries the ETag, and one that has changed since is listed
        as failed. False: the plan was made just now, and an object that changes meanwhile is fetched as it is.
    overwrite, n_jobs, verify, dry_run, emit, reserve, allow_other_study
        As in :meth:`~s3bids.S3BIDSStudy.download_dataset`.

    Returns
    -------
    DownloadReport

    Raises
    ------
    DownloadError
        If files failed, after everything else was done; it carries the report.
    ConfigError
        If `storage` is of another place than the plan, or the plan is another part already.
    DestinationError
        If the directory cannot be used.
    """
    options = check_options(
        overwrite=overwrite,
        n_jobs=n_jobs,
        verify=verify,
        dry_run=dry_run,
        emit=emit,
        reserve=reserve,
        allow_other_study=allow_other_study,
    )
    target = check_directory_argument(directory)
    part = plan if shard is None else plan.shard(shard)
    opened = plan.access.open(plan.location) if storage is None else storage
    if opened.location != plan.location:
        raise ConfigError(f"the storage is at {opened.location}, the objects of the plan are at {plan.location}")
    about = about_run(plan.study, plan.source, None, (), words=list(plan.selection), shard=part.part and str(part.part))
    about["selection"].pop("subjects")
    options = replace(options, is_frozen=is_frozen, about=about | {"plan": plan.time})
    try:
        report = bring(opened, part.wanted, target, options)
    except DownloadError as error:
        error.report = _described(plan, target, error.report)
        raise
    return _described(plan, target, report)


def _described(plan: FrozenPlan, directory: Path, report: DownloadReport) -> DownloadReport:
    """Write the descriptions that the study lacks; several shards may do so, and all write the same."""
    if report.dry_run or not plan.undescribed:
        return report
    return replace(report, written_files=(*report.written_files, *describe(directory, plan.undescribed)))


__all__ = ["download_plan"]
