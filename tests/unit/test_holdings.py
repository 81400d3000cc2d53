"""What a data set holds, counted."""

import pytest

from s3bids.bids.layouts import Layout
from s3bids.report.holdings import MOST_COLUMNS, Cell, Column, Share, State, count_holdings

T1W = Column(None, "anat", "T1w")


def counted(*paths, layout=Layout.NESTED, **options):
    return count_holdings(sorted(paths), [10] * len(paths), layout, **options)


def cell_of(found, subject, column):
    return found.cells[found.subjects.index(subject)].get(found.columns.index(column))


@pytest.mark.parametrize(
    ("names", "recordings"),
    [
        (["sub-1_T1w.nii.gz"], 1),
        (["sub-1_T1w.nii.gz", "sub-1_T1w.json"], 1),
        (["sub-1_T1w.json"], 0),
        (["sub-1_run-1_T1w.nii.gz", "sub-1_run-1_T1w.json", "sub-1_run-2_T1w.nii.gz"], 2),
        (["sub-1_acq-a_T1w.nii.gz", "sub-1_T1w.nii", "sub-1_T1w.json"], 2),
    ],
)
def test_a_recording_is_a_name_and_sidecars_alone_are_none(names, recordings):
    found = counted(*(f"sub-1/anat/{name}" for name in names))
    assert cell_of(found, "sub-1", T1W) == Cell(recordings, len(names), 10 * len(names))


def test_the_members_of_a_folder_that_is_a_recording_are_one():
    folder = "sub-1/meg/sub-1_task-rest_meg.ds"
    found = counted(f"{folder}/a.meg4", f"{folder}/b.res4", f"{folder}/hz.ds/c")
    assert found.columns == (Column(None, "meg", "meg"),)
    assert found.cells == ({0: Cell(1, 3, 30)},)


def test_sessions_are_different_recordings():
    found = counted(*(f"sub-1/ses-{n}/anat/sub-1_ses-{n}_T1w.nii.gz" for n in (1, 2)))
    assert cell_of(found, "sub-1", T1W).recordings == 2
    assert found.sessions == (Share("ses-1", 1, 10), Share("ses-2", 1, 10))


def test_names_of_other_tools_are_one_column():
    found = counted("derivatives/fs/sub-1/surf/lh.pial", "derivatives/fs/sub-1/surf/rh.pial")
    assert found.columns == (Column("fs", None, None),)
    assert found.cells == ({0: Cell(2, 2, 20)},)


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        (Layout.NESTED, "derivatives/afq/sub-1/dwi/sub-1_dwi.trk"),
        (Layout.SUBJECT_FIRST, "derivatives/sub-1/afq/dwi/sub-1_dwi.trk"),
    ],
)
def test_derivatives_have_columns_of_their_own(layout, path):
    found = counted(path, "sub-1/dwi/sub-1_dwi.nii.gz", layout=layout)
    assert [column.derivative for column in found.columns] == [None, "afq"]
    assert found.derivatives == (Share(None, 1, 10), Share("afq", 1, 10))


def test_columns_are_sorted_and_raw_data_come_first():
    paths = ["sub-1/func/sub-1_bold.nii", "sub-1/anat/sub-1_T1w.nii", "sub-1/sub-1_scans.tsv"]
    found = counted(*paths, "derivatives/a/sub-1/anat/sub-1_T1w.nii")
    assert found.columns == (T1W, Column(None, "func", "bold"), Column(None, None, "scans"), Column("a", "anat", "T1w"))


def test_subjects_without_files_have_a_row():
    found = counted("sub-2/anat/sub-2_T1w.nii", subjects=["sub-3", "sub-1"])
    assert found.subjects == ("sub-1", "sub-2", "sub-3")
    assert [len(row) for row in found.cells] == [0, 1, 0]


def test_files_of_no_subject_are_counted_apart():
    found = counted("README", "code/x.py", "sub-1/anat/sub-1_T1w.nii")
    assert (found.total, found.whole_study) == (Share(None, 3, 30), Share(None, 2, 20))


def test_rare_names_become_one_column():
    names = [f"sub-1/anat/sub-1_x{n:03}.nii" for n in range(MOST_COLUMNS + 5)]
    found = counted(*names, *(name.replace("sub-1", "sub-2") for name in names[-3:]))
    assert len(found.columns) == MOST_COLUMNS
    assert sum(cell.files for row in found.cells for cell in row.values()) == len(names) + 3
    kept = {column.suffix for column in found.columns}
    assert {"x062", "x063", "x064"} < kept
    assert None in kept


def test_what_is_missing_or_failed_is_no_file():
    paths = [f"sub-1/anat/sub-1_run-{n}_T1w.nii" for n in range(4)]
    states = dict(zip(paths[1:], (State.MISSING, State.FAILED, State.CHANGED), strict=True))
    found = counted(*paths, states=states)
    assert cell_of(found, "sub-1", T1W) == Cell(2, 2, 20, missing=1, failed=1, changed=1)
    assert found.total == Share(None, 2, 20)


def test_nothing_is_counted_of_nothing():
    found = counted()
    assert (found.subjects, found.columns, found.total) == ((), (), Share(None, 0, 0))
