"""``s3bids verify``: a download against its manifest."""

import pytest


@pytest.fixture
def downloaded(run, proxy, work):
    """A finished download, with the MD5 of every file in its manifest."""
    run("download", proxy.study, "out", "--endpoint-url", proxy.url, code=0)
    proxy.reset()
    return work / "out"


def spoil(directory):
    """Change three files: kind of the difference -> target."""
    (directory / "README.md").unlink()
    (directory / "CHANGES").write_text("short")
    data = (directory / "LICENSE").read_bytes()
    (directory / "LICENSE").write_bytes(data.swapcase())
    return {"missing": "README.md", "size": "CHANGES", "content": "LICENSE"}


@pytest.mark.parametrize("deep", [[], ["--deep"]])
@pytest.mark.usefixtures("downloaded")
def test_a_good_download_agrees_and_no_server_is_asked(run, proxy, deep):
    found = run("verify", "out", *deep, code=0)
    assert "53 files, " in found.out
    assert "agree with the manifest" in found.out
    assert proxy.requests == []


def test_every_difference_is_listed_and_exit_is_3(run, downloaded):
    targets = spoil(downloaded)
    found = run("verify", "out", "--deep", code=3)
    for kind, target in targets.items():
        assert f"{kind}: {target}: " in found.out
    assert "3 of 53 files in out differ" in found.out


def test_bytes_are_compared_only_by_deep(run, downloaded):
    spoil(downloaded)
    found = run("verify", "out", code=3)
    assert "2 of 53 files in out differ" in found.out
    assert "LICENSE" not in found.out


@pytest.mark.parametrize("is_spoiled", [False, True])
def test_the_result_as_json(run, downloaded, is_spoiled):
    targets = spoil(downloaded) if is_spoiled else {}
    found = run("verify", "out", "--deep", "--json", code=3 if is_spoiled else 0).json
    differences = found.pop("differences")
    assert {each["kind"]: each["target"] for each in differences} == targets
    assert all(each["detail"] for each in differences)
    assert found.pop("bytes") > 0
    expected = {"directory": str(downloaded), "deep": True, "files": 53, "complete": not is_spoiled}
    assert found == expected


def test_a_new_download_mends_what_was_found(run, downloaded, proxy):
    (downloaded / "README.md").unlink()
    run("verify", "out", code=3)
    run("download", proxy.study, "out", "--endpoint-url", proxy.url, code=0)
    run("verify", "out", "--deep", code=0)
    assert proxy.counts()["get"] == 1
