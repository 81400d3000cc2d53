"""``s3bids verify``: a download against its manifest, and against the bucket."""

import json
import shutil

import pytest

from s3bids.testing.faults import Answer, Fault


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
    assert found == {**expected, "remote": False, "unproven": 0}


def test_a_new_download_mends_what_was_found(run, downloaded, proxy):
    (downloaded / "README.md").unlink()
    run("verify", "out", code=3)
    run("download", proxy.study, "out", "--endpoint-url", proxy.url, code=0)
    run("verify", "out", "--deep", code=0)
    assert proxy.counts()["get"] == 1


# With --remote


@pytest.fixture
def local(run, own, work):
    """A finished download of all that a local emulation has; `own` may be changed."""
    run("download", f"file://{own}", "out", "--derivatives", "all", code=0)
    return work / "out"


def differ(own, directory):
    """Make a difference of each kind: kind -> target."""
    (own / "README.md").write_text("another one")
    (own / "CHANGES").unlink()
    (own / "sub-02" / "new\x1b[2J.json").write_text("{}")
    (directory / "LICENSE").unlink()
    (directory / "participants.json").write_text("cut")
    (directory / "mine.txt").write_text("mine")
    return {
        "missing": "LICENSE",
        "size": "participants.json",
        "changed": "README.md",
        "gone": "CHANGES",
        "new": "sub-02/new\x1b[2J.json",
        "extra": "mine.txt",
    }


@pytest.mark.parametrize("deep", [[], ["--deep"]])
@pytest.mark.usefixtures("downloaded")
def test_a_good_download_agrees_with_the_bucket_and_nothing_is_fetched(run, proxy, deep):
    found = run("verify", "out", "--remote", "--endpoint-url", proxy.url, *deep, code=0)
    assert "53 files, " in found.out
    assert "agree with the manifest and the bucket" in found.out
    assert {request.operation for request in proxy.requests} == {"list"}
    assert not any(request.is_signed for request in proxy.requests)


@pytest.mark.usefixtures("local")
def test_a_local_emulation_is_compared_as_well(run):
    assert "61 files, " in run("verify", "out", "--remote", code=0).out


def test_without_a_known_hash_deep_says_so(run, local):
    found = run("verify", "out", "--deep", code=0)
    assert "61 files without a known hash: only the size was compared\n" in found.out
    assert run("verify", local, "--deep", "--json", code=0).json["unproven"] == 61


def test_every_difference_from_the_bucket_is_listed_and_exit_is_3(run, own, local):
    targets = differ(own, local)
    found = run("verify", "out", "--remote", code=3)
    for kind, target in targets.items():
        shown = target.replace("\x1b", "\\x1b")
        assert f"{kind}: {shown}: " in found.out
    counts = "1 missing, 1 size, 1 changed, 1 gone, 1 new, 1 extra"
    assert f"out, with 61 files, differs from the manifest and the bucket (sizes): {counts}\n" in found.out
    assert "\x1b" not in found.out


def test_differences_from_the_bucket_as_json(run, own, local):
    targets = differ(own, local)
    found = run("verify", "out", "--remote", "--json", code=3).json
    assert {each["kind"]: each["target"] for each in found["differences"]} == targets
    assert (found["remote"], found["complete"], found["files"]) == (True, False, 61)


@pytest.mark.parametrize(
    ("arguments", "is_signed"), [(["--no-sign"], False), (["--sign"], True), (["--profile", "lab"], True)]
)
@pytest.mark.usefixtures("downloaded")
def test_the_bucket_is_reached_as_the_options_say(run, proxy, environment, tmp_path, arguments, is_signed):
    (tmp_path / "aws").write_text("[lab]\naws_access_key_id = id-of-lab\naws_secret_access_key = secret-of-lab\n")
    environment["AWS_SHARED_CREDENTIALS_FILE"] = str(tmp_path / "aws")
    if "--sign" in arguments:
        environment.update({"AWS_ACCESS_KEY_ID": "id-of-lab", "AWS_SECRET_ACCESS_KEY": "secret-of-lab"})
    where = ("--endpoint-url", proxy.url, "--region", "eu-central-1", "--request-payer")
    run("verify", "out", "--remote", *where, *arguments, code=0)
    assert {request.is_signed for request in proxy.requests} == {is_signed}


@pytest.mark.usefixtures("downloaded")
def test_a_bucket_that_cannot_be_listed_is_one_sentence(refused, proxy):
    assert "127.0.0.1:9" in refused("verify", "out", "--remote", "--endpoint-url", "http://127.0.0.1:9")
    proxy.script(Fault("list", times=None, action=Answer(403, "AccessDenied")))
    assert "access denied" in refused("verify", "out", "--remote", "--endpoint-url", proxy.url)


def test_a_bucket_that_is_gone_is_one_sentence(refused, own, local):
    shutil.rmtree(own.parent)
    assert "does not exist" in refused("verify", local, "--remote")


def test_a_manifest_from_nowhere_is_one_sentence(refused, local):
    for path in (local / ".s3bids").iterdir():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({**line, "location": "ftp://me:secret@host/b"}) + "\n" for line in lines))
    text = refused("verify", "out", "--remote")
    assert "neither s3://bucket nor file:///root/bucket" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "arguments", [["--sign"], ["--no-sign"], ["--profile", "lab"], ["--endpoint-url", "http://x"], ["--request-payer"]]
)
@pytest.mark.usefixtures("local")
def test_options_about_the_bucket_need_remote(refused, arguments):
    assert "need --remote" in refused("verify", "out", *arguments)


@pytest.mark.usefixtures("local")
def test_a_profile_signs(refused):
    assert "--no-sign" in refused("verify", "out", "--remote", "--profile", "lab", "--no-sign")
