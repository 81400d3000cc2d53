"""Bring a directory up to date: what is new or changed upstream of what was chosen for it, and what is gone there."""

from __future__ import annotations

import logging
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bids.layouts import Layout
from ..branches import branch_of
from ..choice import choosing
from ..errors import ConfigError, DestinationError, ObjectNotFoundError
from ..storage.files import remove_empty
from ..study import S3BIDSStudy
from ..transfer.branches import root_of
from ..transfer.download import RUN
from ..transfer.engine import run_name, writer_name
from ..transfer.manifest import ManifestWriter, read_notes, read_records, require_manifest
from ..transfer.remote import verify_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..storage.base import Storage
    from ..transfer.manifest import Record
    from ..transfer.progress import Event
    from ..transfer.report import DownloadReport

logger = logging.getLogger(__name__)

#: Arguments of a cohort: a sample that was drawn is kept, not drawn again.
_COHORT = ("where", "sample", "balance", "require")


@dataclass(frozen=True)
class Selection:
    """What was chosen of one study for a directory, as its manifest has it."""

    study: str
    location: str
    prefix: str
    layout: str
    participants: str
    #: What :meth:`~s3bids.S3BIDSStudy.download` was asked for, by the names of the note.
    asked: dict[str, Any] = field(hash=False)


def selections(directory: str | os.PathLike[str]) -> list[Selection]:
    """Read what was chosen for a directory, each choice once.

    Raises
    ------
    ObjectNotFoundError
        If there is no manifest.
    ConfigError
        If the manifest says of no run what was chosen, as with a frozen plan.
    """
    root = Path(directory)
    require_manifest(root, "update")
    found: list[Selection] = []
    for note in read_notes(root, RUN):
        selection = _selection(note)
        if selection is not None and selection not in found:
            found.append(selection)
    if not found:
        raise ConfigError(
            f"cannot update {root}: its manifest does not say what was chosen, as after s3bids download --plan; "
            "run s3bids download STUDY DIR with the same options instead"
        )
    return found


def _selection(note: dict[str, Any]) -> Selection | None:
    texts = [note.get(name) for name in ("study", "location", "prefix", "layout", "participants")]
    asked = note.get("asked")
    if not all(isinstance(text, str) for text in texts) or not isinstance(asked, dict):
        return None
    # Notes come from the directory, and so from anybody.
    are_subjects = all(isinstance(asked.get(name), str | list | None) for name in ("subjects", "chosen"))
    if not are_subjects or not isinstance(asked.get("choice"), dict | None) or note["layout"] not in list(Layout):
        return None
    study, location, prefix, layout, participants = map(str, texts)
    return Selection(study, location, prefix, layout, participants, asked)


def update(
    selection: Selection,
    directory: str | os.PathLike[str],
    storage: Storage,
    *,
    dry_run: bool = False,
    emit: Callable[[Event], None] | None = None,
) -> DownloadReport:
    """Fetch what is new or changed upstream of a selection.

    Subjects that are gone are passed over, and a sample that was drawn is kept as it was.

    Raises
    ------
    ConfigError
        If the manifest's selection makes no sense, or nothing of it is left.
    DownloadError
        If files failed, after everything else was done.
    """
    asked = selection.asked
    study = S3BIDSStudy(
        selection.study,
        storage.bucket,
        selection.prefix,
        "all",
        storage=storage,
        layout=selection.layout,
        participants=selection.participants,
    )
    given = asked.get("choice") or {}
    chosen = asked.get("subjects")
    if "sample" in given or "balance" in given:
        chosen = asked.get("chosen")
        # With the sample gone from it, it is a choice still: the sidecars and root files of its subjects come too.
        given = {name: value for name, value in given.items() if name not in _COHORT}
        given.setdefault("with_sidecars", True)
    everyone = [subject.subject_id for subject in study.subjects]
    ids = everyone if chosen == "all" else [each for each in everyone if each in (chosen or ())]
    try:
        return study._download(
            study.subjects if ids == everyone else study._subjects_of(ids),
            directory,
            root=_rule(asked.get("root")),
            derivatives=list(asked.get("derivatives") or ()),
            derivative_root=_rule(asked.get("derivative_root")),
            suffix=asked.get("suffix"),
            choice=choosing(**given),
            again=asked,
            dry_run=dry_run,
            emit=emit,
        )
    except TypeError as error:
        raise ConfigError(f"cannot update {directory}: its manifest says nonsense of the choice ({error})") from error


def _rule(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def gone_upstream(
    directory: str | os.PathLike[str], *, open_storage: Callable[[str], Storage]
) -> tuple[list[str], list[str]]:
    """List the files whose objects are gone: those that can be deleted, and those that are not as we left them.

    A file can be deleted if the manifest has it and it is as it was written: a plain file of that size and time.

    Raises
    ------
    ObjectNotFoundError
        If nothing at all is left of a study: rather it is elsewhere, or not to be seen, than that it was emptied.
    """
    root = Path(directory)
    records = read_records(root, required=True)
    found = verify_remote(root, open_storage=open_storage, branch_of=branch_of)
    gone = sorted({each.target for each in found.differences if each.kind == "gone"})
    _require_rest(root, records, set(gone), open_storage)
    ours = [target for target in gone if target in records and _is_ours(root, target, records[target])]
    here = [target for target in gone if target not in ours and os.path.lexists(root / target)]
    return ours, here


def _require_rest(
    directory: Path, records: dict[str, Record], gone: set[str], open_storage: Callable[[str], Storage]
) -> None:
    """Look once more at each study of which no file is left upstream."""
    places = {(record.location, root_of(record.key, target) or "") for target, record in records.items()}
    there = {
        (record.location, root_of(record.key, target) or "") for target, record in records.items() if target not in gone
    }
    for location, prefix in sorted(places - there):
        with open_storage(location) as storage:
            if next(storage.list(prefix), None) is None:
                place = f"{location}/{prefix}".rstrip("/")
                raise ObjectNotFoundError(
                    f"cannot tell what of {directory} is gone: there is nothing at {place} any more; nothing is "
                    "deleted; find out where the study is now, or whether it can still be listed"
                )


def _is_ours(root: Path, target: str, record: Record) -> bool:
    path = root / target
    try:
        found = path.lstat()
    except OSError:
        return False
    # A link on the way may lead to somebody else's file.
    is_inside = path.parent.resolve() == root.resolve() / Path(target).parent
    is_same = (found.st_size, found.st_mtime_ns) == (record.size, record.mtime_ns)
    return stat.S_ISREG(found.st_mode) and is_inside and is_same


def prune(directory: str | os.PathLike[str], targets: Sequence[str]) -> list[str]:
    """Delete files that :func:`gone_upstream` found, and say so in the manifest; give those that were deleted.

    Each is looked at again just before: one that has changed since is kept.

    Raises
    ------
    DestinationError
        If a file cannot be deleted.
    """
    root = Path(directory)
    records = read_records(root, required=True)
    deleted = []
    with ManifestWriter(root, writer_name(run_name(time.time())), now=time.time) as manifest:
        for target in targets:
            if target not in records or not _is_ours(root, target, records[target]):
                continue
            try:
                (root / target).unlink()
            except OSError as error:
                raise DestinationError(f"cannot delete {root / target}: {error.strerror or error}") from error
            manifest.note("pruned", {"target": target})
            deleted.append(target)
    folders = {folder for target in deleted for folder in (root / target).parents if root in folder.parents}
    remove_empty(sorted(folders, reverse=True))
    return deleted


__all__ = ["Selection", "gone_upstream", "prune", "selections", "update"]
