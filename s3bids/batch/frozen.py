"""A frozen plan: what a listing found, to be fetched later, elsewhere, and by many processes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import ConfigError
from ..storage.params import S3Params, location_params, without_password
from ..storage.registry import get_storage
from .names import meetings, suspects
from .shards import Shard, assign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bids.layouts import Layout
    from ..storage.base import Storage
    from ..transfer.manifest import Record
    from ..transfer.plan import Wanted


@dataclass(frozen=True)
class Access:
    """How a bucket is reached, without secrets: what signs requests comes from where a plan is carried out."""

    anon: bool = True
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    request_payer: bool = False

    @classmethod
    def of(cls, storage: Storage) -> Access:
        """Give what is known of a storage; of a local emulation there is nothing to know."""
        params = getattr(storage, "params", None)
        if not isinstance(params, S3Params):
            return cls()
        endpoint = without_password(params.endpoint_url)
        return cls(params.anon, endpoint, params.region_name, params.profile_name, params.request_payer)

    def open(self, location: str) -> Storage:
        """Give the storage of a location."""
        return get_storage(location_params(location, **asdict(self)))


@dataclass(frozen=True, eq=False)
class FrozenPlan:
    """The objects of a download as one listing found them; columns, since a million rows must fit into memory."""

    #: The study's name.
    study: str
    #: Where the bucket is, such as ``s3://bucket``.
    location: str
    #: The root of the data set in the bucket, without outer slashes.
    prefix: str
    layout: Layout
    access: Access
    #: What was chosen, in the words of the command line.
    selection: tuple[str, ...]
    #: Such as ``s3bids 0.2.0``.
    tool: str
    #: When it was made, in seconds since 1970.
    time: float
    wanted: Wanted
    #: The subject of each object; None for a file of the whole study.
    subjects: Sequence[str | None]
    #: Descriptions that the study lacks and a download writes: target and name of the derivative.
    undescribed: tuple[tuple[str, str], ...] = ()
    #: Which part of a plan this is; None: the whole.
    part: Shard | None = None

    def __len__(self) -> int:
        return len(self.wanted)

    @property
    def bytes(self) -> int:
        """Bytes of all objects."""
        return sum(self.wanted.sizes)

    @property
    def source(self) -> str:
        """Where the study is, such as ``s3://bucket/prefix``."""
        return f"{self.location}/{self.prefix}".rstrip("/")

    def is_rewritten(self, row: int, record: Record) -> bool:
        """Say whether an object was written again since a file came, by time: for where there is no ETag to tell."""
        planned = self.wanted.modified[row]
        return record.etag is None and record.modified is not None and planned == planned != record.modified

    def rows_of(self, shard: Shard) -> list[int]:
        """Give the rows of one shard, in their order."""
        found = assign(self.wanted.sizes, self.subjects, shard.count)
        # Rows that cannot both be files meet in one shard, which then refuses one of them as the whole would.
        targets = self.wanted.targets
        moved = meetings({row: targets[row] for row in suspects(targets)}) if shard.count > 1 else {}
        return [row for row in range(len(self)) if found[moved.get(row, row)] == shard.number - 1]

    def shard(self, shard: Shard) -> FrozenPlan:
        """Give the part of the plan that one shard is.

        Raises
        ------
        ConfigError
            If this is already another part of a plan.
        """
        if self.part == shard:
            return self
        if self.part is not None:
            raise ConfigError(f"this is part {self.part} of a plan, which has no part {shard}; read the whole plan")
        rows = self.rows_of(shard)
        subjects = [self.subjects[row] for row in rows]
        return replace(self, wanted=self.wanted.take(rows), subjects=subjects, part=shard)


def freeze(
    storage: Storage,
    wanted: Wanted,
    *,
    study: str,
    prefix: str,
    layout: Layout,
    selection: Sequence[str] = (),
    undescribed: Sequence[tuple[str, str]] = (),
) -> FrozenPlan:
    """Make a frozen plan of the objects that a listing found.

    Parameters
    ----------
    storage
        Where they are.
    wanted
        The objects and their targets, such as the `wanted` of a :class:`~s3bids.transfer.plan.Plan`.
    study, prefix, layout
        The study's name, its root in the bucket, and how it is arranged.
    selection
        What was chosen, in the words of the command line.
    undescribed
        Descriptions of derivatives that the study lacks: target and name.
    """
    folders: dict[str, str | None] = {}
    subjects = []
    for target in wanted.targets:
        folder = target[: target.rfind("/") + 1]
        if folder not in folders:
            folders[folder] = layout.place(target).subject
        subjects.append(folders[folder])
    tool = f"s3bids {__version__}"
    access = Access.of(storage)
    return FrozenPlan(
        study,
        storage.location,
        prefix,
        layout,
        access,
        tuple(selection),
        tool,
        time.time(),
        wanted,
        subjects,
        tuple(undescribed),
    )


__all__ = ["Access", "FrozenPlan", "freeze"]
