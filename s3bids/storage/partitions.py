"""Partitioned Parquet tables: which values the folders say, and which objects can have the rows that are wanted.

The folders are named as Hive names them, ``column=value`` with the value percent-encoded (Apache Arrow, "Tabular
Datasets", partitioning).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from .base import directory_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds

    from .base import ObjectInfo

#: How a folder names a missing value.
_NULL = "__HIVE_DEFAULT_PARTITION__"
#: A whole number that 64 bits can hold.
_NUMBER = re.compile(r"0|-?[1-9]\d{0,17}")
#: What marks files and folders beside the data, such as ``_SUCCESS``.
_BESIDE = ("_", ".")


def table_objects(entries: Sequence[ObjectInfo], prefix: str) -> list[tuple[ObjectInfo, str]]:
    """Give the objects that hold data, each with its folders that say values: ``""`` or such as ``site=SI/year=1``.

    Parameters
    ----------
    entries
        All objects below the prefix.
    prefix
        Of the table. It may be an absolute path, which a storage in a folder takes; keys are never.
    """
    found = []
    start = directory_prefix(prefix)
    for entry in entries:
        while not entry.key.startswith(start):
            start = start.partition("/")[2]
        *folders, name = entry.key[len(start) :].split("/")
        if not any(part.startswith(_BESIDE) for part in (*folders, name)):
            # Others say nothing, and might lead out of the folder that the objects are fetched to.
            found.append((entry, "/".join(part for part in folders if "=" in part)))
    return found


def partitioning_of(folders: Sequence[str], schema: pa.Schema) -> ds.Partitioning | None:
    """Give how the values in the names of folders are to be read; None if there are none.

    Parameters
    ----------
    folders
        As from :func:`table_objects`.
    schema
        Of one of the objects. If pandas wrote it, it says what the partition columns were: without, ``sub=01`` would
        become the number 1.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    values: dict[str, set[str]] = {}
    for part in {part for folder in folders for part in folder.split("/") if part}:
        name, _, value = part.partition("=")
        values.setdefault(name, set()).add(value)
    if not values:
        return None
    noted = _noted_types(schema)
    fields = [(name, noted.get(name) or (pa.int64() if _are_numbers(values[name]) else pa.string())) for name in values]
    return ds.partitioning(pa.schema(fields), flavor="hive")


def _are_numbers(values: set[str]) -> bool:
    """Say whether texts are whole numbers, written as Python writes them: ``01`` is a name."""
    return all(_NUMBER.fullmatch(value) for value in values - {_NULL})


def _noted_types(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Give the types of columns that pandas says it wrote, as far as a folder's name can be read as one of them."""
    found = {}
    for column in pandas_columns(schema):
        kind = _type_of(column)
        if kind is not None:
            found[column["name"]] = kind
    return found


def pandas_columns(schema: pa.Schema) -> list[dict[str, Any]]:
    """Give what pandas noted of the columns, in their order; empty if it did not write the table."""
    try:
        columns = json.loads((schema.metadata or {})[b"pandas"])["columns"]
        return [column for column in columns if isinstance(column["name"], str)]
    except (KeyError, TypeError, ValueError):
        return []


def _type_of(column: dict[str, Any]) -> pa.DataType | None:
    import pyarrow as pa

    logical, stored = str(column.get("pandas_type")), str(column.get("numpy_type"))
    if logical == "unicode" or stored in ("str", "string"):
        return pa.string()
    if logical == "date":
        return pa.date32()
    if logical == "datetime":
        return pa.timestamp("ns" if stored == "datetime64[ns]" else "us")
    if logical == "datetimetz" and isinstance(column.get("metadata"), dict):
        return pa.timestamp("us", str(column["metadata"].get("timezone")))
    if logical == "bool" or logical.startswith(("int", "uint", "float")):
        return pa.type_for_alias(logical)
    return None


def keep_possible(folders: Sequence[str], partitioning: ds.Partitioning, schema: pa.Schema, filters: Any) -> list[int]:
    """Give the indices of the folders whose values allow rows that pass the filters."""
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq
    from pyarrow.fs import LocalFileSystem

    both = schema.remove_metadata()
    for field in partitioning.schema:
        if field.name not in both.names:
            both = both.append(field)
    # Nothing is opened here: the paths only tell the fragments apart.
    dataset = ds.FileSystemDataset.from_paths(
        [f"{folder}/{index}" for index, folder in enumerate(folders)],
        schema=both,
        format=ds.ParquetFileFormat(),
        filesystem=LocalFileSystem(),
        partitions=[partitioning.parse(f"{folder}/x") for folder in folders],
    )
    kept = dataset.get_fragments(filter=pq.filters_to_expression(filters))
    return sorted(int(fragment.path.rpartition("/")[2]) for fragment in kept)


def without_categories(df: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Turn partition columns with categories into those of their values: only these can be told by a name."""
    changes = {name: df[name].cat.categories.dtype for name in names if name in df.columns and hasattr(df[name], "cat")}
    return df.astype(changes) if changes else df


__all__ = ["keep_possible", "pandas_columns", "partitioning_of", "table_objects", "without_categories"]
