"""How long it takes to read a million keys, and to choose among them. Counts are asserted, times are printed.

Run it as ``python benchmarks/choosing.py [KEYS]``. The study is synthetic: subjects with two sessions, each with
anatomical, diffusion and functional images, sidecars beside them and at the root. Absolute times say little on a busy
machine; the targets are 10 s of CPU for reading the names and 2 s for a choice.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from s3bids.bids.layouts import Layout
from s3bids.bids.names import parse
from s3bids.bids.table import name_table
from s3bids.catalog import Catalog, catalog_of
from s3bids.choice import choosing
from s3bids.choosing import Reading, chosen_rows
from s3bids.selection import Selection
from s3bids.storage.base import ObjectInfo

T = TypeVar("T")
ROOT = [
    "README",
    "dataset_description.json",
    "participants.tsv",
    "dwi.json",
    "task-rest_bold.json",
    "task-movie_bold.json",
]
RUNS = range(1, 20)
SESSION = [
    *(f"anat/{{}}_T1w.{kind}" for kind in ("json", "nii.gz")),
    *(f"dwi/{{}}_acq-64_dwi.{kind}" for kind in ("bval", "bvec", "json", "nii.gz")),
    *(
        f"func/{{}}_task-{task}_run-{run:02}_{name}"
        for task in ("movie", "peer", "rest")
        for run in RUNS
        for name in ("bold.json", "bold.nii.gz", "events.tsv", "sbref.nii.gz")
    ),
]


def nothing(_: object) -> dict[int, object]:
    """No file of this study links to another, so nothing has to be read."""
    return {}


def make_catalog(number: int) -> Catalog:
    subjects = number // (2 * len(SESSION))
    sessions = [(f"sub-{n:06}", f"ses-{s}") for n in range(subjects) for s in (1, 2)]
    paths = [f"{sub}/{ses}/{name.format(f'{sub}_{ses}')}" for sub, ses in sessions for name in SESSION] + ROOT
    return catalog_of((ObjectInfo(path, 1, None, None) for path in sorted(paths)), "", Layout.NESTED)


def timed(what: str, function: Callable[[], T]) -> T:
    started = time.process_time()
    result = function()
    print(f"{time.process_time() - started:7.2f} s  {what}")
    return result


def main(number: int) -> None:
    catalog = make_catalog(number)
    subjects = sorted({path.split("/")[0] for path in catalog.keys if path.startswith("sub-")})
    sessions = 2 * len(subjects)
    print(f"{len(catalog):,} keys of {len(subjects):,} subjects, CPU time:")
    timed("every name by itself", lambda: [parse(path).suffix for path in catalog.keys])
    table = timed("all names as a table", lambda: name_table(catalog.keys, Layout.NESTED))
    assert len(table) == len(catalog)
    selection = Selection(tuple(subjects))
    wanted = {
        "two runs of one task": ({"filters": {"task": "rest", "suffix": "bold", "run": [1, 2]}}, 6 * sessions + 4),
        "all of dwi, without bvec": ({"filters": {"datatype": "dwi"}, "exclude": "*.bvec"}, 3 * sessions + 4),
        "all functional images": ({"filters": {"datatype": "func"}}, 228 * sessions + 5),
        "T1w by glob": ({"include": "*_T1w.nii.gz"}, 2 * sessions + 3),
        "all files, by a glob": ({"include": "sub-*/**"}, len(SESSION) * sessions + len(ROOT)),
    }
    for what, (asked, expected) in wanted.items():
        choose = partial(chosen_rows, catalog, selection, choosing(**asked), Reading(nothing, nothing), table=table)
        rows = timed(what, choose)
        assert len(rows) == expected, (what, len(rows), expected)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:7.0f} MB  most memory")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
