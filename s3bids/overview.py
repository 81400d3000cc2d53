"""What a study holds, counted from a listing: subjects by datatype and suffix, derivatives by subjects and size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .bids.coverage import Coverage, coverage
from .bids.layouts import DERIVATIVES
from .bids.table import name_table
from .catalog import list_catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .listed_study import ListedStudy


@dataclass
class DerivativeOverview:
    """One derivative of a study."""

    #: Its name; a derivative of a derivative has both, with a slash.
    name: str
    subjects: set[str] = field(default_factory=set)
    files: int = 0
    bytes: int = 0
    #: Whether it has a ``dataset_description.json``, without which BIDS tools pass over it.
    is_described: bool = False


def study_coverage(study: ListedStudy, subjects: Sequence[str]) -> Coverage:
    """Count the raw recordings of subjects by datatype and suffix: one listing a subject."""
    catalog = study._data_set.subject_catalog(subjects, ())
    return coverage(name_table(catalog.paths, catalog.layout), subjects)


def derivative_overview(study: ListedStudy) -> list[DerivativeOverview]:
    """Count the derivatives of a study, sorted by name; lists ``derivatives/`` whole."""
    catalog = list_catalog(study.storage, study.s3_prefix, [f"{DERIVATIVES}/"], layout=study.layout)
    found: dict[str, DerivativeOverview] = {}
    paths = set()
    for index, path in enumerate(catalog.paths):
        place = catalog.layout.place(path)
        paths.add(path)
        if not place.derivative:
            continue
        one = found.setdefault(place.derivative, DerivativeOverview(place.derivative))
        one.files += 1
        one.bytes += catalog.sizes[index]
        if place.subject is not None:
            one.subjects.add(place.subject)
    for one in found.values():
        one.is_described = catalog.layout.description_path(one.name) in paths
    return [found[name] for name in sorted(found)]
