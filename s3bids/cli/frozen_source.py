"""What a download by shards or from a frozen plan takes in place of an open study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..batch import Access, FrozenPlan, Shard, download_plan, freeze, read_plan
from ..config.study_file import NAME
from ..errors import ConfigError
from ..storage.params import environment_endpoint, without_password
from ..transfer.manifest import STATE_FOLDER
from .options import Choice, Connection

if TYPE_CHECKING:
    from ..bids.layouts import Layout
    from ..storage.base import Storage
    from ..transfer.report import DownloadReport
    from .study_argument import Chosen


@dataclass(frozen=True)
class FrozenSource:
    """A plan, how its bucket is reached, and which part of it is wanted."""

    plan: FrozenPlan
    storage: Storage
    shard: Shard | None = None
    #: The plan was read from a file: no other objects will do.
    is_frozen: bool = True

    @property
    def study_id(self) -> str:
        """The study's name."""
        return self.plan.study

    @property
    def location(self) -> str:
        """Where the study is."""
        return self.plan.source

    @property
    def layout(self) -> Layout:
        """How the study is arranged."""
        return self.plan.layout

    def directory(self, given: str | None) -> Path:
        """Give the directory of the download: by default the study's name in the working directory."""
        if given is None and NAME.fullmatch(self.plan.study) is None:
            # Whoever made the plan has no say in where it goes.
            raise ConfigError(f"the plan is of {self.plan.study!r}, which can be the name of no directory; give DIR")
        return Path(self.plan.study if given is None else given)

    def download(self, directory: Path, **options: Any) -> DownloadReport:
        """Download the plan, or the part of it."""
        return download_plan(
            self.plan, directory, shard=self.shard, storage=self.storage, is_frozen=self.is_frozen, **options
        )


def only_directory(first: str | None, second: str | None) -> str | None:
    """Give DIR where no STUDY stands before it."""
    if second is not None:
        raise click.UsageError(f"the plan says which study; give DIR alone, without {first!r} before it")
    return first


def require_study(study: str | None) -> str:
    """Refuse a command line that names no study."""
    if study is None:
        raise click.UsageError("Missing argument 'STUDY'")
    return study


def from_file(path: str, shard: Shard | None, connection: Connection, choice: Choice) -> FrozenSource:
    """Open a frozen plan; what was chosen is in it, so nothing else can be."""
    if choice != Choice():
        raise click.UsageError("the plan says what is wanted; choose when you make it, with s3bids plan STUDY --save")
    plan = read_plan(path, shard=shard)
    access = connection.applied_to(plan.access)
    _require_agreement(plan.access, access, connection)
    return FrozenSource(plan, access.open(plan.location), shard)


def _require_agreement(planned: Access, access: Access, connection: Connection) -> None:
    """Refuse what only the plan wants, and whoever made it: that one pays, or signs for a server of its own.

    Such a server would get the access key and the session token.
    """
    if access.request_payer and not access.anon and not connection.request_payer:
        raise ConfigError(
            "the plan wants requests that you pay for (requester pays); agree with --request-payer, "
            "or have a plan made without it"
        )
    has_agreed = connection.sign or connection.profile is not None or connection.endpoint_url is not None
    if access.anon or has_agreed or planned.endpoint_url in (None, without_password(environment_endpoint())):
        return
    raise ConfigError(
        f"the plan wants signed requests to {planned.endpoint_url}; if you trust this server agree with --sign or "
        "--profile, or name it with --endpoint-url; --no-sign sends unsigned ones"
    )


def from_study(chosen: Chosen, shard: Shard, directory: Path) -> FrozenSource:
    """List a study and take one part of it: every process that lists the same finds the same parts."""
    return FrozenSource(frozen(chosen, (), directory), chosen.study.storage, shard, is_frozen=False)


def frozen(chosen: Chosen, selection: tuple[str, ...], directory: Path, *, may_be_trimmed: bool = False) -> FrozenPlan:
    """List a study once and freeze what of it was chosen."""
    if not may_be_trimmed:
        require_untrimmed(chosen)
    # A place that is not there: what lies in the directory has no say in what is wanted, and need not be looked at.
    nowhere = directory / STATE_FOLDER / "nowhere"
    report = chosen.study.download_dataset(
        nowhere, derivatives=chosen.derivatives, suffix=chosen.suffix, **chosen.asked, dry_run=True
    )
    return frozen_report(chosen, report, selection)


def require_untrimmed(chosen: Chosen) -> None:
    """Refuse what a plan cannot say: it fetches objects as they are, and no part of it knows of the others."""
    if chosen.asked.get("valid_subset"):
        raise ConfigError(
            "a valid subset is cut down after a download, which plans, locks and shards are not; leave valid_subset out"
        )


def frozen_report(chosen: Chosen, report: DownloadReport, selection: tuple[str, ...]) -> FrozenPlan:
    """Freeze what a dry run found."""
    if report.plan is None:
        raise ConfigError("the study gave no plan")
    study = chosen.study
    return freeze(
        study.storage,
        report.plan.wanted,
        study=study.study_id,
        prefix=study.s3_prefix,
        layout=study.layout,
        selection=selection,
        undescribed=report.undescribed,
    )


__all__ = [
    "FrozenSource",
    "from_file",
    "from_study",
    "frozen",
    "frozen_report",
    "only_directory",
    "require_study",
    "require_untrimmed",
]
