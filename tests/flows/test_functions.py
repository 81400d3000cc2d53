"""The functions of s3bids 0.1.7 that its users call by themselves."""

from __future__ import annotations

import gzip
import io
import json

import nibabel as nib
import numpy as np
import pytest

from s3bids import (
    _download_from_s3,
    _get_matching_s3_keys,
    _ls_s3fs,
    get_s3_client,
    read_json,
    s3fs_json_read,
    s3fs_json_write,
    s3fs_nifti_read,
    s3fs_nifti_write,
    to_bids_description,
    write_json,
)


@pytest.fixture(params=["on_rclone", "by_environment"])
def place(request):
    """Two places to which the environment alone directs a program; moto serves where they cannot hold the keys."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def signed(monkeypatch):
    """Credentials in the environment, which moto and rclone both take."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")


# get_s3_client


def test_a_client_is_new_at_every_call_and_goes_where_the_environment_says(on_moto, moto):
    clients = [get_s3_client(), get_s3_client(anon=True)]
    assert clients[0] is not clients[1]
    assert {client.meta.endpoint_url for client in clients} == {moto.url}
    on_moto.put({"a": "content"})
    assert clients[0].get_object(Bucket=on_moto.bucket, Key="a")["Body"].read() == b"content"
    for client in clients:
        client.close()


@pytest.mark.parametrize("anon", [True, False])
@pytest.mark.usefixtures("signed")
def test_a_client_signs_unless_it_is_anonymous(counted, proxy, anon):
    client = get_s3_client(anon)
    client.list_objects_v2(Bucket=counted.bucket)
    client.close()
    assert [request.is_signed for request in proxy.requests] == [not anon]


# _ls_s3fs


@pytest.mark.parametrize(
    ("prefix", "subjects", "other"),
    [
        ("{}/ds", ["sub-1", "sub-1.json", "sub-10", "sub-1_scans.tsv", "sub-2"], None),
        ("s3://{}/ds/", ["sub-1", "sub-1.json", "sub-10", "sub-1_scans.tsv", "sub-2"], None),
        ("{}/ds/derivatives/qsiprep", ["sub-1", "sub-1.html"], []),
        ("{}/ds/derivatives/afq", ["sub-1", "sub-10"], ["dataset_description.json"]),
        ("{}/ds/sub-1/anat", ["sub-1_T1w.json", "sub-1_T1w.nii.gz"], []),
        ("{}/ds/none", [], []),
        ("{}/d", [], []),
    ],
)
def test_one_level_is_listed_sorted_with_the_bucket(place, keys, prefix, subjects, other):
    place.put(keys)
    if other is None:
        other = ["CHANGES", "README", "code", "dataset_description.json", "derivatives", "participants.tsv"]
    start = prefix.format(place.bucket).removeprefix("s3://").rstrip("/")
    assert _ls_s3fs(prefix.format(place.bucket)) == {
        "subjects": [f"{start}/{name}" for name in subjects],
        "other": [f"{start}/{name}" for name in other],
    }


@pytest.mark.parametrize("suffix", ["", "/"])
def test_the_top_of_a_bucket_is_a_level(place, suffix):
    place.put({"sub-1/x": "x", "sub-/x": "x", "sub": "x"})
    bucket = place.bucket
    assert _ls_s3fs(f"{bucket}{suffix}") == {
        "subjects": [f"{bucket}/sub-1"],
        "other": [f"{bucket}/sub", f"{bucket}/sub-"],
    }


def test_a_file_beside_a_directory_of_its_name_is_listed_once(on_moto):
    on_moto.put({"ds/a": "x", "ds/a/b": "x"})
    assert _ls_s3fs(f"{on_moto.bucket}/ds")["other"] == [f"{on_moto.bucket}/ds/a"]


def test_a_missing_bucket_is_named(place):
    for call in (
        lambda: _ls_s3fs("no-such-bucket/ds"),
        lambda: next(_get_matching_s3_keys("no-such-bucket", "ds")),
        lambda: _download_from_s3("x", "no-such-bucket", "ds/x"),
    ):
        with pytest.raises(FileNotFoundError, match="no-such-bucket"):
            call()
    assert place.bucket


# _get_matching_s3_keys

KEYS = ("ds/sub-1.json", "ds/sub-1/a.json", "ds/sub-1/b.tsv", "ds/sub-10/a.json", "ds/sub-2/[x].tsv", "e/x.json")


@pytest.mark.parametrize(
    ("prefix", "suffix", "expected"),
    [
        ("", "", (0, 1, 2, 3, 4, 5)),
        ("ds/sub-1", "", (0, 1, 2, 3)),
        ("ds/sub-1/", "", (1, 2)),
        ("ds/sub-1", ".json", (0, 1, 3)),
        ("ds/sub-2/[", "", (4,)),
        ("ds/s*", "", ()),
        ("none", "", ()),
        (("ds/sub-2", "ds/sub-10"), "", (4, 3)),
        (("ds/sub-1", "ds/sub-10", "ds/sub-1/"), "", (0, 1, 2, 3)),
        ("ds", (".tsv", "x.json"), (2, 4)),
        ((), "", ()),
        ("", (), ()),
    ],
)
def test_keys_match_as_text_and_come_once(place, prefix, suffix, expected):
    place.put(dict.fromkeys(KEYS, "x"))
    found = _get_matching_s3_keys(place.bucket, prefix, suffix)
    assert list(found) == [KEYS[index] for index in expected]
    assert next(found, None) is None


@pytest.mark.parametrize("option", [{"prefix": ["ds"]}, {"suffix": [".json"]}, {"prefix": (1,)}, {"suffix": None}])
def test_a_list_is_refused(place, option):
    with pytest.raises(TypeError, match=next(iter(option))):
        list(_get_matching_s3_keys(place.bucket, **option))


def test_each_prefix_is_listed_by_itself_and_only_as_far_as_asked(counted, proxy):
    counted.put({f"ds/sub-{number}/x": "x" for number in range(20)})
    assert len(list(_get_matching_s3_keys(counted.bucket, ("ds/sub-3/", "ds/sub-4/")))) == 2
    assert [request.prefix for request in proxy.requests] == ["ds/sub-3/", "ds/sub-4/"]


def test_markers_are_no_keys(on_moto):
    on_moto.put({"ds/": "", "ds/a": "", "ds/a/": "", "ds/a/b": "x", "ds/c/": ""})
    assert list(_get_matching_s3_keys(on_moto.bucket, "ds/")) == ["ds/a", "ds/a/b"]


def test_pages_are_followed(counted, proxy):
    keys = [f"ds/{number:04}" for number in range(1005)]
    counted.put(dict.fromkeys(keys, "x"))
    assert list(_get_matching_s3_keys(counted.bucket, "ds/")) == keys
    assert proxy.counts()["list"] == 2


# _download_from_s3


@pytest.mark.parametrize("key", ["ds/a.txt", "ds/a *[b]?.txt", "ds/a+b%20#.txt", "ds/é.txt", "ds/empty"])
def test_an_object_is_written_whole_with_its_parents(place, tmp_path, key):
    content = "" if key == "ds/empty" else key
    place.put({key: content, "ds/ab.txt": "another"})
    target = tmp_path / "deep" / "down" / "file"
    assert _download_from_s3(str(target), place.bucket, key) is None
    assert target.read_text() == content


def test_an_existing_file_stays_and_nothing_is_asked(counted, proxy, tmp_path):
    counted.put({"a": "new"})
    target = tmp_path / "a"
    target.write_text("old")
    _download_from_s3(target, counted.bucket, "a")
    assert (target.read_text(), proxy.requests) == ("old", [])
    _download_from_s3(fname=target, bucket=counted.bucket, key="a", overwrite=True, anon=True)
    assert (target.read_text(), proxy.counts()["get"], proxy.counts()["head"]) == ("new", 1, 0)


def test_a_failure_leaves_neither_file_nor_directory(place, tmp_path):
    before = set(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match="ds/none"):
        _download_from_s3(tmp_path / "new" / "file", place.bucket, "ds/none")
    assert set(tmp_path.iterdir()) == before
    (tmp_path / "old").write_text("old")
    with pytest.raises(FileNotFoundError):
        _download_from_s3(tmp_path / "old", place.bucket, "ds/none", overwrite=True)
    assert (tmp_path / "old").read_text() == "old"


# JSON


VALUES = [{"a": [1, 2.5, None, True, "é日"]}, [], 0, "text", None]


@pytest.mark.parametrize("value", VALUES)
def test_any_json_value_goes_to_a_file_and_back(tmp_path, value):
    assert write_json(tmp_path / "x.json", value) is None
    assert read_json(str(tmp_path / "x.json")) == value


@pytest.mark.parametrize(("value", "address"), [(VALUES, "{}/deep/x.json"), (None, "s3://{}/y.json")])
@pytest.mark.usefixtures("signed")
def test_any_json_value_goes_to_an_object_and_back(place, value, address):
    assert s3fs_json_write(value, address.format(place.bucket)) is None
    assert s3fs_json_read(address.format(place.bucket)) == value


@pytest.mark.usefixtures("signed")
def test_json_of_others_is_read(place, tmp_path):
    texts = {"bom": b'\xef\xbb\xbf{"a": 1}', "empty": b""}
    place.put(texts)
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    assert s3fs_json_read(f"{place.bucket}/bom") == read_json(str(tmp_path / "bom")) == {"a": 1}
    for read in (lambda: s3fs_json_read(f"{place.bucket}/empty"), lambda: read_json(tmp_path / "empty")):
        with pytest.raises(json.JSONDecodeError):
            read()
    for read in (lambda: s3fs_json_read(f"{place.bucket}/none"), lambda: read_json(tmp_path / "none")):
        with pytest.raises(FileNotFoundError, match="none"):
            read()


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"bytes", float("inf"), np.complex64(1)], ids=lambda v: type(v).__name__
)
def test_what_json_cannot_express_changes_nothing(tmp_path, value):
    path = tmp_path / "x.json"
    write_json(str(path), {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, value)
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_directory_is_named(tmp_path):
    for write in (lambda: write_json(tmp_path / "none" / "x.json", 1), lambda: to_bids_description(tmp_path / "none")):
        with pytest.raises(FileNotFoundError, match="none does not exist"):
            write()


@pytest.mark.parametrize("as_text", [True, False])
def test_a_description_holds_its_keywords(tmp_path, as_text):
    path = str(tmp_path) if as_text else tmp_path
    assert to_bids_description(path, Name="first", Subjects=["sub-1"]) is None
    to_bids_description(path, Name="second", DatasetType="raw")
    assert read_json(tmp_path / "dataset_description.json") == {
        "Name": "second",
        "DatasetType": "raw",
        "BIDSVersion": "1.4.0",
    }
    to_bids_description(path, "other.json", "1.9.0")
    assert read_json(tmp_path / "other.json") == {"BIDSVersion": "1.9.0"}


# File systems of the caller


class Memory:
    """Anything with ``open(path, mode)``."""

    def __init__(self):
        self.files = {}

    def open(self, path, mode):
        if mode == "rb":
            if path not in self.files:
                raise FileNotFoundError(path)
            return io.BytesIO(self.files[path])
        file = io.BytesIO()
        file.close = lambda: self.files.__setitem__(path, file.getvalue())
        return file


@pytest.mark.parametrize("name", ["b/x.nii", "b/x.nii.gz"])
def test_any_file_system_serves(name):
    fs = Memory()
    s3fs_json_write({"a": 1}, "b/x.json", fs=fs)
    assert s3fs_json_read("b/x.json", fs) == {"a": 1}
    image = nib.Nifti1Image(np.arange(24.0).reshape(2, 3, 4), np.eye(4))
    s3fs_nifti_write(image, name, fs=fs)
    assert (s3fs_nifti_read(name, fs).get_fdata() == image.get_fdata()).all()
    for read in (s3fs_json_read, s3fs_nifti_read):
        with pytest.raises(FileNotFoundError):
            read("b/none", fs)


def test_the_file_system_of_s3fs_serves(on_moto, moto):
    import s3fs

    options = {"endpoint_url": moto.url, "key": moto.access_key, "secret": moto.secret_key}
    fs = s3fs.S3FileSystem(**options, skip_instance_cache=True)
    image = nib.Nifti1Image(np.arange(24.0).reshape(2, 3, 4), np.eye(4))
    s3fs_nifti_write(image, f"{on_moto.bucket}/x.nii.gz", fs=fs)
    assert (s3fs_nifti_read(f"{on_moto.bucket}/x.nii.gz", fs=fs).get_fdata() == image.get_fdata()).all()
    s3fs_json_write([1], f"{on_moto.bucket}/x.json", fs)
    assert s3fs_json_read(f"{on_moto.bucket}/x.json", fs) == [1]


# Images


@pytest.mark.parametrize(("kind", "name"), [(nib.Nifti1Image, "x.nii"), (nib.Nifti2Image, "x.nii.gz")])
@pytest.mark.usefixtures("signed")
def test_an_image_goes_to_an_object_and_back(place, kind, name):
    image = kind(np.random.default_rng(0).normal(size=(20, 30, 40)), np.diag([2, 2, 2, 1]))
    assert s3fs_nifti_write(image, f"{place.bucket}/{name}") is None
    found = s3fs_nifti_read(f"s3://{place.bucket}/{name}")
    assert isinstance(found, nib.Nifti1Image)
    assert type(found) is kind
    assert (found.affine == image.affine).all()
    assert (found.dataobj[..., 39] == image.dataobj[..., 39]).all()
    assert (found.get_fdata() == image.get_fdata()).all()


def test_compression_is_seen_from_the_content(place):
    """0.1.7 stored gzip under ``.nii``."""
    image = nib.Nifti1Image(np.arange(8.0).reshape(2, 2, 2), np.eye(4))
    place.put({"x.nii": gzip.compress(image.to_bytes()), "y.nii.gz": image.to_bytes()})
    for name in ("x.nii", "y.nii.gz"):
        assert (s3fs_nifti_read(f"{place.bucket}/{name}", anon=True).get_fdata() == image.get_fdata()).all()


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"no image at all", ValueError), (b"", ValueError), (b"\x1f\x8bdamaged", ValueError), (None, FileNotFoundError)],
)
def test_what_is_no_image_is_named(place, content, error):
    if content is not None:
        place.put({"x.nii.gz": content})
    with pytest.raises(error, match=r"x\.nii\.gz"):
        s3fs_nifti_read(f"{place.bucket}/x.nii.gz", anon=True)


@pytest.mark.parametrize(
    ("image", "name", "error"),
    [
        ("text", "b/x.nii", TypeError),
        (nib.AnalyzeImage(np.zeros((2, 2, 2), np.int16), np.eye(4)), "b/x.nii", TypeError),
        (nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), "b/x.img", ValueError),
        (nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), "b/x.NII.GZ", ValueError),
    ],
    ids=["text", "analyze", "img", "upper-case"],
)
def test_what_cannot_be_written_is_refused_before_anything_is_sent(counted, proxy, image, name, error):
    with pytest.raises(error):
        s3fs_nifti_write(image, name)
    assert (proxy.requests, counted.bucket != "b") == ([], True)


@pytest.mark.parametrize("address", ["bucket", "", "s3://", "s3://bucket/", "/key"])
@pytest.mark.parametrize("read", [s3fs_json_read, s3fs_nifti_read], ids=["json", "nifti"])
def test_an_address_without_a_key_is_refused(read, address):
    with pytest.raises(ValueError, match="names no object"):
        read(address)
