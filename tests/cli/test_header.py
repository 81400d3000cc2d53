"""``s3bids header``: one image; and ``s3bids ls --headers``: those of a study."""

import json

import pandas as pd
import pytest

BOLD = "sub-01/func/sub-01_task-rest_bold.nii.gz"


def test_a_header_is_shown_with_what_the_sidecars_say(run, url):
    lines = run("header", f"{url}/{BOLD}", code=0).out.splitlines()
    shown = dict(line.split("  ", 1) for line in lines)
    found = {name.strip(): text.strip() for name, text in shown.items()}
    assert found.pop("format").startswith("NIfTI-1, compressed, ")
    assert found == {
        "shape": "8 x 8 x 6 x 10",
        "voxel size": "20 x 20 x 20 mm",
        "TR": "2 s",
        "dtype": "int16",
        "orientation": "RAS",
        "TaskName": "rest",
        "RepetitionTime": "2.0",
        "sidecars": "task-rest_bold.json",
    }


def test_a_header_as_json(run, url):
    found = run("header", f"{url}/{BOLD}", "--json", code=0).json
    assert found.pop("size") > 0
    assert found == {
        "url": f"{url}/{BOLD}",
        "format": "NIfTI-1",
        "compressed": True,
        "shape": [8, 8, 6, 10],
        "dtype": "int16",
        "voxel_sizes_mm": [20.0, 20.0, 20.0],
        "repetition_time_s": 2.0,
        "orientation": "RAS",
        "affine": [[20.0, 0, 0, -70.0], [0, 20.0, 0, -70.0], [0, 0, 20.0, -50.0], [0, 0, 0, 1.0]],
        "extensions": [],
        "arrays": 1,
        "sidecars": [f"{url}/task-rest_bold.json"],
        "metadata": {"TaskName": "rest", "RepetitionTime": 2.0},
        "sidecar_error": None,
    }


def test_the_header_of_an_image_on_s3_takes_one_get(run, proxy):
    address = f"{proxy.study}/{BOLD}"
    run("header", address, "--no-sidecars", "--endpoint-url", proxy.url, code=0)
    assert {name: n for name, n in proxy.counts().items() if n} == {"get": 1}
    proxy.reset()
    assert "TaskName" in run("header", address, "--endpoint-url", proxy.url, code=0).out
    counts = proxy.counts()
    assert (counts["get"], counts["list"], counts["head"]) == (2, 3, 0)
    assert not any(request.is_signed for request in proxy.requests)


def test_a_sidecar_that_cannot_be_read_does_not_hide_the_header(run, own):
    (own / "task-rest_bold.json").write_text("{")
    found = run("header", f"file://{own}/{BOLD}", code=1)
    assert "8 x 8 x 6 x 10" in found.out
    assert "task-rest_bold.json" in found.err
    found = run("header", f"file://{own}/{BOLD}", "--json", code=1)
    assert "task-rest_bold.json" in found.json["sidecar_error"]


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("{url}/none.nii.gz", "none.nii.gz"),
        ("{url}/README.md", "is no image"),
        ("s3://bucket", "names no object"),
        ("s3://", "names no bucket"),
        ("ftp://x/y", "neither s3://"),
        ("x.nii", "is no address of an object"),
        ("", "empty"),
    ],
)
def test_what_is_no_image_is_refused(refused, url, address, text):
    assert text in refused("header", address.format(url=url))


def test_a_file_is_told_how_to_be_written_as_an_address(refused, own):
    assert f"file://{own}/{BOLD}" in refused("header", str(own / BOLD))


# The table


def rows_of(text):
    header, *lines = (line.split("\t") for line in text.splitlines())
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_the_headers_of_a_study_are_a_table_with_tabs(run, url):
    rows = rows_of(run("ls", url, "--headers", code=0).out)
    assert len(rows) == 3 * 6
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    row = next(row for row in rows if row["path"] == BOLD)
    assert (row["shape"], row["tr_s"], row["session"], row["error"]) == ("8x8x6x10", "2.0", "n/a", "n/a")


@pytest.mark.parametrize("name", ["table.tsv", "table.parquet"])
def test_the_table_goes_to_a_file(run, url, work, name):
    found = run("ls", url, "--headers", "--suffix", "T1w.nii.gz", "-o", name, code=0)
    assert found.out == f"the headers of 3 files are in {name}; 0 could not be read\n"
    frame = pd.read_csv(work / name, sep="\t") if name.endswith("tsv") else pd.read_parquet(work / name)
    assert frame["shape"].tolist() == ["16x16x12"] * 3
    assert frame["x_mm"].tolist() == [10.0] * 3
    assert frame["volumes"].dtype.kind == "i"
    assert [path.name for path in work.iterdir()] == [name]


def test_a_damaged_image_is_told_and_does_not_stop_the_others(run, own):
    (own / "sub-01/anat/sub-01_T1w.nii.gz").write_bytes(b"no image")
    found = run("ls", f"file://{own}", "--headers", code=1)
    rows = rows_of(found.out)
    assert [row["path"] for row in rows if row["error"] != "n/a"] == ["sub-01/anat/sub-01_T1w.nii.gz"]
    assert len(rows) == 3 * 6
    assert found.err.startswith("s3bids: no header: sub-01/anat/sub-01_T1w.nii.gz: ")
    found = run("ls", f"file://{own}", "--headers", "--json", code=1).json
    assert (len(found["headers"]), json.dumps(found)) == (18, json.dumps(found))


def test_the_table_is_of_the_images_that_are_chosen(run, url):
    rows = rows_of(run("ls", url, "--headers", "--filter", "task=rest", "--filter", "run=none", code=0).out)
    assert [row["path"] for row in rows] == [
        f"sub-{label}/func/sub-{label}_task-rest_bold.nii.gz" for label in ("01", "02", "10")
    ]
    where = ["--where", "participant_id == 'sub-02'", "--suffix", "T1w.nii.gz"]
    rows = rows_of(run("ls", url, "--headers", *where, code=0).out)
    assert [row["path"] for row in rows] == ["sub-02/anat/sub-02_T1w.nii.gz"]


def test_files_can_be_narrowed_too(run, url):
    lines = run("ls", url, "--files", "--suffix", "T1w.json", code=0).out.splitlines()
    assert [line.split()[1] for line in lines if "/anat/" in line] == [
        f"sub-{label}/anat/sub-{label}_T1w.json" for label in ("01", "02", "10")
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--headers", "--files"], "a table of its own"),
        (["--files", "-o", "x.tsv"], "is for the table of --headers"),
        (["--headers", "-o", "x.csv"], "must end in .tsv or .parquet"),
        (["--headers", "-o", "none/x.tsv"], "does not exist"),
        (["--headers", "-o", ""], "empty"),
        (["--filter", "task=rest"], "are for the table of --headers"),
        (["--files", "--where", "age > 1"], "are for the table of --headers"),
        (["--headers", "--filter", "task=none-such"], "nothing is chosen"),
    ],
)
def test_options_that_make_no_sense_are_refused(refused, url, arguments, text):
    assert text in refused("ls", url, *arguments)
