"""Unfinished files: what one says of itself is believed only if all of it fits."""

import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3bids.transfer.partial import Partial, Version, claim, piece_count, read_partial, trailer

VERSION = Version("s3://bucket", "ds/sub-1/x_bold.nii.gz", 25, "0f" * 16)
DATA = bytes(range(25))
THERE = b"\1\0\1"


def write(path, version=VERSION, piece_bytes=10, there=THERE, *, data=None):
    path.write_bytes((bytes(version.size) if data is None else data) + trailer(version, piece_bytes, there))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".s3bids-0123abcd-free-0-89abcdef.part"


def test_what_was_written_is_read(path):
    assert read_partial(str(write(path, data=DATA))) == Partial(str(path), VERSION, 10, THERE)


@pytest.mark.parametrize(
    ("there", "size"), [(b"\0\0\0", 0), (b"\1\0\0", 10), (b"\0\0\1", 5), (THERE, 15), (b"\1\1\1", 25)]
)
def test_the_bytes_that_are_there_are_counted(path, there, size):
    """The last piece is shorter."""
    assert read_partial(str(write(path, there=there))).bytes == size


@given(
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
    location=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    etag=st.none() | st.text(max_size=40),
    size=st.integers(0, 2000),
    piece_bytes=st.integers(1, 3000),
    seed=st.randoms(use_true_random=False),
)
def test_any_object_is_described_and_read_alike(tmp_path_factory, key, location, etag, size, piece_bytes, seed):
    version = Version(location, key, size, etag)
    there = bytes(seed.randrange(2) for _ in range(piece_count(size, piece_bytes)))
    path = tmp_path_factory.mktemp("any") / "x.part"
    write(path, version, piece_bytes, there)
    found = read_partial(str(path))
    assert found == Partial(str(path), version, piece_bytes, there)
    assert found.bytes == sum(
        len(range(size)[index * piece_bytes : (index + 1) * piece_bytes]) for index, flag in enumerate(there) if flag
    )


# Damaged, and hostile: whatever it is, nothing is raised, and nothing but the whole truth is given


@given(cut=st.integers(0, 200))
def test_a_file_that_was_cut_says_nothing(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "x.part"
    whole = write(path, data=DATA).read_bytes()
    path.write_bytes(whole[:cut])
    assert read_partial(str(path)) == (Partial(str(path), VERSION, 10, THERE) if cut >= len(whole) else None)


@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_of_the_trailer_gives_nothing_that_does_not_fit(tmp_path_factory, position, value):
    path = tmp_path_factory.mktemp("changed") / "x.part"
    whole = bytearray(write(path, data=DATA).read_bytes())
    position = 25 + position % (len(whole) - 25)
    whole[position] = value
    path.write_bytes(whole)
    found = read_partial(str(path))
    if found is None:
        return
    assert (found.object.size, found.piece_bytes) in {(25, size) for size in range(9, 13)}
    assert len(found.there) == 3
    assert set(found.there) <= {0, 1}
    assert isinstance(found.object.key, str)
    assert hash(found.object)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "x.part"
    path.write_bytes(data + b"s3bids-1")
    assert read_partial(str(path)) is None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(changes=st.dictionaries(st.sampled_from([*VERSION._fields, "piece_bytes"]), JSON_VALUES, min_size=1))
def test_values_of_other_types_are_refused(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("types") / "x.part"
    entry = {**VERSION._asdict(), "piece_bytes": 10, **changes}
    path.write_bytes(DATA + THERE + foot(json.dumps(entry).encode()))
    found = read_partial(str(path))
    if found is None:
        return
    assert [type(value) for value in found.object[:3]] == [str, str, int]
    assert type(found.object.etag) in (str, type(None))
    assert len(found.there) == piece_count(found.object.size, found.piece_bytes)
    assert hash(found.object), "it is looked up in a table"


def foot(text):
    return text + len(text).to_bytes(4, "big") + b"s3bids-1"


def entry(**changes):
    return json.dumps({**VERSION._asdict(), "piece_bytes": 10, **changes}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"s3bids-1",
        b"\0\0\0\0s3bids-1",
        b"\xff\xff\xff\xffs3bids-1",
        DATA + THERE + foot(b"[]"),
        DATA + THERE + foot(b"null"),
        DATA + THERE + foot(b'"text"'),
        DATA + THERE + foot(b"12"),
        DATA + THERE + foot(b"{}"),
        DATA + THERE + foot(b"[" * 5000),
        DATA + THERE + foot(b"\xff\xfe\x00"),
        DATA + THERE + foot(entry()[:-1]),
        DATA + THERE + foot(entry(location=["s3://bucket"])),
        DATA + THERE + foot(entry(key={"a": 1})),
        DATA + THERE + foot(entry(etag=[1])),
        DATA + THERE + foot(entry(size=True)),
        DATA + THERE + foot(entry(size=25.0)),
        DATA + THERE + foot(entry(size=-1)),
        DATA + THERE + foot(entry(size=10**30)),
        DATA + THERE + foot(entry(size=24)),
        DATA + THERE + foot(entry(size=26)),
        DATA + THERE + foot(entry(piece_bytes=0)),
        DATA + THERE + foot(entry(piece_bytes=-10)),
        DATA + THERE + foot(entry(piece_bytes=5)),
        DATA + THERE + foot(entry(piece_bytes=10**30)),
        DATA + b"\1\0\2" + foot(entry()),
        DATA + b"\1\0\xff" + foot(entry()),
        DATA + b"\1\0" + foot(entry()),
        DATA + THERE + b"x" + foot(entry()),
        DATA + THERE + foot(entry()) + b"x",
    ],
    ids=range(30),
)
def test_what_does_not_fit_is_nothing(path, content):
    path.write_bytes(content)
    assert read_partial(str(path)) is None


def test_more_pieces_than_any_object_has_are_refused(path):
    """They would be a million requests of a few bytes each."""
    size = 1_000_001
    write(path, Version("s3://bucket", "x", size, None), 1, bytes(size))
    assert read_partial(str(path)) is None
    write(path, Version("s3://bucket", "x", size, None), 2, bytes(500_001))
    assert read_partial(str(path)) is not None


@pytest.mark.parametrize("kind", ["missing", "directory", "link to nowhere"])
def test_what_is_no_file_is_nothing(path, kind):
    if kind == "directory":
        path.mkdir()
    elif kind == "link to nowhere":
        path.symlink_to("nowhere")
    assert read_partial(str(path)) is None


# Taking one over


def test_a_file_is_claimed_by_its_name(path, tmp_path):
    partial = read_partial(str(write(path, data=DATA)))
    mine = tmp_path / "mine"
    file = claim(partial, str(mine))
    os.pwrite(file, b"new", 10)
    os.close(file)
    assert not path.exists()
    assert mine.read_bytes()[:25] == DATA[:10] + b"new" + DATA[13:]


def test_only_one_of_many_gets_it(path, tmp_path):
    for _ in range(50):
        partial = read_partial(str(write(path)))
        barrier = threading.Barrier(8)
        files = [None] * 8

        def take(index, *, partial=partial, barrier=barrier, files=files):
            barrier.wait(10)
            files[index] = claim(partial, str(tmp_path / f"{index}"))

        threads = [threading.Thread(target=take, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [winner] = [index for index, file in enumerate(files) if file is not None]
        os.close(files[winner])
        assert [item.name for item in tmp_path.iterdir()] == [str(winner)]
        (tmp_path / f"{winner}").unlink()


def test_one_that_is_gone_or_cannot_be_written_is_left(path, tmp_path, monkeypatch):
    partial = read_partial(str(write(path)))

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        assert claim(partial, str(tmp_path / "mine")) is None
    assert path.exists(), "another user may go on with it"
    path.unlink()
    assert claim(partial, str(tmp_path / "mine")) is None
    assert list(tmp_path.iterdir()) == []


def test_a_failed_claim_leaves_no_file_open(path, tmp_path):
    partial = read_partial(str(write(path)))
    before = len(os.listdir("/proc/self/fd"))
    assert claim(partial, str(tmp_path / "no" / "folder")) is None
    assert len(os.listdir("/proc/self/fd")) == before
    assert path.exists()
