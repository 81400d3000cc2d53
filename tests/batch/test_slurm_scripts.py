"""The scripts of a batch job: what they say, and that names of any kind do no harm in them."""

import math
import os
import subprocess
from dataclasses import replace

import pytest

from s3bids.batch import Access, SlurmJob, freeze, read_plan, verify_plan, write_job
from s3bids.bids.layouts import Layout
from s3bids.errors import ConfigError
from s3bids.storage import S3Params, S3Storage
from s3bids.transfer.manifest import ManifestWriter, Record
from s3bids.transfer.plan import Wanted


def plan_of(study="mine"):
    wanted = Wanted(["ds/a", "ds/b"], ["a", "b"], [1, 2], ["e1", "e2"], [math.nan, math.nan])
    storage = S3Storage(S3Params("bucket", anon=True))
    return freeze(storage, wanted, study=study, prefix="ds", layout=Layout.NESTED)


def options_of(script):
    return [line.removeprefix("#SBATCH ") for line in script.read_text().splitlines() if line.startswith("#SBATCH")]


def test_the_scripts_say_what_was_asked_for(tmp_path):
    job = SlurmJob(16, 4, "short", "12:00:00", ("--mem=4G", "-A lab"), "sha256")
    files = write_job(plan_of(), tmp_path / "out", job, ("s3bids",), now=lambda: 0.0)
    assert files.folder == tmp_path / "out" / ".s3bids" / "slurm-19700101T000000"
    assert options_of(files.download) == [
        "--job-name=s3bids-mine",
        "--array=1-16%4",
        "--requeue",
        "--open-mode=append",
        "--partition=short",
        "--time=12:00:00",
        "--mem=4G",
        "-A lab",
    ]
    assert "--verify sha256" in files.download.read_text()
    assert "--array" not in files.verify.read_text()
    assert len(read_plan(files.plan)) == 2


FAKE = '#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done > "$RECORD"\n'


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        ((1, 1, 1, 16), "1/16"),
        ((16, 1, 1, 16), "16/16"),
        ((0, 0, 1, 8), "1/8"),
        ((30, 10, 10, 4), "3/4"),
    ],
)
@pytest.mark.parametrize("name", ["plain", 'it\'s $HOME `x` "y" é\n%j'])
def test_a_task_finds_its_shard_whatever_the_directory_is_called(tmp_path, variables, shard, name):
    program = tmp_path / "program"
    program.write_text(FAKE)
    program.chmod(0o755)
    directory = tmp_path / name
    files = write_job(plan_of(name), directory, SlurmJob(16), (str(program),))
    assert all("\n" not in option for option in options_of(files.download))
    names = ("ID", "MIN", "STEP", "COUNT")
    environment = {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in zip(names, variables, strict=True)}
    record = tmp_path / "record"
    environment |= {"RECORD": str(record), "PATH": os.defpath}
    subprocess.run(["sh", files.download], env=environment, check=True)
    expected = ["download", "--plan", str(files.plan), str(directory), "--verify", "etag", "--shard", shard]
    assert record.read_text() == "".join(f"{word}\n" for word in expected)
    subprocess.run(["sh", files.verify], env=environment, check=True)
    assert record.read_text().startswith(f"verify\n{directory}\n--plan\n{files.plan}\n--report\n")


@pytest.mark.parametrize(("anon", "expected"), [(True, False), (False, True)])
def test_the_server_that_requests_are_signed_for_is_named(tmp_path, anon, expected):
    """A plan alone does not get them signed for a server of its own."""
    storage = S3Storage(S3Params("bucket", "http://127.0.0.1:9", anon=anon, profile_name=None if anon else "lab"))
    plan = replace(plan_of(), access=Access.of(storage))
    files = write_job(plan, tmp_path / "out", SlurmJob(2), ("s3bids",))
    assert ("--endpoint-url http://127.0.0.1:9" in files.download.read_text()) is expected


@pytest.mark.parametrize("pays", [True, False])
def test_who_submits_agrees_to_pay_if_he_did_when_it_was_written(tmp_path, pays):
    access = Access.of(S3Storage(S3Params("bucket", profile_name="lab", request_payer=pays)))
    files = write_job(replace(plan_of(), access=access), tmp_path / "out", SlurmJob(2), ("s3bids",))
    assert ("--request-payer" in files.download.read_text()) is pays


def test_a_directory_whose_name_is_no_text_is_taken_as_it_is(tmp_path):
    program = tmp_path / "program"
    program.write_text(FAKE)
    program.chmod(0o755)
    directory = tmp_path / os.fsdecode(b"\xff")
    files = write_job(plan_of(), directory, SlurmJob(1), (str(program),))
    subprocess.run(["sh", files.verify], env={"RECORD": str(tmp_path / "record"), "PATH": os.defpath}, check=True)
    assert (tmp_path / "record").read_bytes().split(b"\n")[1] == os.fsencode(directory)


def test_the_verification_is_submitted_behind_the_array(tmp_path):
    (tmp_path / "sbatch").write_text('#!/bin/sh\necho "$@" >> calls\necho "17;cluster"\n')
    (tmp_path / "sbatch").chmod(0o755)
    files = write_job(plan_of(), tmp_path / "out", SlurmJob(2), ("s3bids",))
    environment = {"PATH": f"{tmp_path}:{os.defpath}"}
    done = subprocess.run(["sh", files.submit], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "17 17\n"
    assert (files.folder / "calls").read_text().splitlines() == [
        "--parsable --output=%A_%a.log download.sbatch",
        "--parsable --output=%j.log --dependency=afterany:17 verify.sbatch",
    ]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tasks": 0}, "no shard 0/0"),
        ({"tasks": -3}, "no shard"),
        ({"tasks": 1, "at_once": 0}, "at least 1"),
        ({"tasks": 1, "partition": "a\n#SBATCH --uid=0"}, "no option of sbatch"),
        ({"tasks": 1, "options": ("mem=4G",)}, "'mem=4G' is no option of sbatch"),
        ({"tasks": 1, "time": "1\n"}, "no option of sbatch"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        SlurmJob(**options)


# The verification behind it


def record_files(directory, **etags):
    directory.mkdir(exist_ok=True)
    with ManifestWriter(directory, "run", now=lambda: 1.0) as manifest:
        for (name, etag), size in zip(etags.items(), (1, 2), strict=False):
            (directory / name).write_bytes(b"x" * size)
            manifest.add(Record(name, "s3://bucket", f"ds/{name}", size, etag, None, 1, "size"))


def kinds_of(directory):
    found = verify_plan(directory, plan_of())
    assert (found.files, found.bytes) == (2, 3)
    return [(each.target, each.kind) for each in found.differences]


def test_a_plan_that_is_here_differs_in_nothing(tmp_path):
    record_files(tmp_path, a="e1", b="e2")
    (tmp_path / "of another download").write_text("x")
    assert kinds_of(tmp_path) == []


def test_what_is_not_here_is_missing(tmp_path):
    assert kinds_of(tmp_path / "nowhere") == [("a", "missing"), ("b", "missing")]
    record_files(tmp_path, a="e1", b="e2")
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_bytes(b"longer")
    assert kinds_of(tmp_path) == [("a", "missing"), ("b", "size")]


def test_a_file_of_another_version_is_another_file(tmp_path):
    record_files(tmp_path, a="older", b="e2")
    assert kinds_of(tmp_path) == [("a", "other")]


def test_a_failure_says_why(tmp_path):
    record_files(tmp_path, a="e1")
    with ManifestWriter(tmp_path, "other", now=lambda: 2.0) as manifest:
        manifest.fail("b", "ds/b", "access denied", 1)
    [difference] = verify_plan(tmp_path, plan_of()).differences
    assert difference.detail == "it could not be downloaded (access denied)"
