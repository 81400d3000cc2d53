"""The package as others get it: built, and installed into an empty environment."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import s3bids

ROOT = Path(__file__).parents[1]


def call(*command, cwd=ROOT):
    # The home of a test is empty, and uv would fetch every package again.
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    environment = {**os.environ, "UV_CACHE_DIR": str(home / ".cache" / "uv")}  # noqa: TID251 - passed on
    found = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the source archive, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The folder of programs of a new environment that has the wheel and what it needs, and nothing else."""
    place = tmp_path_factory.mktemp("environment") / "venv"
    call(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, place)
    [wheel] = built.glob("*.whl")
    python = place / "bin" / "python"
    call(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, "-c", "constraints.txt", wheel)
    return place / "bin"


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(installed, tmp_path):
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
def test_without_its_extra_a_plot_names_the_command_that_installs_it(installed, tmp_path):
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
def test_the_source_archive_has_what_belongs_to_it(built):
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    wanted = {"README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "studies/hbn-si.yaml", "docs/how-it-works.md"}
    assert wanted <= names
    assert not [name for name in names if name.startswith((".venv", "demo", ".git/"))]


def test_the_citation_names_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(s3bids.__version__)}$", text, flags=re.MULTILINE)
