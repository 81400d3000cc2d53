"""The twenty faults of s3bids 0.1.7, each by the behaviour that took its place."""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import s3bids
from s3bids import DownloadError, HBNSite, s3fs_json_read, s3fs_json_write, s3fs_nifti_read
from s3bids.testing.faults import Cut, Fault, Short

AFQ = {"derivatives/afq/sub-1/sub-1_profiles.csv", "derivatives/afq/sub-1/sub-1_tract.trk"}
OLD = {"derivatives/afq-old/sub-1/sub-1_profiles.csv"}
QSIPREP = {"derivatives/qsiprep/sub-1/dwi/sub-1_dwi.nii.gz"}


def derived(files):
    return {path for path in files if path.startswith("derivatives/")}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        pytest.param("afq", AFQ, id="S-1-one-name"),
        pytest.param("nomatch", set(), id="S-1-no-such-name"),
        pytest.param("*", AFQ | OLD | QSIPREP, id="S-1-glob"),
        pytest.param(["afq"], AFQ, id="S-2-not-the-longer-name"),
        pytest.param(["derivatives"], set(), id="S-2-not-the-directory-above"),
        pytest.param(["ds"], set(), id="S-2-not-the-prefix"),
        pytest.param(("afq",), AFQ, id="S-2-tuple"),
    ],
)
def test_derivatives_are_chosen_by_name_or_glob(place, keys, out, tree, choice, expected):
    place.put(keys)
    study = place.study(subjects="1")
    study.subjects[0].download(out / "subject", choice, pbar=False)
    assert derived(tree(out / "subject")) == expected
    study.download(out / "study", include_derivs=choice, pbar=False)
    names = {Path(path).parts[1] for path in expected} - {"qsiprep"}
    assert derived(tree(out / "study")) == expected | {f"derivatives/{n}/dataset_description.json" for n in names}


def test_the_bucket_of_a_derivative_is_no_name_of_it(local, out, tree):
    """S-2: the bucket's name took all derivatives."""
    local.study(subjects="1").download(out, include_derivs=[local.bucket], pbar=False)
    assert derived(tree(out)) == set()


def test_a_subject_comes_without_those_whose_names_begin_alike(place, keys, out, tree):
    """S-3: ``sub-1`` also collected ``sub-10/``, ``sub-1.json`` and ``sub-1_scans.tsv``."""
    place.put({**keys, "ds/sub-11/x": "x", "ds/derivatives/afq/sub-1_all.csv": "x", "ds/derivatives/afq/sub-11/x": "x"})
    study = place.study(subjects=["sub-1"])
    study.subjects[0].download(out, True, pbar=False)
    raw = {"sub-1/anat/sub-1_T1w.json", "sub-1/anat/sub-1_T1w.nii.gz", "sub-1/dwi/sub-1_dwi.bval"}
    assert set(tree(out)) == raw | AFQ | OLD | QSIPREP


@pytest.mark.parametrize("action", [Cut(900_000), Short(900_000)], ids=["broken-off", "short"])
def test_an_interrupted_file_never_has_its_final_name_and_comes_with_the_next_run(served, proxy, out, tree, action):
    """S-4: a cut file stayed under its final name and was skipped ever after."""
    target = "sub-2/anat/sub-2_T1w.nii.gz"
    # Enough for some of it to arrive: a server of which nothing comes is waited for, and that for two minutes.
    content = b"T1w" * 400_000
    served.put({f"ds/{target}": content})
    proxy.script(Fault("get", f"ds/{target}", times=None, action=action))
    study = served.study(subjects="2")
    with pytest.raises(DownloadError) as caught:
        study.download(out, pbar=False)
    assert [failure.target for failure in caught.value.failures] == [target]
    assert set(tree(out)) == {"dataset_description.json"}
    proxy.reset()
    assert study.download(out, pbar=False).fetched == 1
    assert tree(out)[target] == content


def test_a_key_that_leads_out_is_refused_by_name(on_moto, keys, out, tree, tmp_path):
    """S-5: ``ds/sub-01/../../../evil`` was written outside the directory."""
    on_moto.put({**keys, "ds/sub-2/../../../evil": "evil", "ds/sub-2/..": "evil", "ds/sub-2/../sub-3/evil": "evil"})
    with pytest.raises(DownloadError) as caught:
        on_moto.study(subjects="2").download(out / "deep" / "down", pbar=False)
    refused = {"ds/sub-2/../../../evil", "ds/sub-2/..", "ds/sub-2/../sub-3/evil"}
    assert {failure.key for failure in caught.value.failures} == refused
    assert all("'..'" in failure.reason for failure in caught.value.failures)
    assert set(tree(out / "deep" / "down")) == {"dataset_description.json", "sub-2/anat/sub-2_T1w.nii.gz"}
    assert not [path for path in tree(tmp_path) if "evil" in path]


@pytest.fixture
def signed(moto, on_moto, monkeypatch):
    """A bucket on moto, and credentials in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
    return on_moto


@pytest.mark.parametrize("value", [object(), {"a": {1, 2}}, float("nan"), {1j: 2}], ids=["object", "set", "nan", "key"])
def test_what_json_cannot_express_leaves_the_old_object(signed, value):
    """S-6: the object was left cut short."""
    name = f"{signed.bucket}/x.json"
    s3fs_json_write({"old": 1}, name)
    with pytest.raises(TypeError):
        s3fs_json_write(value, name)
    assert s3fs_json_read(name) == {"old": 1}


@pytest.mark.parametrize("prefix", ["data", "sub-p/data", "s"])
def test_the_prefix_is_taken_off_once_at_the_beginning(place, prefix, out, tree):
    """S-7: it was cut at its last occurrence, so two tasks became one file."""
    names = {f"sub-1/func/sub-1_task-{task}_desc-data/{prefix}/s_bold.json": task for task in ("rest", "faces")}
    place.put({f"{prefix}/{name}": task for name, task in names.items()})
    place.study(prefix).download(out, pbar=False)
    assert tree(out) == {name: task.encode() for name, task in names.items()}


@pytest.mark.parametrize("prefix", ["ds/", "/ds", "//ds//", "a/b/", "/a/b"])
def test_outer_slashes_of_the_prefix_do_not_matter(place, prefix):
    """S-8: ``ds/`` gave subjects without keys, ``/ds`` none."""
    place.put({f"{prefix.strip('/')}/sub-1/x": "x"})
    study = place.study(prefix)
    assert study.subjects[0].s3_keys["raw"] == [f"{prefix.strip('/')}/sub-1/x"]


@pytest.mark.parametrize("prefix", ["none", "d", "ds/sub-1/anat/sub-1_T1w.json", "DS", "ds/none"])
def test_nothing_under_the_prefix_is_an_error_that_names_it(place, keys, prefix):
    """S-8: a missing prefix was an empty study."""
    place.put(keys)
    with pytest.raises(
        FileNotFoundError, match=f"nothing is under the prefix '{prefix}' of the bucket '{place.bucket}'"
    ):
        place.study(prefix)


@pytest.mark.parametrize(
    ("prefix", "paths", "subjects"),
    [
        ("sub-p/ds", ["sub-1/x"], ["sub-1"]),
        ("ds", ["sub-A-02/x", "sub-A_3/x"], ["sub-A-02", "sub-A_3"]),
        ("ds", ["sub-01_T1w.json", "sub-02/x", "code/sub-03/x", "sub-/x", "xsub-4/x"], ["sub-02"]),
        ("ds", ["sub-é/x", "sub-1.zarr/x", "sub-1 2/x"], ["sub-1 2", "sub-1.zarr", "sub-é"]),
    ],
)
def test_a_subject_is_a_directory_directly_under_the_prefix(place, prefix, paths, subjects):
    """S-9: subjects were found by a pattern over the whole path."""
    place.put({f"{prefix}/{path}": "x" for path in paths})
    assert place.study(prefix)._all_subjects == subjects


@pytest.mark.parametrize("how", ["study", "method"])
def test_an_edited_description_is_kept(local, out, how):
    """S-10: files of the whole study were replaced with ``overwrite=False``."""
    study = local.study(subjects="1")
    path = out / "dataset_description.json"
    for content in ("my own description", None):
        if content is not None:
            out.mkdir()
            path.write_text(content)
        overwrite = content is None
        if how == "study":
            study.download(out, overwrite=overwrite, pbar=False)
        else:
            study._download_non_sub_keys(out, overwrite=overwrite)
        assert path.read_text() == (content or "dataset_description.json")


def test_all_other_files_come_with_their_directories(place, keys, out, tree):
    """S-11: ``"all"`` skipped directories without a word."""
    place.put(keys)
    place.study(subjects="1").download(out, "all", pbar=False)
    assert {"code/run.py", "code/tools/convert.sh", "participants.tsv"} <= set(tree(out))


def test_other_files_are_compared_by_their_names(by_params, ds, out, tree):
    """S-11: with ``README`` in the prefix, ``("README",)`` took every file at the root."""
    by_params.put({f"README/ds/{path}": content for path, content in ds.items()})
    study = by_params.study("README/ds")
    study._download_non_sub_keys(out, select=("README",))
    assert set(tree(out)) == {"README"}
    study.download(out, ("README",), suffix="nothing", pbar=False)
    assert set(tree(out)) == {"README"}


@pytest.mark.parametrize(
    "table",
    [
        "participant_id\tage\nsub-01\t1\nsub-2\t2\n",
        "\ufeffparticipant_id\tage\r\n01\t1\r\n2\tn/a\r\n",
        "participant_id,age\n01,1\n2,2\n",
        "age\tsubject_id\n1\t01\n2\tsub-2\n",
    ],
    ids=["tabs", "byte-order-mark", "commas", "subject_id"],
)
def test_participant_tables_of_the_field_are_read(place, table, caplog):
    """S-12: tables were read with commas, and ids became numbers."""
    place.put({"ds/participants.tsv": table, "ds/sub-01/x": "x", "ds/sub-2/x": "x"})
    study = place.study(use_participants_tsv=True)
    assert [subject.subject_id for subject in study.subjects] == ["sub-01", "sub-2"]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("ids", "named"),
    [("01 02 03", ["sub-03"]), ("01", ["sub-02"]), ("01 3 4", ["sub-02", "sub-3", "sub-4"])],
)
def test_ids_that_are_in_one_place_only_are_left_out_and_named_once(by_params, caplog, ids, named):
    """S-12: ids that are not on storage became empty subjects."""
    table = "\n".join(["participant_id\tage", *(f"{label}\t1" for label in ids.split())])
    by_params.put({"ds/participants.tsv": table, "ds/sub-01/x": "x", "ds/sub-02/x": "x"})
    study = by_params.study(use_participants_tsv=True)
    assert study._all_subjects == sorted({"sub-01", "sub-02"} - set(named))
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert all(name in warning.getMessage() for name in named)
    assert "sub-01" not in warning.getMessage()


def test_a_table_without_ids_is_an_error_that_names_object_and_columns(by_params):
    """S-12."""
    by_params.put({"ds/participants.tsv": "name\tage\nx\t1\n", "ds/sub-01/x": "x"})
    with pytest.raises(ValueError, match=r"ds/participants\.tsv: .*participant_id or subject_id, only 'name', 'age'"):
        by_params.study(use_participants_tsv=True)


@pytest.fixture
def site(by_params):
    """A small HBN site."""
    by_params.put(
        {
            "Site-CUNY/sub-1/x": "x",
            "Site-CUNY/dataset_description.json": '{"Name": "the real one"}',
            "Site-CUNY/derivatives/sub-1/qsiprep/sub-1/dwi/x": "deep",
            "Site-CUNY/derivatives/sub-1/afq/x.csv": "x",
            "Site-RU/sub-1/x": "x",
        }
    )
    return lambda name: HBNSite(name, bucket=by_params.bucket, s3_prefix="", storage=by_params.storage)


def test_derivatives_of_hbn_come(site, out, tree):
    """S-13: ``include_derivs`` always failed: "The specified bucket does not exist"."""
    site("CUNY").download(out, include_derivs=["afq"], pbar=False)
    assert set(tree(out)) == {"dataset_description.json", "derivatives/sub-1/afq/x.csv", "sub-1/x"}


def test_a_derivative_of_hbn_is_the_name_after_the_first_subject(site, out, tree):
    """S-14: ``derivatives/sub-X/qsiprep/sub-X/dwi/x`` was filed under ``dwi``; no ``derivatives/`` failed."""
    study = site("CUNY")
    deep = "Site-CUNY/derivatives/sub-1/qsiprep/sub-1/dwi/x"
    assert study.subjects[0].s3_keys["derivatives"]["qsiprep"] == [deep]
    study.download(out, include_derivs="qsiprep", pbar=False)
    assert "derivatives/sub-1/qsiprep/sub-1/dwi/x" in tree(out)
    bare = site("RU")
    assert (bare.derivative_types, bare.non_sub_s3_keys["derivatives"]) == ([], [])
    assert bare.subjects[0].s3_keys == {"raw": ["Site-RU/sub-1/x"], "derivatives": {}}


def test_a_description_is_made_only_where_there_is_none(site, out):
    """S-15: the generated description replaced the real one just fetched."""
    site("CUNY").download(out, True, pbar=False)
    assert json.loads((out / "dataset_description.json").read_text()) == {"Name": "the real one"}
    site("RU").download(out / "RU", True, pbar=False)
    assert json.loads((out / "RU" / "dataset_description.json").read_text())["Name"] == "HBN Study, Site-RU"


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_an_image_is_read_when_its_data_are_used(counted, proxy, extension):
    """S-16: the whole file was fetched and unpacked at the call."""
    data = np.random.default_rng(0).integers(0, 2**15, (64, 64, 64), dtype=np.int16)
    plain = nib.Nifti1Image(data, np.eye(4)).to_bytes()
    counted.put({f"x{extension}": gzip.compress(plain, 1) if extension == ".nii.gz" else plain})
    image = s3fs_nifti_read(f"{counted.bucket}/x{extension}", anon=True)
    assert image.shape == (64, 64, 64)
    ranges = [request.range for request in proxy.requests if request.operation == "get"]
    assert ranges == ["bytes=0-61439"]
    assert (np.asanyarray(image.dataobj) == data).all()


def test_one_image_gives_the_same_bytes_plain_or_compressed_as_its_name_says(signed):
    """S-17: ``.nii`` was stored compressed, and each write gave other bytes."""
    image = nib.Nifti1Image(np.arange(8.0).reshape(2, 2, 2), np.eye(4))
    for name in ("a.nii", "a.nii.gz", "b.nii.gz"):
        s3bids.s3fs_nifti_write(image, f"{signed.bucket}/{name}")
    found = {
        n: signed.client.get_object(Bucket=signed.bucket, Key=n)["Body"].read()
        for n in ("a.nii", "a.nii.gz", "b.nii.gz")
    }
    assert found["a.nii"] == image.to_bytes()
    assert found["a.nii.gz"] == found["b.nii.gz"]
    assert gzip.decompress(found["a.nii.gz"]) == image.to_bytes()


def test_a_new_study_sees_a_new_upload(place):
    """S-18: a hidden cache of listings hid new subjects."""
    place.put({"ds/sub-1/x": "1"})
    assert place.study()._all_subjects == ["sub-1"]
    place.put({"ds/sub-2/x": "2"})
    second = place.study()
    assert second._all_subjects == ["sub-1", "sub-2"]
    assert second.subjects[0].s3_keys["raw"] == ["ds/sub-1/x"]
    place.put({"ds/sub-1/y": "3"})
    assert place.study().subjects[0].s3_keys["raw"] == ["ds/sub-1/x", "ds/sub-1/y"]


def test_keys_are_literal_and_markers_are_no_files(on_moto, out, tree):
    """S-19: keys with ``*?[`` were patterns, and ``ds/sub-01/`` was a file."""
    odd = {"ds/sub-1/a*": "1", "ds/sub-1/a?": "2", "ds/sub-1/[a]": "3", "ds/sub-1/ab": "4"}
    markers = dict.fromkeys(("ds/", "ds/sub-1/", "ds/sub-1/anat/", "ds/sub-3/", "ds/code/"), "")
    on_moto.put({**odd, **markers, "ds/README": "5"})
    study = on_moto.study()
    assert study._all_subjects == ["sub-1", "sub-3"]
    assert study.subjects[0].s3_keys["raw"] == sorted(odd)
    assert study.subjects[1].s3_keys["raw"] == []
    report = study.download(out, True, pbar=False)
    assert set(tree(out)) == {"README", *(key.removeprefix("ds/") for key in odd)}
    assert (report.fetched, report.failed) == (5, 0)
    s3bids._download_from_s3(out / "one", on_moto.bucket, "ds/sub-1/a*")
    assert (out / "one").read_text() == "1"


def test_arguments_are_checked_before_anything_is_fetched(served, proxy, out, tmp_path):
    """S-20: root files were fetched before the TypeError; temporary directories were left."""
    study = served.study()
    before = set(tmp_path.iterdir())
    for option in ({"suffix": 3}, {"include_derivs": 3}, {"overwrite": None}, {"include_modality_agnostic": None}):
        with pytest.raises(TypeError):
            study.download(out, **option)
    assert proxy.counts()["get"] == 0
    assert set(tmp_path.iterdir()) == before


def test_importing_leaves_the_levels_of_loggers_alone():
    """S-20: the level of botocore's logger was reset."""
    script = (
        "import logging; names = ('', 'boto3', 'botocore', 's3fs', 'fsspec'); "
        "before = [logging.getLogger(n).level for n in names]; import s3bids.utils; s3bids.utils.get_s3_client(); "
        "assert before == [logging.getLogger(n).level for n in names]; assert not logging.getLogger().handlers"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
