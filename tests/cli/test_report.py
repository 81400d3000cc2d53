"""``s3bids report``: a page of a study, and of a download."""

import json
import re

import pytest


def data_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, flags=re.DOTALL)[1])


def test_a_study_has_a_page_and_nothing_but_the_table_is_fetched(run, proxy, work):
    found = run("report", proxy.study, "-o", "page.html", "--endpoint-url", proxy.url, code=0)
    assert re.fullmatch(r"page\.html: 3 subjects, 53 files, [\d.]+ KiB\n", found.out)
    counts = proxy.counts()
    assert counts["list"] > 0
    assert counts["get"] == 1
    assert [request.key for request in proxy.requests if request.operation == "get"] == ["ds/participants.tsv"]
    data = data_of(work / "page.html")
    assert data["subjects"] == ["sub-01", "sub-02", "sub-10"]
    assert data["people"]["columns"] == ["age", "sex"]


def test_what_is_chosen_is_on_the_page(run, url, work):
    run("report", url, "--subjects", "02", "--derivatives", "all", "--suffix", "T1w.nii.gz", code=0)
    data = data_of(work / "coverage.html")
    assert data["subjects"] == ["sub-02"]
    assert {column["dataset"] for column in data["columns"]} == {"raw data", "fmriprep-mini"}
    assert {column["suffix"] for column in data["columns"]} == {"T1w"}


def test_the_page_obeys_every_choice_that_a_download_obeys(run, url, work):
    choice = ["--where", "age < 10", "--filter", "suffix=T1w", "--derivatives", "all"]
    said = run("report", url, *choice, "--json", code=0).json
    planned = run("plan", url, *choice, "--json", code=0).json
    assert (said["files"], said["bytes"]) == (planned["files"], planned["bytes"])
    data = data_of(work / "coverage.html")
    assert len(data["subjects"]) == said["subjects"] < 3
    assert "Only what was chosen is shown: filters" in (work / "coverage.html").read_text()


def test_a_choice_of_nothing_is_told_and_no_page_is_written(refused, url, work):
    assert "fits none of the 3 chosen subjects" in refused("report", url, "--where", "age > 100")
    assert not (work / "coverage.html").exists()


def test_a_download_has_a_page_with_its_state(run, url, work):
    run("download", url, "out", code=0)
    assert "should be" not in run("report", "out", "-o", "a.html", "--deep", code=0).out
    (work / "out" / "sub-01" / "anat" / "sub-01_T1w.nii.gz").unlink()
    found = run("report", "out", "-o", "b.html", code=0)
    assert "1 of 53 files is not as it should be; the page lists it\n" in found.out
    assert "All 53 files are here" in (work / "a.html").read_text()
    assert "1 of 53 files is not as it should be" in (work / "b.html").read_text()


def test_the_result_as_json(run, url, work):
    run("download", url, "out", code=0)
    found = run("report", "out", "--json", code=0).json
    assert found.pop("bytes") > 0
    page = str(work / "coverage.html")
    assert found == {
        "page": page, "source": str(work / "out"), "subjects": 3, "files": 53, "states": {"complete": 53}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nothing"], "there is no study"),
        (["here"], "it has no manifest"),
        (["here", "--subjects", "01"], "do not go with a directory"),
        (["here", "--sign"], "do not go with a directory"),
        (["here", "-o", "participants.tsv"], "ends in .html"),
        (["here", "-o", "no/folder.html"], "there is no folder no"),
        (["hbn-si", "--deep"], "--deep goes with a directory"),
        (["here", "-o", ""], "it is empty"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(refused, work, arguments, text):
    (work / "here").mkdir()
    assert text in refused("report", *arguments)


def test_the_folder_of_a_demo_leads_to_its_download(run, refused):
    run("demo", "demo", code=0)
    assert "did you mean demo/download?" in refused("report", "demo")


def test_a_shipped_study_goes_before_a_directory_of_its_name(refused, work, environment):
    (work / "hbn-si").mkdir()
    environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    assert "127.0.0.1:9" in refused("report", "hbn-si")
    assert "it has no manifest" in refused("report", "./hbn-si")
