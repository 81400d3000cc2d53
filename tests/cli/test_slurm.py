"""``s3bids slurm`` without a Slurm: what it writes and prints; and the verification of a plan."""

import json
from pathlib import Path

import pytest


def test_the_scripts_are_written_and_the_command_that_submits_them_is_shown(run, url, work):
    found = run("slurm", url, "out", "--tasks", "4", "--subjects", "01", code=0)
    [folder] = (work / "out" / ".s3bids").iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "plan.jsonl.gz",
        "download.sbatch",
        "verify.sbatch",
        "submit.sh",
    }
    assert found.out.splitlines()[-1] == f"  sh {folder}/submit.sh"
    assert "26 files" in found.out
    assert [path.name for path in (work / "out").iterdir()] == [".s3bids"]


def test_the_directory_may_be_that_of_the_study_file(run, url, own, work):
    (work / "lab.yaml").write_text(f"bucket: {own.parent.name}\nlocal_root: {own.parent.parent}\nprefix: {own.name}\n")
    run("slurm", "lab.yaml", "--tasks", "2", code=0)
    assert [path.name for path in (work / "lab").iterdir()] == [".s3bids"]
    (work / "far.yaml").write_text(
        "extends: lab.yaml\ndestination: over/there\njobs: 2\nreserve: 1K\noverwrite: true\n"
    )
    files = run("slurm", "far.yaml", "--tasks", "2", "--json", code=0).json
    assert "--jobs 2 --reserve 1024 --overwrite --shard" in Path(files["download"]).read_text()
    assert [path.name for path in (work / "over" / "there").iterdir()] == [".s3bids"]


def test_a_verification_of_a_plan_writes_its_report(run, url, work):
    files = run("slurm", url, "out", "--tasks", "2", "--json", code=0).json
    plan, report = files["plan"], files["report"]
    run("download", "--plan", plan, "out", "--shard", "1/2", code=0)
    found = run("verify", "out", "--plan", plan, "--report", report, code=3)
    assert "missing: " in found.out
    assert Path(f"{report}.txt").read_text() == found.out
    value = json.loads(Path(f"{report}.json").read_text())
    assert (value["complete"], value["plan"]) == (False, plan)
    run("download", "--plan", plan, "out", "--shard", "2/2", code=0)
    found = run("verify", "out", "--plan", plan, "--report", report, "--deep", "--json", code=0)
    assert found.json["complete"] is True
    assert json.loads(Path(f"{report}.json").read_text()) == found.json
    assert "agree with the plan" in Path(f"{report}.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["slurm", "URL", "out"], ["--tasks"]),
        (["slurm", "URL", "out", "--tasks", "0"], ["0 tasks do nothing"]),
        (["slurm", "URL", "out", "--tasks", "2", "--sbatch", "mem"], ["'mem' is no option of sbatch"]),
        (["slurm", "URL", "out", "--tasks", "2", "--subjects", "99"], ["sub-99"]),
        (["verify", "out", "--plan", "nowhere.gz"], ["nowhere.gz"]),
        (["verify", "out", "--plan", "x", "--remote"], ["--plan", "--remote"]),
    ],
)
def test_a_command_line_that_makes_no_sense(refused, url, arguments, parts):
    text = refused(*(url if argument == "URL" else argument for argument in arguments))
    assert [part for part in parts if part not in text] == []
