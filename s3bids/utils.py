"""The import path of s3bids 0.1.7: ``from s3bids.utils import S3BIDSStudy``. Nothing is defined here."""

from __future__ import annotations

from .hbn import HBNSite, HBNSubject
from .legacy import _download_from_s3, _get_matching_s3_keys, _ls_s3fs, get_s3_client, to_bids_description
from .neuro.json import read_json, s3fs_json_read, s3fs_json_write, write_json
from .neuro.nifti import s3fs_nifti_read, s3fs_nifti_write
from .study import S3BIDSStudy
from .subject import S3BIDSSubject

__all__ = [
    "HBNSite",
    "HBNSubject",
    "S3BIDSStudy",
    "S3BIDSSubject",
    "_download_from_s3",
    "_get_matching_s3_keys",
    "_ls_s3fs",
    "get_s3_client",
    "read_json",
    "s3fs_json_read",
    "s3fs_json_write",
    "s3fs_nifti_read",
    "s3fs_nifti_write",
    "to_bids_description",
    "write_json",
]
