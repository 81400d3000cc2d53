"""Wanted objects to files on disk: look at the directory, plan, transfer, report."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DestinationError
from .checks import Digests
from .destination import Destination, check_directory, remove_abandoned, scan
from .engine import run_name, writer_name
from .failed_table import write_failed
from .manifest import ManifestWriter, read_notes, read_records
from .outcome import PIECE_BYTES, Settings, record_of
from .parallel import run
from .plan import FETCHING, Action, Plan, Wanted, joined, make_plan, needs_hash
from .pool import Part
from .progress import Ended, Event, Planned, Started, silent
from .refusals import refusals
from .report import DownloadReport, Failure, Status
from .retry import Retry
from .space import SpaceCheck
from .verify import Verify, etag_md5

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..storage.base import Storage
    from .destination import FileState
    from .manifest import Record
    from .report import Result

logger = logging.getLogger(__name__)

#: The event of a run.
RUN = "run"
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
    #: Bytes of one request for a part of a large object.
    piece_bytes: int = PIECE_BYTES
    #: Only the objects that were planned will do: one that has changed since has failed.
    is_frozen: bool = False
    #: Compare what is planned with what is free before the first request, and keep so many bytes free.
    checks_space: bool = True
    reserve: int = 0
    #: The directory may hold another study.
    allow_other_study: bool = False
    #: What the manifest is to say of the run: tool, study, what was chosen.
    about: dict[str, Any] = field(default_factory=dict)


def plan_download(
    storage: Storage,
    wanted: Wanted,
    directory: Path,
    options: Options,
    *,
    records: dict[str, Record] | None = None,
) -> tuple[Plan, Destination]:
    """Look at a directory and decide what to do about each wanted object. Writes nothing."""
    trust_size = options.verify is Verify.SIZE

    def must_hash(index: int, file: FileState, record: Record | None) -> bool:
        return needs_hash(wanted.source(storage.location, index), file, record, trust_size=trust_size)

    refused = refusals(wanted.targets)
    found = scan(directory, wanted.targets, must_hash, leave_out=refused, records=records)
    plan = make_plan(
        storage.location, wanted, found, refused=refused, overwrite=options.overwrite, trust_size=trust_size
    )
    return plan, found


def download(storage: Storage, wanted: Wanted | Iterable[Wanted], directory: Path, options: Options) -> DownloadReport:
    """Bring wanted objects into a directory.

    Parameters
    ----------
    wanted
        The objects; or, where the listing is long, one part of them after the other: transfers begin with the first
        part. The parts have no target in common, and none has a name that another needs as a directory.

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
    _require_same_study(directory, options)
    parts = iter([wanted] if isinstance(wanted, Wanted) else wanted)
    records = read_records(directory)
    if options.dry_run:
        plans = [plan_download(storage, part, directory, options, records=records)[0] for part in parts]
        return _report(joined(plans), _Tally(), time.perf_counter() - started, dry_run=True)
    run = _Run(storage, directory, options, records, is_whole=isinstance(wanted, Wanted))
    tally = _Tally()
    for result in run.results(parts):
        tally.add(result)
    report = _report(joined(run.plans), tally, time.perf_counter() - started)
    write_failed(directory, has_failed=report.failed > 0)
    _warn_of_conflicts(report, directory)
    return report


def _require_same_study(directory: Path, options: Options) -> None:
    """Refuse a directory that another study was brought to, which would become a mixture of both."""
    source = options.about.get("source")
    if source is None or options.allow_other_study:
        return
    others = [note["source"] for note in read_notes(directory, RUN) if isinstance(note.get("source"), str)]
    other = next((each for each in others if each != source), None)
    if other is not None and source not in others:
        raise DestinationError(
            f"cannot download {source} to {directory}: it holds another study, {other}; "
            "name another directory, or allow it (--into-other, allow_other_study=True)"
        )


class _Run:
    """One download on its way: parts are planned, recorded and handed on; plans are kept for the report."""

    def __init__(
        self, storage: Storage, directory: Path, options: Options, records: dict[str, Record], *, is_whole: bool
    ) -> None:
        self.plans: list[Plan] = []
        self._storage, self._directory, self._options, self._records = storage, directory, options, records
        self._is_whole = is_whole
        self._is_noted = False
        self._name = run_name(options.now())

    def results(self, parts: Iterator[Wanted]) -> Iterator[Result]:
        """Carry the parts out, and yield what becomes of each transfer."""
        options = self._options
        settings = Settings(
            self._directory,
            options.verify,
            options.retry,
            run=self._name,
            now=options.now,
            piece_bytes=options.piece_bytes,
            is_frozen=options.is_frozen,
        )
        planned = self._planned(parts)
        first = next(planned, Part((), Planned(0, 0)))
        options.emit(Started(first.planned.files, first.planned.bytes, is_all=self._is_whole))
        rest = chain([replace(first, is_told=True)], planned)
        try:
            yield from run(self._storage, rest, settings, options.emit, n_jobs=options.n_jobs)
        finally:
            options.emit(Ended())

    def _planned(self, parts: Iterator[Wanted]) -> Iterator[Part]:
        options = self._options
        with ManifestWriter(self._directory, writer_name(self._name), now=options.now) as manifest:
            space = SpaceCheck(self._directory, options.reserve) if options.checks_space else None
            for wanted in parts:
                plan, found = plan_download(
                    self._storage, wanted, self._directory, self._options, records=self._records
                )
                self._note_run(manifest, plan)
                _record_without_transfer(manifest, self._storage.location, plan, found)
                manifest.flush()
                remove_abandoned([*found.abandoned, *_superseded(plan, found)])
                self.plans.append(plan)
                if space is not None:
                    space.take(plan, plan.count(Action.FETCH))
                yield Part(plan.rows(*FETCHING), Planned(plan.count(*FETCHING), plan.bytes_to_fetch))

    def _note_run(self, manifest: ManifestWriter, plan: Plan) -> None:
        """Say of the run what it is, once, before its first record; one that changes nothing leaves nothing."""
        about = self._options.about
        if about and not self._is_noted and (plan.adopted or plan.count(*FETCHING, Action.REFUSE)):
            self._is_noted = True
            manifest.note(RUN, about)


def _superseded(plan: Plan, found: Destination) -> list[str]:
    """Give the unfinished files of wanted objects that no row goes on with: of another version, or no longer needed."""
    used = {partial.path for partial in plan.partials.values()}
    unused = [partial for partial in found.partials if partial.path not in used]
    keys = set(plan.wanted.keys) if unused else set()
    return [
        partial.path for partial in unused if partial.object.location == plan.location and partial.object.key in keys
    ]


class _Tally:
    """Count results; those that went well are many and not kept."""

    def __init__(self) -> None:
        self.counts: Counter[Status] = Counter()
        self.bytes = 0
        self.failed: list[Failure] = []
        self.conflicts: list[Failure] = []
        self.no_space = False
        self._tried: set[str] = set()

    def add(self, result: Result) -> None:
        """Take in one result."""
        status = result.status
        self.counts[status] += 1
        self.bytes += result.bytes
        self.no_space |= result.no_space
        self._tried.add(result.target)
        if status is Status.FAILED:
            self.failed.append(Failure(result.key, result.target, result.reason, result.attempts))
        elif status is Status.CONFLICT:
            self.conflicts.append(Failure(result.key, result.target, result.reason, result.attempts))

    def not_tried(self, plan: Plan) -> list[Failure]:
        """Give the transfers of a plan that have no result."""
        if len(self._tried) == plan.count(*FETCHING):
            return []
        reason = "not tried, since no space was left; free some and run again"
        return [
            Failure(row.key, row.target, reason, 0) for row in plan.rows(*FETCHING) if row.target not in self._tried
        ]


def _record_without_transfer(manifest: ManifestWriter, location: str, plan: Plan, found: Destination) -> None:
    """Record the files that turned out to be complete, and the keys that are refused."""
    for index in plan.adopted:
        transfer = plan.row(index)
        # Of an object without bytes the ETag was not compared, and may be no MD5.
        md5 = etag_md5(transfer.etag) if transfer.size else None
        mtime_ns = found.files[transfer.target].mtime_ns
        manifest.add(record_of(location, transfer, mtime_ns, Digests("md5", md5) if md5 else Digests()))
    for transfer in plan.rows(Action.REFUSE):
        manifest.fail(transfer.target, transfer.key, transfer.note, 0)


def _report(plan: Plan, tally: _Tally, seconds: float, *, dry_run: bool = False) -> DownloadReport:
    refused = [Failure(row.key, row.target, row.note, 0) for row in plan.rows(Action.REFUSE)]
    failed = refused + sorted(tally.failed, key=_target) + ([] if dry_run else tally.not_tried(plan))
    conflicts = [Failure(row.key, row.target, row.note, 0) for row in plan.rows(Action.CONFLICT)]
    conflicts += sorted(tally.conflicts, key=_target)
    return DownloadReport(
        fetched=tally.counts[Status.FETCHED],
        skipped=plan.count(Action.KEEP) + tally.counts[Status.SKIPPED],
        conflicts=len(conflicts),
        failed=len(failed),
        bytes=tally.bytes,
        seconds=seconds,
        plan=plan,
        dry_run=dry_run,
        no_space=tally.no_space,
        failed_files=tuple(failed),
        conflicting_files=tuple(conflicts),
    )


def _target(failure: Failure) -> str:
    return failure.target


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
