"""What came of a download: a summary on stdout, what went wrong on stderr, and the exit code."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from .program import Exit
from .render import files_text, out, out_json, say, size_text

if TYPE_CHECKING:
    from pathlib import Path

    from ..transfer.report import DownloadReport, Failure
    from .study_argument import Source

logger = logging.getLogger(__name__)

#: Files of one kind of trouble that are named on the screen; ``--json`` and ``--log-file`` have all.
MOST_NAMED = 100
#: Files that were cut down or written that are named on the screen.
MOST_CHANGES = 3


def exit_code(report: DownloadReport) -> Exit:
    """Give the exit code of a download."""
    if report.no_space:
        return Exit.NO_SPACE
    return Exit.DONE if is_complete(report) else Exit.FAILED


def is_complete(report: DownloadReport) -> bool:
    """Say whether every wanted file is here and checked."""
    return not report.dry_run and report.failed == report.conflicts == 0


def show_trouble(report: DownloadReport) -> None:
    """Name the files that failed, and those that differ and were kept."""
    _name(report.failed_files, "would fail" if report.dry_run else "failed")
    _name(report.conflicting_files, "differs, is kept")


def _name(files: tuple[Failure, ...], what: str) -> None:
    for number, file in enumerate(files):
        attempts = f" ({file.attempts} attempts)" if file.attempts > 1 else ""
        text = f"{what}: {file.key}: {file.reason}{attempts}"
        logger.debug("%s", text)
        if number < MOST_NAMED:
            say(text)
    if len(files) > MOST_NAMED:
        say(f"{what}: and {len(files) - MOST_NAMED:,} more; --json or --log-file name them all")


def show_outcome(
    chosen: Source, report: DownloadReport, directory: Path, *, as_json: bool, retry_failed: bool = False
) -> None:
    """Print the summary of a download, or of a second try at what failed."""
    logger.info("summary: %s", json.dumps(_summary(report)))
    if as_json:
        out_json(_outcome_json(chosen, report, directory))
        return
    planned = report.fetched + report.skipped + report.conflicts + report.failed
    if retry_failed and not planned:
        out(f"nothing that was chosen has failed in {directory}: there is nothing to fetch again")
        return
    out(
        f"fetched {files_text(report.fetched)}, {size_text(report.bytes)}, in {report.seconds:.1f} s; "
        f"{report.skipped:,} complete already, {report.conflicts:,} in conflict, {report.failed:,} failed"
    )
    if is_complete(report):
        what = f"{files_text(planned)} that had failed" if retry_failed else files_text(planned)
        out(f"complete: {what} in {directory}, all of them checked")
        _say_changes(report)
        return
    here = report.fetched + report.skipped
    advice = "run the same command again to fetch what is missing" if report.failed else "see --overwrite"
    out(f"not complete: {here:,} of {files_text(planned)} are in {directory}; {advice}")


def _say_changes(report: DownloadReport) -> None:
    """Say which files are not as they are on storage."""
    if report.trimmed_files:
        number, names = files_text(len(report.trimmed_files)), _first(report.trimmed_files)
        out(f"cut down to what is here: {number} ({names}); the manifest has the originals")
    if report.written_files:
        out(f"written, since the study has none: {_first(report.written_files)}")


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:MOST_CHANGES]) + (", ..." if len(names) > MOST_CHANGES else "")


def _summary(report: DownloadReport) -> dict[str, Any]:
    return {
        "complete": is_complete(report),
        "fetched": report.fetched,
        "skipped": report.skipped,
        "conflicts": report.conflicts,
        "failed": report.failed,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
    }


def _outcome_json(chosen: Source, report: DownloadReport, directory: Path) -> dict[str, Any]:
    return {
        "study": chosen.study_id,
        "source": chosen.location,
        "directory": str(directory.absolute()),
        **_summary(report),
        "failed_files": [failure._asdict() for failure in report.failed_files],
        "conflicting_files": [failure._asdict() for failure in report.conflicting_files],
        "trimmed_files": list(report.trimmed_files),
        "written_files": list(report.written_files),
    }


__all__ = ["MOST_NAMED", "exit_code", "is_complete", "show_outcome", "show_trouble"]
