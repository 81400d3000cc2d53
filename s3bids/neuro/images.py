"""From the bytes of an object to nibabel's image of them."""

from __future__ import annotations

import io
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import ImageError, S3BIDSError
from .formats import Beginning, Format
from .gzipped import GzippedFile
from .ranges import RangedFile
from .whole_files import external_names, load_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .gzip_index import IndexStore
    from .sources import Source

#: An MGH header without what follows the data (FreeSurfer wiki, "MghFormat").
MGH_HEADER_BYTES = 284
#: A GIFTI image is read into memory; a small compressed object can pretend to be any size.
MOST_GIFTI_BYTES = 4 * 1024**3


def image_of(source: Source, store: IndexStore | None = None) -> Any:
    """Give the image of an object; its data are fetched when they are used.

    Parameters
    ----------
    source
        Where the bytes are.
    store
        Where the index of a compressed image is kept. Default: nowhere.

    Returns
    -------
    nibabel image
        Of the class that nibabel gives to a local file with this content.

    Raises
    ------
    ImageError
        If it is no image, or a damaged one.
    """
    file = RangedFile(source)
    beginning = Beginning(file)
    kind = beginning.sniff()
    if kind is Format.GIFTI:
        return _gifti(file, beginning)
    is_lazy = kind is not None and beginning.compression != "bzip2"
    if is_lazy and kind is Format.MGH:
        return _mgh(file, beginning, store)
    if is_lazy and kind is not None:
        return _nifti(file, beginning, kind, store)
    image = load_whole(source, is_sniffed=kind is not None)
    if image is None:
        raise unknown_format(file, beginning)
    return image


def unknown_format(file: RangedFile, beginning: Beginning) -> ImageError:
    """Give the error for what is no image."""
    if beginning.compression == "bzip2" and beginning.sniff() is not None:
        return ImageError(f"cannot read {file.name}: an image compressed by bzip2 needs the name of one, as x.nii.bz2")
    head = beginning.take(8)
    return ImageError(f"cannot read {file.name}: its content is no image that can be read (it begins with {head!r})")


def nibabel_class(kind: Format) -> Any:
    """Give nibabel's class of a format."""
    import nibabel as nib

    return {
        Format.NIFTI1: nib.Nifti1Image,
        Format.NIFTI2: nib.Nifti2Image,
        Format.CIFTI2: nib.Cifti2Image,
        Format.GIFTI: nib.GiftiImage,
        Format.MGH: nib.MGHImage,
    }[kind]


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Turn whatever nibabel raises for a damaged image into one error that names the object."""
    try:
        yield
    except (S3BIDSError, ImportError, MemoryError):
        raise
    except Exception as error:
        raise ImageError(f"cannot read {name}: its header is damaged ({error})") from error


def checked_shape(shape: Iterable[Any]) -> tuple[int, ...]:
    """Give a shape as numbers of Python, which do not overflow; one below zero is ValueError."""
    found = tuple(map(int, shape))
    if min(found, default=0) < 0:
        raise ValueError(f"it has a dimension below zero: {found}")
    return found


def _nifti(file: RangedFile, beginning: Beginning, kind: Format, store: IndexStore | None) -> Any:
    header = beginning.header(kind)
    with naming(file.name):
        image = _loaded(kind, file.name, io.BytesIO(header))
        proxy = image.dataobj
        end = proxy.offset + math.prod(checked_shape(proxy.shape)) * proxy.dtype.itemsize
    return _with_data_in(image, _content(file, beginning, end, store))


def _mgh(file: RangedFile, beginning: Beginning, store: IndexStore | None) -> Any:
    with naming(file.name):
        header = nibabel_class(Format.MGH).header_class(beginning.take(MGH_HEADER_BYTES))
        shape = checked_shape(header.get_data_shape())
        end = header.get_data_offset() + math.prod(shape) * header.get_data_dtype().itemsize
    content = _content(file, beginning, end, store)
    content.check_size(end)
    # The repetition time stands behind the data: all of a compressed file is read for it.
    content.prepare([(0, end)] if beginning.compression else [])
    with naming(file.name):
        return _with_data_in(_loaded(Format.MGH, file.name, content), content)


def _gifti(file: RangedFile, beginning: Beginning) -> Any:
    file.begin(file.size)
    data = beginning.take(MOST_GIFTI_BYTES + 1)
    if len(data) > MOST_GIFTI_BYTES:
        raise ImageError(f"cannot read {file.name}: it is a GIFTI image of more than {MOST_GIFTI_BYTES} bytes")
    if b"ExternalFileBinary" in data:
        return load_whole(file.source, external_names(data), is_sniffed=True)
    with naming(file.name):
        return _loaded(Format.GIFTI, file.name, io.BytesIO(data))


def _content(file: RangedFile, beginning: Beginning, end: int, store: IndexStore | None) -> RangedFile | GzippedFile:
    return GzippedFile(file, content_end=end, store=store) if beginning.compression else file


def _loaded(kind: Format, name: str, content: Any) -> Any:
    from nibabel.fileholders import FileHolder

    return nibabel_class(kind).from_file_map({"image": FileHolder(filename=name, fileobj=content)})


def _with_data_in(image: Any, content: RangedFile | GzippedFile) -> Any:
    """Let an image take its data from a file, of which it has seen the header only."""
    from nibabel.fileholders import FileHolder

    from .lazy_array import LazyArray

    proxy = image.dataobj
    # Of an MGH file nibabel gives numbers of 32 bits, which overflow where they are multiplied.
    spec = (checked_shape(proxy.shape), proxy.dtype, int(proxy.offset), proxy.slope, proxy.inter)
    # nibabel takes the class of its proxies from the class of the image, which must stay nibabel's own.
    image._dataobj = LazyArray(content, spec, order=proxy.order)
    image.file_map = {"image": FileHolder(filename=content.name)}
    return image
