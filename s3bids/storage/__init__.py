"""Where objects live: one protocol, and two backends with the same semantics."""

from __future__ import annotations

from .base import ObjectInfo, Storage
from .local import LocalStorage
from .params import LocalFSParams, Params, PredictConnectionStoreParams, S3Params, get_default_params
from .registry import get_storage
from .s3 import S3Storage

__all__ = [
    "LocalFSParams",
    "LocalStorage",
    "ObjectInfo",
    "Params",
    "PredictConnectionStoreParams",
    "S3Params",
    "S3Storage",
    "Storage",
    "get_default_params",
    "get_storage",
]
