"""The proxy: what came, what the script says about it, and the server that does it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from .script import OPERATIONS, Action, Fault, Redirect, Request, Rule, describe
from .server import Server

if TYPE_CHECKING:
    from email.message import Message
    from types import TracebackType
    from typing import Self


class Proxy:
    """Forward requests to an S3 server, count them, and spoil answers by script. Serves many threads.

    Parameters
    ----------
    upstream
        URL of the server, ``http://host:port``. The Host header is forwarded as it came, so signatures stay valid.
    strict
        Do what S3 does and ``rclone serve s3`` does not: a part of an object comes with status 206, and a request with
        an If-Match that is not the object's ETag is refused with 412.
    region
        Where the buckets live: answers about a bucket tell it (``x-amz-bucket-region``), and a request that is signed
        for another region is redirected. Default: any region serves, and none is told.
    """

    def __init__(self, upstream: str, *, strict: bool = False, region: str | None = None) -> None:
        self.upstream = upstream
        self.strict = strict
        self.region = region
        # Reentrant, so that a condition of the script may look at the requests.
        self._changed = threading.Condition(threading.RLock())
        self._requests: list[Request] = []
        self._script: list[Rule] = []
        self._stalls = 0
        self._let_go = threading.Event()
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self._server = Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="s3bids-proxy", args=(0.05,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        server, self._server = self._server, None
        self.release()
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
        with self._changed:
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
        with self._changed:
            self._script += [Rule(fault) for fault in faults]

    def unused(self) -> list[Fault]:
        """Give the rules that have not yet spoiled as many requests as they should, for a test to assert on."""
        with self._changed:
            return [rule.fault for rule in self._script if rule.is_unused]

    def reset(self) -> None:
        """Forget the requests and the script."""
        with self._changed:
            self._requests.clear()
            self._script.clear()

    def admit(self, method: str, target: str, headers: Message) -> Action | None:
        """Record a request and say what the script does to it."""
        request = describe(method, target, headers)
        with self._changed:
            action = next((rule.fault.action for rule in self._script if rule.takes(request)), None)
            if self.region and request.region not in (None, self.region):
                action = Redirect(self.region)
            self._requests.append(replace(request, action=action) if action else request)
        return action

    def stall(self) -> None:
        """Hold the request of this thread until it is let go, or the proxy ends."""
        with self._changed:
            let_go = self._let_go
            self._stalls += 1
            self._changed.notify_all()
        let_go.wait()

    def release(self) -> None:
        """Let go the requests that are held: their connections are closed."""
        with self._changed:
            let_go, self._let_go = self._let_go, threading.Event()
        let_go.set()

    def wait_for_stalls(self, number: int = 1, *, seconds: float = 60.0) -> bool:
        """Wait until so many requests have been stalled since the start; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._stalls >= number, seconds)


__all__ = ["Proxy"]
