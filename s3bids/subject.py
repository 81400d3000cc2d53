"""One subject of a study: its keys, its files, its download."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .bids.layouts import Layout, Place
from .bids.names import subject_label
from .display import card, files_text, some
from .selection import DerivativeChoice, as_index, matches

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from .catalog import Catalog
    from .loading import LoadedImage
    from .study import S3BIDSStudy
    from .transfer.report import DownloadReport

#: Keys or files: ``{'raw': ..., 'derivatives': {type: ...}}``.
KeyTree = dict[str, Any]


class SubjectOwner:
    """Base of the studies, by which a subject knows one without importing them."""


class S3BIDSSubject:
    """One subject of a study. Nothing is asked of the storage before its keys are needed.

    Parameters
    ----------
    subject_id
        With or without the prefix ``sub-``. An id without objects is no error: its lists are empty.
    study
        The study that the subject belongs to.
    """

    def __init__(self, subject_id: str, study: S3BIDSStudy) -> None:
        if not isinstance(subject_id, str):
            raise TypeError(f"subject_id must be text, not {type(subject_id).__name__}")
        if not isinstance(study, SubjectOwner):
            raise TypeError(f"study must be an S3BIDSStudy, not {type(study).__name__}")
        self._subject_id = subject_label(subject_id)
        self._study = study
        self._lock = threading.RLock()
        self._s3_keys: KeyTree | None = None
        self._files: KeyTree = {"raw": {}, "derivatives": {}}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(subject_id={self.subject_id}, study_id={self.study.study_id})"

    def _repr_html_(self) -> str:
        files = self.files
        here = len(files["raw"]) + sum(map(len, files["derivatives"].values()))
        rows = [("study", self.study.study_id), ("downloaded", files_text(here))]
        with self._lock:
            keys = self._s3_keys
        if keys is not None:
            derived = {kind.rpartition("/")[2]: len(found) for kind, found in keys["derivatives"].items() if found}
            rows.append(("raw data", files_text(len(keys["raw"]))))
            rows.append(("derivatives", some(f"{kind} ({files_text(number)})" for kind, number in derived.items())))
        return card(f"{type(self).__name__} {self.subject_id}", rows)

    @property
    def subject_id(self) -> str:
        """The id with its prefix, such as ``sub-01``."""
        return self._subject_id

    @property
    def study(self) -> S3BIDSStudy:
        """The study that the subject belongs to."""
        return self._study

    @property
    def s3_keys(self) -> KeyTree:
        """The subject's keys without bucket: ``{'raw': [key, ...], 'derivatives': {type: [key, ...]}}``.

        Listed on first use, once; sorted. The types are those of ``study.derivative_types``; with a subject-first
        layout, only those that the subject has.
        """
        with self._lock:
            if self._s3_keys is None:
                self._get_s3_keys()
            return self._s3_keys or {"raw": [], "derivatives": {}}

    @property
    def files(self) -> KeyTree:
        """The files that were downloaded: ``{'raw': {key: path}, 'derivatives': {type: {key: path}}}``.

        Only files that are on disk; later downloads are merged in. Paths are absolute and text.
        """
        return self._files

    def _get_s3_keys(self) -> KeyTree | None:
        """List the subject's keys, keep them as ``_s3_keys``, and return them."""
        study = self.study
        names = ["*"] if study.layout is Layout.SUBJECT_FIRST else study._derivative_names
        types = [] if study.layout is Layout.SUBJECT_FIRST else study.derivative_types
        tree: KeyTree = {"raw": [], "derivatives": {kind: [] for kind in types}}
        for entry in study._data_set.subject_catalog([self.subject_id], names):
            if entry.derivative is None:
                tree["raw"].append(entry.key)
            elif entry.derivative:
                tree["derivatives"].setdefault(study._derivative_type(entry.derivative), []).append(entry.key)
        self._s3_keys = tree
        return tree

    @property
    def _has_own_keys(self) -> bool:
        """Whether a subclass chooses the keys by overriding ``_get_s3_keys``."""
        return type(self)._get_s3_keys is not S3BIDSSubject._get_s3_keys

    def _chosen_keys(self, patterns: Sequence[str]) -> list[str] | None:
        """Give the keys that a subclass chose by overriding ``_get_s3_keys``; None if none does."""
        if not self._has_own_keys:
            return None
        kinds = self.s3_keys["derivatives"].items()
        derived = [key for kind, keys in kinds if matches(kind.rpartition("/")[2], patterns) for key in keys]
        return [*self.s3_keys["raw"], *derived]

    def download(
        self,
        directory: str | os.PathLike[str],
        include_derivs: DerivativeChoice = False,  # noqa: FBT002 - this and what follows: the signature of 0.1.7
        overwrite: bool = False,  # noqa: FBT001, FBT002
        suffix: str | None = None,
        pbar: bool = True,  # noqa: FBT001, FBT002
        pbar_idx: int = 0,
        *,
        n_jobs: int | None = None,
        verify: str = "etag",
        dry_run: bool = False,
    ) -> DownloadReport:
        """Download this subject's files, and none of the whole study.

        Parameters
        ----------
        directory
            Files go to ``directory`` + key without the study's prefix.
        include_derivs
            True for all derivatives, or names or globs of their directories.
        overwrite
            Replace files that differ and that s3bids did not write.
        suffix
            Only files whose names end with this text.
        pbar, pbar_idx
            Show a bar; `pbar_idx` is accepted for code written for s3bids 0.1.7 and has no effect.
        n_jobs, verify, dry_run
            As in :meth:`S3BIDSStudy.download`.

        Returns
        -------
        DownloadReport

        Raises
        ------
        DownloadError
            If files failed, after everything else was done; it carries the report.
        """
        if as_index(pbar_idx) is None:
            raise TypeError(f"pbar_idx must be an integer, not {type(pbar_idx).__name__}")
        return self.study._download(
            [self],
            directory,
            derivatives=include_derivs,
            suffix=suffix,
            overwrite=overwrite,
            pbar=pbar,
            n_jobs=n_jobs,
            verify=verify,
            dry_run=dry_run,
        )

    def load(self, suffix: str, *, filters: object = None, derivative: str | None = None) -> LoadedImage:
        """Load one image lazily, with its metadata, b-values and b-vectors.

        Costs a request for the image's header and one for each sidecar; and a listing, if the keys of the subject, or
        of the root of the derivative, are not known yet.

        Parameters
        ----------
        suffix
            The BIDS suffix: ``T1w``, ``bold``, ``dwi``.
        filters
            What else the name must say, as in :meth:`download`: ``{"task": "rest", "run": 1}``.
        derivative
            The name of a derivative. Default: the raw data.

        Returns
        -------
        LoadedImage
            The metadata are those of all sidecars that apply (BIDS specification, "The Inheritance Principle").

        Raises
        ------
        ObjectNotFoundError
            If there is no such image (a FileNotFoundError), or no such derivative.
        ConfigError
            If there are several, naming them; or if the filters make no sense.
        ImageError, JSONReadError
            If the image, its gradients or a sidecar cannot be read.
        """
        from .loading import load_image

        return load_image(self, suffix, filters=filters, derivative=derivative)

    def plot(
        self,
        suffix: str,
        *,
        filters: object = None,
        derivative: str | None = None,
        volume: int = 0,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw the three middle slices of one image, with the patient's right on the left, below the file's name.

        The image is loaded as :meth:`load` does. Of its data, a ``.nii`` costs no more than the one volume, each byte
        of it once; of a ``.nii.gz`` what lies before that volume is fetched as well.

        Parameters
        ----------
        suffix, filters, derivative
            Which image, as in :meth:`load`.
        volume
            Which volume of an image with four dimensions, counted from 0.
        ax
            Where to draw; by default into a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        MissingPackageError
            If matplotlib is not installed; nothing was listed.
        ObjectNotFoundError, ImageError, JSONReadError
            As in :meth:`load`.
        ConfigError
            If several images fit, naming them; if there is no such volume; or if the image has no voxels to draw.
        """
        from .report.plots import plot_middle, require_matplotlib

        require_matplotlib()
        found = self.load(suffix, filters=filters, derivative=derivative)
        return plot_middle(found.image, volume=volume, title=found.key.rpartition("/")[2], ax=ax)


def note_files(subjects: Sequence[S3BIDSSubject], catalog: Catalog, present: dict[str, str]) -> None:
    """Tell subjects which of their files are on disk now: key -> path."""
    by_id = {subject.subject_id: subject for subject in subjects if not subject._has_own_keys}
    for own in subjects:
        if own._has_own_keys:
            _note_own_files(own, present)
    # Whose a file is depends on its folder only, and files are many more than folders.
    trees: dict[str, dict[str, str] | None] = {}
    for key, path in zip(catalog.keys, catalog.paths, strict=True):
        folder = path[: path.rfind("/") + 1]
        if folder not in trees:
            trees[folder] = _files_of(by_id, catalog.layout.place(path))
        tree = trees[folder]
        if tree is not None and key in present:
            tree[key] = present[key]
    for subject in by_id.values():
        derived = subject.files["derivatives"]
        for kind in [kind for kind, files in derived.items() if not files]:
            del derived[kind]


def _files_of(subjects: dict[str, S3BIDSSubject], place: Place) -> dict[str, str] | None:
    """Give the files, key -> path, to which one of a place belongs; None if it is no subject's."""
    subject = subjects.get(place.subject or "")
    if subject is None or place.derivative == "":
        return None
    if place.derivative is None:
        raw: dict[str, str] = subject.files["raw"]
        return raw
    found: dict[str, str] = subject.files["derivatives"].setdefault(
        subject.study._derivative_type(place.derivative), {}
    )
    return found


def _note_own_files(subject: S3BIDSSubject, present: dict[str, str]) -> None:
    """Tell a subject that chose its keys by itself; they may lie anywhere."""
    keys, files = subject.s3_keys, subject.files
    files["raw"].update({key: present[key] for key in keys["raw"] if key in present})
    for kind, derived in keys["derivatives"].items():
        found = {key: present[key] for key in derived if key in present}
        if found:
            files["derivatives"].setdefault(kind, {}).update(found)
