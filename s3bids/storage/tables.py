"""Parquet tables on a storage, as pandas tables.

A table is one object, or a *partitioned* one: many objects below a prefix, in folders such as ``site=SI/`` that say the
values of some columns.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import ObjectNotFoundError, TableError
from .base import directory_prefix, require_key
from .concurrency import in_threads
from .extras import missing
from .files import private_folder
from .functions_read import key_of
from .partitions import keep_possible, pandas_columns, partitioning_of, table_objects, without_categories
from .registry import shared_storage
from .transfers import Progress

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow.dataset as ds

    from .base import Storage
    from .params import Params
    from .transfers import ProgressCallback, TransferSettings

    #: ``(column, operator, value)``, several that must all hold, or several of such lists of which one must hold.
    Filters = Sequence[tuple[str, str, Any]] | Sequence[Sequence[tuple[str, str, Any]]]

_PYARROW = ("auto", "pyarrow")
_FASTPARQUET = "fastparquet"

#: Characters of a library's error that are passed on: it may quote the whole schema.
_LONGEST_TEXT = 500


def read_parquet_file_df(
    fpath: str | os.PathLike[str],
    params: Params | None = None,
    client: Any = None,
    engine: str = "auto",
    columns: Sequence[str] | None = None,
    filters: Filters | None = None,
    *,
    transfer_config: TransferSettings | None = None,
    progress_callback: ProgressCallback | None = None,
) -> pd.DataFrame:
    """Read a Parquet table.

    The objects are fetched to a private folder of the system's directory for temporary files, which always goes.

    Parameters
    ----------
    fpath
        Key of an object; with a ``/`` at its end the prefix of a partitioned table. Its partition columns get the type
        that pandas noted when it wrote them, else one that their values suggest. Names that begin with ``.`` or ``_``
        are no part of it.
    params, client
        As in :mod:`s3bids.storage.functions`.
    engine
        ``"pyarrow"``, which ``"auto"`` means, or ``"fastparquet"``, which pandas is about to give up and which no extra
        of s3bids installs.
    columns
        Names of the columns wanted, in this order. Default: all.
    filters
        Which rows: ``[(column, operator, value), ...]``, of which all must hold, or a list of such lists, of which one
        must hold. Operators are ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in`` and ``not in``. Of a partitioned
        table only the objects are fetched that can have such rows.
    transfer_config, progress_callback
        As in :class:`~s3bids.storage.Storage`.

    Returns
    -------
    pandas.DataFrame
        Held in memory.

    Raises
    ------
    ObjectNotFoundError
        If there is no such object, or nothing below the prefix.
    TableError
        If it is no Parquet table, has not the columns, or `filters` make no sense.
    ValueError
        If `engine` is another.
    ImportError
        If pyarrow, or an engine that was asked for, is not installed.
    """
    _check_engine(engine)
    if isinstance(columns, str):
        raise TypeError(f"columns is a list of names, not one text: {columns!r}")
    storage, key = shared_storage(params, client), require_key(key_of(fpath))
    transfers = _Transfers(storage, transfer_config, progress_callback)
    with private_folder() as folder:
        if key.endswith("/"):
            table = _fetch_partitioned(transfers, key, folder, filters)
        else:
            table = _fetch_object(transfers, key, folder)
        return _read(table, engine, None if columns is None else list(columns), filters)


def write_parquet_file_df(
    df: pd.DataFrame,
    save_fpath: str | os.PathLike[str],
    params: Params | None = None,
    client: Any = None,
    engine: str = "auto",
    compression: str | None = None,
    index: bool | None = None,  # noqa: FBT001 - virt_s3's signature
    partition_cols: Sequence[str] | None = None,
    *,
    transfer_config: TransferSettings | None = None,
    progress_callback: ProgressCallback | None = None,
) -> str:
    """Write a pandas table as Parquet.

    Parameters
    ----------
    df
        The table.
    save_fpath
        Key of the object, or prefix of a partitioned table.
    params, client
        As in :mod:`s3bids.storage.functions`.
    engine
        As in :func:`read_parquet_file_df`.
    compression
        ``"snappy"``, ``"gzip"``, ``"brotli"``, ``"lz4"``, ``"zstd"``; None for none.
    index
        Whether the index is stored; None: as a note if it is a plain range, else as a column.
    partition_cols
        Columns whose values become folders, ``save_fpath/column=value/...``, in this order. Objects of the same values
        that were written before are replaced, those of other values stay. A column of categories becomes one of plain
        values.
    transfer_config, progress_callback
        As in :class:`~s3bids.storage.Storage`.

    Returns
    -------
    str
        The key; for a partitioned table ``save_fpath/``.

    Raises
    ------
    TableError
        If the table cannot be Parquet, lacks a partition column, or has no rows to partition.
    TypeError
        If `df` is no DataFrame.
    ValueError
        If `engine` is another.
    ImportError
        If pyarrow, or an engine that was asked for, is not installed.
    """
    import pandas as pd

    _check_engine(engine)
    if not isinstance(df, pd.DataFrame):
        raise TypeError(f"df is a pandas DataFrame, not {type(df).__name__}")
    storage, key = shared_storage(params, client), require_key(key_of(save_fpath))
    names = [partition_cols] if isinstance(partition_cols, str) else list(partition_cols or ())
    with private_folder() as folder:
        path = folder / "table"
        with _writing(f"{storage.location}/{key}"):
            _write(df, path, engine=engine, compression=compression, index=index, partition_cols=names)
        stored = storage.upload(
            path, key, ignore=(), transfer_config=transfer_config, progress_callback=progress_callback
        )
    return directory_prefix(key) if names else str(stored)


def _check_engine(engine: str) -> None:
    if engine not in (*_PYARROW, _FASTPARQUET):
        raise ValueError(f"engine is {engine!r}; it is one of {', '.join((*_PYARROW, _FASTPARQUET))}")
    try:
        import pyarrow.parquet  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise missing("pyarrow", "parquet", "reading and writing Parquet") from error
    if engine == _FASTPARQUET:
        # If it is not there, its ImportError says so before anything is fetched.
        import_module(_FASTPARQUET)


@dataclass(frozen=True)
class _Transfers:
    """A storage, and how to fetch from it."""

    storage: Storage
    config: TransferSettings | None
    callback: ProgressCallback | None


@dataclass(frozen=True)
class _Fetched:
    """A table on this computer."""

    #: What messages call it.
    name: str
    #: The file, or the folder with the files.
    path: Path
    #: File -> what messages call it; the first one has been read.
    files: dict[Path, str]
    #: How the names of folders are read.
    partitioning: ds.Partitioning | None = None


def _fetch_object(transfers: _Transfers, key: str, folder: Path) -> _Fetched:
    path, name = folder / "table", f"{transfers.storage.location}/{key}"
    transfers.storage.download(key, path, transfer_config=transfers.config, progress_callback=transfers.callback)
    return _Fetched(name, path, {path: name})


def _fetch_partitioned(transfers: _Transfers, prefix: str, folder: Path, filters: Filters | None) -> _Fetched:
    """Fetch a first object, and then those that can have rows that pass the filters."""
    import pyarrow.parquet as pq

    storage = transfers.storage
    name = f"{storage.location}/{prefix}"
    objects = table_objects(list(storage.list(prefix)), prefix)
    if not objects:
        raise ObjectNotFoundError(f"cannot read the table {name}: there is nothing below this prefix; list the bucket")
    # Names of their own, since those of objects may be too long for files.
    paths = [folder / folders / f"{index:08}.parquet" for index, (_, folders) in enumerate(objects)]
    files = {path: f"{storage.location}/{entry.key}" for path, (entry, _) in zip(paths, objects, strict=True)}

    def fetch(index: int, callback: ProgressCallback | None) -> None:
        storage.download(
            objects[index][0].key, paths[index], transfer_config=transfers.config, progress_callback=callback
        )

    fetch(0, None)
    with _reading(name, files):
        schema = pq.read_schema(paths[0])
        partitioning = partitioning_of([folders for _, folders in objects], schema)
        wanted = list(range(len(objects)))
        if filters is not None and partitioning is not None:
            wanted = keep_possible([folders for _, folders in objects], partitioning, schema, filters)
    rest = [index for index in wanted if index != 0]
    progress = Progress(transfers.callback, sum(objects[index][0].size for index in (0, *rest)))
    progress.add(objects[0][0].size)
    in_threads(lambda index: fetch(index, progress.share()), rest)
    progress.end()
    return _Fetched(name, folder, files, partitioning)


def _read(table: _Fetched, engine: str, columns: list[str] | None, filters: Filters | None) -> pd.DataFrame:
    import pandas as pd

    with _reading(table.name, table.files):
        known = _column_names(table)
        for column in columns or ():
            # A part of a nested column goes by the name of the column, a dot, and its own.
            if column not in known and str(column).partition(".")[0] not in known:
                raise TableError(f"cannot read the table {table.name}: it has no column {column!r}, but {known}")
        options: dict[str, Any] = {"partitioning": table.partitioning}
        if engine == _FASTPARQUET:
            options = {"engine": engine}
        df: pd.DataFrame = pd.read_parquet(table.path, columns=columns, filters=filters, **options)
    if columns is not None or table.partitioning is None:
        return df
    # Partition columns come last; pandas noted where they were.
    return df[[name for name in known if name in df.columns]]


def _column_names(table: _Fetched) -> list[str]:
    """Give the names of the columns, in the order in which pandas wrote them."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(next(iter(table.files)))
    stored = [*schema.names, *(() if table.partitioning is None else table.partitioning.schema.names)]
    noted = [column["name"] for column in pandas_columns(schema) if column["name"] in stored]
    return list(dict.fromkeys([*noted, *stored]))


def _write(
    df: pd.DataFrame, path: Path, *, engine: str, compression: str | None, index: bool | None, partition_cols: list[str]
) -> None:
    options: dict[str, Any] = {"engine": engine} if engine == _FASTPARQUET else {}
    if partition_cols:
        _check_partitions(df, partition_cols)
        df = without_categories(df, partition_cols)
        options["partition_cols"] = partition_cols
        if engine != _FASTPARQUET:
            # Not the random names of the library, which would add the same rows once more.
            options["basename_template"] = "part-{i}.parquet"
    df.to_parquet(path, compression=compression, index=index, **options)  # type: ignore[arg-type] # any codec's name


def _check_partitions(df: pd.DataFrame, names: list[str]) -> None:
    for name in names:
        if name not in df.columns:
            raise ValueError(f"there is no column {name!r} to partition by; there are {list(df.columns)}")
        if {"/", "="} & set(str(name)):
            raise ValueError(f"the column {name!r} cannot be the name of a folder, because of '/' or '='; rename it")
    if len(names) == len(df.columns):
        raise ValueError("partition_cols names all columns, and none is left for the objects")
    if df.empty:
        raise ValueError("it has no rows, so that partitions of it would be nothing at all")


@contextmanager
def _reading(name: str, files: dict[Path, str]) -> Iterator[None]:
    """Turn what the libraries raise for a table into ours."""
    import pyarrow as pa

    try:
        yield
    except TableError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
        raise TableError(f"cannot read the table {name}: {_text(error, files)}") from error


@contextmanager
def _writing(name: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
        raise TableError(f"cannot write the table {name}: {_text(error, {})}; nothing was written") from error


def _text(error: BaseException, files: dict[Path, str]) -> str:
    """Give the text of an error in one line, with the names of objects in place of those of their files."""
    text = " ".join(str(error).split())
    for path, name in files.items():
        text = text.replace(str(path), name)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} ..."


__all__ = ["read_parquet_file_df", "write_parquet_file_df"]
