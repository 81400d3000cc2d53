"""``s3bids update``: what is new or changed upstream comes, what is gone goes only if it is ours."""

import json


def test_only_what_is_new_or_changed_of_the_same_choice_comes(run, own, work, files_of):
    address = f"file://{own}"
    run("download", address, "out", "--subjects", "01", code=0)
    before = set(files_of(work / "out"))
    (own / "CHANGES").write_text("a longer text than it was before, by far")
    (own / "sub-01" / "anat" / "sub-01_run-9_T1w.json").write_text("{}")
    (own / "sub-02" / "anat" / "sub-02_run-9_T1w.json").write_text("{}")
    assert run("update", "out", "--dry-run", "--json", code=0).json["to_fetch"] == 2
    assert run("update", "out", "--json", code=0).json["fetched"] == 2
    assert set(files_of(work / "out")) - before == {"sub-01/anat/sub-01_run-9_T1w.json"}
    assert run("update", "out", "--json", code=0).json["fetched"] == 0


def test_what_is_gone_is_listed_and_deleted_only_if_it_is_ours_and_somebody_agrees(run, refused, own, work, files_of):
    address = f"file://{own}"
    run("download", address, "out", code=0)
    (own / "code" / "convert.sh").unlink()
    (own / "CHANGES").unlink()
    (work / "out" / "CHANGES").write_text("mine now")
    (work / "out" / "code" / "notes.txt").write_text("never theirs")
    assert "--yes" in run("update", "out", "--prune", code=2).err
    assert (work / "out" / "code" / "convert.sh").exists()
    found = run("update", "out", "--prune", "--yes", "--json", code=0).json
    assert (found["deleted"], found["gone_but_changed_here"]) == (["code/convert.sh"], ["CHANGES"])
    assert not (work / "out" / "code" / "convert.sh").exists()
    assert (work / "out" / "CHANGES").read_text() == "mine now"
    assert (work / "out" / "code" / "notes.txt").exists()
    assert run("update", "out", "--prune", "--yes", "--json", code=0).json["deleted"] == []


def test_two_selections_in_one_directory_are_recorded_and_both_updated(run, own, work, files_of):
    address = f"file://{own}"
    run("download", address, "out", "--subjects", "01", code=0)
    run("download", address, "out", "--subjects", "02", code=0)
    lines = [line for path in (work / "out" / ".s3bids").glob("*.jsonl") for line in path.read_text().splitlines()]
    runs = [note for note in map(json.loads, lines) if note["event"] == "run"]
    assert sorted(note["asked"]["subjects"] for note in runs) == [["sub-01"], ["sub-02"]]
    for subject in ("01", "02", "10"):
        (own / f"sub-{subject}" / "anat" / f"sub-{subject}_run-9_T1w.json").write_text("{}")
    assert run("update", "out", "--json", code=0).json["fetched"] == 2


def test_another_study_is_refused_unless_it_is_allowed(run, refused, own, url, work):
    run("download", f"file://{own}", "out", "--subjects", "01", code=0)
    assert "holds another study" in refused("download", url, "out", "--subjects", "01")
    run("download", url, "out", "--subjects", "01", "--into-other", "--overwrite", code=0)
    run("download", url, "out", "--subjects", "01", code=0)


def test_a_directory_without_a_manifest_or_a_choice_is_refused(run, refused, own, work):
    (work / "empty").mkdir()
    assert "no manifest" in refused("update", "empty")
    assert "no such directory" in refused("update", "nowhere")
    run("plan", f"file://{own}", "--save", "plan.jsonl.gz", code=0)
    run("download", "--plan", "plan.jsonl.gz", "out", code=0)
    assert "does not say what was chosen" in refused("update", "out")


def test_a_study_file_that_limits_subjects_makes_no_others_gone(run, own, work):
    (work / "mine.yaml").write_text(
        f"bucket: {own.parent.name}\nprefix: {own.name}\nlocal_root: {own.parent.parent}\nsubjects: ['01']\n"
    )
    run("download", f"file://{own}", "out", code=0)
    assert run("diff", "out", "mine.yaml", "--json", code=0).json["differences"] == []
