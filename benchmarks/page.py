"""How long the coverage page of 5,000 subjects takes to be written, and in Chromium until it can be used.

Run it as ``python benchmarks/page.py``. It prints seconds and bytes; the goal is 2 s until the page can be used.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from s3bids.bids.layouts import Layout
from s3bids.bids.participants import parse_participants
from s3bids.catalog import Catalog
from s3bids.report.coverage import study_coverage
from s3bids.report.page import write_page

SUBJECTS = 5000
ROUNDS = 5
KINDS = [
    f"{datatype}/{{}}_{name}"
    for datatype, names in {
        "anat": ("T1w.nii.gz", "T1w.json", "T2w.nii.gz"),
        "func": ("task-rest_bold.nii.gz", "task-rest_bold.json", "task-faces_bold.nii.gz", "task-faces_events.tsv"),
        "dwi": ("dwi.nii.gz", "dwi.bval", "dwi.bvec"),
        "fmap": ("magnitude1.nii.gz", "magnitude2.nii.gz", "phasediff.nii.gz"),
    }.items()
    for name in names
]


def page_of(path: Path) -> float:
    """Write the page, and give the seconds that took."""
    subjects = [f"sub-{number:05}" for number in range(SUBJECTS)]
    keys = sorted(f"{subject}/{kind.format(subject)}" for subject in subjects for kind in KINDS)
    catalog = Catalog("", Layout.NESTED, keys, [10**6] * len(keys), [None] * len(keys), [float("nan")] * len(keys))
    table = "participant_id\tage\tsex\n" + "".join(f"{name}\t{n % 80}\tF\n" for n, name in enumerate(subjects))
    start = time.perf_counter()
    people = parse_participants(table.encode(), source="participants.tsv")
    coverage = study_coverage(catalog, title="many", source="s3://bucket/many", participants=people)
    write_page(path, coverage, now=datetime.now(UTC))
    return time.perf_counter() - start


def main() -> int:
    """Measure, and say whether the goal is met."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        print(f"written in {page_of(path):.2f} s, {path.stat().st_size:,} bytes")
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        times = []
        for _ in range(ROUNDS):
            page = browser.new_page()
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]")
            times.append(int(page.evaluate("document.documentElement.dataset.ready")) / 1000)
            page.close()
        browser.close()
    median = statistics.median(times)
    print(f"usable after {median:.2f} s (median of {ROUNDS}; {min(times):.2f} to {max(times):.2f})")
    return int(median >= 2)


if __name__ == "__main__":
    sys.exit(main())
