"""Studies, subjects, plans and reports as a notebook shows them; pages and plots of a study."""

import json
import re

import pytest

from s3bids import DownloadReport, S3BIDSStudy
from s3bids.choice import choosing
from s3bids.transfer.plan import Plan, Wanted
from s3bids.transfer.report import Failure

HOSTILE = "<script>alert(1)</script>\x1b"
SHOWN = r"&lt;script&gt;alert(1)&lt;/script&gt;\x1b"


@pytest.fixture
def study(local):
    return local.study()


def data_of(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, flags=re.DOTALL)[1])


def test_a_study_shows_itself_without_asking_anybody(counted, keys, proxy):
    counted.put(keys)
    study = counted.study(subjects=2)
    proxy.reset()
    text = study._repr_html_()
    assert "2 of 3: sub-1, sub-10" in text
    assert f"s3://{counted.bucket}/ds" in text
    assert study.subjects[0]._repr_html_()
    assert proxy.requests == []


def test_a_subject_shows_what_is_known_of_it(study, out):
    subject = study.subjects[0]
    assert "raw data" not in subject._repr_html_()
    subject.download(out, include_derivs="afq", pbar=False)
    assert subject.s3_keys
    text = subject._repr_html_()
    assert "S3BIDSSubject sub-1" in text
    assert ">3 files<" in text
    assert "afq (2 files)" in text
    assert "5 files" in text


def test_a_report_shows_its_counts_and_a_dry_run_its_plan(study, out):
    planned = study.download(out, pbar=False, dry_run=True)._repr_html_()
    assert "Plan of 6 files" in planned
    assert planned.count("fetch") == 1, "what is to come is told once"
    assert ">to fetch<" in planned
    done = study.download(out, pbar=False)._repr_html_()
    assert "Download of 6 files" in done
    assert study.download(out, pbar=False, dry_run=True).plan._repr_html_().count("here already") == 1
    assert str(out) in study._repr_html_()


def test_names_of_others_are_escaped(local):
    local.put({f"evil/sub-{HOSTILE.replace('/', '|')}/anat/x.nii": b"x"})
    shown = SHOWN.replace("/", "|")
    study = local.study("evil", study_id=HOSTILE)
    failures = tuple(Failure(HOSTILE, HOSTILE, HOSTILE, 1) for _ in range(9))
    plan = Plan(HOSTILE, Wanted([], [], [], [], []), [], {})
    report = DownloadReport(failed=9, failed_files=failures)
    for value in (study, study.subjects[0], plan, report):
        text = value._repr_html_()
        assert "<script>" not in text
        assert "\x1b" not in text
    assert SHOWN in study._repr_html_()
    assert shown in study.subjects[0]._repr_html_()
    assert "and 4 more" in report._repr_html_()


def test_a_study_writes_its_page(study, tmp_path):
    page = study.write_report(tmp_path / "page.html", include_derivs=True)
    data = data_of(page)
    assert data["subjects"] == ["sub-1", "sub-10", "sub-2"]
    assert {column["dataset"] for column in data["columns"]} >= {"raw data", "afq"}
    assert data["people"]["rows"] == [["20"], ["21"], ["22"]]


def test_a_page_of_some_subjects_has_only_these(local, tmp_path):
    page = local.study(subjects=["2"]).write_report(tmp_path / "page.html")
    assert data_of(page)["subjects"] == ["sub-2"]


def test_a_study_without_a_participant_table_has_a_page(local, tmp_path):
    local.put({"bare/sub-1/anat/sub-1_T1w.nii": b"x"})
    assert data_of(local.study("bare").write_report(tmp_path / "page.html"))["people"] is None


def test_a_participant_table_that_cannot_be_read_is_told_on_the_page(local, tmp_path):
    local.put({"odd/sub-1/anat/sub-1_T1w.nii": b"x", "odd/participants.tsv": b"a\tb\n"})
    page = local.study("odd").write_report(tmp_path / "page.html")
    assert data_of(page)["people"] is None
    assert "cannot read the participant table" in page.read_text(encoding="utf-8")


def test_the_page_counts_the_recordings_that_coverage_counts(study, tmp_path):
    data = data_of(study.write_report(tmp_path / "page.html"))
    names = [f"{column['datatype']}/{column['suffix']}" for column in data["columns"]]
    width = 1 + len(data["fields"])
    on_page = {
        (subject, names[cells[at]]): cells[at + 1]
        for subject, cells in zip(data["subjects"], data["cells"], strict=True)
        for at in range(0, len(cells), width)
    }
    counted = {place: int(number) for place, number in study.coverage().stack().items() if number}
    assert counted
    assert counted.items() <= on_page.items()


def test_a_choice_is_on_the_page_with_what_was_chosen(study):
    found = study.dataset_coverage(choice=choosing(where="age >= 21", filters={"suffix": "T1w"}))
    assert len(found.holdings.subjects) == 2
    assert {column.suffix for column in found.holdings.columns} <= {"T1w", "scans"}
    assert "filters {'suffix': 'T1w'}, where 'age >= 21'" in found.notes[0]


def test_a_bad_name_is_refused_before_anything_is_listed(counted, keys, proxy, tmp_path):
    counted.put(keys)
    study = counted.study()
    proxy.reset()
    with pytest.raises(ValueError, match=r"ends in \.html"):
        study.write_report(tmp_path / "participants.tsv")
    with pytest.raises(ValueError, match="choose from datatype"):
        study.plot_sizes(by="site")
    assert proxy.requests == []


def test_plots_give_axes(study):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    [image] = study.plot_coverage(include_derivs="afq").get_images()
    assert image.get_array().shape[0] == 3
    assert len(study.plot_sizes(include_derivs=True, by="derivative").patches) > 1
    pyplot.close("all")


def test_the_classes_of_studies_all_have_it():
    assert {"write_report", "plot_coverage", "plot_sizes", "_repr_html_"} <= set(dir(S3BIDSStudy))
