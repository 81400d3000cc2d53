"""Chromium without a window. Where it is not installed the tests fail: a page that nobody opened is not tested."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from random import Random

import pytest

from s3bids.bids.layouts import Layout
from s3bids.bids.participants import parse_participants
from s3bids.catalog import Catalog
from s3bids.report.coverage import study_coverage
from s3bids.report.page import write_page

#: No sandbox, since continuous integration runs as root; no services of the browser's own, which ask other hosts.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
]
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium():
    """The browser, one for the run, with a new and empty profile."""
    from playwright.sync_api import sync_playwright

    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.fail("no Chromium is installed; sh .ci/install-chromium, or: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """A function that opens a file; at the end nothing may have been complained of or asked of another host."""
    contexts, complaints, requests = [], [], []

    def go(path, *, width=1200, height=800, scheme="light", ready=True):
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-US")
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        if ready:
            page.wait_for_selector("html[data-ready]")
        return page

    go.complaints = complaints
    yield go
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:///", "data:"))] == []
    assert requests


# Pages of synthetic studies: the same number gives the same page.

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def catalog_of(sizes):
    """Give a catalog of paths with their sizes."""
    keys = sorted(sizes)
    return Catalog(
        "", Layout.NESTED, keys, [sizes[key] for key in keys], [None] * len(keys), [float("nan")] * len(keys)
    )


def write_study_page(path, number):
    """Write the page of a study with a number of subjects, of which some lack some."""
    random = Random(number)
    sizes = {"README": 100, "participants.tsv": 1000}
    rows = ["participant_id\tage\tsex\tsite"]
    for n in range(1, number + 1):
        subject = f"sub-{n:04}"
        rows.append(
            f"{subject}\t{random.triangular(5, 22, 9):.1f}\t{random.choice('FM')}\t{random.choice(['CBIC', 'RU'])}"
        )
        sizes |= _files(subject, random)
    participants = parse_participants("\n".join(rows).encode(), source="participants.tsv")
    subjects = [f"sub-{n:04}" for n in range(1, number + 1)]
    coverage = study_coverage(
        catalog_of(sizes),
        title=f"study-{number}",
        source="s3://bucket/study",
        subjects=subjects,
        participants=participants,
    )
    return write_page(path, coverage, now=NOW)


def _files(subject, random):
    found = {}
    for session in ("ses-1", "ses-2"):
        start = f"{session}/%s/{subject}_{session}"
        if random.random() < 0.9:
            found[f"{subject}/{start % 'anat'}_T1w.nii.gz"] = random.randrange(5_000_000, 12_000_000)
            found[f"{subject}/{start % 'anat'}_T1w.json"] = 900
        for run in range(random.choice((0, 1, 2, 4))):
            found[f"{subject}/{start % 'func'}_task-rest_run-{run}_bold.nii.gz"] = random.randrange(9**8, 9**9)
            found[f"{subject}/{start % 'func'}_task-rest_run-{run}_events.tsv"] = 1500
        if random.random() < 0.7:
            found[f"{subject}/{start % 'dwi'}_dwi.nii.gz"] = random.randrange(9**8, 9**9)
        if random.random() < 0.6:
            found[f"derivatives/fmriprep/{subject}/{start % 'anat'}_desc-preproc_T1w.nii.gz"] = 4_000_000
    return found


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """A function that gives the page of a study with a number of subjects."""
    folder = tmp_path_factory.mktemp("pages")

    def give(number):
        path = folder / f"study-{number}.html"
        return path if path.exists() else write_study_page(path, number)

    return give
