"""Tell whoever asked for it that an object was written or deleted: for audit trails.

The callbacks are those of the whole process. Each is called as ``fn(operation, bucket, key, extra)`` once for each
object, after it was written (``"write"``) or deleted (``"delete"``), by every backend and every call that does so;
`extra` is an empty dict, for what may be said later. A call comes from the thread that did the work, so a callback
serves many threads; what it raises is logged and stops nothing.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    AuditCallback = Callable[[str, str, str, dict[str, Any]], object]

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_callbacks: list[AuditCallback] = []


def register_audit_callback(fn: AuditCallback) -> None:
    """Call `fn` for each object written or deleted from now on; once, however often it is registered.

    Parameters
    ----------
    fn
        Called as ``fn(operation, bucket, key, extra)``.
    """
    if not callable(fn):
        raise TypeError(f"an audit callback is a function, not {type(fn).__name__}")
    with _lock:
        if fn not in _callbacks:
            _callbacks.append(fn)


def unregister_audit_callback(fn: AuditCallback) -> None:
    """Call `fn` no more; one that is not registered is passed over."""
    with _lock:
        if fn in _callbacks:
            _callbacks.remove(fn)


def tell(operation: str, bucket: str, key: str) -> None:
    """Call the registered callbacks."""
    for fn in tuple(_callbacks):
        try:
            fn(operation, bucket, key, {})
        except Exception:  # the work is done, and an audit must not undo it
            logger.warning("the audit callback %r failed at the %s of %s/%s", fn, operation, bucket, key, exc_info=True)


__all__ = ["register_audit_callback", "tell", "unregister_audit_callback"]
