"""Every image that nibabel ships with its tests, read through storage and by nibabel from the local file."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from s3bids import LocalStorage, read_header, read_nifti
from s3bids.errors import ImageError
from s3bids.storage import LocalFSParams

ROOT = Path(nib.__file__).parent
#: Every file beside nibabel's tests: the images, what belongs to them, and what is none.
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*")
    if path.is_file() and "data" in path.parts and path.suffix not in (".py", ".pyc")
)
#: Formats that are read lazily, or in memory; of each there is at least one.
OURS = {"Nifti1Image", "Nifti2Image", "Cifti2Image", "MGHImage", "GiftiImage"}


def by_nibabel(name):
    """Give nibabel's image of a local file, or the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return nib.load(ROOT / name)
        except Exception as error:  # noqa: BLE001 - nibabel has a kind of error for each format
            return error


#: nibabel leaves the data file of a PAR/REC image open until it is garbage.
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning:nibabel", "ignore:.*REC:pytest.PytestUnraisableExceptionWarning"
)


def loadable():
    """Find the images among the files; what nibabel leaves open for it is gone before a test begins."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = [name for name in FILES if not isinstance(by_nibabel(name), Exception)]
        gc.collect()
    return names


IMAGES = loadable()
OTHERS = [name for name in FILES if name not in IMAGES]


@pytest.fixture(scope="module")
def on_moto(moto):
    """A bucket on moto with all the files."""
    from s3bids.storage import S3Params, S3Storage

    client = moto.boto3_client()
    client.create_bucket(Bucket="nibabel")
    for name in FILES:
        client.put_object(Bucket="nibabel", Key=f"data/{name}", Body=(ROOT / name).read_bytes())
    client.close()
    with S3Storage(S3Params("nibabel", moto.url, moto.access_key, moto.secret_key)) as storage:
        yield storage


@pytest.fixture
def local():
    return LocalStorage(LocalFSParams(True, ROOT.parent, "someone", ROOT.name))


@pytest.fixture(params=["s3", "file"])
def read(request, moto, monkeypatch):
    """A function that reads an image by its address."""
    if request.param == "file":
        return lambda function, name: function(f"file://{ROOT.as_posix()}/{name}")
    request.getfixturevalue("on_moto")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
    return lambda function, name: function(f"s3://nibabel/data/{name}")


def test_there_are_images_of_every_format_of_ours():
    kinds = {type(by_nibabel(name)).__name__ for name in IMAGES}
    assert kinds >= OURS
    assert len(IMAGES) >= 35


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_that_of_nibabel(read, name):
    expected, found = by_nibabel(name), read(read_nifti, name)
    assert type(found) is type(expected)
    if hasattr(expected.header, "binaryblock"):
        assert found.header.binaryblock == expected.header.binaryblock
        assert found.header.endianness == expected.header.endianness
    if isinstance(expected, nib.GiftiImage):
        assert_same_surfaces(found, expected)
        return
    assert found.shape == expected.shape
    assert np.array_equal(found.affine, expected.affine) if hasattr(expected, "affine") else True
    assert found.get_data_dtype() == expected.get_data_dtype() if hasattr(expected, "get_data_dtype") else True
    assert [e.get_code() for e in extensions(found)] == [e.get_code() for e in extensions(expected)]
    if not has_data(expected):
        with pytest.raises(FileNotFoundError):
            np.asanyarray(found.dataobj)
        return
    assert_same_arrays(np.asanyarray(found.dataobj), np.asanyarray(expected.dataobj))
    assert_same_arrays(found.dataobj[..., -1], expected.dataobj[..., -1])
    assert_same_arrays(found.dataobj[1, ::2], expected.dataobj[1, ::2])
    assert_same_arrays(found.get_fdata(), expected.get_fdata())


def extensions(image):
    return getattr(image.header, "extensions", ())


def has_data(image):
    """Say whether the file of the data is there: of some images nibabel ships the header alone."""
    return all(Path(holder.filename).exists() for key, holder in image.file_map.items() if key == "image")


def assert_same_arrays(found, expected):
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected, equal_nan=found.dtype.kind in "fc")


def assert_same_surfaces(found, expected):
    assert found.meta == expected.meta
    assert [d.attributes if hasattr(d, "attributes") else d.intent for d in found.darrays] == [
        d.attributes if hasattr(d, "attributes") else d.intent for d in expected.darrays
    ]
    for one, other in zip(found.darrays, expected.darrays, strict=True):
        assert_same_arrays(one.data, other.data)
    assert found.labeltable.get_labels_as_dict() == expected.labeltable.get_labels_as_dict()


@pytest.mark.parametrize("name", OTHERS)
def test_what_nibabel_does_not_read_is_refused_by_name(read, name):
    kind = type(by_nibabel(name))
    expected = kind if issubclass(kind, FileNotFoundError | ImportError) else ImageError
    with pytest.raises(
        expected, match=r"h5py" if issubclass(kind, ImportError) else Path(name).stem.replace("+", r"\+")
    ):
        read(read_nifti, name)


@pytest.mark.parametrize("name", IMAGES)
def test_a_header_says_what_the_image_says(local, name):
    expected, found = by_nibabel(name), read_header(name, local)
    if isinstance(expected, nib.GiftiImage):
        assert found.shape == expected.darrays[0].data.shape
        assert found.dtype == expected.darrays[0].data.dtype.newbyteorder("=").name
        assert found.arrays == len(expected.darrays)
        return
    assert found.shape == expected.shape
    assert np.array_equal(found.affine, expected.affine) if found.affine is not None else True
    assert found.dtype == expected.get_data_dtype().newbyteorder("=").name
    assert found.size == (ROOT / name).stat().st_size
    assert len(found.extensions) == len(extensions(expected)) if found.format != "CIFTI-2" else True
