"""What the header of an image says, read with one small request."""

from __future__ import annotations

import io
import xml.parsers.expat
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from ..errors import ImageError, S3BIDSError
from ..storage.concurrency import in_threads
from .address import place_of
from .formats import Beginning, Format
from .images import MGH_HEADER_BYTES, checked_shape, naming, nibabel_class, unknown_format
from .ranges import RangedFile
from .sources import StorageSource
from .whole_files import load_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ..storage.base import Storage
    from ..storage.params import Params

#: Headers under way at once: each is one small answer, for which there is nothing to do but wait.
HEADER_WORKERS = 64
#: Where the attributes of the first array of a GIFTI document are looked for; its metadata stand before it.
MOST_GIFTI_BYTES = 16 * 1024 * 1024
_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
#: BIDS has seconds; a header that does not name its unit is taken to have them too.
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}
#: Data types of GIFTI arrays (GIFTI specification, "DataType").
_GIFTI_TYPES = {"NIFTI_TYPE_UINT8": "uint8", "NIFTI_TYPE_INT32": "int32", "NIFTI_TYPE_FLOAT32": "float32"}


@dataclass(frozen=True, eq=False)
class ImageHeader:
    """What the header of an image says."""

    #: The address of the object.
    name: str
    #: ``NIfTI-1``, ``NIfTI-2``, ``CIFTI-2``, ``GIFTI``, ``MGH``, or the name of nibabel's class.
    format: str
    #: Whether it is compressed.
    is_compressed: bool
    #: Bytes of the object, as it is stored.
    size: int
    #: The shape of the data; of a GIFTI image, that of its first array.
    shape: tuple[int, ...]
    #: The type of the numbers on storage, as NumPy calls it, such as ``int16``.
    dtype: str
    #: The size of a voxel in mm along the first three axes; empty for surfaces and grayordinates, and if the header
    #: holds no numbers there.
    voxel_sizes: tuple[float, ...] = ()
    #: The time between two volumes in s; None if there are no volumes, the header does not say it, or it stands
    #: behind compressed data.
    repetition_time: float | None = None
    #: From voxels to mm, shape (4, 4); None for surfaces and grayordinates.
    affine: NDArray[np.float64] | None = None
    #: To where the axes point, such as ``RAS`` or ``LPS``; None where there is no affine, or it is not one.
    orientation: str | None = None
    #: The extensions of a NIfTI header.
    extensions: tuple[Any, ...] = ()
    #: How many arrays a GIFTI image has; 1 for any other image.
    arrays: int = 1
    #: nibabel's header; None for GIFTI.
    header: Any = None

    @property
    def volumes(self) -> int:
        """The length of the fourth axis, 1 if there is none."""
        return self.shape[3] if len(self.shape) > 3 else 1


def read_header(url_or_key: str, storage: Storage | Params | None = None, *, anon: bool = False) -> ImageHeader:
    """Read the header of an image, with one ranged request of at most 64 KB.

    A second request is made only if the extensions of the header are longer than that, or for the repetition time of
    an MGH file. Formats of which nibabel needs whole files are fetched whole.

    Parameters
    ----------
    url_or_key, storage, anon
        As for :func:`~s3bids.read_nifti`.

    Raises
    ------
    ObjectNotFoundError
        If there is no such object (a FileNotFoundError).
    ImageError
        If it is no image, or its header is damaged.
    """
    return header_of(StorageSource(*place_of(url_or_key, storage, anon=anon)), with_extensions=True)


def read_headers(
    storage: Storage, keys: Sequence[str], *, workers: int = HEADER_WORKERS
) -> list[ImageHeader | S3BIDSError]:
    """Read the headers of many images side by side, one request each; extensions are left out.

    Returns
    -------
    list
        For each key its header, or the error that reading it ended with: one damaged image does not stop the others.
    """

    def read(key: str) -> ImageHeader | S3BIDSError:
        try:
            return header_of(StorageSource(storage, key), with_extensions=False)
        except S3BIDSError as error:
            return error

    return in_threads(read, keys, workers=workers)


def header_of(source: StorageSource, *, with_extensions: bool) -> ImageHeader:
    """Give the header of an object."""
    file = RangedFile(source)
    beginning = Beginning(file)
    kind = beginning.sniff()
    with naming(file.name):
        if kind is Format.GIFTI:
            return _gifti(file, beginning)
        if kind is Format.MGH:
            header = _mgh_header(file, beginning)
            return _spatial(kind, file, beginning, header, header.get_best_affine())
        if kind is not None:
            block = io.BytesIO(beginning.header(kind, with_extensions=with_extensions))
            header = nibabel_class(_kind_of_header(kind)).header_class.from_fileobj(block)
            affine = None if kind is Format.CIFTI2 else header.get_best_affine()
            return _spatial(kind, file, beginning, header, affine)
        image = load_whole(source)
        if image is None:
            raise unknown_format(file, beginning)
        return _spatial(type(image).__name__, file, beginning, image.header, image.affine)


def _kind_of_header(kind: Format) -> Format:
    """Give the format whose header another one has: CIFTI-2 lies in NIfTI-2."""
    return Format.NIFTI2 if kind is Format.CIFTI2 else kind


def _mgh_header(file: RangedFile, beginning: Beginning) -> Any:
    kind = nibabel_class(Format.MGH)
    if beginning.compression is None:
        file.seek(0)
        return kind.header_class.from_fileobj(file)
    return kind.header_class(beginning.take(MGH_HEADER_BYTES))


def _spatial(kind: str, file: RangedFile, beginning: Beginning, header: Any, affine: Any) -> ImageHeader:
    shape = checked_shape(header.get_data_shape())
    is_cifti = kind == Format.CIFTI2
    return ImageHeader(
        name=file.name,
        format=str(kind),
        is_compressed=beginning.compression is not None,
        size=file.size,
        shape=shape[4:] if is_cifti else shape,
        dtype=header.get_data_dtype().newbyteorder("=").name,
        voxel_sizes=() if is_cifti else _voxel_sizes(header),
        repetition_time=_series_step(header) if is_cifti else _repetition_time(header, kind),
        affine=affine,
        orientation=_orientation(affine),
        extensions=tuple(getattr(header, "extensions", ())),
        header=header,
    )


def _units(header: Any) -> tuple[str, str]:
    if not hasattr(header, "get_xyzt_units"):
        return "mm", "unknown"
    space, time = header.get_xyzt_units()
    return space, time


def _voxel_sizes(header: Any) -> tuple[float, ...]:
    sizes = tuple(_short(zoom, _MM.get(_units(header)[0], 1.0)) for zoom in header.get_zooms()[:3])
    return sizes if all(map(isfinite, sizes)) else ()


def _repetition_time(header: Any, kind: str) -> float | None:
    zooms = header.get_zooms()
    if len(zooms) < 4:
        return None
    unit = 1e-3 if kind == Format.MGH else _SECONDS.get(_units(header)[1])
    seconds = 0.0 if unit is None else _short(zooms[3], unit)
    return seconds if 0 < seconds < inf else None


def _series_step(header: Any) -> float | None:
    """Give the time between two maps of a CIFTI-2 series, which its extension says."""
    for extension in getattr(header, "extensions", ()):
        content = extension.get_content()
        for index_map in getattr(getattr(content, "matrix", None), "__iter__", list)():
            if getattr(index_map, "series_unit", None) == "SECOND":
                exponent: int = index_map.series_exponent
                return float(index_map.series_step * 10.0**exponent)
    return None


def _short(value: Any, unit: float) -> float:
    """Give a number of a header as people write it: 0.8, and not 0.800000011920929."""
    return float(str(value)) * unit if unit == 1.0 else float(f"{float(str(value)) * unit:.12g}")


def _orientation(affine: Any) -> str | None:
    import nibabel as nib
    import numpy as np

    if affine is None or not np.isfinite(affine).all():
        return None
    return "".join(axis or "?" for axis in nib.aff2axcodes(affine))


def _gifti(file: RangedFile, beginning: Beginning) -> ImageHeader:
    found = _GiftiBeginning()
    size = 0
    while not found.is_complete:
        data = beginning.take(max(64 * 1024, 2 * size))
        if len(data) == size or size > MOST_GIFTI_BYTES:
            raise ImageError(f"cannot read {file.name}: it is a GIFTI image without an array")
        found.feed(data[size:])
        size = len(data)
    return ImageHeader(
        name=file.name,
        format=Format.GIFTI,
        is_compressed=beginning.compression is not None,
        size=file.size,
        shape=found.shape,
        dtype=_GIFTI_TYPES.get(found.dtype, found.dtype),
        arrays=found.arrays,
    )


class _GiftiBeginning:
    """Read a GIFTI document up to the attributes of its first array."""

    def __init__(self) -> None:
        self.is_complete = False
        self.arrays = 0
        self.shape: tuple[int, ...] = ()
        self.dtype = ""
        self._parser = xml.parsers.expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EntityDeclHandler = self._refuse

    def feed(self, data: bytes) -> None:
        self._parser.Parse(data)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self.is_complete:
            return
        if name == "GIFTI":
            self.arrays = int(attributes["NumberOfDataArrays"])
        elif name == "DataArray":
            n_dimensions = int(attributes["Dimensionality"])
            self.shape = tuple(int(attributes[f"Dim{axis}"]) for axis in range(n_dimensions))
            self.dtype = attributes["DataType"]
            self.is_complete = True

    def _refuse(self, *_: object) -> None:
        # A few entities that hold one another become gigabytes.
        raise ImageError("an entity is declared")
