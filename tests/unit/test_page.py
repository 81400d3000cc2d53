"""The coverage page as text: what stands in it, and that nothing from outside becomes markup."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from s3bids.bids.layouts import Layout
from s3bids.bids.participants import parse_participants
from s3bids.catalog import Catalog
from s3bids.errors import ConfigError, DestinationError
from s3bids.report.coverage import study_coverage
from s3bids.report.page import MOST_ROWS, render_page, write_page

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028\u202e&amp;'\"{{7*7}}"


def coverage_of(*paths, title="study", participants=None, subjects=(), notes=()):
    keys = sorted(paths)
    empty = [None] * len(keys)
    catalog = Catalog("", Layout.NESTED, keys, [1000] * len(keys), empty, [float("nan")] * len(keys))
    table = None if participants is None else parse_participants(participants, source="participants.tsv")
    return study_coverage(
        catalog, title=title, source=f"s3://bucket/{title}", subjects=subjects, participants=table, notes=notes
    )


class Reader(HTMLParser):
    """Tags, attributes and the content of style and script of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.raw, self.inside = [], [], {"style": [], "script": []}, None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.inside = tag if tag in self.raw else None
        if self.inside:
            self.raw[tag].append("")

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.raw[self.inside][-1] += data


def embedded(page):
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    return text


@pytest.fixture(scope="module")
def page():
    table = b"participant_id\tage\tsex\n1\t9\tF\n2\t11\tM\n"
    paths = ["sub-1/anat/sub-1_T1w.nii.gz", "sub-2/ses-a/anat/sub-2_ses-a_T1w.nii.gz", "derivatives/afq/sub-1/x.csv"]
    return render_page(coverage_of(*paths, participants=table), now=NOW)


def test_the_same_values_give_the_same_page(page):
    table = b"participant_id\tage\tsex\n1\t9\tF\n2\t11\tM\n"
    paths = ["sub-1/anat/sub-1_T1w.nii.gz", "sub-2/ses-a/anat/sub-2_ses-a_T1w.nii.gz", "derivatives/afq/sub-1/x.csv"]
    assert render_page(coverage_of(*paths, participants=table), now=NOW) == page


def test_only_the_style_and_the_script_of_the_page_are_allowed(page):
    read = Reader(page)
    [policy] = [value for tag, name, value in read.attributes if (tag, name) == ("meta", "content") and "src" in value]
    [style], [_, script] = read.raw["style"], read.raw["script"]
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_nothing_is_loaded_from_elsewhere(page):
    read = Reader(page)
    assert [value for _, name, value in read.attributes if name in ("src", "href", "action") and value[0] != "#"] == [
        "data:,"
    ]
    assert not any(name == "style" or name.startswith("on") for _, name, _ in read.attributes)
    assert "@import" not in page
    assert "url(" not in page


@pytest.mark.parametrize("place", ["title", "subject", "suffix", "derivative", "session", "column", "value", "note"])
def test_hostile_text_stays_text(page, place):
    evil = HOSTILE.replace("/", "⁄") if place in ("subject", "suffix", "derivative", "session") else HOSTILE
    names = {"title": "study", "subject": "sub-1", "suffix": "T1w", "derivative": "afq", "session": "ses-a"}
    names |= {"column": "age", "value": "9", "note": ""}
    names[place] = names[place] + evil
    table = f"participant_id\t{names['column']}\n{names['subject']}\t{names['value']}\n"
    subject, session = names["subject"], names["session"]
    paths = [
        f"{subject}/{session}/anat/{subject}_{names['suffix']}.nii.gz",
        f"derivatives/{names['derivative']}/{subject}/x.csv",
    ]
    shown = coverage_of(*paths, title=names["title"], participants=table.encode(), notes=[names["note"]])
    found = render_page(shown, now=NOW)
    allowed = {*Reader(page).tags, "p", "bdi"}
    assert set(Reader(found).tags) <= allowed
    assert found.count("<script") == 2
    assert not set(embedded(found)) & set("<>&\u2028\u202e")
    assert embedded(found).isascii()
    json.loads(embedded(found))
    assert "{{7*7}}" in found.replace("\\u007b", "{")
    assert "\u202e" not in found


def test_names_that_are_no_unicode_can_be_written(tmp_path):
    coverage = coverage_of("sub-\udc80/anat/sub-\udc80_T1w.nii.gz", title="a\udcff")
    written = write_page(tmp_path / "page.html", coverage, now=NOW)
    assert r"a\udcff" in written.read_text(encoding="utf-8")


def test_the_data_are_those_of_the_holdings(page):
    data = json.loads(embedded(page))
    assert data["fields"] == ["recordings", "files", "bytes"]
    assert data["subjects"] == ["sub-1", "sub-2"]
    assert [column["dataset"] for column in data["columns"]] == ["raw data", "afq"]
    assert data["cells"] == [[0, 1, 1, 1000, 1, 1, 1, 1000], [0, 1, 1, 1000]]
    assert data["people"]["rows"] == [["9", "F"], ["11", "M"]]


def test_secrets_in_an_address_are_left_out():
    coverage = coverage_of("README", title="x")
    secret = study_coverage(
        Catalog("", Layout.NESTED, [], [], [], []), title="http://me:secret@host/", source="http://me:secret@host/"
    )
    assert "secret" not in render_page(secret, now=NOW)
    assert "s3://bucket/x" in render_page(coverage, now=NOW)


def test_what_else_a_reader_should_know_is_a_note():
    assert '<p class="note"><bdi>1 &lt; 2</bdi></p>' in render_page(coverage_of("README", notes=["1 < 2"]), now=NOW)


def test_a_study_of_nothing_has_a_page():
    assert "<dd>0</dd>" in render_page(coverage_of(), now=NOW)


def test_many_sessions_are_cut():
    paths = [f"sub-1/ses-{n:03}/anat/sub-1_ses-{n:03}_T1w.nii" for n in range(MOST_ROWS + 9)]
    assert "9 others" in render_page(coverage_of(*paths), now=NOW)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("participants.tsv", "ends in .html"),
        ("page", "ends in .html"),
        ("there.html", "is a directory"),
        ("nowhere/page.html", "no folder"),
    ],
)
def test_a_name_that_cannot_be_a_page_is_refused(tmp_path, name, text):
    (tmp_path / "there.html").mkdir()
    with pytest.raises(ConfigError, match=text):
        write_page(tmp_path / name, coverage_of(), now=NOW)


def test_a_page_replaces_the_one_before_and_leaves_nothing_beside_it(tmp_path):
    target = tmp_path / "page.html"
    target.write_text("old")
    assert write_page(target, coverage_of(), now=NOW) == target
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_disk_that_refuses_is_named(small_disk):
    small_disk.mount("size=8k")
    with pytest.raises(DestinationError, match=r"page\.html: No space"):
        write_page(small_disk.path / "page.html", coverage_of(), now=NOW)
    assert list(small_disk.path.iterdir()) == []
