"""What came of a download."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ..display import card, files_text, size_text

if TYPE_CHECKING:
    import pandas as pd

    from .plan import Plan

#: Files of trouble that a notebook names.
_MOST_NAMED = 5


class Status(StrEnum):
    """What became of one target."""

    FETCHED = "fetched"
    SKIPPED = "skipped"
    CONFLICT = "conflict"
    FAILED = "failed"


class Result(NamedTuple):
    """What became of one transfer."""

    key: str
    target: str
    status: Status
    #: Bytes received and kept.
    bytes: int = 0
    #: Why it failed or is a conflict.
    reason: str = ""
    #: How often the object was asked for.
    attempts: int = 0
    #: True if there was no space or quota left.
    no_space: bool = False


class Failure(NamedTuple):
    """One file that is not there, or one that was left alone."""

    key: str
    #: Path relative to the directory.
    target: str
    reason: str
    #: How often the object was asked for.
    attempts: int


@dataclass(frozen=True, eq=False)
class DownloadReport:
    """What came of a download.

    Counts are numbers of files. ``fetched + skipped + conflicts + failed`` is the number of files planned; in a dry
    run, ``fetched`` is zero and :attr:`plan` says what would be done.
    """

    #: Files that were downloaded and checked.
    fetched: int = 0
    #: Files that were complete already.
    skipped: int = 0
    #: Files that differ from the object and were kept, since they are somebody's own.
    conflicts: int = 0
    #: Files that could not be downloaded.
    failed: int = 0
    #: Bytes that were downloaded.
    bytes: int = 0
    #: Duration of planning and transfers.
    seconds: float = 0.0
    #: The plan that was executed, or that a dry run only shows.
    plan: Plan | None = field(default=None, repr=False)
    dry_run: bool = False
    #: True if files failed because there was no space or quota left.
    no_space: bool = False
    #: The files that failed.
    failed_files: tuple[Failure, ...] = field(default=(), repr=False)
    #: The files in conflict.
    conflicting_files: tuple[Failure, ...] = field(default=(), repr=False)
    #: Tables and JSON files that are cut down to the subset that is here, as paths relative to the directory.
    trimmed_files: tuple[str, ...] = field(default=(), repr=False)
    #: Descriptions that were written because the study has none, as paths relative to the directory.
    written_files: tuple[str, ...] = field(default=(), repr=False)
    #: In a dry run, the descriptions that would be written: path relative to the directory, and name of the derivative.
    undescribed: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def _repr_html_(self) -> str:
        if self.dry_run and self.plan is not None:
            return self.plan._repr_html_()
        planned = self.fetched + self.skipped + self.conflicts + self.failed
        rows = [
            ("fetched", f"{files_text(self.fetched)}, {size_text(self.bytes)}, in {self.seconds:.1f} s"),
            ("complete already", f"{self.skipped:,}"),
            ("in conflict", f"{self.conflicts:,}"),
            ("failed", f"{self.failed:,}"),
        ]
        named = [("failed", file) for file in self.failed_files] + [
            ("differs", file) for file in self.conflicting_files
        ]
        rows += [(what, f"{file.target}: {file.reason}") for what, file in named[:_MOST_NAMED]]
        if len(named) > _MOST_NAMED:
            rows.append(("", f"and {len(named) - _MOST_NAMED:,} more; see .failures and .conflicting"))
        return card(f"Download of {files_text(planned)}", rows)

    @property
    def failures(self) -> pd.DataFrame:
        """The files that failed, as a table: key, target, reason, attempts."""
        return _table(self.failed_files)

    @property
    def conflicting(self) -> pd.DataFrame:
        """The files that differ and were kept, as a table: key, target, reason, attempts."""
        return _table(self.conflicting_files)


def _table(files: tuple[Failure, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(files, columns=list(Failure._fields))


def failure_message(report: DownloadReport, directory: object) -> str:
    """Say in one sentence that files failed, with the first of them and the next step."""
    first = report.failed_files[0]
    number = "1 file" if report.failed == 1 else f"{report.failed} files"
    return (
        f"{number} could not be downloaded to {directory}; the first is {first.key!r}: {first.reason}. "
        "Everything else was done; see .failures, and run again to fetch what is missing"
    )
