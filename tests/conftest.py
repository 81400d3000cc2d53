"""Servers, a clean environment, no network but loopback, and a count of what was skipped: for all tests."""

from __future__ import annotations

import itertools
import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

# Before anything imports it, so that its asserts tell what they compared.
pytest.register_assert_rewrite("s3bids.testing.conformance")

#: How many tests may be skipped where the real BIDS examples lie beside the checkout; elsewhere, their users more.
EXPECTED_SKIPS = 0
BIDS_EXAMPLES = Path(__file__).parents[2] / "shared" / "data" / "bids-examples"

_CLEARED_VARIABLES = ("AWS_", "S3_", "LOCAL_FS", "S3BIDS_", "RCLONE_", "MOTO_", "XDG_")
_SERIAL = itertools.count(1)


class BlockedNetworkError(RuntimeError):
    """A test reached for another computer."""


@pytest.fixture(scope="session")
def moto():
    """S3 in memory, one server for the run (for each worker of xdist)."""
    from s3bids.testing.servers import moto_server

    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory):
    """S3 over a directory, which is the server's `root`; it looks at no signature."""
    from s3bids.testing.servers import rclone_server

    with rclone_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture
def bucket_name():
    """A bucket name that no other test of this process uses."""
    return f"bucket-{next(_SERIAL):04}"


@pytest.fixture(params=["local", "moto", "rclone"])
def any_params(request, bucket_name, tmp_path_factory):
    """Parameters of an empty bucket: in the local emulation, and on two S3 servers."""
    from s3bids.storage import LocalFSParams, S3Params

    if request.param == "local":
        root = tmp_path_factory.mktemp("root")
        (root / bucket_name).mkdir()
        return LocalFSParams(use_local_fs=True, root_dir=root, user="someone", bucket_name=bucket_name)
    server = request.getfixturevalue(request.param)
    client = server.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.close()
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
    """Let botocore repeat a request at once; it repeats it as often as it would."""
    clock = SimpleNamespace(**{**vars(time), "sleep": lambda _seconds: None})
    monkeypatch.setattr("botocore.endpoint.time", clock)


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


@pytest.fixture
def bids_examples():
    """The real BIDS data sets beside the checkout."""
    if not BIDS_EXAMPLES.is_dir():
        pytest.skip("no bids-examples beside the checkout")
    return BIDS_EXAMPLES


# Skips are counted: a test that is always skipped looks like one that passes. With xdist the workers know what was
# collected and the controller knows what was skipped, so the workers send their number over.

_USERS_OF_EXAMPLES = pytest.StashKey[int]()


def pytest_collection_finish(session):
    users = sum("bids_examples" in getattr(item, "fixturenames", ()) for item in session.items)
    session.config.stash[_USERS_OF_EXAMPLES] = users
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["users_of_examples"] = users


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    sent = getattr(node, "workeroutput", {})
    if "users_of_examples" in sent:
        node.config.stash[_USERS_OF_EXAMPLES] = sent["users_of_examples"]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session, exitstatus):
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(config, "workeroutput") or reporter is None or exitstatus != pytest.ExitCode.OK:
        return
    expected = EXPECTED_SKIPS + (0 if BIDS_EXAMPLES.is_dir() else config.stash.get(_USERS_OF_EXAMPLES, 0))
    skipped = len(reporter.stats.get("skipped", ()))
    if skipped != expected:
        reporter.write_line(f"\n{skipped} tests were skipped, and {expected} are expected to be", red=True, bold=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
