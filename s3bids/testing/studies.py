"""Synthetic studies with real NIfTI images: small trees of files to demonstrate and to test with.

Each writer makes the files of one study below a directory. The directory emulates a bucket: the object ``key`` is the
file ``directory/key``. The studies are described as data, tables of key templates with their content; the code below
them only fills the templates in. The same call gives the same bytes, as long as numpy, nibabel and zlib stay the same.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class _Image:
    """Shape of one NIfTI image; its voxels are made from the key of its file."""

    #: Voxels along x, y and z, then volumes if there is a fourth number.
    shape: tuple[int, ...]
    #: Edge of a voxel, in mm.
    voxel_size: float
    #: Time between two volumes, in s; unused in three dimensions.
    repetition_time: float = 0.0


#: An image, a JSON object or a text. Keys, texts and JSON values may hold the fields that `_fill` replaces.
_Content = _Image | dict[str, Any] | str


def _gradients(directions: int) -> tuple[str, str]:
    """Return the texts of a ``.bval`` and a ``.bvec``: one b = 0 volume, then directions at b = 1000 s/mm².

    The directions spread over the sphere along a golden spiral.
    """
    heights = [1 - (2 * i + 1) / directions for i in range(directions)]
    angles = [i * math.pi * (3 - math.sqrt(5)) for i in range(directions)]
    radii = [math.sqrt(1 - height**2) for height in heights]
    axes = (
        [radius * math.cos(angle) for radius, angle in zip(radii, angles, strict=True)],
        [radius * math.sin(angle) for radius, angle in zip(radii, angles, strict=True)],
        heights,
    )
    bval = " ".join(["0", *["1000"] * directions]) + "\n"
    bvec = "".join(" ".join(["0", *(f"{value:.6f}" for value in axis)]) + "\n" for axis in axes)
    return bval, bvec


def _table(*rows: str) -> str:
    """Return tab-separated text from rows written with spaces."""
    return "".join("\t".join(row.split()) + "\n" for row in rows)


_AUTHORS = ["The s3bids developers", "A random number generator"]

_T1W = _Image(shape=(16, 16, 12), voxel_size=10.0)
_BOLD = _Image(shape=(8, 8, 6, 10), voxel_size=20.0, repetition_time=2.0)
_EPI = _Image(shape=(8, 8, 6, 4), voxel_size=20.0, repetition_time=5.0)
_DWI = _Image(shape=(8, 8, 6, 7), voxel_size=20.0, repetition_time=3.0)
_BVAL, _BVEC = _gradients(6)
_INTENDED_FOR = [
    "bids::{folder}/func/{name}_task-faces_bold.nii.gz",
    "bids::{folder}/func/{name}_task-rest_bold.nii.gz",
    "bids::{folder}/dwi/{name}_dwi.nii.gz",
]
#: Sidecars of images read out from anterior to posterior, and the other way.
_AP = {"PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05}
_PA = {"PhaseEncodingDirection": "j", "TotalReadoutTime": 0.05}

#: The files of `write_study` that belong to no subject. Most sidecars stand here: a subject alone lacks metadata.
_STUDY_ROOT: dict[str, _Content] = {
    "dataset_description.json": {
        "Name": "A synthetic study of s3bids",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "Authors": _AUTHORS,
    },
    "README.md": (
        "# A synthetic study\n\n"
        "Nobody was scanned: every image holds a smooth blob and noise from a seeded generator. The study serves to\n"
        "demonstrate and to test s3bids. It has anatomical, functional and diffusion images with field maps, and one\n"
        "derivative in `derivatives/fmriprep-mini`.\n"
    ),
    "CHANGES": "1.0.0 2026-01-01\n  - First version.\n",
    "LICENSE": "Dedicated to the public domain: CC0 1.0, https://creativecommons.org/publicdomain/zero/1.0/\n",
    # Without this file the next one makes the dataset invalid: a copy that loses dot-files shows in the validator.
    ".bidsignore": "scanner_notes.txt\n",
    "scanner_notes.txt": "2026-01-01 no scanner was used\n",
    "participants.json": {
        "age": {"Description": "Age of the participant", "Units": "year"},
        "sex": {"Description": "Sex of the participant", "Levels": {"F": "female", "M": "male"}},
    },
    "T1w.json": {"Manufacturer": "s3bids", "MagneticFieldStrength": 3},
    "dwi.json": _AP,
    "task-faces_bold.json": {"TaskName": "faces", "RepetitionTime": _BOLD.repetition_time},
    "task-rest_bold.json": {"TaskName": "rest", "RepetitionTime": _BOLD.repetition_time},
    "task-faces_events.json": {
        "trial_type": {
            "Description": "What was shown",
            "Levels": {"face": "a drawing of a face", "house": "a drawing of a house"},
        }
    },
    "code/convert.sh": '#!/bin/sh\n# Convert one subject from DICOM.\ndcm2niix -b y -z y -o "$2" "$1"\n',
    "derivatives/fmriprep-mini/dataset_description.json": {
        "Name": "Anatomical images of the synthetic study, not really preprocessed",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "License": "CC0",
        "Authors": _AUTHORS,
        # The name must be a part of the folder's name (BIDS specification, "Derived dataset and pipeline description").
        "GeneratedBy": [{"Name": "fmriprep", "Version": "0.0.0"}],
    },
    "derivatives/fmriprep-mini/README.md": (
        "# A derivative of a synthetic study\n\n"
        "The layout is that of fMRIPrep, the images are not: each is a smooth blob and noise from a seeded generator,\n"
        "with no relation to the image that it would have been made from.\n"
    ),
}

#: The files of one subject, or of one of its sessions.
_STUDY_SUBJECT: dict[str, _Content] = {
    "{folder}/anat/{name}_T1w.nii.gz": _T1W,
    "{folder}/anat/{name}_T1w.json": {"RepetitionTime": 2.5, "EchoTime": 0.003, "FlipAngle": 8},
    "{folder}/func/{name}_task-faces_bold.nii.gz": _BOLD,
    "{folder}/func/{name}_task-faces_events.tsv": _table(
        "onset duration trial_type", "0.0 2.0 face", "6.0 2.0 house", "12.0 2.0 face"
    ),
    "{folder}/func/{name}_task-rest_bold.nii.gz": _BOLD,
    "{folder}/dwi/{name}_dwi.nii.gz": _DWI,
    "{folder}/dwi/{name}_dwi.bval": _BVAL,
    "{folder}/dwi/{name}_dwi.bvec": _BVEC,
    "{folder}/fmap/{name}_dir-AP_epi.nii.gz": _EPI,
    "{folder}/fmap/{name}_dir-AP_epi.json": {**_AP, "IntendedFor": _INTENDED_FOR},
    "{folder}/fmap/{name}_dir-PA_epi.nii.gz": _EPI,
    "{folder}/fmap/{name}_dir-PA_epi.json": {**_PA, "IntendedFor": _INTENDED_FOR},
    "{folder}/{name}_scans.tsv": _table(
        "filename acq_time",
        "anat/{name}_T1w.nii.gz 1925-01-01T09:00:00",
        "func/{name}_task-faces_bold.nii.gz 1925-01-01T09:10:00",
        "func/{name}_task-rest_bold.nii.gz 1925-01-01T09:20:00",
        "dwi/{name}_dwi.nii.gz 1925-01-01T09:30:00",
        "fmap/{name}_dir-AP_epi.nii.gz 1925-01-01T09:40:00",
        "fmap/{name}_dir-PA_epi.nii.gz 1925-01-01T09:41:00",
    ),
    "derivatives/fmriprep-mini/{folder}/anat/{name}_desc-preproc_T1w.nii.gz": _T1W,
    "derivatives/fmriprep-mini/{folder}/anat/{name}_desc-preproc_T1w.json": {"SkullStripped": False},
}

_HBN_BOLD = _Image(shape=(8, 8, 6, 10), voxel_size=20.0, repetition_time=0.8)
_HBN_DWI = _Image(shape=(4, 4, 4, 65), voxel_size=40.0, repetition_time=3.32)
_HBN_BVAL, _HBN_BVEC = _gradients(64)

#: The site whose participant table is separated by commas, although its name ends in ``.tsv``.
_COMMA_SITE = "SI"

#: The files of one subject.
_HBN_SUBJECT: dict[str, _Content] = {
    "{sub}/anat/{sub}_acq-HCP_T1w.nii.gz": _T1W,
    "{sub}/anat/{sub}_acq-HCP_T1w.json": {"RepetitionTime": 2.5, "EchoTime": 0.00315, "FlipAngle": 8},
    "{sub}/func/{sub}_task-movieDM_bold.nii.gz": _HBN_BOLD,
    "{sub}/func/{sub}_task-movieDM_bold.json": {"TaskName": "movieDM", "RepetitionTime": _HBN_BOLD.repetition_time},
    "{sub}/func/{sub}_task-peer_run-1_bold.nii.gz": _HBN_BOLD,
    "{sub}/func/{sub}_task-peer_run-1_bold.json": {"TaskName": "peer", "RepetitionTime": _HBN_BOLD.repetition_time},
    "{sub}/dwi/{sub}_acq-64dir_dwi.nii.gz": _HBN_DWI,
    "{sub}/dwi/{sub}_acq-64dir_dwi.bval": _HBN_BVAL,
    "{sub}/dwi/{sub}_acq-64dir_dwi.bvec": _HBN_BVEC,
    "{sub}/dwi/{sub}_acq-64dir_dwi.json": _PA,
    # BIDS wants acq before dir; HBN has them the other way round.
    "{sub}/fmap/{sub}_dir-PA_acq-fMRI_epi.nii.gz": _EPI,
    "{sub}/fmap/{sub}_dir-PA_acq-fMRI_epi.json": _PA,
    "{sub}/fmap/{sub}_dir-AP_acq-dwi_epi.nii.gz": _EPI,
    "{sub}/fmap/{sub}_dir-AP_acq-dwi_epi.json": _AP,
    "derivatives/{sub}/T1w_HCP/T1w.nii.gz": _T1W,
    "derivatives/{sub}/T1w_HCP/freesurfer/scripts/recon-all.done": "{sub} was never reconstructed\n",
    "derivatives/{sub}/qsiprep/{sub}/dwi/{sub}_acq-64dir_confounds.tsv": _table("framewise_displacement", "n/a", "0.1"),
}

#: The derivative that one subject lacks.
_HBN_AFQ: dict[str, _Content] = {
    "derivatives/{sub}/afq/{sub}_tractography-profiles.csv": (
        "tractID,nodeID,dti_fa,dti_md\nARC_L,0,0.41,0.0008\nARC_L,1,0.43,0.0008\nARC_L,2,0.42,0.0008\n"
    ),
}


def write_study(
    directory: str | PathLike[str], *, subjects: Sequence[str] = ("01", "02", "10"), sessions: Sequence[str] = ()
) -> list[str]:
    """Write a small, valid BIDS dataset with one nested derivative.

    Files of the same names are replaced; other files in the directory stay.

    Parameters
    ----------
    directory
        The root of the dataset: ``dataset_description.json`` is written straight into it. Made if it is missing.
    subjects
        Labels, with or without ``sub-``. What is written for one subject does not depend on the others.
    sessions
        Labels, with or without ``ses-``, the same for every subject; empty for a study without session folders.

    Returns
    -------
    list of str
        The key of every file written, relative to `directory`, with ``/``, sorted.

    Raises
    ------
    ConfigError
        A label is not made of letters, digits and ``+`` (BIDS specification, "Filenames").
    """
    return _write(Path(directory), _study_files(_ids("sub", subjects), _ids("ses", sessions)))


def write_hbn_site(
    directory: str | PathLike[str],
    *,
    site: str = "SI",
    subjects: Sequence[str] = ("NDARAA075AMK", "NDARAB708LM5", "NDARAC462DZH"),
) -> list[str]:
    """Write a site shaped like those of the Healthy Brain Network, which is not quite BIDS.

    The names of its field maps break the order of entities, it has no ``dataset_description.json``, its derivatives
    are subject-first (``derivatives/sub-X/<pipeline>``), and the last of several subjects lacks the derivative
    ``afq``. Files of the same names are replaced; other files in the directory stay.

    Parameters
    ----------
    directory
        The root of the site, what ``data/Projects/HBN/MRI/Site-SI`` is in the bucket. Made if it is missing.
    site
        The site's name. ``participants.tsv`` is separated by commas for ``SI``, by tabs for every other.
    subjects
        Labels, with or without ``sub-``. The voxels and the age of one subject do not depend on the others.

    Returns
    -------
    list of str
        The key of every file written, relative to `directory`, with ``/``, sorted.

    Raises
    ------
    ConfigError
        A label is not made of letters, digits and ``+`` (BIDS specification, "Filenames").
    """
    return _write(Path(directory), _hbn_files(site, _ids("sub", subjects)))


def _study_files(subjects: list[str], sessions: list[str]) -> Iterator[tuple[str, _Image | str]]:
    """Yield key and content of every file of `write_study`."""
    yield from _fill(_STUDY_ROOT)
    yield "participants.tsv", _participants(subjects, header=("participant_id", "age", "sex"), separator="\t")
    for sub in subjects:
        if not sessions:
            yield from _fill(_STUDY_SUBJECT, folder=sub, name=sub)
            continue
        yield f"{sub}/{sub}_sessions.tsv", _table("session_id", *sessions)
        for ses in sessions:
            yield from _fill(_STUDY_SUBJECT, folder=f"{sub}/{ses}", name=f"{sub}_{ses}")


def _hbn_files(site: str, subjects: list[str]) -> Iterator[tuple[str, _Image | str]]:
    """Yield key and content of every file of `write_hbn_site`."""
    separator = "," if site == _COMMA_SITE else "\t"
    yield "participants.tsv", _participants(subjects, header=("participant_id", "Age", "Sex"), separator=separator)
    without_afq = subjects[-1] if len(subjects) > 1 else None
    for sub in subjects:
        yield from _fill(_HBN_SUBJECT, sub=sub)
        if sub != without_afq:
            yield from _fill(_HBN_AFQ, sub=sub)


def _ids(entity: str, labels: Iterable[str]) -> list[str]:
    """Return ``sub-01`` for ``01`` and for ``sub-01``, each once, in the order given."""
    bare = [label.removeprefix(f"{entity}-") for label in labels]
    for label in bare:
        if not re.fullmatch(r"[0-9a-zA-Z+]+", label):
            raise ConfigError(
                f"cannot write a synthetic study: {label!r} is no BIDS label for '{entity}-'; use letters and digits"
            )
    return [f"{entity}-{label}" for label in dict.fromkeys(bare)]


def _fill(templates: Mapping[str, _Content], **fields: str) -> Iterator[tuple[str, _Image | str]]:
    """Yield key and content of each template, with every ``{field}`` replaced."""

    def filled(text: str) -> str:
        # Not str.format: JSON and scripts have braces of their own.
        for field, value in fields.items():
            text = text.replace(f"{{{field}}}", value)
        return text

    for key, content in templates.items():
        if isinstance(content, dict):
            yield filled(key), filled(json.dumps(content, indent=2) + "\n")
        else:
            yield filled(key), filled(content) if isinstance(content, str) else content


def _participants(subjects: list[str], *, header: tuple[str, str, str], separator: str) -> str:
    """Return a participant table: ages from 5 to 21 years, sex F or M."""
    rows = [header]
    for sub in subjects:
        random = _generator(f"participant {sub}")
        rows.append((sub, f"{random.uniform(5, 21):.2f}", "FM"[random.integers(2)]))
    return "".join(separator.join(row) + "\n" for row in rows)


def _write(directory: Path, files: Iterable[tuple[str, _Image | str]]) -> list[str]:
    """Write the files below a directory and return their keys, sorted."""
    keys = []
    for key, content in files:
        path = directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_nifti(key, content) if isinstance(content, _Image) else content.encode())
        keys.append(key)
    return sorted(keys)


def _nifti(key: str, image: _Image) -> bytes:
    """Return a gzipped NIfTI-1 file whose voxels depend on its key and shape alone."""
    import gzip

    import nibabel as nib
    import numpy as np

    make_image: Any = nib.Nifti1Image  # its methods have no types
    noise = _generator(key).integers(0, 100, image.shape, dtype=np.int16)
    nifti = make_image(_blob(image.shape) + noise, _affine(image))
    nifti.set_qform(nifti.affine, code="scanner")
    nifti.set_sform(nifti.affine, code="scanner")
    nifti.header.set_xyzt_units("mm", "sec")
    nifti.header.set_zooms([image.voxel_size] * 3 + [image.repetition_time] * (len(image.shape) - 3))
    # Without a time and a file name in the gzip header the bytes are the same at each call.
    return gzip.compress(nifti.to_bytes(), compresslevel=1, mtime=0)


def _affine(image: _Image) -> NDArray[np.float64]:
    """Return the affine, shape (4, 4), from voxel indices to mm, with the origin in the middle of the image."""
    import numpy as np

    affine = np.diag([image.voxel_size] * 3 + [1.0])
    affine[:3, 3] = [-image.voxel_size * (n - 1) / 2 for n in image.shape[:3]]
    return affine


@functools.cache
def _blob(shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Return a bright blob in the middle of a dark image, with one volume if `shape` has four numbers."""
    import numpy as np

    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[:3]), indexing="ij")
    blob = 1000 * np.exp(-2 * sum(axis**2 for axis in axes))
    return blob.astype(np.int16).reshape(shape[:3] + (1,) * (len(shape) - 3))


def _generator(seed: str) -> np.random.Generator:
    """Return a random generator that depends on a text alone."""
    import numpy as np

    return np.random.default_rng(list(seed.encode()))
