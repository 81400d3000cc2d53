"""Derivatives in their arrangements: found by listing, counted, described, and seen by pybids."""

from __future__ import annotations

import json

import pytest

from s3bids import HBNSite
from s3bids.errors import ConfigError, DownloadError
from s3bids.testing.faults import Answer, Fault
from s3bids.testing.studies import write_hbn_site
from s3bids.transfer.manifest import read_notes

#: A derivative with a description, one without, and one inside the second.
NESTED = {
    "README": "x",
    "dataset_description.json": '{"Name": "x", "BIDSVersion": "1.10.0"}',
    "derivatives/afq/dataset_description.json": '{"Name": "afq", "BIDSVersion": "1.4.0", "DatasetType": "raw"}',
    "derivatives/afq/sub-1/dwi/sub-1_desc-x_dwi.nii.gz": "1",
    "derivatives/loose.txt": "x",
    "derivatives/qsiprep/derivatives/dlqc/sub-1/dwi/sub-1_desc-qc_dwi.json": "{}",
    "derivatives/qsiprep/derivatives/dlqc/sub-2/dwi/sub-2_desc-qc_dwi.json": "{}",
    "derivatives/qsiprep/sub-1.html": "<p>",
    "derivatives/qsiprep/sub-1/anat/sub-1_desc-brain_mask.nii.gz": "22",
    "derivatives/qsiprep/sub-2/anat/sub-2_desc-brain_mask.nii.gz": "333",
    "sub-1/anat/sub-1_T1w.nii.gz": "1",
    "sub-2/anat/sub-2_T1w.nii.gz": "1",
}
AFQ = "derivatives/afq/dataset_description.json"
DLQC = "derivatives/qsiprep/derivatives/dlqc"


@pytest.fixture
def nested(by_params):
    by_params.put({f"ds/{path}": content for path, content in NESTED.items()})
    return by_params


@pytest.fixture
def site(by_params, tmp_path):
    write_hbn_site(tmp_path / "site")
    by_params.put_tree(tmp_path / "site", "Site-SI")
    return HBNSite("SI", bucket=by_params.bucket, s3_prefix="", storage=by_params.storage, subjects="all")


def test_derivatives_are_counted_each_by_itself(nested):
    found = nested.study().derivative_overview()
    assert found.to_dict("index") == {
        "afq": {"subjects": 1, "files": 2, "bytes": len(NESTED[AFQ]) + 1, "is_described": True},
        "qsiprep": {"subjects": 2, "files": 3, "bytes": 8, "is_described": False},
        "qsiprep/dlqc": {"subjects": 2, "files": 2, "bytes": 4, "is_described": False},
    }


def test_derivatives_of_a_site_are_counted_too(site):
    found = site.derivative_overview()
    assert list(found.index) == ["T1w_HCP", "afq", "qsiprep"]
    assert list(found["subjects"]) == [3, 2, 3]


def test_a_study_without_derivatives_has_an_empty_table(by_params):
    by_params.put({"ds/sub-1/x": "x"})
    assert list(by_params.study().derivative_overview().columns) == ["subjects", "files", "bytes", "is_described"]
    assert len(by_params.study().derivative_overview()) == 0


@pytest.mark.parametrize(
    ("names", "subjects", "expected"),
    [
        ("qsiprep/dlqc", "all", {f"{DLQC}/sub-{n}/dwi/sub-{n}_desc-qc_dwi.json" for n in (1, 2)}),
        ("qsi*/dl*", ["1"], {f"{DLQC}/sub-1/dwi/sub-1_desc-qc_dwi.json"}),
        (
            "qsiprep",
            ["1"],
            {"derivatives/qsiprep/sub-1.html", "derivatives/qsiprep/sub-1/anat/sub-1_desc-brain_mask.nii.gz"},
        ),
        (
            True,
            ["1"],
            {
                "derivatives/afq/dataset_description.json",
                "derivatives/afq/sub-1/dwi/sub-1_desc-x_dwi.nii.gz",
                f"{DLQC}/sub-1/dwi/sub-1_desc-qc_dwi.json",
                "derivatives/qsiprep/sub-1.html",
                "derivatives/qsiprep/sub-1/anat/sub-1_desc-brain_mask.nii.gz",
            },
        ),
    ],
)
def test_derivatives_are_brought_by_name_also_those_of_derivatives(nested, out, tree, names, subjects, expected):
    report = nested.study(subjects=subjects).download_dataset(out, derivatives=names, exclude="sub-*/anat/*_T1w*")
    found = {path for path in tree(out) if path.startswith("derivatives/")}
    assert found - set(report.written_files) == expected


def test_the_arguments_of_0_1_7_bring_no_derivatives_of_derivatives(nested, out, tree):
    nested.study().download(out, include_derivs=True, pbar=False)
    assert not any("dlqc" in path for path in tree(out))
    assert "derivatives/qsiprep/dataset_description.json" not in tree(out)


def test_a_derivative_that_is_not_there_is_refused(nested, out):
    with pytest.raises(ConfigError, match="qsiprep/none"):
        nested.study().download_dataset(out, derivatives="qsiprep/none", filters={"suffix": "dwi"})
    assert not out.exists()


def test_a_description_is_written_also_where_all_files_failed(counted, proxy, out):
    counted.put({f"ds/{path}": content for path, content in NESTED.items()})
    study = counted.study()
    proxy.script(Fault("get", "*/qsiprep/*", times=None, action=Answer(403, "AccessDenied")))
    with pytest.raises(DownloadError):
        study.download_dataset(out, derivatives="qsiprep")
    proxy.reset()
    study.download_dataset(out, retry_failed=True)
    folder = out / "derivatives" / "qsiprep"
    assert sorted(path.name for path in folder.iterdir()) == [
        "dataset_description.json",
        "sub-1",
        "sub-1.html",
        "sub-2",
    ]


@pytest.mark.parametrize("key", ["derivatives/../sub-1/x", "derivatives/a/derivatives/../sub-1/x"])
def test_no_description_is_written_outside_of_the_derivatives(on_moto, out, key):
    on_moto.put({"ds/sub-1/x": "x", f"ds/{key}": "x"})
    with pytest.raises(DownloadError):
        on_moto.study().download_dataset(out, derivatives=True)
    assert not list(out.rglob("dataset_description.json"))


def test_a_description_is_written_where_there_is_none_and_the_manifest_says_so(nested, out):
    report = nested.study().download_dataset(out, derivatives=True)
    written = ("derivatives/qsiprep/dataset_description.json", f"{DLQC}/dataset_description.json")
    assert report.written_files == written
    assert [note["target"] for note in read_notes(out, "made")] == list(written)
    assert json.loads((out / written[1]).read_text()) == {
        "Name": "dlqc",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "dlqc"}],
    }
    assert (out / "derivatives/afq/dataset_description.json").read_text() == NESTED[
        "derivatives/afq/dataset_description.json"
    ]
    again = nested.study().download_dataset(out, derivatives=True)
    assert (again.written_files, again.fetched, again.conflicts) == ((), 0, 0)


def test_a_description_of_ones_own_is_never_replaced(nested, out):
    (out / "derivatives" / "qsiprep").mkdir(parents=True)
    (out / "derivatives" / "qsiprep" / "dataset_description.json").write_text("mine")
    report = nested.study().download_dataset(out, derivatives="qsiprep")
    assert report.written_files == ()
    assert (out / "derivatives" / "qsiprep" / "dataset_description.json").read_text() == "mine"


def test_a_dry_run_writes_no_description(nested, out):
    assert nested.study().download_dataset(out, derivatives=True, dry_run=True).written_files == ()
    assert not out.exists()


def test_a_description_that_comes_later_is_a_conflict_and_not_lost(nested, out):
    nested.study().download_dataset(out, derivatives="qsiprep")
    nested.put({"ds/derivatives/qsiprep/dataset_description.json": '{"Name": "the real one"}'})
    report = nested.study().download_dataset(out, derivatives="qsiprep")
    assert [conflict.target for conflict in report.conflicting_files] == [
        "derivatives/qsiprep/dataset_description.json"
    ]


@pytest.mark.filterwarnings("ignore")  # pybids' own
def test_pybids_finds_the_derivatives(nested, out):
    from bids import BIDSLayout

    nested.study().download_dataset(out, derivatives=["afq", "qsiprep"], filters={"suffix": ["dwi", "mask", "T1w"]})
    layout = BIDSLayout(out, derivatives=True, validate=False)
    assert set(layout.derivatives) == {"derivatives/afq", "derivatives/qsiprep"}
    assert len(layout.derivatives["derivatives/qsiprep"].get(suffix="mask")) == 2


@pytest.mark.filterwarnings("ignore")  # pybids' own
def test_pybids_finds_the_derivatives_of_a_site(site, out):
    from bids import BIDSLayout

    site.download(out, include_derivs="qsiprep", filters={"suffix": ["confounds", "dwi"]}, pbar=False)
    layout = BIDSLayout(out, derivatives=True, validate=False)
    [derivative] = layout.derivatives.values()
    assert len(derivative.get(suffix="confounds")) == 3


@pytest.mark.filterwarnings("ignore")  # pybids' own
@pytest.mark.parametrize("name", ["ds000001-fmriprep", "qmri_mp2rage"])
def test_pybids_finds_the_derivatives_of_real_data_sets(name, bids_examples, tmp_path):
    from bids import BIDSLayout

    from s3bids import LocalFSParams, S3BIDSStudy

    params = LocalFSParams(use_local_fs=True, root_dir=bids_examples.parent, user="", bucket_name=bids_examples.name)
    layout = "standalone" if name.endswith("fmriprep") else "nested"
    study = S3BIDSStudy(name, bids_examples.name, name, subjects="all", storage=params, layout=layout)
    if layout == "nested":
        study.download_dataset(tmp_path / name, derivatives=True, filters={"suffix": ["T1map", "UNIT1"]})
        found = BIDSLayout(tmp_path / name, derivatives=True)
        assert set(found.derivatives) == {"derivatives/pymp2rage"}
        return
    study.download_dataset(tmp_path / "raw" / "derivatives" / "fmriprep", filters={"suffix": "mask"})
    (tmp_path / "raw" / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.4.0"}')
    found = BIDSLayout(tmp_path / "raw", derivatives=True)
    assert len(found.get(suffix="mask", scope="derivatives")) > 0
