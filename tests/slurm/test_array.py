"""An array of tasks on a real Slurm: killed, requeued, the node restarted, and the same files in the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from s3bids.batch import Shard, read_plan
from s3bids.testing.faults import Fault, Stall
from s3bids.transfer.manifest import read_records

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def run(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "s3bids", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def tree(directory):
    paths = [path for path in directory.rglob("*") if path.is_file()]
    found = {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}
    return {name: data for name, data in found.items() if not name.startswith(".s3bids/")}


def prepare(study, proxy, directory, tasks):
    """Write the scripts of a job; give its files, and what is in its folder."""
    address, _ = study
    arguments = ["slurm", address, directory, "--tasks", tasks, "--partition", "main", "--endpoint-url", proxy.url]
    found = json.loads(run(*arguments, "--json"))
    proxy.reset()
    return found


def submit(cluster, files):
    array, verify = cluster.run("sh", files["submit"]).split()
    return array, verify


def report_of(files):
    return json.loads(Path(f"{files['report']}.json").read_text(encoding="utf-8"))


def logs(files):
    return "\n".join(path.read_text() for path in sorted(Path(files["folder"]).glob("*.log")))


def task_of(plan, key, tasks):
    """Give the number of the task that fetches an object."""
    numbers = (number for number in range(1, tasks + 1) if key in plan.shard(Shard(number, tasks)).wanted.keys)
    return next(numbers)


def test_an_array_brings_what_one_process_brings(cluster, study, proxy, tmp_path):
    files = prepare(study, proxy, tmp_path / "out", 8)
    array, verify = submit(cluster, files)
    assert cluster.wait_for_end(verify) == "COMPLETED", logs(files)
    assert tree(tmp_path / "out") == study[1]
    assert report_of(files)["complete"] is True
    assert proxy.counts()["list"] == proxy.counts()["head"] == 0
    gets = Counter(request.key for request in proxy.requests if request.operation == "get")
    assert (len(gets), set(gets.values())) == (len(study[1]), {1})
    assert array != verify


def test_an_array_whose_task_is_killed_and_whose_node_restarts_ends_with_the_same_files(
    cluster, study, proxy, tmp_path
):
    """Of eight tasks one is killed by scancel in the middle and requeued, and a second one dies with the node."""
    files = prepare(study, proxy, tmp_path / "out", 8)
    plan = read_plan(files["plan"])
    first = task_of(plan, "ds/sub-03/anat/sub-03_T1w.nii.gz", 8)
    keys = [key for key in plan.wanted.keys if key.endswith("_T1w.nii.gz") and task_of(plan, key, 8) != first]
    proxy.script(
        Fault("get", "ds/sub-03/anat/sub-03_T1w.nii.gz", times=1, action=Stall()),
        Fault("get", keys[0], times=None, action=Stall()),
    )
    array, verify = submit(cluster, files)
    assert proxy.wait_for_stalls(2, seconds=300)

    killed, other = f"{array}_{first}", f"{array}_{task_of(plan, keys[0], 8)}"
    cluster.run("scancel", killed)
    cluster.wait_for_state(killed, "CANCELLED")
    assert cluster.state(verify) == "PENDING"
    cluster.run("scontrol", "requeue", killed)
    cluster.begin_now(killed)
    assert cluster.wait_for_end(killed) == "COMPLETED", logs(files)

    assert cluster.state(other) == "RUNNING"
    proxy.reset()
    cluster.restart_node()
    cluster.begin_now(other)
    assert cluster.wait_for_end(verify) == "COMPLETED", logs(files)
    assert cluster.state(other) == "COMPLETED"

    run("download", study[0], tmp_path / "alone", "--endpoint-url", proxy.url)
    assert tree(tmp_path / "out") == tree(tmp_path / "alone") == study[1]
    assert set(read_records(tmp_path / "out")) == set(study[1])
    report = report_of(files)
    assert (report["complete"], report["files"], report["differences"]) == (True, len(study[1]), [])
    run("verify", tmp_path / "out", "--plan", files["plan"], "--deep")


def test_an_object_that_changed_fails_its_task_and_is_in_the_report(cluster, study, proxy, rclone, tmp_path):
    """The other tasks end well, and the last job tells what is missing."""
    files = prepare(study, proxy, tmp_path / "out", 4)
    bucket = study[0].removeprefix("s3://")
    (rclone.root / bucket / "sub-05/anat/sub-05_run-1_T1w.json").write_text("changed")
    rclone.refresh()
    array, verify = submit(cluster, files)
    assert cluster.wait_for_end(verify) == "FAILED", logs(files)
    states = Counter(cluster.state(f"{array}_{number}") for number in range(1, 5))
    assert states == {"COMPLETED": 3, "FAILED": 1}
    report = report_of(files)
    [difference] = report["differences"]
    assert difference["target"] == "sub-05/anat/sub-05_run-1_T1w.json"
    assert "the plan is older than the object; make it anew" in difference["detail"]
    assert report["complete"] is False


@pytest.mark.parametrize("ids", ["0-3", "10-40:10"])
def test_the_ids_of_an_array_may_begin_anywhere_and_go_in_steps(cluster, study, proxy, tmp_path, ids):
    files = prepare(study, proxy, tmp_path / "out", 2)
    array = cluster.run(
        "sbatch", "--parsable", f"--array={ids}", f"--output={files['folder']}/%A_%a.log", files["download"]
    )
    last = cluster.run("sbatch", "--parsable", f"--dependency=afterany:{array}", "--wrap=true", "--output=/dev/null")
    cluster.wait_for_end(last)
    assert tree(tmp_path / "out") == study[1], logs(files)
    gets = Counter(request.key for request in proxy.requests if request.operation == "get")
    assert set(gets.values()) == {1}
