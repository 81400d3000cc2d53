"""``s3bids diff`` and ``s3bids lock`` at the command line."""

import os


def test_what_changed_upstream_is_shown_and_a_download_fetches_it(run, own, work, files_of):
    address = f"file://{own}"
    run("download", address, "out", code=0)
    assert run("diff", "out", address, code=0).out.endswith("nothing changed\n")
    (own / "CHANGES").write_text("a longer text than it was before, by far")
    new = own / "sub-01" / "anat" / "sub-01_run-9_T1w.json"
    new.write_text("{}")
    os.utime(own / "dataset_description.json", ns=(1, 1))
    (own / "code" / "convert.sh").unlink()
    found = run("diff", "out", address, "--json", code=3).json
    kinds = {each["target"]: each["kind"] for each in found["differences"]}
    assert kinds == {
        "CHANGES": "changed",
        "dataset_description.json": "changed",
        "sub-01/anat/sub-01_run-9_T1w.json": "new",
        "code/convert.sh": "gone",
    }
    assert "1 gone" in run("diff", "out", address, code=3).out
    run("download", address, "out", code=0)
    assert [each["kind"] for each in run("diff", "out", address, "--json", code=3).json["differences"]] == ["gone"]


def test_other_derivatives_and_subjects_that_are_here_are_not_gone(run, url):
    run("download", url, "out", "--derivatives", "all", code=0)
    run("diff", "out", url, "--subjects", "01", code=0)


def test_a_directory_without_a_manifest_is_refused(refused, url, work):
    (work / "empty").mkdir()
    assert "no manifest" in refused("diff", "empty", url)
    assert "no such directory" in refused("diff", "nowhere", url)


def test_a_lock_is_fetched_again_as_it_was(run, own, work, files_of):
    found = run("lock", f"file://{own}", "-o", "study.lock", "--json", code=0).json
    assert found["with_version"] == 0
    run("download", "--locked", "study.lock", "out", code=0)
    assert len(files_of(work / "out")) == found["files"]
    (own / "CHANGES").write_text("drifted")
    failed = run("download", "--locked", "study.lock", "other", "--json", code=1).json["failed_files"]
    assert [each["target"] for each in failed] == ["CHANGES"]
