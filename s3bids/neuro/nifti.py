"""NIfTI images straight on storage: the header at once, the data when they are used."""

from __future__ import annotations

import gzip
import io
import sys
from typing import TYPE_CHECKING, Any, cast

from ..errors import ImageError
from .address import open_object
from .ranges import FIRST_BYTES, BlockByBlock, RangeFile

if TYPE_CHECKING:
    import nibabel as nib

_GZIP = b"\x1f\x8b"
#: A NIfTI-2 header, the longer one, in bytes.
_HEADER_BYTES = 540


def s3fs_nifti_read(fname: str, fs: Any = None, anon: bool = False) -> nib.Nifti1Image:  # noqa: FBT001, FBT002 - 0.1.7
    """Read a NIfTI image lazily: until its data are used, no more than about the header is fetched.

    Parameters
    ----------
    fname
        ``bucket/key`` or ``s3://bucket/key``. Whether it is compressed is seen from the content, not from the name.
    fs
        A file system with ``open(path, mode)``, such as ``s3fs.S3FileSystem``. Default: our own storage.
    anon
        Ask without credentials. Default False, as in s3bids 0.1.7.

    Returns
    -------
    nibabel.Nifti1Image
        Or Nifti2Image, a subclass. Parts of an uncompressed image (``img.dataobj[..., 3]``) are fetched by ranges; a
        compressed one is unpacked from its beginning up to the part.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    ImageError
        If it is no NIfTI image.
    """
    file = _open(fs, fname) if fs is not None else RangeFile(*open_object(fname, anon=anon))
    return image_of(file, fname)


def _open(fs: Any, fname: str) -> Any:
    fsspec = sys.modules.get("fsspec")
    if fsspec is not None and isinstance(fs, fsspec.AbstractFileSystem):
        # By default s3fs reads 50 MB for the first byte.
        return fs.open(fname, "rb", block_size=FIRST_BYTES)
    return fs.open(fname, "rb")


def image_of(file: Any, name: str) -> nib.Nifti1Image:
    """Give the lazy image of an open file; it reads from the file when its data are used."""
    import nibabel as nib
    from nibabel.fileholders import FileHolder

    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    blocks = BlockByBlock(file) if isinstance(file, RangeFile) else file
    source = gzip.GzipFile(fileobj=blocks) if packed else file
    try:
        head = source.read(_HEADER_BYTES)
    except (OSError, EOFError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ImageError(f"cannot read {name}: its compressed data are damaged ({error})") from error
    source.seek(0)
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        if kind.header_class.may_contain_header(head):
            holder = FileHolder(filename=name, fileobj=source)
            return cast("nib.Nifti1Image", kind.from_file_map({"header": holder, "image": holder}))
    raise ImageError(f"cannot read {name}: it is no NIfTI image (it begins with {head[:8]!r})")


def s3fs_nifti_write(img: nib.Nifti1Image, fname: str, fs: Any = None) -> None:
    """Write a NIfTI image to an object, with one upload; the same image always gives the same bytes.

    Parameters
    ----------
    img
        A NIfTI-1 or NIfTI-2 image.
    fname
        ``bucket/key`` or ``s3://bucket/key``; ``.nii`` is stored plain and ``.nii.gz`` compressed.
    fs
        A file system with ``open(path, mode)``, such as ``s3fs.S3FileSystem``. Default: our own storage.

    Raises
    ------
    TypeError
        If `img` is no NIfTI image.
    ImageError
        If the name ends otherwise.
    """
    data = image_bytes(img, fname)
    if fs is not None:
        with fs.open(fname, "wb") as file:
            file.write(data)
        return
    storage, key = open_object(fname, anon=False)
    with storage:
        storage.write(key, data)


def image_bytes(img: nib.Nifti1Image, name: str) -> bytes:
    """Give the content of a file that holds an image, in the format that the name says."""
    import nibabel as nib

    if not isinstance(img, nib.Nifti1Image):
        raise TypeError(f"img must be a NIfTI image, not {type(img).__name__}")
    if not name.endswith((".nii", ".nii.gz")):
        raise ImageError(f"cannot write {name}: a NIfTI image needs a name that ends in .nii or .nii.gz")
    plain: bytes = img.to_bytes()
    if name.endswith(".nii"):
        return plain
    packed = io.BytesIO()
    # Neither time nor name goes into the header: the same image gives the same bytes.
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as file:
        file.write(plain)
    return packed.getvalue()
