"""What becomes of files that are there already: kept, completed, refreshed, or reported as conflicts."""

from __future__ import annotations

import logging

import pytest

from s3bids import DownloadError

OBJECT = b"0123456789" * 200
TARGET = "sub-1/anat/sub-1_T1w.nii.gz"


@pytest.fixture(params=["on_moto", "on_rclone", "by_params"])
def place(request):
    """Two places with MD5s in their listings, one of which ignores If-Match, and one without."""
    place = request.getfixturevalue(request.param)
    place.put({f"ds/{TARGET}": OBJECT, "ds/sub-1/other": "other", "ds/dataset_description.json": "{}"})
    return place


@pytest.fixture
def target(out):
    path = out / TARGET
    path.parent.mkdir(parents=True)
    return path


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def counts(report):
    return {"fetched": report.fetched, "skipped": report.skipped, "conflicts": report.conflicts}


@pytest.mark.parametrize(
    "content",
    [OBJECT[:1], OBJECT[:1000], OBJECT[:-1], b""],
    ids=["one-byte", "half", "but-one-byte", "empty"],
)
def test_a_file_cut_short_is_completed(place, out, target, content, caplog):
    target.write_bytes(content)
    report = place.study().download(out, pbar=False)
    assert target.read_bytes() == OBJECT
    assert counts(report) == {"fetched": 3, "skipped": 0, "conflicts": 0}
    assert warnings_of(caplog) == []


@pytest.mark.parametrize(
    "content",
    [bytes(len(OBJECT)), OBJECT[:-1] + b"x", OBJECT + b"x", b"mine", b"x" + OBJECT[1:-1], OBJECT[:500] + b"y"],
    ids=["zeros", "same-size", "longer", "shorter", "shorter-by-one", "changed-after-a-part"],
)
def test_a_file_of_somebody_else_is_kept_and_reported_once(place, out, target, content, caplog):
    target.write_bytes(content)
    study = place.study()
    for _ in range(2):
        caplog.clear()
        report = study.download(out, pbar=False)
        assert target.read_bytes() == content
        assert (report.conflicts, report.failed) == (1, 0)
        (conflict,) = report.conflicting_files
        assert (conflict.key, conflict.target) == (f"ds/{TARGET}", TARGET)
        assert conflict.reason
        assert list(report.conflicting["target"]) == [TARGET]
        (warning,) = warnings_of(caplog)
        assert TARGET in warning
        assert "overwrite=True" in warning
    assert (out / "sub-1/other").read_text() == "other"
    caplog.clear()
    report = study.download(out, overwrite=True, pbar=False)
    assert target.read_bytes() == OBJECT
    assert counts(report) == {"fetched": 1, "skipped": 2, "conflicts": 0}
    assert warnings_of(caplog) == []


def test_a_file_with_the_objects_bytes_is_kept(place, out, target, caplog):
    target.write_bytes(OBJECT)
    before = target.stat()
    report = place.study().download(out, overwrite=True, pbar=False)
    after = target.stat()
    assert report.conflicts == 0
    assert target.read_bytes() == OBJECT
    if place.storage is None:
        # The listing's MD5 tells that it is complete. Without one, overwriting is what was asked for.
        assert (report.fetched, after.st_ino, after.st_mtime_ns) == (2, before.st_ino, before.st_mtime_ns)
    assert warnings_of(caplog) == []


def test_a_file_with_the_objects_bytes_is_no_conflict_anywhere(place, out, target):
    target.write_bytes(OBJECT)
    before = target.stat()
    report = place.study().download(out, pbar=False)
    assert counts(report) == {"fetched": 2, "skipped": 1, "conflicts": 0}
    assert target.stat().st_ino == before.st_ino


@pytest.mark.parametrize("content", [b"a newer version", bytes(len(OBJECT)), OBJECT[:100], b""], ids=len)
def test_a_file_that_we_wrote_follows_its_object(place, out, content, caplog):
    study = place.study()
    study.download(out, pbar=False)
    place.put({f"ds/{TARGET}": content})
    report = study.download(out, pbar=False)
    assert (out / TARGET).read_bytes() == content
    assert counts(report) == {"fetched": 1, "skipped": 2, "conflicts": 0}
    assert warnings_of(caplog) == []
    assert study.download(out, pbar=False).fetched == 0


@pytest.mark.parametrize("edit", [OBJECT[:-3] + b"abc", b"short", OBJECT + b"more"], ids=["same-size", "short", "long"])
@pytest.mark.parametrize("is_new_upstream", [True, False])
def test_a_file_that_we_wrote_and_the_user_edited_is_a_conflict(place, out, edit, is_new_upstream):
    study = place.study()
    study.download(out, pbar=False)
    (out / TARGET).write_bytes(edit)
    if is_new_upstream:
        place.put({f"ds/{TARGET}": b"a newer version of the object"})
    report = study.download(out, pbar=False)
    assert (out / TARGET).read_bytes() == edit
    assert counts(report) == {"fetched": 0, "skipped": 2, "conflicts": 1}


def test_a_file_that_was_only_touched_is_no_conflict(place, out):
    study = place.study()
    study.download(out, pbar=False)
    (out / TARGET).touch()
    assert counts(study.download(out, pbar=False)) == {"fetched": 0, "skipped": 3, "conflicts": 0}


def test_a_file_removed_upstream_stays(place, out):
    study = place.study()
    study.download(out, pbar=False)
    place.remove(f"ds/{TARGET}")
    assert counts(study.download(out, pbar=False)) == {"fetched": 0, "skipped": 2, "conflicts": 0}
    assert (out / TARGET).read_bytes() == OBJECT


def test_files_in_conflict_are_named_up_to_three_in_one_warning(by_params, out, caplog):
    names = [f"sub-1/{number}" for number in range(5)]
    by_params.put({f"ds/{name}": "object" for name in names})
    (out / "sub-1").mkdir(parents=True)
    for name in names:
        (out / name).write_text("of the user")
    report = by_params.study().download(out, pbar=False)
    assert [conflict.target for conflict in report.conflicting_files] == names
    (warning,) = warnings_of(caplog)
    assert "5 file(s)" in warning
    assert "sub-1/0, sub-1/1, sub-1/2 and 2 more" in warning


# What is no ordinary file


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_in_the_way_is_a_conflict(place, out, target, overwrite, caplog):
    target.mkdir()
    (target / "inside").write_text("x")
    report = place.study().download(out, overwrite=overwrite, pbar=False)
    assert (report.fetched, report.conflicts) == (2, 1)
    assert "directory" in report.conflicting_files[0].reason
    assert (target / "inside").read_text() == "x"
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_where_a_directory_must_be_fails_for_those_below_it(place, out, overwrite):
    (out / "sub-1").mkdir(parents=True)
    (out / "sub-1" / "anat").write_text("of the user")
    study = place.study()
    with pytest.raises(DownloadError) as caught:
        study.download(out, overwrite=overwrite, pbar=False)
    assert [failure.target for failure in caught.value.failures] == [TARGET]
    assert caught.value.report.fetched == 2
    assert (out / "sub-1" / "anat").read_text() == "of the user"
    assert list(study.subjects[0].files["raw"]) == ["ds/sub-1/other"]


@pytest.mark.parametrize("leads", ["nowhere", "to-a-file"])
def test_a_link_is_kept_unless_it_may_be_overwritten(place, out, target, tmp_path, leads):
    """DataLad leaves links to content that is not there."""
    elsewhere = tmp_path / "elsewhere"
    if leads == "to-a-file":
        elsewhere.write_text("of the user")
    target.symlink_to(elsewhere)
    study = place.study()
    for _ in range(2):
        report = study.download(out, pbar=False)
        assert (report.conflicts, report.failed) == (1, 0)
        assert target.is_symlink()
    assert set(study.subjects[0].files["raw"]) == {"ds/sub-1/other"} | (
        {f"ds/{TARGET}"} if leads != "nowhere" else set()
    )
    assert study.download(out, overwrite=True, pbar=False).fetched == 1
    assert (target.is_symlink(), target.read_bytes()) == (False, OBJECT)
    assert elsewhere.exists() is (leads == "to-a-file")
    assert leads == "nowhere" or elsewhere.read_text() == "of the user"


def test_a_link_in_place_of_what_we_wrote_is_a_conflict(place, out):
    study = place.study()
    study.download(out, pbar=False)
    (out / TARGET).unlink()
    (out / TARGET).symlink_to("nowhere")
    assert counts(study.download(out, pbar=False)) == {"fetched": 0, "skipped": 2, "conflicts": 1}


def test_the_directory_may_be_reached_by_a_link(local, out, tmp_path, tree):
    (tmp_path / "real").mkdir()
    out.symlink_to(tmp_path / "real")
    study = local.study(subjects="2")
    study.download(out, pbar=False)
    assert set(tree(tmp_path / "real")) == {"dataset_description.json", "sub-2/anat/sub-2_T1w.nii.gz"}
    assert study.subjects[0].files["raw"]["ds/sub-2/anat/sub-2_T1w.nii.gz"].startswith(str(out))


def test_two_places_in_one_directory_do_not_take_each_other_for_their_own(on_rclone, by_params, out):
    on_rclone.put({"ds/sub-1/x": "of the server"})
    by_params.put({"ds/sub-1/x": "of the folder"})
    on_rclone.study().download(out, pbar=False)
    report = by_params.study().download(out, pbar=False, allow_other_study=True)
    assert (report.conflicts, (out / "sub-1/x").read_text()) == (1, "of the server")


def test_unfinished_files_never_remain(local, out):
    local.study().download(out, "all", True, pbar=False)
    assert list(out.rglob("*.part")) == []
