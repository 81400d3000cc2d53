"""A plan that names the versions of its objects, where the bucket keeps them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import AccessDeniedError
from ..storage.s3_versions import Versioned

if TYPE_CHECKING:
    from ..storage.base import Storage
    from .frozen import FrozenPlan

logger = logging.getLogger(__name__)


def lock(plan: FrozenPlan, storage: Storage) -> FrozenPlan:
    """Give a plan with the version id of each object, by one more listing (1,000 versions a request).

    An object that changed since the plan was made keeps no version id: it is then fetched by its ETag, and named as
    changed. Where the bucket keeps no versions, the storage knows none, or they may not be listed (a public bucket can
    refuse that; a warning says so), the plan stays as it is.
    """
    known = _versions(plan.prefix, storage)
    if not known:
        return plan
    wanted = plan.wanted
    versions = []
    for key, etag in zip(wanted.keys, wanted.etags, strict=True):
        version, present = known.get(key, (None, None))
        versions.append(version if present == etag else None)
    return replace(plan, wanted=replace(wanted, versions=versions))


def _versions(prefix: str, storage: Storage) -> dict[str, tuple[str, str | None]]:
    if not isinstance(storage, Versioned):
        return {}
    try:
        return storage.versions(prefix)
    except AccessDeniedError as error:
        logger.warning("%s; objects are locked by ETag alone", error)
        return {}


__all__ = ["lock"]
