"""Many uploads at once, and large objects in little memory."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import s3bids.storage as virt_s3

MIB = 1024 * 1024
UPLOADS = 640
THREADS = 16


@pytest.mark.parametrize("has_client", [False, True], ids=["without client", "one client"])
def test_640_uploads_from_16_threads_are_all_stored(any_params, has_client):
    start = threading.Barrier(THREADS)
    with virt_s3.SessionManager(any_params) as session:
        client = session if has_client else None

        def upload(worker):
            start.wait(60)
            keys = [f"ds/{number % 10}/{number:04}" for number in range(worker, UPLOADS, THREADS)]
            return [virt_s3.upload_data(memoryview(key.encode()), key, any_params, client) for key in keys]

        with ThreadPoolExecutor(THREADS) as threads:
            returned = sorted(key for keys in threads.map(upload, range(THREADS)) for key in keys)
    keys = virt_s3.get_valid_file_paths("", params=any_params)
    assert len(keys) == UPLOADS
    assert returned == keys
    found = virt_s3.get_files_batch(keys, any_params, max_concurrency=THREADS)
    assert found == [key.encode() for key in keys]


#: The most memory that a program ever had. On Linux getrusage goes on from what its parent had before the exec.
MOST_MEMORY = """
import re, resource, sys
from pathlib import Path
import s3bids.storage as virt_s3

def most_mib():
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20
    return int(re.search("VmHWM:\\s+(\\d+) kB", status.read_text())[1]) >> 10
"""

#: Takes a bucket's parameters, a file to upload and a name to download to.
UP_AND_DOWN = """

place, access_key, secret_key, source, target = sys.argv[1:]
if access_key:
    params = virt_s3.S3Params("memory", place, access_key, secret_key)
else:
    params = virt_s3.LocalFSParams(True, place, "someone", "memory")
virt_s3.create_bucket("memory", params)
assert virt_s3.upload_data(source, "ds/path", params) == "ds/path"
with open(source, "rb") as file:
    virt_s3.upload_data(file, "ds/file", params)
assert virt_s3.get_file("ds/path", target, params) == target
size = sum(map(len, virt_s3.get_storage(params).stream("ds/file")))
print(size, most_mib())
"""
SIZE = 200 * MIB
MOST_MIB = 100


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "rclone"])
def test_200_mb_go_up_and_down_within_100_mb_of_memory(request, tmp_path, backend):
    source, target = tmp_path / "source", tmp_path / "target"
    block = os.urandom(MIB)
    with source.open("wb") as file:
        for number in range(SIZE // MIB):
            file.write(number.to_bytes(4, "big") + block[4:])
    arguments = [str(tmp_path / "root"), "", ""]
    if backend == "rclone":
        server = request.getfixturevalue("rclone")
        arguments = [server.url, server.access_key, server.secret_key]
    size, most_mib = numbers_of(UP_AND_DOWN, *arguments, str(source), str(target))
    assert size == SIZE
    assert most_mib < MOST_MIB
    with source.open("rb") as expected, target.open("rb") as found:
        assert hashlib.file_digest(expected, "sha256").digest() == hashlib.file_digest(found, "sha256").digest()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simple", "transfer"])
def test_bytes_in_memory_are_there_once(rclone, method):
    """A view is not copied on the way up, and what is read is not put together twice."""
    program = f"""
storage = virt_s3.get_storage(virt_s3.S3Params("memory-once", *sys.argv[1:]))
storage.create_bucket()
storage.write("x", b"1", method="simple")
storage.read("x")
data = memoryview(b"x" * {SIZE})
before = most_mib()
storage.write("x", data, method={method!r})
print(most_mib() - before)
del data
assert len(storage.read("x", method={method!r})) == {SIZE}
print(most_mib() - before)
"""
    # What is read takes the room of what was written.
    up_mib, down_mib = numbers_of(program, rclone.url, rclone.access_key, rclone.secret_key)
    assert up_mib < 40
    assert down_mib < 40


def numbers_of(program, *arguments):
    """Run a program and give the numbers that it prints."""
    command = [sys.executable, "-c", MOST_MEMORY + program, *arguments]
    return map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
