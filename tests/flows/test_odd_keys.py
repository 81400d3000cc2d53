"""Keys that break other tools: they are fetched or refused by name, and the others come in any case."""

from __future__ import annotations

import pytest

from s3bids import DownloadError

#: Names that a file can have.
HARMLESS = (
    *(
        "a b",
        " a ",
        "a+b",
        "a#b",
        "a%b",
        "a%20b",
        "a%2Fb",
        "a&b=c",
        "a?b",
        "*?[a]",
        "a:b",
        "a;b,c",
        "a'b\"c",
        "<a>",
        "$a@b",
    ),
    *("~a", ".a", "a.", "...", "é", "e\u0301", "日本", "😀", "a\\b", "-rf", "{a}", "a|b", "a\u2028b", "a\tb", "a\rb"),
    *("deep/" * 20 + "x", "n" * 255, "CON", "sub-1", "derivatives/x"),
)
#: Keys that no file below the directory can have, relative to the study, and a word of the reason.
REFUSED = {
    "sub-1/../evil": "'..'",
    "sub-1/../../evil": "'..'",
    "sub-1/../../../../../../tmp/evil": "'..'",
    "sub-1/a/..": "'..'",
    "sub-1//x": "empty",
    "sub-1/a//b": "empty",
    "sub-1/./x": "'.'",
    "sub-1/a/.": "'.'",
    "sub-1///": "empty",
}
FINE = {"sub-1/fine", "sub-1/a/also"}


@pytest.fixture(params=["on_moto", "on_rclone", "by_params"])
def place(request):
    return request.getfixturevalue(request.param)


def test_harmless_names_come_as_they_are(place, out, tree):
    # rclone lists control characters as pictures of themselves.
    names = [name for name in HARMLESS if place.storage is not None or not set(name) & set("\t\r")]
    place.put({f"ds/sub-1/{name}": name for name in names})
    study = place.study()
    assert study.subjects[0].s3_keys["raw"] == sorted(f"ds/sub-1/{name}" for name in names)
    study.download(out, pbar=False)
    assert tree(out) == {f"sub-1/{name}": name.encode() for name in names}
    assert study.download(out, pbar=False).skipped == len(names)


@pytest.mark.parametrize("name", ["tab\there", "return\rhere", "bell\x07here", "del\x7fhere"])
def test_control_characters_come_as_they_are(on_moto, out, tree, name):
    on_moto.put({f"ds/sub-1/{name}": "odd", "ds/sub-1/fine": "fine"})
    on_moto.study().download(out, pbar=False)
    assert tree(out) == {f"sub-1/{name}": b"odd", "sub-1/fine": b"fine"}


@pytest.mark.parametrize("key", REFUSED)
def test_a_key_that_no_file_can_have_is_refused_by_name(on_moto, out, tree, tmp_path, key):
    on_moto.put({f"ds/{path}": "x" for path in (key, *FINE)})
    study = on_moto.study()
    if key == "sub-1///":
        # A key that ends in a slash is a directory marker, and never a file.
        assert study.download(out, pbar=False).failed == 0
    else:
        with pytest.raises(DownloadError) as caught:
            study.download(out, pbar=False)
        (failure,) = caught.value.failures
        assert (failure.key, failure.attempts) == (f"ds/{key}", 0)
        assert REFUSED[key] in failure.reason
        assert key in str(caught.value)
    assert set(tree(out)) == FINE
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert set(study.subjects[0].files["raw"]) == {f"ds/{path}" for path in FINE}


@pytest.mark.parametrize("prefix", ["ds", "", "a/b/ds"])
def test_all_odd_keys_together_break_nothing(on_moto, out, tree, tmp_path, prefix):
    start = f"{prefix}/" if prefix else ""
    refused = [key for key in REFUSED if not key.endswith("/")]
    markers = ["sub-1/", "sub-1/a/", "sub-2/", "code/", *([""] if prefix else [])]
    others = ["README", "code/run.py"]
    on_moto.put({f"{start}{path}": path for path in (*FINE, *refused, *others)})
    on_moto.put({f"{start}{path}": "" for path in markers})
    study = on_moto.study(prefix)
    assert study._all_subjects == ["sub-1", "sub-2"]
    with pytest.raises(DownloadError) as caught:
        study.download(out, True, pbar=False)
    assert {failure.key for failure in caught.value.failures} == {f"{start}{key}" for key in refused}
    assert set(tree(out)) == FINE | set(others)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("key", ["../evil", "//x", "./x", "/x", "..", "code/../../evil", "code//x"])
def test_an_odd_key_at_the_root_of_the_study_breaks_nothing(on_moto, out, tree, tmp_path, key):
    on_moto.put({f"ds/{path}": "x" for path in (key, "README", "code/run.py", *FINE)})
    study = on_moto.study()
    assert study._all_subjects == ["sub-1"]
    study.download(out / "without", pbar=False)
    assert set(tree(out / "without")) == FINE
    with pytest.raises(DownloadError) as caught:
        study.download(out / "with", True, pbar=False)
    assert [failure.key for failure in caught.value.failures] == [f"ds/{key}"]
    assert set(tree(out / "with")) == FINE | {"README", "code/run.py"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("key", ["derivatives/../evil", "derivatives//x", "derivatives/afq/sub-1/../../evil"])
def test_an_odd_key_among_the_derivatives_breaks_nothing(on_moto, out, tree, tmp_path, key):
    on_moto.put({f"ds/{path}": "x" for path in (key, "derivatives/afq/sub-1/x", *FINE)})
    study = on_moto.study()
    names = [kind.rpartition("/")[2] for kind in study.derivative_types]
    assert "afq" in names
    if key == "derivatives/afq/sub-1/../../evil":
        with pytest.raises(DownloadError) as caught:
            study.download(out, False, "afq", pbar=False)
        assert [failure.key for failure in caught.value.failures] == [f"ds/{key}"]
    else:
        study.download(out, False, "afq", pbar=False)
    assert set(tree(out)) == FINE | {"derivatives/afq/sub-1/x"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_directory_above_the_destination_is_not_even_looked_at(on_moto, out, tmp_path):
    """A key with ``..`` names a place whose unfinished files are none of ours."""
    neighbour = tmp_path / "neighbour"
    neighbour.mkdir()
    on_moto.put({"ds/sub-1/../../neighbour/x": "x", "ds/sub-1/fine": "x"})
    # As left by a process of this computer that is gone.
    from s3bids.storage.files import part_name

    host = part_name().split("-")[1]
    other = neighbour / f".s3bids-{host}-4194305-0-01234567.part"
    other.touch()
    with pytest.raises(DownloadError):
        on_moto.study().download(out, pbar=False)
    assert other.exists()


@pytest.mark.parametrize("name", ["n" * 256, "é" * 128, "n" * 300 + "/x"], ids=["file", "letters", "directory"])
def test_a_name_that_the_file_system_cannot_hold_fails_alone(on_moto, out, tree, name):
    on_moto.put({f"ds/sub-1/{path}": "x" for path in (name, "fine")})
    with pytest.raises(DownloadError) as caught:
        on_moto.study().download(out, pbar=False)
    (failure,) = caught.value.failures
    assert failure.key == f"ds/sub-1/{name}"
    assert "too long" in failure.reason
    assert set(tree(out)) == {"sub-1/fine"}


def test_a_key_that_is_also_a_directory_is_refused_and_what_is_below_comes(on_moto, out, tree):
    on_moto.put({f"ds/sub-1/{path}": "x" for path in ("a", "a/b", "a/c/d", "a.b")})
    with pytest.raises(DownloadError) as caught:
        on_moto.study().download(out, pbar=False)
    (failure,) = caught.value.failures
    assert failure.key == "ds/sub-1/a"
    assert "directory" in failure.reason
    assert set(tree(out)) == {"sub-1/a/b", "sub-1/a/c/d", "sub-1/a.b"}


def test_a_marker_beside_its_directory_is_no_file(on_moto, out, tree):
    markers = (
        "ds/",
        "ds/sub-1/",
        "ds/sub-1/anat/",
        "ds/derivatives/",
        "ds/derivatives/afq/",
        "ds/derivatives/afq/sub-1/",
    )
    on_moto.put(dict.fromkeys(markers, ""))
    on_moto.put({"ds/sub-1/anat/x": "x", "ds/sub-1/empty": "", "ds/derivatives/afq/sub-1/y": "y"})
    study = on_moto.study()
    assert study.non_sub_s3_keys == {"raw": [], "derivatives": [[]]}
    assert study.subjects[0].s3_keys == {
        "raw": ["ds/sub-1/anat/x", "ds/sub-1/empty"],
        "derivatives": {f"{on_moto.bucket}/ds/derivatives/afq": ["ds/derivatives/afq/sub-1/y"]},
    }
    study.download(out, True, True, pbar=False)
    assert tree(out) == {"sub-1/anat/x": b"x", "sub-1/empty": b"", "derivatives/afq/sub-1/y": b"y"}


def test_our_own_records_cannot_be_overwritten_from_outside(place, out, tree):
    place.put({"ds/.s3bids/manifest-0.jsonl": "evil", "ds/.S3BIDS/x": "evil", "ds/sub-1/.s3bids/x": "fine"})
    with pytest.raises(DownloadError) as caught:
        place.study().download(out, True, pbar=False)
    assert {failure.key for failure in caught.value.failures} == {"ds/.s3bids/manifest-0.jsonl", "ds/.S3BIDS/x"}
    assert tree(out) == {"sub-1/.s3bids/x": b"fine"}
    assert not (out / ".s3bids" / "manifest-0.jsonl").exists()
