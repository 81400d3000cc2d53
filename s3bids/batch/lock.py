"""A plan that names the versions of its objects, where the bucket keeps them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..storage.s3_versions import Versioned

if TYPE_CHECKING:
    from ..storage.base import Storage
    from .frozen import FrozenPlan


def lock(plan: FrozenPlan, storage: Storage) -> FrozenPlan:
    """Give a plan with the version id of each object, by one more listing (1,000 versions a request).

    An object that changed since the plan was made keeps no version id: it is then fetched by its ETag, and named as
    changed. Where the bucket keeps no versions, or the storage knows none, the plan stays as it is.
    """
    known = storage.versions(plan.prefix) if isinstance(storage, Versioned) else {}
    if not known:
        return plan
    wanted = plan.wanted
    versions = []
    for key, etag in zip(wanted.keys, wanted.etags, strict=True):
        version, present = known.get(key, (None, None))
        versions.append(version if present == etag else None)
    return replace(plan, wanted=replace(wanted, versions=versions))


__all__ = ["lock"]
