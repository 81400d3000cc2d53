"""What docs/storage.md shows is what happens, on every backend."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import s3bids.storage as virt_s3
from s3bids.storage import audit, registry

TEXT = (Path(__file__).parents[1] / "docs" / "storage.md").read_text(encoding="utf-8")
#: Each example, with what it prints where that is shown.
EXAMPLES = re.findall(r"```python\n(.*?)```\n(?:\n((?:    [^\n]*\n)+))?", TEXT, flags=re.DOTALL)
CONFORMANCE = next(code for code, _ in EXAMPLES if "StorageContract" in code)


@pytest.fixture(params=["local", "moto", "rclone"])
def environment(request, bucket_name, tmp_path, monkeypatch):
    """An empty folder, and an environment that leads to an empty bucket of one backend."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3_DEFAULT_BUCKET", bucket_name)
    if request.param == "local":
        monkeypatch.setenv("LOCAL_FS", "1")
        monkeypatch.setenv("LOCAL_FS_ROOT_DIR", str(tmp_path / "buckets"))
        return
    server = request.getfixturevalue(request.param)
    monkeypatch.setenv("LOCAL_FS", "0")
    monkeypatch.setenv("S3_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.fixture
def unregistered(monkeypatch):
    """Take back what the examples register."""
    monkeypatch.setattr(registry, "BACKENDS", dict(registry.BACKENDS))
    yield
    assert audit._callbacks == []


@pytest.mark.usefixtures("environment", "unregistered")
def test_the_examples_print_what_is_shown(capsys):
    assert len(EXAMPLES) >= 10
    names = {}
    for code, shown in EXAMPLES:
        exec(compile(code, "docs/storage.md", "exec", dont_inherit=True), names)
        assert capsys.readouterr().out.splitlines() == [line.strip() for line in shown.splitlines()]


@pytest.mark.slow
def test_the_example_of_a_backend_fulfils_the_contract(tmp_path):
    backend = next(code for code, _ in EXAMPLES if "class TeamStorage" in code)
    head = "from pathlib import Path\nimport s3bids.storage as storage\nfrom s3bids.errors import BucketNotFoundError\n"
    test_file = tmp_path / "test_team.py"
    test_file.write_text(head + backend.partition("ours = ")[0] + CONFORMANCE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(test_file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 200


def test_every_name_in_the_tables_for_users_of_virt_s3_is_there():
    table = TEXT.partition("## For users of virt_s3")[2]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith(("| `", "| |"))]
    assert len(rows) >= 27
    for cells in rows:
        ours = cells[-1] if "the same names" not in cells[-1] else " ".join(cells[:-1])
        for name in re.findall(r"`(?:utils\.)?([A-Za-z_][\w.]*)", ours):
            assert resolves(name), name


def resolves(name):
    """Say whether a dotted name leads to something in s3bids.storage."""
    value = virt_s3
    for part in name.split("."):
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True


def test_every_variable_named_is_read():
    source = Path(virt_s3.params.__file__).read_text(encoding="utf-8")
    table = TEXT.partition("| variable |")[2].partition("\n\n")[0]
    names = set(re.findall(r"`((?:LOCAL_FS|S3_|AWS_)\w*)`", table))
    assert len(names) >= 12
    assert [name for name in names if f'"{name}"' not in source] == []
