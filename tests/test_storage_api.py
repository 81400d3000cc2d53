"""The names of virt_s3, their signatures and their documentation: what code written for it relies on."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import s3bids.storage as virt_s3

#: The 27 names that the virt_s3 documentation has at its top level, and those of its audit module.
OF_VIRT_S3 = [
    "CSVFileValidator",
    "FileValidator",
    "ImageFormatType",
    "JSONFileValidator",
    "LocalFSParams",
    "ParquetFileValidator",
    "PredictConnectionStoreParams",
    "S3Params",
    "SessionManager",
    "TransferConfig",
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
    "get_valid_file_paths",
    "list_dirs",
    "read_parquet_file_df",
    "register_audit_callback",
    "unregister_audit_callback",
    "upload_data",
    "write_parquet_file_df",
]
#: What this package has besides.
OURS = [
    "LocalStorage",
    "ObjectInfo",
    "Params",
    "S3Storage",
    "Storage",
    "TransferChooser",
    "TransferKind",
    "TransferMethod",
    "get_storage",
    "run_async_func_in_new_event_loop_in_thread",
    "run_concurrent_tasks",
    "with_session",
]

NO_DEFAULT = inspect.Parameter.empty
PC = [("params", None), ("client", None)]

#: Name -> arguments that may be given by position: (name, default), or the name alone without one.
SIGNATURES = {
    "get_default_params": [("use_local", False), ("use_s3", False)],
    "get_session_client": [("params", None)],
    "SessionManager": [*PC, ("keep_open", False)],
    "S3Params": [
        "bucket_name",
        ("endpoint_url", None),
        ("aws_access_key_id", None),
        ("aws_secret_access_key", None),
        ("region_name", None),
        ("profile_name", None),
        ("connection_store_params", None),
        ("aws_session_token", None),
        ("anon", False),
        ("request_payer", False),
    ],
    "LocalFSParams": ["use_local_fs", "root_dir", "user", "bucket_name"],
    "PredictConnectionStoreParams": ["user_id", "store_name", "store_owner"],
    "create_bucket": ["bucket_name", *PC],
    "upload_data": ["data", "fpath", *PC],
    "file_exists": ["fpath", *PC],
    "get_file": ["fpath", ("save_path", None), *PC, ("bytes_io", False)],
    "get_image": ["fpath", *PC, ("img_format", None), ("bytes_io", False)],
    "get_file_chunked": ["fpath", *PC],
    "get_files_generator": ["fpath_li", *PC, ("bytes_io", False)],
    "get_files_batch": ["fpath_li", *PC, ("max_concurrency", 0), ("bytes_io", False)],
    "list_dirs": ["dir_path", *PC, ("delimiter", "/")],
    "get_valid_file_paths": ["dir_path", ("ignore", [".DS_Store"]), ("filter_extensions", []), *PC],
    "delete_file": ["fpath", *PC],
    "delete_files_by_dir": ["dir_path", *PC],
    "archive_zip_as_buffer": ["data_bytes_dict"],
    "archive_tar_as_buffer": ["data_bytes_dict", ("compress", False)],
    "extract_archive_file": ["fpath", "save_prefix", ("cleanup_local", False), ("cleanup_bucket", False), *PC],
    "read_parquet_file_df": ["fpath", *PC, ("engine", "auto"), ("columns", None), ("filters", None)],
    "write_parquet_file_df": [
        "df",
        "save_fpath",
        *PC,
        ("engine", "auto"),
        ("compression", None),
        ("index", None),
        ("partition_cols", None),
    ],
    "format_bytes": ["num_bytes"],
    "get_custom_logger": [("name", "VirtS3"), ("log_level", 20)],
    "register_audit_callback": ["fn"],
    "unregister_audit_callback": ["fn"],
    "FileValidator.validate_file": ["self", "fpath"],
    "FileValidator.run": ["self", ("fpath_li", []), ("root_path", None), ("ignore", [])],
}

TRANSFER = {"progress_callback": None, "transfer_config": None}
CLIENT = dict.fromkeys(
    [
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "region_name",
        "profile_name",
        "botocore_session",
        "api_version",
        "use_ssl",
        "verify",
        "endpoint_url",
        "config",
    ]
)
#: Name -> all its keyword-only arguments and their defaults; those not named here have none.
KEYWORDS = {
    "upload_data": {**TRANSFER, "ignore": (".DS_Store", "MACOSX", "__MACOSX")},
    "get_file": TRANSFER,
    "get_image": TRANSFER,
    "get_file_chunked": {**TRANSFER, "chunk_size": 1048576, "bytes_io": False},
    "get_files_generator": TRANSFER,
    "get_files_batch": TRANSFER,
    "extract_archive_file": {**TRANSFER, "max_bytes": None},
    "read_parquet_file_df": TRANSFER,
    "write_parquet_file_df": TRANSFER,
    "delete_files_by_dir": {"force": False},
    "create_bucket": dict.fromkeys(
        ["create_args", "bucket_encryption_args", "block_bucket_public_access_args", "bucket_policy_args"]
    ),
    "get_session_client": CLIENT,
    "SessionManager": CLIENT,
}


def found(path):
    value = virt_s3
    for name in path.split("."):
        value = getattr(value, name)
    return value


def parameters(path):
    return list(inspect.signature(found(path)).parameters.values())


def test_the_public_names_are_the_committed_ones():
    assert virt_s3.__all__ == sorted({*OF_VIRT_S3, *OURS})


@pytest.mark.parametrize("name", sorted(virt_s3._PLACES))
def test_a_name_resolves_to_the_place_it_says(name):
    module = importlib.import_module(virt_s3._PLACES[name], virt_s3.__name__)
    assert getattr(virt_s3, name) is getattr(module, name)
    assert name in dir(virt_s3)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'get_flie'"):
        virt_s3.get_flie  # noqa: B018 - the look-up is the test


@pytest.mark.parametrize("path", sorted(SIGNATURES))
def test_arguments_by_position_are_those_of_virt_s3(path):
    expected = [(item, NO_DEFAULT) if isinstance(item, str) else item for item in SIGNATURES[path]]
    by_position = [(p.name, p.default) for p in parameters(path) if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert by_position == expected
    assert [type(default) for _, default in by_position] == [type(default) for _, default in expected]


@pytest.mark.parametrize("path", sorted(SIGNATURES.keys() - {"FileValidator.validate_file"}))
def test_open_keywords_became_named_ones(path):
    others = {p.name: p.default for p in parameters(path) if p.kind is not p.POSITIONAL_OR_KEYWORD}
    assert others == KEYWORDS.get(path, {})
    assert {p.kind for p in parameters(path)} <= {
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    }


@pytest.mark.parametrize("name", sorted(set(virt_s3.__all__) - {"Params", "TransferConfig"}))
def test_every_name_is_documented(name):
    text = inspect.getdoc(getattr(virt_s3, name))
    assert text
    assert text.splitlines()[0].endswith((".", ":")), "the first line is one sentence"


@pytest.mark.parametrize("name", ["S3Storage", "LocalStorage"])
def test_a_backend_has_the_arguments_of_the_protocol(name):
    backend = getattr(virt_s3, name)
    members = [member for member, value in vars(virt_s3.Storage).items() if inspect.isfunction(value)]
    assert len(members) > 10
    for member in set(members) - {"__init__", "__subclasshook__", "_no_init_or_replace_init"}:
        assert arguments(getattr(backend, member)) == arguments(getattr(virt_s3.Storage, member)), member


def arguments(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def test_the_transfer_config_is_that_of_boto3():
    from boto3.s3.transfer import TransferConfig

    assert virt_s3.TransferConfig is TransferConfig


def test_the_formats_have_the_documented_values():
    assert {kind.name: kind.value for kind in virt_s3.ImageFormatType} == {
        "PIL_IMAGE": "pil_img",
        "BASE64_HTML_STRING": "base64_html_string",
        "NUMPY_ARRAY": "numpy_array",
    }


def test_an_audit_module_is_there_as_in_virt_s3():
    assert virt_s3.audit.register_audit_callback is virt_s3.register_audit_callback


def test_functions_load_no_heavy_package_before_they_are_called(tmp_path):
    code = (
        "import s3bids.storage as v, sys\n"
        "names = [n for n in v.__all__ if n != 'TransferConfig']\n"
        "[getattr(v, name) for name in names]\n"
        "params = v.LocalFSParams(True, 'root', 'someone', 'bucket')\n"
        "v.create_bucket('bucket', params)\n"
        "v.upload_data(b'1', 'x', params)\n"
        "assert v.get_file('x', params=params) == b'1'\n"
        "print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = {module.partition(".")[0] for module in run.stdout.split()}
    assert loaded & {"boto3", "botocore", "obstore", "PIL", "pyarrow", "pandas", "numpy", "s3fs"} == set()
    assert run.stderr == ""
