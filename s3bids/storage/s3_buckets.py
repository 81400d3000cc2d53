"""Making a bucket on S3, and emptying one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import AccessDeniedError, StorageError
from . import audit
from .base import RequestArgs
from .s3_answers import PAGE_KEYS
from .s3_errors import translating

#: Characters that XML 1.0 cannot say (section 2.2), and so no DELETE of several keys.
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def create(client: Any, bucket: str, endpoint: str, requests: Mapping[str, RequestArgs | None]) -> bool:
    """Make a bucket and say whether it is ours now; then send what else is asked for.

    Parameters
    ----------
    requests
        Method of the client -> its arguments. Those of ``create_bucket`` go into the first request; each other one is
        sent afterwards if it has arguments.
    """
    with translating("create the bucket", f"s3://{bucket}", endpoint=endpoint):
        if not _create(client, bucket, requests.get("create_bucket") or {}):
            return False
    for name, arguments in requests.items():
        if arguments and name != "create_bucket":
            with translating(f"{name.replace('_', ' ')} of", f"s3://{bucket}", endpoint=endpoint):
                getattr(client, name)(**{"Bucket": bucket, **arguments})
    return True


def _create(client: Any, bucket: str, arguments: RequestArgs) -> bool:
    region = client.meta.region_name
    options = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
    try:
        client.create_bucket(**{"Bucket": bucket, **options, **arguments})
    except client.exceptions.BucketAlreadyOwnedByYou:
        return True
    except client.exceptions.BucketAlreadyExists:
        # Some servers answer so in both cases.
        owned = client.list_buckets().get("Buckets", ())
        return any(entry["Name"] == bucket for entry in owned)
    return True


def delete_all(client: Any, bucket: str, keys: list[str], endpoint: str) -> None:
    """Delete many objects, 1,000 in a request; the first that could not be deleted is raised, after all were tried."""
    plain = [key for key in keys if not _NOT_IN_XML.search(key)]
    failures = []
    for first in range(0, len(plain), PAGE_KEYS):
        failures += _delete_page(client, bucket, plain[first : first + PAGE_KEYS], endpoint)
    for key in sorted(set(keys).difference(plain)):
        delete_one(client, bucket, key, endpoint)
    for failure in failures:
        kind = AccessDeniedError if failure.get("Code") == "AccessDenied" else StorageError
        reason = failure.get("Message") or failure.get("Code")
        more = f" (and {len(failures) - 1} other objects)" if len(failures) > 1 else ""
        raise kind(f"cannot delete s3://{bucket}/{failure['Key']}{more}: {reason}; the others are deleted")


def _delete_page(client: Any, bucket: str, keys: list[str], endpoint: str) -> list[dict[str, str]]:
    with translating("delete", f"s3://{bucket}", keys[0], endpoint):
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
    failures: list[dict[str, str]] = answer.get("Errors", [])
    for key in sorted(set(keys) - {failure["Key"] for failure in failures}):
        audit.tell("delete", bucket, key)
    return failures


def delete_one(client: Any, bucket: str, key: str, endpoint: str) -> None:
    """Delete one object, or a marker."""
    with translating("delete", f"s3://{bucket}", key, endpoint):
        client.delete_object(Bucket=bucket, Key=key)
    audit.tell("delete", bucket, key)


__all__ = ["create", "delete_all", "delete_one"]
