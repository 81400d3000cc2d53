"""What the page about study files shows is what happens."""

import re
from pathlib import Path

import pytest

from s3bids.config import load_config
from s3bids.errors import ConfigError

TEXT = (Path(__file__).parents[1] / "docs" / "study-files.md").read_text(encoding="utf-8")


def test_the_files_shown_can_be_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    lab, ours = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    (tmp_path / "lab.yaml").write_text(lab)
    (tmp_path / "ours.yaml").write_text(ours)
    config = load_config(tmp_path / "lab.yaml")
    assert (config.site, config.sample, config.reserve_bytes) == ("SI", 60, 50 * 1024**3)
    assert config.destination == str(tmp_path / "data" / "lab")
    assert load_config(tmp_path / "ours.yaml").anon is False


def test_the_error_shown_is_the_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yaml").write_text("bucket: b\n\nlayout: flat\n")
    with pytest.raises(ConfigError) as caught:
        load_config("lab.yaml")
    assert f"    {caught.value}\n" in TEXT
