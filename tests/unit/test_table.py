"""Names as a table: the same as reading each name by itself, and as little as that can be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3bids.bids.layouts import Layout
from s3bids.bids.names import parse
from s3bids.bids.table import name_table, recording_of, rows_of_subjects

PATHS = [
    "README",
    ".bidsignore",
    "task-rest_bold.json",
    "sub-01.html",
    "sub-01/sub-01_scans.tsv",
    "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-02_bold.nii.gz",
    "sub-01/ses-1/func/sub-01_task-rest_bold.json",
    "sub-01/ses-1/func/ses-1_task-rest_bold.json",
    "sub-01/ses-1/func/sub-02_ses-1_task-rest_bold.json",
    "sub-01/ses-1/func/bold.json",
    "sub-01/meg/sub-01_task-AEF_meg.ds/BadChannels",
    "sub-01/meg/sub-01_task-AEF_meg.ds/deep/er/x.json",
    "sub-01/meg/sub-01_task-AEF_meg.json",
    "sub-01/micr/sub-01_sample-A_SPIM.ome.zarr/0/0/0",
    "sub-01/fmap/sub-01_dir-PA_acq-fMRI_epi.nii.gz",
    "sub-A-B/anat/sub-A-B_T1w.nii.gz",
    "sub-01/surf/lh.pial",
    "sub-01/sub-01_.h",
    "sub-1_sub-2/sub-1_sub-2_sub-3_bold.json",
    "sub-1/ses-1_x/sub-1_ses-1_x_bold.json",
    "code/sub-01/run.py",
    "derivatives/afq/sub-01/sub-01_dwi_space-RASMM_desc-prob-afq_tractography.trk",
    "derivatives/afq/dataset_description.json",
    "derivatives/a/derivatives/b/sub-01/anat/sub-01_T1w.nii.gz",
    "derivatives/loose.txt",
    "sub-01/anat/",
    "a//b/./..",
    "/",
    "",
]
PARTS = ("sub", "ses", "task", "run", "dir", "desc", "suffix", "extension", "datatype")


def read_by_itself(path, part):
    name = parse(path)
    if part in ("suffix", "datatype"):
        return getattr(name, part)
    return name.extension or None if part == "extension" else name.get(part)


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("path", PATHS)
def test_a_name_in_a_table_says_what_it_says_by_itself(path, layout):
    table = name_table(PATHS, layout)
    row = PATHS.index(path)
    # A key that ends in a slash is no file, and a listing has none.
    if not path.endswith("/"):
        assert {part: table.value(row, part) for part in PARTS} == {part: read_by_itself(path, part) for part in PARTS}
        assert table.folder(row).derivative == layout.place(path).derivative


WORDS = st.sampled_from(
    ["sub-1", "sub-2", "ses-1", "func", "task-a", "run-01", "bold", "x_meg.ds", ".h", "derivatives", ""]
)
NAMES = st.lists(WORDS, min_size=1, max_size=4).map("_".join)
FILES = st.tuples(st.lists(st.one_of(WORDS, NAMES), max_size=5), NAMES, st.sampled_from(["", ".json", ".nii.gz"]))


@settings(max_examples=120, deadline=None)
@given(st.lists(FILES, max_size=8), st.sampled_from(list(Layout)))
def test_any_names_are_read_as_by_themselves(files, layout):
    paths = ["/".join([*folders, name + extension]) for folders, name, extension in files]
    paths = [path for path in paths if not path.endswith("/")]
    table = name_table(paths, layout)
    assert len(table) == len(paths)
    for row, path in enumerate(paths):
        assert [table.value(row, part) for part in PARTS] == [read_by_itself(path, part) for part in PARTS], path


def test_what_many_subjects_share_is_kept_once():
    names = ("anat/{s}_T1w.nii.gz", "func/{s}_task-rest_bold.nii.gz", "func/{s}_task-rest_bold.json")
    table = name_table(
        [f"{s}/{name.format(s=s)}" for s in (f"sub-{n}" for n in range(50)) for name in names], Layout.NESTED
    )
    assert (len(table), len(table.kinds)) == (150, 3)
    # Two folders and the subject's own, and the root.
    assert len(table.folders) == 151


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        ("sub-01/anat/sub-01_T1w.nii.gz", "sub-01"),
        ("sub-01.html", "sub-01"),
        ("sub-01_T1w.json", "sub-01"),
        ("derivatives/afq/sub-01.html", "sub-01"),
        ("derivatives/afq/sub-02/x.csv", "sub-02"),
        ("derivatives/a/derivatives/b/sub-03/x", "sub-03"),
        ("code/sub-01/run.py", None),
        ("code/sub-01_x.py", None),
        ("README", None),
        ("phenotype/ace.tsv", None),
    ],
)
def test_a_file_belongs_to_the_subject_of_its_folder_or_at_a_root_of_its_name(path, subject):
    assert name_table([path], Layout.NESTED).subject(0) == subject


def test_rows_of_subjects():
    paths = ["README", "sub-1.html", "sub-1/x", "sub-10/x", "sub-2/x", "derivatives/d/sub-1/y"]
    table = name_table(paths, Layout.NESTED)
    assert [paths[row] for row in rows_of_subjects(table, ["sub-1"])] == [
        "sub-1.html",
        "sub-1/x",
        "derivatives/d/sub-1/y",
    ]
    assert list(rows_of_subjects(table, [])) == []


def test_levels_end_at_the_root_of_the_data_set():
    paths = ["derivatives/a/sub-1/ses-1/func/x", "sub-1/meg/sub-1_meg.ds/deep/y", "sub-1/z"]
    table = name_table(paths, Layout.NESTED)
    levels = [[table.folders[n].path for n in table.levels(table.folder_of[row])] for row in range(3)]
    assert levels[0] == [
        "derivatives/a/sub-1/ses-1/func", "derivatives/a/sub-1/ses-1", "derivatives/a/sub-1", "derivatives/a",
    ]  # fmt: skip
    assert levels[1] == ["sub-1/meg", "sub-1", ""]
    assert levels[2] == ["sub-1", ""]


def test_a_key_of_five_hundred_folders_is_a_key():
    table = name_table(["a/" * 500 + "x"], Layout.NESTED)
    assert len(list(table.levels(table.folder_of[0]))) == 501


@pytest.mark.parametrize(
    ("path", "recording"),
    [
        ("sub-1/meg/sub-1_meg.ds", "sub-1/meg/sub-1_meg.ds"),
        ("sub-1/meg/sub-1_meg.ds/a.ds/b", "sub-1/meg/sub-1_meg.ds"),
        ("sub-1/ieeg/sub-1_ieeg.mefd/x", "sub-1/ieeg/sub-1_ieeg.mefd"),
        ("sub-1/.ds/x", None),
        ("sub-1/anat", None),
        ("a.b/c", None),
    ],
)
def test_the_outermost_folder_that_counts_as_one_file_is_found(path, recording):
    assert recording_of(path) == recording
