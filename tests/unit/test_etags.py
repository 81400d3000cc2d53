import hashlib
import itertools
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from hypothesis import given
from hypothesis import strategies as st

from s3bids.errors import VerificationError
from s3bids.transfer.etags import (
    Check,
    EtagCheck,
    EtagMatch,
    PartHashes,
    etag_md5,
    matching_hash,
    multipart_etag,
    part_count,
    part_sizes,
)

MIB = 1024 * 1024
MD5 = hashlib.md5(b"content", usedforsecurity=False).hexdigest()


def md5(data):
    return hashlib.md5(data, usedforsecurity=False)


def expected_etag(data, part_size):
    """The definition, written down plainly."""
    parts = [data[start : start + part_size] for start in range(0, len(data), part_size)] or [b""]
    return f"{md5(b''.join(md5(part).digest() for part in parts)).hexdigest()}-{len(parts)}"


@pytest.fixture(scope="module")
def data():
    """22 MiB and a little that do not repeat."""
    return random.Random(1).randbytes(22 * MIB + 12_345)


@pytest.fixture
def file(tmp_path, data):
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


# Many part sizes in one pass


@given(
    data=st.binary(max_size=300),
    sizes=st.lists(st.integers(1, 320), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 300), max_size=8),
)
def test_etags_of_any_sizes_are_those_of_the_definition_however_the_bytes_come(data, sizes, cuts):
    hashes = PartHashes(sizes)
    edges = [0, *sorted(cuts), len(data)]
    for begin, end in itertools.pairwise(edges):
        hashes.update(data[begin:end])
    assert hashes.etags() == {size: expected_etag(data, size) for size in sizes}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(data).cast("H")])
def test_pieces_may_be_any_kind_of_bytes(kind):
    data = bytes(range(200))
    hashes = PartHashes([64])
    hashes.update(kind(data))
    assert hashes.etags() == {64: expected_etag(data, 64)}


@pytest.mark.parametrize("sizes", [[], [0], [5, -1]])
def test_a_part_has_at_least_one_byte(sizes):
    with pytest.raises(ValueError, match="at least 1"):
        PartHashes(sizes)


def test_parts_that_begin_together_share_their_work(monkeypatch):
    """Sizes of which one is twice the other cost one and a half MD5s, not two."""
    hashed = []

    class Counting:
        def __init__(self):
            self._found = md5(b"")

        def update(self, data):
            hashed.append(len(data))
            self._found.update(data)

        def digest(self):
            return self._found.digest()

        def hexdigest(self):
            return self._found.hexdigest()

    monkeypatch.setattr("s3bids.transfer.etags._md5", Counting)
    hashes = PartHashes([1000, 2000])
    hashes.update(bytes(10_000))
    hashes.etags()
    digests = 16 * (10 + 5)
    assert sum(hashed) - digests == 15_000


# The ETag of a file


@pytest.mark.parametrize("part_size", [5 * MIB, 8 * MIB, 17_179_870, 22 * MIB + 12_345, 100 * MIB])
def test_the_etag_of_a_file(file, data, part_size):
    assert multipart_etag(file, part_size) == multipart_etag(str(file), part_size) == expected_etag(data, part_size)


def test_the_etag_of_an_empty_file_is_of_one_empty_part(tmp_path):
    (tmp_path / "empty").touch()
    assert multipart_etag(tmp_path / "empty", 8 * MIB) == expected_etag(b"", 8 * MIB)


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(96 * MIB)
    tracemalloc.start()
    multipart_etag(path, 5 * MIB)
    matching_hash(path, f"{MD5}-2", 96 * MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MIB


# Against a real server and real tools


@pytest.fixture
def bucket(moto, bucket_name):
    client = moto.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    yield lambda key: client.head_object(Bucket=bucket_name, Key=key)["ETag"].strip('"'), client, bucket_name
    client.close()


@pytest.mark.parametrize("part_size", [5 * MIB, 8 * MIB, 10 * MIB, 11 * MIB, 15 * MIB, 16 * MIB, 17_179_870])
def test_what_boto3_uploaded_in_parts_is_recognised(bucket, file, data, part_size):
    etag_of, client, name = bucket
    config = TransferConfig(multipart_threshold=part_size, multipart_chunksize=part_size)
    client.upload_file(str(file), name, "x", Config=config)
    etag = etag_of("x")
    assert etag == multipart_etag(file, part_size)
    assert matching_hash(file, etag, len(data)) == EtagMatch(Check.MD5_PARTS, part_size)


def test_what_boto3_uploads_by_default_is_recognised_while_it_comes(bucket, file, data):
    etag_of, client, name = bucket
    client.upload_file(str(file), name, "x")
    check = EtagCheck(etag_of("x"), len(data))
    for start in range(0, len(data), 100_000):
        check.update(data[start : start + 100_000])
    match = check.finish()
    assert (match.check, match.part_size) == (Check.MD5_PARTS, 8 * MIB)


def test_what_rclone_uploads_by_default_is_recognised(bucket, moto, file, data, tmp_path):
    etag_of, _, name = bucket
    program = Path(sys.executable).with_name("rclone")
    remote = (
        f":s3,provider=Other,access_key_id={moto.access_key},secret_access_key={moto.secret_key},"
        f"force_path_style=true,endpoint='{moto.url}':{name}/x"
    )
    subprocess.run(
        [program, "copyto", "--config", "", "--s3-upload-cutoff", "5Mi", file, remote], check=True, capture_output=True
    )
    assert matching_hash(file, etag_of("x"), len(data)) == EtagMatch(Check.MD5_PARTS, 5 * MIB)


def test_parts_of_several_sizes_cannot_be_told(bucket, file, data):
    etag_of, client, name = bucket
    upload = client.create_multipart_upload(Bucket=name, Key="x")["UploadId"]
    parts = []
    for number, piece in enumerate((data[: 7 * MIB], data[7 * MIB : 13 * MIB], data[13 * MIB :]), start=1):
        done = client.upload_part(Bucket=name, Key="x", UploadId=upload, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": done["ETag"]})
    client.complete_multipart_upload(Bucket=name, Key="x", UploadId=upload, MultipartUpload={"Parts": parts})
    assert etag_of("x").endswith("-3")
    assert matching_hash(file, etag_of("x"), len(data)) == EtagMatch(Check.SIZE)


# A file against an ETag


@pytest.mark.parametrize("is_upper", [False, True])
def test_a_file_with_the_md5_of_the_etag_has_the_objects_bytes(file, data, is_upper):
    etag = md5(data).hexdigest()
    match = matching_hash(file, etag.upper() if is_upper else etag, len(data))
    assert match == EtagMatch(Check.MD5, md5=etag)


def test_another_md5_is_told_and_not_judged(file, data):
    """The object may have other bytes, or be encrypted with a key of KMS."""
    assert matching_hash(file, MD5, len(data)) == EtagMatch(Check.SIZE, md5=md5(data).hexdigest())


@pytest.mark.parametrize(
    "etag", [None, "", "opaque", f"{MD5}-x", f"{MD5}-0", f"{MD5}-03", f"{MD5}-999999", f"{MD5}-2-2"]
)
def test_an_etag_of_another_form_tells_nothing(file, data, etag):
    assert matching_hash(file, etag, len(data)) == EtagMatch(Check.SIZE)


def test_a_damaged_file_matches_no_part_size(file, data):
    etag = expected_etag(data, 8 * MIB)
    assert matching_hash(file, etag, len(data)) == EtagMatch(Check.MD5_PARTS, 8 * MIB)
    with file.open("r+b") as changed:
        changed.seek(9 * MIB)
        changed.write(bytes([data[9 * MIB] ^ 1]))
    assert matching_hash(file, etag, len(data)) == EtagMatch(Check.SIZE)


def test_an_upload_in_one_part_is_recognised_whatever_the_part_size_was(file, data):
    match = matching_hash(file, expected_etag(data, 100 * MIB), len(data))
    assert match == EtagMatch(Check.MD5_PARTS, len(data))


@pytest.mark.parametrize("etag", [None, MD5, f"{MD5}-3"])
@pytest.mark.parametrize("size", [0, 22 * MIB])
def test_a_file_of_another_size_is_an_error(file, etag, size):
    with pytest.raises(VerificationError, match="download it again"):
        matching_hash(file, etag, size)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        matching_hash(tmp_path / "none", MD5, 5)


def test_reading_can_be_stopped(file, data):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        matching_hash(file, MD5, len(data), check_stop=stop)
    with pytest.raises(KeyboardInterrupt):
        matching_hash(file, f"{MD5}-3", len(data), untried=(8 * MIB,), check_stop=stop)


@pytest.fixture
def followed(monkeypatch):
    """The part sizes that were followed: one list a reading."""
    found = []
    real = PartHashes.__init__

    def noted(self, sizes):
        found.append(list(sizes))
        real(self, sizes)

    monkeypatch.setattr(PartHashes, "__init__", noted)
    return found


def test_the_usual_case_costs_one_reading_and_one_md5(file, data, followed):
    matching_hash(file, expected_etag(data, 8 * MIB), len(data))
    assert followed == [[8 * MIB]]


def test_an_unusual_size_costs_one_more_reading_for_all_the_others(file, data, followed):
    match = matching_hash(file, expected_etag(data, 11 * MIB), len(data))
    assert match.part_size == 11 * MIB
    assert followed == [[8 * MIB], list(part_sizes(len(data), 3)[1:])]


# While the bytes come


def test_what_was_not_followed_is_left_to_try_with_the_file(file, data):
    etag = expected_etag(data, 11 * MIB)
    check = EtagCheck(etag, len(data))
    check.update(data)
    match = check.finish()
    assert match == EtagMatch(Check.SIZE, untried=part_sizes(len(data), 3)[1:])
    assert matching_hash(file, etag, len(data), untried=match.untried) == EtagMatch(Check.MD5_PARTS, 11 * MIB)
    others = tuple(size for size in match.untried if size != 11 * MIB)
    assert matching_hash(file, etag, len(data), untried=others) == EtagMatch(Check.SIZE)
    assert matching_hash(file, etag, len(data), untried=()) == EtagMatch(Check.SIZE)


@pytest.mark.parametrize("etag", [None, MD5, f"{MD5}-1", f"{MD5}-2", "opaque"])
@pytest.mark.parametrize("pieces", [[], [b"conten"], [b"content", b"!"]])
def test_bytes_that_lack_or_are_too_many_are_an_error(etag, pieces):
    check = EtagCheck(etag, 7)
    for piece in pieces:
        check.update(piece)
    with pytest.raises(VerificationError, match="and the object 7"):
        check.finish()


@pytest.mark.parametrize(
    ("etag", "expected"),
    [
        (MD5, EtagMatch(Check.MD5, md5=MD5)),
        ("0" * 32, EtagMatch(Check.SIZE, md5=MD5)),
        (expected_etag(b"content", 7), EtagMatch(Check.MD5_PARTS, 7)),
        (f"{MD5}-2", EtagMatch(Check.SIZE)),
        (None, EtagMatch(Check.SIZE)),
    ],
)
def test_small_objects(etag, expected):
    check = EtagCheck(etag, 7)
    for piece in (b"con", memoryview(b"te"), bytearray(b"nt")):
        check.update(piece)
    assert check.finish() == expected


@pytest.mark.parametrize("etag", [f"{MD5}-1", None])
def test_an_object_without_bytes_has_nothing_to_compare(tmp_path, etag):
    (tmp_path / "empty").touch()
    assert EtagCheck(etag, 0).finish() == matching_hash(tmp_path / "empty", etag, 0) == EtagMatch(Check.SIZE)


@pytest.mark.parametrize(
    ("etag", "parts"),
    [
        (f"{MD5}-2", 2),
        (f"{MD5}-10000", 10_000),
        (MD5, None),
        (f"{MD5}-", None),
        (f"{MD5}-1_0", None),
        (f"{MD5}-2\n", None),
        (None, None),
    ],
)
def test_the_number_of_parts_is_read(etag, parts):
    assert part_count(etag) == parts


def test_the_words_of_the_manifest():
    assert [str(check) for check in Check] == ["size", "md5", "md5-parts"]
    assert etag_md5(MD5) == MD5
