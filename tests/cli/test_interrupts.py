"""Ctrl-C and SIGTERM end the program within seconds, with their own code, and leave no half of a file."""

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from s3bids.storage.files import is_part
from s3bids.testing.faults import Fault, Proxy, Stall
from s3bids.transfer.manifest import read_records
from s3bids.transfer.partial import read_partial

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
    # What the run was is noted before the first request.
    files = [path for path in work.rglob("*") if path.is_file() and path.parent.name != ".s3bids"]
    assert [path.name for path in files if not is_part(path.name)] == []


MIB = 1024 * 1024
#: The second of three pieces.
STALLED = f"bytes={16 * MIB}-{32 * MIB - 1}"


@pytest.fixture
def large(rclone, bucket_name):
    """A study of some small objects and one of 40 MiB: path -> content."""
    files = {f"sub-01/anat/{number}.json": b"%d" % number for number in range(5)}
    files["dataset_description.json"] = b'{"Name": "x", "BIDSVersion": "1.10.0"}'
    files["sub-01/func/sub-01_bold.nii.gz"] = random.Random(1).randbytes(40 * MIB)
    for name, data in files.items():
        path = rclone.root / bucket_name / "ds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    rclone.refresh()
    yield files
    shutil.rmtree(rclone.root / bucket_name)
    rclone.refresh()


def there(directory):
    """Give which pieces an unfinished file has, if there is one that says so."""
    partials = [read_partial(str(path)) for path in directory.rglob("*") if is_part(path.name)]
    return [partial.there for partial in partials if partial is not None]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_large_object(rclone, bucket_name, large, work, environment, files_of, number):
    """What is there of it stays, the manifest is whole, and the next run fetches the rest."""
    out = work / "out"

    def start(proxy):
        command = [PROGRAM, "download", f"s3://{bucket_name}/ds", out, "--endpoint-url", proxy.url, "--no-progress"]
        return subprocess.Popen(command, cwd=work, env=environment, stderr=subprocess.PIPE, text=True)

    with Proxy(rclone.url, strict=True) as proxy:
        stalls = Fault("get", times=None, action=Stall(MIB), when=lambda request: request.range == STALLED)
        proxy.script(stalls)
        with start(proxy) as process:
            assert proxy.wait_for_stalls()
            deadline = time.monotonic() + 60.0
            while there(out) != [b"\1\0\1"] or len(files_of(out)) < len(large):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            sent = time.monotonic()
            process.send_signal(number)
            shown = process.communicate(timeout=30)[1]
        assert time.monotonic() - sent < 5.0
    assert (process.returncode, shown.strip()) == (130, "s3bids: interrupted; run the same command again to go on")

    finals = {name: data for name, data in files_of(out).items() if not is_part(name.rpartition("/")[2])}
    assert finals == {name: data for name, data in large.items() if len(data) < MIB}
    assert set(read_records(out)) == set(finals)
    for manifest in (out / ".s3bids").iterdir():
        lines = manifest.read_bytes().splitlines(keepends=True)
        assert all(line.endswith(b"\n") and json.loads(line) for line in lines)
    assert there(out) == [b"\1\0\1"]

    with Proxy(rclone.url, strict=True) as proxy, start(proxy) as process:
        assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
    assert [request.range for request in proxy.requests if request.operation == "get"] == [STALLED]
    assert files_of(out) == large
