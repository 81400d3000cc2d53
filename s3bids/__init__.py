"""Download BIDS studies from S3, or from a local directory that emulates it.

>>> import s3bids
>>> s3bids.__version__.count(".")
2

Names load on first use: ``import s3bids`` loads no other package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import load_study, save_study
    from .errors import DownloadError, S3BIDSError
    from .hbn import HBNSite, HBNSubject
    from .legacy import get_s3_client, to_bids_description
    from .loading import LoadedImage
    from .neuro.headers import ImageHeader, read_header
    from .neuro.json import (
        read_json,
        read_json_object,
        s3fs_json_read,
        s3fs_json_write,
        write_json,
        write_json_object,
    )
    from .neuro.nifti import read_nifti, s3fs_nifti_read, s3fs_nifti_write, write_nifti
    from .openneuro import OpenNeuroStudy
    from .storage import LocalFSParams, LocalStorage, S3Params, S3Storage, get_default_params, get_storage
    from .study import S3BIDSStudy
    from .subject import S3BIDSSubject
    from .transfer.report import DownloadReport
    from .verification import verify_directory

__version__ = "0.2.0"

#: Public name -> the module that has it.
_PLACES = {
    "DownloadError": "errors",
    "DownloadReport": "transfer.report",
    "HBNSite": "hbn",
    "HBNSubject": "hbn",
    "ImageHeader": "neuro.headers",
    "LoadedImage": "loading",
    "LocalFSParams": "storage",
    "LocalStorage": "storage",
    "OpenNeuroStudy": "openneuro",
    "S3BIDSError": "errors",
    "S3BIDSStudy": "study",
    "S3BIDSSubject": "subject",
    "S3Params": "storage",
    "S3Storage": "storage",
    "_download_from_s3": "legacy",
    "_get_matching_s3_keys": "legacy",
    "_ls_s3fs": "legacy",
    "get_default_params": "storage",
    "get_s3_client": "legacy",
    "get_storage": "storage",
    "load_study": "config",
    "read_header": "neuro.headers",
    "read_json": "neuro.json",
    "read_json_object": "neuro.json",
    "read_nifti": "neuro.nifti",
    "s3fs_json_read": "neuro.json",
    "s3fs_json_write": "neuro.json",
    "s3fs_nifti_read": "neuro.nifti",
    "s3fs_nifti_write": "neuro.nifti",
    "save_study": "config",
    "to_bids_description": "legacy",
    "verify_directory": "verification",
    "write_json": "neuro.json",
    "write_json_object": "neuro.json",
    "write_nifti": "neuro.nifti",
}

__all__ = [
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


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 's3bids' has no attribute {name!r}")
    value = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
