"""NIfTI images straight on storage: the header at once, the data when they are used."""

from __future__ import annotations

import gzip
import io
import tempfile
from shutil import copyfileobj
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ..errors import ImageError
from ..storage.base import check_writable_key
from ..storage.capabilities import writing
from .address import open_object, place_of
from .gzip_index import index_store
from .images import image_of
from .sources import StorageSource, open_with

if TYPE_CHECKING:
    import os

    import nibabel as nib

    from ..storage.base import Storage
    from ..storage.params import Params
    from .gzip_index import IndexStore

#: What nibabel compresses with: level 6 takes three times as long and saves a twentieth.
COMPRESSION_LEVEL = 1


def read_nifti(
    url_or_key: str,
    storage: Storage | Params | None = None,
    *,
    anon: bool = False,
    indexes: IndexStore | str | os.PathLike[str] | None = None,
) -> Any:
    """Read an image lazily: the header with one ranged request of at most 64 KB, the data when they are used.

    - Of a plain file, ``image.dataobj[..., 3]`` fetches that part. Of a compressed one, what lies before the part is
      fetched and inflated too, once: the next part begins where the last one ended, or at the nearest of the places
      that were remembered on the way.
    - ``image.get_fdata()`` fetches each byte once, ahead of the inflation.
    - An open image takes at most 64 MiB, and if it is compressed another 20 MiB, beside the data that were asked for.

    Parameters
    ----------
    url_or_key
        ``s3://bucket/key``, ``file:///root/bucket/key`` or ``bucket/key``; with `storage`, the key. What it is, is seen
        from the content, not from the name.
    storage
        Where the object is: a storage, or its parameters.
    anon
        Ask without credentials, as for a public bucket. Default False, as for the functions of s3bids 0.1.7.
    indexes
        Where the index of a compressed image is kept, so that the next program needs not begin at the beginning: a
        directory (``.s3bids/gzip-index/`` in it), or a dict. Making it costs inflating twice. Default: nowhere.

    Returns
    -------
    nibabel image
        What ``nibabel.load`` gives for a local copy: Nifti1Image, Nifti2Image, Cifti2Image, MGHImage (all lazy; a
        compressed MGH file is read once when it is opened, because its repetition time stands at its end) or
        GiftiImage (in memory). Other formats that nibabel knows are fetched whole, with the files that belong to them.

    Raises
    ------
    ObjectNotFoundError
        If there is no such object (a FileNotFoundError).
    ImageError
        If it is no image, or a damaged one. Damage behind the header shows when the data are used.
    ObjectChangedError
        When the data are used, if the object is another one by then.

    Notes
    -----
    Slicing costs a request of at least 4 KB for each stretch of a plain file; stretches are fetched side by side. The
    image serves many threads, and pickles: a copy in another process fetches its data by itself.
    """
    return image_of(StorageSource(*place_of(url_or_key, storage, anon=anon)), index_store(indexes))


def s3fs_nifti_read(fname: str, fs: Any = None, anon: bool = False) -> nib.Nifti1Image:  # noqa: FBT001, FBT002 - 0.1.7
    """Read a NIfTI image lazily, as :func:`read_nifti` does.

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
        Or Nifti2Image, a subclass; or what else :func:`read_nifti` gives.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    ImageError
        If it is no image.
    """
    source = open_with(fs, fname) if fs is not None else StorageSource(*open_object(fname, anon=anon))
    return cast("nib.Nifti1Image", image_of(source))


def write_nifti(img: Any, url_or_key: str, storage: Storage | Params | None = None) -> None:
    """Write a NIfTI image to an object: there when it is whole, and with the same bytes each time.

    Large images go in parts, with at most some 64 MiB beside the image's own array. An image that was read is written
    with the numbers that it was stored with, and their ``scl_slope`` and ``scl_inter``; for any other, these follow
    nibabel's rules.

    Parameters
    ----------
    img
        A NIfTI-1, NIfTI-2 or CIFTI-2 image.
    url_or_key, storage
        As for :func:`read_nifti`. A name that ends in ``.nii`` is stored plain, one in ``.nii.gz`` compressed by gzip,
        without time and name.

    Raises
    ------
    TypeError
        If `img` is no such image; nothing was sent.
    ImageError
        If the name ends otherwise; nothing was sent.
    """
    _check_writable(img, url_or_key)
    place, key = place_of(url_or_key, storage, anon=False)
    check_writable_key(key)
    stored = as_stored(img)
    with writing(place, key) as file:
        write_image(stored, file, is_compressed=key.endswith(".gz"))


def s3fs_nifti_write(img: nib.Nifti1Image, fname: str, fs: Any = None) -> None:
    """Write a NIfTI image to an object, as :func:`write_nifti` does.

    Parameters
    ----------
    img
        A NIfTI-1 or NIfTI-2 image.
    fname
        ``bucket/key`` or ``s3://bucket/key``; ``.nii`` is stored plain and ``.nii.gz`` compressed.
    fs
        A file system with ``open(path, mode)``, such as ``s3fs.S3FileSystem``. Default: our own storage. With it the
        image is made in a temporary file first: such file systems keep what was written when an error ends it.

    Raises
    ------
    TypeError
        If `img` is no NIfTI image.
    ImageError
        If the name ends otherwise.
    """
    if fs is None:
        write_nifti(img, fname)
        return
    _check_writable(img, fname)
    with tempfile.TemporaryFile() as whole:
        write_image(as_stored(img), whole, is_compressed=fname.endswith(".gz"))
        whole.seek(0)
        with fs.open(fname, "wb") as file:
            copyfileobj(whole, file)


def _check_writable(img: Any, name: str) -> None:
    import nibabel as nib

    if not isinstance(img, nib.Nifti1Image | nib.Cifti2Image):
        raise TypeError(f"img must be a NIfTI image, not {type(img).__name__}")
    if not name.endswith((".nii", ".nii.gz")):
        raise ImageError(f"cannot write {name}: a NIfTI image needs a name that ends in .nii or .nii.gz")


def as_stored(img: Any) -> Any:
    """Give an image whose array holds the numbers that will be stored, if it was read with such numbers.

    nibabel would scale them, and choose another slope for the result: what was read would not be what is written. An
    image in memory, and one whose data type was changed since, are given back as they are.
    """
    from nibabel.arrayproxy import is_proxy

    data = img.dataobj
    if not is_proxy(data) or not hasattr(data, "get_unscaled") or not hasattr(img.header, "set_slope_inter"):
        return img
    img.update_header()
    if data.dtype.newbyteorder("=") != img.header.get_data_dtype().newbyteorder("="):
        return img
    raw = type(img)(data.get_unscaled(), img.affine, img.header, extra=img.extra)
    raw.header.set_slope_inter(data.slope, data.inter)
    return raw


def write_image(img: Any, file: BinaryIO, *, is_compressed: bool) -> None:
    """Write an image to a file from its beginning, slab by slab."""
    if not is_compressed:
        img.to_stream(_Forward(file))
        return
    # Neither time nor name goes into the header: the same image gives the same bytes.
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=COMPRESSION_LEVEL, mtime=0) as packed:
        img.to_stream(packed)


class _Forward(io.RawIOBase):
    """A file that is written from its beginning to its end; nibabel asks where it is, and goes forward to the data."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0

    def writable(self) -> bool:
        """Say that the file can be written."""
        return True

    def tell(self) -> int:
        """Give the number of bytes written."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go forward, with zeros in between."""
        if whence != io.SEEK_SET or offset < self._position:
            raise io.UnsupportedOperation("this file is written from its beginning to its end")
        self.write(bytes(offset - self._position))
        return self._position

    def write(self, data: Any) -> int:
        """Write bytes."""
        self._file.write(data)
        self._position += len(data)
        return len(data)
