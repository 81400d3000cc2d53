"""A subject's image with what belongs to it: merged metadata, b-values and b-vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .bids.filters import check_entities, matching_rows, parse_filters
from .bids.layouts import DERIVATIVES, Layout
from .bids.names import is_subject_directory
from .bids.sidecars import Sidecars
from .bids.table import name_table
from .catalog import relative_path
from .errors import ConfigError, ImageError, JSONReadError, ObjectNotFoundError
from .neuro.json import read_json_object
from .neuro.nifti import read_nifti
from .storage.concurrency import in_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .bids.filters import Filter
    from .bids.table import NameTable
    from .storage.base import Storage
    from .subject import S3BIDSSubject

#: Names of images end so.
IMAGE_EXTENSIONS = (".nii", ".nii.gz", ".mgh", ".mgz", ".gii", ".gii.gz")
#: Extensions of the files that an image is loaded with.
_APPLYING = frozenset({".json", ".bval", ".bvec"})
_NAMED = 10


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image of a subject. Its data are fetched when they are used."""

    #: The key without the bucket.
    key: str
    #: nibabel's image, lazy; see :func:`s3bids.read_nifti`.
    image: Any
    #: What all sidecars that apply to the image say; of two that say different things, the nearer one counts.
    metadata: dict[str, Any]
    #: The keys of these sidecars, from the root of the data set down.
    sidecars: tuple[str, ...]
    #: b-values, shape (n_volumes,), in s/mm²; None if there are none.
    bvals: NDArray[np.float64] | None
    #: b-vectors, shape (3, n_volumes), no unit; None if there are none.
    bvecs: NDArray[np.float64] | None


def load_image(
    subject: S3BIDSSubject,
    suffix: str,
    *,
    filters: object = None,
    derivative: str | None = None,
) -> LoadedImage:
    """Load one image; :meth:`S3BIDSSubject.load` describes the arguments."""
    study = subject.study
    own = _keys_of(subject, derivative)
    keys = [*own, *_root_files(subject, derivative)]
    paths = [relative_path(key, study.s3_prefix) for key in keys]
    table = name_table(paths, study.layout)
    conditions = parse_filters(filters)
    check_entities(conditions, table)
    images = {row: path for row, path in enumerate(paths[: len(own)]) if is_image(path)}
    row = _chosen(subject, images, table, suffix, conditions)
    image = read_nifti(keys[row], study.storage)
    applying = [keys[found] for found in Sidecars(table).metadata(row, _APPLYING)]
    sidecars = tuple(key for key in applying if key.endswith(".json"))
    bvals, bvecs = (_last(applying, extension) for extension in (".bval", ".bvec"))
    # Surfaces have no shape.
    volumes = (*getattr(image, "shape", ()), 1, 1, 1, 1)[3]
    return LoadedImage(
        key=keys[row],
        image=image,
        metadata=merged_metadata(study.storage, sidecars),
        sidecars=sidecars,
        bvals=None if bvals is None else _gradients(study.storage, bvals, rows=1, volumes=volumes)[0],
        bvecs=None if bvecs is None else _gradients(study.storage, bvecs, rows=3, volumes=volumes),
    )


def merged_metadata(storage: Storage, sidecars: Sequence[str]) -> dict[str, Any]:
    """Read sidecars side by side, and merge them from the first to the last.

    Raises
    ------
    JSONReadError
        If one is no JSON, or no object of names and values.
    """
    merged: dict[str, Any] = {}
    for key, value in zip(sidecars, in_threads(lambda key: read_json_object(key, storage), sidecars), strict=True):
        if not isinstance(value, dict):
            message = f"cannot take metadata from {storage.location}/{key}: it holds no names and values, but"
            raise JSONReadError(f"{message} {type(value).__name__}", "", 0)
        merged |= value
    return merged


def sidecars_of(storage: Storage, key: str) -> list[str]:
    """Find the sidecars of an object by listing its directory, and those above it up to the root of its data set.

    The root is the directory that holds the subject's directory; of an object that is in none, only its own directory
    is looked at.
    """
    folders = key.split("/")[:-1]
    subject = next((index for index, name in enumerate(folders) if is_subject_directory(name)), len(folders))
    places = ["/".join(folders[:depth]) for depth in range(subject, len(folders) + 1)]
    listed = [entry.key for _, entries in in_threads(storage.children, places) for entry in entries]
    start = "".join(f"{name}/" for name in folders[:subject])
    keys = [key, *(name for name in listed if name != key)]
    table = name_table([name.removeprefix(start) for name in keys], Layout.NESTED)
    return [keys[row] for row in Sidecars(table).metadata(0)]


def is_image(path: str) -> bool:
    """Say whether a file is an image, by its name.

    >>> is_image("sub-1_bold.nii.gz"), is_image("sub-1_bold.json")
    (True, False)
    """
    return path.endswith(IMAGE_EXTENSIONS)


def _keys_of(subject: S3BIDSSubject, derivative: str | None) -> list[str]:
    """Give the keys that the subject has as raw data, or of one derivative."""
    tree = subject.s3_keys
    if derivative is None:
        return list(tree["raw"])
    kinds = {kind.rpartition("/")[2]: keys for kind, keys in tree["derivatives"].items()}
    if derivative not in kinds:
        there = ", ".join(sorted(kinds)) or "none"
        raise ObjectNotFoundError(
            f"cannot load an image of {subject.subject_id}: there is no derivative {derivative!r}; there are: {there}"
        )
    return list(kinds[derivative])


def _root_files(subject: S3BIDSSubject, derivative: str | None) -> list[str]:
    """Give the keys of the files at the root of the data set, or of the derivative."""
    study = subject.study
    if derivative is None:
        return [file.key for file in study._root.files]
    if study.layout is Layout.SUBJECT_FIRST:
        return []
    [level] = study._data_set.levels([f"{DERIVATIVES}/{derivative}"])
    return [file.key for file in level.files]


def _chosen(
    subject: S3BIDSSubject, images: dict[int, str], table: NameTable, suffix: str, conditions: Sequence[Filter]
) -> int:
    """Give the row of the one image that is wanted; `images` are rows and paths."""
    found = matching_rows(table, conditions, [row for row in images if table.value(row, "suffix") == suffix])
    if len(found) == 1:
        return found[0]
    wanted = f"the suffix {suffix!r}" + (f" and {'; or '.join(map(str, conditions))}" if conditions else "")
    if found:
        names = [images[row].rpartition("/")[2] for row in found]
        raise ConfigError(
            f"cannot load an image of {subject.subject_id}: {len(found)} images have {wanted}; "
            f"choose one by filters=, such as {{'run': 1}}: {_listed(names)}"
        )
    there = sorted({table.value(row, "suffix") or "" for row in images})
    raise ObjectNotFoundError(
        f"cannot load an image of {subject.subject_id}: none has {wanted}; its images have the suffixes "
        f"{', '.join(there) or 'of none'}"
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _last(keys: Sequence[str], extension: str) -> str | None:
    """Give the nearest file of a kind: of tables only that one counts, they are not merged."""
    return next((key for key in reversed(keys) if key.endswith(extension)), None)


def _gradients(storage: Storage, key: str, *, rows: int, volumes: int) -> NDArray[np.float64]:
    """Read b-values or b-vectors, shape (rows, n_volumes); a file that is written by columns is turned round."""
    import numpy as np

    place = f"{storage.location}/{key}"
    try:
        lines = [line.split() for line in storage.read(key).decode("utf-8-sig").splitlines() if line.strip()]
        values = np.array(lines, dtype=np.float64)
    except ValueError as error:
        raise ImageError(f"cannot read {place}: it is no table of numbers ({error})") from error
    if values.ndim == 2 and values.shape != (rows, volumes) and values.T.shape == (rows, volumes):
        values = values.T
    if values.shape != (rows, volumes):
        shape = " x ".join(map(str, values.shape))
        raise ImageError(f"cannot use {place}: it has {shape} numbers, and the image needs {rows} x {volumes}")
    return values
