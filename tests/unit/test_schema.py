import subprocess
import sys

import bidsschematools.schema
import pytest

from s3bids.bids import names, schema


def test_the_entity_order_is_that_of_the_standard():
    order = schema.entity_order()
    known = ["sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo", "part", "hemi", "space", "res", "desc"]
    assert [entity for entity in order if entity in known] == known


def test_no_entity_occurs_twice_in_the_order():
    assert len(set(schema.entity_order())) == len(schema.entity_order())


def test_every_entity_has_a_long_name():
    assert tuple(schema.long_names()) == schema.entity_order()


@pytest.mark.parametrize(
    ("short", "long"),
    [("sub", "subject"), ("ses", "session"), ("acq", "acquisition"), ("task", "task"), ("desc", "description")],
)
def test_an_entity_is_known_by_both_names(short, long):
    assert schema.long_names()[short] == long
    assert schema.short_name(long) == short
    assert schema.short_name(short) == short


def test_an_unknown_entity_keeps_its_name():
    assert schema.short_name("model") == "model"


def test_no_long_name_is_the_short_name_of_another_entity():
    long_names = schema.long_names()
    assert [s for s, long in long_names.items() if long in long_names and long != s] == []


def test_changing_the_dictionary_of_names_changes_nothing_else():
    schema.long_names().clear()
    assert schema.long_names()["sub"] == "subject"


def test_the_datatypes_are_those_of_the_standard():
    assert {"anat", "beh", "dwi", "eeg", "fmap", "func", "ieeg", "meg", "micr", "perf", "pet"} <= schema.datatypes()


def test_common_suffixes_are_known():
    assert {"T1w", "bold", "dwi", "epi", "events", "meg", "scans"} <= schema.suffixes()


def test_the_folders_that_count_as_a_file_have_a_dot_and_a_slash():
    extensions = schema.directory_extensions()
    assert {".ds/", ".mefd/", ".ome.zarr/"} <= set(extensions)
    assert all(extension.startswith(".") and extension.endswith("/") for extension in extensions)


def test_the_schema_is_read_once(monkeypatch):
    schema.entity_order()

    def refuse():
        raise AssertionError("the schema was read again")

    monkeypatch.setattr(bidsschematools.schema, "load_schema", refuse)
    assert names.parse("sub-01/anat/sub-01_T1w.nii.gz").datatype == "anat"
    assert schema.datatypes()
    assert schema.short_name("session") == "ses"


def test_importing_the_bids_modules_loads_no_heavy_package():
    program = (
        "import sys, s3bids.bids.names, s3bids.bids.schema, s3bids.bids.participants\n"
        "print(sorted({'bidsschematools', 'pandas', 'numpy', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
