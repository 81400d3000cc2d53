import hashlib

import pytest

from s3bids.errors import ObjectNotFoundError
from s3bids.transfer.manifest import ManifestWriter, Record
from s3bids.transfer.verify import Difference, Verify, etag_md5, file_hash, verify_directory

MD5 = hashlib.md5(b"content", usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(b"content").hexdigest()


@pytest.mark.parametrize(
    ("etag", "expected"),
    [
        (MD5, MD5),
        (MD5.upper(), MD5),
        (f"{MD5}-2", None),
        (f'"{MD5}"', None),
        (MD5[:-1], None),
        (f"{MD5}0", None),
        ("z" * 32, None),
        (f"{MD5}\n", None),
        ("", None),
        (None, None),
    ],
)
def test_an_etag_is_an_md5_or_says_nothing(etag, expected):
    assert etag_md5(etag) == expected


@pytest.mark.parametrize(("name", "expected"), [("md5", MD5), ("sha256", SHA256)])
def test_a_file_is_hashed(tmp_path, name, expected):
    (tmp_path / "x").write_bytes(b"content")
    assert file_hash(tmp_path / "x", name) == expected
    assert file_hash(str(tmp_path / "x"), name) == expected


def test_a_file_larger_than_a_block_is_hashed_whole(tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "x").write_bytes(data)
    assert file_hash(tmp_path / "x", "sha256") == hashlib.sha256(data).hexdigest()


@pytest.fixture
def download(tmp_path):
    """A directory with files and a manifest: name -> (content, what the record says of it)."""

    def make(**files):
        with ManifestWriter(tmp_path, "run", now=lambda: 1.0) as manifest:
            for name, (content, changes) in files.items():
                if content is not None:
                    (tmp_path / name).write_bytes(content)
                record = Record(name, "s3://b", f"ds/{name}", 7, MD5, 5.0, 0, "md5", MD5, None)
                manifest.add(record._replace(**changes))
        return tmp_path

    return make


def kinds(found):
    return {difference.target: difference.kind for difference in found.differences}


def test_what_is_as_it_was_written_has_no_difference(download):
    found = verify_directory(download(a=(b"content", {}), b=(b"", {"size": 0, "md5": None})), deep=True)
    assert (found.files, found.bytes, found.differences) == (2, 7, ())


def test_a_missing_and_a_shorter_file_are_seen_without_reading(download):
    found = verify_directory(download(gone=(None, {}), short=(b"con", {}), other=(b"CONTENT", {})))
    assert found.differences == (
        Difference("gone", "missing", "the file is missing"),
        Difference("short", "size", "the file has 3 bytes, downloaded were 7"),
    )


def test_other_bytes_of_the_same_number_are_seen_by_reading(download):
    directory = download(
        other=(b"CONTENT", {}), sha=(b"CONTENT", {"md5": None, "sha256": SHA256}), good=(b"content", {})
    )
    assert kinds(verify_directory(directory, deep=True)) == {"other": "content", "sha": "content"}
    assert "MD5" in verify_directory(directory, deep=True).differences[0].detail


def test_the_stronger_hash_decides(download):
    directory = download(a=(b"content", {"md5": "0" * 32, "sha256": SHA256}))
    assert verify_directory(directory, deep=True).differences == ()


def test_without_a_hash_the_size_is_all_there_is(download):
    assert verify_directory(download(a=(b"CONTENT", {"md5": None})), deep=True).differences == ()


MIB = 1024 * 1024


def parts_etag(data, size):
    digests = [hashlib.md5(data[i : i + size], usedforsecurity=False).digest() for i in range(0, len(data), size)]
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


@pytest.mark.parametrize("part_size", [8 * MIB, 5 * MIB])
@pytest.mark.parametrize(
    ("check", "is_spoiled", "kind", "unproven"),
    [
        ("size", False, {}, 0),
        ("md5-parts", False, {}, 0),
        ("md5-parts", True, {"a": "content"}, 0),
        # The parts may have an unusual size.
        ("size", True, {}, 1),
    ],
)
def test_an_etag_of_parts_is_compared_too(download, part_size, check, is_spoiled, kind, unproven):
    data = bytes(range(256)) * (40 * 1024) + b"end"
    record = {"size": len(data), "md5": None, "etag": parts_etag(data, part_size), "check": check}
    directory = download(a=(data[:-1] + b"D" if is_spoiled else data, record))
    found = verify_directory(directory, deep=True)
    assert (kinds(found), found.unproven) == (kind, unproven)
    assert verify_directory(directory).differences == ()


def test_a_hash_of_the_whole_is_preferred_to_that_of_parts(download):
    found = verify_directory(download(a=(b"content", {"etag": f"{'0' * 32}-1", "check": "md5-parts"})), deep=True)
    assert (found.differences, found.unproven) == ((), 0)


@pytest.mark.parametrize(
    ("changes", "unproven"),
    [
        ({"md5": None}, 1),
        ({"md5": None, "etag": None}, 1),
        ({"md5": None, "sha256": SHA256}, 0),
        ({"md5": None, "size": 0}, 0),
    ],
)
def test_files_without_a_known_hash_are_counted(download, changes, unproven):
    content = b"" if "size" in changes else b"content"
    directory = download(a=(content, changes), good=(b"content", {}))
    assert verify_directory(directory, deep=True).unproven == unproven
    assert verify_directory(directory).unproven == 0


def test_a_directory_in_the_place_of_a_file_is_a_missing_file(download):
    directory = download(a=(None, {}))
    (directory / "a").mkdir()
    assert kinds(verify_directory(str(directory))) == {"a": "missing"}


def test_files_that_were_not_downloaded_are_not_looked_at(download):
    directory = download(a=(b"content", {}))
    (directory / "own").write_bytes(b"x")
    assert verify_directory(directory, deep=True).files == 1


def test_a_directory_without_a_manifest_is_an_error(tmp_path):
    with pytest.raises(ObjectNotFoundError, match="cannot verify"):
        verify_directory(tmp_path)


@pytest.mark.parametrize(("word", "verify"), [("size", Verify.SIZE), ("etag", Verify.ETAG), ("sha256", Verify.SHA256)])
def test_a_check_is_the_word_that_users_write(word, verify):
    assert Verify(word) is verify
    assert str(verify) == word
