"""Which subjects have what."""

import pytest

from s3bids.bids.coverage import coverage, lacking
from s3bids.bids.layouts import Layout
from s3bids.bids.table import name_table
from s3bids.errors import ConfigError

PATHS = [
    "derivatives/d/sub-1/anat/sub-1_T2w.nii.gz",
    "participants.tsv",
    "sub-1/anat/sub-1_T1w.json",
    "sub-1/anat/sub-1_T1w.nii.gz",
    "sub-1/dwi/sub-1_dwi.bval",
    "sub-1/dwi/sub-1_dwi.bvec",
    "sub-1/dwi/sub-1_dwi.nii.gz",
    "sub-1/func/sub-1_task-a_run-1_bold.nii.gz",
    "sub-1/func/sub-1_task-a_run-2_bold.nii.gz",
    "sub-1/func/sub-1_task-a_run-1_events.tsv",
    "sub-1/sub-1_scans.tsv",
    "sub-2/anat/sub-2_T1w.nii.gz",
    "sub-2/dwi/sub-2_dwi.json",
    "sub-2/eeg/sub-2_task-a_eeg.eeg",
    "sub-2/eeg/sub-2_task-a_eeg.vhdr",
    "sub-2/eeg/sub-2_task-a_eeg.vmrk",
    "sub-2/meg/sub-2_task-a_meg.ds/x",
    "sub-2/meg/sub-2_task-a_meg.ds/y/z",
]
FOUND = coverage(name_table(PATHS, Layout.NESTED), ["sub-1", "sub-2", "sub-3"])


def test_recordings_are_counted_by_datatype_and_suffix():
    assert FOUND == {
        "sub-1": {"anat/T1w": 1, "dwi/dwi": 1, "func/bold": 2, "func/events": 1},
        "sub-2": {"anat/T1w": 1, "eeg/eeg": 1, "meg/meg": 1},
        "sub-3": {},
    }


@pytest.mark.parametrize(
    ("required", "missing"),
    [
        (["T1w"], {"sub-3": ["T1w"]}),
        (["anat"], {"sub-3": ["anat"]}),
        (["anat/T1w", "func/bold"], {"sub-2": ["func/bold"], "sub-3": ["anat/T1w", "func/bold"]}),
        (["dwi"], {"sub-2": ["dwi"], "sub-3": ["dwi"]}),
        ([], {}),
    ],
)
def test_subjects_that_lack_something_are_found(required, missing):
    assert lacking(FOUND, required) == missing


@pytest.mark.parametrize("name", ["T2w", "t1w", "anat/bold", "", "T1"])
def test_what_nobody_has_is_named(name):
    with pytest.raises(ConfigError, match=rf"no chosen subject has any '{name}'.* There are anat/T1w, dwi/dwi"):
        lacking(FOUND, ["anat", name])
