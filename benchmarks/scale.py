"""What a large study costs before the first byte comes: catalog and plan of a synthetic listing, and a second run.

    python benchmarks/scale.py catalog KEYS     processor time, time for each key, and peak memory of catalog and plan
    python benchmarks/scale.py second FILES     the same for a run that finds every file complete on disk
    python benchmarks/scale.py plan ROWS I/N    the same for a task that reads part I of N of a plan; 1/1 is the whole

A hundred keys a subject. Run each in a process of its own: the peak memory is that of the process.
"""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from s3bids import S3BIDSStudy
from s3bids.batch import freeze, parse_shard, read_plan, save_plan
from s3bids.bids.layouts import Layout
from s3bids.storage import LocalFSParams, LocalStorage
from s3bids.storage.base import ObjectInfo
from s3bids.transfer.plan import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS_PER_SUBJECT = 100
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONTENT = b"onset\tduration\n"
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class SyntheticStorage(LocalStorage):
    """A bucket that exists as numbers only."""

    location = "s3://synthetic"

    def __init__(self, keys: int) -> None:
        super().__init__(LocalFSParams(use_local_fs=True, root_dir="synthetic", user="nobody", bucket_name="synthetic"))
        self.subjects = [f"sub-{number:05}" for number in range(keys // KEYS_PER_SUBJECT)]
        self.gets = 0

    def list(self, prefix: str = "", *, literal: bool = False, after: str = "") -> Iterator[ObjectInfo]:
        del prefix, literal, after
        for subject in self.subjects:
            for run in range(KEYS_PER_SUBJECT):
                # Real listings make a new text for each key and each ETag; so does this one.
                name = f"ds/{subject}/func/{subject}_task-rest_run-{run:03}_events.tsv"
                yield ObjectInfo(name, len(CONTENT), "".join(MD5), MOMENT)

    def children(self, prefix: str = "", delimiter: str = "/") -> tuple[list[str], list[ObjectInfo]]:
        return [f"{prefix}{delimiter}{subject}{delimiter}" for subject in self.subjects], []

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        self.gets += 1
        yield CONTENT


def study_of(storage: SyntheticStorage) -> S3BIDSStudy:
    return S3BIDSStudy("synthetic", "synthetic", "ds", subjects="all", storage=storage)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def catalog(keys: int) -> dict[str, float]:
    storage = SyntheticStorage(keys)
    study = study_of(storage)
    listing_only = time.process_time()
    for _ in storage.list():
        pass
    listing_only = time.process_time() - listing_only
    with tempfile.TemporaryDirectory() as directory:
        before = time.process_time()
        report = study.download_dataset(directory, dry_run=True)
        busy = time.process_time() - before
    if report.plan is None or len(report.plan) != keys:
        raise RuntimeError("the plan is not complete")
    return {
        "keys": keys,
        "cpu_s": round(busy, 2),
        "cpu_of_the_synthetic_listing_s": round(listing_only, 2),
        "us_a_key": round(busy / keys * 1e6, 2),
        "peak_mb": round(peak_mb()),
    }


def second(files: int) -> dict[str, float]:
    shared = Path("/dev/shm")  # noqa: S108 - a memory disk, where there is one
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as directory:
        storage = SyntheticStorage(files)
        study_of(storage).download_dataset(directory)
        asked, begun, before = storage.gets, time.perf_counter(), time.process_time()
        report = study_of(storage).download_dataset(directory)
        seconds, busy = time.perf_counter() - begun, time.process_time() - before
    if report.skipped != files:
        raise RuntimeError("the second run did not find every file")
    return {
        "files": files,
        "seconds": round(seconds, 2),
        "cpu_s": round(busy, 2),
        "gets": storage.gets - asked,
        "peak_mb": round(peak_mb()),
    }


def save(rows: int, path: str) -> None:
    """Write a plan of so many objects; no two ETags are the same, as in a real one."""
    found = list(SyntheticStorage(rows).list())
    keys = [info.key for info in found]
    etags = [hashlib.md5(key.encode(), usedforsecurity=False).hexdigest() for key in keys]
    sizes = [number * 7919 % 1_000_003 for number in range(len(keys))]
    times = [MOMENT.timestamp() + number for number in range(len(keys))]
    wanted = Wanted(keys, [key.removeprefix("ds/") for key in keys], sizes, etags, times)
    save_plan(freeze(SyntheticStorage(0), wanted, study="synthetic", prefix="ds", layout=Layout.NESTED), path)


def plan(rows: int, shard: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "plan.jsonl.gz"
        # In a process of its own, which has the whole in memory.
        subprocess.run([sys.executable, __file__, "save", str(rows), str(path)], check=True)
        before, begun = peak_mb(), time.process_time()
        part = read_plan(path, shard=parse_shard(shard))
        busy = time.process_time() - begun
    return {
        "rows": rows,
        "rows_of_the_part": len(part),
        "cpu_s": round(busy, 2),
        "mb_before": round(before),
        "peak_mb": round(peak_mb()),
    }


def main() -> None:
    what, number = sys.argv[1], int(sys.argv[2])
    measures = {"catalog": catalog, "second": second, "plan": plan, "save": save}
    found = measures[what](number, *sys.argv[3:])
    if found is not None:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
