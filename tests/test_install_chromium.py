"""The script that installs Chromium, with an apt-get of our own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "install-chromium"


@pytest.fixture
def install(tmp_path):
    """A function that runs the script where apt-get fails so often: number -> exit code, what apt-get was asked."""
    programs, calls = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    for name in ("env", "sh", "cat", "wc"):
        (programs / name).symlink_to(shutil.which(name))

    def go(*, failures=0, present=(), user=0):
        apt = f'echo "$*" >> {calls}\n[ "$(cat {calls} | wc -l)" -gt {failures} ]'
        scripts = {"apt-get": apt, "id": f"echo {user}", "sudo": f'echo sudo >> {calls}.sudo; "$@"', "sleep": ":"}
        for name, text in {**scripts, **dict.fromkeys(present, ":")}.items():
            path = programs / name
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        done = subprocess.run(["/bin/sh", SCRIPT], env={"PATH": str(programs)}, capture_output=True, check=False)
        return done.returncode, calls.read_text().splitlines() if calls.exists() else []

    return go


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_where_it_is_there_nothing_is_asked(install, name):
    assert install(present=[name]) == (0, [])


def test_lists_are_renewed_before_it_is_installed_without_a_question(install, tmp_path):
    code, (update, installed) = install()
    assert code == 0
    assert update.endswith("update")
    assert "--yes" in installed
    assert installed.endswith("install --no-install-recommends chromium fonts-dejavu-core")
    assert not (tmp_path / "calls.sudo").exists()


def test_who_is_not_root_takes_sudo(install, tmp_path):
    assert install(user=1000)[0] == 0
    assert (tmp_path / "calls.sudo").read_text() == "sudo\n" * 2


@pytest.mark.parametrize(("failures", "code"), [(2, 0), (100, 1)])
def test_it_is_tried_three_times(install, failures, code):
    found, calls = install(failures=failures)
    assert found == code
    assert sum(call.endswith("update") for call in calls) == (3 if code else 2)
