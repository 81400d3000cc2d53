"""``s3bids ls``: subjects, derivatives, files."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ([], ["sub-01", "sub-02", "sub-10"]),
        (["--subjects"], ["sub-01", "sub-02", "sub-10"]),
        (["--derivatives"], ["fmriprep-mini"]),
        (
            ["--subjects", "--derivatives"],
            ["subjects:", "sub-01", "sub-02", "sub-10", "", "derivatives:", "fmriprep-mini"],
        ),
    ],
)
def test_subjects_and_derivatives_are_listed(run, url, arguments, lines):
    assert run("ls", url, *arguments, code=0).out.splitlines() == lines


def test_files_are_listed_with_their_sizes(run, url, own, files_of):
    found = [line.split(maxsplit=1) for line in run("ls", url, "--files", code=0).out.splitlines()]
    raw = {name: data for name, data in files_of(own).items() if not name.startswith("derivatives/")}
    assert {name: int(size) for size, name in found} == {name: len(data) for name, data in raw.items()}


def test_everything_as_json(run, url):
    found = run("ls", url, "--subjects", "--derivatives", "--files", "--json", code=0).json
    assert found.keys() == {"study", "source", "subjects", "derivatives", "files"}
    assert (found["study"], found["source"]) == ("ds", url)
    file = next(file for file in found["files"] if file["path"] == "sub-01/anat/sub-01_T1w.json")
    assert (file["subject"], file["etag"]) == ("sub-01", None)
    assert file.keys() == {"path", "size", "etag", "last_modified", "subject"}


def test_only_what_was_asked_for_is_in_the_json(run, url):
    assert run("ls", url, "--json", code=0).json.keys() == {"study", "source", "subjects"}


@pytest.mark.parametrize("arguments", [[], ["--derivatives"], ["--files"]])
def test_listing_gets_no_object(run, proxy, arguments):
    run("ls", proxy.study, *arguments, "--endpoint-url", proxy.url, code=0)
    counts = proxy.counts()
    assert counts.pop("list") > 0
    assert set(counts.values()) == {0}


def test_a_study_without_subjects_lists_none(run, tmp_path):
    (tmp_path / "b" / "ds").mkdir(parents=True)
    (tmp_path / "b" / "ds" / "README").touch()
    assert run("ls", f"file://{tmp_path}/b/ds", code=0).out == ""


def test_odd_names_are_escaped_for_people_and_exact_in_json(run, own):
    name = "sub-01/anat/a\x1b[31m\nb\u202ec\u00fc.txt"
    (own / name).write_text("x")
    text = run("ls", f"file://{own}", "--files", code=0).out
    assert r"sub-01/anat/a\x1b[31m\nb\u202ecü.txt" in text
    files = run("ls", f"file://{own}", "--files", "--json", code=0).json["files"]
    assert name in [file["path"] for file in files]
