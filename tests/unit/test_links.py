"""Fieldmaps and other files that metadata name."""

import pytest

from s3bids.bids.layouts import Layout
from s3bids.bids.links import fieldmap_rows, link_targets
from s3bids.bids.sidecars import Sidecars
from s3bids.bids.table import name_table

BOLD = "sub-1/ses-1/func/sub-1_ses-1_task-a_bold.nii.gz"


def fieldmaps(files, *chosen):
    """Give the fieldmaps of some files: path -> JSON content, or None for another file."""
    paths = sorted(files)
    table = name_table(paths, Layout.NESTED)
    asked = []

    def read(rows):
        asked.extend(paths[row] for row in rows)
        return {row: files[paths[row]] for row in rows if files[paths[row]] is not None}

    rows = fieldmap_rows(table, [paths.index(path) for path in chosen], paths.__getitem__, Sidecars(table), read)
    assert len(asked) == len(set(asked)), "each file is read once"
    return {paths[row] for row in rows}, asked


@pytest.mark.parametrize(
    "link",
    [
        "bids::sub-1/ses-1/func/sub-1_ses-1_task-a_bold.nii.gz",
        "ses-1/func/sub-1_ses-1_task-a_bold.nii.gz",
        ["nothing", "ses-1/func/sub-1_ses-1_task-a_bold.nii.gz"],
        "./ses-1/func/sub-1_ses-1_task-a_bold.nii.gz",
        "sub-1/ses-1/func/sub-1_ses-1_task-a_bold.nii.gz",
    ],
)
def test_a_fieldmap_is_for_the_images_that_it_names(link):
    files = {
        BOLD: None,
        "sub-1/ses-1/fmap/sub-1_ses-1_dir-AP_epi.nii.gz": None,
        "sub-1/ses-1/fmap/sub-1_ses-1_dir-AP_epi.json": {"IntendedFor": link},
        "sub-1/ses-1/fmap/sub-1_ses-1_dir-PA_epi.nii.gz": None,
        "sub-1/ses-1/fmap/sub-1_ses-1_dir-PA_epi.json": {"IntendedFor": "ses-1/func/other.nii.gz"},
    }
    assert fieldmaps(files, BOLD)[0] == {"sub-1/ses-1/fmap/sub-1_ses-1_dir-AP_epi.nii.gz"}


@pytest.mark.parametrize("link", [None, 3, {}, [], [3, None], "", "bids:other:" + BOLD, "../" + BOLD, "/" * 9])
def test_a_link_that_names_nothing_here_brings_nothing(link):
    files = {
        BOLD: None,
        "sub-1/fmap/sub-1_epi.nii.gz": None,
        "sub-1/fmap/sub-1_epi.json": {"IntendedFor": link},
    }
    assert fieldmaps(files, BOLD)[0] == set()


def test_links_are_inherited_and_lower_levels_override():
    files = {
        BOLD: None,
        "epi.json": {"IntendedFor": "ses-1/func/sub-1_ses-1_task-a_bold.nii.gz"},
        "sub-1/ses-1/fmap/sub-1_ses-1_dir-AP_epi.nii.gz": None,
        "sub-1/ses-1/fmap/sub-1_ses-1_dir-PA_epi.nii.gz": None,
        "sub-1/ses-1/fmap/sub-1_ses-1_dir-PA_epi.json": {"IntendedFor": "elsewhere"},
    }
    assert fieldmaps(files, BOLD)[0] == {"sub-1/ses-1/fmap/sub-1_ses-1_dir-AP_epi.nii.gz"}


def test_fieldmaps_of_other_subjects_are_not_looked_at():
    files = {
        BOLD: None,
        "sub-2/fmap/sub-2_epi.nii.gz": None,
        "sub-2/fmap/sub-2_epi.json": {"IntendedFor": f"bids::{BOLD}"},
    }
    found, asked = fieldmaps(files, BOLD)
    assert (found, asked) == (set(), [])


@pytest.mark.parametrize(
    ("source", "identifier"),
    [("pepolar0", "pepolar0"), (["x", "pepolar0"], "pepolar0"), ("pepolar0", ["y", "pepolar0"])],
)
def test_images_that_share_a_word_go_together(source, identifier):
    """The images that a field is estimated from need not lie in fmap/."""
    sbref = "sub-1/ses-1/func/sub-1_ses-1_task-a_sbref"
    files = {
        BOLD: None,
        "task-a_bold.json": {"B0FieldSource": source},
        f"{sbref}.nii.gz": None,
        f"{sbref}.json": {"B0FieldIdentifier": identifier},
        "sub-1/ses-1/fmap/sub-1_ses-1_epi.nii.gz": None,
        "sub-1/ses-1/fmap/sub-1_ses-1_epi.json": {"B0FieldIdentifier": identifier},
        "sub-1/ses-1/fmap/sub-1_ses-1_run-2_epi.nii.gz": None,
        "sub-1/ses-1/fmap/sub-1_ses-1_run-2_epi.json": {"B0FieldIdentifier": "another"},
        "sub-1/ses-1/fmap/sub-1_ses-1_run-3_epi.nii.gz": None,
    }
    # The JSON file without a run is for all runs, and run-2 says another word itself.
    assert fieldmaps(files, BOLD)[0] == {
        f"{sbref}.nii.gz",
        "sub-1/ses-1/fmap/sub-1_ses-1_epi.nii.gz",
        "sub-1/ses-1/fmap/sub-1_ses-1_run-3_epi.nii.gz",
    }


def test_without_a_source_only_fieldmaps_and_the_chosen_files_are_read():
    files = {
        BOLD: None,
        "task-a_bold.json": {},
        "sub-1/ses-1/anat/sub-1_ses-1_T1w.json": {},
        "sub-1/ses-1/anat/sub-1_ses-1_T1w.nii": None,
    }
    assert fieldmaps(files, BOLD) == (set(), ["task-a_bold.json"])


def test_a_recording_that_is_a_folder_is_named_as_one():
    member = "sub-1/meg/sub-1_task-a_meg.ds/x.meg4"
    files = {
        member: None,
        "sub-1/fmap/sub-1_epi.nii.gz": None,
        "sub-1/fmap/sub-1_epi.json": {"IntendedFor": "meg/sub-1_task-a_meg.ds"},
    }
    assert fieldmaps(files, member)[0] == {"sub-1/fmap/sub-1_epi.nii.gz"}


def test_links_of_a_derivative_lead_into_the_derivative():
    assert link_targets("bids::sub-1/x", data_set="derivatives/d", subject="sub-1") == {
        "bids::sub-1/x": ("derivatives/d/sub-1/x",)
    }
    assert link_targets("anat/x", data_set="", subject=None) == {"anat/x": ("anat/x",)}
