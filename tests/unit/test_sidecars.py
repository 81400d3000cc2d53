"""What a file needs: the Inheritance Principle against a plain reading of it, companions, and what is one file."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3bids.bids.layouts import Layout
from s3bids.bids.names import parse
from s3bids.bids.sidecars import METADATA, Sidecars, essential_rows, is_essential
from s3bids.bids.stimuli import stimulus_names, stimulus_rows, tables_with_stimuli
from s3bids.bids.table import name_table


def needed(paths, *chosen, layout=Layout.NESTED):
    """Give what some files need beside themselves."""
    table = name_table(paths, layout)
    rows = Sidecars(table).needed(paths.index(path) for path in chosen)
    return sorted({paths[row] for row in rows} - set(chosen))


BOLD = "sub-1/ses-1/func/sub-1_ses-1_task-rest_acq-6p+s2_run-01_bold.nii.gz"


@pytest.mark.parametrize(
    ("sidecar", "applies"),
    [
        ("bold.json", True),
        ("task-rest_bold.json", True),
        ("acq-6p+s2_task-rest_bold.json", True),
        ("run-1_bold.json", True),
        ("sub-1_task-rest_bold.json", True),
        ("sub-2_task-rest_bold.json", False),
        ("task-res_bold.json", False),
        ("acq-6p_bold.json", False),
        ("task-rest_echo-1_bold.json", False),
        ("task-rest_sbref.json", False),
        ("rest_bold.nii", False),
        ("sub-1/sub-1_bold.json", True),
        ("sub-1/bold.json", True),
        ("sub-1/sub-2_bold.json", False),
        ("sub-1/ses-1/sub-1_ses-1_task-rest_bold.json", True),
        ("sub-1/ses-1/ses-1_bold.json", True),
        ("sub-1/ses-1/func/sub-1_ses-1_task-rest_acq-6p+s2_run-01_bold.json", True),
        ("sub-1/ses-1/func/sub-1_task-rest_bold.json", True),
        ("sub-1/ses-2/sub-1_ses-2_bold.json", False),
        ("sub-1/ses-1/anat/bold.json", False),
        ("sub-2/bold.json", False),
        ("derivatives/bold.json", False),
        ("derivatives/afq/bold.json", False),
        ("code/bold.json", False),
        ("bold.tsv", True),
        ("bold.bval", True),
        ("bold.txt", False),
    ],
)
def test_a_metadata_file_applies_by_place_suffix_and_entities(sidecar, applies):
    assert needed([sidecar, BOLD], BOLD) == [sidecar] * applies


FOLDERS = st.sampled_from(
    [
        "",
        "sub-1",
        "sub-1/ses-1",
        "sub-1/ses-1/func",
        "sub-1/func",
        "sub-2/func",
        "derivatives/d",
        "derivatives/d/sub-1/func",
    ]
)
ENTITIES = st.lists(
    st.sampled_from(["sub-1", "sub-2", "ses-1", "task-a", "task-b", "run-1", "run-02"]),
    unique_by=lambda e: e[:3],
    max_size=4,
).map(tuple)
FILES = st.tuples(
    FOLDERS, ENTITIES, st.sampled_from(["bold", "dwi"]), st.sampled_from([".json", ".bval", ".nii.gz", ".tsv"])
)


def applies(path, other):
    """Read the principle off two paths, one after the other, without any table."""
    roots = ["derivatives/d" if name.startswith("derivatives/d/") else "" for name in (path, other)]
    folders = [name.rpartition("/")[0] for name in (path, other)]
    names = [parse(name.rpartition("/")[2]) for name in (path, other)]
    is_above = folders[1] == "" or f"{folders[0]}/".startswith(f"{folders[1]}/")
    entities = [{(name, value.lstrip("0") if name == "run" else value) for name, value in n.entities} for n in names]
    return (
        other != path
        and roots[0] == roots[1]
        and is_above
        and names[1].extension in METADATA
        and names[0].suffix == names[1].suffix
        and entities[1] <= entities[0]
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(FILES, min_size=2, max_size=12, unique=True))
def test_the_principle_holds_for_any_names(files):
    paths = sorted(
        {
            f"{folder}/{'_'.join([*entities, suffix])}{extension}".lstrip("/")
            for folder, entities, suffix, extension in files
        }
    )
    for path in paths:
        if "_" in path:
            direct = {other for other in paths if applies(path, other)}
            # What applies to a metadata file applies to its data file too, so there is nothing to repeat.
            assert set(needed(paths, path)) == direct, path


def test_json_files_are_given_from_the_top_down():
    paths = [
        "bold.json",
        "sub-1/func/sub-1_task-a_bold.json",
        "sub-1/func/sub-1_task-a_bold.nii.gz",
        "sub-1/sub-1_task-a_bold.json",
        "task-a_bold.json",
    ]
    table = name_table(paths, Layout.NESTED)
    found = [paths[row] for row in Sidecars(table).metadata(2)]
    assert set(found[:2]) == {"bold.json", "task-a_bold.json"}
    assert found[2:] == ["sub-1/sub-1_task-a_bold.json", "sub-1/func/sub-1_task-a_bold.json"]


@pytest.mark.parametrize(
    ("data", "companions", "strangers"),
    [
        (
            "sub-1/func/sub-1_task-a_run-1_bold.nii.gz",
            [
                "sub-1/func/sub-1_task-a_events.json",
                "sub-1/func/sub-1_task-a_recording-cardiac_run-1_physio.json",
                "sub-1/func/sub-1_task-a_recording-cardiac_run-1_physio.tsv.gz",
                "sub-1/func/sub-1_task-a_run-1_events.tsv",
                "sub-1/func/sub-1_task-a_run-1_stim.tsv.gz",
                "sub-1/sub-1_scans.tsv",
                "sub-1/sub-1_sessions.tsv",
                "scans.json",
            ],
            [
                "sub-1/func/sub-1_task-a_recording-eye_run-1_physio.json",
                "sub-1/func/sub-1_task-a_run-1_sbref.nii.gz",
                "sub-1/func/sub-1_task-a_run-2_events.tsv",
                "sub-1/func/sub-1_task-b_events.tsv",
                "stim.json.bak",
                "task-b_events.json",
            ],
        ),
        (
            "sub-1/dwi/sub-1_dir-AP_dwi.nii.gz",
            ["dwi.bval", "sub-1/dwi/sub-1_dir-AP_dwi.bvec", "sub-1/dwi/sub-1_dir-AP_dwi.json"],
            ["sub-1/dwi/sub-1_dir-PA_dwi.bvec", "sub-1/dwi/sub-1_dir-AP_sbref.json"],
        ),
        # Nothing but the events of the whole study fits an image without a task.
        ("sub-1/anat/sub-1_T1w.nii.gz", ["T1w.json"], ["T2w.json", "physio.json", "task-a_events.tsv"]),
        (
            "sub-1/eeg/sub-1_task-a_eeg.vhdr",
            [
                "sub-1/eeg/sub-1_coordsystem.json",
                "sub-1/eeg/sub-1_electrodes.json",
                "sub-1/eeg/sub-1_space-CapTrak_coordsystem.json",
                "sub-1/eeg/sub-1_space-CapTrak_electrodes.tsv",
                "sub-1/eeg/sub-1_task-a_channels.tsv",
                "sub-1/eeg/sub-1_task-a_eeg.eeg",
                "sub-1/eeg/sub-1_task-a_eeg.json",
                "sub-1/eeg/sub-1_task-a_eeg.vmrk",
                "sub-1/eeg/sub-1_task-a_events.tsv",
            ],
            ["sub-1/eeg/sub-1_task-b_eeg.eeg", "sub-1/eeg/sub-1_task-b_channels.tsv", "sub-1/eeg/sub-1_task-a_eeg.fdt"],
        ),
        (
            "sub-1/eeg/sub-1_task-a_eeg.set",
            ["sub-1/eeg/sub-1_task-a_eeg.fdt"],
            ["sub-1/eeg/sub-1_task-a_eeg.eeg", "sub-1/eeg/task-a_eeg.fdt"],
        ),
        # Where there is no .fdt, none is made up.
        ("sub-1/eeg/sub-1_task-a_eeg.set", [], ["sub-1/eeg/sub-1_task-b_eeg.fdt"]),
        (
            "sub-1/perf/sub-1_asl.nii.gz",
            [
                "sub-1/perf/sub-1_asl.json",
                "sub-1/perf/sub-1_aslcontext.tsv",
                "sub-1/perf/sub-1_asllabeling.jpg",
                "sub-1/perf/sub-1_m0scan.json",
                "sub-1/perf/sub-1_m0scan.nii.gz",
            ],
            ["sub-1/perf/sub-1_acq-x_m0scan.nii.gz"],
        ),
        (
            "sub-1/fmap/sub-1_run-1_phasediff.nii.gz",
            [
                "sub-1/fmap/sub-1_run-1_magnitude1.nii.gz",
                "sub-1/fmap/sub-1_run-1_magnitude2.nii.gz",
                "sub-1/fmap/sub-1_run-1_phasediff.json",
            ],
            ["sub-1/fmap/sub-1_run-2_magnitude1.nii.gz"],
        ),
        (
            "sub-1/pet/sub-1_trc-x_pet.nii.gz",
            ["sub-1/pet/sub-1_recording-manual_trc-x_blood.json", "sub-1/pet/sub-1_recording-manual_trc-x_blood.tsv"],
            ["sub-1/pet/sub-1_recording-manual_trc-y_blood.tsv"],
        ),
        (
            "sub-1/meg/sub-1_task-a_meg.fif",
            [
                "sub-1/meg/sub-1_acq-calibration_meg.dat",
                "sub-1/meg/sub-1_acq-crosstalk_meg.fif",
                "sub-1/meg/sub-1_headshape.pos",
            ],
            ["sub-1/meg/sub-1_acq-other_meg.fif", "sub-1/meg/sub-1_task-b_meg.fif"],
        ),
        ("sub-1/anat/sub-1_atlas-X_dseg.nii.gz", ["atlas-X_description.json"], ["atlas-Y_description.json"]),
    ],
)
def test_companions_come_with_their_own_metadata(data, companions, strangers):
    assert needed(sorted([data, *companions, *strangers]), data) == sorted(companions)


def test_a_recording_that_is_a_folder_comes_whole_with_its_sidecars():
    members = [f"sub-1/meg/sub-1_task-a_meg.ds/{name}" for name in ("BadChannels", "deep/x", "x.meg4")]
    others = ["meg.json", "sub-1/meg/sub-1_task-a_channels.tsv", "sub-1/meg/sub-1_task-a_meg.json"]
    strangers = ["sub-1/meg/sub-1_task-b_meg.ds/x.meg4", "sub-1/meg/sub-1_task-b_meg.json"]
    paths = sorted([*members, *others, *strangers])
    assert needed(paths, members[2]) == sorted([*members[:2], *others])


@pytest.mark.parametrize("name", ["sub-1_sample-A_SPIM.ome.zarr", "sub-1_task-a_ieeg.mefd"])
def test_other_folders_that_count_as_one_file_come_whole_too(name):
    paths = [f"sub-1/x/{name}/{number}/.zarray" for number in range(3)]
    assert needed(paths, paths[1]) == [paths[0], paths[2]]


def test_derivatives_inherit_within_themselves():
    paths = [
        "derivatives/a/desc-seg_dseg.tsv",
        "derivatives/a/derivatives/b/desc-seg_dseg.tsv",
        "derivatives/a/derivatives/b/sub-1/anat/sub-1_desc-seg_dseg.nii.gz",
        "derivatives/a/sub-1/anat/sub-1_desc-seg_dseg.nii.gz",
        "desc-seg_dseg.tsv",
    ]
    assert needed(paths, paths[3]) == [paths[0]]
    assert needed(paths, paths[2]) == [paths[1]]


def test_a_layout_by_subject_inherits_up_to_derivatives():
    paths = ["derivatives/desc-x_dseg.tsv", "derivatives/sub-1/p/anat/sub-1_desc-x_dseg.nii.gz", "desc-x_dseg.tsv"]
    assert needed(paths, paths[1], layout=Layout.SUBJECT_FIRST) == [paths[0]]


def test_many_subjects_of_one_kind_are_answered_once_and_each_with_its_own_files():
    names = ("task-a_bold.json", "task-a_bold.nii.gz", "task-a_events.tsv", "task-b_bold.nii.gz")
    paths = sorted(
        ["task-a_bold.json", "task-b_bold.json", *(f"sub-{n}/func/sub-{n}_{name}" for n in range(30) for name in names)]
    )
    table = name_table(paths, Layout.NESTED)
    chosen = [row for row, path in enumerate(paths) if path.endswith("task-a_bold.nii.gz") and "sub-1" in path]
    sidecars = Sidecars(table)
    found = {paths[row] for row in sidecars.needed(chosen)}
    subjects = {f"sub-{n}" for n in (1, *range(10, 20))}
    assert found == {"task-a_bold.json"} | {f"{s}/func/{s}_{name}" for s in subjects for name in names[:3]}
    assert len(sidecars._answers) == 1


# Files of the whole study


@pytest.mark.parametrize(
    "name",
    [
        "dataset_description.json",
        "README",
        "README.md",
        "README.rst",
        "CHANGES",
        "LICENSE",
        "LICENSE.txt",
        "CITATION.cff",
        "participants.tsv",
        "participants.json",
        ".bidsignore",
    ],
)
def test_these_files_come_with_every_copy(name):
    assert is_essential(name)


@pytest.mark.parametrize(
    "name", ["README.old", "CHANGES.md", "task-rest_bold.json", "samples.tsv", "LICENSES", ".bidsignored", "Readme"]
)
def test_these_do_not(name):
    assert not is_essential(name)


def test_each_data_set_brings_its_own_essential_files():
    paths = [
        "README",
        "code/README",
        "derivatives/a/README",
        "derivatives/a/sub-1/x.txt",
        "derivatives/b/README",
        "samples.tsv",
        "sub-1/micr/sub-1_sample-A_SEM.png",
        "sub-1/anat/sub-1_T1w.nii",
    ]
    table = name_table(paths, Layout.NESTED)
    assert {paths[row] for row in essential_rows(table, [3])} == {"derivatives/a/README"}
    assert {paths[row] for row in essential_rows(table, [7])} == {"README"}
    assert {paths[row] for row in essential_rows(table, [6])} == {"README", "samples.tsv"}
    assert essential_rows(table, []) == set()


# Stimuli


def test_stimuli_that_events_name_are_found():
    paths = ["stimuli/a.png", "stimuli/b/c.png", "stimuli/other.png", "sub-1/func/sub-1_task-a_events.tsv"]
    table = name_table(paths, Layout.NESTED)
    assert tables_with_stimuli(table, range(4)) == [3]
    contents = {3: b"onset\tduration\tstim_file\r\n0\t1\ta.png\r\n1\t1\tn/a\r\n2\t1\t./b/c.png\r\n3\t1\tgone.png\r\n"}
    assert {paths[row] for row in stimulus_rows(table, contents, paths.__getitem__)} == {
        "stimuli/a.png",
        "stimuli/b/c.png",
    }


def test_where_there_are_no_stimuli_no_table_is_read():
    table = name_table(["sub-1/func/sub-1_task-a_events.tsv", "stimuli.txt"], Layout.NESTED)
    assert tables_with_stimuli(table, range(2)) == []


@pytest.mark.parametrize("data", [b"", b"onset\n1\n", b"\xff\xfe", b"stim_file", b"onset\tstim_file\n1\n"])
def test_a_table_that_names_no_stimuli_names_none(data):
    assert stimulus_names(data) == set()
