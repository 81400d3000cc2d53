"""For any keys and contents the backends agree, and the local emulation stays where it is."""

from __future__ import annotations

from contextlib import suppress
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import s3bids.storage as virt_s3
from s3bids.errors import StorageError
from s3bids.storage import LocalFSParams, LocalStorage, S3Params

#: What rclone writes in the place of characters that some file system cannot hold: it would read them back as those.
RCLONE_PICTURES = "".join(map(chr, range(0x2400, 0x2427))) + "\u201b\uff0e\uff0f"
#: Any character that all three can hold in a name: no control characters, no surrogates, none that is not assigned.
NAME_CHARACTERS = st.characters(
    codec="utf-8", exclude_categories=("Cc", "Cn", "Co", "Cs"), exclude_characters="/" + RCLONE_PICTURES
)
NAMES = st.text(NAME_CHARACTERS, min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))
KEYS = st.lists(st.one_of(NAMES, st.sampled_from(["a", "b", "sub-1", "sub-10"])), min_size=1, max_size=4).map("/".join)


def is_free_of_clashes(objects):
    """Say whether no key is the directory of another, which a file system cannot hold."""
    return not any(one.startswith(f"{other}/") for one, other in permutations(objects, 2))


OBJECTS = st.dictionaries(KEYS, st.binary(max_size=200), min_size=1, max_size=6).filter(is_free_of_clashes)


@pytest.fixture(scope="module")
def everywhere(moto, rclone, tmp_path_factory):
    """The parameters of one empty bucket on each backend."""
    local = LocalFSParams(use_local_fs=True, root_dir=tmp_path_factory.mktemp("root"), user="u", bucket_name="agree")
    servers = [S3Params("agree", server.url, server.access_key, server.secret_key) for server in (moto, rclone)]
    for params in (local, *servers):
        virt_s3.create_bucket("agree", params)
    return [local, *servers]


def agreed(everywhere, call):
    """Give what a call gives on every backend."""
    first, *others = [call(params) for params in everywhere]
    for other in others:
        assert other == first
    return first


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(objects=OBJECTS, chunk_size=st.integers(1, 300), concurrency=st.integers(0, 4))
def test_what_is_written_is_listed_read_and_deleted_alike(everywhere, objects, chunk_size, concurrency):
    keys = sorted(objects, key=str.encode)
    try:
        for key, data in objects.items():
            assert agreed(everywhere, lambda params: virt_s3.upload_data(data, key, params)) == key  # noqa: B023
        found = agreed(everywhere, lambda params: virt_s3.get_valid_file_paths("", None, params=params))
        assert found == keys
        contents = agreed(everywhere, lambda p: virt_s3.get_files_batch(keys, p, max_concurrency=concurrency))
        assert contents == [objects[key] for key in keys]
        first, top = keys[0], keys[0].partition("/")[0]
        chunked = agreed(everywhere, lambda p: virt_s3.get_file_chunked(first, p, chunk_size=chunk_size))
        assert chunked == objects[first]
        agreed(everywhere, lambda params: virt_s3.list_dirs("", params))
        agreed(everywhere, lambda params: virt_s3.get_valid_file_paths(top, params=params))
        assert agreed(everywhere, lambda params: virt_s3.delete_file(first, params)) is True
        assert agreed(everywhere, lambda params: virt_s3.file_exists(first, params)) is False
        gone = agreed(everywhere, lambda params: virt_s3.delete_files_by_dir(top, params))
        rest = agreed(everywhere, lambda params: virt_s3.get_valid_file_paths("", None, params=params))
        assert sorted([first, *gone, *rest], key=str.encode) == keys
    finally:
        agreed(everywhere, lambda params: virt_s3.delete_files_by_dir("", params, force=True))


# The local emulation

PARTS = st.sampled_from(
    ["..", ".", "", "a", "b", "out", "file", "bucket", "other", "secret", "\0", "~", "C:", "\\..\\"]
)
ANY_KEY = st.one_of(
    st.lists(PARTS, min_size=1, max_size=6).map("/".join), st.text(max_size=20), st.just("ROOT/secret"), st.just("ROOT")
)
USES = {
    "write": lambda storage, key: storage.write(key, b"written"),
    "upload": lambda storage, key: storage.upload(__file__, key),
    "read": lambda storage, key: storage.read(key),
    "stream": lambda storage, key: list(storage.stream(key)),
    "head": lambda storage, key: storage.head(key),
    "list": lambda storage, key: list(storage.list(key)),
    "list by text": lambda storage, key: list(storage.list(key, literal=True)),
    "children": lambda storage, key: storage.children(key),
    "delete": lambda storage, key: storage.delete(key),
    "delete all below": lambda storage, key: storage.delete(key, recursive=True),
}


def snapshot(root):
    """Give everything outside the bucket: path -> content."""
    outside = (path for path in root.rglob("*") if not path.is_relative_to(root / "buckets" / "bucket"))
    return {path: path.read_bytes() if path.is_file() else None for path in outside}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A bucket with links that lead out of it, beside things that nobody may touch."""
    root = tmp_path_factory.mktemp("guarded")
    for name in ("secret", "buckets/secret", "buckets/other/a", "buckets/other/secret", "buckets/bucket2/a"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"untouched")
    home = root / "buckets" / "bucket"
    home.mkdir()
    (home / "out").symlink_to(root / "buckets" / "other")
    (home / "file").symlink_to(root / "secret")
    return root


@settings(max_examples=300, deadline=None)
@given(uses=st.lists(st.tuples(st.sampled_from(sorted(USES)), ANY_KEY), min_size=1, max_size=6))
def test_no_key_leads_out_of_the_local_emulation(guarded, uses):
    params = LocalFSParams(use_local_fs=True, root_dir=guarded / "buckets", user="someone", bucket_name="bucket")
    storage = LocalStorage(params)
    before = snapshot(guarded)
    for name, key in uses:
        with suppress(StorageError, ValueError):
            found = USES[name](storage, key.replace("ROOT", str(guarded)))
            assert b"untouched" not in (found, *(found if isinstance(found, list) else []))
    assert snapshot(guarded) == before
    assert (guarded / "buckets" / "bucket" / "out").is_symlink()
