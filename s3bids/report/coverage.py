"""What a coverage page shows: of a study as the bucket lists it, or of a download as its manifest has it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..bids.layouts import DERIVATIVES, Layout
from ..bids.names import is_subject_directory
from ..bids.participants import parse_participants
from ..display import card, files_text, plain, size_text, some
from ..errors import ParticipantsError
from ..transfer.manifest import is_safe, read_manifest, require_manifest
from ..transfer.verify import verify_records
from .holdings import Holdings, State, count_holdings
from .people import People, people_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from ..bids.participants import Participants
    from ..catalog import Catalog
    from ..transfer.manifest import Manifest
    from ..transfer.verify import Verification

PARTICIPANTS = "participants.tsv"


@dataclass(frozen=True)
class Problem:
    """One file of a download that is not as it should be."""

    #: Path relative to the directory.
    target: str
    state: State
    #: In words.
    detail: str


@dataclass(frozen=True, eq=False)
class Checked:
    """What is known of the files of a download."""

    #: Files of the manifest, those that failed included.
    files: int
    #: State -> number of files.
    states: dict[State, int]
    #: Sorted by path.
    problems: tuple[Problem, ...]
    #: True if every file was read and its hash compared, False if its size was.
    deep: bool
    #: With `deep`: files of which no hash is known.
    unproven: int
    #: The check that held when a file came -> number of files: ``size``, ``md5`` or ``md5-parts``.
    on_arrival: dict[str, int]
    #: Files with a SHA-256 in the manifest.
    with_sha256: int


@dataclass(frozen=True, eq=False)
class Coverage:
    """What a study or a download holds, ready to be shown.

    More than :meth:`s3bids.study.S3BIDSStudy.coverage`, whose numbers of recordings are among these: also files, bytes,
    derivatives, participants, and the state of files.
    """

    #: The study's name, or the directory's.
    title: str
    #: The study's address, or the directory.
    source: str
    holdings: Holdings
    people: People | None
    #: Why there is no participant table, or what else a reader should know.
    notes: tuple[str, ...]
    #: None for a study.
    checked: Checked | None = None

    def _repr_html_(self) -> str:
        holdings = self.holdings
        rows = [
            ("source", self.source),
            ("subjects", f"{len(holdings.subjects):,}"),
            ("files", f"{files_text(holdings.total.files)}, {size_text(holdings.total.bytes)}"),
            ("datatypes", some(share.name for share in holdings.datatypes if share.name)),
        ]
        if self.checked is not None:
            states = self.checked.states
            rows.append(("state", ", ".join(f"{states[state]:,} {state}" for state in State if states.get(state))))
        return card(f"Coverage of {self.title}", rows)


def study_coverage(
    catalog: Catalog,
    *,
    title: str,
    source: str,
    subjects: Iterable[str] = (),
    participants: Participants | None = None,
    notes: Iterable[str] = (),
) -> Coverage:
    """Give what a study holds, from its listing.

    Parameters
    ----------
    catalog
        The files to count.
    title, source
        The study's name and address.
    subjects
        Subjects that have a row even if they have no file.
    participants
        The participant table, if there is one that can be read.
    notes
        What else a reader should know.
    """
    holdings = count_holdings(catalog.paths, catalog.sizes, catalog.layout, subjects=subjects)
    people = None if participants is None else people_of(participants, holdings.subjects)
    return Coverage(title, plain(source), holdings, people, tuple(map(plain, notes)))


def directory_coverage(directory: str | os.PathLike[str], *, deep: bool = False) -> Coverage:
    """Give what a download holds, from its manifest and the files on disk; no server is asked.

    Parameters
    ----------
    directory
        Where a study was downloaded to.
    deep
        Read every file and compare its hash, where one is known; otherwise sizes are compared.

    Raises
    ------
    ObjectNotFoundError
        If there is no manifest in the directory.
    """
    root = Path(directory)
    require_manifest(root, "report on")
    manifest = read_manifest(root)
    found = verify_records(root, manifest.records, deep=deep)
    problems = _problems(manifest, found)
    sizes = {target: record.size for target, record in manifest.records.items()}
    sizes.update({problem.target: 0 for problem in problems if problem.target not in sizes})
    paths = sorted(sizes)
    states = {problem.target: problem.state for problem in problems}
    holdings = count_holdings(paths, [sizes[path] for path in paths], _layout(paths), states=states)
    table = root / PARTICIPANTS
    people, notes = _people_of_file(table, holdings)
    counts = Counter(states.values())
    counts[State.COMPLETE] = len(paths) - len(states)
    checked = Checked(
        files=len(paths),
        states=dict(counts),
        problems=problems,
        deep=deep,
        unproven=found.unproven,
        on_arrival=dict(Counter(record.check for record in manifest.records.values()).most_common()),
        with_sha256=sum(record.sha256 is not None for record in manifest.records.values()),
    )
    return Coverage(root.absolute().name, plain(str(root.absolute())), holdings, people, notes, checked)


def _problems(manifest: Manifest, found: Verification) -> tuple[Problem, ...]:
    """Join what a verification found with what failed.

    A file that is here although it failed is an earlier version, which could not be replaced: it counts as changed.
    """
    problems = {
        each.target: Problem(each.target, State.MISSING if each.kind == "missing" else State.CHANGED, each.detail)
        for each in found.differences
    }
    for target, failure in manifest.failures.items():
        if not is_safe(target):
            continue
        if target in manifest.records and target not in problems:
            detail = f"the object could not be downloaded again ({failure.reason}); an earlier version is here"
            problems[target] = Problem(target, State.CHANGED, detail)
        else:
            problems[target] = Problem(target, State.FAILED, failure.reason)
    return tuple(problems[target] for target in sorted(problems))


def _layout(paths: Iterable[str]) -> Layout:
    """Tell the layout of a download: HBN alone has subjects directly below the derivatives."""
    for path in paths:
        parts = path.split("/")
        if parts[0] == DERIVATIVES and len(parts) > 3 and is_subject_directory(parts[1]):
            return Layout.SUBJECT_FIRST
    return Layout.NESTED


def _people_of_file(table: Path, holdings: Holdings) -> tuple[People | None, tuple[str, ...]]:
    if not table.is_file():
        return None, ()
    try:
        return people_of(parse_participants(table.read_bytes(), source=str(table)), holdings.subjects), ()
    except ParticipantsError as error:
        return None, (plain(str(error)),)


__all__ = ["Checked", "Coverage", "Problem", "directory_coverage", "study_coverage"]
