"""What a run tells while it goes on: typed events, and the bar that shows them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .report import Result


@dataclass(frozen=True, slots=True)
class Started:
    """Transfers begin. What is planned so far; where a listing is long, :class:`Planned` tells of more."""

    #: Files to fetch.
    files: int
    #: Bytes to fetch.
    bytes: int
    #: Whether that is all.
    is_all: bool = True


@dataclass(frozen=True, slots=True)
class Planned:
    """More is to be fetched than was told before; or less, where an object has become smaller meanwhile."""

    files: int
    bytes: int
    #: Whether the plan is complete with this.
    is_all: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes have come; a negative number takes back those of an attempt that failed."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Finished:
    """One transfer has ended, well or not."""

    result: Result


@dataclass(frozen=True, slots=True)
class Ended:
    """All transfers have ended, or the run was interrupted."""


Event = Started | Planned | Received | Finished | Ended


def silent(event: Event) -> None:
    """Show nothing."""
    del event


class Bar:
    """Show the events as one tqdm bar in bytes over the planned total, on stderr or in the notebook."""

    def __init__(self, make_bar: Callable[..., Any] | None = None) -> None:
        self._make_bar = make_bar or _auto_bar
        self._bar: Any = None
        self._files = 0
        self._done = 0

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, Started):
            self._files, self._done = event.files, 0
            if event.files:
                self._open(event.bytes)
        elif isinstance(event, Planned):
            self._files += event.files
            if self._bar is None and not event.files:
                return
            if self._bar is None:
                self._open(event.bytes)
            else:
                self._bar.total += event.bytes
        elif self._bar is None:
            return
        elif isinstance(event, Received):
            self._bar.update(event.bytes)
        elif isinstance(event, Finished):
            self._done += 1
            self._bar.set_postfix_str(f"{self._done}/{self._files} files", refresh=self._done == self._files)
        else:
            self._bar.close()
            self._bar = None

    def _open(self, total: int) -> None:
        self._bar = self._make_bar(total=total, unit="B", unit_scale=True, unit_divisor=1024)
        self._bar.set_postfix_str(f"0/{self._files} files", refresh=False)


def _auto_bar(**options: Any) -> Any:
    """Make the bar that fits the place; a notebook without ipywidgets gets the plain one, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

        try:
            return tqdm(**options)
        except ImportError:
            from tqdm.std import tqdm as plain

            return plain(**options)
