"""The language of a script: which requests are spoiled, and how; and what is known of a request."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

#: What requests are counted as; ``other`` is all that is none of the rest, such as making a bucket.
OPERATIONS = ("list", "get", "head", "put", "delete", "other")

#: Queries that make a GET of a key something other than reading the object.
_SUBRESOURCES = frozenset({"acl", "attributes", "legal-hold", "retention", "tagging", "torrent", "uploadId"})
#: The region in the scope of a signature (S3 API, "Signature Version 4").
_SIGNED_REGION = re.compile(r"Credential=[^/,]+/\d{8}/([^/,]+)/s3/")


@dataclass(frozen=True)
class Answer:
    """Answer with an S3 error in XML instead of asking the server: ``Answer(503, "SlowDown")``."""

    #: HTTP status.
    status: int
    #: S3 error code.
    code: str
    message: str = "scripted fault"


@dataclass(frozen=True)
class Redirect:
    """Answer as S3 does where the bucket lives in another region: 301, the region's name, and no Location."""

    #: Where the bucket lives.
    region: str


@dataclass(frozen=True)
class Cut:
    """Announce the whole body, send its first bytes and close the connection."""

    #: Bytes of the body that are sent.
    after: int


@dataclass(frozen=True)
class Short:
    """Send the first bytes of the body as if they were all: Content-Length agrees with them."""

    #: Bytes of the body that are sent.
    length: int


@dataclass(frozen=True)
class Page:
    """Answer with a web page and status 200, as a captive portal or a wrong address does."""

    html: str = "<!DOCTYPE html><html><body>Please sign in</body></html>"


@dataclass(frozen=True)
class Flip:
    """Invert one byte of the body; the length and all headers stay."""

    #: Position in the body; negative counts from the end. A body too short for it stays as it is.
    at: int = 0


@dataclass(frozen=True)
class Reset:
    """Reset the connection (TCP RST): instead of answering, or in the middle of a body."""

    #: Bytes of the body that are sent; None: not even a status.
    after: int | None = None


@dataclass(frozen=True)
class Stall:
    """Accept the request and then say nothing until the proxy ends, as a server or a network that hangs does."""

    #: Bytes of the body that are sent; None: not even a status.
    after: int | None = None


@dataclass(frozen=True)
class Whole:
    """Answer a request for a part with the whole object, as a server without ranges does."""


@dataclass(frozen=True)
class Call:
    """Call a function and then answer rightly: for what happens to the bucket between two requests."""

    function: Callable[[], object]


Action = Answer | Redirect | Cut | Short | Page | Flip | Reset | Stall | Whole | Call


@dataclass(frozen=True)
class Request:
    """What the proxy saw of one request."""

    #: One of `OPERATIONS`.
    operation: str
    method: str
    bucket: str
    #: Decoded; empty for a request to the bucket.
    key: str
    #: The query ``prefix``, decoded; None without one.
    prefix: str | None
    #: The header Range.
    range: str | None
    #: The header If-Match, quotes included.
    if_match: str | None
    #: Whether the request carried a signature.
    is_signed: bool
    #: The region that the signature is made for; None without one.
    region: str | None = None
    #: What the script did to it.
    action: Action | None = None


@dataclass(frozen=True)
class Fault:
    """One rule of a script: which requests are spoiled, and how."""

    #: One of `OPERATIONS`, or ``*`` for any.
    operation: str
    #: Pattern of the decoded key, as in :mod:`fnmatch` (``*`` crosses ``/``); for ``list`` of the prefix.
    pattern: str = "*"
    #: How many requests are spoiled; None means all.
    times: int | None = 1
    #: How many matching requests are let through first.
    skip: int = 0
    action: Action = field(kw_only=True)
    #: Further condition, such as a share of the requests drawn from a generator of the test's own, or an outage on the
    #: test's own clock. Asked once for each request that matches otherwise, one at a time.
    when: Callable[[Request], bool] | None = field(kw_only=True, default=None)


@dataclass
class Rule:
    """A fault and how often its requests came."""

    fault: Fault
    seen: int = 0

    def takes(self, request: Request) -> bool:
        """Count a request if it matches, and say whether it is spoiled."""
        fault = self.fault
        name = request.prefix or "" if request.operation == "list" else request.key
        if fault.operation not in ("*", request.operation) or not fnmatchcase(name, fault.pattern):
            return False
        if fault.when is not None and not fault.when(request):
            return False
        self.seen += 1
        number = self.seen - fault.skip
        return number > 0 and (fault.times is None or number <= fault.times)

    @property
    def is_unused(self) -> bool:
        """Whether fewer requests were spoiled than should be."""
        return self.seen - self.fault.skip < (self.fault.times or 1)


def describe(method: str, target: str, headers: Message) -> Request:
    """Say what a request is, from its first line and its headers."""
    path, _, query_text = target.partition("?")
    query = parse_qs(query_text, keep_blank_values=True)
    bucket, _, key = path.removeprefix("/").partition("/")
    key = unquote(key)
    region = _SIGNED_REGION.search(headers.get("Authorization", ""))
    return Request(
        operation=_operation(method, bucket, key, query),
        method=method,
        bucket=unquote(bucket),
        key=key,
        prefix=query["prefix"][0] if "prefix" in query else None,
        range=headers.get("Range"),
        if_match=headers.get("If-Match"),
        is_signed="Authorization" in headers or "X-Amz-Signature" in query,
        region=region[1] if region else None,
    )


def _operation(method: str, bucket: str, key: str, query: dict[str, list[str]]) -> str:
    if method == "POST" and "delete" in query:
        return "delete"
    if method == "GET" and bucket and not key:
        return "list"
    if not key or _SUBRESOURCES & query.keys() - ({"uploadId"} if method == "PUT" else set()):
        return "other"
    return {"GET": "get", "HEAD": "head", "PUT": "put", "DELETE": "delete"}.get(method, "other")


__all__ = [
    "OPERATIONS",
    "Action",
    "Answer",
    "Call",
    "Cut",
    "Fault",
    "Flip",
    "Page",
    "Redirect",
    "Request",
    "Reset",
    "Rule",
    "Short",
    "Stall",
    "Whole",
    "describe",
]
