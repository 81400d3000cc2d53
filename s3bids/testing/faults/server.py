"""The HTTP server of a proxy: it forwards requests, and spoils answers as it is told."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from .script import Action, Answer, Call, Cut, Flip, Page, Redirect, Reset, Short, Stall, Whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .proxy import Proxy

#: Headers that concern one connection only (RFC 9110, section 7.6.1), or that the proxy sets itself.
_OWN_HEADERS = frozenset({"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding"})
_REGION_HEADER = "x-amz-bucket-region"
_ELSEWHERE = Answer(301, "PermanentRedirect", "The bucket must be addressed using the specified endpoint.")
_CHANGED = Answer(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
_PIECE_BYTES = 1 << 18
_UPSTREAM_TIMEOUT_S = 60.0


class Server(ThreadingHTTPServer):
    """Listen on a port chosen by the kernel; a thread for each connection, all of them ended by the close."""

    daemon_threads = False
    #: Clients open many connections at once; the default of 5 would make some wait a second.
    request_queue_size = 512

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        parts = urlsplit(proxy.upstream)
        self.upstream_address: tuple[str, int] = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Remember a connection, and serve it in a thread."""
        assert isinstance(request, socket.socket)
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Forget a connection, and close it."""
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


class Handler(BaseHTTPRequestHandler):
    """Serve one connection of a client, with one connection to the server behind."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        """Make the connection to the server behind; it opens with the first request."""
        super().setup()
        self._upstream = HTTPConnection(*self.server.upstream_address, timeout=_UPSTREAM_TIMEOUT_S)
        self._is_first = True

    def finish(self) -> None:
        """Close both connections."""
        self._upstream.close()
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def _serve(self) -> None:
        body = self._read_body()
        action = self.server.proxy.admit(self.command, self.path, self.headers)
        match action:
            case Answer():
                self._refuse(action)
            case Redirect():
                self._refuse(_ELSEWHERE, [(_REGION_HEADER, action.region)])
            case Page():
                self._send(HTTPStatus.OK, [("Content-Type", "text/html; charset=utf-8")], action.html.encode())
            case Reset(after=None):
                self._reset()
            case Stall(after=None):
                self._stall()
            case Call():
                action.function()
                self._forward(body, None)
            case Whole():
                del self.headers["Range"]
                self._forward(body, None)
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

    def _refuse(self, answer: Answer, headers: Sequence[tuple[str, str]] = ()) -> None:
        text = f"<Error><Code>{answer.code}</Code><Message>{escape(answer.message)}</Message></Error>"
        self._send(answer.status, [("Content-Type", "application/xml"), *headers], text.encode())

    def _forward(self, body: bytes | None, action: Action | None) -> None:
        response = self._ask(body)
        if self.server.proxy.strict and self._is_unmatched(response):
            # What is left of the body would stand before the next answer.
            self._upstream.close()
            self._refuse(_CHANGED)
            return
        status, headers = self._status(response), self._headers(response)
        length = response.getheader("Content-Length")
        if self.command == "HEAD":
            self._send(status, headers, b"", length=int(length or 0))
            response.read()
            self.close_connection |= isinstance(action, Cut)
            return
        if action is None and length is not None and int(length) > _PIECE_BYTES:
            self._send(status, headers, b"", length=int(length))
            self._relay(response)
            return
        data = response.read()
        match action:
            case Cut(after) | Reset(after) | Stall(after):
                self._send(status, headers, data[:after], length=len(data))
                self._break_off(action)
            case Short():
                self._send(status, headers, data[: action.length])
            case Flip(at):
                self._send(status, headers, _flipped(data, at))
            case _:
                self._send(status, headers, data)

    def _is_unmatched(self, response: HTTPResponse) -> bool:
        expected = self.headers.get("If-Match")
        is_read = self.command in ("GET", "HEAD") and response.status == HTTPStatus.OK
        return is_read and expected not in (None, response.getheader("ETag"))

    def _status(self, response: HTTPResponse) -> int:
        is_part = response.status == HTTPStatus.OK and response.getheader("Content-Range") is not None
        return HTTPStatus.PARTIAL_CONTENT if self.server.proxy.strict and is_part else response.status

    def _headers(self, response: HTTPResponse) -> list[tuple[str, str]]:
        found = [(name, value) for name, value in response.getheaders() if name.lower() not in _OWN_HEADERS]
        region = self.server.proxy.region
        is_bucket = "/" not in self.path.partition("?")[0].strip("/")
        return [*found, (_REGION_HEADER, region)] if region and is_bucket else found

    def _break_off(self, action: Cut | Reset | Stall) -> None:
        self.close_connection = True
        if isinstance(action, Reset):
            self._reset()
        elif isinstance(action, Stall):
            self._stall()

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

    def _relay(self, response: HTTPResponse) -> None:
        """Pass a large body on in pieces, so that the proxy's memory does not grow with it."""
        while piece := response.read(_PIECE_BYTES):
            self.connection.sendall(piece)

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes, *, length: int | None = None) -> None:
        announced = len(body) if length is None else length
        lines = [f"HTTP/1.1 {status} {self.responses.get(status, ('Status',))[0]}"]
        lines += [f"{name}: {value}" for name, value in [*headers, ("Content-Length", str(announced))]]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.connection.sendall(head if self.command == "HEAD" else head + body)

    def _stall(self) -> None:
        self.close_connection = True
        self.server.proxy.stall()

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
