"""What users get wrong: one clear sentence that names the thing and the next step, before any byte is fetched."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from s3bids import LocalFSParams, LocalStorage, S3BIDSStudy, S3Params
from s3bids.errors import ConfigError, S3BIDSError
from s3bids.testing.faults import Answer, Fault, Page


def sentence(error):
    """Give an error's text, after checking that it is one paragraph of words."""
    text = str(error)
    assert "\n" not in text
    assert 20 < len(text) < 500
    assert not re.search(r"0x[0-9a-f]{6}|Traceback|<Error>|<class", text)
    return text


# Constructing a study


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("study_id", value) for value in (None, 1, b"x", ["x"])),
        *(("bucket", value) for value in (None, 1, b"x", Path("x"))),
        *(("s3_prefix", value) for value in (None, 1, b"ds", Path("ds"), ["ds"])),
        *(("anon", value) for value in (None, 1, "no", np.True_)),
        *(("use_participants_tsv", value) for value in (None, 1, "yes")),
        *(("random_seed", value) for value in (True, 1.0, "1", [1], np.float64(1), np.False_)),
        *(("subjects", value) for value in (True, 1.5, {"1"}, {"1": 2}, b"01", object(), np.array(1.5))),
        *(("subjects", value) for value in (["1", 2], [True], [1.0], [None], np.array([1.5]), np.array([True]))),
        *(("subjects", value) for value in (iter(["1"]), (number for number in (1, 2)), np.array([[1, 2]]))),
        *(("storage", value) for value in (1, "s3://bucket", S3BIDSStudy, {})),
    ],
    ids=lambda value: (
        value if isinstance(value, str) else type(value).__name__ if "object" in repr(value) else repr(value)
    ),
)
def test_an_argument_of_a_wrong_type_is_named(local, argument, value):
    options = {"study_id": "x", "bucket": local.bucket, "s3_prefix": "ds", "storage": local.storage}
    with pytest.raises(TypeError, match=argument):
        S3BIDSStudy(**{**options, argument: value})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"s3_prefix": "/"}, "s3_prefix is '/'; use ''"),
        ({"s3_prefix": "//"}, "s3_prefix is '//'; use ''"),
        ({"bucket": ""}, "bucket"),
        ({"bucket": "s3://{bucket}"}, "give the bucket's name alone"),
        ({"bucket": "{bucket}/ds"}, "give the bucket's name alone, and the rest as s3_prefix"),
        ({"layout": "flat"}, "choose from nested, subject-first, standalone"),
        ({"subjects": 0}, "subjects is 0; ask for at least one"),
        ({"subjects": -1}, "subjects is -1; ask for at least one"),
        ({"subjects": np.int64(0)}, "ask for at least one"),
        ({"subjects": []}, "subjects is an empty sequence; name at least one subject, or 'all'"),
        ({"subjects": ()}, "empty sequence"),
        ({"subjects": range(0)}, "empty sequence"),
        ({"subjects": np.array([], int)}, "empty sequence"),
        ({"subjects": ""}, "has no label"),
        ({"subjects": "sub-"}, "has no label"),
        ({"subjects": ["sub-1", ""]}, "has no label"),
        ({"subjects": "sub-1/anat"}, "holds a '/'"),
        ({"random_seed": -1}, "random_seed must be from 0 to 2**32 - 1, not -1"),
        ({"random_seed": 2**32}, "random_seed must be from 0 to 2**32 - 1"),
        ({"random_seed": 10**30}, "random_seed must be from 0 to 2**32 - 1"),
    ],
    ids=str,
)
def test_an_argument_that_makes_no_sense_is_a_value_error(local, options, text):
    options = {n: v.format(bucket=local.bucket) if isinstance(v, str) else v for n, v in options.items()}
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        S3BIDSStudy(**{"study_id": "x", "bucket": local.bucket, "s3_prefix": "ds", "storage": local.storage} | options)
    sentence(caught.value)


@pytest.mark.parametrize("seed", [-1, 2**32])
@pytest.mark.parametrize("subjects", ["all", "sub-1", ["sub-1"], None, [0]])
def test_a_seed_out_of_range_is_refused_whether_or_not_it_is_used(local, seed, subjects):
    with pytest.raises(ValueError, match="random_seed"):
        local.study(subjects=subjects, random_seed=seed)


@pytest.mark.parametrize("position", [3, -4, 100, 2**70])
def test_a_position_outside_is_an_index_error(local, position):
    with pytest.raises(IndexError, match=f"no subject at position {position}: the study has 3, from 0 on"):
        local.study(subjects=[0, position])


@pytest.mark.parametrize(
    ("subjects", "named", "nearest"),
    [
        ("sub-3", ["sub-3"], ["sub-1", "sub-2"]),
        ("011", ["sub-011"], ["sub-1"]),
        (["sub-1", "sub-100", "20"], ["sub-100", "sub-20"], ["sub-10", "sub-2"]),
        ("SUB-1", ["sub-SUB-1"], ["sub-1"]),
        (["sub-1.json"], ["sub-1.json"], ["sub-1"]),
    ],
)
def test_unknown_subjects_are_named_with_the_nearest(place, keys, subjects, named, nearest):
    place.put(keys)
    with pytest.raises(ValueError, match="the study has no") as caught:
        place.study(subjects=subjects)
    text = sentence(caught.value)
    assert all(name in text for name in named)
    assert all(name in text.partition("nearest")[2] for name in nearest)
    assert "3 subjects" in text


@pytest.mark.parametrize("subjects", [None, 1, "sub-1", ["sub-1"]])
def test_a_subject_of_a_study_without_any_is_a_value_error(by_params, subjects):
    by_params.put({"ds/README": "x"})
    with pytest.raises(ValueError, match=r"no subjects|has no sub-1"):
        by_params.study(subjects=subjects)


# Where the study is


def test_an_unknown_bucket_is_named(place):
    with pytest.raises(FileNotFoundError, match="bucket-that-is-not") as caught:
        S3BIDSStudy("x", "bucket-that-is-not", "ds", storage=_like(place, "bucket-that-is-not"))
    assert "does not exist" in sentence(caught.value)


def _like(place, bucket):
    if place.storage is None:
        return None
    return LocalFSParams(use_local_fs=True, root_dir=place.root, user="", bucket_name=bucket)


@pytest.mark.parametrize("prefix", ["", "ds"])
def test_an_empty_bucket_is_named(place, prefix):
    with pytest.raises(FileNotFoundError, match=place.bucket) as caught:
        place.study(prefix)
    assert f"under the prefix {prefix!r}" in sentence(caught.value)


def test_a_storage_of_another_bucket_is_refused(local):
    with pytest.raises(ValueError, match=f"'{local.bucket}', the study of 'other'"):
        S3BIDSStudy("x", "other", "ds", storage=LocalStorage(local.storage))


def test_denied_access_is_a_permission_error(served, proxy):
    proxy.script(Fault("list", times=None, action=Answer(403, "AccessDenied")))
    with pytest.raises(PermissionError, match=r"access denied .*anon=False") as caught:
        served.study()
    assert served.bucket in sentence(caught.value)


def test_a_denied_file_is_listed_and_others_come(served, proxy, out, tree):
    proxy.script(Fault("get", "*/sub-2_T1w.nii.gz", times=None, action=Answer(403, "AccessDenied")))
    with pytest.raises(OSError, match="1 file could not be downloaded") as caught:
        served.study(subjects=["2", "10"]).download(out, pbar=False)
    (failure,) = caught.value.failures
    assert (failure.key, failure.attempts) == ("ds/sub-2/anat/sub-2_T1w.nii.gz", 1)
    assert "access denied" in failure.reason
    assert set(tree(out)) == {"dataset_description.json", "sub-10/anat/sub-10_T1w.nii.gz"}


def test_no_credentials_are_a_permission_error(served, proxy):
    with pytest.raises(PermissionError, match=r"AWS_ACCESS_KEY_ID.*anon=True") as caught:
        served.study(anon=False)
    assert served.bucket in sentence(caught.value)
    assert proxy.requests == []


def test_half_of_the_credentials_is_a_value_error(served, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    with pytest.raises(ValueError, match="AWS_SECRET_ACCESS_KEY") as caught:
        served.study(anon=False)
    sentence(caught.value)


def test_an_unreachable_server_is_a_connection_error(monkeypatch):
    # The port of discard (RFC 863), which nobody serves.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9.*check the network and the endpoint") as caught:
        S3BIDSStudy("x", "bucket", "ds")
    sentence(caught.value)


@pytest.mark.parametrize("url", ["localhost:9000", "ftp://localhost", "http://", "nonsense"])
def test_an_endpoint_that_is_no_address_is_named(monkeypatch, url):
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(ValueError, match=f"AWS_ENDPOINT_URL is '{url}'") as caught:
        S3BIDSStudy("x", "bucket", "ds")
    sentence(caught.value)


def test_a_web_page_in_place_of_a_listing_is_an_error(served, proxy):
    proxy.script(Fault("list", times=None, action=Page()))
    with pytest.raises(S3BIDSError) as caught:
        served.study()
    assert served.bucket in sentence(caught.value)


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"LOCAL_FS": "1"}, "LOCAL_FS_ROOT_DIR is not set"),
        ({"LOCAL_FS": "yes", "LOCAL_FS_ROOT_DIR": "/anywhere"}, "LOCAL_FS is 'yes'; set it to 1"),
        ({"LOCAL_FS": "1", "LOCAL_FS_ROOT_DIR": "/nowhere"}, "/nowhere/bucket.*LOCAL_FS_ROOT_DIR"),
    ],
    ids=["no-root", "no-number", "no-directory"],
)
def test_a_wrong_local_emulation_is_named(monkeypatch, variables, text):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((ValueError, FileNotFoundError), match=text) as caught:
        S3BIDSStudy("x", "bucket", "ds")
    sentence(caught.value)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("", "it is empty"),
        ("name\tage\nx\t1\n", "no column participant_id or subject_id, only 'name', 'age'"),
        ("participant_id\tage\nsub-1\n", "line 2 has 1 cell, the header has 2"),
        ("participant_id\nsub-1\n1\n", "sub-1 is on line 2 and on line 3"),
        (None, "the study has no participants.tsv; use use_participants_tsv=False"),
    ],
)
def test_a_bad_participant_table_is_named(local, table, text):
    local.remove("ds/participants.tsv")
    if table is not None:
        local.put({"ds/participants.tsv": table})
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(text)) as caught:
        local.study(use_participants_tsv=True)
    assert "ds/participants.tsv" in sentence(caught.value)


# Downloading


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"directory": 3}, TypeError, "directory must be a path, not int"),
        ({"directory": "s3://bucket/x"}, ValueError, "directory is 's3://bucket/x', an address"),
        ({"directory": ""}, ValueError, "directory is empty; name the directory to download to"),
        ({"include_modality_agnostic": None}, TypeError, "include_modality_agnostic must be"),
        ({"include_modality_agnostic": 1}, TypeError, "include_modality_agnostic must be"),
        ({"include_modality_agnostic": [1]}, TypeError, "include_modality_agnostic must be"),
        ({"include_modality_agnostic": {"README"}}, TypeError, "include_modality_agnostic must be"),
        (
            {"include_modality_agnostic": "participants.tsv"},
            ValueError,
            "cannot be 'participants.tsv'; choose from data",
        ),
        ({"include_modality_agnostic": ["README", "readme"]}, ValueError, "cannot be 'readme'; choose from data"),
        ({"include_modality_agnostic": ""}, ValueError, "cannot be ''; choose from data"),
        ({"include_derivs": None}, TypeError, "include_derivs must be"),
        ({"include_derivs": 1}, TypeError, "include_derivs must be"),
        ({"include_derivs": [1]}, TypeError, "include_derivs must be"),
        ({"include_derivs": {"afq": 1}}, TypeError, "include_derivs must be"),
        ({"include_derivs_dataset_description": None}, TypeError, "include_derivs_dataset_description must be"),
        ({"suffix": ["a"]}, TypeError, "suffix must be text or None, not list"),
        ({"overwrite": "yes"}, TypeError, "overwrite must be True or False, not str"),
        ({"pbar": None}, TypeError, "pbar must be True or False, not NoneType"),
        ({"n_jobs": 1.5}, TypeError, "n_jobs must be an integer or None, not float"),
        ({"n_jobs": True}, TypeError, "n_jobs must be an integer or None, not bool"),
        ({"n_jobs": 0}, ValueError, "n_jobs is 0; give at least 1, or -1 for all cores"),
        ({"n_jobs": 10**11}, ConfigError, "n_jobs is 100000000000; no machine runs so many processes"),
        ({"verify": "md5"}, ValueError, "verify is 'md5'; choose from size, etag, sha256"),
        ({"verify": None}, ValueError, "verify is None; choose from size, etag, sha256"),
        ({"dry_run": 1}, TypeError, "dry_run must be True or False, not int"),
        ({"overwrit": True}, TypeError, "overwrit"),
    ],
    ids=str,
)
def test_a_wrong_argument_of_a_download_is_named_before_anything_is_asked(served, proxy, out, options, kind, text):
    study = served.study()
    proxy.reset()
    with pytest.raises(kind, match=re.escape(text)) as caught:
        study.download(**{"directory": out, **options})
    sentence(caught.value)
    assert proxy.requests == []
    assert not out.exists()


@pytest.mark.parametrize("where", ["file", "file/below", "link/below", "x" * 300])
def test_a_directory_that_cannot_be_used_is_named_before_anything_is_fetched(served, proxy, tmp_path, where):
    (tmp_path / "file").write_text("of the user")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    study = served.study()
    before = set(tmp_path.iterdir())
    for download in (study.download, study.subjects[0].download, study._download_non_sub_keys):
        with pytest.raises(OSError, match="cannot download to") as caught:
            download(tmp_path / where)
        assert isinstance(caught.value, S3BIDSError)
        if len(where) < 100:
            assert where in sentence(caught.value)
    assert proxy.counts()["get"] == 0
    assert set(tmp_path.iterdir()) == before
    assert (tmp_path / "file").read_text() == "of the user"


def test_explicit_parameters_are_not_mixed_with_the_environment(on_moto, moto, monkeypatch):
    on_moto.put({"ds/sub-1/x": "x"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LOCAL_FS", "1")
    params = S3Params(on_moto.bucket, moto.url, moto.access_key, moto.secret_key)
    assert S3BIDSStudy("x", on_moto.bucket, "ds", storage=params)._all_subjects == ["sub-1"]
