"""What is to be done about each wanted object: decided once, from values, before anything is fetched.

The same :class:`Plan` is printed by a dry run and executed by the real one.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field, fields
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from ..display import card, files_text, size_text
from .partial import Version
from .refusals import refusals
from .verify import etag_md5

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .destination import Destination, FileState
    from .manifest import Record
    from .partial import Partial


class Action(StrEnum):
    """What to do about one target."""

    #: Nothing is there: fetch the object.
    FETCH = "fetch"
    #: The file is an older version that we wrote, or may be overwritten: fetch the object and replace the file.
    REPLACE = "replace"
    #: The file may be the beginning of the object: fetch the object, and replace the file if that is so.
    COMPLETE = "complete"
    #: Size and name agree and nothing else is known: fetch the object only to compare it with the file.
    COMPARE = "compare"
    #: The file has the object's bytes.
    KEEP = "keep"
    #: The file is somebody's own: it stays, and is listed.
    CONFLICT = "conflict"
    #: The key cannot be a file here: it is listed as failed.
    REFUSE = "refuse"


#: Actions that send a GET (but none for an object without bytes).
FETCHING = frozenset({Action.FETCH, Action.REPLACE, Action.COMPLETE, Action.COMPARE})

#: The other actions, as a notebook names them.
_STAYING = {
    Action.KEEP: "here already",
    Action.CONFLICT: "differ, and are kept",
    Action.REFUSE: "cannot be files",
}


@dataclass(frozen=True, eq=False)
class Wanted:
    """Objects and the targets they go to, as columns of one length: a million rows must fit into memory."""

    #: Keys without the bucket.
    keys: Sequence[str]
    #: Paths relative to the directory, with ``/``.
    targets: Sequence[str]
    #: Sizes in bytes.
    sizes: Sequence[int]
    #: ETags without quotes, or None.
    etags: Sequence[str | None]
    #: When each object was last written, in seconds since 1970; NaN if unknown.
    modified: Sequence[float]
    #: Which version of each object is meant, where the bucket keeps versions; empty: the present ones.
    versions: Sequence[str | None] = ()

    def __len__(self) -> int:
        return len(self.keys)

    def source(self, location: str, index: int) -> Source:
        """Give one object as :func:`decide` takes it."""
        return Source(location, self.keys[index], self.sizes[index], self.etags[index], self.modified[index])

    def version(self, location: str, index: int) -> Version:
        """Say which version of which object a row is."""
        return Version(location, self.keys[index], self.sizes[index], self.etags[index])

    def take(self, indices: Sequence[int]) -> Wanted:
        """Give some of the rows, in the order given."""
        return Wanted(
            [self.keys[index] for index in indices],
            [self.targets[index] for index in indices],
            array("q", (self.sizes[index] for index in indices)),
            [self.etags[index] for index in indices],
            array("d", (self.modified[index] for index in indices)),
            [self.versions[index] for index in indices] if self.versions else (),
        )


class Transfer(NamedTuple):
    """One row of a plan. A tuple, since a million of them are made."""

    key: str
    target: str
    size: int
    etag: str | None
    modified: float
    action: Action
    note: str
    #: An unfinished file of the same object, to go on with.
    partial: Partial | None = None
    #: The version of the object, if not the present one is meant.
    version: str | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be done about each wanted object; a row is a view made when it is needed."""

    #: Where the objects are, such as ``s3://bucket``.
    location: str
    wanted: Wanted
    #: One action a row.
    actions: Sequence[Action]
    #: Row -> why, for rows whose action needs a reason.
    notes: dict[int, str]
    #: Rows that are kept though the manifest does not know them yet.
    adopted: tuple[int, ...] = ()
    #: Row -> an unfinished file of the same object, left by an earlier run.
    partials: dict[int, Partial] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.wanted)

    def __iter__(self) -> Iterator[Transfer]:
        return map(self.row, range(len(self)))

    def _repr_html_(self) -> str:
        kinds = [("to fetch", tuple(FETCHING))] + [(name, (action,)) for action, name in _STAYING.items()]
        rows = [
            (name, f"{files_text(self.count(*actions))}, {size_text(self.total_bytes(*actions))}")
            for name, actions in kinds
            if self.count(*actions) or name == "to fetch"
        ]
        return card(f"Plan of {files_text(len(self))}", [("from", self.location), *rows])

    def row(self, index: int) -> Transfer:
        """Give one row."""
        wanted = self.wanted
        return Transfer(
            wanted.keys[index],
            wanted.targets[index],
            wanted.sizes[index],
            wanted.etags[index],
            wanted.modified[index],
            self.actions[index],
            self.notes.get(index, ""),
            self.partials.get(index),
            wanted.versions[index] if wanted.versions else None,
        )

    def rows(self, *actions: Action) -> Iterator[Transfer]:
        """Give the rows with one of some actions."""
        return (self.row(index) for index, action in enumerate(self.actions) if action in actions)

    def count(self, *actions: Action) -> int:
        """Count the rows with one of some actions."""
        found = Counter(self.actions)
        return sum(found[action] for action in actions)

    def total_bytes(self, *actions: Action) -> int:
        """Add up the sizes of the objects with one of some actions, in bytes."""
        return sum(size for size, action in zip(self.wanted.sizes, self.actions, strict=True) if action in actions)

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes that the run will receive if nothing has to be sent twice."""
        return self.total_bytes(*FETCHING)


def make_plan(
    location: str,
    wanted: Wanted,
    destination: Destination,
    *,
    refused: Mapping[int, str] | None = None,
    overwrite: bool = False,
    trust_size: bool = False,
) -> Plan:
    """Decide what to do about each wanted object.

    Parameters
    ----------
    location
        Where the objects are, such as ``s3://bucket``; a file counts as written by us only if it came from there.
    wanted
        The objects and their targets. Each target appears once: a second one is refused.
    destination
        What is there already.
    refused
        What :func:`refusals` gives for the targets, if that is known already.
    overwrite
        Replace files that are somebody's own.
    trust_size
        A file whose size alone was checked when it was written counts as checked.
    """
    refused = refusals(wanted.targets) if refused is None else refused
    actions: list[Action] = []
    notes: dict[int, str] = {}
    adopted: list[int] = []
    for index, target in enumerate(wanted.targets):
        file = destination.files.get(target)
        if index in refused:
            action, note = Action.REFUSE, refused[index]
        elif file is None:
            # Most rows of a first download: nothing to weigh up.
            action, note = Action.FETCH, ""
        else:
            source = wanted.source(location, index)
            record = destination.records.get(target)
            action, note = decide(source, file, record, overwrite=overwrite, trust_size=trust_size)
            if action is Action.KEEP and not _is_recorded(source, file, record):
                adopted.append(index)
        actions.append(action)
        if note:
            notes[index] = note
    partials = _partials(location, wanted, actions, destination) if destination.partials else {}
    return Plan(location, wanted, actions, notes, tuple(adopted), partials)


def _partials(location: str, wanted: Wanted, actions: list[Action], destination: Destination) -> dict[int, Partial]:
    """Find the unfinished file that each row can go on with: one of the very same version of the object."""
    by_object = {partial.object: partial for partial in destination.partials}
    rows = (index for index, action in enumerate(actions) if action in (Action.FETCH, Action.REPLACE))
    found = ((index, by_object.get(wanted.version(location, index))) for index in rows)
    return {index: partial for index, partial in found if partial is not None}


def joined(plans: Sequence[Plan]) -> Plan:
    """Join the plans of the parts of one listing."""
    if len(plans) == 1:
        return plans[0]
    notes: dict[int, str] = {}
    partials: dict[int, Partial] = {}
    adopted: list[int] = []
    actions: list[Action] = []
    for plan in plans:
        first = len(actions)
        actions += plan.actions
        notes.update((first + index, note) for index, note in plan.notes.items())
        partials.update((first + index, partial) for index, partial in plan.partials.items())
        adopted += [first + index for index in plan.adopted]
    location = plans[0].location if plans else ""
    return Plan(location, joined_wanted([plan.wanted for plan in plans]), actions, notes, tuple(adopted), partials)


def joined_wanted(parts: Sequence[Wanted]) -> Wanted:
    """Join columns of wanted objects."""
    return Wanted(*(list(chain.from_iterable(getattr(part, field.name) for part in parts)) for field in fields(Wanted)))


@dataclass(frozen=True, slots=True)
class Source:
    """The object of a target, as the listing describes it."""

    location: str
    key: str
    size: int
    etag: str | None
    modified: float


def decide(
    source: Source, file: FileState | None, record: Record | None, *, overwrite: bool, trust_size: bool = False
) -> tuple[Action, str]:
    """Decide about one target from what is there; see DESIGN, "Plan".

    ========================================================  ==========  =========================
    the file                                                  action      with ``overwrite``
    ========================================================  ==========  =========================
    is absent, or empty while the object is not               fetch
    is as we wrote it, and the object is still the same one   keep
    has the object's size and MD5                             keep
    is as we wrote it, and the object is another one now      replace
    is shorter                                                complete    replace
    has the object's size, and there is no MD5 to compare     compare     replace
    is anything else                                          conflict    replace
    ========================================================  ==========  =========================
    """
    if file is None:
        return Action.FETCH, ""
    if file.is_directory:
        return Action.CONFLICT, "a directory has this name"
    known = _record_of(source, record)
    if file.size == source.size and _has_the_bytes(source, file, known, trust_size=trust_size):
        return Action.KEEP, ""
    if known is not None and (is_untouched(file, known) or (file.md5 is not None and file.md5 == known.md5)):
        return Action.REPLACE, "the object has changed since it was downloaded"
    if overwrite:
        return Action.REPLACE, "the file differs, and overwriting was asked for"
    if file.size < 0:
        return Action.CONFLICT, "a link that leads nowhere has this name"
    if file.size == 0 < source.size:
        return Action.REPLACE, "the file is empty"
    if file.size < source.size:
        return Action.COMPLETE, f"the file has {file.size} of {source.size} bytes"
    if file.size == source.size and etag_md5(source.etag) is None:
        return Action.COMPARE, "the storage gives no MD5 to compare with"
    if file.size == source.size:
        return Action.CONFLICT, "the file has the object's size and other bytes"
    return Action.CONFLICT, f"the file has {file.size} bytes, the object {source.size}"


def needs_hash(source: Source, file: FileState, record: Record | None, *, trust_size: bool) -> bool:
    """Say whether :func:`decide` needs the MD5 of a file: only where size and manifest do not settle it."""
    if file.is_directory or file.size < 0 or file.size == source.size == 0:
        return False
    known = _record_of(source, record)
    if known is not None and is_untouched(file, known):
        return _is_same_version(source, known) and not _is_checked(known, source, trust_size=trust_size)
    may_be_the_object = file.size == source.size and etag_md5(source.etag) is not None
    may_be_ours = known is not None and known.md5 is not None and file.size == known.size
    return may_be_the_object or may_be_ours


def _record_of(source: Source, record: Record | None) -> Record | None:
    """Give the record if it is of this very object: the same target may have come from elsewhere."""
    if record is None or (record.location, record.key) != (source.location, source.key):
        return None
    return record


def _is_recorded(source: Source, file: FileState, record: Record | None) -> bool:
    """Say whether the manifest spares the next run what this one had to find out about a file that is kept."""
    known = _record_of(source, record)
    return known is not None and is_untouched(file, known) and file.md5 is None


def is_untouched(file: FileState, record: Record) -> bool:
    """Say whether a file is as we wrote it, by size and time of change."""
    return file.size == record.size and file.mtime_ns == record.mtime_ns


def _has_the_bytes(source: Source, file: FileState, known: Record | None, *, trust_size: bool) -> bool:
    if source.size == 0:
        return True
    md5 = etag_md5(source.etag)
    if file.md5 is not None and md5 is not None:
        return file.md5 == md5
    if known is None or not _is_same_version(source, known):
        return False
    if file.md5 is not None and known.md5 is not None:
        return file.md5 == known.md5
    return is_untouched(file, known) and _is_checked(known, source, trust_size=trust_size)


def _is_same_version(source: Source, record: Record) -> bool:
    """Say whether the object is the one that was downloaded: by ETag, or by time where there is none."""
    if source.etag is not None or record.etag is not None:
        return source.etag == record.etag
    return source.size == record.size and source.modified == record.modified


def _is_checked(record: Record, source: Source, *, trust_size: bool) -> bool:
    return trust_size or record.check != "size" or etag_md5(source.etag) is None
