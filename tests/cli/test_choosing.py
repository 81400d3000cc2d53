"""Choosing on the command line: filters, cohorts, globs, lists in files, and what is refused."""

import json

import pytest

ROOT = {
    ".bidsignore",
    "CHANGES",
    "LICENSE",
    "README.md",
    "dataset_description.json",
    "participants.json",
    "participants.tsv",
}


def chosen(files_of, work, name="out"):
    """The files that came, but for the essential ones at the root and the tables of scans."""
    return {path for path in files_of(work / name) if path not in ROOT and not path.endswith("_scans.tsv")}


REST = {"sub-01/func/sub-01_task-rest_bold.nii.gz", "task-rest_bold.json"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--filter", "task=rest", "--filter", "subject=01"], REST),
        (["--filter", "task=rest", "--subjects", "01"], REST),
        (["--subjects", "01", "--include", "*task-rest*"], REST),
        (["--where", "age < 10", "--filter", "suffix=bold", "--exclude", "*faces*"], REST),
        (["--subjects", "01", "--filter", "task=re:^re"], REST),
        (["--subjects", "01", "--filter", "suffix=bold,events", "--filter", "task=rest", "--require", "T1w,dwi"], REST),
        (
            ["--filter", "suffix=T1w", "--subjects", "01", "--no-sidecars"],
            {f"sub-01/anat/sub-01_T1w.{e}" for e in ("json", "nii.gz")},
        ),
        (
            ["--filter", "suffix=bold", "--filter", "task=rest", "--subjects", "01", "--with-fieldmaps"],
            REST | {f"sub-01/fmap/sub-01_dir-{d}_epi.{e}" for d in ("AP", "PA") for e in ("json", "nii.gz")},
        ),
    ],
)
def test_what_is_asked_for_comes(run, url, work, files_of, arguments, expected):
    run("download", url, "out", *arguments, code=0)
    assert chosen(files_of, work) == expected


def test_lists_in_files(run, url, work, files_of):
    (work / "subjects.txt").write_text("# pilot\nsub-02\n10\n")
    (work / "keys.txt").write_text("sub-02/anat/sub-02_T1w.nii.gz\nds/sub-10/anat/sub-10_T1w.nii.gz\n")
    (work / "filter.json").write_text('{"t1w": {}, "bold": {"task": "rest", "run": null}}')
    run(
        "download",
        url,
        "a",
        "--subjects-file",
        "subjects.txt",
        "--filter",
        "suffix=T1w",
        "--filter",
        "extension=nii.gz",
        "--no-sidecars",
        code=0,
    )
    run("download", url, "b", "--keys-from", "keys.txt", "--no-sidecars", code=0)
    images = {f"sub-{n}/anat/sub-{n}_T1w.nii.gz" for n in ("02", "10")}
    assert set(files_of(work / "a")) == set(files_of(work / "b")) == images
    run("download", url, "c", "--bids-filter-file", "filter.json", "--subjects-file", "subjects.txt", code=0)
    data = {path for path in files_of(work / "c") if path.endswith(".nii.gz")}
    assert data == images | {f"sub-{n}/func/sub-{n}_task-rest_bold.nii.gz" for n in ("02", "10")}


def test_a_participant_table_serves_as_a_list_of_subjects(run, url, work, files_of):
    (work / "some.tsv").write_text("participant_id\tage\n10\t3\n")
    run("download", url, "out", "--subjects-file", "some.tsv", code=0)
    assert {path.split("/")[0] for path in files_of(work / "out") if path.startswith("sub-")} == {"sub-10"}


def test_samples_are_the_same_every_time(run, url):
    def drawn(*arguments):
        found = run("plan", url, "out", "--sample", "1", *arguments, "--json", code=0).json
        return [group["subject"] for group in found["subjects"] if group["subject"]]

    assert drawn() == drawn() == drawn("--random-seed", "0")
    assert len(drawn("--balance", "sex")) == 1
    assert {tuple(drawn("--random-seed", str(seed))) for seed in range(8)} > {tuple(drawn())}


def test_the_plan_is_what_the_download_does(run, url, work):
    asked = ["--filter", "datatype=anat", "--where", "sex == 'F'"]
    planned = run("plan", url, "out", *asked, "--json", code=0).json
    done = run("download", url, "out", *asked, "--json", code=0).json
    assert planned["files_to_fetch"] == done["fetched"] > 0
    assert planned["bytes_to_fetch"] == done["bytes"]


def test_a_valid_subset_says_what_was_cut_down(run, url, work):
    found = run("download", url, "out", "--filter", "suffix=T1w", "--subjects", "01", "--valid-subset", code=0)
    assert (
        "cut down to what is here: 2 files (participants.tsv, sub-01/sub-01_scans.tsv); the manifest has" in found.out
    )
    again = run(
        "download", url, "out", "--filter", "suffix=T1w", "--subjects", "01", "--valid-subset", "--json", code=0
    ).json
    assert again["trimmed_files"] == ["participants.tsv", "sub-01/sub-01_scans.tsv"]
    run("verify", "out", "--deep", code=0)


def test_a_description_that_was_written_is_named(run, own, work):
    (own / "derivatives" / "fmriprep-mini" / "dataset_description.json").unlink()
    found = run("download", f"file://{own}", "out", "--derivatives", "all", code=0)
    assert "written, since the study has none: derivatives/fmriprep-mini/dataset_description.json" in found.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--filter", "task"], "the filter 'task' is none; write ENTITY=VALUE"),
        (["--filter", "taks=rest"], "did you mean task"),
        (["--filter", "task=rset"], "did you mean rest"),
        (["--filter", "suffix=bold", "--filter", "run=1"], "with suffix=bold none has run=1"),
        (["--filter", "task=re:("], "regular expression '('"),
        (["--where", "age >"], "makes no sense"),
        (["--where", "aeg > 3"], "it has participant_id, age, sex"),
        (["--where", "__import__('os').system('touch x')"], "calls are not allowed"),
        (["--where", "age > 100"], "fits none of the 3 chosen subjects"),
        (["--where", ""], "it is empty"),
        (["--sample", "0"], "sample is 0"),
        (["--sample", "9"], "a sample of 9"),
        (["--balance", "nothing"], "no column 'nothing'"),
        (["--random-seed", "-1", "--sample", "1"], "random_seed must be"),
        (["--require", "T2w"], "no chosen subject has any 'T2w'; did you mean T1w?"),
        (["--require", "T1w,"], "a name is empty"),
        (["--include", "/x"], "the glob '/x' can choose nothing"),
        (["--exclude", "sub-*"], "each of the 39 files fits sub-*"),
        (["--keys-from", "none.txt"], "cannot read none.txt: No such file or directory"),
        (["--keys-from", "empty.txt"], "empty.txt names no file"),
        (["--keys-from", "keys.txt"], "1 of the 1 keys are none of the study's files: sub-01/none"),
        (["--subjects-file", "empty.txt"], "empty.txt names no subject"),
        (["--subjects-file", "keys.txt"], "holds a '/'"),
        (["--subjects-file", "unknown.txt"], "sub-77"),
        (["--subjects-file", ""], "it is empty"),
        (["--subjects-file", "unknown.txt", "--subjects", "01"], "give one of them"),
        (["--bids-filter-file", "keys.txt"], "keys.txt, line 1: this is no JSON"),
        (["--bids-filter-file", "list.json"], "holds no JSON object"),
        (["--bids-filter-file", "mixed.json"], "side by side"),
        (["--bids-filter-file", "list.json", "--filter", "task=rest"], "holds no JSON object"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_written(refused, url, work, arguments, text):
    (work / "empty.txt").write_text("# nothing\n")
    (work / "keys.txt").write_text("sub-01/none\n")
    (work / "unknown.txt").write_text("77\n")
    (work / "list.json").write_text("[]")
    (work / "mixed.json").write_text('{"bold": {"task": "rest"}, "run": 1}')
    assert text in refused("download", url, "out", *arguments)


def test_a_study_without_a_table_cannot_be_queried(refused, own):
    (own / "participants.tsv").unlink()
    assert "the study has no participants.tsv" in refused("download", f"file://{own}", "out", "--where", "age > 1")


# ls


def test_coverage_is_a_table_of_subjects(run, url):
    lines = [line.split() for line in run("ls", url, "--coverage", code=0).out.splitlines()]
    assert lines[0] == ["subject", "anat/T1w", "dwi/dwi", "fmap/epi", "func/bold", "func/events"]
    assert lines[1:] == [[f"sub-{n}", "1", "1", "2", "2", "1"] for n in ("01", "02", "10")]


def test_subjects_that_lack_something_are_listed(run, own):
    (own / "sub-02" / "dwi" / "sub-02_dwi.nii.gz").unlink()
    assert run("ls", f"file://{own}", "--require", "T1w,dwi", code=0).out == "sub-02  dwi\n"
    found = run("ls", f"file://{own}", "--coverage", "--require", "dwi", "--json", code=0).json
    assert found["lacking"] == [{"subject": "sub-02", "lacks": ["dwi"]}]
    assert found["coverage"][1] == {
        "subject": "sub-02",
        "recordings": {"anat/T1w": 1, "fmap/epi": 2, "func/bold": 2, "func/events": 1},
    }


def test_derivatives_with_their_sizes(run, url):
    [header, line] = run("ls", url, "--sizes", code=0).out.splitlines()
    assert header.split() == ["derivative", "subjects", "files", "bytes", "described"]
    assert line.split()[:3] == ["fmriprep-mini", "3", "8"]
    assert line.endswith("yes")
    [found] = run("ls", url, "--sizes", "--json", code=0).json["derivatives"]
    assert (found["derivative"], found["subjects"], found["is_described"]) == ("fmriprep-mini", 3, True)


@pytest.mark.parametrize("arguments", [["--coverage"], ["--require", "T1w"], ["--sizes"]])
def test_counting_gets_no_object(run, proxy, arguments):
    run("ls", proxy.study, *arguments, "--endpoint-url", proxy.url, code=0)
    assert proxy.counts()["get"] == proxy.counts()["head"] == 0


# Collections


@pytest.fixture
def collection(buckets, work):
    """A study file of a collection whose one data set is the synthetic study."""
    (work / "mine.yaml").write_text(f"bucket: demo\nlocal_root: {buckets}\ncollection: true\n")
    return "mine.yaml"


def test_a_collection_lists_its_data_sets(run, collection):
    assert run("ls", collection, code=0).out == "mine/ds\n"
    found = run("ls", collection, "--json", code=0).json
    assert found["data_sets"] == ["mine/ds"]


def test_a_collection_is_not_downloaded_as_one(refused, collection):
    assert "mine holds many data sets; s3bids ls mine lists" in refused("download", collection, "out")


def test_a_data_set_of_a_shipped_collection_is_downloaded(run, environment, tmp_path, work, files_of):
    from s3bids.testing.studies import write_study

    root = tmp_path / "emulated"
    write_study(root / "fcp-indi" / "data/Projects/ABIDE/RawDataBIDS/CMU_a", subjects=["01"])
    environment.update(LOCAL_FS="1", LOCAL_FS_ROOT_DIR=str(root))
    assert run("ls", "abide", code=0).out == "abide/CMU_a\n"
    assert run("ls", "abide/CMU_a", code=0).out == "sub-01\n"
    run("download", "abide/CMU_a", "--filter", "suffix=T1w", code=0)
    assert "sub-01/anat/sub-01_T1w.nii.gz" in files_of(work / "abide-CMU_a")
    again = json.loads(run("download", "abide/CMU_a/", "--filter", "suffix=T1w", "--json", code=0).out)
    assert again["fetched"] == 0


@pytest.mark.parametrize(
    ("study", "text"),
    [
        ("hbn-si/x", "the study hbn-si is one data set, so there is no hbn-si/x"),
        ("abide/a/b", "abide/a/b names no data set"),
        ("abide/..", "names no data set"),
        ("abide/nowhere", "nowhere"),
    ],
)
def test_a_data_set_that_cannot_be_is_refused(refused, environment, tmp_path, study, text):
    (tmp_path / "emulated" / "fcp-indi").mkdir(parents=True)
    environment.update(LOCAL_FS="1", LOCAL_FS_ROOT_DIR=str(tmp_path / "emulated"))
    assert text in refused("ls", study)
