"""A plan as people and programs read it: files and bytes by subject, datatype and derivative."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..bids.names import parse
from ..transfer.plan import FETCHING, Action
from .render import files_text, out, out_all, out_json, size_text, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..bids.layouts import Layout
    from ..transfer.plan import Plan
    from ..transfer.report import DownloadReport
    from .study_argument import Source

#: Rows of one table on the screen; ``--json`` has all.
MOST_ROWS = 20
#: What stands for files of no subject, of no datatype, and of no derivative.
_NOBODY, _NOTHING, _RAW = "(whole study)", "(none)", "(raw data)"


@dataclass
class Group:
    """Counts of some rows of a plan."""

    files: int = 0
    bytes: int = 0
    #: Files that are complete already.
    files_here: int = 0
    files_to_fetch: int = 0
    bytes_to_fetch: int = 0
    #: Files that differ and will be kept.
    conflicts: int = 0
    #: Keys that cannot be files.
    refused: int = 0

    def add(self, size: int, action: Action) -> None:
        """Count one row."""
        self.files += 1
        self.bytes += size
        if action in FETCHING:
            self.files_to_fetch += 1
            self.bytes_to_fetch += size
        elif action is Action.KEEP:
            self.files_here += 1
        elif action is Action.CONFLICT:
            self.conflicts += 1
        else:
            self.refused += 1


@dataclass
class Overview:
    """A plan, counted in all and by three properties; names are None where a file has none."""

    total: Group = field(default_factory=Group)
    subjects: dict[str | None, Group] = field(default_factory=dict)
    datatypes: dict[str | None, Group] = field(default_factory=dict)
    #: None is the raw data.
    derivatives: dict[str | None, Group] = field(default_factory=dict)


def overview(plan: Plan, layout: Layout) -> Overview:
    """Count the rows of a plan."""
    found = Overview()
    # All files of one folder belong together, and there are many fewer folders than files.
    by_folder: dict[str, tuple[Group, ...]] = {}
    wanted = plan.wanted
    for target, size, action in zip(wanted.targets, wanted.sizes, plan.actions, strict=True):
        folder = target.rpartition("/")[0]
        if folder not in by_folder:
            place = layout.place(target)
            by_folder[folder] = (
                found.total,
                found.subjects.setdefault(place.subject, Group()),
                found.datatypes.setdefault(parse(target).datatype, Group()),
                found.derivatives.setdefault(place.derivative, Group()),
            )
        for group in by_folder[folder]:
            group.add(size, action)
    return found


def show_plan(chosen: Source, report: DownloadReport, directory: Path, *, as_json: bool) -> None:
    """Print what a download would do."""
    if report.plan is None:
        return
    found = overview(report.plan, chosen.layout)
    if as_json:
        out_json(_plan_json(chosen, report, directory, found))
        return
    out(f"{chosen.location} -> {directory}", "")
    show_tables(found)
    total = found.total
    out(
        f"{files_text(total.files)}, {size_text(total.bytes)}: {total.files_here:,} are here already, "
        f"{total.files_to_fetch:,} to fetch ({size_text(total.bytes_to_fetch)})"
        # What seldom happens is told only where it does.
        + (f", {total.conflicts:,} differ and are kept" if total.conflicts else "")
        + (f", {total.refused:,} cannot be files" if total.refused else "")
    )


def show_tables(found: Overview, *, done: bool = False) -> None:
    """Print a plan by subject, datatype and derivative, with an empty line behind each table.

    Parameters
    ----------
    done
        The plan has been carried out: say what was fetched, not what is to be.
    """
    fetch = "fetched" if done else "to fetch"
    header = ["files", "bytes", "here before" if done else "here", fetch, f"bytes {fetch}"]
    for title, groups, nobody in (
        ("subject", found.subjects, _NOBODY),
        ("datatype", found.datatypes, _NOTHING),
        ("derivative", found.derivatives, _RAW),
    ):
        rows = list(_rows(groups, nobody))
        out_all(table([title, *header], rows[:MOST_ROWS]))
        out(*([f"and {len(rows) - MOST_ROWS} more; --json has them"] if len(rows) > MOST_ROWS else []), "")


def _rows(groups: dict[str | None, Group], nobody: str) -> Iterator[tuple[str, int, str, int, int, str]]:
    for name in sorted(groups, key=lambda name: name or ""):
        group = groups[name]
        sizes = size_text(group.bytes), size_text(group.bytes_to_fetch)
        yield name or nobody, group.files, sizes[0], group.files_here, group.files_to_fetch, sizes[1]


def _plan_json(chosen: Source, report: DownloadReport, directory: Path, found: Overview) -> dict[str, Any]:
    return {
        "study": chosen.study_id,
        "source": chosen.location,
        "directory": str(directory.absolute()),
        **vars(found.total),
        "subjects": _groups_json("subject", found.subjects),
        "datatypes": _groups_json("datatype", found.datatypes),
        "derivatives": _groups_json("derivative", found.derivatives),
        "conflicting_files": [failure._asdict() for failure in report.conflicting_files],
        "refused_files": [failure._asdict() for failure in report.failed_files],
    }


def _groups_json(title: str, groups: dict[str | None, Group]) -> list[dict[str, Any]]:
    return [{title: name, **vars(groups[name])} for name in sorted(groups, key=lambda name: name or "")]


__all__ = ["MOST_ROWS", "Group", "Overview", "overview", "show_plan", "show_tables"]
