"""What came of a download."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

    from .plan import Plan


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
