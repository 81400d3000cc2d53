"""A server that misbehaves by script: a counting reverse proxy on loopback in front of a real S3 server.

It forwards what it gets, keeps a record of each request, and spoils the answers that the script names. The real client
talks to it as to any S3 server, by path (``http://127.0.0.1:PORT/bucket/key``)::

    with rclone_server(root) as server, Proxy(server.url) as proxy:
        proxy.script(Fault("get", "ds/*", times=2, action=Answer(503, "SlowDown")))
        ...  # the first two GETs below ds/ are refused
        assert proxy.counts()["get"] == 3

Nothing here depends on the clock: a fault happens at the request that the script says.
"""

from __future__ import annotations

from .proxy import Proxy
from .script import (
    OPERATIONS,
    Action,
    Answer,
    Call,
    Cut,
    Fault,
    Flip,
    Page,
    Redirect,
    Request,
    Reset,
    Short,
    Stall,
    Whole,
)

__all__ = [
    "OPERATIONS",
    "Action",
    "Answer",
    "Call",
    "Cut",
    "Fault",
    "Flip",
    "Page",
    "Proxy",
    "Redirect",
    "Request",
    "Reset",
    "Short",
    "Stall",
    "Whole",
]
