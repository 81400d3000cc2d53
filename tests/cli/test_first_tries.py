"""What people type before they read anything: each gets an answer that says what to type instead."""

import pytest

from s3bids.cli.program import COMMANDS


def test_help_is_a_word_too(run):
    assert run("help", code=0).out == run("--help").out
    assert run("help", "plan", code=0).out == run("plan", "--help").out


def test_the_help_says_how_to_begin_and_cuts_no_sentence(run):
    text = run("--help", code=0).out
    assert "s3bids demo" in text.partition("Options:")[0]
    commands = text.partition("Commands:")[2].strip().splitlines()
    assert len(commands) == len(COMMANDS)
    assert [line for line in commands if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["hbn-si"], ["'hbn-si' is a study", "s3bids ls hbn-si"]),
        (["s3://bucket/x"], ["is a study", "s3bids ls s3://bucket/x"]),
        (["downlaod", "hbn-si"], ["no command 'downlaod'", "did you mean download? See s3bids --help"]),
        (["LS"], ["did you mean ls?"]),
        (["help", "downlaod"], ["did you mean download?"]),
        (["xyz"], ["no command 'xyz'; see s3bids --help"]),
        (["--verison"], ["'--version'? See"]),
        (["plan", "--save"], ["requires an argument", "s3bids plan --help"]),
        (["ls", "HBN-SI"], ["did you mean hbn-si? Give"]),
        (["ls", "ds000117"], ["did you mean s3://openneuro.org/ds000117?"]),
        (["ls", "http://openneuro.org/datasets/ds000117/versions/1.0.0"], ["write s3://openneuro.org/ds000117"]),
        (["ls", "https://fcp-indi.s3.amazonaws.com/data/x"], ["write s3://fcp-indi/data/x"]),
        (["ls", "https://openneuro.org.s3.eu-west-1.amazonaws.com/"], ["write s3://openneuro.org/"]),
        (["ls", "https://s3.amazonaws.com/fcp-indi/data/x?y"], ["write s3://fcp-indi/data/x"]),
        (["ls", "/tmp"], ["/tmp is a directory", "file:///root/bucket/prefix"]),
        (["download", "out", "s3://bucket/x"], ["'s3://bucket/x' is an address", "download STUDY [DIR]"]),
        (["plan", "s3://bucket/x", "out", "--subjects", "01", "02"], ["(02)", "--subjects 01,02"]),
        (["diff", "s3://bucket/x", "out"], ["'s3://bucket/x' is an address", "diff DIR STUDY"]),
        (["verify", "nowhere"], ["no such directory"]),
        (["plan", "s3://bucket/x", "--suffix", "T1w.nii", "--suffix", "dwi.nii"], ["--filter suffix=T1w,bold"]),
        (["slurm", "hbn-si", "out", "--tasks", "0"], ["0 tasks do nothing", "--tasks"]),
    ],
)
def test_a_first_try_is_answered_with_what_to_type(refused, arguments, parts):
    text = refused(*arguments)
    assert [part for part in parts if part not in text] == []


def test_a_plan_in_the_place_of_a_study(refused, run, url, work):
    run("plan", url, "--save", "plan.jsonl.gz", code=0)
    assert "s3bids download --plan plan.jsonl.gz DIR" in refused("download", "plan.jsonl.gz", "out")


def test_a_download_in_the_place_of_a_study_is_known_as_one(refused, run, url):
    run("download", url, "out", "--subjects", "01", code=0)
    assert "out is a download" in refused("ls", "out")


def test_a_prefix_without_subjects_is_told_from_an_empty_answer(run, tmp_path):
    own = tmp_path / "root" / "bucket" / "docs"
    own.mkdir(parents=True)
    (own / "README").touch()
    found = run("ls", f"file://{own}", code=0)
    assert found.out == ""
    assert "no subject is in" in found.err
    assert "--files" in found.err
    assert run("ls", f"file://{own}", "--files", code=0).err == ""


def test_a_plan_speaks_of_differences_only_where_there_are_any(run, url, work):
    assert run("plan", url, "out", code=0).out.splitlines()[-1].endswith(" to fetch (75.9 KiB)")
    (work / "out").mkdir()
    (work / "out" / "README.md").write_text("mine " * 100)
    assert run("plan", url, "out", code=0).out.splitlines()[-1].endswith(", 1 differ and are kept")


def test_the_list_of_studies_fits_a_window(run):
    assert max(map(len, run("studies", code=0).out.splitlines()[:-1])) <= 110


def test_one_wrong_file_is_spoken_of_as_one(run, url, work):
    run("download", url, "out", "--subjects", "01", code=0)
    (work / "out" / "README.md").unlink()
    last = run("report", "out", code=0).out.splitlines()[-1]
    assert last.endswith(" files is not as it should be; the page lists it")


def test_of_several_queries_all_must_hold(run, url):
    def chosen(*queries):
        words = [word for query in queries for word in ("--where", query)]
        found = run("plan", url, "--filter", "suffix=T1w", "--json", *words, code=0).json
        return [each["subject"] for each in found["subjects"] if each["subject"]]

    old, girls = chosen("age > 10"), chosen("sex == 'F'")
    assert old != girls
    assert set(old) & set(girls)
    assert chosen("age > 10", "sex == 'F' or sex == 'X'") == sorted(set(old) & set(girls))
