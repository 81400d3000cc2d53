"""Which image format an object has, seen from its content; and the beginning of that content."""

from __future__ import annotations

import bz2
import re
import struct
from enum import StrEnum
from typing import TYPE_CHECKING

from ..errors import ImageError
from .gzipped import GZIP_MAGIC, INPUT_BYTES, PIECE_BYTES, InflatingStream

if TYPE_CHECKING:
    from .ranges import RangedFile

_BZIP2_MAGIC = b"BZh"
#: Enough to tell the format, and to hold a header without extensions.
SNIFF_BYTES = 1024
#: What is inflated at a time: whatever is damaged behind the header must not spoil it.
_HEAD_PIECE_BYTES = 4096
#: Extensions larger than this are a damaged header; those of CIFTI have some megabytes.
MOST_HEADER_BYTES = 256 * 1024 * 1024
_GIFTI = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<.*<GIFTI\b|\A(?:\xef\xbb\xbf)?\s*<GIFTI\b", re.DOTALL)
#: Data types of MGH (FreeSurfer wiki, "MghFormat"): uchar, int, float, short, ushort.
_MGH_TYPES = frozenset({0, 1, 3, 4, 10})
#: Intent codes of CIFTI-2 (CIFTI-2 specification, "NIfTI-2 intent codes").
_CIFTI_INTENTS = range(3000, 3100)


class Format(StrEnum):
    """An image format that is read lazily, or in memory (GIFTI)."""

    NIFTI1 = "NIfTI-1"
    NIFTI2 = "NIfTI-2"
    CIFTI2 = "CIFTI-2"
    GIFTI = "GIFTI"
    MGH = "MGH"


#: NIfTI: the size of the header; the four bytes behind it say whether there are extensions.
_HEADER_BYTES = {Format.NIFTI1: 348, Format.NIFTI2: 540, Format.CIFTI2: 540}


class Beginning:
    """The beginning of an image, unpacked if the object is compressed by gzip or bzip2.

    It takes one request, and further ones only if more is asked for than that holds.
    """

    def __init__(self, file: RangedFile) -> None:
        self._file = file
        file.seek(0)
        magic = file.read(len(_BZIP2_MAGIC))
        file.seek(0)
        if not magic:
            raise ImageError(f"cannot read {file.name}: it is empty; an image has at least a header")
        #: ``gzip``, ``bzip2`` or None.
        self.compression = (
            "gzip" if magic.startswith(GZIP_MAGIC) else "bzip2" if magic.startswith(_BZIP2_MAGIC) else None
        )
        self._gunzip = InflatingStream(file)
        self._bunzip = bz2.BZ2Decompressor()
        self._unpacked = bytearray()

    def take(self, size: int) -> bytes:
        """Give the first bytes, fewer where the content ends.

        Raises
        ------
        ImageError
            If the compressed data are damaged, or end before there are so many bytes.
        """
        if self.compression is None:
            self._file.seek(0)
            return self._file.read(min(size, self._file.size))
        unpack = self._gunzip.next_piece if self.compression == "gzip" else self._next_bunzipped
        while len(self._unpacked) < size:
            piece = unpack(min(PIECE_BYTES, max(_HEAD_PIECE_BYTES, size - len(self._unpacked))))
            if not piece:
                break
            self._unpacked += piece
        return bytes(self._unpacked[:size])

    def _next_bunzipped(self, most: int) -> bytes:
        while not self._bunzip.eof:
            packed = self._file.read_some(INPUT_BYTES) if self._bunzip.needs_input else b""
            if self._bunzip.needs_input and not packed:
                raise ImageError(f"cannot read {self._file.name}: its compressed data end early; it is cut short")
            try:
                piece = self._bunzip.decompress(packed, most)
            except OSError as error:
                raise ImageError(f"cannot read {self._file.name}: its compressed data are damaged ({error})") from error
            if piece:
                return piece
        return b""

    def sniff(self) -> Format | None:
        """Tell the format; None if it is none of ours."""
        return format_of(self.take(SNIFF_BYTES))

    def header(self, kind: Format, *, with_extensions: bool = True) -> bytes:
        """Give the header of a NIfTI file, with its extensions or with the mark that there are none.

        Raises
        ------
        ImageError
            If it is cut short, or has extensions of an impossible size.
        """
        bare = _HEADER_BYTES[kind] + 4
        head = self.take(bare)
        if len(head) < bare:
            raise ImageError(f"cannot read {self._file.name}: its header is cut short after {len(head)} bytes")
        if head[bare - 4] == 0:
            return head
        end = _data_place(kind, head)
        if not with_extensions or end <= bare:
            return head[: bare - 4] + bytes(4)
        if end > MOST_HEADER_BYTES:
            raise ImageError(f"cannot read {self._file.name}: its header is damaged (the data begin at byte {end})")
        self._file.begin(min(end, self._file.size) if self.compression is None else 0)
        whole = self.take(end)
        if len(whole) < end:
            raise ImageError(f"cannot read {self._file.name}: it is cut short within the extensions of its header")
        return whole


def _data_place(kind: Format, head: bytes) -> int:
    """Give the place where the data begin, ``vox_offset`` of the header."""
    order = "<" if struct.unpack_from("<i", head)[0] in _HEADER_BYTES.values() else ">"
    if kind is Format.NIFTI1:
        place = struct.unpack_from(f"{order}f", head, 108)[0]
        return int(place) if 0 <= place <= MOST_HEADER_BYTES else MOST_HEADER_BYTES + 1
    return int(struct.unpack_from(f"{order}q", head, 168)[0])


def format_of(head: bytes) -> Format | None:
    r"""Tell the format of an image by the first bytes of its content.

    >>> format_of(b"\x5c\x01\x00\x00" + bytes(340) + b"n+1\x00")
    <Format.NIFTI1: 'NIfTI-1'>
    >>> format_of(b"<?xml version='1.0'?>\n<GIFTI Version='1.0'>")
    <Format.GIFTI: 'GIFTI'>
    >>> format_of(b"sub-01") is None
    True
    """
    if head[344:348] == b"n+1\0":
        return Format.NIFTI1
    if head[4:8] == b"n+2\0" and len(head) >= _HEADER_BYTES[Format.NIFTI2]:
        order = "<" if struct.unpack_from("<i", head)[0] == _HEADER_BYTES[Format.NIFTI2] else ">"
        is_cifti = struct.unpack_from(f"{order}i", head, 504)[0] in _CIFTI_INTENTS
        return Format.CIFTI2 if is_cifti else Format.NIFTI2
    if _GIFTI.match(head):
        return Format.GIFTI
    return Format.MGH if _is_mgh(head) else None


def _is_mgh(head: bytes) -> bool:
    """Say whether the first numbers are a version 1, four positive dimensions, and a data type of MGH."""
    if len(head) < 24:
        return False
    version, *dimensions, kind = struct.unpack_from(">6i", head)
    return version == 1 and min(dimensions) > 0 and kind in _MGH_TYPES
