"""``s3bids download``: what comes, what is said of it, and the exit code."""

import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from s3bids.testing.faults import Answer, Cut, Fault

SUBJECTS = ["sub-01", "sub-02", "sub-10"]


def subjects_in(directory):
    return sorted(path.name for path in Path(directory).glob("sub-*"))


def test_without_a_choice_the_whole_raw_data_set_comes(run, url, own, work, files_of):
    found = run("download", url, "out", code=0)
    expected = {name: data for name, data in files_of(own).items() if not name.startswith("derivatives/")}
    assert files_of(work / "out") == expected
    assert {".bidsignore", "code/convert.sh"} < expected.keys()
    assert f"complete: {len(expected)} files in out, all of them checked\n" in found.out


def test_from_a_server_the_same_files_come_unsigned_whatever_credentials_lie_about(
    run, proxy, own, work, environment, files_of
):
    environment.update({"AWS_ACCESS_KEY_ID": "stale", "AWS_SECRET_ACCESS_KEY": "stale", "AWS_PROFILE": "none"})
    run("download", proxy.study, "out", "--derivatives", "all", "--endpoint-url", proxy.url, code=0)
    assert files_of(work / "out") == files_of(own)
    assert not any(request.is_signed for request in proxy.requests)


def test_the_directory_is_by_default_the_studys_name(run, url, work):
    run("download", url, code=0)
    assert [path.name for path in work.iterdir()] == ["ds"]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("s3://b/a/ds000102/", "ds000102"),
        ("s3://my.bucket", "my.bucket"),
        ("s3://b/..", "study"),
        ("s3://b/-a b", "a-b"),
    ],
)
def test_the_name_of_an_address_can_be_a_directory(address, name):
    from s3bids.cli.study_argument import config_of

    assert config_of(address).name == name


@pytest.mark.parametrize(
    ("arguments", "subjects"),
    [
        (["--subjects", "all"], SUBJECTS),
        (["--subjects", "01"], ["sub-01"]),
        (["--subjects", "sub-10,01"], ["sub-01", "sub-10"]),
        (["--subjects", "01", "--subjects", "02, sub-01"], ["sub-01", "sub-02"]),
        (["--subjects", "2"], ["sub-01", "sub-02"]),
        (["--subjects", "3"], SUBJECTS),
        (["--subjects", "10"], ["sub-10"]),
    ],
)
def test_subjects_are_chosen_by_id_or_number(run, url, work, arguments, subjects):
    """10 is both a number and an id, and means the id."""
    run("download", url, "out", *arguments, code=0)
    assert subjects_in(work / "out") == subjects
    assert (work / "out" / "participants.tsv").is_file()


@pytest.mark.parametrize("names", [["fmriprep-mini"], ["fmri*"], ["all"], ["nothing*,fmri*"]])
def test_derivatives_are_chosen_by_name_and_glob(run, url, work, names):
    arguments = [word for name in names for word in ("--derivatives", name)]
    found = run("download", url, "out", *arguments)
    if "nothing*" in names[0]:
        assert (found.code, "'nothing*'" in found.err) == (2, True)
        return
    assert found.code == 0
    assert subjects_in(work / "out" / "derivatives" / "fmriprep-mini") == SUBJECTS


def test_a_suffix_chooses_among_the_files_of_subjects(run, url, work, files_of):
    run("download", url, "out", "--suffix", "bold.nii.gz", code=0)
    names = [name for name in files_of(work / "out") if name.startswith("sub-")]
    assert len(names) == 6
    assert all(name.endswith("bold.nii.gz") for name in names)
    assert (work / "out" / "task-rest_bold.json").is_file()


def test_the_summary_as_json(run, url, work, files_of):
    found = run("download", url, "out", "--json", code=0)
    summary = found.json
    files = files_of(work / "out")
    assert summary.pop("seconds") > 0
    assert summary == {
        "study": "ds",
        "source": url,
        "directory": str(work / "out"),
        "complete": True,
        "fetched": len(files),
        "skipped": 0,
        "conflicts": 0,
        "failed": 0,
        "bytes": sum(map(len, files.values())),
        "failed_files": [],
        "conflicting_files": [],
        "trimmed_files": [],
        "written_files": [],
    }


def test_a_second_run_sends_no_get(run, proxy):
    arguments = ("download", proxy.study, "out", "--endpoint-url", proxy.url, "--json")
    first = run(*arguments, code=0).json
    proxy.reset()
    second = run(*arguments, code=0).json
    assert (second["fetched"], second["skipped"], second["bytes"]) == (0, first["fetched"], 0)
    assert (proxy.counts()["get"], proxy.counts()["head"]) == (0, 0)


def test_a_file_of_your_own_is_kept_and_named_and_replaced_only_on_demand(run, url, work, own):
    mine = work / "out" / "README.md"
    mine.parent.mkdir()
    mine.write_text("mine, and longer than the other one. " * 50)
    found = run("download", url, "out", code=1)
    assert mine.read_text().startswith("mine")
    assert "differs, is kept: ds/README.md: the file has 1850 bytes" in found.err
    assert "--overwrite" in found.err
    assert "not complete: 52 of 53 files are in out" in found.out
    assert "\ncomplete" not in found.out
    summary = run("download", url, "out", "--json", code=1).json
    assert (summary["complete"], summary["conflicts"], summary["skipped"]) == (False, 1, 52)
    assert summary["conflicting_files"][0]["target"] == "README.md"
    run("download", url, "out", "--overwrite", code=0)
    assert mine.read_bytes() == (own / "README.md").read_bytes()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_file_that_fails_is_named_with_reason_and_attempts_and_the_rest_comes(run, proxy, work, as_json):
    key = "ds/sub-01/anat/sub-01_T1w.nii.gz"
    proxy.script(Fault("get", key, times=None, action=Answer(403, "AccessDenied")))
    proxy.script(Fault("get", "ds/sub-02/*_dwi.bval", times=None, action=Cut(3)))
    arguments = ["--json"] if as_json else []
    found = run("download", proxy.study, "out", "--endpoint-url", proxy.url, *arguments, code=1)
    assert f"failed: {key}: cannot read {proxy.study}/sub-01/anat/sub-01_T1w.nii.gz: access denied" in found.err
    assert re.search(r"failed: ds/sub-02/dwi/sub-02_dwi.bval: .* \(5 attempts\)", found.err)
    assert not (work / "out" / "sub-01" / "anat" / "sub-01_T1w.nii.gz").exists()
    if not as_json:
        assert "\nnot complete: 51 of 53 files are in out; run the same command again" in found.out
        return
    assert (found.json["complete"], found.json["fetched"], found.json["failed"]) == (False, 51, 2)
    attempts = {failure["key"]: failure["attempts"] for failure in found.json["failed_files"]}
    assert attempts == {key: 1, "ds/sub-02/dwi/sub-02_dwi.bval": 5}


def test_what_failed_is_fetched_by_the_next_run_and_nothing_else(run, proxy):
    proxy.script(Fault("get", "*T1w.nii.gz", times=3, action=Answer(403, "AccessDenied")))
    arguments = ("download", proxy.study, "out", "--endpoint-url", proxy.url)
    run(*arguments, code=1)
    proxy.reset()
    run(*arguments, code=0)
    assert proxy.counts()["get"] == 3


@pytest.mark.parametrize("as_json", [False, True])
def test_only_what_failed_is_asked_for_again(run, proxy, work, as_json):
    proxy.script(Fault("get", "*T1w.nii.gz", times=3, action=Answer(403, "AccessDenied")))
    arguments = ("download", proxy.study, "out", "--endpoint-url", proxy.url)
    run(*arguments, "--derivatives", "all", code=1)
    (work / "out" / "README.md").unlink()
    proxy.reset()
    found = run(*arguments, "--retry-failed", "--no-progress", *(["--json"] if as_json else []), code=0)
    assert proxy.counts()["get"] == 3
    assert not (work / "out" / "README.md").exists()
    if as_json:
        assert (found.json["complete"], found.json["fetched"], found.json["skipped"]) == (True, 3, 0)
    else:
        assert "complete: 3 files that had failed in out, all of them checked\n" in found.out
    assert found.err == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_where_nothing_failed_nothing_is_asked_for_again(run, proxy, as_json):
    arguments = ("download", proxy.study, "out", "--endpoint-url", proxy.url)
    run(*arguments, code=0)
    proxy.reset()
    found = run(*arguments, "--retry-failed", *(["--json"] if as_json else []), code=0)
    assert (proxy.counts()["get"], proxy.counts()["head"]) == (0, 0)
    if as_json:
        assert (found.json["complete"], found.json["fetched"], found.json["failed"]) == (True, 0, 0)
    else:
        assert found.out == "nothing that was chosen has failed in out: there is nothing to fetch again\n"


def test_what_failed_and_is_gone_fails_again(run, own, work):
    (own / "sub-01" / "x.json").write_text("{}")
    (work / "out" / "sub-01").mkdir(parents=True)
    (work / "out" / "sub-01" / "anat").write_text("in the way")
    run("download", f"file://{own}", "out", code=1)
    gone = sorted(path.relative_to(own).as_posix() for path in (own / "sub-01" / "anat").iterdir())
    for path in gone:
        (own / path).unlink()
    found = run("download", f"file://{own}", "out", "--retry-failed", "--json", code=1)
    assert sorted(failure["target"] for failure in found.json["failed_files"]) == gone
    assert all("no longer in the bucket" in failure["reason"] for failure in found.json["failed_files"])
    dry = run("download", f"file://{own}", "out", "--retry-failed", "--dry-run", code=0)
    assert dry.err.count("would fail: ds/sub-01/anat/") == len(gone)


def test_a_choice_narrows_what_is_asked_for_again(run, proxy, work):
    proxy.script(Fault("get", "*_dwi.bval", times=3, action=Answer(403, "AccessDenied")))
    arguments = ("download", proxy.study, "out", "--endpoint-url", proxy.url)
    run(*arguments, code=1)
    run(*arguments, "--retry-failed", "--subjects", "02", code=0)
    assert [path.name for path in (work / "out").rglob("*_dwi.bval")] == ["sub-02_dwi.bval"]


def test_objects_that_are_not_public_fail_one_by_one(run, moto, bucket_name, work):
    client = moto.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    for key, acl in (("ds/sub-1/a.json", "public-read"), ("ds/sub-1/b.json", "private")):
        client.put_object(Bucket=bucket_name, Key=key, Body=b"{}", ACL=acl)
    client.close()
    found = run("download", f"s3://{bucket_name}/ds", "out", "--endpoint-url", moto.url, code=1)
    assert "failed: ds/sub-1/b.json: " in found.err
    assert [path.name for path in (work / "out" / "sub-1").iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("arguments", "is_signed"), [([], False), (["--no-sign"], False), (["--sign"], True), (["--profile", "lab"], True)]
)
def test_requests_are_signed_on_demand_and_no_secret_is_written(
    run, proxy, work, environment, tmp_path, arguments, is_signed
):
    (tmp_path / "aws").write_text("[lab]\naws_access_key_id = id-of-lab\naws_secret_access_key = secret-of-lab\n")
    if "--profile" in arguments:
        environment["AWS_SHARED_CREDENTIALS_FILE"] = str(tmp_path / "aws")
    else:
        environment.update({"AWS_ACCESS_KEY_ID": "id-of-lab", "AWS_SECRET_ACCESS_KEY": "secret-of-lab"})
    where = ("--endpoint-url", proxy.url, "--region", "eu-central-1", "--request-payer")
    found = run("download", proxy.study, "out", *where, *arguments, "--log-file", "log", code=0)
    assert {request.is_signed for request in proxy.requests} == {is_signed}
    manifests = "".join(path.read_text() for path in (work / "out" / ".s3bids").iterdir())
    for text in (found.out, found.err, (work / "log").read_text(), manifests):
        assert "secret-of-lab" not in text
        assert "id-of-lab" not in text
        assert "Signature" not in text


def test_the_log_says_what_was_done_and_where_it_is_is_said_first(run, url, work):
    found = run("download", url, "out", "--log-file", "log", "--no-progress", code=0)
    assert found.err == f"s3bids: the log is {work / 'log'}\n"
    log = (work / "log").read_text()
    assert f"download from {url} to {work / 'out'}" in log
    assert "--log-file" in log
    run("download", url, "out", "--log-file", "log", code=0)
    assert (work / "log").read_text().startswith(log)


def test_failures_are_in_the_log_too(run, proxy, work):
    proxy.script(Fault("get", "ds/README.md", times=None, action=Answer(403, "AccessDenied")))
    run("download", proxy.study, "out", "--endpoint-url", proxy.url, "--log-file", "log", code=1)
    assert "failed: ds/README.md" in (work / "log").read_text()


@pytest.mark.parametrize("verify", ["size", "etag", "sha256"])
def test_the_check_is_chosen_and_recorded(run, proxy, work, verify):
    run("download", proxy.study, "out", "--verify", verify, "--endpoint-url", proxy.url, code=0)
    lines = [line for path in (work / "out" / ".s3bids").iterdir() for line in path.read_text().splitlines()]
    records = [record for record in map(json.loads, lines) if record["event"] == "file"]
    assert {record["check"] for record in records} == {"size" if verify == "size" else "md5"}
    assert {record["sha256"] is not None for record in records} == {verify == "sha256"}


def test_several_processes_bring_the_same(run, url, own, work, files_of):
    run("download", url, "out", "--derivatives", "all", "--jobs", "2", code=0)
    assert files_of(work / "out") == files_of(own)


# What is shown while it goes on


def test_without_a_terminal_one_line_says_what_is_to_come(run, url):
    found = run("download", url, "out", code=0)
    assert re.fullmatch(r"s3bids: 53 files to fetch, [\d.]+ KiB\n", found.err)


@pytest.mark.parametrize("as_json", [False, True])
def test_no_progress_means_silence(run, url, as_json):
    found = run("download", url, "out", "--no-progress", *(["--json"] if as_json else []), code=0)
    assert found.err == ""


def test_stdout_holds_the_json_alone_in_spite_of_warnings(run, url, work):
    (work / "out").mkdir()
    (work / "out" / "CHANGES").write_text("mine " * 100)
    found = run("download", url, "out", "--json", code=1)
    assert found.json["conflicts"] == 1
    assert "warning" in found.err


def test_on_a_terminal_there_is_a_bar_that_ends_full(url, work, environment):
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    program = Path(sys.executable).with_name("s3bids")
    with subprocess.Popen(
        [program, "download", url, "out"], cwd=work, env=environment, stdout=subprocess.PIPE, stderr=terminal
    ) as process:
        os.close(terminal)
        shown = read_all(screen)
        summary = process.stdout.read().decode()
    assert process.returncode == 0
    assert "100%" in shown
    assert "53/53 files" in shown
    assert "complete: 53 files" in summary


def read_all(screen):
    """Read what was written to a terminal, until nobody has it open any more."""
    shown = b""
    with os.fdopen(screen, "rb", buffering=0) as reader:
        while True:
            try:
                piece = reader.read(4096)
            except OSError:
                # Linux says EIO at the end of a terminal.
                piece = b""
            if not piece:
                return shown.decode()
            shown += piece


@pytest.mark.parametrize("option", ["--dry-run", None])
def test_names_that_could_take_over_a_terminal_are_escaped(run, own, option):
    (own / "sub-01" / "anat" / "sub-01_\x1b[2J\r\nT1w.json").write_text("{}")
    (own / "sub-01\x1b]0;owned\x07").mkdir()
    (own / "sub-01\x1b]0;owned\x07" / "x").touch()
    found = run("download", f"file://{own}", "out", *([option] if option else []), code=0)
    assert "\x1b" not in found.out + found.err
    assert "\x07" not in found.out + found.err
