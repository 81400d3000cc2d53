"""Peak memory of a download of one object, by its size: it must not depend on it.

    python benchmarks/memory.py [DIRECTORY] [SIZE_MB ...]     by default 200 MB, 2,000 MB and 20,000 MB

A server in a process of its own serves a sparse file by ranges, so the object takes no space; the copy does: name a
directory that has it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SIZES_MB = (200, 2_000, 20_000)
KEY = "ds/sub-01/dwi/sub-01_dwi.nii.gz"
#: The ETag of an upload in parts; nothing is to be hashed for it but with ``sha256``.
ETAG = f'"{"0" * 32}-3"'

DOWNLOAD = """
import resource, sys
from s3bids import S3BIDSStudy, S3Params
url, directory, verify = sys.argv[1:]
study = S3BIDSStudy("memory", "bucket", "ds", subjects="all", storage=S3Params("bucket", url, anon=True))
report = study.download_dataset(directory, verify=verify)
print(report.bytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


class Server(ThreadingHTTPServer):
    """One object in one bucket."""

    request_queue_size = 512
    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.file = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self.file).st_size


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if "list-type" in self.path or "prefix=" in self.path:
            self.list()
            return
        start, end = 0, self.server.size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if wanted:
            start, end = int(wanted[1]), int(wanted[2]) + 1
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{self.server.size}")
        self.send_header("ETag", ETAG)
        self.send_header("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        while start < end:
            start += os.sendfile(self.connection.fileno(), self.server.file, start, end - start)

    def list(self) -> None:
        if "delimiter=" in self.path:
            content = "<CommonPrefixes><Prefix>ds/sub-01/</Prefix></CommonPrefixes>"
        else:
            content = (
                f"<Contents><Key>{KEY}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
                f"<ETag>{ETAG}</ETag><Size>{self.server.size}</Size></Contents>"
            )
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{content}</ListBucketResult>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def measure(size_mb: int, verify: str, folder: Path) -> tuple[float, float]:
    """Give the peak memory in MB, and the seconds that the download took."""
    source = folder / "object"
    with source.open("wb") as file:
        file.truncate(size_mb * 1_000_000)
    server = Server(source)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target = folder / "copy"
    begun = time.perf_counter()
    command = [sys.executable, "-c", DOWNLOAD, f"http://127.0.0.1:{server.server_address[1]}", str(target), verify]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    seconds = time.perf_counter() - begun
    server.shutdown()
    if (target / "sub-01/dwi/sub-01_dwi.nii.gz").stat().st_size != size_mb * 1_000_000:
        raise RuntimeError(f"the copy is not whole: {found}")
    shutil.rmtree(target)
    return int(found[1]) / 1024, seconds


def main() -> None:
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    sizes = [int(text) for text in sys.argv[2:]] or SIZES_MB
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        for verify in ("size", "sha256"):
            for size in sizes:
                peak, seconds = measure(size, verify, Path(folder))
                print(f"{size:7,} MB, --verify {verify:6}: peak {peak:4.0f} MB, {seconds:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
