"""JSON on storage: any value there and back, and what cannot be expressed named by its place."""

from __future__ import annotations

import datetime
import json
import pathlib
import pickle

import numpy as np
import pytest

from s3bids import LocalFSParams, read_json, read_json_object, s3fs_json_read, write_json, write_json_object
from s3bids.errors import ConfigError, JSONReadError, JSONWriteError, KeyRefusedError, ObjectNotFoundError, S3BIDSError

PLAIN = [{"a": [1, 2.5, None, True, "é日😀"], "b": {"c": {}}}, [], 0, "text", None, "", 1e300, 2**70, {"": 1}]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_any_json_value_goes_to_an_object_and_back(place, value, measured):
    with measured(place) as cost:
        assert write_json_object(value, "ds/x.json", place.storage) is None
        assert read_json_object(place.url("ds/x.json"), place.storage) == value
    assert [call.operation for call in cost.calls] == ["put", "get"]


CONVERTED = {
    "float32": (np.float32(0.5), 0.5),
    "int64": (np.int64(-3), -3),
    "uint8": (np.uint8(255), 255),
    "bool": (np.bool_(True), True),
    "text of NumPy": (np.str_("é"), "é"),
    "array": (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
    "array without dimensions": (np.array(2.5), 2.5),
    "empty array": (np.zeros((0, 3)), []),
    "array of texts": (np.array(["a", "b"]), ["a", "b"]),
    "array of anything": (np.array([1, "a", None, [2]], dtype=object), [1, "a", None, [2]]),
    "day of NumPy": (np.array(["2026-01-02"], "datetime64[D]"), ["2026-01-02"]),
    "path": (pathlib.PurePosixPath("sub-01/anat"), "sub-01/anat"),
    "path of Windows": (pathlib.PureWindowsPath(r"sub-01\anat"), "sub-01/anat"),
    "moment": (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "2026-01-02T03:04:05+00:00"),
    "day": (datetime.date(2026, 1, 2), "2026-01-02"),
    "time": (datetime.time(3, 4, 5), "03:04:05"),
    "tuple": ((1, (2,)), [1, [2]]),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_numpy_paths_and_times_become_json(disk, tmp_path, name):
    value, expected = CONVERTED[name]
    for whole, found in ((value, expected), ({"deep": [value]}, {"deep": [expected]})):
        write_json_object(whole, "x.json", disk.storage)
        assert read_json_object("x.json", disk.storage) == found
        write_json(tmp_path / "x.json", whole)
        assert read_json(tmp_path / "x.json") == found


def test_names_become_text_as_json_does_it(disk):
    write_json_object(
        {1: "a", 2.5: "b", None: "c", np.int16(7): "d", pathlib.PurePosixPath("p"): "e"}, "x", disk.storage
    )
    assert read_json_object("x", disk.storage) == {"1": "a", "2.5": "b", "null": "c", "7": "d", "p": "e"}


def circle():
    value = []
    value.append(value)
    return value


INEXPRESSIBLE = {
    "NaN": ({"a": [1, float("nan")]}, "$.a[1] is nan"),
    "infinity": (float("-inf"), "$ is -inf"),
    "NaN in an array": ({"Slice Timing": np.array([0, np.nan])}, "$['Slice Timing'][1] is nan"),
    "NaN of NumPy": ([np.float32("nan")], "$[0] is nan"),
    "object": ({"a": {"b c": [1, object()]}}, "$.a['b c'][1] is of the type object"),
    "set": ({1, 2}, "$ is of the type set"),
    "bytes": ([b"x"], "$[0] is of the type bytes"),
    "complex": ([1j], "$[0] is of the type complex"),
    "complex array": ({"z": np.array([1j])}, "$.z is of the type complex128"),
    "record": (np.zeros(1, [("a", "i2")]), "$ is of the type [('a'"),
    "no time": ({"t": np.datetime64("NaT")}, "$.t is no time"),
    "lone surrogate": ({"a": "\ud800"}, "$.a is the text '\\ud800'"),
    "surrogate in a name": ({"\ud800": 1}, "$['\\ud800'] is the text"),
    "name that is no text": ({"a": {(1, 2): 3}}, "$.a[(1, 2)] has a name of type tuple"),
    "two names that become one": ({"a": {1: "x", "1": "y"}}, "$.a['1'] has the same name as another"),
    "circle": ({"a": circle()}, "$.a[0][0][0]"),
    "number of 5,000 digits": ([10**5000], "$[0] is a number out of range"),
}


@pytest.mark.parametrize("name", INEXPRESSIBLE)
def test_what_json_cannot_express_is_named_by_its_place_and_nothing_is_written(place, tmp_path, name):
    value, text = INEXPRESSIBLE[name]
    place.put("x.json", b'{"old": 1}')
    with pytest.raises(JSONWriteError) as caught:
        write_json_object(value, "x.json", place.storage)
    assert isinstance(caught.value, TypeError)
    assert text in str(caught.value)
    assert "x.json" in str(caught.value)
    assert place.storage.calls == []
    assert place.storage.read("x.json") == b'{"old": 1}'
    with pytest.raises(JSONWriteError):
        write_json(tmp_path / "new.json", value)
    assert not (tmp_path / "new.json").exists()


def test_a_value_may_be_nested_far_deeper_than_metadata(disk):
    value = leaf = {}
    for _ in range(190):
        leaf["a"] = leaf = {}
    write_json_object(value, "x.json", disk.storage)
    assert read_json_object("x.json", disk.storage) == value


# Reading


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_of_json_is_read(place, encoding):
    place.put("x.json", '{"name": "é日"}'.encode(encoding))
    assert read_json_object("x.json", place.storage) == {"name": "é日"}


UNREADABLE = {
    "empty": (b"", "it is empty"),
    "blank": (b" \n", "it is empty"),
    "byte order mark alone": (b"\xef\xbb\xbf", "it is empty"),
    "cut short": (b'{"a": [1, 2', "line 1 column 12"),
    "second line": (b'{"a": 1,\n "b": }', "line 2 column 7"),
    "broken UTF-8": (b'{"a": "\xff"}', "the byte 0xff at 7 is not UTF-8"),
    "Latin 1": ('{"name": "Jörg"}'.encode("latin-1"), "the byte 0xf6 at 11 is not UTF-8"),
    "no JSON": (b"<html>Please sign in</html>", "Expecting value"),
    "two values": (b"{} {}", "Extra data"),
    "too deep": (b"[" * 100_000, "recursion"),
    "number of 5,000 digits": (b"9" * 5000, "digits"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_json_is_named_with_its_place(disk, tmp_path, name):
    data, text = UNREADABLE[name]
    disk.put("ds/x.json", data)
    (tmp_path / "x.json").write_bytes(data)
    for read, where in (
        (lambda: read_json_object("ds/x.json", disk.storage), disk.url("ds/x.json")),
        (lambda: read_json_object(disk.url("ds/x.json")), disk.url("ds/x.json")),
        (lambda: read_json(tmp_path / "x.json"), str(tmp_path / "x.json")),
    ):
        with pytest.raises(JSONReadError) as caught:
            read()
        assert isinstance(caught.value, json.JSONDecodeError)
        assert isinstance(caught.value, S3BIDSError)
        assert text in str(caught.value)
        assert where in str(caught.value)


def test_a_missing_object_is_named(place):
    with pytest.raises(ObjectNotFoundError, match="none"):
        read_json_object("none", place.storage)


@pytest.mark.parametrize("key", ["", "a//b", "../x"])
def test_a_refused_key_is_refused_before_anything_is_sent(place, key):
    with pytest.raises((KeyRefusedError, ConfigError)):
        write_json_object({}, key, place.storage)
    assert place.storage.calls == []


def test_the_error_travels_between_processes():
    with pytest.raises(JSONReadError) as caught:
        raise JSONReadError("cannot read x", '{"a": }', 6)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.doc, copy.pos) == (str(caught.value), '{"a": }', 6)


def test_a_file_system_of_the_caller_has_the_same_errors():
    import io

    class Files:
        def open(self, path, mode):
            return io.BytesIO(b'{"a": \xff}')

    with pytest.raises(JSONReadError, match=r"b/x\.json.*0xff"):
        s3fs_json_read("b/x.json", Files())


def test_parameters_serve_for_their_storage(tmp_path):
    """A study takes either as its `storage`, and so do the functions for single objects."""
    params = LocalFSParams(use_local_fs=True, root_dir=str(tmp_path), user="", bucket_name="b")
    (tmp_path / "b").mkdir()
    write_json_object({"a": 1}, "x.json", params)
    assert read_json_object("x.json", params) == {"a": 1}
    assert read_json_object(f"file://{tmp_path}/b/x.json", params) == {"a": 1}
