"""What is left to do when the files are here: cut a subset down, write missing descriptions, keep records."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .catalog import Catalog
from .downloading import files_present
from .neuro.json import write_json
from .transfer.engine import run_name, writer_name
from .transfer.manifest import ManifestWriter, is_safe, read_failures, read_notes
from .trimming import Original, Trimming, hold_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from .transfer.report import DownloadReport

#: The event of a choice.
_CHOSEN = "chosen"
#: The version that a written description names; validators know all up to theirs.
BIDS_VERSION = "1.10.0"


@dataclass(frozen=True)
class After:
    """What is wanted of a directory after the transfer."""

    #: Whether tables and links are to be cut down.
    trims: bool = False
    #: Descriptions that the study lacks: path -> name of the derivative.
    undescribed: Mapping[str, str] = field(default_factory=dict)
    #: What was asked for, for the record; nothing if the download carries on with an earlier one.
    asked: Mapping[str, Any] = field(default_factory=dict)
    #: Files that are not here and are still meant to come, which rows and links may name.
    expected: frozenset[str] = frozenset()

    @property
    def is_choice(self) -> bool:
        """Whether something was asked for besides subjects and derivatives."""
        return bool(self.asked.get("arguments"))


NOTHING_AFTER = After()
#: A download without a choice.
PLAIN = After(asked={"arguments": {}})


def after_retry(directory: Path) -> After:
    """Give what is wanted after failed files were retried: that tables are cut down, if the last choice wanted that."""
    if not any(note.get("trims") is True for note in read_notes(directory, _CHOSEN)[-1:]):
        return NOTHING_AFTER
    return After(trims=True, expected=frozenset(read_failures(directory)))


@dataclass(frozen=True)
class Finish:
    """What is to be done in one directory after the transfer."""

    directory: Path
    #: Where the objects are, such as ``s3://bucket``.
    location: str
    #: All that is wanted in the directory; it may still be coming.
    parts: list[Catalog]
    #: Of that, what the manifest has already: target -> original.
    held: Mapping[str, Original]
    after: After

    def present(self, report: DownloadReport) -> dict[str, str]:
        """Give the files that are on disk: key -> absolute path."""
        if report.dry_run:
            return {}
        held = {original.key: str(self.directory / target) for target, original in self.held.items()}
        return {**files_present(report, self.directory), **held}

    def __call__(self, report: DownloadReport) -> DownloadReport:
        """Do it, and give the report with what was done; a dry run does nothing."""
        report = replace(report, skipped=report.skipped + len(self.held))
        if report.dry_run:
            return replace(report, undescribed=tuple(self.after.undescribed.items()))
        with _records(self.directory) as manifest:
            trimmed = self._trim(report, manifest) if self.after.trims else ()
            written = [
                path for path, name in self.after.undescribed.items() if _describe(self.directory, path, name, manifest)
            ]
            self._record(report, manifest)
        return replace(report, trimmed_files=trimmed, written_files=(*report.written_files, *written))

    def _trim(self, report: DownloadReport, manifest: ManifestWriter) -> tuple[str, ...]:
        """Cut down what is here and ours."""
        here = self.present(report)
        conflicts = {conflict.target for conflict in report.conflicting_files}
        [catalog] = self.parts
        targets = {path for path, key in zip(catalog.paths, catalog.keys, strict=True) if key in here} - conflicts
        trimming = Trimming(self.directory, self.location, catalog, self.held, self.after.expected)
        return trimming.trim(targets, manifest)

    def _record(self, report: DownloadReport, manifest: ManifestWriter) -> None:
        """Record what was asked for, once for each choice that brought something, or that a retry may carry on with."""
        is_choice = self.after.is_choice
        if not self.after.asked or not (report.failed or (is_choice and report.fetched)):
            return
        latest = read_notes(self.directory, _CHOSEN)[-1:]
        if not is_choice and not latest:
            return
        asked = {**self.after.asked, "trims": self.after.trims}
        if not latest or any(latest[0].get(name) != value for name, value in asked.items()):
            manifest.note(_CHOSEN, asked)


def begin(
    parts: Catalog | Iterable[Catalog], came: list[Catalog], directory: Path, location: str, after: After
) -> tuple[Catalog | Iterable[Catalog], Finish]:
    """Find out what need not be transferred, and what is to be done after the transfer.

    Parameters
    ----------
    parts
        What is wanted.
    came
        The same; where it comes in parts, those that have come so far.
    """
    held: dict[str, Original] = {}
    if after.trims and isinstance(parts, Catalog):
        parts, held = hold_back(parts, directory, location)
    return parts, Finish(directory, location, came, held, after)


def remembered(parts: Iterable[Catalog], came: list[Catalog]) -> Iterator[Catalog]:
    """Yield parts as they come, and keep them in `came`."""
    for part in parts:
        came.append(part)
        yield part


def describe(directory: Path, undescribed: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Write descriptions of derivatives where nothing describes them: path and name; give the paths written."""
    with _records(directory) as manifest:
        return tuple(path for path, name in undescribed if _describe(directory, path, name, manifest))


def _describe(directory: Path, path: str, name: str, manifest: ManifestWriter) -> bool:
    """Write the description of a derivative, if nothing describes it."""
    if not is_safe(path):
        return False
    # All of it may have failed, and a retry brings it.
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    content = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        # The name of the pipeline must be a part of the directory's name, and more is not known.
        "GeneratedBy": [{"Name": name}],
    }
    return _write(directory, path, content, manifest)


def write_description(directory: Path, path: str, content: Mapping[str, Any]) -> bool:
    """Write a ``dataset_description.json`` where there is none, and say so in the manifest.

    Returns
    -------
    bool
        Whether it was written.
    """
    with _records(directory) as manifest:
        return _write(directory, path, content, manifest)


def _write(directory: Path, path: str, content: Mapping[str, Any], manifest: ManifestWriter) -> bool:
    if os.path.lexists(directory / path):
        return False
    write_json(directory / path, dict(content))
    manifest.note("made", {"target": path, "reason": "the study has none", "content": dict(content)})
    return True


def _records(directory: Path) -> ManifestWriter:
    """Open a manifest of this run; its file is made with the first record."""
    return ManifestWriter(directory, writer_name(run_name(time.time())), now=time.time)


__all__ = [
    "BIDS_VERSION",
    "NOTHING_AFTER",
    "PLAIN",
    "After",
    "Finish",
    "after_retry",
    "begin",
    "describe",
    "remembered",
    "write_description",
]
