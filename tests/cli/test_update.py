"""``s3bids update``: what is new or changed upstream comes, what is gone goes only if it is ours."""

import json
import shutil

import pytest


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


def test_a_study_of_which_nothing_is_to_be_seen_is_not_taken_for_an_empty_one(run, own, work, files_of):
    other = own.parent / "other"
    (other / "sub-77" / "anat").mkdir(parents=True)
    (other / "sub-77" / "anat" / "sub-77_T1w.json").write_text("{}")
    run("download", f"file://{own}", "out", code=0)
    run("plan", f"file://{other}", "--save", "plan.jsonl.gz", code=0)
    run("download", "--plan", "plan.jsonl.gz", "out", "--into-other", code=0)
    before = files_of(work / "out")
    assert "sub-77/anat/sub-77_T1w.json" in before
    other.rename(own.parent / "elsewhere")
    found = run("update", "out", "--prune", "--yes", code=2)
    assert f"there is nothing at file://{other} any more; nothing is deleted" in found.err
    assert files_of(work / "out") == before
    (other / "sub-78").mkdir(parents=True)
    (other / "sub-78" / "x").write_text("x")
    assert run("update", "out", "--prune", "--yes", "--json", code=0).json["deleted"] == ["sub-77/anat/sub-77_T1w.json"]


def test_nothing_is_deleted_while_files_fail(run, own, work):
    """A file that was renamed would be gone under both names."""
    run("download", f"file://{own}", "out", code=0)
    (own / "new").mkdir()
    (own / "CHANGES").rename(own / "new" / "CHANGES")
    (work / "out" / "new").write_text("mine")
    found = run("update", "out", "--prune", "--yes", "--json", code=1)
    assert (found.json["failed"], found.json["gone"], found.json["deleted"]) == (1, ["CHANGES"], [])
    assert "since some files failed, nothing is deleted" in found.err
    assert (work / "out" / "CHANGES").is_file()
    (work / "out" / "new").unlink()
    assert run("update", "out", "--prune", "--yes", "--json", code=0).json["deleted"] == ["CHANGES"]


def test_what_is_gone_is_listed_before_somebody_is_asked_with_json_too(run, own, work):
    run("download", f"file://{own}", "out", code=0)
    (own / "code" / "convert.sh").unlink()
    found = run("update", "out", "--prune", "--json", code=2)
    assert found.out == ""
    assert "gone: code/convert.sh" in found.err


def runs_of(directory):
    lines = [line for path in (directory / ".s3bids").glob("*.jsonl") for line in path.read_text().splitlines()]
    return [note for note in map(json.loads, lines) if note["event"] == "run"]


@pytest.mark.parametrize("choice", [["--sample", "3"], ["--subjects", "02,01"], ["--where", "sex == 'F'"]])
def test_an_update_is_no_choice_of_its_own(run, own, work, choice):
    """A sample stays as it was at the second update too, and no update makes the next one list more."""
    run("download", f"file://{own}", "out", *choice, code=0)
    [first] = runs_of(work / "out")
    for number in range(2):
        (own / "CHANGES").write_text("new" * (number + 1))
        shutil.copytree(own / "sub-01", own / f"sub-9{number}")
        found = run("update", "out", "--json", code=0).json
        assert found["fetched"] == 1
        assert {json.dumps(note["asked"]) for note in runs_of(work / "out")} == {json.dumps(first["asked"])}


def test_notes_of_a_manifest_that_make_no_sense_are_passed_over(run, own, work):
    run("download", f"file://{own}", "out", code=0)
    [note] = runs_of(work / "out")
    changes = [
        {"layout": "flat"},
        {"asked": {"subjects": 5}},
        {"asked": {"subjects": "all", "choice": [1]}},
        {"asked": {"choice": {"sample": 1}, "chosen": 7}},
    ]
    lines = "".join(f"{json.dumps(note | change)}\n" for change in changes)
    (work / "out" / ".s3bids" / "manifest-other.jsonl").write_text(lines)
    assert run("update", "out", "--json", code=0).json["complete"] is True
