"""Parquet tables on a storage: the same on every backend."""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import s3bids.storage as virt_s3
from s3bids.errors import BucketNotFoundError, KeyRefusedError, MissingPackageError, ObjectNotFoundError, TableError
from s3bids.storage import LocalFSParams, S3Params, read_parquet_file_df, write_parquet_file_df
from s3bids.testing.faults import Proxy

TABLE = pd.DataFrame(
    {
        "subject": ["01", "02", "10", "02"],
        "age": [20, 21, 22, 23],
        "score": [1.5, None, 2.5, 3.5],
        "left": [True, False, True, True],
        "day": [dt.date(2020, 1, 1), dt.date(2020, 1, 2), dt.date(2020, 1, 1), dt.date(2020, 1, 3)],
        "at": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-01", "2020-01-02"]),
        "note": ["a", None, "é/日 %=", "a"],
    }
)


@pytest.fixture
def params(any_params, tmp_path, monkeypatch):
    """An empty bucket; the directory for temporary files must be empty when the test is over."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield any_params
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def local(tmp_path_factory):
    """An empty bucket where the backend makes no difference."""
    root = tmp_path_factory.mktemp("root")
    (root / "bucket").mkdir()
    return LocalFSParams(use_local_fs=True, root_dir=root, user="someone", bucket_name="bucket")


def keys(params):
    return virt_s3.get_valid_file_paths("", params=params)


# One object


@pytest.mark.parametrize("key", ["t.parquet", "ds/deep/t.parquet.sz", Path("ds") / "t"])
def test_a_table_comes_back(params, key):
    assert write_parquet_file_df(TABLE, key, params) == str(key)
    assert_frame_equal(read_parquet_file_df(key, params), TABLE)
    assert keys(params) == [str(key)]


@pytest.mark.parametrize("compression", [None, "snappy", "gzip", "brotli", "lz4", "zstd"])
def test_the_compression_is_the_one_asked_for_and_none_is_none(params, compression):
    write_parquet_file_df(TABLE, "t", params, None, "auto", compression)
    file = pq.ParquetFile(virt_s3.get_file("t", params=params, bytes_io=True))
    assert file.metadata.row_group(0).column(0).compression == (compression or "uncompressed").upper()
    assert_frame_equal(read_parquet_file_df("t", params), TABLE)


@pytest.mark.parametrize("index", [None, True, False])
def test_the_index_is_stored_as_pandas_does(local, index):
    table = TABLE.set_index("subject")
    write_parquet_file_df(table, "t", local, index=index)
    expected = table.reset_index(drop=True) if index is False else table
    assert_frame_equal(read_parquet_file_df("t", local), expected)


def test_columns_come_in_the_order_asked_for(params):
    write_parquet_file_df(TABLE, "t", params)
    assert_frame_equal(read_parquet_file_df("t", params, columns=["score", "age"]), TABLE[["score", "age"]])
    assert_frame_equal(read_parquet_file_df("t", params, None, "auto", ("age",)), TABLE[["age"]])
    assert len(read_parquet_file_df("t", params, columns=[])) == len(TABLE)


def test_a_part_of_a_nested_column_is_a_column(local):
    write_parquet_file_df(pd.DataFrame({"a": [{"x": 1, "y": 2}], "b": [3]}), "t", local)
    assert read_parquet_file_df("t", local, columns=["a.x"]).to_dict("list") == {"x": [1]}


FILTERS = [
    ([("age", ">", 20)], [1, 2, 3]),
    ([("age", ">=", 21), ("score", "<", 3)], [2]),
    ([[("age", "==", 20)], [("subject", "in", ["02"]), ("left", "=", True)]], [0, 3]),
    ([("subject", "not in", ["01", "10"])], [1, 3]),
    ([("subject", "!=", "02")], [0, 2]),
    ([("age", "<", 0)], []),
]


@pytest.mark.parametrize(("filters", "rows"), FILTERS)
def test_filters_choose_rows(params, filters, rows):
    write_parquet_file_df(TABLE, "t", params)
    found = read_parquet_file_df("t", params, filters=filters)
    assert_frame_equal(found, TABLE.iloc[rows].reset_index(drop=True))
    chosen = read_parquet_file_df("t", params, columns=["note"], filters=filters)
    assert chosen["note"].tolist() == found["note"].tolist()


VALUES = {
    "numbers": st.integers(-(2**63), 2**63 - 1),
    "texts": st.text(st.characters(exclude_categories=("Cs",)), max_size=10),
    "floats": st.floats(allow_nan=False),
    "flags": st.booleans(),
}


@given(rows=st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_any_table_comes_back(tmp_path_factory, rows):
    root = tmp_path_factory.mktemp("any")
    (root / "b").mkdir()
    params = LocalFSParams(use_local_fs=True, root_dir=root, user="someone", bucket_name="b")
    write_parquet_file_df(pd.DataFrame(rows), "t", params, compression="snappy")
    assert_frame_equal(read_parquet_file_df("t", params), pd.DataFrame(rows))


# What is refused


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"columns": ["age", "nope"]}, "no column 'nope'.*'subject', 'age'"),
        ({"filters": [("nope", "==", 1)]}, "nope"),
        ({"filters": [("age", "~", 1)]}, "'?\"?~"),
        ({"filters": [("age", ">", "x")]}, "int64.*string"),
        ({"filters": ["age > 1"]}, "unpack"),
        ({"filters": []}, "filters"),
        ({"filters": 3}, "int"),
    ],
)
@pytest.mark.parametrize("partition_cols", [None, ["subject"]])
def test_what_a_table_has_not_is_named(params, options, reason, partition_cols):
    key = write_parquet_file_df(TABLE, "ds/t", params, partition_cols=partition_cols)
    with pytest.raises(TableError, match=f"cannot read the table .*{params.bucket_name}/{key}: .*{reason}"):
        read_parquet_file_df(key, params, **options)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"a,b\n1,2\n" * 100, b"PAR1" + bytes(100) + b"PAR1"])
def test_bytes_that_are_no_table_are_named(params, data):
    virt_s3.upload_data(data, "ds/t.parquet", params)
    with pytest.raises(ValueError, match=rf"cannot read the table .*{params.bucket_name}/ds/t\.parquet") as caught:
        read_parquet_file_df("ds/t.parquet", params)
    assert type(caught.value) is TableError
    assert ".s3bids-" not in str(caught.value)


@pytest.mark.parametrize("key", ["none", "ds/none/", "ds", "/"])
def test_a_missing_table_is_named(params, key):
    with pytest.raises(ObjectNotFoundError, match=f"{params.bucket_name}/{key}"):
        read_parquet_file_df(key, params)


def test_the_empty_key_is_refused(params):
    for call in (lambda: read_parquet_file_df("", params), lambda: write_parquet_file_df(TABLE, "", params)):
        with pytest.raises(KeyRefusedError):
            call()
    assert keys(params) == []


def test_a_missing_bucket_is_named(any_params):
    any_params.bucket_name = "no-such-bucket"
    for call in (
        lambda: read_parquet_file_df("t", any_params),
        lambda: read_parquet_file_df("t/", any_params),
        lambda: write_parquet_file_df(TABLE, "t", any_params),
        lambda: write_parquet_file_df(TABLE, "t", any_params, partition_cols=["left"]),
    ):
        with pytest.raises(BucketNotFoundError, match="no-such-bucket"):
            call()


@pytest.mark.parametrize(
    ("table", "options", "reason"),
    [
        (TABLE, {"compression": "zip"}, "zip"),
        (TABLE, {"partition_cols": ["nope"]}, "no column 'nope'.*'subject'"),
        (TABLE[["left"]], {"partition_cols": ["left"]}, "names all columns"),
        (TABLE.rename(columns={"left": "a/b"}), {"partition_cols": ["a/b"]}, "'a/b'.*rename"),
        (TABLE.iloc[:0], {"partition_cols": ["left"]}, "no rows"),
        (pd.DataFrame({"a": [object()]}), {}, "object"),
        (pd.concat([TABLE, TABLE], axis=1), {}, "uplicate"),
        (TABLE, {"partition_cols": [["left"]]}, "unhashable"),
    ],
)
def test_a_table_that_cannot_be_written_is_named_and_nothing_is_stored(params, table, options, reason):
    with pytest.raises(TableError, match=f"cannot write the table .*{params.bucket_name}/t: .*{reason}.*nothing was"):
        write_parquet_file_df(table, "t", params, **options)
    assert keys(params) == []


@pytest.mark.parametrize("key", ["t/", "/t", "a//t", "../t"])
def test_a_key_that_cannot_be_written_is_refused(params, key):
    with pytest.raises(KeyRefusedError):
        write_parquet_file_df(TABLE, key, params)
    assert keys(params) == []


@pytest.mark.parametrize("value", [{"a": [1]}, [1], None, "t.csv"])
def test_what_is_no_table_is_refused(local, value):
    with pytest.raises(TypeError, match=f"DataFrame, not {type(value).__name__}"):
        write_parquet_file_df(value, "t", local)


def test_a_single_text_is_no_list_of_columns(local):
    with pytest.raises(TypeError, match="'age'"):
        read_parquet_file_df("t", local, columns="age")


def test_another_engine_is_refused_before_anything_is_asked(any_params):
    any_params.bucket_name = "no-such-bucket"
    for call in (
        lambda engine: read_parquet_file_df("t", any_params, engine=engine),
        lambda engine: write_parquet_file_df(TABLE, "t", any_params, engine=engine),
    ):
        with pytest.raises(ValueError, match="'csv'; it is one of auto, pyarrow, fastparquet"):
            call("csv")
        with pytest.raises(ImportError, match="fastparquet"):
            call("fastparquet")


def test_without_pyarrow_one_sentence_says_what_to_do(local, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    sentence = "reading and writing Parquet needs the package pyarrow; install it with: pip install 's3bids[parquet]'"
    for call in (lambda: read_parquet_file_df("t", local), lambda: write_parquet_file_df(TABLE, "t", local)):
        with pytest.raises(ImportError) as caught:
            call()
        assert (type(caught.value), str(caught.value)) == (MissingPackageError, sentence)


@pytest.mark.parametrize("call", [read_parquet_file_df, write_parquet_file_df])
def test_an_unknown_keyword_is_refused(local, call):
    arguments = ("t",) if call is read_parquet_file_df else (TABLE, "t")
    with pytest.raises(TypeError, match="colums"):
        call(*arguments, local, colums=["age"])


# Partitioned tables


def by_rows(table):
    return table.sort_values("age").reset_index(drop=True)


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["subject"], ["subject=01", "subject=02", "subject=10"]),
        (["left"], ["left=false", "left=true"]),
        (["day"], ["day=2020-01-01", "day=2020-01-02", "day=2020-01-03"]),
        (["score"], ["score=1.5", "score=2.5", "score=3.5", "score=__HIVE_DEFAULT_PARTITION__"]),
        (["note"], ["note=__HIVE_DEFAULT_PARTITION__", "note=a", "note=%C3%A9%2F%E6%97%A5%20%25%3D"]),
        (["left", "subject"], ["left=false/subject=02", *(f"left=true/subject={name}" for name in ("01", "02", "10"))]),
        (["at"], [f"at=2020-01-0{day}%2000%3A00%3A00.000000" for day in (1, 2)]),
    ],
)
def test_a_partitioned_table_comes_back_with_its_types(params, names, folders):
    assert write_parquet_file_df(TABLE, "ds/t", params, partition_cols=names) == "ds/t/"
    assert keys(params) == sorted(f"ds/t/{folder}/part-0.parquet" for folder in folders)
    assert_frame_equal(by_rows(read_parquet_file_df("ds/t/", params)), TABLE)


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["2020-01-01", "2020-07-01"])
        .tz_localize("Europe/Berlin")
        .astype("datetime64[us, Europe/Berlin]"),
        pd.to_datetime(["2020-01-01", "2020-07-01"]).astype("datetime64[ns]"),
        pd.array([1, 2], dtype="int8"),
        pd.array([1, None], dtype="Int64"),
        pd.array([2**63, 0], dtype="uint64"),
        pd.array([0.1, 1e300], dtype="float64"),
        pd.array(["1", None], dtype="string"),
        pd.array(["", "None"], dtype="string"),
    ],
    ids=["zone", "ns", "int8", "Int64", "uint64", "float64", "text", "odd text"],
)
def test_the_type_of_a_partition_column_stays(local, values):
    table = pd.DataFrame({"key": values, "age": [1, 2]})
    write_parquet_file_df(table, "t", local, partition_cols=["key"])
    assert_frame_equal(by_rows(read_parquet_file_df("t/", local)), table)


def test_one_name_is_one_partition_column_and_categories_become_values(local):
    write_parquet_file_df(TABLE.astype({"subject": "category"}), "t/", local, partition_cols="subject")
    assert_frame_equal(by_rows(read_parquet_file_df("t/", local)), TABLE)


@pytest.mark.parametrize(("filters", "rows"), FILTERS)
@pytest.mark.parametrize("names", [["subject"], ["left", "age"]])
def test_filters_choose_rows_of_partitions(params, filters, rows, names):
    write_parquet_file_df(TABLE, "t", params, partition_cols=names)
    found = read_parquet_file_df("t/", params, filters=filters)
    assert_frame_equal(by_rows(found), TABLE.iloc[rows].reset_index(drop=True), check_index_type=False)


def test_partition_columns_can_be_chosen_like_others(params):
    write_parquet_file_df(TABLE, "t", params, partition_cols=["subject"])
    found = read_parquet_file_df("t/", params, columns=["subject", "age"])
    assert_frame_equal(by_rows(found), TABLE[["subject", "age"]])


def test_writing_again_replaces_the_same_partitions_and_keeps_others(params):
    write_parquet_file_df(TABLE, "t", params, partition_cols=["subject"])
    write_parquet_file_df(TABLE, "t", params, partition_cols=["subject"])
    assert_frame_equal(by_rows(read_parquet_file_df("t/", params)), TABLE)
    more = TABLE.iloc[[0]].assign(age=99)
    write_parquet_file_df(more, "t", params, partition_cols=["subject"])
    assert read_parquet_file_df("t/", params)["age"].sort_values().tolist() == [21, 22, 23, 99]


def test_an_object_that_is_no_part_of_the_table_is_named(params):
    write_parquet_file_df(TABLE, "t", params, partition_cols=["left"])
    for key in ("t/_SUCCESS", "t/.part.crc", "t/_temporary/x", "t2/x"):
        virt_s3.upload_data(b"beside", key, params)
    assert len(read_parquet_file_df("t/", params)) == 4
    virt_s3.upload_data(b"a note", "t/left=true/README.txt", params)
    with pytest.raises(TableError, match=rf"{params.bucket_name}/t/left=true/README\.txt"):
        read_parquet_file_df("t/", params)


def test_tables_of_others_are_read_with_the_types_that_their_values_suggest(params):
    buffer = BytesIO()
    pq.write_table(pq.read_table(written(TABLE[["age"]])).replace_schema_metadata(), buffer)
    for key in ("t/year=2020/site=A/x", "t/year=2021/site=__HIVE_DEFAULT_PARTITION__/y"):
        virt_s3.upload_data(buffer, key, params)
    virt_s3.upload_data(buffer, "t/year=2022/site=01/z", params)
    found = read_parquet_file_df("t/", params, filters=[("year", "<", 2022)])
    assert found["year"].tolist() == [2020] * 4 + [2021] * 4
    assert found["site"].tolist()[:4] == ["A"] * 4
    assert found["site"].isna().tolist() == [False] * 4 + [True] * 4
    assert set(read_parquet_file_df("t/", params, filters=[("site", "==", "01")])["site"]) == {"01"}


def written(table):
    buffer = BytesIO()
    table.to_parquet(buffer)
    return buffer


def test_several_objects_without_values_in_their_names_are_one_table(params):
    for number in range(3):
        write_parquet_file_df(TABLE, f"t/{number}.parquet", params)
    assert len(read_parquet_file_df("t/", params)) == 12


def test_an_absolute_path_inside_the_root_is_a_key(local):
    place = Path(local.root_dir) / "bucket" / "ds" / "t"
    write_parquet_file_df(TABLE, place, local, partition_cols=["subject"])
    assert keys(local)[0] == "ds/t/subject=01/part-0.parquet"
    assert_frame_equal(by_rows(read_parquet_file_df(f"{place}/", local)), TABLE)


def test_keys_that_lead_out_lead_nowhere(moto, bucket_name, tmp_path, monkeypatch):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "deep" / "er"))
    client = moto.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    for key in ("t/../../x=1/evil", "t/site=../site=A/x", "t//y"):
        client.put_object(Bucket=bucket_name, Key=key, Body=written(TABLE).getvalue())
    client.close()
    params = S3Params(bucket_name, moto.url, moto.access_key, moto.secret_key)
    # A name that begins with a dot is no part of a table.
    assert len(read_parquet_file_df("t/", params, columns=["age"])) == 8
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# What is fetched


@pytest.mark.parametrize(
    ("filters", "fetched"),
    [
        (None, ["01", "02", "10"]),
        ([("subject", "==", "10")], ["01", "10"]),
        ([("subject", "in", ["02", "10"]), ("age", ">", 0)], ["01", "02", "10"]),
        ([[("subject", "==", "02")], [("subject", "==", "01")]], ["01", "02"]),
        ([("subject", "==", "none")], ["01"]),
    ],
)
def test_of_a_partitioned_table_only_what_can_match_is_fetched(rclone, bucket_name, filters, fetched):
    """The first object always is: it tells the columns."""
    (rclone.root / bucket_name).mkdir()
    rclone.refresh()
    with Proxy(rclone.url) as proxy:
        params = S3Params(bucket_name, proxy.url, rclone.access_key, rclone.secret_key)
        write_parquet_file_df(TABLE, "t", params, partition_cols=["subject"])
        proxy.reset()
        read_parquet_file_df("t/", params, filters=filters)
        got = sorted(request.key for request in proxy.requests if request.operation == "get")
    assert got == [f"t/subject={name}/part-0.parquet" for name in fetched]


@pytest.mark.parametrize("partition_cols", [None, ["subject"]])
def test_progress_counts_the_bytes_of_all_objects(params, partition_cols):
    def record():
        told = []
        return told, lambda *numbers: told.append(numbers)

    up, callback = record()
    key = write_parquet_file_df(TABLE, "t", params, partition_cols=partition_cols, progress_callback=callback)
    total = sum(len(virt_s3.get_file(name, params=params)) for name in keys(params))
    down, callback = record()
    read_parquet_file_df(key, params, progress_callback=callback)
    for told in (up, down):
        assert told[-1] == (total, total)
        assert told == sorted(told)
    first, callback = record()
    read_parquet_file_df(key, params, filters=[("subject", "==", "01")], progress_callback=callback)
    assert first[-1][0] == first[-1][1] <= total
