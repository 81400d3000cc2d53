"""Bytes of an image as what a program or a page needs."""

from __future__ import annotations

import base64
import struct
import zlib
from enum import Enum
from io import BytesIO
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ..errors import ImageError
from .extras import missing

if TYPE_CHECKING:
    import PIL.Image

#: Extension -> media type (IANA, "Media Types", image), for addresses that hold their data (RFC 2397).
_MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".webp": "image/webp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}
#: What such files begin with.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")

#: Formats that Pillow may try. It has more, of old programs; for EPS it would run another program on the bytes.
_FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")

#: What Pillow raises for broken images, besides OSError; UserWarning where warnings are errors.
_BROKEN = (
    *(SyntaxError, ValueError, LookupError, TypeError, EOFError, OverflowError, MemoryError, RuntimeError, UserWarning),
    *(struct.error, zlib.error),
)


class ImageFormatType(Enum):
    """What an image is given as."""

    #: A :class:`PIL.Image.Image`.
    PIL_IMAGE = "pil_img"
    #: The text ``data:image/...;base64,...``, for the ``src`` of an HTML image.
    BASE64_HTML_STRING = "base64_html_string"
    #: A :class:`numpy.ndarray`.
    NUMPY_ARRAY = "numpy_array"


def decode(data: bytes | bytearray | memoryview, img_format: ImageFormatType | str, name: str) -> Any:
    """Give an image in some form.

    Parameters
    ----------
    data
        The content of an image file.
    img_format
        An :class:`ImageFormatType` or its value.
    name
        The file's name or key, for messages; for ``base64_html_string`` its extension says the type.

    Returns
    -------
    PIL.Image.Image, numpy.ndarray or str
        ``pil_img``: the first picture, read completely. ``numpy_array``: its values, shape (height, width) or (height,
        width, channels), a copy that can be written; of an image with a palette the indices, as NumPy gives them.
        ``base64_html_string``: the bytes as they are; this form needs no Pillow. A rotation that EXIF asks for is
        not done.

    Raises
    ------
    ImageError
        If the bytes are no image, or one that is cut short, or with more pixels than ``PIL.Image.MAX_IMAGE_PIXELS``
        (89,478,485 unless changed: what is small packed can fill the memory).
    ValueError
        If `img_format` is no such form, or the name has no extension of an image where it is needed.
    MissingPackageError
        If Pillow is needed and not installed.
    """
    wanted = check_format(img_format, name)
    if wanted is ImageFormatType.BASE64_HTML_STRING:
        return _html_string(data, name)
    image = _open(data, name)
    if wanted is ImageFormatType.PIL_IMAGE:
        return image
    import numpy as np

    return np.array(image)


def check_format(img_format: ImageFormatType | str, name: str) -> ImageFormatType:
    """Give the form of an image; what :func:`decode` would refuse without looking at the bytes is refused here."""
    try:
        wanted = ImageFormatType(img_format)
    except ValueError as error:
        names = ", ".join(kind.value for kind in ImageFormatType)
        raise ValueError(f"img_format is {img_format!r}; it is one of {names}") from error
    if wanted is ImageFormatType.BASE64_HTML_STRING:
        _media_type(name)
    return wanted


def _media_type(name: str) -> str:
    extension = PurePosixPath(name).suffix.lower()
    if extension not in _MEDIA_TYPES:
        raise ImageError(f"cannot tell the type of the image {name}: its name must end in {', '.join(_MEDIA_TYPES)}")
    return _MEDIA_TYPES[extension]


def _html_string(data: bytes | bytearray | memoryview, name: str) -> str:
    media_type = _media_type(name)
    if not bytes(data[:16]).startswith(_SIGNATURES):
        raise _no_image(name, f"it begins with {bytes(data[:8])!r}")
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def _open(data: bytes | bytearray | memoryview, name: str) -> PIL.Image.Image:
    try:
        from PIL import Image
    except ImportError as error:
        raise missing("Pillow", "images", "decoding images") from error
    Image.init()
    try:
        image = Image.open(BytesIO(data), formats=[name for name in _FORMATS if name in Image.OPEN])
        _check_pixels(image, name)
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, str(error)) from error
    except (OSError, *_BROKEN) as error:
        if isinstance(error, ImageError):
            raise
        raise _no_image(name, str(error)) from error
    return image


def _check_pixels(image: PIL.Image.Image, name: str) -> None:
    """Refuse what Pillow only warns of."""
    from PIL import Image

    most = Image.MAX_IMAGE_PIXELS
    pixels = image.width * image.height
    if most is not None and pixels > most:
        raise _too_large(name, f"{pixels:,} pixels, and {most:,} are allowed")


def _no_image(name: str, reason: str) -> ImageError:
    return ImageError(f"cannot read {name}: it is no image, or a damaged one ({reason})")


def _too_large(name: str, reason: str) -> ImageError:
    return ImageError(
        f"cannot read {name}: it is too large ({reason}); if it is to be trusted, raise PIL.Image.MAX_IMAGE_PIXELS"
    )


__all__ = ["ImageFormatType", "check_format", "decode"]
