"""A download that is killed again and again: at every moment a final name is absent or whole."""

import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from s3bids.storage.files import is_part
from s3bids.testing.faults import Proxy
from s3bids.transfer.manifest import STATE_FOLDER, read_records
from s3bids.transfer.outcome import PIECE_BYTES
from s3bids.transfer.partial import read_partial
from s3bids.transfer.verify import verify_directory

KILLS = 100
#: Rounds in which the download may be faster than the kill.
MOST_ROUNDS = 300
PATIENCE_S = 120.0

MIB = 1024 * 1024
#: Objects that come in pieces.
LARGE = (40 * MIB, 57 * MIB)

DOWNLOAD = """
import sys
from s3bids import S3BIDSStudy, S3Params

url, bucket, directory = sys.argv[1:]
study = S3BIDSStudy("kill", bucket, "ds", subjects="all", storage=S3Params(bucket, url, anon=True))
report = study.download_dataset(directory)
print(report.fetched, report.skipped, report.conflicts, report.failed)
"""


@dataclass
class Study:
    """A study on the server, and what it holds: path -> bytes."""

    proxy: Proxy
    bucket: str
    files: dict[str, bytes]

    @property
    def bytes(self):
        return sum(map(len, self.files.values()))

    def start(self, directory):
        command = [sys.executable, "-c", DOWNLOAD, self.proxy.url, self.bucket, str(directory)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, directory):
        """Download to the end and give the counts: fetched, skipped, conflicts, failed."""
        with self.start(directory) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, err) == (0, "")
        return [int(number) for number in out.split()]


@pytest.fixture
def study(rclone, bucket_name):
    generator = random.Random(20260101)
    sizes = [0, 1, 100, 4 * MIB, 9 * MIB, *LARGE] + [generator.randrange(100_000) for _ in range(250)]
    files = {"dataset_description.json": b'{"Name": "x", "BIDSVersion": "1.10.0"}'}
    for number, size in enumerate(sizes):
        subject = f"sub-{number % 12:02}"
        files[f"{subject}/func/{subject}_run-{number:03}_bold.nii.gz"] = generator.randbytes(size)
    for name, data in files.items():
        path = rclone.root / bucket_name / "ds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    rclone.refresh()
    with Proxy(rclone.url, strict=True) as proxy:
        yield Study(proxy, bucket_name, files)
    shutil.rmtree(rclone.root / bucket_name)
    rclone.refresh()


def present(directory):
    """Give the bytes on disk of the files that a directory holds now, without our own records: path -> bytes.

    A large object has its full size from the beginning, and holes.
    """
    found = {}
    for folder, folders, names in os.walk(directory):
        if STATE_FOLDER in folders:
            folders.remove(STATE_FOLDER)
        for name in names:
            path = Path(folder, name)
            try:
                found[path.relative_to(directory).as_posix()] = path.stat().st_blocks * 512
            except FileNotFoundError:
                continue  # renamed since the folder was read
    return found


def finals(directory):
    return {name: size for name, size in present(directory).items() if not is_part(name.rpartition("/")[2])}


def parts(directory):
    return [name for name in present(directory) if is_part(name.rpartition("/")[2])]


def pieces_kept(directory):
    """Give the number of pieces in unfinished files that the next run can go on with."""
    partials = [read_partial(str(directory / name)) for name in parts(directory)]
    return sum(sum(partial.there) for partial in partials if partial is not None)


def wait_for(process, directory, *, files, received):
    """Wait until so many files or bytes are there (unfinished ones count), or the process has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None:
        found = present(directory)
        if len(found) >= files or sum(found.values()) >= received:
            return
        assert time.monotonic() < deadline, "the download does not get on"
        time.sleep(0.001)


def check_finals(study, directory, seen):
    """Every final name is the whole object, byte by byte; what was `seen` and is untouched is not read again."""
    names = finals(directory)
    assert set(names) <= set(study.files)
    for name in names:
        found = (directory / name).stat()
        state = found.st_ino, found.st_mtime_ns, found.st_size
        if seen.get(name) != state:
            assert (directory / name).read_bytes() == study.files[name], name
            seen[name] = state
    return names


@pytest.mark.slow
def test_a_killed_download_leaves_whole_files_only_and_the_next_one_goes_on(study, tmp_path, note):
    directory = tmp_path / "copy"
    generator = random.Random(4711)
    kills = most_parts = most_pieces = 0
    seen = {}
    for _ in range(MOST_ROUNDS):
        before = finals(directory)
        kept = sum(present(directory).values())
        missing_files, missing_bytes = len(study.files) - len(before), max(0, study.bytes - kept)
        share = generator.uniform(0.0, 0.6)
        by_bytes = generator.random() < 0.5
        with study.start(directory) as process:
            wait_for(
                process,
                directory,
                files=len(study.files) * 2 if by_bytes else len(before) + 1 + share * missing_files,
                received=kept + 1 + share * missing_bytes if by_bytes else study.bytes * 9,
            )
            killed = process.poll() is None
            process.kill()
            out, err = process.communicate()
        assert killed or process.returncode == 0, (out, err)
        kills += killed
        most_parts = max(most_parts, len(parts(directory)))
        most_pieces = max(most_pieces, pieces_kept(directory))
        after = check_finals(study, directory, seen)
        assert set(before) <= set(after), "what was whole stays"
        if kills == KILLS:
            break
        if len(after) > 0.9 * len(study.files):
            shutil.rmtree(directory)
            seen.clear()
    assert kills == KILLS
    note("SIGKILL at a random moment, 100 times, then one run", len(study.files), len(study.files), 0)
    assert most_parts > 0, "no kill met a file in the making: the test proves nothing"
    assert most_pieces > 0, "no kill left a piece of a large object to go on with"

    whole, kept = len(finals(directory)), pieces_kept(directory)
    # Another proxy: what the killed ones sent may come late.
    with Proxy(study.proxy.upstream, strict=True) as study.proxy:
        assert study.run(directory) == [len(study.files) - whole, whole, 0, 0]
        pieces = sum(request.range is not None for request in study.proxy.requests)
        assert study.run(directory) == [0, len(study.files), 0, 0]
    assert pieces <= sum(-(-size // PIECE_BYTES) for size in LARGE) - kept
    assert len(check_finals(study, directory, {})) == len(study.files)
    assert parts(directory) == []
    assert set(read_records(directory)) == set(study.files)
    assert verify_directory(directory, deep=True).differences == ()
