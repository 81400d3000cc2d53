"""What the bytes of an object are compared with while they come."""

import hashlib
import math

import pytest

from s3bids.errors import VerificationError
from s3bids.transfer.checks import ByteCheck, Digests
from s3bids.transfer.plan import Action, Transfer
from s3bids.transfer.verify import Verify

DATA = b"content"
MIB = 1024 * 1024


def md5(data):
    return hashlib.md5(data, usedforsecurity=False)


MD5, SHA256 = md5(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest()


def parts_etag(data, part_size):
    parts = [data[start : start + part_size] for start in range(0, len(data), part_size)]
    return f"{md5(b''.join(md5(part).digest() for part in parts)).hexdigest()}-{len(parts)}"


def check_of(data, etag, verify=Verify.ETAG, size=None):
    transfer = Transfer("k", "k", len(data) if size is None else size, etag, math.nan, Action.FETCH, "")
    check = ByteCheck(transfer, verify)
    for start in range(0, len(data), 3_000_000):
        check.update(memoryview(data)[start : start + 3_000_000])
    return check


@pytest.mark.parametrize(
    ("etag", "verify", "expected"),
    [
        (MD5, Verify.SIZE, Digests("size")),
        (MD5, Verify.ETAG, Digests("md5", MD5)),
        (MD5.upper(), Verify.ETAG, Digests("md5", MD5)),
        (MD5, Verify.SHA256, Digests("md5", MD5, SHA256)),
        (parts_etag(DATA, MIB), Verify.SIZE, Digests("size")),
        (parts_etag(DATA, 5 * MIB), Verify.ETAG, Digests("md5-parts")),
        (parts_etag(DATA, 5 * MIB), Verify.SHA256, Digests("md5-parts", None, SHA256)),
        (f"{MD5}-1", Verify.ETAG, Digests("size")),
        ("no hash at all", Verify.ETAG, Digests("size")),
        (None, Verify.ETAG, Digests("size")),
        (None, Verify.SHA256, Digests("size", None, SHA256)),
    ],
)
def test_what_can_be_compared_is_and_what_holds_is_noted(etag, verify, expected):
    assert check_of(DATA, etag, verify).finish() == expected


@pytest.mark.parametrize(("etag", "verify", "is_idle"), [(MD5, Verify.SIZE, True), (None, Verify.ETAG, True)])
def test_bytes_that_nobody_needs_are_not_asked_for(etag, verify, is_idle):
    assert check_of(b"", etag, verify).is_idle is is_idle
    assert not check_of(b"", MD5, Verify.ETAG).is_idle


def test_other_bytes_than_the_md5_promises_are_refused_with_both():
    with pytest.raises(VerificationError, match=rf"k: .*have the MD5 {md5(b'other').hexdigest()}.*says {MD5}"):
        check_of(b"other", MD5).finish()


def test_other_bytes_than_an_etag_of_parts_promises_cannot_be_told_from_unusual_parts():
    assert check_of(b"other", parts_etag(DATA, 5 * MIB)).finish() == Digests("size")


@pytest.mark.parametrize("etag", [MD5, "a" * 32])
def test_of_an_object_without_bytes_nothing_is_asked(etag):
    assert check_of(b"", etag).finish() == Digests("md5", md5(b"").hexdigest())


@pytest.mark.parametrize("part_mib", [5, 8, 16])
def test_parts_of_a_less_usual_size_are_found_in_the_file(tmp_path, part_mib):
    """Several sizes give two parts here; only the most usual one is followed while the bytes come."""
    data = bytes(range(256)) * (16 * MIB // 256) + b"and a little more"
    etag = parts_etag(data, part_mib * MIB)
    path = tmp_path / "file"
    path.write_bytes(data)
    assert check_of(data, etag).finish(str(path)) == Digests("md5-parts")


def test_md5_is_asked_for_as_no_security(monkeypatch):
    """A computer in FIPS mode refuses it otherwise."""
    real = hashlib.md5

    def only_insecure(data=b"", *, usedforsecurity=True):
        assert not usedforsecurity
        return real(data, usedforsecurity=False)

    monkeypatch.setattr(hashlib, "md5", only_insecure)
    assert check_of(DATA, MD5).finish().md5 == MD5
