"""Images as what a program or a page needs, and bytes that are none."""

from __future__ import annotations

import base64
import io
import struct
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from s3bids.errors import ImageError, MissingPackageError
from s3bids.storage.images import ImageFormatType, check_format, decode

COLOURS = (np.arange(4 * 6 * 3) * 3 % 256).astype(np.uint8).reshape(4, 6, 3)
GREY = COLOURS[:, :, 0]
WITH_ALPHA = np.dstack([COLOURS, GREY])
DEEP = (np.arange(24) * 2000).astype(np.uint16).reshape(4, 6)


def file_of(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_the_forms_have_the_values_of_virt_s3():
    values = {"PIL_IMAGE": "pil_img", "BASE64_HTML_STRING": "base64_html_string", "NUMPY_ARRAY": "numpy_array"}
    assert {kind.name: kind.value for kind in ImageFormatType} == values


@pytest.mark.parametrize("pixels", [COLOURS, GREY, WITH_ALPHA, DEEP], ids=["rgb", "grey", "rgba", "16 bit"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_an_array_has_height_width_and_channels(pixels, kind):
    found = decode(file_of(pixels, kind), "numpy_array", "x")
    assert type(found) is np.ndarray
    assert (found.shape, found.dtype) == (pixels.shape, pixels.dtype)
    assert np.array_equal(found, pixels)
    found[0, 0] = 0


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("BMP", {}),
        ("GIF", {}),
        ("ICO", {"sizes": [(6, 4)]}),
        ("JPEG", {}),
        ("JPEG2000", {}),
        ("PPM", {}),
        ("WEBP", {"lossless": True}),
        ("TGA", {}),
    ],
)
def test_the_formats_of_the_field_are_read(kind, options):
    image = decode(file_of(COLOURS, kind, **options), ImageFormatType.PIL_IMAGE, "x")
    assert isinstance(image, Image.Image)
    assert (image.size, image.format) == ((6, 4), kind)


def test_an_image_is_read_completely_and_needs_the_bytes_no_more():
    data = bytearray(file_of(COLOURS))
    image = decode(data, "pil_img", "x")
    data[:] = bytes(len(data))
    assert np.array_equal(np.asarray(image), COLOURS)


def test_a_palette_stays_a_palette():
    image = Image.fromarray(GREY % 3, "L").convert("P")
    assert np.array_equal(decode(file_of(image), "numpy_array", "x"), np.asarray(image))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("form", list(ImageFormatType))
def test_every_kind_of_bytes_is_taken(kind, form):
    data = file_of(COLOURS)
    assert type(decode(kind(data), form, "x.png")) is type(decode(data, form.value, "x.png"))


@pytest.mark.parametrize(
    ("name", "kind", "media_type"),
    [
        ("a.jpg", "JPEG", "image/jpeg"),
        ("a.jpeg", "JPEG", "image/jpeg"),
        ("ds.v1/a.PNG", "PNG", "image/png"),
        ("a.tar.gif", "GIF", "image/gif"),
        ("a.bmp", "BMP", "image/bmp"),
        ("a.webp", "WEBP", "image/webp"),
        ("a.tif", "TIFF", "image/tiff"),
        ("a.tiff", "TIFF", "image/tiff"),
    ],
)
def test_a_page_gets_the_bytes_as_they_are(name, kind, media_type):
    data = file_of(COLOURS, kind)
    found = decode(data, "base64_html_string", name)
    start, _, encoded = found.partition(";base64,")
    assert start == f"data:{media_type}"
    assert base64.b64decode(encoded, validate=True) == data


@pytest.mark.parametrize("name", ["a.txt", "a", "png", "a.png.txt", "a.nii.gz", "a.svg", ""])
def test_a_name_without_an_image_extension_is_refused_for_a_page(name):
    for call in (lambda: check_format("base64_html_string", name), lambda: decode(b"", "base64_html_string", name)):
        with pytest.raises(ValueError, match=r"must end in .*\.png"):
            call()
    assert check_format("numpy_array", name) is ImageFormatType.NUMPY_ARRAY


@pytest.mark.parametrize("form", ["jpeg", "", 3, None, "PIL_IMAGE"])
def test_an_unknown_form_is_refused(form):
    with pytest.raises(ValueError, match="pil_img, base64_html_string, numpy_array"):
        decode(file_of(COLOURS), form, "a.png")


# Bytes that are no image


@pytest.mark.parametrize("form", list(ImageFormatType))
@pytest.mark.parametrize("data", [b"", b"no image", b'{"a": 1}' * 100, bytes(1000), b"<svg></svg>"])
def test_bytes_that_are_no_image_are_named(form, data):
    with pytest.raises(ImageError, match=r"cannot read ds/a\.png: it is no image"):
        decode(data, form, "ds/a.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"])
def test_an_image_that_is_cut_short_is_named(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = file_of(noise, kind)
    with pytest.raises(ImageError, match=r"ds/a\.png.*damaged"):
        decode(data[: len(data) // 2], "numpy_array", "ds/a.png")


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_damage_is_an_image_error_or_does_no_harm(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP"]))
    damaged = bytearray(file_of(COLOURS, kind))
    at = data.draw(st.integers(0, len(damaged) - 1))
    new = data.draw(st.binary(min_size=1, max_size=20))
    damaged[at : at + len(new)] = new
    try:
        decode(damaged, "numpy_array", "x")
    except ImageError:
        return


def png_of_zeros(width, height):
    """A PNG of one bit a pixel that is small however large it is."""

    def chunk(kind, data):
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">2L5B", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_460, 13_400, 30_000])
def test_a_small_file_with_monstrous_many_pixels_is_refused(side):
    data = png_of_zeros(side, side)
    assert len(data) < 200_000
    with pytest.raises(ImageError, match=r"ds/a\.png: it is too large .*PIL.Image.MAX_IMAGE_PIXELS"):
        decode(data, "pil_img", "ds/a.png")


@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
def test_what_pillow_only_warns_of_is_refused():
    with pytest.raises(ImageError, match="100,000,000 pixels, and 89,478,485 are allowed"):
        decode(png_of_zeros(10_000, 10_000), "pil_img", "a.png")


def test_the_limit_is_pillow_s_own(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode(file_of(COLOURS), "pil_img", "a.png").size == (6, 4)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24)
    assert decode(file_of(COLOURS), "pil_img", "a.png").size == (6, 4)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 23)
    with pytest.raises(ImageError, match="too large"):
        decode(file_of(COLOURS), "pil_img", "a.png")


def test_no_other_program_runs_on_the_bytes(monkeypatch):
    def run(*_args, **_options):
        pytest.fail("a program was run")

    monkeypatch.setattr("subprocess.Popen.__init__", run)
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n%%EOF\n"
    assert Image.open(io.BytesIO(postscript)).format == "EPS"
    with pytest.raises(ImageError, match="no image"):
        decode(postscript, "pil_img", "a.eps")


# Without Pillow


@pytest.mark.parametrize("form", ["pil_img", "numpy_array"])
def test_without_pillow_one_sentence_says_what_to_do(monkeypatch, form):
    data = file_of(COLOURS)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError) as caught:
        decode(data, form, "a.png")
    assert type(caught.value) is MissingPackageError
    sentence = "decoding images needs the package Pillow; install it with: pip install 's3bids[images]'"
    assert str(caught.value) == sentence


def test_a_page_needs_no_pillow(monkeypatch):
    data = file_of(COLOURS)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert decode(data, "base64_html_string", "a.png").startswith("data:image/png;base64,")
