"""Archives that are as they should be, and archives that were made to harm."""

from __future__ import annotations

import gzip
import io
import resource
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3bids.errors import ArchiveError, DestinationError
from s3bids.storage import unpacking
from s3bids.storage.archive_members import archive_extension, open_archive
from s3bids.storage.archives import archive_tar_as_buffer, archive_zip_as_buffer, extract_file
from s3bids.storage.files import part_name
from s3bids.storage.unpacking import MAX_MEMBERS, MAX_NESTING, MIN_LIMIT_BYTES, limit_bytes

CONTENT = {"a.txt": b"a", "deep/b.bin": bytes(range(256)) * 40, "deep/er/c": b"", "sub-é 日本.json": b"{}"}
MIB = 1024 * 1024


def zip_of(members, **options):
    """Pack (name or ZipInfo, content) as they come, which may be twice."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_of(members, **options):
    """Pack (name or TarInfo, content) as they come."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tgz_of(members, **options):
    return gzip.compress(tar_of(members, **options), 1, mtime=0)


PACKERS = {".zip": zip_of, ".tar": tar_of, ".tar.gz": tgz_of, ".tgz": tgz_of}
each_kind = pytest.mark.parametrize("extension", list(PACKERS))


def special(name, kind, linkname=""):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = linkname
    return info


def zip_entry(name, mode=0, flags=0):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.flag_bits = flags
    return info


def files_of(directory):
    directory = Path(directory)
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture
def unpack(tmp_path_factory):
    """A function that unpacks the bytes of an archive and gives the files; a failure must leave nothing at all."""

    def run(data, extension, **options):
        home = tmp_path_factory.mktemp("unpack")
        archive = home / f"archive{extension}"
        archive.write_bytes(data)
        out = home / "out" / "deep"
        try:
            assert extract_file(archive, out, **options) == str(out)
        except BaseException:
            assert list(home.iterdir()) == [archive]
            raise
        assert [path for path in out.iterdir() if path.name.startswith(".s3bids")] == []
        run.out = out
        return files_of(out)

    return run


# Packing


@pytest.mark.parametrize(
    "pack", [archive_zip_as_buffer, archive_tar_as_buffer, lambda data: archive_tar_as_buffer(data, True)]
)
class TestPacking:
    def test_equal_data_give_equal_bytes_at_position_0(self, pack, monkeypatch):
        monkeypatch.setattr("time.time", lambda: 1e9)
        first = pack(CONTENT)
        monkeypatch.setattr("time.time", lambda: 2e9)
        again = pack(dict(CONTENT))
        assert isinstance(first, io.BytesIO)
        assert first.tell() == again.tell() == 0
        assert first.getvalue() == again.getvalue()

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_every_kind_of_bytes_is_packed(self, pack, kind):
        assert pack({"a": kind(b"content")}).getvalue() == pack({"a": b"content"}).getvalue()

    def test_a_view_is_packed_byte_by_byte(self, pack):
        numbers = memoryview(struct.pack("4i", 1, 2, 3, 4)).cast("i")
        assert pack({"a": numbers}).getvalue() == pack({"a": numbers.tobytes()}).getvalue()
        assert pack({"a": numbers[::2]}).getvalue() == pack({"a": numbers[::2].tobytes()}).getvalue()

    @pytest.mark.parametrize("content", ["text", None, 3, io.BytesIO(b"x"), [b"x"]])
    def test_a_content_without_bytes_is_named(self, pack, content):
        with pytest.raises(TypeError, match=f"'ds/a'.*{type(content).__name__}"):
            pack({"ds/a": content})

    def test_a_name_that_is_no_text_is_named(self, pack):
        with pytest.raises(TypeError, match="Path"):
            pack({Path("a"): b""})

    def test_nothing_makes_an_empty_archive(self, pack, tmp_path):
        archive = tmp_path / ("x.zip" if pack is archive_zip_as_buffer else "x.tar")
        archive.write_bytes(pack({}).getvalue())
        assert extract_file(archive, tmp_path / "out") == str(tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []


def test_names_are_packed_as_they_are_given():
    names = {"/abs/a": b"1", "../up": b"2", "é/" + "x" * 120: b"3"}
    with zipfile.ZipFile(archive_zip_as_buffer(names)) as archive:
        assert archive.namelist() == list(names)
    for compress in (False, True):
        with tarfile.open(fileobj=archive_tar_as_buffer(names, compress=compress)) as archive:
            assert archive.getnames() == list(names)


# Unpacking


@each_kind
def test_what_was_packed_is_unpacked(unpack, extension):
    assert unpack(PACKERS[extension](CONTENT.items()), extension) == CONTENT


NAMES = st.lists(
    st.text(st.characters(exclude_characters="/\\\0", exclude_categories=("Cs",)), min_size=1, max_size=8),
    min_size=1,
    max_size=3,
).filter(lambda parts: not {".", ".."} & set(parts) and not (len(parts[0]) > 1 and parts[0][1] == ":"))


@pytest.mark.parametrize("extension", [".zip", ".tar", ".tgz"])
@given(paths=st.lists(st.tuples(NAMES, st.binary(max_size=2000)), max_size=6))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_content_comes_back(tmp_path_factory, extension, paths):
    # Each in a folder of its own, so that no name is a folder of another.
    content = {f"{number}/{'/'.join(parts)}": data for number, (parts, data) in enumerate(paths)}
    content = {name: data for name, data in content.items() if "/._" not in name and not archive_extension(name)}
    folder = tmp_path_factory.mktemp("any")
    pack = archive_zip_as_buffer if extension == ".zip" else archive_tar_as_buffer
    options = {"compress": True} if extension == ".tgz" else {}
    (folder / f"x{extension}").write_bytes(pack(content, **options).getvalue())
    extract_file(str(folder / f"x{extension}"), str(folder / "out"))
    assert files_of(folder / "out") == content


@each_kind
def test_folders_and_dots_of_tools_are_followed(unpack, extension):
    folder = special("empty/", tarfile.DIRTYPE) if extension != ".zip" else "empty/"
    top = special("./", tarfile.DIRTYPE) if extension != ".zip" else "./"
    members = [(top, b""), ("./a//b", b"1"), (folder, b""), ("c/./d", b"2")]
    assert unpack(PACKERS[extension](members), extension) == {"a/b": b"1", "c/d": b"2"}
    assert (unpack.out / "empty").is_dir()


@each_kind
def test_a_slash_at_the_beginning_is_dropped(unpack, extension):
    assert unpack(PACKERS[extension]([("/etc/passwd", b"1"), ("///x", b"2")]), extension) == {
        "etc/passwd": b"1",
        "x": b"2",
    }


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@each_kind
def test_of_a_name_that_comes_twice_the_last_stays(unpack, extension):
    members = [("a", b"a longer first"), ("b", b"b"), ("a", b"second")]
    assert unpack(PACKERS[extension](members), extension) == {"a": b"second", "b": b"b"}


@pytest.mark.parametrize("inner", list(PACKERS))
@each_kind
def test_an_archive_in_the_archive_is_unpacked_where_it_lies(unpack, extension, inner):
    innermost = PACKERS[inner]([("z", b"z")])
    nested = PACKERS[inner]([("x", b"x"), ("deep/y", b"y"), (f"deep/most{inner.upper()}", innermost)])
    members = [(f"data/one{inner}", nested), (f"two{inner}", nested), ("data/one.txt", b"1")]
    assert unpack(PACKERS[extension](members), extension) == {
        "data/x": b"x",
        "data/deep/y": b"y",
        "data/deep/z": b"z",
        "data/one.txt": b"1",
        "x": b"x",
        "deep/y": b"y",
        "deep/z": b"z",
    }


@each_kind
def test_what_macos_adds_is_left_out_unless_wanted(unpack, extension, tmp_path):
    members = [("a", b"a"), ("._a", b"m"), ("__MACOSX/d/._b.zip", b"no zip"), ("d/a._b", b"b")]
    data = PACKERS[extension](members)
    assert unpack(data, extension) == {"a": b"a", "d/a._b": b"b"}
    assert unpack(data, extension, remove_extra_metadata=False) == dict(members)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_may_be_packed_in_the_ways_of_all_tools(unpack, compression):
    content = {"a": bytes(3 * MIB), "b": bytes(range(256)) * 8192, "c": b""}
    assert unpack(zip_of(content.items(), compression=compression), ".zip") == content


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_in_an_unusual_way_is_refused(unpack, compression):
    """Of these Python's reader unpacks any amount at once."""
    with pytest.raises(ArchiveError, match=r"'zeros'.*unusual"):
        unpack(zip_of([("zeros", bytes(MIB))], compression=compression), ".zip")


@pytest.mark.parametrize("name_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_may_have_every_format(unpack, name_format):
    content = {"d" * 90 + "/" + "n" * 90: b"long", "é": bytes(1024)}
    assert unpack(tar_of(content.items(), format=name_format), ".tar") == content


def test_the_label_of_a_tar_is_no_file(unpack):
    assert unpack(tar_of([(special("my backup", b"V"), b""), ("a", b"1")]), ".tar") == {"a": b"1"}


def test_a_tar_tells_by_itself_whether_it_is_compressed(unpack):
    plain, packed = tar_of(CONTENT.items()), tgz_of(CONTENT.items())
    assert unpack(plain, ".tar.gz") == CONTENT
    assert unpack(packed, ".tar") == CONTENT
    # Compressed streams and their members may follow one another.
    middle = len(plain) // 2
    assert unpack(gzip.compress(plain[:middle]) + gzip.compress(plain[middle:]), ".tgz") == CONTENT


def test_a_zip_without_utf8_names_is_read_as_the_format_says(unpack):
    info = zip_entry("n_me")
    data = zip_of([(info, b"1")]).replace(b"n_me", b"n\x84me")
    assert unpack(data, ".zip") == {"näme": b"1"}


# Members that are refused

ESCAPES = ["../x", "a/../../x", "..", "/../x", "..\\x", "a\\..\\x", "C:x", "C:/x", "c:\\x", "\\x", "\\\\server\\x"]


@each_kind
@pytest.mark.parametrize("name", ESCAPES)
def test_a_name_that_leads_out_is_refused(unpack, extension, name):
    with pytest.raises(ArchiveError) as caught:
        unpack(PACKERS[extension]([("good", b"1"), (name, b"2"), ("later", b"3")]), extension)
    assert repr(name) in str(caught.value)


@each_kind
def test_a_folder_that_leads_out_is_refused_as_well(unpack, extension):
    folder = "../up/" if extension == ".zip" else special("../up", tarfile.DIRTYPE)
    with pytest.raises(ArchiveError, match=r"\.\./up"):
        unpack(PACKERS[extension]([(folder, b"")]), extension)


@pytest.mark.parametrize("inner", list(PACKERS))
def test_an_inner_archive_does_not_lead_out_of_its_folder(unpack, inner):
    nested = PACKERS[inner]([("../x", b"")])
    with pytest.raises(ArchiveError, match=rf"archive.zip > deep/inner{inner}.*'\.\./x'"):
        unpack(zip_of([("deep/inner" + inner, nested)]), ".zip")


TAR_SPECIALS = {
    "symbolic link to '/etc/passwd'": special("bad", tarfile.SYMTYPE, "/etc/passwd"),
    "symbolic link to 'good'": special("bad", tarfile.SYMTYPE, "good"),
    "hard link to 'good'": special("bad", tarfile.LNKTYPE, "good"),
    "hard link to '../../x'": special("bad", tarfile.LNKTYPE, "../../x"),
    "device or": special("bad", tarfile.CHRTYPE),
    "a device or another": special("bad", tarfile.BLKTYPE),
    "another special": special("bad", tarfile.FIFOTYPE),
    "special file": special("bad", b"Z"),
}


@pytest.mark.parametrize("extension", [".tar", ".tar.gz"])
@pytest.mark.parametrize("reason", list(TAR_SPECIALS))
def test_a_link_or_device_in_a_tar_is_refused(unpack, extension, reason):
    with pytest.raises(ArchiveError, match=f"'bad'.*{reason}"):
        unpack(PACKERS[extension]([("good", b"1"), (TAR_SPECIALS[reason], b"")]), extension)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (stat.S_IFLNK | 0o777, "symbolic link"),
        (stat.S_IFCHR | 0o600, "device"),
        (stat.S_IFBLK | 0o600, "device"),
        (stat.S_IFIFO | 0o600, "special file"),
        (stat.S_IFSOCK | 0o600, "special file"),
    ],
)
def test_a_link_or_device_in_a_zip_is_refused(unpack, mode, reason):
    with pytest.raises(ArchiveError, match=f"'bad'.*{reason}"):
        unpack(zip_of([("good", b"1"), (zip_entry("bad", mode), b"/etc/passwd")]), ".zip")


def test_a_plain_file_with_a_mode_is_no_special_one(unpack):
    members = [(zip_entry("a", stat.S_IFREG | 0o755), b"a"), (zip_entry("d/", stat.S_IFDIR | 0o755), b"")]
    assert unpack(zip_of(members), ".zip") == {"a": b"a"}


def test_an_encrypted_member_is_refused(unpack):
    data = bytearray(zip_of([("good", b"1"), ("secret", b"2")]))
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rindex(signature) + flags_at] |= 1
    with pytest.raises(ArchiveError, match=r"'secret'.*encrypted"):
        unpack(bytes(data), ".zip")


def test_a_sparse_member_is_refused(unpack):
    info = tarfile.TarInfo("holes")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": "0,1",
        "GNU.sparse.size": "1",
    }
    with pytest.raises(ArchiveError, match=r"'holes'.*sparse"):
        unpack(tar_of([(info, b"x")]), ".tar")


def test_a_name_that_is_not_utf8_is_refused(unpack):
    data = tar_of([("n\udcff", b"")], encoding="utf-8", errors="surrogateescape", format=tarfile.GNU_FORMAT)
    with pytest.raises(ArchiveError, match=r"'n\\udcff'.*UTF-8"):
        unpack(data, ".tar")


@each_kind
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("a", b"1"), ("a/b", b"2")], "'a/b'.*file where it needs a folder"),
        ([("a/b", b"1"), ("a", b"2")], "'a'.*a folder"),
        ([("x" * 300, b"1")], "'x{300}'.*too long"),
        ([(".", b"1")], "'.'.*without a name"),
        ([(part_name(), b"1")], "unfinished files"),
        ([("n/one.zip", zip_of([("x", b"1")])), ("n/two.zip", zip_of([("x", b"2")]))], "'x'.*one.zip.*'n/x'"),
        ([("x", b"1"), ("one.zip", zip_of([("x", b"2")]))], "one.zip.*'x'.*same place"),
    ],
)
def test_members_that_cannot_be_files_together_are_refused(unpack, extension, members, reason):
    with pytest.raises(ArchiveError, match=reason):
        unpack(PACKERS[extension](members), extension)


# Bombs


@pytest.mark.parametrize(
    ("archive_bytes", "max_bytes", "limit"),
    [
        (0, None, MIN_LIMIT_BYTES),
        (MIN_LIMIT_BYTES // 100, None, MIN_LIMIT_BYTES),
        (MIN_LIMIT_BYTES, None, 100 * MIN_LIMIT_BYTES),
        (MIN_LIMIT_BYTES, 5, 5),
        (5, 10**15, 10**15),
        (5, 0, 0),
    ],
)
def test_the_limit_follows_the_archive_unless_it_is_given(archive_bytes, max_bytes, limit):
    assert limit_bytes(archive_bytes, max_bytes) == limit


@each_kind
def test_more_bytes_than_allowed_are_refused(unpack, extension):
    data = PACKERS[extension]([("a", bytes(600)), ("b", bytes(401))])
    assert sorted(unpack(data, extension, max_bytes=1001)) == ["a", "b"]


@each_kind
def test_one_byte_more_is_refused_by_name(unpack, extension):
    data = PACKERS[extension]([("a", bytes(600)), ("b", bytes(401))])
    with pytest.raises(ArchiveError, match=r"'b'.*401 bytes more than 1,000 .*max_bytes="):
        unpack(data, extension, max_bytes=1000)


def test_a_negative_limit_is_refused(unpack):
    with pytest.raises(ValueError, match="max_bytes must be 0 or more, not -1"):
        unpack(zip_of([]), ".zip", max_bytes=-1)


@each_kind
def test_the_bytes_of_inner_archives_count(unpack, extension):
    inner = tar_of([("x", bytes(1000))])
    data = PACKERS[extension]([("inner.tar", inner)])
    assert list(unpack(data, extension, max_bytes=len(inner) + 1000)) == ["x"]
    with pytest.raises(ArchiveError, match=r"inner.tar.*'x'"):
        unpack(data, extension, max_bytes=len(inner) + 999)


@contextmanager
def memory_below(mebibytes):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * MIB
    finally:
        tracemalloc.stop()


def zeros(size, name="zeros"):
    """A tar.gz of zeros that takes no memory to make."""
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, buffer) as file:
        info = tarfile.TarInfo(name)
        info.size = size
        file.write(info.tobuf())
        for _ in range(size // MIB):
            file.write(bytes(MIB))
        file.write(bytes(1024))
    return buffer.getvalue()


def test_zeros_that_unpack_to_more_than_the_limit_are_refused_before_they_are_written(unpack):
    bomb = zeros(MIN_LIMIT_BYTES + MIB)
    assert len(bomb) < 2 * MIB
    with memory_below(8), pytest.raises(ArchiveError, match=r"'zeros'.*1,074,790,400 bytes more than 1,073,741,824"):
        unpack(bomb, ".tgz")


def test_a_tar_that_states_a_monstrous_size_is_refused(unpack):
    info = tarfile.TarInfo("a")
    info.size = 2**62
    with pytest.raises(ArchiveError, match=r"'a'.*4,611,686,018,427,387,904 bytes"):
        unpack(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024), ".tar")


def test_a_tar_that_states_a_negative_size_is_refused(unpack):
    """Python's own reader goes round in circles there."""
    info = tarfile.TarInfo("a")
    info.size = -1024
    with pytest.raises(ArchiveError, match=r"archive.tar"):
        unpack(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024), ".tar")


@pytest.mark.parametrize("stated", [0, 10, 2**31])
def test_a_zip_that_states_another_size_is_refused(unpack, stated):
    data = bytearray(zip_of([("a", b"x" * 1000)], compression=zipfile.ZIP_DEFLATED))
    for signature, size_at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<L", data, data.index(signature) + size_at, stated)
    with pytest.raises(ArchiveError, match="'a'"):
        unpack(bytes(data), ".zip", max_bytes=MIB)


@pytest.mark.parametrize("pack", [zip_of, tgz_of])
def test_a_dense_member_does_not_fill_the_memory(tmp_path, pack):
    name = "x.zip" if pack is zip_of else "x.tgz"
    options = {"compression": zipfile.ZIP_DEFLATED} if pack is zip_of else {}
    (tmp_path / name).write_bytes(pack([("zeros", bytes(32 * MIB))], **options))
    with memory_below(8), open_archive(tmp_path / name, name, 10) as members:
        assert sum(len(piece) for member in members for piece in member.pieces()) == 32 * MIB


def block(kind, size, data=b""):
    """A header of a tar that states some size, and what follows it."""
    info = special("x", kind)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT) + data


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(block(tarfile.XHDTYPE, 32 * MIB), id="attributes"),
        pytest.param(block(tarfile.XGLTYPE, 32 * MIB), id="global attributes"),
        pytest.param(block(tarfile.GNUTYPE_LONGNAME, 32 * MIB), id="long name"),
        pytest.param(block(tarfile.XHDTYPE, -1024), id="negative size"),
        pytest.param(block(tarfile.GNUTYPE_LONGNAME, 0) * 5000, id="headers in headers"),
    ],
)
def test_a_monstrous_header_is_refused_before_it_is_read(unpack, start):
    data = gzip.compress(start + bytes(33 * MIB) if len(start) == 512 else start, 1)
    with memory_below(8), pytest.raises(ArchiveError):
        unpack(data, ".tgz")


def test_an_endless_map_of_a_sparse_file_is_refused_before_it_is_read(unpack):
    info = special("x", tarfile.GNUTYPE_SPARSE)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[482] = 1  # goes on in the next block
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(header)[0]
    more = bytearray(b"00000000001\0" * 42 + bytes(8))
    more[504] = 1
    data = gzip.compress(bytes(header) + bytes(more) * 20_000)
    with memory_below(8), pytest.raises(ArchiveError, match="larger than any real one"):
        unpack(data, ".tgz")


def test_what_follows_the_end_is_read_to_some_length_only(unpack):
    good = tar_of([("a", b"1")])
    assert unpack(gzip.compress(good + bytes(20 * MIB), 1), ".tgz") == {"a": b"1"}
    data = gzip.compress(good + bytes(65 * MIB), 1)
    with memory_below(8), pytest.raises(ArchiveError, match="follow its end"):
        unpack(data, ".tgz")


def many_in_a_zip(count):
    """A zip with a directory of so many empty members, all in one place."""
    local = zip_of([("a", b"")])
    start = local.index(b"PK\x01\x02")
    entry = local[start : local.index(b"PK\x05\x06")]
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, len(entry) * count, start, 0)
    return local[:start] + entry * count + end


def test_a_zip_with_too_many_members_is_refused_before_they_are_read(unpack):
    data = many_in_a_zip(3 * MAX_MEMBERS)
    # Twice the directory itself; as objects the entries would take ten times as much.
    with memory_below(2 * len(data) / MIB), pytest.raises(ArchiveError, match="more than 100,000 members"):
        unpack(data, ".zip")


def test_a_tar_with_too_many_members_is_refused(unpack):
    data = gzip.compress(tarfile.TarInfo("a").tobuf() * (MAX_MEMBERS + 1) + bytes(1024), 1)
    assert len(data) < MIB
    with pytest.raises(ArchiveError, match="more than 100,000 members"):
        unpack(data, ".tgz")


@each_kind
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_the_members_of_all_archives_together_are_counted(unpack, extension, monkeypatch):
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 10)
    inner = PACKERS[extension]([(f"{number}", b"") for number in range(4)])
    members = [(f"{number}/x{extension}", inner) for number in range(2)]
    assert len(unpack(PACKERS[extension](members), extension)) == 8
    with pytest.raises(ArchiveError, match=f"1/x{extension}.*more than 10 members"):
        unpack(PACKERS[extension]([("one more", b""), *members]), extension)


def test_archives_lie_in_one_another_to_some_depth_only(unpack):
    data = zip_of([("x", b"1")])
    for _ in range(MAX_NESTING):
        data = zip_of([("a.zip", data)])
    assert unpack(data, ".zip") == {"x": b"1"}
    with pytest.raises(ArchiveError, match="more than 8 archives lie in one another"):
        unpack(zip_of([("a.zip", data)]), ".zip")


def test_a_tree_of_bombs_is_refused(unpack):
    """Ten archives in each, and so on: the millions at its leaves are never made."""
    data = zip_of([(f"{number}.bin", bytes(MIB)) for number in range(10)], compression=zipfile.ZIP_DEFLATED)
    for _ in range(MAX_NESTING - 1):
        data = zip_of([(f"{number}/a.zip", data) for number in range(10)], compression=zipfile.ZIP_DEFLATED)
    assert len(data) < MIB
    with pytest.raises(ArchiveError, match="max_bytes="):
        unpack(data, ".zip", max_bytes=100 * MIB)


# Archives that are broken


@pytest.mark.parametrize(
    ("data", "extension"),
    [
        (b"", ".zip"),
        (b"", ".tar"),
        (b"", ".tgz"),
        (b"no archive at all", ".zip"),
        (b"no archive at all" * 100, ".tar"),
        (b"\x1f\x8b no gzip", ".tar.gz"),
        (gzip.compress(b"no tar at all" * 100, mtime=0), ".tar.gz"),
        (gzip.compress(b"", mtime=0), ".tar.gz"),
        (tar_of([("a", b"1")]), ".zip"),
        (zip_of([("a", b"1")]), ".tar"),
        (tgz_of([("a", b"1")]) + b"more", ".tgz"),
    ],
    ids=range(11),  # bytes with a time in them would have other names in each process
)
def test_what_is_no_archive_is_named(unpack, data, extension):
    with pytest.raises(ArchiveError, match=rf"cannot unpack .*archive{extension}: it is damaged or cut short"):
        unpack(data, extension)


def test_a_broken_archive_in_an_archive_is_named(unpack):
    with pytest.raises(ArchiveError, match=r"archive.tar > deep/inner.zip: it is damaged"):
        unpack(tar_of([("good", b"1"), ("deep/inner.zip", b"PK")]), ".tar")


@pytest.mark.parametrize("extension", [".zip", ".tar", ".tgz"])
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_cut_archive_is_never_taken_for_a_whole_one(unpack, extension, data):
    whole = PACKERS[extension](CONTENT.items())
    # A tar ends in a row of empty blocks, of which one is enough.
    needed = len(whole) if extension != ".tar" else len(whole.rstrip(b"\0")) // 512 * 512 + 2 * 512
    cut = data.draw(st.integers(0, needed - 1))
    with pytest.raises(ArchiveError):
        unpack(whole[:cut], extension)


@pytest.mark.parametrize("extension", [".zip", ".tar", ".tgz"])
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damage_is_an_archive_error_or_does_no_harm(unpack, extension, data):
    damaged = bytearray(PACKERS[extension](CONTENT.items()))
    at = data.draw(st.integers(0, len(damaged) - 1))
    bytes_there = data.draw(st.binary(min_size=1, max_size=40))
    damaged[at : at + len(bytes_there)] = bytes_there
    try:
        found = unpack(bytes(damaged), extension)
    except ArchiveError:
        return
    if extension == ".tgz":
        assert found == CONTENT


# The directory


def test_the_archive_s_name_says_what_it_is(tmp_path):
    for name in ("x.gz", "x.nii.gz", "x", "zip", "x.zip.txt", "x.tar.bz2"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ArchiveError, match=r"must end in \.zip, \.tar, \.tar\.gz, \.tgz"):
            extract_file(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_archive_makes_no_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.zip"):
        extract_file(tmp_path / "none.zip", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def archive(tmp_path):
    """An archive beside a directory ``out`` with a file and a folder."""
    (tmp_path / "x.zip").write_bytes(zip_of([("a", b"new"), ("d/b", b"new")]))
    (tmp_path / "out" / "d").mkdir(parents=True)
    (tmp_path / "out" / "kept").write_bytes(b"old")
    return tmp_path / "x.zip"


def test_members_join_what_is_there_and_replace_it(archive, tmp_path):
    (tmp_path / "out" / "d" / "b").write_bytes(b"old")
    extract_file(archive, tmp_path / "out")
    assert files_of(tmp_path / "out") == {"a": b"new", "d/b": b"new", "kept": b"old"}


def test_a_member_replaces_a_link_and_not_what_it_leads_to(archive, tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"old")
    (tmp_path / "out" / "a").symlink_to(tmp_path / "elsewhere")
    extract_file(archive, tmp_path / "out")
    assert (tmp_path / "elsewhere").read_bytes() == b"old"
    assert (tmp_path / "out" / "a").read_bytes() == b"new"


def folder_for_file(out):
    (out / "a").mkdir()


def file_for_folder(out):
    (out / "d").rmdir()
    (out / "d").write_bytes(b"old")


def link_that_leads_out(out):
    (out / "d").rmdir()
    (out / "d").symlink_to(out.parent / "other")
    (out.parent / "other").mkdir()


def dangling_link(out):
    (out / "d").rmdir()
    (out / "d").symlink_to(out.parent / "none")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (folder_for_file, "out/a is a folder"),
        (file_for_folder, "out/d is a file"),
        (link_that_leads_out, "out/d leads out"),
        (dangling_link, "out/d is a file"),
    ],
)
def test_a_directory_that_cannot_take_all_takes_nothing(archive, tmp_path, prepare, reason):
    out = tmp_path / "out"
    prepare(out)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DestinationError, match=reason):
        extract_file(archive, out)
    assert sorted(tmp_path.rglob("*")) == before
    assert files_of(out)["kept"] == b"old"


@pytest.mark.parametrize("place", ["out/kept", "out/kept/deeper"])
def test_a_file_where_the_directory_should_be_is_named(archive, tmp_path, place):
    with pytest.raises(DestinationError, match="kept"):
        extract_file(archive, tmp_path / place)
    assert files_of(tmp_path / "out") == {"kept": b"old"}


def test_a_failing_disk_is_named_and_leaves_nothing(archive, tmp_path):
    archive.write_bytes(zip_of([("small", b"1"), ("large", bytes(MIB))]))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB // 2, hard))
    try:
        with pytest.raises(DestinationError, match=r"'large'.*File too large.*room"):
            extract_file(archive, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_of(tmp_path / "out") == {"kept": b"old"}


def test_parallel_calls_do_not_mix(tmp_path):
    """All archives have one name, and half of the calls share a directory."""
    expected = {}
    for number in range(16):
        content = {f"{number}/{file}": f"{number} {file}".encode() * 1000 for file in range(20)}
        path = tmp_path / f"{number}" / "data.zip"
        path.parent.mkdir()
        path.write_bytes(archive_zip_as_buffer({"nested.tar": archive_tar_as_buffer(content).getvalue()}).getvalue())
        expected |= content
    out = [tmp_path / "shared" if number % 2 else tmp_path / f"out-{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: extract_file(tmp_path / f"{number}" / "data.zip", out[number]), range(16)))
    found = {}
    for directory in set(out):
        found |= files_of(directory)
    assert found == expected
