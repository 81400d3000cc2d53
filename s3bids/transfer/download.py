"""Wanted objects to files on disk: look at the directory, plan, transfer, report."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .destination import Destination, check_directory, remove_abandoned, scan
from .engine import writer_name
from .fetch import Settings, record_of
from .manifest import ManifestWriter
from .parallel import run
from .plan import FETCHING, Action, Plan, Source, Wanted, make_plan, needs_hash, refusals
from .progress import Ended, Event, Started, silent
from .report import DownloadReport, Failure, Status
from .retry import Retry
from .verify import Verify, etag_md5

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..storage.base import Storage
    from .destination import FileState
    from .manifest import Record
    from .report import Result

logger = logging.getLogger(__name__)

#: Conflicts that one warning names; the report has them all.
_NAMED = 3


@dataclass(frozen=True)
class Options:
    """How a download is to be made."""

    verify: Verify = Verify.ETAG
    #: Replace files that are somebody's own.
    overwrite: bool = False
    #: Plan only.
    dry_run: bool = False
    #: Processes, as joblib counts them; None: one, or what ``joblib.parallel_config`` says.
    n_jobs: int | None = None
    retry: Retry = field(default_factory=Retry)
    emit: Callable[[Event], None] = silent
    now: Callable[[], float] = time.time


def plan_download(storage: Storage, wanted: Wanted, directory: Path, options: Options) -> tuple[Plan, Destination]:
    """Look at a directory and decide what to do about each wanted object. Writes nothing."""
    trust_size = options.verify is Verify.SIZE

    def must_hash(index: int, file: FileState, record: Record | None) -> bool:
        return needs_hash(_source(storage.location, wanted, index), file, record, trust_size=trust_size)

    refused = refusals(wanted.targets)
    found = scan(directory, wanted.targets, must_hash, leave_out=refused)
    plan = make_plan(
        storage.location, wanted, found, refused=refused, overwrite=options.overwrite, trust_size=trust_size
    )
    return plan, found


def _source(location: str, wanted: Wanted, index: int) -> Source:
    return Source(location, wanted.keys[index], wanted.sizes[index], wanted.etags[index], wanted.modified[index])


def download(storage: Storage, wanted: Wanted, directory: Path, options: Options) -> DownloadReport:
    """Bring wanted objects into a directory.

    Returns
    -------
    DownloadReport
        Also when files failed: the caller decides whether to raise.

    Raises
    ------
    DestinationError
        If the directory cannot be used; nothing has been fetched then.
    """
    started = time.perf_counter()
    check_directory(directory, make=not options.dry_run)
    plan, found = plan_download(storage, wanted, directory, options)
    if options.dry_run:
        return _report(plan, [], time.perf_counter() - started, dry_run=True)
    remove_abandoned(found.abandoned)
    results = list(_carry_out(storage, plan, found, directory, options))
    report = _report(plan, results, time.perf_counter() - started)
    _warn_of_conflicts(report, directory)
    return report


def _carry_out(storage: Storage, plan: Plan, found: Destination, directory: Path, options: Options) -> Iterator[Result]:
    name = time.strftime("manifest-%Y%m%dT%H%M%S", time.gmtime(options.now())) + f"-{os.urandom(3).hex()}"
    settings = Settings(directory, options.verify, options.retry, run=name, now=options.now)
    with ManifestWriter(directory, writer_name(name), now=options.now) as manifest:
        _record_without_transfer(manifest, storage.location, plan, found)
    options.emit(Started(plan.count(*FETCHING), plan.bytes_to_fetch))
    try:
        if plan.count(*FETCHING):
            yield from run(storage, plan.rows(*FETCHING), settings, options.emit, n_jobs=options.n_jobs)
    finally:
        options.emit(Ended())


def _record_without_transfer(manifest: ManifestWriter, location: str, plan: Plan, found: Destination) -> None:
    """Record the files that turned out to be complete, and the keys that are refused."""
    for index in plan.adopted:
        transfer = plan.row(index)
        # Of an object without bytes the ETag was not compared, and may be no MD5.
        md5 = etag_md5(transfer.etag) if transfer.size else None
        mtime_ns = found.files[transfer.target].mtime_ns
        manifest.add(record_of(location, transfer, mtime_ns, {"md5": md5} if md5 else {}))
    for transfer in plan.rows(Action.REFUSE):
        manifest.fail(transfer.target, transfer.key, transfer.note, 0)


def _report(plan: Plan, results: list[Result], seconds: float, *, dry_run: bool = False) -> DownloadReport:
    refused = [Failure(row.key, row.target, row.note, 0) for row in plan.rows(Action.REFUSE)]
    failed = [Failure(r.key, r.target, r.reason, r.attempts) for r in results if r.status is Status.FAILED]
    conflicts = [Failure(row.key, row.target, row.note, 0) for row in plan.rows(Action.CONFLICT)]
    conflicts += [Failure(r.key, r.target, r.reason, r.attempts) for r in results if r.status is Status.CONFLICT]
    if not dry_run:
        failed += _not_tried(plan, results)
    fetched = [result for result in results if result.status is Status.FETCHED]
    compared = sum(result.status is Status.SKIPPED for result in results)
    return DownloadReport(
        fetched=len(fetched),
        skipped=plan.count(Action.KEEP) + compared,
        conflicts=len(conflicts),
        failed=len(refused) + len(failed),
        bytes=sum(result.bytes for result in fetched),
        seconds=seconds,
        plan=plan,
        dry_run=dry_run,
        no_space=any(result.no_space for result in results),
        failed_files=tuple(refused + failed),
        conflicting_files=tuple(conflicts),
    )


def _not_tried(plan: Plan, results: list[Result]) -> list[Failure]:
    if len(results) == plan.count(*FETCHING):
        return []
    tried = {result.target for result in results}
    reason = "not tried, since no space was left; free some and run again"
    return [Failure(row.key, row.target, reason, 0) for row in plan.rows(*FETCHING) if row.target not in tried]


def _warn_of_conflicts(report: DownloadReport, directory: Path) -> None:
    if not report.conflicting_files:
        return
    names = ", ".join(conflict.target for conflict in report.conflicting_files[:_NAMED])
    more = report.conflicts - _NAMED
    logger.warning(
        "%d file(s) in %s differ from the study and were kept: %s%s; overwrite=True (--overwrite) replaces them",
        report.conflicts,
        directory,
        names,
        f" and {more} more" if more > 0 else "",
    )
