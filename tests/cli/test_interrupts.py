"""Ctrl-C and SIGTERM end the program within seconds, with their own code, and leave no half of a file."""

import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from s3bids.storage.files import is_part

PROGRAM = Path(sys.executable).with_name("s3bids")
KEY = "ds/sub-01/anat/sub-01_T1w.nii.gz"
TIME = "2026-01-01T00:00:00.000Z"


class StallingServer(ThreadingHTTPServer):
    """An S3 server of one object that stops answering in the middle of a listing, or of the object."""

    daemon_threads = True

    def __init__(self, *, answers_lists):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers_lists = answers_lists
        self.has_stalled = threading.Event()
        self.is_over = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def stall(self):
        self.has_stalled.set()
        self.is_over.wait()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if "list-type=2" not in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
            self.server.stall()
            return
        if not self.server.answers_lists:
            self.server.stall()
            return
        if "delimiter=" in self.path:
            found = "<CommonPrefixes><Prefix>ds/sub-01/</Prefix></CommonPrefixes>"
        else:
            found = f"<Contents><Key>{KEY}</Key><LastModified>{TIME}</LastModified><Size>1000</Size></Contents>"
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Stay quiet."""


@pytest.fixture
def stalling(request):
    server = StallingServer(answers_lists=request.param)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.is_over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("stalling", [True, False], ids=["in the transfer", "in the listing"], indirect=True)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_a_signal_ends_the_program_within_five_seconds(stalling, work, environment, number, code):
    command = [PROGRAM, "download", "s3://bucket/ds", "out", "--endpoint-url", stalling.url, "--no-progress"]
    with subprocess.Popen(command, cwd=work, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert stalling.has_stalled.wait(60)
        sent = time.monotonic()
        process.send_signal(number)
        shown = process.communicate(timeout=30)[1]
    assert time.monotonic() - sent < 5.0
    assert process.returncode == code
    assert shown.strip() == "s3bids: interrupted; run the same command again to go on"
    files = [path for path in work.rglob("*") if path.is_file()]
    assert [path.name for path in files if not is_part(path.name)] == []
