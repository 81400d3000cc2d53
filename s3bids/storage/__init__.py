"""Where objects live: one protocol, backends with the same semantics, and the functions of virt_s3.

Code written for virt_s3 runs after ``import s3bids.storage as virt_s3``; ``docs/storage.md`` says what became of each
of its names. Names load on first use: importing this package loads no other one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .base import ObjectInfo, Storage
from .local import LocalStorage
from .params import LocalFSParams, Params, PredictConnectionStoreParams, S3Params, get_default_params
from .registry import get_storage
from .s3 import S3Storage

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig

    from .archives import archive_tar_as_buffer, archive_zip_as_buffer
    from .audit import register_audit_callback, unregister_audit_callback
    from .chooser import TransferChooser, TransferKind, TransferMethod
    from .clients import SessionManager, get_session_client, with_session
    from .concurrency import run_async_func_in_new_event_loop_in_thread, run_concurrent_tasks
    from .functions import (
        create_bucket,
        delete_file,
        delete_files_by_dir,
        extract_archive_file,
        file_exists,
        get_file,
        get_file_chunked,
        get_files_batch,
        get_files_generator,
        get_image,
        get_valid_file_paths,
        list_dirs,
        upload_data,
    )
    from .images import ImageFormatType
    from .messages import format_bytes, get_custom_logger
    from .tables import read_parquet_file_df, write_parquet_file_df
    from .validators import CSVFileValidator, FileValidator, JSONFileValidator, ParquetFileValidator

#: Name -> the module that has it, for those that load on first use.
_PLACES = {
    "CSVFileValidator": ".validators",
    "FileValidator": ".validators",
    "ImageFormatType": ".images",
    "JSONFileValidator": ".validators",
    "ParquetFileValidator": ".validators",
    "SessionManager": ".clients",
    "TransferChooser": ".chooser",
    "TransferConfig": "boto3.s3.transfer",
    "TransferKind": ".chooser",
    "TransferMethod": ".chooser",
    "archive_tar_as_buffer": ".archives",
    "archive_zip_as_buffer": ".archives",
    "create_bucket": ".functions",
    "delete_file": ".functions",
    "delete_files_by_dir": ".functions",
    "extract_archive_file": ".functions",
    "file_exists": ".functions",
    "format_bytes": ".messages",
    "get_custom_logger": ".messages",
    "get_file": ".functions",
    "get_file_chunked": ".functions",
    "get_files_batch": ".functions",
    "get_files_generator": ".functions",
    "get_image": ".functions",
    "get_session_client": ".clients",
    "get_valid_file_paths": ".functions",
    "list_dirs": ".functions",
    "read_parquet_file_df": ".tables",
    "register_audit_callback": ".audit",
    "run_async_func_in_new_event_loop_in_thread": ".concurrency",
    "run_concurrent_tasks": ".concurrency",
    "unregister_audit_callback": ".audit",
    "upload_data": ".functions",
    "with_session": ".clients",
    "write_parquet_file_df": ".tables",
}

#: Modules with more than the names above, that load on first use too.
_MODULES = ("archives", "images", "tables", "validators")

__all__ = [
    "CSVFileValidator",
    "FileValidator",
    "ImageFormatType",
    "JSONFileValidator",
    "LocalFSParams",
    "LocalStorage",
    "ObjectInfo",
    "Params",
    "ParquetFileValidator",
    "PredictConnectionStoreParams",
    "S3Params",
    "S3Storage",
    "SessionManager",
    "Storage",
    "TransferChooser",
    "TransferConfig",
    "TransferKind",
    "TransferMethod",
    "archive_tar_as_buffer",
    "archive_zip_as_buffer",
    "create_bucket",
    "delete_file",
    "delete_files_by_dir",
    "extract_archive_file",
    "file_exists",
    "format_bytes",
    "get_custom_logger",
    "get_default_params",
    "get_file",
    "get_file_chunked",
    "get_files_batch",
    "get_files_generator",
    "get_image",
    "get_session_client",
    "get_storage",
    "get_valid_file_paths",
    "list_dirs",
    "read_parquet_file_df",
    "register_audit_callback",
    "run_async_func_in_new_event_loop_in_thread",
    "run_concurrent_tasks",
    "unregister_audit_callback",
    "upload_data",
    "with_session",
    "write_parquet_file_df",
]


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _PLACES:
        raise AttributeError(f"module 's3bids.storage' has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_MODULES})
