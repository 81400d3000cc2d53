"""Draw the pictures of README: the bar of a download as it stood on a terminal, and a coverage page in Chromium.

`make images` runs it. The study is a synthetic one in a folder that goes away again.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import termios
from html import escape
from pathlib import Path
from random import Random

IMAGES = Path(__file__).parent / "images"
PROGRAM = Path(sys.executable).with_name("s3bids")
SUBJECTS = 60
#: Size in pixels of the picture of the page, and of a character of the terminal's.
WIDTH, HEIGHT = 1100, 900
CHARACTER, LINE = 8.4, 20
COLUMNS = 92


def make_study(root: Path) -> None:
    """Write a study in which some subjects lack some images, and a study file for it, ``lab.yaml``."""
    from s3bids.testing.studies import write_study

    study = root / "bucket" / "study"
    write_study(study, subjects=[f"{number:03}" for number in range(1, SUBJECTS + 1)])
    random = Random(0)
    for path in sorted(study.glob("sub-*/*/*_*.nii.gz")):
        if random.random() < 0.07:
            path.unlink()
    (root / "lab.yaml").write_text(f"name: lab\nbucket: bucket\nprefix: study\nlocal_root: {root}\n")


def on_a_terminal(command: list[str], folder: Path) -> str:
    """Run a program on a terminal of its own, and give all that it wrote there."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, COLUMNS))
    with subprocess.Popen(command, cwd=folder, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        written = io.BytesIO()
        try:
            while piece := os.read(ours, 65536):
                written.write(piece)
        except OSError:
            pass  # Linux ends a terminal that nobody writes to any more with an error.
        finally:
            os.close(ours)
    if running.returncode:
        raise SystemExit(f"{command}: {written.getvalue().decode()}")
    return written.getvalue().decode()


def bar_lines(written: str) -> list[str]:
    """Give the bar at about two thirds, and the lines that stand behind it."""
    frames = [(int(found[1]), found[0]) for found in re.finditer(r"[^\r\n]*?(\d+)%\|[^\r\n]*", written)]
    middle = min(frames, key=lambda frame: abs(frame[0] - 66))[1]
    behind = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", written).replace("\r\n", "\n").split("\n")
    ends = [line for line in behind if line.startswith(("fetched", "complete"))]
    return [middle.strip(), *ends]


def draw_terminal(command: str, lines: list[str]) -> str:
    """Give lines as a picture of a terminal, as SVG that needs no font but the viewer's own."""
    shown = [f"$ {command}", *lines]
    width = round(CHARACTER * max(map(len, shown))) + 32
    height = LINE * len(shown) + 28
    rows = "".join(
        f'<text x="16" y="{LINE * number + 30}" textLength="{round(CHARACTER * len(line))}" '
        f'lengthAdjust="spacingAndGlyphs" xml:space="preserve">{escape(line)}</text>\n'
        for number, line in enumerate(shown)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#16212b"/>\n'
        '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" fill="#dfe9ee">\n'
        f"{rows}</g>\n</svg>\n"
    )


def take_picture(page: Path) -> bytes:
    """Open a page in Chromium and give what is seen, with few colours."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    program = next(found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        opened = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-US")
        opened.goto(page.as_uri())
        opened.wait_for_selector("html[data-ready]")
        seen = opened.screenshot()
        browser.close()
    small = io.BytesIO()
    Image.open(io.BytesIO(seen)).convert("RGB").quantize(128).save(small, "png", optimize=True)
    return small.getvalue()


def main() -> None:
    """Draw both."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_study(folder)
        command = ["download", "lab.yaml", "data", "--derivatives", "all"]
        lines = bar_lines(on_a_terminal([str(PROGRAM), *command], folder))
        (IMAGES / "bar.svg").write_text(draw_terminal(" ".join(["s3bids", *command]), lines), encoding="utf-8")
        subprocess.run([PROGRAM, "report", "data", "-o", "page.html"], cwd=folder, check=True, capture_output=True)
        shown = folder / "page.html"
        # The address of the folder is nobody's business.
        shown.write_text(shown.read_text(encoding="utf-8").replace(str(folder), "/studies"), encoding="utf-8")
        (IMAGES / "page.png").write_bytes(take_picture(shown))


if __name__ == "__main__":
    main()
