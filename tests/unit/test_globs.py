"""Globs over paths."""

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3bids.bids.globs import compile_globs, literal_start
from s3bids.errors import ConfigError


def chooses(glob, path):
    return bool(compile_globs([glob]).match(path))


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("*_T1w.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz", True),
        ("*_T1w.nii.gz", "sub-01_T1w.nii.gz", True),
        ("*_T1w.nii", "sub-01/anat/sub-01_T1w.nii.gz", False),
        ("*T1w*", "sub-01/anat/sub-01_T1w.nii.gz", True),
        ("sub-01/anat/*", "sub-01/anat/sub-01_T1w.json", True),
        ("sub-01/anat/*", "sub-01/anat/deep/x", True),
        ("sub-01/anat/*", "sub-010/anat/x", False),
        ("sub-01/*.json", "sub-01/anat/x.json", False),
        ("sub-*/**/*.json", "sub-01/x.json", True),
        ("sub-*/**/*.json", "sub-01/ses-1/func/x.json", True),
        ("**/func/*", "func/x", True),
        ("**/func/*", "sub-1/func/x", True),
        ("**", "README", True),
        ("anat/", "sub-01/anat/x", True),
        ("anat/", "sub-01/anat", False),
        ("anat", "sub-01/anat/x", True),
        ("sub-01", "sub-01/anat/x", True),
        ("sub-01", "sub-010/anat/x", False),
        ("*_meg.ds", "sub-01/meg/sub-01_meg.ds/deep/x", True),
        ("code/run.py", "code/run.py", True),
        ("code/run.py", "x/code/run.py", False),
        ("*run-[0-2]*", "sub/run-2_bold", True),
        ("*run-[0-2]*", "sub/run-3_bold", False),
        ("[!a]b", "cb", True),
        ("[!a]b", "ab", False),
        ("[!]]", "x", True),
        ("[!]]", "]", False),
        ("[]]", "]", True),
        ("[&&|]", "|", True),
        ("[a--]", "-", True),
        ("[", "[", True),
        ("a[", "a[", True),
        ("s?b", "sub", True),
        ("s?b", "s/b", False),
        ("***a***b", "xx/xaxxb", True),
        ("SUB-01", "sub-01", False),
        ("*.json", "a\nb.json", True),
        ("a.c", "abc", False),
    ],
)
def test_a_glob_chooses_paths(glob, path, expected):
    assert chooses(glob, path) is expected


@settings(max_examples=120, deadline=None)
@given(st.text("ab*?[]!-", min_size=1, max_size=8), st.text("ab-]", min_size=1, max_size=6))
def test_a_glob_of_one_name_is_that_of_the_standard_library(glob, name):
    try:
        found = chooses(glob, name)
    except ConfigError:
        return
    assert found == fnmatch.fnmatchcase(name, glob)


@pytest.mark.parametrize("glob", ["", "/", "/code", "a//b", "../x", "a/../b", "[b-a]"])
def test_a_glob_that_can_choose_nothing_is_refused(glob):
    with pytest.raises(ConfigError, match="glob"):
        compile_globs([glob])


def test_a_glob_of_another_type_is_refused():
    with pytest.raises(TypeError, match="int"):
        compile_globs([1])


def test_several_globs_choose_what_one_of_them_does():
    found = compile_globs(["*.json", "code/"])
    assert [bool(found.match(path)) for path in ("a.json", "code/x", "a.nii")] == [True, True, False]
    assert compile_globs([]) is None


@pytest.mark.parametrize(
    ("glob", "start"),
    [
        ("code/tools/*.py", "code/tools"),
        ("code/x.py", "code"),
        ("code/", "code"),
        ("code/a/", "code/a"),
        ("code", "code"),
        ("code/*/x", "code"),
        ("*.json", ""),
        ("**/x", ""),
        ("c[o]de/x", ""),
    ],
)
def test_where_a_glob_begins_is_known_from_its_text(glob, start):
    assert literal_start(glob) == start
