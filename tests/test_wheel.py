"""The package as others get it: built, and installed into an empty environment."""

from __future__ import annotations

import re
import tarfile
import zipfile
from pathlib import Path

import pytest

import s3bids

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(installed, call, tmp_path):
    program = installed / "s3bids"
    assert call(program, "--version", cwd=tmp_path) == f"s3bids {s3bids.__version__}\n"
    assert call(installed / "python", "-m", "s3bids", "--version", cwd=tmp_path) == f"s3bids {s3bids.__version__}\n"
    assert "complete: 61 files" in call(program, "demo", "demo", cwd=tmp_path)
    assert "61 files" in call(program, "report", "demo/download", "-o", "page.html", cwd=tmp_path)
    assert "All 61 files are here" in (tmp_path / "page.html").read_text(encoding="utf-8")
    shipped = {path.stem for path in (ROOT / "studies").glob("*.yaml")}
    listed = call(program, "studies", cwd=tmp_path)
    assert shipped
    assert all(name in listed for name in shipped)


@pytest.mark.slow
def test_without_its_extra_a_plot_names_the_command_that_installs_it(installed, call, tmp_path):
    code = (
        "from s3bids import S3BIDSStudy, LocalFSParams\n"
        "from s3bids.testing.studies import write_study\n"
        "import pathlib\n"
        "write_study(pathlib.Path('b/s'))\n"
        "place = LocalFSParams(use_local_fs=True, root_dir='.', user='', bucket_name='b')\n"
        "try: S3BIDSStudy('s', 'b', 's', storage=place).plot_sizes()\n"
        "except ImportError as error: print(error)\n"
    )
    text = call(installed / "python", "-c", code, cwd=tmp_path)
    assert text == "drawing needs the package matplotlib; install it with: pip install 's3bids[plots]'\n"


@pytest.mark.slow
def test_the_package_says_that_it_is_typed(installed):
    [marker] = installed.parent.glob("lib/*/site-packages/s3bids/py.typed")
    assert marker.is_file()


@pytest.mark.slow
def test_the_wheel_has_the_package_and_its_studies_and_nothing_else(built):
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        names = set(files.namelist())
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "s3bids").rglob("*") if path.is_file()}
    wanted = {name for name in sources if "__pycache__" not in name}
    wanted |= {f"s3bids/_studies/{path.name}" for path in (ROOT / "studies").glob("*.yaml")}
    assert {name for name in names if not name.startswith(f"s3bids-{s3bids.__version__}.dist-info/")} == wanted
    assert {"s3bids/py.typed", "s3bids/_studies/hbn-si.yaml", "s3bids/report/page.html.jinja"} <= wanted


@pytest.mark.slow
def test_the_source_archive_has_what_belongs_to_it(built):
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    # The wheel was built from it, so nothing that a build needs is missing.
    wanted = {"README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "studies/hbn-si.yaml", "docs/how-it-works.md"}
    assert wanted <= names
    assert not [name for name in names if name.startswith((".venv", "demo", ".git/"))]


def test_the_citation_names_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(s3bids.__version__)}$", text, flags=re.MULTILINE)
