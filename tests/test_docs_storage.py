"""What docs/storage.md says of other backends, of virt_s3 and of variables; tests/test_docs.py runs its examples."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import s3bids.storage as virt_s3

TEXT = (Path(__file__).parents[1] / "docs" / "storage.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n", TEXT, flags=re.DOTALL)


@pytest.mark.slow
def test_the_example_of_a_backend_fulfils_the_contract(tmp_path):
    backend = next(code for code in EXAMPLES if "class TeamStorage" in code)
    conformance = next(code for code in EXAMPLES if "StorageContract" in code)
    head = "from pathlib import Path\nimport s3bids.storage as storage\nfrom s3bids.errors import BucketNotFoundError\n"
    test_file = tmp_path / "test_team.py"
    test_file.write_text(head + backend.partition("ours = ")[0] + conformance)
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
