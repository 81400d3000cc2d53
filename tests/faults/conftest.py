"""A storage that misbehaves by script, a real server behind a proxy that does, and ways to run downloads unwaited."""

from __future__ import annotations

import errno
import hashlib
import inspect
import json
import math
import os
import random
import shutil
import subprocess
import sys
import threading
from collections import defaultdict, deque
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from s3bids.cli import program
from s3bids.cli.program import Exit
from s3bids.errors import ObjectChangedError, ObjectNotFoundError
from s3bids.storage.base import CHUNK_BYTES, ObjectInfo, Storage
from s3bids.storage.files import is_part
from s3bids.testing.faults import Proxy
from s3bids.transfer import fetch, large, target
from s3bids.transfer.download import Options, download
from s3bids.transfer.engine import run_transfers
from s3bids.transfer.manifest import read_records
from s3bids.transfer.outcome import Settings
from s3bids.transfer.partial import read_partial
from s3bids.transfer.plan import Action, Transfer, Wanted
from s3bids.transfer.pool import Part
from s3bids.transfer.progress import Planned, Received, Started
from s3bids.transfer.retry import Retry


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class ScriptedStorage:
    """Objects in memory, handed out in small pieces; what each GET does can be scripted, the rest serve rightly.

    A script is a queue for each key: one entry for each GET, taken in order. With `start` it is a queue for the GETs of
    the range that begins there.
    """

    bucket = "scripted"
    location = "s3://scripted"

    def __init__(self, objects, *, etags=None, piece=4):
        self.objects = dict(objects)
        #: Key -> ETag; the MD5 unless given.
        self.etags = {key: md5(data) for key, data in self.objects.items()} | (etags or {})
        #: The key of every GET, in order, and its range.
        self.gets = []
        self.ranges = []
        #: Called at each GET with its key; what it gives is raised, unless it is None.
        self.refuses = lambda key: None
        self._piece = piece
        self._script = defaultdict(deque)
        self._lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def wanted(self):
        """Give what a listing says now, as the columns that a plan is made of."""
        keys = sorted(self.objects)
        return Wanted(
            keys,
            [key.removeprefix("ds/") for key in keys],
            [len(self.objects[key]) for key in keys],
            [self.etags[key] for key in keys],
            [math.nan] * len(keys),
        )

    def transfers(self, action=Action.FETCH):
        wanted = self.wanted()
        columns = zip(wanted.keys, wanted.targets, wanted.sizes, wanted.etags, wanted.modified, strict=True)
        return [Transfer(*row, action, "the note") for row in columns]

    def fails(self, key, error, *, times=1, after=0, start=None):
        """Let the next GETs of a key raise an error once some bytes have come."""

        def pieces(data):
            yield from self._pieces(data[:after])
            raise error

        self._add(key, pieces, times, start)

    def cuts(self, key, length, *, times=1, start=None):
        """Let the body end early, as if it were whole."""
        self._add(key, lambda data: self._pieces(data[:length]), times, start)

    def serves(self, key, body, *, times=1, start=None):
        """Let another body come."""
        self._add(key, lambda data: self._pieces(body), times, start)

    def flips(self, key, position, *, times=1, start=None):
        """Invert one byte of the body."""

        def pieces(data):
            changed = bytearray(data)
            changed[position] ^= 0xFF
            return self._pieces(bytes(changed))

        self._add(key, pieces, times, start)

    def calls(self, key, function, *, after=0, times=1, start=None):
        """Call a function when some bytes have come, then go on rightly."""

        def pieces(data):
            yield from self._pieces(data[:after])
            function()
            yield from self._pieces(data[after:])

        self._add(key, pieces, times, start)

    def never_ends(self, key, *, start=None):
        """Let the body never come to its end: only an interruption ends the transfer."""

        def pieces(data):
            while True:
                yield b""

        self._add(key, pieces, 1, start)

    def _add(self, key, pieces, times, start):
        assert key in self.objects, "a script for a key that nobody asks for"
        self._script[key, start].extend([pieces] * times)

    def forget_script(self):
        """Say that not every key of the script was to be asked for."""
        self._script.clear()

    @property
    def unused(self):
        """Keys whose script was not played to its end."""
        return [key for key, entries in self._script.items() if entries]

    def stream(self, key, start=0, if_match=None, *, end=None, chunk_size=CHUNK_BYTES, progress_callback=None):
        del chunk_size, progress_callback
        with self._lock:
            self.gets.append(key)
            self.ranges.append((start, end))
            script = self._script[key, start] or self._script[key, None]
            scripted = script.popleft() if script else None
        error = self.refuses(key)
        if error is not None:
            raise error
        if key not in self.objects:
            raise ObjectNotFoundError(f"cannot read {self.location}/{key}: there is no such object")
        if if_match is not None and if_match != self.etags[key]:
            raise ObjectChangedError(f"cannot read {self.location}/{key}: the object has changed")
        data = self.objects[key][start:end]
        yield from scripted(data) if scripted else self._pieces(data)

    def head(self, key):
        if key not in self.objects:
            raise ObjectNotFoundError(f"cannot look at {self.location}/{key}: there is no such object")
        return ObjectInfo(key, len(self.objects[key]), self.etags[key])

    def _pieces(self, data):
        for start in range(0, len(data), self._piece):
            yield data[start : start + self._piece]


# It stands for a Storage: if the protocol changes, what is tested with it must change too.
assert list(inspect.signature(ScriptedStorage.stream).parameters) == list(inspect.signature(Storage.stream).parameters)


class Runner:
    """Run downloads into one directory, and remember waits and events."""

    def __init__(self, directory):
        self.directory = directory
        self.waits = []
        self.events = []
        self.clock = 0.0
        #: Whether the clock goes on while somebody waits; with several threads it goes faster than any of them.
        self.sleeping_takes_time = False
        self.retry = Retry(busy_attempts=5, sleep=self.sleep, uniform=lambda low, high: high, now=self.now)
        self._lock = threading.Lock()

    def now(self):
        with self._lock:
            self.clock += 1e-6 if self.sleeping_takes_time else 0.0
            return self.clock

    def sleep(self, seconds):
        with self._lock:
            self.waits.append(seconds)
            self.clock += seconds if self.sleeping_takes_time else 0.0

    def download(self, storage, *, directory=None, wanted=None, **options):
        chosen = {"retry": self.retry, "emit": self.events.append, **options}
        wanted = storage.wanted() if wanted is None else wanted
        return download(storage, wanted, directory or self.directory, Options(**chosen))

    def transfers(self, storage, transfers, *, emit=None, **settings):
        """Carry out transfers, without a plan; give the iterator of results."""
        chosen = replace(Settings(self.directory, retry=self.retry), **settings)
        return run_transfers(storage, [Part(transfers, Planned(1000, 0))], chosen, emit or self.events.append)

    @property
    def received(self):
        """Bytes that a bar would show at the end."""
        return sum(event.bytes for event in self.events if isinstance(event, Received))

    @property
    def planned(self):
        """Bytes of a bar from its beginning to its end."""
        return sum(event.bytes for event in self.events if isinstance(event, Started | Planned))

    @property
    def records(self):
        return read_records(self.directory)

    def files(self):
        """Give the files of the directory without our own records: path -> bytes."""
        paths = [path for path in self.directory.rglob("*") if path.is_file()]
        names = {path.relative_to(self.directory).as_posix(): path for path in paths}
        return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".s3bids/")}

    def parts(self):
        return [path for path in self.directory.rglob("*") if is_part(path.name)]


@pytest.fixture
def make_storage():
    """Make scripted storages; every script must have been played to its end when the test is over."""
    made = []

    def make(objects, **options):
        if not isinstance(objects, dict):
            objects = {f"ds/{number:03}": f"content {number}".encode() * 3 for number in range(objects)}
        made.append(ScriptedStorage(objects, **options))
        return made[-1]

    yield make
    assert [storage.unused for storage in made if storage.unused] == []


@pytest.fixture
def run(tmp_path):
    """A runner; whatever happened, no unfinished file may be left when the test is over."""
    runner = Runner(tmp_path / "copy")
    yield runner
    assert runner.parts() == []


@pytest.fixture
def dead_part():
    """The name of an unfinished file whose process has ended."""
    code = "from s3bids.storage.files import part_name; print(part_name())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def living_part():
    """The name of an unfinished file whose process runs as long as the test."""
    code = "from s3bids.storage.files import part_name; print(part_name(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process.stdout.readline().strip()
        process.communicate("\n")


class Disk:
    """How many bytes of downloaded files still fit, and the error that the next one meets."""

    def __init__(self):
        self.left = math.inf
        self.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._lock = threading.Lock()

    def take(self, size):
        with self._lock:
            if self.left < size:
                raise self.error
            self.left -= size


@pytest.fixture
def disk(monkeypatch):
    """The disk that files are downloaded to."""
    found = Disk()

    def watched(write):
        def write_if_there_is_space(file, piece, *position):
            found.take(len(piece))
            write(file, piece, *position)

        return write_if_there_is_space

    monkeypatch.setattr(fetch, "write", watched(target.write))
    monkeypatch.setattr(large, "write_at", watched(target.write_at))
    return found


# The real chain: command line, obstore, proxy, rclone


class Clock:
    """A clock that goes on while somebody waits, and by a trifle whenever somebody looks. Serves many threads."""

    def __init__(self):
        self.now = 0.0
        self.waits = []
        #: Then others are always served at the same moment, and an object has its few attempts.
        self.stands_still = False
        self._lock = threading.Lock()

    def __call__(self):
        with self._lock:
            self.now += 0.0 if self.stands_still else 1e-6
            return self.now

    def sleep(self, seconds):
        with self._lock:
            self.now += 0.0 if self.stands_still else seconds
            self.waits.append(seconds)


@dataclass(frozen=True)
class Ran:
    """What one run of the command line left."""

    code: int
    #: What ``--json`` prints; None where the command ended with an error.
    report: dict[str, Any] | None
    err: str
    #: Target -> entry of the report.
    failed: dict[str, dict[str, Any]]


class Chain:
    """A study of small and large objects on a server, a proxy before it, and the command line in this process."""

    #: Bytes of a piece, of a small object and of a large one, which comes in eleven pieces.
    PIECE = 64 * 1024
    SMALL = 3000
    LARGE = 10 * PIECE + 12_345

    def __init__(self, bucket, directory, open_proxy, note):
        self.bucket, self.directory = bucket, directory
        self._open_proxy = open_proxy
        self.proxy = open_proxy()
        self.clock = Clock()
        self.retry = Retry(sleep=self.clock.sleep, now=self.clock, uniform=lambda low, high: high)
        self.files = {}
        #: Whether the manifest can be written.
        self.keeps_records = True
        #: Whether a disk that is too small is refused at once; without, it is written to until it is full.
        self.checks_space = False
        self._note = note
        self._capture = None

    def renew_proxy(self):
        """Take another proxy: what a killed process had sent may come to the old one late."""
        self.proxy = self._open_proxy()

    def put(self, name, data):
        """Write one object of the study."""
        raise NotImplementedError

    def remove(self, name):
        raise NotImplementedError

    def fill(self, *, small=12, large=2):
        """Write a study; names of small objects end in .json, those of large ones in .nii.gz."""
        self.put("dataset_description.json", b'{"Name": "faults", "BIDSVersion": "1.10.0"}')
        for number in range(small):
            self.put(f"sub-{number % 3}/anat/sub-{number % 3}_run-{number:02}_T1w.json", content(number, self.SMALL))
        for number in range(large):
            self.put(
                f"sub-{number % 3}/func/sub-{number % 3}_run-{number}_bold.nii.gz", content(1000 + number, self.LARGE)
            )
        self.proxy.reset()

    @property
    def small(self):
        """The name of one small object."""
        return next(name for name, data in self.files.items() if len(data) == self.SMALL)

    @property
    def large(self):
        """The name of one large object."""
        return next(name for name, data in self.files.items() if len(data) == self.LARGE)

    def run(self, *options, fault=None, hits_all=False):
        """Download to the end. Every file is right, or listed; with `fault` what came of those it hit is noted.

        Unless it `hits_all`, these are the objects whose requests were spoiled, if there are any.
        """
        arguments = ["download", f"s3://{self.bucket}/ds", str(self.directory), "--endpoint-url", self.proxy.url]
        code = program.run([*arguments, "--json", "--no-progress", *options])
        out, err = self._capture.readouterr()
        report = json.loads(out) if out else None
        failed = {} if report is None else {entry["target"]: entry for entry in report["failed_files"]}
        ran = Ran(code, report, err, failed)
        right = self.check(ran)
        if fault is not None:
            spoiled = {request.key.removeprefix("ds/") for request in self.proxy.requests if request.action}
            spoiled &= set(self.files)
            hit = spoiled if spoiled and not hits_all else set(self.files)
            # A command that is refused fetches none.
            failed_or_refused = set(failed) if report else set(self.files)
            assert hit <= right | failed_or_refused
            self._note(fault, len(hit), len(hit & right), len(hit & failed_or_refused))
        return ran

    def start(self, *options, piece_bytes=PIECE):
        """Begin a download in a process of its own, with the clock of the computer."""
        arguments = ["download", f"s3://{self.bucket}/ds", str(self.directory), "--endpoint-url", self.proxy.url]
        command = [sys.executable, "-c", PROGRAM, str(piece_bytes), *arguments, "--json", "--no-progress", *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def check(self, ran):
        """Compare every file with its object, and the report and the manifest with the files; give the right ones."""
        right = {name for name, data in tree(self.directory).items() if data == self.files.get(name)}
        assert set(tree(self.directory)) == right, "a file under a final name is right"
        if ran.report is None:
            return right
        assert right.isdisjoint(ran.failed)
        assert right | set(ran.failed) == set(self.files)
        assert all(entry["reason"] for entry in ran.failed.values())
        assert ran.report["fetched"] + ran.report["skipped"] == len(right)
        # On a full disk there may be no space for the records either.
        if self.keeps_records and ran.code != Exit.NO_SPACE:
            assert set(read_records(self.directory)) >= right
        assert (ran.code == 0) == (right == set(self.files))
        return right

    def parts(self):
        return [path for path in self.directory.rglob("*") if is_part(path.name)]

    def partials(self):
        """Give the unfinished files that say what they are of."""
        found = (read_partial(str(path)) for path in self.parts())
        return [partial for partial in found if partial is not None]

    def asked_for(self, name):
        """Add up the bytes of the ranges of an object that were asked for."""
        ranges = [request.range for request in self.proxy.requests if request.key == f"ds/{name}" and request.range]
        bounds = [found.removeprefix("bytes=").split("-") for found in ranges]
        return sum(int(last) + 1 - int(first) for first, last in bounds)


#: The command line with pieces of another size: their bytes, then its arguments.
PROGRAM = """
import sys
from functools import partial
from s3bids import downloading
from s3bids.cli.program import run

downloading.Options = partial(downloading.Options, piece_bytes=int(sys.argv[1]))
sys.exit(run(sys.argv[2:]))
"""


def ended(process, seconds=400.0):
    """Wait for the end of a process that was started: code, report or None, what it said."""
    with process:
        out, err = process.communicate(timeout=seconds)
    return process.returncode, json.loads(out) if out else None, err


def content(seed, size):
    return random.Random(seed).randbytes(size)


def tree(directory):
    """Give the files of a directory without our own records and unfinished files: path -> bytes."""
    paths = [path for path in directory.rglob("*") if path.is_file() and not is_part(path.name)]
    names = {path.relative_to(directory).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".s3bids/")}


class RcloneChain(Chain):
    """The study lies in a directory that rclone serves."""

    def __init__(self, server, *arguments):
        super().__init__(*arguments)
        self._server = server
        self._folder = server.root / self.bucket / "ds"
        self._lock = threading.Lock()

    def put(self, name, data):
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            # By another name first, so that nobody reads half of each.
            path.with_name("new").write_bytes(data)
            path.with_name("new").replace(path)
            self.files[name] = data
            self._server.refresh()

    def remove(self, name):
        (self._folder / name).unlink()
        self._server.refresh()


class MotoChain(Chain):
    """The study lies in moto's memory."""

    def __init__(self, client, *arguments):
        super().__init__(*arguments)
        self._client = client
        client.create_bucket(Bucket=self.bucket)

    def put(self, name, data, **options):
        self._client.put_object(Bucket=self.bucket, Key=f"ds/{name}", Body=data, ACL="public-read", **options)
        self.files[name] = data

    def remove(self, name):
        self._client.delete_object(Bucket=self.bucket, Key=f"ds/{name}")


@pytest.fixture
def note(record_property):
    """A function that notes what came of a fault for the table of ``--fault-table``: files it hit, right, failed."""
    return lambda fault, tried, right, failed: record_property("fault", [fault, tried, right, failed])


@pytest.fixture
def in_this_process(monkeypatch, no_backoff):
    """Let the command line run in this process, with its own clock and small pieces: a function to give it a chain."""
    for name in ("watch_interrupts", "set_up_streams", "set_up_logging"):
        monkeypatch.setattr(program, name, lambda: None)

    def prepare(chain, capture):
        chain._capture = capture
        options = partial(Options, retry=chain.retry, piece_bytes=chain.PIECE, checks_space=chain.checks_space)
        monkeypatch.setattr("s3bids.downloading.Options", options)
        return chain

    return prepare


@pytest.fixture
def chain(rclone, bucket_name, tmp_path, note, capsys, in_this_process):
    """A chain to rclone, behind a proxy that is as strict as S3, with an empty study."""
    with ExitStack() as stack:

        def open_proxy():
            return stack.enter_context(Proxy(rclone.url, strict=True))

        yield in_this_process(RcloneChain(rclone, bucket_name, tmp_path / "copy", open_proxy, note), capsys)
    shutil.rmtree(rclone.root / bucket_name, ignore_errors=True)
    rclone.refresh()


@pytest.fixture
def moto_chain(moto, bucket_name, tmp_path, note, capsys, in_this_process):
    """A chain to moto, with an empty study."""
    client = moto.boto3_client()
    with Proxy(moto.url) as proxy:
        yield in_this_process(MotoChain(client, bucket_name, tmp_path / "copy", lambda: proxy, note), capsys)
    client.close()


@pytest.fixture
def begin(chain):
    """A function that begins a download in a process of its own: options -> process. None outlives the test."""
    processes = []

    def go(options, **settings):
        processes.append(chain.start(*options, **settings))
        return processes[-1]

    yield go
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def start(begin):
    """A function that lets processes download side by side, each with its options: code, report and words of each."""
    return lambda *options, **settings: [ended(process) for process in [begin(each, **settings) for each in options]]


@pytest.fixture(name="tree")
def tree_of():
    """A function that reads the files of a directory: path -> bytes."""
    return tree
