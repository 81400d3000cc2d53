"""A subject's image with what belongs to it: merged metadata, b-values and b-vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .bids.layouts import DERIVATIVES, Layout
from .bids.names import is_subject_directory, parse
from .catalog import relative_path
from .errors import ConfigError, ImageError, JSONReadError, ObjectNotFoundError
from .neuro.json import read_json_object
from .neuro.nifti import read_nifti
from .storage.concurrency import in_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .storage.base import Storage
    from .subject import S3BIDSSubject

#: Names of images end so.
IMAGE_EXTENSIONS = (".nii", ".nii.gz", ".mgh", ".mgz", ".gii", ".gii.gz")
#: What may be given in `filters` beside the entities.
_OF_THE_NAME = ("datatype", "extension")
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
    filters: Mapping[str, str | int] | None = None,
    derivative: str | None = None,
) -> LoadedImage:
    """Load one image; :meth:`S3BIDSSubject.load` describes the arguments."""
    study = subject.study
    keys = _keys_of(subject, derivative)
    paths = {relative_path(key, study.s3_prefix): key for key in keys}
    path = _chosen(subject, [path for path in paths if _is_wanted(path, suffix, filters or {})], suffix, filters, paths)
    root = _root_files(subject, derivative)
    paths.update({relative_path(key, study.s3_prefix): key for key in root})
    applying = [paths[found] for found in applicable_files(path, paths)]
    image = read_nifti(paths[path], study.storage)
    sidecars = tuple(key for key in applying if key.endswith(".json"))
    bvals, bvecs = (_last(applying, extension) for extension in (".bval", ".bvec"))
    # Surfaces have no shape.
    volumes = (*getattr(image, "shape", ()), 1, 1, 1, 1)[3]
    return LoadedImage(
        key=paths[path],
        image=image,
        metadata=merged_metadata(study.storage, sidecars),
        sidecars=sidecars,
        bvals=None if bvals is None else _gradients(study.storage, bvals, rows=1, volumes=volumes)[0],
        bvecs=None if bvecs is None else _gradients(study.storage, bvecs, rows=3, volumes=volumes),
    )


def applicable_files(path: str, candidates: Iterable[str]) -> list[str]:
    """Give the files that apply to another one (BIDS specification, "The Inheritance Principle").

    A file applies if it is in the same directory or above, has the same suffix, and no entity that the other one lacks
    or has another value of. The extension does not matter.

    Parameters
    ----------
    path
        The data file, relative to the root of its data set.
    candidates
        Paths of the data set, the data file among them or not.

    Returns
    -------
    list of str
        From the top down; in one directory, the more particular name comes later.

    >>> applicable_files("sub-1/dwi/sub-1_dwi.nii.gz", ["dwi.json", "sub-1/dwi/sub-1_dwi.bval", "sub-1/dwi/dwi_x.json"])
    ['dwi.json', 'sub-1/dwi/sub-1_dwi.bval']
    """
    name = parse(path)
    entities = set(name.entities)
    found = []
    for candidate in candidates:
        folder = candidate.rpartition("/")[0]
        if candidate == path or not path.startswith(f"{folder}/" if folder else ""):
            continue
        other = parse(candidate)
        if other.suffix == name.suffix and set(other.entities) <= entities:
            found.append((candidate.count("/"), len(other.entities), candidate))
    return [candidate for _, _, candidate in sorted(found)]


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
    found = applicable_files(key.removeprefix(start), [name.removeprefix(start) for name in listed])
    return [f"{start}{name}" for name in found if name.endswith(".json")]


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


def _is_wanted(path: str, suffix: str, filters: Mapping[str, str | int]) -> bool:
    name = parse(path)
    if name.suffix != suffix or not is_image(path):
        return False
    return all(
        _equals(getattr(name, field) if field in _OF_THE_NAME else name.get(field), value)
        for field, value in filters.items()
    )


def _equals(text: str | None, value: str | int) -> bool:
    """Compare what a name says with what is wanted; a number is compared as one, since names have leading zeros."""
    if text is None or isinstance(value, str):
        return text == value
    return text.isdecimal() and int(text) == value


def _chosen(
    subject: S3BIDSSubject,
    found: list[str],
    suffix: str,
    filters: Mapping[str, str | int] | None,
    paths: Iterable[str],
) -> str:
    if len(found) == 1:
        return found[0]
    wanted = f"the suffix {suffix!r}" + (f" and {dict(filters)}" if filters else "")
    if found:
        raise ConfigError(
            f"cannot load an image of {subject.subject_id}: {len(found)} images have {wanted}; "
            f"choose one by filters=, such as {{'run': 1}}: {_listed(found)}"
        )
    there = sorted({parse(path).suffix or "" for path in paths if is_image(path)})
    raise ObjectNotFoundError(
        f"cannot load an image of {subject.subject_id}: none has {wanted}; its images have the suffixes "
        f"{', '.join(there) or 'of none'}"
    )


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(path.rpartition("/")[2] for path in paths[:_NAMED]) + more


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
