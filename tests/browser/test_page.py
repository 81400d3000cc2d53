"""The coverage page in a browser: what people click, what they see, and what a hostile bucket cannot do."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from s3bids.bids.layouts import Layout
from s3bids.bids.participants import parse_participants
from s3bids.catalog import Catalog
from s3bids.report.coverage import directory_coverage, study_coverage
from s3bids.report.page import write_page
from s3bids.testing.studies import write_study
from s3bids.transfer.manifest import ManifestWriter, Record

pytestmark = pytest.mark.browser

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
SCREENSHOTS = Path(__file__).parent / "screenshots"
HOSTILE = "<script>alert(1)<⁄script><img src=x onerror=alert(2)>\u202e{{7*7}}"


def subjects_shown(page):
    return page.locator("#table tbody th").all_inner_texts()


def status(page):
    return page.locator("#status").inner_text()


def column_of(page, title):
    """Give the texts of one column of the rows in the document, from the title of its button."""
    at = (
        page.locator("#table thead tr")
        .last.locator("th")
        .evaluate_all(
            "(cells, title) => cells.findIndex((cell) => cell.querySelector('button')?.title === title)", title
        )
    )
    assert at >= 0
    return page.locator("#table tbody tr:not(.gap)").evaluate_all(
        "(rows, at) => rows.map((row) => row.cells[at].textContent)", at
    )


def sort_by(page, title):
    page.get_by_role("button", name=f"Sort by {title}", exact=True).click()


@pytest.fixture
def ten(open_page, pages):
    return open_page(pages(10))


def test_every_subject_has_a_row(ten):
    assert subjects_shown(ten) == [f"sub-{n:04}" for n in range(1, 11)]
    assert status(ten) == "10 subjects, 5 kinds of files"


@pytest.mark.parametrize("title", ["raw data / func / bold", "age", "size", "number of files"])
def test_a_click_on_a_head_sorts_and_another_turns_it_round(ten, title):
    def number(text):
        amount, _, unit = text.partition(" ")
        return float(amount or 0) * {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]

    sort_by(ten, title)
    first = [number(text) for text in column_of(ten, title)]
    assert first == sorted(first, reverse=True)
    assert len(set(first)) > 1
    sort_by(ten, title)
    assert [number(text) for text in column_of(ten, title)] == sorted(first)
    assert ten.locator("th[aria-sort]").count() == 1
    assert ten.locator("th[aria-sort=ascending] button").get_attribute("title") == title


@pytest.mark.parametrize(
    ("text", "found"), [("0007", ["sub-0007"]), ("SUB-0007", ["sub-0007"]), ("sub 0007", ["sub-0007"]), ("zzz", [])]
)
def test_the_search_finds_subjects(ten, text, found):
    ten.fill("#search", text)
    assert subjects_shown(ten) == found
    assert status(ten).startswith(f"{len(found)} of 10 subjects")


def test_the_search_finds_values_of_the_participant_table(ten):
    ten.fill("#search", "cbic")
    some = subjects_shown(ten)
    ten.fill("#search", "ru")
    assert sorted(some + subjects_shown(ten)) == [f"sub-{n:04}" for n in range(1, 11)]
    assert 0 < len(some) < 10


def test_rows_are_filtered_by_what_they_lack(ten):
    ten.select_option("#rows", label="without raw data / dwi / dwi")
    assert set(column_of(ten, "raw data / dwi / dwi")) == {""}
    without = subjects_shown(ten)
    ten.select_option("#rows", label="with raw data / dwi / dwi")
    assert "" not in column_of(ten, "raw data / dwi / dwi")
    assert sorted(without + subjects_shown(ten)) == [f"sub-{n:04}" for n in range(1, 11)]
    assert without


def test_subjects_with_gaps_and_complete_ones_are_told_apart(ten):
    ten.select_option("#rows", "gaps")
    gaps = subjects_shown(ten)
    ten.select_option("#rows", "complete")
    assert sorted(gaps + subjects_shown(ten)) == [f"sub-{n:04}" for n in range(1, 11)]
    assert gaps


def test_one_data_set_can_be_shown_alone(ten):
    ten.select_option("#dataset", "fmriprep")
    assert status(ten) == "10 subjects, 1 kind of file"
    assert ten.get_by_role("button", name="Sort by raw data", exact=False).count() == 0


@pytest.mark.parametrize(("measure", "pattern"), [("Files", r"\d*"), ("Size", r"(\d+(\.\d)? [KMG])?")])
def test_cells_show_the_measure_that_was_chosen(ten, measure, pattern):
    ten.locator("#measures").get_by_text(measure, exact=True).click()
    texts = column_of(ten, "raw data / func / bold")
    assert all(re.fullmatch(pattern, text) for text in texts)
    assert len(set(texts)) > 1


def test_columns_of_the_participant_table_can_be_added(ten):
    ten.get_by_text("Table columns").click()
    ten.get_by_label("site", exact=True).check()
    assert set(column_of(ten, "site")) == {"CBIC", "RU"}
    ten.keyboard.press("Escape")
    assert not ten.get_by_label("site", exact=True).is_visible()


def test_the_distributions_follow_the_rows_shown(ten):
    before = ten.locator("#sexes text").all_text_contents()
    ten.fill("#search", "0007")
    after = ten.locator("#sexes text").all_text_contents()
    assert any("of" in text for text in after)
    assert not any("of" in text for text in before)


def test_the_page_is_used_with_the_keyboard_alone(ten):
    ten.keyboard.press("Tab")
    assert ten.evaluate("document.activeElement.textContent") == "Skip to the subjects"
    ten.keyboard.press("Enter")
    ten.keyboard.press("Tab")
    ten.keyboard.type("0003")
    assert subjects_shown(ten) == ["sub-0003"]
    button = ten.get_by_role("button", name="Sort by subject")
    button.focus()
    ten.keyboard.press("Enter")
    assert ten.locator("th[aria-sort=descending] button").get_attribute("title") == "subject"
    assert ten.evaluate("document.activeElement.title") == "subject", "the focus stays on the head that was pressed"


def test_a_screen_reader_finds_a_table_with_names(ten):
    assert ten.get_by_role("table", name="Subjects by data type").count() == 1
    assert ten.get_by_role("rowheader", name="sub-0001").count() == 1
    assert ten.get_by_role("searchbox", name="Search").count() == 1
    assert ten.get_by_role("region", name="Subjects by data type").count() >= 1
    assert ten.locator("#status").get_attribute("aria-live") == "polite"
    assert ten.locator("#table").get_attribute("aria-rowcount") == "13"
    assert ten.get_by_role("img", name=re.compile("^Ages: ")).count() == 1


# Many subjects


@pytest.fixture
def thousands(open_page, pages):
    return open_page(pages(5000))


def rows_in_document(page):
    return page.locator("#table tbody tr:not(.gap)").count()


def test_of_thousands_of_subjects_only_those_in_sight_are_in_the_document(thousands):
    assert status(thousands) == "5,000 subjects, 5 kinds of files"
    assert 10 < rows_in_document(thousands) < 80
    assert thousands.locator("*").count() < 3000


def test_scrolling_brings_the_other_rows(thousands):
    thousands.locator("#scroller").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    thousands.get_by_role("rowheader", name="sub-5000").wait_for()
    assert rows_in_document(thousands) < 80
    last = thousands.locator("#table tbody tr:not(.gap)").last
    assert last.get_attribute("aria-rowindex") == thousands.locator("#table").get_attribute("aria-rowcount") == "5003"


def test_filter_and_sort_of_thousands(thousands):
    thousands.fill("#search", "sub-4321")
    assert subjects_shown(thousands) == ["sub-4321"]
    thousands.fill("#search", "")
    sort_by(thousands, "age")
    ages = [float(text) for text in column_of(thousands, "age")]
    assert ages == sorted(ages, reverse=True)
    assert ages[0] > 20


def test_a_click_on_the_overview_leads_there(thousands):
    box = thousands.locator("#overview").bounding_box()
    thousands.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    thousands.wait_for_function("document.getElementById('scroller').scrollTop > 50000")
    thousands.wait_for_function(
        "[...document.querySelectorAll('#table tbody th')].some((h) => h.textContent > 'sub-2400')"
    )
    assert any("sub-2300" < name < "sub-2700" for name in subjects_shown(thousands))


def test_the_overview_shows_something(thousands):
    colours = thousands.evaluate(
        """() => {
          const canvas = document.getElementById("overview");
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          const found = new Set();
          for (let at = 0; at < data.length; at += 4) {
            if (data[at + 3] === 255) found.add(data.slice(at, at + 3).join());
          }
          return found.size;
        }"""
    )
    assert colours >= 4


def test_on_paper_the_first_rows_are_printed_and_said_to_be_the_first(thousands):
    thousands.emulate_media(media="print")
    thousands.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert rows_in_document(thousands) == 400
    assert thousands.locator("#printed").inner_text().startswith("The first 400 of 5,000 subjects")
    assert not thousands.locator("#tools").is_visible()
    thousands.emulate_media(media="screen")
    thousands.evaluate("dispatchEvent(new Event('afterprint'))")
    assert rows_in_document(thousands) < 80


def test_paper_is_white_in_the_dark_too(open_page, pages):
    page = open_page(pages(10), scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    page.emulate_media(media="print")
    assert page.evaluate(colour) == "rgb(255, 255, 255)" != dark


# Texts of others


def test_hostile_names_are_shown_as_text(open_page, tmp_path):
    subject = f"sub-{HOSTILE}"
    keys = sorted(
        [f"{subject}/anat/{subject}_T1w.nii", f"derivatives/{HOSTILE}/{subject}/x", f"{subject}/ses-{HOSTILE}/x"]
    )
    table = f"participant_id\tage\tsex\t{HOSTILE}\n{subject}\t9\t{HOSTILE}\t{HOSTILE}\n".encode()
    catalog = Catalog("", Layout.NESTED, keys, [10] * 3, [None] * 3, [float("nan")] * 3)
    people = parse_participants(table, source="participants.tsv")
    coverage = study_coverage(catalog, title=HOSTILE, source=HOSTILE, participants=people)
    page = open_page(write_page(tmp_path / "page.html", coverage, now=NOW))
    shown = HOSTILE.replace("\u202e", "\\u202e")
    assert subjects_shown(page) == [f"sub-{shown}"]
    assert page.locator("h1").inner_text() == shown
    assert shown in page.locator("#dataset").inner_text()
    page.get_by_text("Table columns").click()
    page.get_by_role("checkbox", name=shown).check()
    assert column_of(page, shown) == [shown]
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    assert "49" not in page.locator("body").inner_text()


def test_long_names_leave_the_rows_in_sight(open_page, tmp_path):
    """The header stays where it is while rows move: were it as high as its longest name, no row could be seen."""
    sizes = {f"sub-01/anat/sub-01_{'x' * 300}.nii.gz": 10, f"sub-01/{'y' * 300}/sub-01_T1w.nii.gz": 10}
    catalog = Catalog("", Layout.NESTED, sorted(sizes), [10] * 2, [None] * 2, [float("nan")] * 2)
    coverage = study_coverage(catalog, title="t", source="s3://b", participants=None)
    page = open_page(write_page(tmp_path / "page.html", coverage, now=NOW))
    box = page.locator("#scroller").bounding_box()
    assert page.locator("#table thead").bounding_box()["height"] < 320
    row = page.get_by_role("rowheader", name="sub-01").bounding_box()
    assert row["y"] + row["height"] <= box["y"] + box["height"]
    assert page.get_by_role("button", name=f"Sort by raw data / anat / {'x' * 300}").count() == 1, (
        "the whole name is told"
    )


def test_without_subjects_there_is_nothing_to_search(open_page, tmp_path):
    catalog = Catalog("", Layout.NESTED, ["README"], [10], [None], [float("nan")])
    coverage = study_coverage(catalog, title="t", source="s3://b", participants=None)
    page = open_page(write_page(tmp_path / "page.html", coverage, now=NOW))
    assert status(page) == "No file here belongs to a subject. Subjects are folders named sub-…"
    assert not page.locator("#tools").is_visible()
    assert page.locator("#matrix p.small").last.inner_text() == "1 file (10 B) belongs to no subject."


def test_an_injected_script_would_not_run(open_page, ten):
    """The policy of the page is the second wall, behind the escaping."""
    ten.evaluate(
        """() => {
          window.violated = [];
          const note = (event) => window.violated.push(event.violatedDirective);
          document.addEventListener("securitypolicyviolation", note);
        }"""
    )
    with ten.expect_console_message(lambda message: "Content Security Policy" in message.text):
        ten.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert ten.evaluate("window.ran") is None
    assert ten.evaluate("window.violated") == ["script-src-elem"]
    # What was provoked here is no complaint of the page.
    open_page.complaints.clear()


# A download


@pytest.fixture
def download_page(tmp_path):
    root = tmp_path / "download"
    root.mkdir()
    targets = write_study(root)
    with ManifestWriter(root, "run", now=lambda: 1.0) as manifest:
        for target in targets:
            size = (root / target).stat().st_size
            manifest.add(Record(target, "s3://b", target, size, None, None, 0, "size"))
        manifest.fail("sub-02/dwi/sub-02_run-2_dwi.nii.gz", "k", "503 <b>SlowDown</b>", 5)
    (root / "sub-01/anat/sub-01_T1w.nii.gz").unlink()
    (root / "sub-10/dwi/sub-10_dwi.bval").write_text("changed")
    return write_page(tmp_path / "page.html", directory_coverage(root), now=NOW)


def test_a_download_shows_the_state_of_its_files(open_page, download_page):
    page = open_page(download_page)
    assert page.locator(".verdict").inner_text() == "3 of 62 files are not as they should be"
    assert page.locator(".states li").evaluate_all("(items) => items.map((item) => item.textContent.trim())") == [
        "59 complete",
        "1 missing",
        "1 failed",
        "1 changed",
    ]
    assert page.locator(".list tbody tr").count() == 3
    assert page.get_by_text("503 <b>SlowDown</b>").count() == 1
    page.locator("#measures").get_by_text("State", exact=True).click()
    assert column_of(page, "raw data / dwi / dwi") == ["✓", "! 1", "≠ 1"]
    assert column_of(page, "raw data / anat / T1w") == ["– 1", "✓", "✓"]
    page.select_option("#rows", "problems")
    assert subjects_shown(page) == ["sub-01", "sub-02", "sub-10"]


# How it looks


VIEWS = [
    ("study-light", 10, {"width": 1200, "height": 1100}),
    ("study-dark", 10, {"width": 1200, "height": 1100, "scheme": "dark"}),
    ("study-narrow", 10, {"width": 390, "height": 1500}),
    ("many-light", 5000, {"width": 1200, "height": 900}),
]


def picture_of(page):
    """Give a screenshot, small enough that the shapes of letters, which differ from machine to machine, are a blur."""
    import io

    from PIL import Image

    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return image.resize((image.width // 4, image.height // 4), Image.Resampling.BOX)


def difference(one, other):
    """Give the mean difference of two pictures, and that of their worst part, of 255."""
    import numpy as np

    assert one.size == other.size
    gap = np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean(axis=2)
    rows, columns = gap.shape[0] // 20, gap.shape[1] // 20
    parts = gap[: rows * 20, : columns * 20].reshape(rows, 20, columns, 20).mean(axis=(1, 3))
    return gap.mean(), parts.max()


@pytest.mark.parametrize(("name", "number", "options"), VIEWS, ids=[view[0] for view in VIEWS])
def test_the_page_looks_as_it_did(open_page, pages, request, name, number, options):
    from PIL import Image

    found = picture_of(open_page(pages(number), **options))
    path = SCREENSHOTS / f"{name}.png"
    if request.config.getoption("--new-screenshots"):
        found.save(path, optimize=True)
    mean, worst = difference(found, Image.open(path).convert("RGB"))
    assert mean < 4
    assert worst < 40


def test_another_look_would_be_seen(open_page, pages):
    from PIL import Image

    page = open_page(pages(10), width=1200, height=1100)
    before = Image.open(SCREENSHOTS / "study-light.png").convert("RGB")
    page.evaluate("document.querySelector('.figures').hidden = true")
    assert max(difference(picture_of(page), before)) > 40
