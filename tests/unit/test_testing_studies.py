from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from s3bids.errors import ConfigError
from s3bids.testing.studies import write_hbn_site, write_study

VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")
DERIVATIVE = "derivatives/fmriprep-mini"

# Every shape of study that the writers make: a name, and how to write it.
WRITERS = {
    "flat": write_study,
    "sessions": lambda directory: write_study(directory, sessions=("01", "02")),
    "prefixes": lambda directory: write_study(directory, subjects=("1", "10")),
    "hbn-si": write_hbn_site,
    "hbn-ru": lambda directory: write_hbn_site(directory, site="RU"),
}
writers = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


def files_below(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def validate(directory):
    """Return the errors of the dataset and of its derivatives, as {folder of the dataset: {code}}."""
    command = [VALIDATOR, directory, "--recursive", "--format", "json"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    answer = json.loads(run.stdout)
    reports = {"": answer, **{folder.strip("/"): part for folder, part in answer["derivativesSummary"].items()}}
    return {
        folder: {issue["code"] for issue in report["issues"]["issues"] if issue["severity"] == "error"}
        for folder, report in reports.items()
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sessions": ("01", "02")},
        {"subjects": ("1", "10")},
        {"subjects": ("01",), "sessions": ("01",)},
    ],
    ids=str,
)
def test_the_official_validator_finds_no_error_in_the_study_and_its_derivative(tmp_path, options):
    write_study(tmp_path, **options)

    assert validate(tmp_path) == {"": set(), DERIVATIVE: set()}


@pytest.mark.parametrize(
    ("missing", "dataset", "code"),
    [
        ("dataset_description.json", "", "MISSING_DATASET_DESCRIPTION"),
        (".bidsignore", "", "NOT_INCLUDED"),
        ("task-rest_bold.json", "", "SIDECAR_KEY_REQUIRED"),
        ("sub-01/dwi/sub-01_dwi.bvec", "", "DWI_MISSING_BVEC"),
        ("sub-02/func/sub-02_task-faces_bold.nii.gz", "", "SCANS_FILENAME_NOT_MATCH_DATASET"),
        (f"{DERIVATIVE}/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz", DERIVATIVE, "SIDECAR_WITHOUT_DATAFILE"),
    ],
)
def test_the_validator_sees_a_file_missing_from_the_study(tmp_path, missing, dataset, code):
    write_study(tmp_path, subjects=("01", "02"))
    (tmp_path / missing).unlink()

    assert code in validate(tmp_path)[dataset]


@writers
def test_the_keys_returned_are_the_files_on_disk(tmp_path, write):
    keys = write(tmp_path / "new" / "directory")

    assert keys == sorted(files_below(tmp_path / "new" / "directory"))
    assert len(keys) > 30


@writers
def test_every_image_opens_with_its_volumes_and_differs_from_the_others(tmp_path, write):
    keys = [key for key in write(tmp_path) if key.endswith(".nii.gz")]

    voxels = [nib.load(tmp_path / key).get_fdata() for key in keys]

    dimensions = {key: array.ndim for key, array in zip(keys, voxels, strict=True)}
    assert dimensions == {key: 3 if "T1w" in key else 4 for key in keys}
    assert not any(np.array_equal(one, other) for one, other in combinations(voxels, 2))
    assert all(500 < (tmp_path / key).stat().st_size < 12_000 for key in keys)


@writers
def test_gradient_tables_have_one_entry_for_each_diffusion_volume(tmp_path, write):
    images = [tmp_path / key for key in write(tmp_path) if key.endswith("_dwi.nii.gz")]

    assert images
    for image in images:
        stem = str(image).removesuffix(".nii.gz")
        bvals, bvecs = np.loadtxt(f"{stem}.bval"), np.loadtxt(f"{stem}.bvec")
        volumes = nib.load(image).shape[3]
        assert bvals.shape == (volumes,)
        assert bvecs.shape == (3, volumes)
        np.testing.assert_allclose(np.linalg.norm(bvecs, axis=0), bvals > 0, atol=1e-5)


@writers
def test_repetition_times_in_headers_and_sidecars_agree(tmp_path, write):
    runs = [tmp_path / key for key in write(tmp_path) if key.endswith("_bold.nii.gz")]

    assert runs
    for run in runs:
        own = Path(str(run).removesuffix(".nii.gz") + ".json")
        task = run.name.split("_task-")[1].split("_")[0]
        sidecar = own if own.exists() else tmp_path / f"task-{task}_bold.json"
        header = nib.load(run).header
        assert header.get_xyzt_units() == ("mm", "sec")
        assert header.get_zooms()[3] == pytest.approx(json.loads(sidecar.read_text())["RepetitionTime"])


@pytest.mark.parametrize("function", ["write_study", "write_hbn_site"])
def test_another_process_writes_the_same_bytes(tmp_path, function):
    here, there = tmp_path / "here", tmp_path / "there"
    {"write_study": write_study, "write_hbn_site": write_hbn_site}[function](here)
    code = f"import sys; from s3bids.testing.studies import {function}; {function}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, there], check=True, timeout=120)

    assert files_below(here) == files_below(there)


def test_gzip_headers_hold_neither_a_time_nor_a_file_name(tmp_path):
    headers = {(tmp_path / key).read_bytes()[3:8] for key in write_study(tmp_path) if key.endswith(".gz")}

    assert headers == {bytes(5)}


def test_the_files_of_a_subject_do_not_depend_on_the_other_subjects(tmp_path):
    write_study(tmp_path / "one", subjects=("1",))
    write_study(tmp_path / "two", subjects=("1", "10"))

    one, two = files_below(tmp_path / "one"), files_below(tmp_path / "two")
    rows = [files.pop("participants.tsv").decode().splitlines() for files in (one, two)]

    assert rows[0] == rows[1][:2]
    assert one == {key: content for key, content in two.items() if "sub-10" not in key}


def test_subjects_whose_names_begin_alike_stand_side_by_side(tmp_path):
    keys = write_study(tmp_path, subjects=("1", "10"))

    assert {key.split("/")[0] for key in keys if key.startswith("sub-")} == {"sub-1", "sub-10"}
    assert "sub-1/sub-1_scans.tsv" in keys
    assert "sub-10/sub-10_scans.tsv" in keys


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        ((), {"sub-01/anat/sub-01_T1w.nii.gz", f"{DERIVATIVE}/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"}),
        (
            ("02",),
            {
                "sub-01/ses-02/anat/sub-01_ses-02_T1w.nii.gz",
                f"{DERIVATIVE}/sub-01/ses-02/anat/sub-01_ses-02_desc-preproc_T1w.nii.gz",
            },
        ),
    ],
)
def test_sessions_have_folders_of_their_own(tmp_path, sessions, expected):
    keys = write_study(tmp_path, subjects=("01",), sessions=sessions)

    assert {key for key in keys if key.endswith("T1w.nii.gz")} == expected


def test_labels_may_carry_their_entity_and_count_once(tmp_path):
    bare = write_study(tmp_path / "bare", subjects=("01",), sessions=("1",))
    full = write_study(tmp_path / "full", subjects=("sub-01", "01"), sessions=("ses-1",))

    assert full == bare
    assert files_below(tmp_path / "full") == files_below(tmp_path / "bare")


@pytest.mark.parametrize("label", ["", "a/b", "..", "a_b", "a-b", "a\n"])
def test_a_label_that_bids_does_not_allow_is_refused_by_name(tmp_path, label):
    with pytest.raises(ConfigError, match="is no BIDS label for 'ses-'") as refused:
        write_study(tmp_path, sessions=(label,))

    assert repr(label) in str(refused.value)
    assert not any(tmp_path.iterdir())


def test_writing_again_replaces_files_of_the_same_name_and_keeps_the_others(tmp_path):
    write_study(tmp_path, subjects=("01",))
    before = files_below(tmp_path)
    (tmp_path / "README.md").write_text("changed")
    (tmp_path / "mine.txt").write_text("kept")

    write_study(tmp_path, subjects=("01",))

    assert files_below(tmp_path) == {**before, "mine.txt": b"kept"}


@pytest.mark.parametrize(("site", "separator"), [("SI", ","), ("RU", "\t"), ("CBIC", "\t"), ("CUNY", "\t")])
def test_only_the_participants_of_hbn_si_are_separated_by_commas(tmp_path, site, separator):
    write_hbn_site(tmp_path, site=site, subjects=("NDARAA075AMK", "NDARAB708LM5"))

    header, *rows = (tmp_path / "participants.tsv").read_text().splitlines()

    assert header.split(separator) == ["participant_id", "Age", "Sex"]
    assert [row.split(separator)[0] for row in rows] == ["sub-NDARAA075AMK", "sub-NDARAB708LM5"]
    assert all(5 <= float(row.split(separator)[1]) <= 21 for row in rows)


def test_an_hbn_subject_has_the_names_of_hbn(tmp_path):
    keys = write_hbn_site(tmp_path, subjects=("NDARAA075AMK",))

    sub = "sub-NDARAA075AMK"
    assert [key for key in keys if not key.endswith((".json", ".bval", ".bvec"))] == [
        f"derivatives/{sub}/T1w_HCP/T1w.nii.gz",
        f"derivatives/{sub}/T1w_HCP/freesurfer/scripts/recon-all.done",
        f"derivatives/{sub}/afq/{sub}_tractography-profiles.csv",
        f"derivatives/{sub}/qsiprep/{sub}/dwi/{sub}_acq-64dir_confounds.tsv",
        "participants.tsv",
        f"{sub}/anat/{sub}_acq-HCP_T1w.nii.gz",
        f"{sub}/dwi/{sub}_acq-64dir_dwi.nii.gz",
        f"{sub}/fmap/{sub}_dir-AP_acq-dwi_epi.nii.gz",
        f"{sub}/fmap/{sub}_dir-PA_acq-fMRI_epi.nii.gz",
        f"{sub}/func/{sub}_task-movieDM_bold.nii.gz",
        f"{sub}/func/{sub}_task-peer_run-1_bold.nii.gz",
    ]
    images = [key for key in keys if key.startswith("sub-") and key.endswith(".nii.gz")]
    assert {key.replace(".nii.gz", ".json") for key in images} <= set(keys)


def test_one_hbn_subject_lacks_the_derivative_afq(tmp_path):
    keys = write_hbn_site(tmp_path)

    pipelines = {tuple(key.split("/")[1:3]) for key in keys if key.startswith("derivatives/")}
    assert {sub for sub, pipeline in pipelines if pipeline == "T1w_HCP"} == {
        "sub-NDARAA075AMK",
        "sub-NDARAB708LM5",
        "sub-NDARAC462DZH",
    }
    assert {sub for sub, pipeline in pipelines if pipeline == "afq"} == {"sub-NDARAA075AMK", "sub-NDARAB708LM5"}


def test_an_hbn_site_has_no_dataset_description(tmp_path):
    assert not [key for key in write_hbn_site(tmp_path) if key.endswith("dataset_description.json")]


def test_importing_the_module_loads_neither_numpy_nor_nibabel():
    code = "import sys, s3bids.testing.studies; print(*{'numpy', 'nibabel'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)

    assert run.stdout.strip() == ""
