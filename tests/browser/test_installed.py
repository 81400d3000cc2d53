"""The page as a new user gets it: from the wheel in an empty environment to the browser."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


def test_the_page_of_the_demo_opens_without_a_complaint(installed, call, open_page, tmp_path):
    call(installed / "s3bids", "demo", "demo", cwd=tmp_path)
    call(installed / "s3bids", "report", "demo/download", "-o", "page.html", cwd=tmp_path)
    page = open_page(tmp_path / "page.html")
    assert page.locator("#table tbody th").all_inner_texts() == ["sub-01", "sub-02", "sub-10"]
    heads = page.locator("#table thead button").evaluate_all("(all) => all.map((each) => each.title)")
    assert {"raw data / anat / T1w", "raw data / func / bold"} <= set(heads)
    assert page.locator("#matrix").is_visible()
    assert "All 61 files are here" in page.locator("body").inner_text()
    # That nothing was written to the console, and nothing asked of another host, is asserted by `open_page`.
    assert open_page.complaints == []
