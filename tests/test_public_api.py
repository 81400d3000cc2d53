"""The public names, their signatures and their documentation: what code written for s3bids 0.1.7 relies on."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect

import pytest

import s3bids
import s3bids.utils

PUBLIC = [
    "DownloadError",
    "DownloadReport",
    "HBNSite",
    "HBNSubject",
    "ImageHeader",
    "LoadedImage",
    "LocalFSParams",
    "LocalStorage",
    "OpenNeuroStudy",
    "S3BIDSError",
    "S3BIDSStudy",
    "S3BIDSSubject",
    "S3Params",
    "S3Storage",
    "get_default_params",
    "get_s3_client",
    "get_storage",
    "load_study",
    "read_header",
    "read_json",
    "read_json_object",
    "read_nifti",
    "s3fs_json_read",
    "s3fs_json_write",
    "s3fs_nifti_read",
    "s3fs_nifti_write",
    "save_study",
    "to_bids_description",
    "verify_directory",
    "write_json",
    "write_json_object",
    "write_nifti",
]

#: The names of s3bids 0.1.7, found in two places.
OF_0_1_7 = [
    "S3BIDSStudy",
    "S3BIDSSubject",
    "HBNSite",
    "HBNSubject",
    "get_s3_client",
    "_ls_s3fs",
    "_get_matching_s3_keys",
    "_download_from_s3",
    "to_bids_description",
    "s3fs_nifti_read",
    "s3fs_nifti_write",
    "s3fs_json_read",
    "s3fs_json_write",
    "write_json",
    "read_json",
]

DESCRIPTION = "dataset_description.json"
NO_DEFAULT = inspect.Parameter.empty

#: Callable -> its parameters that may be given by position: (name, default), or the name alone without one; those of
#: 0.1.7, and what came after it.
SIGNATURES = {
    "get_s3_client": [("anon", True)],
    "_ls_s3fs": ["s3_prefix", ("anon", True)],
    "_get_matching_s3_keys": ["bucket", ("prefix", ""), ("suffix", ""), ("anon", True)],
    "_download_from_s3": ["fname", "bucket", "key", ("overwrite", False), ("anon", True)],
    "to_bids_description": ["path", ("fname", DESCRIPTION), ("BIDSVersion", "1.4.0")],
    "s3fs_nifti_write": ["img", "fname", ("fs", None)],
    "s3fs_nifti_read": ["fname", ("fs", None), ("anon", False)],
    "s3fs_json_read": ["fname", ("fs", None), ("anon", False)],
    "s3fs_json_write": ["data", "fname", ("fs", None)],
    "write_json": ["fname", "data"],
    "read_json": ["fname"],
    "read_nifti": ["url_or_key", ("storage", None)],
    "read_header": ["url_or_key", ("storage", None)],
    "read_json_object": ["url_or_key", ("storage", None)],
    "write_nifti": ["img", "url_or_key", ("storage", None)],
    "write_json_object": ["data", "url_or_key", ("storage", None)],
    "S3BIDSSubject.load": ["self", "suffix"],
    "S3BIDSSubject.plot": ["self", "suffix"],
    "S3BIDSStudy.headers": ["self"],
    "S3BIDSSubject": ["subject_id", "study"],
    "S3BIDSSubject._get_s3_keys": ["self"],
    "S3BIDSSubject.download": [
        "self",
        "directory",
        ("include_derivs", False),
        ("overwrite", False),
        ("suffix", None),
        ("pbar", True),
        ("pbar_idx", 0),
    ],
    "HBNSubject": ["subject_id", "study", ("site", None)],
    "S3BIDSStudy": [
        "study_id",
        "bucket",
        ("s3_prefix", ""),
        ("subjects", None),
        ("anon", True),
        ("use_participants_tsv", False),
        ("random_seed", None),
        ("_subject_class", s3bids.S3BIDSSubject),
    ],
    "S3BIDSStudy._get_subject": ["self", "subject_id"],
    "S3BIDSStudy._get_derivative_types": ["self"],
    "S3BIDSStudy._get_non_subject_s3_keys": ["self"],
    "S3BIDSStudy._list_all_subjects": ["self"],
    "S3BIDSStudy._download_non_sub_keys": ["self", "directory", ("select", (DESCRIPTION,)), ("filenames", None)],
    "S3BIDSStudy._download_derivative_descriptions": ["self", "include_derivs", "directory"],
    "S3BIDSStudy.download": [
        "self",
        "directory",
        ("include_modality_agnostic", (DESCRIPTION,)),
        ("include_derivs", False),
        ("include_derivs_dataset_description", True),
        ("suffix", None),
        ("overwrite", False),
        ("pbar", True),
    ],
    "HBNSite": [
        "site",
        ("study_id", "HBN"),
        ("bucket", "fcp-indi"),
        ("s3_prefix", "data/Projects/HBN/MRI"),
        ("subjects", None),
        ("use_participants_tsv", False),
        ("random_seed", None),
    ],
    "OpenNeuroStudy": ["accession", ("subjects", None)],
    "HBNSite._get_subject": ["self", "subject_id"],
    "HBNSite._get_derivative_types": ["self"],
    "HBNSite._get_non_subject_s3_keys": ["self"],
    "HBNSite.download": [
        "self",
        "directory",
        ("include_modality_agnostic", False),
        ("include_derivs", False),
        ("overwrite", False),
        ("pbar", True),
    ],
}

#: Callable -> keyword-only arguments that were promised, with their defaults.
PROMISED_KEYWORDS = {
    "read_nifti": {"anon": False, "indexes": None},
    "read_header": {"anon": False},
    "read_json_object": {"anon": False},
    "S3BIDSSubject.load": {"filters": None, "derivative": None},
    "S3BIDSSubject.plot": {"filters": None, "derivative": None, "volume": 0, "ax": None},
    "S3BIDSStudy": {"storage": None},
    "S3BIDSStudy._download_non_sub_keys": {"overwrite": False},
    "S3BIDSStudy._download_derivative_descriptions": {"overwrite": False},
    "HBNSite": {"anon": True, "storage": None},
    "HBNSite.download": {"suffix": None, "include_derivs_dataset_description": True},
}

#: Class -> properties that 0.1.7 has.
PROPERTIES = {
    "S3BIDSSubject": ["subject_id", "study", "s3_keys", "files"],
    "HBNSubject": ["subject_id", "study", "s3_keys", "files", "site"],
    "S3BIDSStudy": [
        "study_id",
        "bucket",
        "s3_prefix",
        "anon",
        "use_participants_tsv",
        "random_seed",
        "subjects",
        "derivative_types",
        "non_sub_s3_keys",
        "local_directories",
    ],
    "HBNSite": ["site", "subjects", "derivative_types", "non_sub_s3_keys"],
}


def found(path):
    value = s3bids
    for name in path.split("."):
        value = getattr(value, name)
    return value


def parameters(path):
    return list(inspect.signature(found(path)).parameters.values())


def public_members():
    for name in PUBLIC:
        value = getattr(s3bids, name)
        yield name, value
        if inspect.isclass(value):
            members = ((member, item) for member, item in vars(value).items() if not member.startswith("_"))
            yield from (
                (f"{name}.{member}", item)
                for member, item in members
                if inspect.isfunction(item) or isinstance(item, property)
            )


def test_the_public_names_are_the_committed_ones():
    assert s3bids.__all__ == PUBLIC


def test_all_is_sorted_and_without_private_names():
    assert s3bids.__all__ == sorted(s3bids.__all__)
    assert [name for name in s3bids.__all__ if name.startswith("_")] == []


@pytest.mark.parametrize("name", OF_0_1_7)
def test_a_name_of_0_1_7_is_in_both_of_its_places(name):
    assert getattr(s3bids, name) is getattr(s3bids.utils, name)


def test_utils_defines_nothing():
    own = [name for name, value in vars(s3bids.utils).items() if getattr(value, "__module__", None) == "s3bids.utils"]
    assert own == []
    assert sorted(s3bids.utils.__all__) == sorted(OF_0_1_7)


@pytest.mark.parametrize("name", sorted(s3bids._PLACES))
def test_a_name_resolves_to_the_place_it_says(name):
    module = importlib.import_module(f"s3bids.{s3bids._PLACES[name]}")
    assert getattr(s3bids, name) is getattr(module, name)


def test_every_public_name_has_a_place_and_is_seen_by_dir():
    assert set(s3bids.__all__) <= set(s3bids._PLACES)
    assert set(s3bids._PLACES) <= set(dir(s3bids))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'s3bids' has no attribute 'S3BIDStudy'"):
        s3bids.S3BIDStudy  # noqa: B018 - the look-up is the test


def test_a_star_import_brings_the_public_names():
    names = {}
    exec("from s3bids import *", names)  # inside a function it is no valid statement
    assert set(PUBLIC) <= set(names)


@pytest.mark.parametrize("path", sorted(SIGNATURES))
def test_arguments_by_position_are_those_of_0_1_7(path):
    expected = [(item, NO_DEFAULT) if isinstance(item, str) else item for item in SIGNATURES[path]]
    by_position = [(p.name, p.default) for p in parameters(path) if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert by_position == expected
    assert [type(default) for _, default in by_position] == [type(default) for _, default in expected]


@pytest.mark.parametrize("path", sorted(SIGNATURES))
def test_new_arguments_go_by_keyword_and_have_a_default(path):
    others = [p for p in parameters(path) if p.kind is not p.POSITIONAL_OR_KEYWORD]
    if path == "to_bids_description":
        assert [(p.name, p.kind) for p in others] == [("kwargs", inspect.Parameter.VAR_KEYWORD)]
    else:
        assert {p.kind for p in others} <= {inspect.Parameter.KEYWORD_ONLY}
        assert [p.name for p in others if p.default is NO_DEFAULT] == []


@pytest.mark.parametrize("path", sorted(PROMISED_KEYWORDS))
def test_promised_keywords_are_there(path):
    by_keyword = {p.name: p.default for p in parameters(path) if p.kind is p.KEYWORD_ONLY}
    assert {name: by_keyword.get(name, NO_DEFAULT) for name in PROMISED_KEYWORDS[path]} == PROMISED_KEYWORDS[path]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in PROPERTIES.items() for name in names])
def test_a_property_is_read_only_and_described(kind, name):
    item = inspect.getattr_static(getattr(s3bids, kind), name)
    assert isinstance(item, property)
    assert item.fset is None
    assert item.__doc__


@pytest.mark.parametrize(("name", "value"), [pytest.param(*item, id=item[0]) for item in public_members()])
def test_everything_public_is_documented(name, value):
    text = inspect.getdoc(value)
    assert text, f"{name} has no docstring"
    assert text.splitlines()[0].endswith((".", ":")), "the first line is one sentence"


def test_the_version_follows_0_1_7_and_is_that_of_the_distribution():
    assert tuple(int(part) for part in s3bids.__version__.split(".")) > (0, 1, 7)
    assert importlib.metadata.version("s3bids") == s3bids.__version__
