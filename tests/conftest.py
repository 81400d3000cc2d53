"""Servers, a clean environment, no network but loopback, and a count of what was skipped: for all tests."""

from __future__ import annotations

import gc
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from s3bids.storage import session

# Before anything imports it, so that its asserts tell what they compared.
pytest.register_assert_rewrite("s3bids.testing.conformance")

#: How many tests may be skipped where everything is there that `_NEEDED` names; elsewhere, the users of what is not.
EXPECTED_SKIPS = 0
ROOT = Path(__file__).parents[1]
BIDS_EXAMPLES = Path(__file__).parents[2] / "shared" / "data" / "bids-examples"

_CLEARED_VARIABLES = ("AWS_", "S3_", "LOCAL_FS", "S3BIDS_", "RCLONE_", "MOTO_", "XDG_")
_SERIAL = itertools.count(1)


class BlockedNetworkError(RuntimeError):
    """A test reached for another computer."""


@pytest.fixture(scope="session")
def one_loader():
    """Let boto3 read what S3 is once, and not for each client: that takes six sevenths of the time to make one."""
    import botocore.loaders

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.loaders, "create_loader", cache(botocore.loaders.create_loader))
        yield


@pytest.fixture(scope="session")
def moto(one_loader):
    """S3 in memory, one server for the run (for each worker of xdist)."""
    from s3bids.testing.servers import moto_server

    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def rclone_root(tmp_path_factory):
    """The directory of rclone's buckets."""
    return tmp_path_factory.mktemp("rclone")


@pytest.fixture(scope="session")
def rclone(rclone_root, one_loader):
    """S3 over a directory, which is the server's `root`; it looks at no signature."""
    from s3bids.testing.servers import rclone_server

    with rclone_server(rclone_root) as server:
        yield server


@pytest.fixture
def bucket_name(rclone_root):
    """A bucket name that no other test of this process uses."""
    name = f"bucket-{next(_SERIAL):04}"
    yield name
    # Whatever lies there is walked through whenever the server is told to look again.
    shutil.rmtree(rclone_root / name, ignore_errors=True)


@pytest.fixture(scope="session")
def make_bucket():
    """A function that makes a bucket on a server: with one client for each, since a client costs more than a bucket."""
    clients = {}

    def make(server, name):
        client = clients.get(server.url) or clients.setdefault(server.url, server.boto3_client())
        client.create_bucket(Bucket=name)

    yield make
    for client in clients.values():
        client.close()


@pytest.fixture(params=["local", "moto", "rclone"])
def any_params(request, bucket_name, tmp_path_factory, make_bucket):
    """Parameters of an empty bucket: in the local emulation, and on two S3 servers."""
    from s3bids.storage import LocalFSParams, S3Params

    if request.param == "local":
        root = tmp_path_factory.mktemp("root")
        (root / bucket_name).mkdir()
        return LocalFSParams(use_local_fs=True, root_dir=root, user="someone", bucket_name=bucket_name)
    server = request.getfixturevalue(request.param)
    make_bucket(server, bucket_name)
    return S3Params(bucket_name, server.url, server.access_key, server.secret_key)


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory):
    """No credentials, no endpoints, no proxies, no home of the person who runs the tests.

    For the whole run, since servers and their clients outlive a test; what a test sets by monkeypatch goes with it.
    """
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):  # noqa: TID251 - emptied here, read nowhere
            if name.startswith(_CLEARED_VARIABLES) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", str(home / "no-aws-config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "no-aws-credentials"))
        patch.setenv("HOME", str(home))
        yield


@pytest.fixture
def no_backoff(monkeypatch):
    """Let botocore and obstore repeat a request at once; they repeat it as often as they would."""
    clock = SimpleNamespace(**{**vars(time), "sleep": lambda _seconds: None})
    monkeypatch.setattr("botocore.endpoint.time", clock)
    monkeypatch.setitem(session.BACKOFF, "init_backoff", timedelta(milliseconds=1))
    monkeypatch.setitem(session.BACKOFF, "max_backoff", timedelta(milliseconds=1))


@pytest.fixture(scope="session", autouse=True)
def loopback_only():
    """Refuse every connection of Python's own sockets but those within this computer."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self, address):
        _require_loopback(self.family, address)
        return connect(self, address)

    def guarded_connect_ex(self, address):
        _require_loopback(self.family, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host, *args, **kwargs):
        if host and not _is_loopback(host):
            raise BlockedNetworkError(f"a test asked for the address of {host!r}; tests use loopback only")
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


def _require_loopback(family, address):
    if family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
        raise BlockedNetworkError(f"a test connected to {address!r}; tests use loopback only")


def _is_loopback(host):
    name = host.decode() if isinstance(host, bytes) else host
    return name in ("localhost", "::1") or name.startswith("127.")


@pytest.fixture(scope="session")
def call():
    """A function that runs a program to its end, which must be a good one: words, folder -> what it printed."""
    # The home of a test is empty, and uv would fetch every package again.
    cache = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "uv"

    def go(*command, cwd=ROOT):
        environment = {**os.environ, "UV_CACHE_DIR": str(cache)}  # noqa: TID251 - passed on
        words = [str(word) for word in command]
        found = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        return found.stdout

    return go


@pytest.fixture(scope="session")
def built(call, tmp_path_factory):
    """A folder with the source archive, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", folder, ROOT)
    return folder


@pytest.fixture(scope="session")
def installed(call, built, tmp_path_factory):
    """The folder of programs of a new environment that has the wheel and what it needs, and nothing else."""
    place = tmp_path_factory.mktemp("environment") / "venv"
    call(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, place)
    [wheel] = built.glob("*.whl")
    python = place / "bin" / "python"
    call(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, "-c", "constraints.txt", wheel)
    return place / "bin"


def pytest_addoption(parser):
    parser.addoption("--new-screenshots", action="store_true", help="keep how pages look now as how they should look")
    parser.addoption("--fault-table", action="store_true", help="print what came of each fault that was injected")


def pytest_terminal_summary(terminalreporter, config):
    """Print the faults with the files they hit, and what those ended as; a wrong file would have failed its test."""
    if not config.getoption("--fault-table"):
        return
    counts = defaultdict(lambda: [0, 0, 0])
    for report in terminalreporter.stats.get("passed", ()):
        for fault, *found in (value for name, value in report.user_properties if name == "fault"):
            counts[fault] = [sum(pair) for pair in zip(counts[fault], found, strict=True)]
    terminalreporter.write_sep("=", "faults: files hit, of which right, of which listed as failed")
    for fault, (tried, right, failed) in counts.items():
        terminalreporter.write_line(f"| {fault} | {tried} | {right} | {failed} |")


@pytest.fixture
def bids_examples():
    """The real BIDS data sets beside the checkout."""
    if not BIDS_EXAMPLES.is_dir():
        pytest.skip("no bids-examples beside the checkout")
    return BIDS_EXAMPLES


@cache
def namespace_program():
    """Give the program that begins a shell which may mount file systems nobody else sees; None if that is forbidden."""
    for program in (["unshare", "--map-root-user", "--mount", "sh"], ["unshare", "--mount", "sh"]):
        command = [*program, "-c", "mount -t tmpfs tmpfs /tmp"]
        with suppress(OSError):
            if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0:
                return program
    return None


class SmallDisk:
    """A file system in memory, of any size, seen by whoever knows its `path`."""

    def __init__(self, shell, place):
        self._shell, self._place = shell, place
        self.path = Path(f"/proc/{shell.pid}/root{place}")

    def mount(self, options, folder="."):
        """Mount one on a folder of the disk, or change the options of what is there: ``remount,size=1m``."""
        kind = "" if "remount" in options else "-t tmpfs tmpfs"
        self._tell(f"mkdir -p {self._place}/{folder}")
        self._tell(f"mount {kind} -o {options} {self._place}/{folder}")

    def _tell(self, command):
        self._shell.stdin.write(f"{command} 2>&1; echo $?\n")
        self._shell.stdin.flush()
        said = self._shell.stdout.readline().strip()
        assert said == "0", f"{command}: {said}"


@pytest.fixture
def small_disk(tmp_path):
    """A place where small and read-only file systems can be mounted; each test that uses it mounts one first."""
    program = namespace_program()
    if program is None:
        pytest.skip("mounting is forbidden here, in a namespace too")
    place = tmp_path / "disk"
    place.mkdir()
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        yield SmallDisk(shell, place)
        # With its shell the namespace ends, and with that every mount.
        shell.stdin.close()


# Skips are counted: a test that is always skipped looks like one that passes. With xdist the workers know what was
# collected and the controller knows what was skipped, so the workers send their numbers over.

#: Fixture -> whether what it needs is there.
_NEEDED = {"bids_examples": BIDS_EXAMPLES.is_dir, "small_disk": lambda: namespace_program() is not None}
_USERS = pytest.StashKey[dict[str, int]]()


def pytest_collection_finish(session):
    # What was collected stays to the end, and clients of boto3 are many small objects: with Python's own settings a
    # seventh of the time goes into looking through all of them for garbage again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    fixtures = [set(getattr(item, "fixturenames", ())) for item in session.items]
    users = {name: sum(name in names for names in fixtures) for name in _NEEDED}
    session.config.stash[_USERS] = users
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["users"] = users


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    sent = getattr(node, "workeroutput", {})
    if "users" in sent:
        node.config.stash[_USERS] = sent["users"]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session, exitstatus):
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(config, "workeroutput") or reporter is None or exitstatus != pytest.ExitCode.OK:
        return
    users = config.stash.get(_USERS, {})
    expected = EXPECTED_SKIPS + sum(number for name, number in users.items() if number and not _NEEDED[name]())
    skipped = len(reporter.stats.get("skipped", ()))
    if skipped != expected:
        reporter.write_line(f"\n{skipped} tests were skipped, and {expected} are expected to be", red=True, bold=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
