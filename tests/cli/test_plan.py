"""``s3bids plan`` and ``--dry-run``: what would be done, and nothing done."""

import pytest


def plan_of(summary):
    """Take the counts of a plan's JSON."""
    return {name: summary[name] for name in ("files", "bytes", "files_here", "files_to_fetch", "bytes_to_fetch")}


def test_a_plan_counts_everything_three_times(run, url, own, files_of):
    summary = run("plan", url, "out", "--derivatives", "all", "--json", code=0).json
    files = files_of(own)
    total = {"files": len(files), "bytes": sum(map(len, files.values()))}
    everything = total | {"files_here": 0, "files_to_fetch": total["files"], "bytes_to_fetch": total["bytes"]}
    assert plan_of(summary) == everything
    for title in ("subjects", "datatypes", "derivatives"):
        groups = [plan_of(group) for group in summary[title]]
        assert {name: sum(group[name] for group in groups) for name in everything} == everything
    assert [group["subject"] for group in summary["subjects"]] == [None, "sub-01", "sub-02", "sub-10"]
    assert [group["datatype"] for group in summary["datatypes"]] == [None, "anat", "dwi", "fmap", "func"]
    assert [group["derivative"] for group in summary["derivatives"]] == [None, "fmriprep-mini"]
    counts = {group["derivative"]: group["files"] for group in summary["derivatives"]}
    assert counts["fmriprep-mini"] == sum(name.startswith("derivatives/") for name in files)


def test_a_plan_writes_nothing_and_gets_nothing(run, proxy, work):
    run("plan", proxy.study, "out", "--endpoint-url", proxy.url, code=0)
    run("download", proxy.study, "out", "--dry-run", "--endpoint-url", proxy.url, code=0)
    assert list(work.iterdir()) == []
    assert (proxy.counts()["get"], proxy.counts()["head"]) == (0, 0)


@pytest.mark.parametrize("arguments", [[], ["--subjects", "01"], ["--derivatives", "all", "--suffix", ".json"]])
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_dry_run_prints_the_plan(run, url, arguments, as_json):
    plan = run("plan", url, "out", *arguments, *as_json, code=0)
    dry = run("download", url, "out", *arguments, *as_json, "--dry-run", code=0)
    assert dry.out == plan.out
    assert (plan.err, dry.err) == ("", "")


def test_the_real_run_does_what_the_plan_says(run, url, work):
    (work / "out").mkdir()
    (work / "out" / "CHANGES").write_text("mine " * 100)
    run("download", url, "out", "--subjects", "01", code=1)
    plan = run("plan", url, "out", "--json", code=0).json
    assert (plan["conflicts"], plan["conflicting_files"][0]["target"]) == (1, "CHANGES")
    assert 0 < plan["files_here"] < plan["files"]
    real = run("download", url, "out", "--json", code=1).json
    assert (real["fetched"], real["bytes"]) == (plan["files_to_fetch"], plan["bytes_to_fetch"])
    assert (real["skipped"], real["conflicts"]) == (plan["files_here"], 1)


def test_the_directory_is_by_default_that_of_a_download(run, url, work):
    run("download", url, code=0)
    plan = run("plan", url, "--json", code=0).json
    assert (plan["directory"], plan["files_to_fetch"]) == (str(work / "ds"), 0)


def test_a_plan_for_people(run, url):
    found = run("plan", url, "out", "--subjects", "01", code=0)
    lines = found.out.splitlines()
    assert lines[0] == f"{url} -> out"
    assert [line.split()[0] for line in lines if line.endswith("bytes to fetch")] == [
        "subject",
        "datatype",
        "derivative",
    ]
    assert "\n\n\n" not in found.out
    assert lines[-1].startswith("26 files, ")
    assert "0 are here already, 26 to fetch" in lines[-1]


def test_a_long_table_is_cut_and_json_is_not(run, tmp_path):
    for number in range(1, 31):
        folder = tmp_path / "root" / "b" / "ds" / f"sub-{number:02}" / "anat"
        folder.mkdir(parents=True)
        (folder / f"sub-{number:02}_T1w.json").write_text("{}")
    url = f"file://{tmp_path}/root/b/ds"
    assert "\nand 10 more; --json has them\n" in run("plan", url, code=0).out
    assert len(run("plan", url, "--json", code=0).json["subjects"]) == 30


def test_a_key_that_cannot_be_a_file_is_named(run, moto, bucket_name):
    client = moto.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    for key in ("ds/sub-1/x.json", "ds/sub-1/../../escape.json"):
        client.put_object(Bucket=bucket_name, Key=key, Body=b"{}", ACL="public-read")
    client.close()
    where = (f"s3://{bucket_name}/ds", "out", "--endpoint-url", moto.url)
    found = run("plan", *where, "--json", code=0)
    assert found.json["refused"] == 1
    assert found.json["refused_files"][0]["key"] == "ds/sub-1/../../escape.json"
    assert "would fail: ds/sub-1/../../escape.json: " in found.err
    assert run("download", *where, code=1).err.count("escape.json") == 1
