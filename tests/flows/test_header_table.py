"""``study.headers``: one row an image, whatever is wrong with some of them."""

from __future__ import annotations

import pytest

from s3bids.header_table import COLUMNS
from s3bids.testing.studies import write_study


@pytest.fixture
def study(place, tmp_path):
    write_study(tmp_path / "made", subjects=["01", "02"])
    place.put_tree(tmp_path / "made", "ds")
    place.put({"ds/sub-02/anat/sub-02_T2w.nii.gz": "no image", "ds/sub-02/anat/sub-02_T1w.nii": ""})
    return place.study()


def test_every_image_is_a_row(study):
    frame = study.headers()
    assert tuple(frame.columns) == COLUMNS
    assert list(frame["path"]) == sorted(frame["path"])
    assert len(frame) == 2 * 6 + 2
    row = frame.set_index("path").loc["sub-01/func/sub-01_task-rest_bold.nii.gz"]
    assert list(row.index[row.isna()]) == ["session", "error"]
    assert row.dropna().to_dict() == {
        "subject": "sub-01",
        "datatype": "func",
        "suffix": "bold",
        "bytes": row["bytes"],
        "format": "NIfTI-1",
        "dtype": "int16",
        "shape": "8x8x6x10",
        "volumes": 10,
        "x_mm": 20.0,
        "y_mm": 20.0,
        "z_mm": 20.0,
        "tr_s": 2.0,
        "orientation": "RAS",
    }


def test_a_damaged_image_has_its_row_and_its_error(study):
    frame = study.headers().set_index("path")
    bad = frame[frame["error"].notna()]
    assert list(bad.index) == ["sub-02/anat/sub-02_T1w.nii", "sub-02/anat/sub-02_T2w.nii.gz"]
    assert bad["format"].isna().all()
    assert "it is empty" in bad["error"].iloc[0]
    assert "sub-02_T2w.nii.gz" in bad["error"].iloc[1]
    assert bad["bytes"].tolist() == [0, 8]


def test_only_names_that_end_so_are_read(study):
    frame = study.headers(suffix="bold.nii.gz")
    assert set(frame["suffix"]) == {"bold"}
    assert len(frame) == 4


def test_only_the_images_that_are_chosen_are_read(study):
    frame = study.headers(filters={"suffix": "bold", "task": "rest"}, where="participant_id == 'sub-02'")
    assert frame["path"].tolist() == ["sub-02/func/sub-02_task-rest_bold.nii.gz"]


def test_a_study_without_images_gives_an_empty_table(by_params):
    by_params.put({"ds/sub-1/anat/x.json": "{}"})
    frame = by_params.study().headers()
    assert (tuple(frame.columns), len(frame), str(frame["bytes"].dtype)) == (COLUMNS, 0, "int64")


def test_the_table_costs_a_listing_and_one_small_range_an_image(counted, proxy, tmp_path):
    write_study(tmp_path / "made", subjects=["01", "02"])
    counted.put_tree(tmp_path / "made", "ds")
    study = counted.study()
    proxy.reset()
    assert len(study.headers()) == 12
    gets = [request for request in proxy.requests if request.operation == "get"]
    assert len(gets) == len({request.key for request in gets}) == 12
    assert {request.range for request in gets} == {"bytes=0-61439"}
    assert proxy.counts()["head"] == 0
