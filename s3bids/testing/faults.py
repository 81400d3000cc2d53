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

import socket
import struct
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from email.message import Message
    from types import TracebackType
    from typing import Self

#: What requests are counted as; ``other`` is all that is none of the rest, such as making a bucket.
OPERATIONS = ("list", "get", "head", "put", "delete", "other")

#: Headers that concern one connection only (RFC 9110, section 7.6.1), or that the proxy sets itself.
_OWN_HEADERS = frozenset({"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding"})
#: Queries that make a GET of a key something other than reading the object.
_SUBRESOURCES = frozenset({"acl", "attributes", "legal-hold", "retention", "tagging", "torrent", "uploadId"})
_PIECE_BYTES = 1 << 18
_UPSTREAM_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Answer:
    """Answer with an S3 error in XML instead of asking the server: ``Answer(503, "SlowDown")``."""

    #: HTTP status.
    status: int
    #: S3 error code.
    code: str
    message: str = "scripted fault"


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
    """Reset the connection (TCP RST) instead of answering."""


Action = Answer | Cut | Short | Page | Flip | Reset


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
    #: What the script did to it.
    action: Action | None = None


class Proxy:
    """Forward requests to an S3 server, count them, and spoil answers by script. Serves many threads.

    Parameters
    ----------
    upstream
        URL of the server, ``http://host:port``. The Host header is forwarded as it came, so signatures stay valid.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._script: list[_Rule] = []
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="s3bids-proxy", args=(0.05,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            self._thread.join()
            server.drop_connections()
            server.server_close()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``; the proxy must be running."""
        if self._server is None:
            raise RuntimeError("the proxy has no address before it runs; use it in a with statement")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        """All requests since the start or the last reset, in the order in which they came."""
        with self._lock:
            return list(self._requests)

    def counts(self) -> dict[str, int]:
        """Count the requests by operation; every operation is there, with 0 if there was none."""
        found = Counter(request.operation for request in self.requests)
        return {operation: found[operation] for operation in OPERATIONS}

    def script(self, *faults: Fault) -> None:
        """Add rules; the first one that matches a request and is not used up decides about it."""
        unknown = {fault.operation for fault in faults} - {*OPERATIONS, "*"}
        if unknown:
            raise ValueError(f"a fault's operation is one of {', '.join(OPERATIONS)} or *, not {sorted(unknown)}")
        with self._lock:
            self._script += [_Rule(fault) for fault in faults]

    def unused(self) -> list[Fault]:
        """Give the rules that have not yet spoiled as many requests as they should, for a test to assert on."""
        with self._lock:
            return [rule.fault for rule in self._script if rule.is_unused]

    def reset(self) -> None:
        """Forget the requests and the script."""
        with self._lock:
            self._requests.clear()
            self._script.clear()

    def admit(self, method: str, target: str, headers: Message) -> Action | None:
        """Record a request and say what the script does to it."""
        request = _describe(method, target, headers)
        with self._lock:
            action = next((rule.fault.action for rule in self._script if rule.takes(request)), None)
            self._requests.append(replace(request, action=action) if action else request)
        return action


@dataclass
class _Rule:
    """A fault and how often its requests came."""

    fault: Fault
    seen: int = 0

    def takes(self, request: Request) -> bool:
        fault = self.fault
        name = request.prefix or "" if request.operation == "list" else request.key
        if fault.operation not in ("*", request.operation) or not fnmatchcase(name, fault.pattern):
            return False
        self.seen += 1
        number = self.seen - fault.skip
        return number > 0 and (fault.times is None or number <= fault.times)

    @property
    def is_unused(self) -> bool:
        return self.seen - self.fault.skip < (self.fault.times or 1)


def _describe(method: str, target: str, headers: Message) -> Request:
    path, _, query_text = target.partition("?")
    query = parse_qs(query_text, keep_blank_values=True)
    bucket, _, key = path.removeprefix("/").partition("/")
    key = unquote(key)
    return Request(
        operation=_operation(method, bucket, key, query),
        method=method,
        bucket=unquote(bucket),
        key=key,
        prefix=query["prefix"][0] if "prefix" in query else None,
        range=headers.get("Range"),
        if_match=headers.get("If-Match"),
        is_signed="Authorization" in headers or "X-Amz-Signature" in query,
    )


def _operation(method: str, bucket: str, key: str, query: dict[str, list[str]]) -> str:
    if method == "POST" and "delete" in query:
        return "delete"
    if method == "GET" and bucket and not key:
        return "list"
    if not key or _SUBRESOURCES & query.keys() - ({"uploadId"} if method == "PUT" else set()):
        return "other"
    return {"GET": "get", "HEAD": "head", "PUT": "put", "DELETE": "delete"}.get(method, "other")


class _Server(ThreadingHTTPServer):
    """Listen on a port chosen by the kernel; a thread for each connection, all of them ended by the close."""

    daemon_threads = False
    #: Clients open many connections at once; the default of 5 would make some wait a second.
    request_queue_size = 512

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        parts = urlsplit(proxy.upstream)
        self.upstream_address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        assert isinstance(request, socket.socket)
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        assert isinstance(request, socket.socket)
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        """Wake the threads that wait for the next request of a client."""
        with self._connections_lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over clients that went away; anything else is a fault of the proxy and is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # typeshed is narrower than we need


class _Handler(BaseHTTPRequestHandler):
    """Serve one connection of a client, with one connection to the server behind."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream = HTTPConnection(*self.server.upstream_address, timeout=_UPSTREAM_TIMEOUT_S)
        self._is_first = True

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def _serve(self) -> None:
        body = self._read_body()
        action = self.server.proxy.admit(self.command, self.path, self.headers)
        match action:
            case Answer():
                text = f"<Error><Code>{action.code}</Code><Message>{escape(action.message)}</Message></Error>"
                self._send(action.status, [("Content-Type", "application/xml")], text.encode())
            case Page():
                self._send(200, [("Content-Type", "text/html; charset=utf-8")], action.html.encode())
            case Reset():
                self._reset()
            case _:
                self._forward(body, action)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the names that http.server looks for

    def _read_body(self) -> bytes | None:
        """Read the request's body; None if it has none."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks()
        length = self.headers.get("Content-Length")
        return None if length is None else self.rfile.read(int(length))

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return bytes(body)

    def _forward(self, body: bytes | None, action: Cut | Short | Flip | None) -> None:
        response = self._ask(body)
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in _OWN_HEADERS]
        length = response.getheader("Content-Length")
        if self.command == "HEAD":
            self._send(response.status, headers, b"", length=int(length or 0))
            response.read()
            self.close_connection |= isinstance(action, Cut)
            return
        if action is None and length is not None and int(length) > _PIECE_BYTES:
            self._relay(response, headers, int(length))
            return
        data = response.read()
        whole = len(data)
        match action:
            case Cut():
                self.close_connection = True
                data = data[: action.after]
            case Short():
                data = data[: action.length]
                whole = len(data)
            case Flip():
                data = _flipped(data, action.at)
        self._send(response.status, headers, data, length=whole)

    def _ask(self, body: bytes | None) -> HTTPResponse:
        """Send the request on. A connection that the server closed meanwhile is opened anew, once."""
        fresh, self._is_first = self._is_first, False
        try:
            return self._ask_once(body)
        except (RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if fresh:
                raise
            self._upstream.close()
            return self._ask_once(body)

    def _ask_once(self, body: bytes | None) -> HTTPResponse:
        self._upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _OWN_HEADERS:
                self._upstream.putheader(name, value)
        if body is not None:
            self._upstream.putheader("Content-Length", str(len(body)))
        self._upstream.endheaders(body)
        return self._upstream.getresponse()

    def _relay(self, response: HTTPResponse, headers: list[tuple[str, str]], length: int) -> None:
        """Pass a large body on in pieces, so that the proxy's memory does not grow with it."""
        self._send(response.status, headers, b"", length=length)
        while piece := response.read(_PIECE_BYTES):
            self.connection.sendall(piece)

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes, *, length: int | None = None) -> None:
        announced = len(body) if length is None else length
        lines = [f"HTTP/1.1 {status} {self.responses.get(status, ('Status',))[0]}"]
        lines += [f"{name}: {value}" for name, value in [*headers, ("Content-Length", str(announced))]]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.connection.sendall(head if self.command == "HEAD" else head + body)

    def _reset(self) -> None:
        self.close_connection = True
        # Linger of zero seconds: the close sends RST, which a client cannot take for the end of an answer.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _flipped(data: bytes, at: int) -> bytes:
    if not -len(data) <= at < len(data):
        return data
    changed = bytearray(data)
    changed[at] ^= 0xFF
    return bytes(changed)


__all__ = ["OPERATIONS", "Action", "Answer", "Cut", "Fault", "Flip", "Page", "Proxy", "Request", "Reset", "Short"]
