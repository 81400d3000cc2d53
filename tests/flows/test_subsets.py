"""Subsets of real BIDS data sets keep their metadata for pybids, and do not get worse for the official validator."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from s3bids import LocalFSParams, S3BIDSStudy
from s3bids.bids.names import parse
from s3bids.testing.studies import write_study

DATA_SETS = (
    "7t_trt",
    "asl001",
    "ds000001-fmriprep",
    "ds000246",
    "ds102",
    "ds114",
    "dwi_deriv",
    "micr_SEMzarr",
    "pet001",
    "pheno004",
    "qmri_mp2rage",
)
STANDALONE = ("ds000001-fmriprep", "dwi_deriv")
#: What random filters may ask for.
PARTS = ("datatype", "suffix", "extension", "session", "task", "run", "acquisition", "space", "description")

pytestmark = [
    # pybids and what it stands on; none of it is ours to mend.
    pytest.mark.filterwarnings("ignore"),
]


def open_study(root, name):
    params = LocalFSParams(use_local_fs=True, root_dir=root.parent, user="", bucket_name=root.name)
    layout = "standalone" if name in STANDALONE else "nested"
    return S3BIDSStudy(name, root.name, name, subjects="all", storage=params, layout=layout)


def files_of(directory):
    files = (path.relative_to(directory).as_posix() for path in Path(directory).rglob("*") if path.is_file())
    return sorted(path for path in files if not path.startswith(".s3bids/"))


@cache
def metadata_of(directory):
    """Give what pybids reads for every file of a data set: path -> metadata."""
    from bids import BIDSLayout

    layout = BIDSLayout(directory, validate=False)
    return {Path(file.path).relative_to(directory).as_posix(): file.get_metadata() for file in layout.get()}


@cache
def errors_of(directory):
    """Give the errors that the official validator reports: code and place."""
    program = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([program, "--json", directory], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    return {(i["code"], i.get("subCode"), i.get("location")) for i in issues if i["severity"] == "error"}


@cache
def values_of(directory):
    """Give what the names of a data set's subjects' files say: part -> values."""
    found = {}
    for path in files_of(directory):
        if not path.startswith("sub-"):
            continue
        name = parse(path)
        values = {"datatype": name.datatype, "suffix": name.suffix, "extension": name.extension or None}
        values |= {part: name.get(part) for part in PARTS if part not in values}
        values["subject"] = name.get("subject")
        for part, value in values.items():
            found.setdefault(part, set()).add(value)
    return {part: sorted(values - {None}) for part, values in found.items() if values - {None}}


def random_filter(directory, seed):
    """Make a filter that some file of a data set fits."""
    choose = random.Random(seed)
    paths = [path for path in files_of(directory) if path.startswith("sub-") and parse(path).datatype]
    name = parse(choose.choice(paths))
    parts = choose.sample([part for part in PARTS if _value(name, part) is not None], k=choose.choice((1, 2)))
    filters = {part: [_value(name, part), choose.choice(values_of(directory)[part])] for part in parts}
    if choose.random() < 0.5:
        filters["subject"] = sorted({name.get("subject"), *choose.sample(values_of(directory)["subject"], 1)})
    return filters


def _value(name, part):
    return getattr(name, part) if part in ("datatype", "suffix", "extension") else name.get(part)


# pybids


def check_metadata(root, name, filters, directory):
    report = open_study(root, name).download_dataset(directory, filters=filters)
    assert report.fetched == len(files_of(directory)) > 0
    full, subset = metadata_of(root / name), metadata_of(directory)
    assert subset, filters
    for path, metadata in subset.items():
        assert metadata == full[path], (filters, path)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", DATA_SETS)
def test_pybids_reads_the_same_metadata_in_a_subset(name, seed, bids_examples, tmp_path):
    filters = random_filter(bids_examples / name, f"{name} {seed}")
    check_metadata(bids_examples, name, filters, tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 12))
@pytest.mark.parametrize("name", DATA_SETS)
def test_pybids_reads_the_same_metadata_in_many_subsets(name, seed, bids_examples, tmp_path):
    filters = random_filter(bids_examples / name, f"{name} {seed}")
    check_metadata(bids_examples, name, filters, tmp_path / name)


def test_the_metadata_compared_are_not_empty(bids_examples):
    """If pybids read nothing, all the tests above would pass."""
    read = [
        metadata for name in ("ds114", "7t_trt", "pet001") for metadata in metadata_of(bids_examples / name).values()
    ]
    assert sum(bool(metadata) for metadata in read) > 100


def test_without_sidecars_pybids_reads_less(bids_examples, tmp_path):
    filters = {"suffix": "bold", "subject": "01", "extension": ".nii.gz"}
    open_study(bids_examples, "ds114").download_dataset(tmp_path / "x", filters=filters, with_sidecars=False)
    assert {path.rpartition(".nii")[1] for path in files_of(tmp_path / "x")} == {".nii"}
    (tmp_path / "x" / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    assert set(map(str, metadata_of(tmp_path / "x").values())) == {"{}"}


# The validator


def subsets(root, name):
    """Give subsets by what they are: one subject, one datatype, session and task, two subjects without func."""
    values = values_of(root / name)
    for part in ("subject", "datatype", "session", "task"):
        for value in values.get(part, ()):
            yield f"one {part}", {"filters": {part: value}}
    if "func" in values["datatype"]:
        others = [value for value in values["datatype"] if value != "func"]
        yield "two subjects without func", {"filters": {"subject": values["subject"][:2], "datatype": others}}


def check_validity(root, name, chosen, directory):
    study = open_study(root, name)
    before = errors_of(root / name)
    for number, choice in enumerate(chosen):
        study.download_dataset(directory / f"{number}" / name, valid_subset=True, **choice)
        assert errors_of(directory / f"{number}" / name) - before == set(), choice


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_validator_finds_no_new_error_in_a_valid_subset(name, bids_examples, tmp_path):
    """One of each sort: the last, since the first is what most code takes."""
    check_validity(bids_examples, name, dict(subsets(bids_examples, name)).values(), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA_SETS)
def test_the_validator_finds_no_new_error_in_any_valid_subset(name, bids_examples, tmp_path):
    # Subjects are many, and alike.
    seen = [choice for what, choice in subsets(bids_examples, name) if what != "one subject"]
    check_validity(bids_examples, name, seen, tmp_path)


@pytest.mark.parametrize(
    ("name", "filters", "code"),
    [
        ("7t_trt", {"datatype": "anat"}, "SCANS_FILENAME_NOT_MATCH_DATASET"),
        ("7t_trt", {"session": "1", "datatype": "fmap"}, "SCANS_FILENAME_NOT_MATCH_DATASET"),
    ],
)
def test_without_trimming_the_validator_finds_new_errors(name, filters, code, bids_examples, tmp_path):
    """If the validator said nothing of subsets, the test above would pass for nothing."""
    open_study(bids_examples, name).download_dataset(tmp_path / name, filters=filters)
    assert code in {error[0] for error in errors_of(tmp_path / name) - errors_of(bids_examples / name)}


def test_links_to_what_is_not_there_are_dropped(tmp_path):
    """With links as they were written before BIDS had URIs, which this validator follows."""
    write_study(tmp_path / "b" / "ds", subjects=["01"], sessions=[])
    for path in (tmp_path / "b" / "ds").rglob("*_epi.json"):
        targets = ["func/sub-01_task-rest_bold.nii.gz", "func/sub-01_task-faces_bold.nii.gz"]
        path.write_text(json.dumps({**json.loads(path.read_text()), "IntendedFor": targets}))
    study = open_study(tmp_path / "b", "ds")
    chosen = {"datatype": ["func", "fmap"], "task": ["rest", None]}
    study.download_dataset(tmp_path / "x", filters=chosen)
    assert {code for code, *_ in errors_of(tmp_path / "x")} == {"INTENDED_FOR", "SCANS_FILENAME_NOT_MATCH_DATASET"}
    report = study.download_dataset(tmp_path / "y", filters=chosen, valid_subset=True)
    assert errors_of(tmp_path / "y") == errors_of(tmp_path / "b" / "ds") == set()
    links = {path.name: json.loads(path.read_text())["IntendedFor"] for path in (tmp_path / "y").rglob("*_epi.json")}
    assert set(map(tuple, links.values())) == {("func/sub-01_task-rest_bold.nii.gz",)}
    assert {path.rpartition("_")[2] for path in report.trimmed_files} == {"epi.json", "scans.tsv"}


def test_phenotype_tables_are_cut_down_too(bids_examples, tmp_path):
    study = open_study(bids_examples, "pheno004")
    report = study.download_dataset(
        tmp_path / "x", filters={"subject": "02"}, include=["sub-*", "phenotype/*"], valid_subset=True
    )
    assert report.trimmed_files == ("participants.tsv", "phenotype/ace.tsv", "phenotype/demographics.tsv")
    assert (tmp_path / "x" / "participants.tsv").read_text() == "participant_id\tsex\tage\nsub-02\tf\t63\n"
    assert errors_of(tmp_path / "x") - errors_of(bids_examples / "pheno004") == set()


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_full_study_is_never_altered(name, bids_examples, tmp_path):
    report = open_study(bids_examples, name).download_dataset(tmp_path / "x", derivatives=True, valid_subset=True)
    assert report.trimmed_files == ()
    for path in files_of(tmp_path / "x"):
        assert (tmp_path / "x" / path).read_bytes() == (bids_examples / name / path).read_bytes()
