"""What is in a zip or tar, read with suspicion: an archive may have been made to harm.

The readers of Python's library take the sizes that an archive states at their word, and end quietly at a damaged header
of a tar. Here the bytes of one header are bounded, and an archive that ends without its end mark is broken.
"""

from __future__ import annotations

import errno
import gzip
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import ArchiveError
from .base import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

#: The end of an archive's name, in lower case. What a tar holds says whether it is compressed, whatever its name.
ARCHIVE_EXTENSIONS = (".zip", ".tar", ".tar.gz", ".tgz")

#: Bytes of one header of a tar. Real ones have less than 10 KB; a longer one fills the memory before it is understood.
_HEADER_BYTES = 64 * 1024
#: Bytes of a zip's directory for each member that is allowed: 46, the name, and what systems add (about 60).
_DIRECTORY_BYTES = 512
#: Ways of packing a zip's member that every tool has. Of the others the library unpacks any amount at once: 4 KB of
#: bzip2 may be 4 GB of zeros.
_USUAL = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

_ENCRYPTED = 0x1
_ZIP_ENTRY = b"PK\x01\x02"
_GZIP = b"\x1f\x8b"
#: A member that is the name of the whole tar, by ``tar --label``.
_LABEL = b"V"
_BLOCK = tarfile.BLOCKSIZE
#: What reading a broken archive raises in the library, besides OSError; RuntimeError is a bomb of nested headers, or a
#: way of packing that is not known.
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error),
    *(EOFError, ValueError, RuntimeError, OverflowError, LookupError),
)
#: A drive, or a path from its root, on Windows.
_WINDOWS_ROOT = re.compile(r"[A-Za-z]:|\\")


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive."""

    #: The name as the archive has it.
    name: str
    #: Bytes when unpacked, as the archive states them.
    size: int
    is_directory: bool
    #: Reads the content; of a tar, before the next member is asked for.
    pieces: Callable[[], Iterator[bytes]]


def archive_extension(name: str) -> str | None:
    """Give the extension that makes a name one of an archive; None if it has none.

    >>> archive_extension("ds/sub-01.TAR.gz"), archive_extension("sub-01.nii.gz")
    ('.tar.gz', None)
    """
    found = [extension for extension in ARCHIVE_EXTENSIONS if name.lower().endswith(extension)]
    return max(found, key=len, default=None)


def relative_name(name: str, archive: str) -> str:
    """Give a member's path below the folder it is unpacked to, with ``/``; ``""`` is the folder itself.

    A ``/`` at the beginning, doubled ones, and ``.`` are left out.

    Raises
    ------
    ArchiveError
        If the name leads out of the folder, here or on Windows, or is no text.
    """
    path = name.lstrip("/")
    if ".." in re.split(r"[/\\]", path):
        raise refusal(archive, name, "its name leads out of the folder by '..'")
    if _WINDOWS_ROOT.match(path):
        raise refusal(archive, name, "its name begins with a drive or a backslash, which leads out of the folder")
    if "\0" in path or not _is_text(path):
        raise refusal(archive, name, "its name is not valid UTF-8, so that no key can have it")
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def refusal(archive: str, member: str, reason: str) -> ArchiveError:
    """Give the error for an archive with a member that is refused."""
    return ArchiveError(f"cannot unpack {archive}: the member {member!r} is refused: {reason}; nothing was unpacked")


def too_many(archive: str, most_members: int) -> ArchiveError:
    """Give the error for an archive with too many members."""
    return ArchiveError(
        f"cannot unpack {archive}: it has more than {most_members:,} members, with those of archives in it; "
        "nothing was unpacked; if that is right, unpack it yourself and upload the folder"
    )


def damage(archive: str, reason: object) -> ArchiveError:
    """Give the error for an archive that is broken."""
    return ArchiveError(f"cannot unpack {archive}: it is damaged or cut short ({reason}); get it or pack it again")


@contextmanager
def open_archive(path: Path, name: str, most_members: int) -> Iterator[Iterable[Member]]:
    """Open an archive for reading its members one after the other.

    Parameters
    ----------
    path
        The file.
    name
        What messages call it; its extension says whether it is a zip.
    most_members
        A zip's directory that is too large for so many is refused before it is read.

    Raises
    ------
    ArchiveError
        Here and while the members are read: if the archive is broken, or has a link, a device, an encrypted member or
        another that is no plain file.
    """
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        if archive_extension(name) == ".zip":
            yield _zip_members(file, name, stack, most_members)
        else:
            yield _tar_members(file, name, stack)


@contextmanager
def _reading(archive: str, member: str | None = None) -> Iterator[None]:
    """Turn what the library raises for a broken archive into ours; a failing disk stays what it is."""
    place = "" if member is None else f"at {member!r}: "
    try:
        yield
    except ArchiveError:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):
            raise
        raise damage(archive, f"{place}{error}") from error
    except _BROKEN as error:
        raise damage(archive, f"{place}{str(error) or type(error).__name__}") from error


class _Rationed:
    """A file that gives no more bytes than were allowed: the library asks for what the archive tells it to."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, archive: str) -> None:
        self._file = file
        self._archive = archive
        self._allowed = 0
        #: What was read last.
        self.last = b""
        #: Entries of a zip's directory that may be read at once; None: any number.
        self.most_entries: int | None = None

    def allow(self, count: int) -> None:
        """Allow so many bytes from here on."""
        self._allowed = count

    def read(self, size: int = -1) -> bytes:
        if size > self._allowed:
            raise self._refusal()
        if size >= 0:
            self.last = self._file.read(size)
        else:
            # The library reads the end of a zip so, which has a comment of 64 KiB at most.
            most = min(self._allowed, 2 * _HEADER_BYTES)
            self.last = self._file.read(most + 1)
            if len(self.last) > most:
                raise self._refusal()
        self._allowed -= len(self.last)
        self._check_entries()
        return self.last

    def _refusal(self) -> ArchiveError:
        return ArchiveError(
            f"cannot unpack {self._archive}: one of its headers, or the list of its members, is larger than any real "
            "one; nothing was unpacked"
        )

    def _check_entries(self) -> None:
        if self.most_entries is not None and self.last.count(_ZIP_ENTRY) > self.most_entries:
            raise too_many(self._archive, self.most_entries)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


def _zip_members(file: BinaryIO, archive: str, stack: ExitStack, most_members: int) -> Iterator[Member]:
    source = _Rationed(file, archive)
    source.allow(_HEADER_BYTES * 4 + _DIRECTORY_BYTES * most_members)
    # The library makes an object for each entry, which takes many times its bytes, before they can be counted.
    source.most_entries = most_members
    with _reading(archive):
        opened = stack.enter_context(zipfile.ZipFile(source))
    source.most_entries = None
    for info in opened.infolist():
        _check_zip_member(info, archive)
        yield Member(
            info.filename, info.file_size, info.filename.endswith("/"), _zip_pieces(opened, info, source, archive)
        )


def _check_zip_member(info: zipfile.ZipInfo, archive: str) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise refusal(archive, info.filename, "it is a symbolic link")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refusal(archive, info.filename, "it is a device or another special file")
    if info.flag_bits & _ENCRYPTED:
        raise refusal(archive, info.filename, "it is encrypted; pack it without a password")
    if info.compress_type not in _USUAL:
        raise refusal(
            archive, info.filename, "it is packed in an unusual way; pack it by 'deflate', the way of most tools"
        )


def _zip_pieces(
    opened: zipfile.ZipFile, info: zipfile.ZipInfo, source: _Rationed, archive: str
) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        with _reading(archive, info.filename):
            source.allow(3 * _HEADER_BYTES)
            with opened.open(info) as content:
                while True:
                    source.allow(2 * CHUNK_BYTES)
                    piece = content.read(CHUNK_BYTES)
                    if not piece:
                        return
                    yield piece

    return pieces


def _tar_members(file: BinaryIO, archive: str, stack: ExitStack) -> Iterator[Member]:
    is_packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    plain = stack.enter_context(gzip.GzipFile(fileobj=file)) if is_packed else file
    source = _Rationed(plain, archive)
    source.allow(_HEADER_BYTES)
    with _reading(archive):
        opened = tarfile.TarFile(fileobj=source, encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
    last = "its beginning"
    while True:
        source.allow(_HEADER_BYTES)
        with _reading(archive, last):
            info = opened.next()
        if info is None:
            break
        # It would keep them all.
        opened.members.clear()  # type: ignore[attr-defined] # typeshed does not know it
        last = info.name
        if info.type == _LABEL:
            continue
        _check_tar_member(info, archive)
        yield Member(info.name, info.size, info.isdir(), _tar_pieces(info, source, archive))
    if source.last != bytes(_BLOCK):
        raise damage(archive, f"it does not go on as a tar after {last!r}, and has no end mark there")
    if is_packed:
        _read_to_end(source, archive)


def _check_tar_member(info: tarfile.TarInfo, archive: str) -> None:
    if info.issym() or info.islnk():
        kind = "symbolic" if info.issym() else "hard"
        raise refusal(archive, info.name, f"it is a {kind} link to {info.linkname!r}")
    if info.issparse():
        raise refusal(archive, info.name, "it is a sparse file; pack it without --sparse")
    if not info.isreg() and not info.isdir():
        raise refusal(archive, info.name, "it is a device or another special file")
    if info.size < 0:
        raise refusal(archive, info.name, f"it states a size of {info.size} bytes")


def _tar_pieces(info: tarfile.TarInfo, source: _Rationed, archive: str) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        left = info.size
        with _reading(archive, info.name):
            source.seek(info.offset_data)
            while left:
                source.allow(CHUNK_BYTES)
                piece = source.read(min(left, CHUNK_BYTES))
                if not piece:
                    raise EOFError(f"{left} bytes are missing")
                left -= len(piece)
                yield piece

    return pieces


def _read_to_end(source: Any, archive: str) -> None:
    """Read what follows the end mark of a compressed tar: the checksum is checked at the end of the stream."""
    padding = 0
    with _reading(archive, "the end"):
        while True:
            source.allow(CHUNK_BYTES)
            piece = source.read(CHUNK_BYTES)
            if not piece:
                return
            padding += len(piece)
            if padding > _MOST_PADDING:
                raise ArchiveError(
                    f"cannot unpack {archive}: more than {_MOST_PADDING} bytes follow its end; nothing was unpacked"
                )


#: Bytes after the end mark of a tar: tools fill up to a multiple of 10 KiB, tapes to a few MiB.
_MOST_PADDING = 64 * 1024 * 1024

__all__ = [
    "ARCHIVE_EXTENSIONS",
    "Member",
    "archive_extension",
    "damage",
    "open_archive",
    "refusal",
    "relative_name",
    "too_many",
]
