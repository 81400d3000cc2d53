"""A BIDS study on storage, and its subjects: what users hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .bids.layouts import DERIVATIVES, Layout
from .catalog import Catalog, joined
from .dataset import DataSet
from .downloading import check_directory_argument, check_flags, check_options, check_suffix, execute, files_present
from .errors import ConfigError, DownloadError
from .selection import (
    ALL,
    FILES,
    DerivativeChoice,
    Selection,
    SubjectChoice,
    agnostic_rule,
    as_index,
    choose_subjects,
    derivative_patterns,
    select,
)
from .storage.registry import open_storage
from .subject import KeyTree, S3BIDSSubject, SubjectOwner, note_files

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pandas as pd

    from .storage.base import Storage
    from .storage.params import LocalFSParams, S3Params
    from .transfer.download import Options
    from .transfer.progress import Event
    from .transfer.report import DownloadReport

DESCRIPTION = "dataset_description.json"


class S3BIDSStudy(SubjectOwner):
    """A BIDS study in a bucket on S3, or in a local directory that emulates one.

    Constructing it costs one delimiter listing (1,000 entries a page), and with `use_participants_tsv` one GET.

    Parameters
    ----------
    study_id
        A name for the study.
    bucket
        The bucket's name.
    s3_prefix
        The root of the data set in the bucket; outer slashes do not matter.
    subjects
        None (the first), a number, positions, ``"all"``, or ids with or without ``sub-``.
    anon
        Send unsigned requests and look up no credentials (default: public studies need none).
    use_participants_tsv
        Consider only subjects that the participant table lists too.
    random_seed
        Shuffle the subjects before a number or positions are applied.
    _subject_class
        The class of :attr:`subjects`.
    storage
        A storage, or its parameters, to use in place of S3; its bucket must be `bucket`. `anon` then has no effect.
    layout
        ``nested`` (``derivatives/<pipeline>/sub-X``), ``subject-first`` (``derivatives/sub-X/<pipeline>``) or
        ``standalone`` (the root is itself one derivative).

    Raises
    ------
    ObjectNotFoundError
        If nothing is under the prefix (a FileNotFoundError); BucketNotFoundError if there is no such bucket.
    SubjectNotFoundError
        If a subject is unknown (a ValueError), naming the nearest.
    """

    def __init__(
        self,
        study_id: str,
        bucket: str,
        s3_prefix: str = "",
        subjects: SubjectChoice = None,
        anon: bool = True,  # noqa: FBT001, FBT002 - the signature of s3bids 0.1.7
        use_participants_tsv: bool = False,  # noqa: FBT001, FBT002
        random_seed: int | None = None,
        _subject_class: type[S3BIDSSubject] = S3BIDSSubject,
        *,
        storage: Storage | S3Params | LocalFSParams | None = None,
        layout: str = Layout.NESTED,
    ) -> None:
        _check_types(
            (("study_id", study_id, str), ("bucket", bucket, str), ("s3_prefix", s3_prefix, str)),
            (("anon", anon, bool), ("use_participants_tsv", use_participants_tsv, bool)),
        )
        seed = None if random_seed is None else as_index(random_seed)
        if random_seed is not None and seed is None:
            raise TypeError(f"random_seed must be an integer or None, not {type(random_seed).__name__}")
        if s3_prefix == "/":
            raise ConfigError("s3_prefix is '/'; use '' for the top of the bucket")
        if layout not in list(Layout):
            raise ConfigError(f"layout is {layout!r}; choose from {', '.join(Layout)}")
        self._study_id = study_id
        self._anon = anon
        self._use_participants_tsv = use_participants_tsv
        self._random_seed = seed
        self._subject_class = _subject_class
        self._data_set = DataSet(open_storage(bucket, storage, anon=anon), s3_prefix.strip("/"), Layout(layout))
        self._known: dict[str, Any] = {}
        self._local_directories: list[str] = []
        self._root = self._data_set.root()
        self._all_subjects = self._list_all_subjects()
        chosen = choose_subjects(self._all_subjects, subjects, seed)
        self._subjects = [self._get_subject(subject) for subject in chosen]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(study_id={self.study_id}, bucket={self.bucket}, s3_prefix={self.s3_prefix})"

    @property
    def study_id(self) -> str:
        """The name of the study."""
        return self._study_id

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._data_set.storage.bucket

    @property
    def s3_prefix(self) -> str:
        """The root of the data set in the bucket, without outer slashes."""
        return self._data_set.prefix

    @property
    def storage(self) -> Storage:
        """Where the study is."""
        return self._data_set.storage

    @property
    def layout(self) -> Layout:
        """How raw data and derivatives are arranged."""
        return self._data_set.layout

    @property
    def anon(self) -> bool:
        """Whether requests are unsigned."""
        return self._anon

    @property
    def use_participants_tsv(self) -> bool:
        """Whether only subjects of the participant table are considered."""
        return self._use_participants_tsv

    @property
    def random_seed(self) -> int | None:
        """The seed that shuffled the subjects."""
        return self._random_seed

    @property
    def subjects(self) -> list[S3BIDSSubject]:
        """The chosen subjects, in the order of the selection."""
        return self._subjects

    @property
    def local_directories(self) -> list[str]:
        """The directories that files were downloaded to, in order of use."""
        return self._local_directories

    @property
    def derivative_types(self) -> list[str]:
        """The derivatives: ``bucket/prefix/derivatives/name``, or the name alone with a subject-first layout.

        Sorted; listed on first use.
        """
        return self._get_derivative_types()

    @property
    def non_sub_s3_keys(self) -> KeyTree:
        """What lies at the root and belongs to no subject, as ``bucket/key``; directories stand for their content.

        ``{'raw': [...], 'derivatives': [[...], ...]}`` with one inner list for each of :attr:`derivative_types`; with a
        subject-first layout one flat list. Listed on first use.
        """
        if "non_sub" not in self._known:
            self._known["non_sub"] = self._get_non_subject_s3_keys()
        found: KeyTree = self._known["non_sub"]
        return found

    @property
    def _derivative_names(self) -> list[str]:
        if "derivatives" not in self._known:
            self._known["derivatives"] = self._data_set.derivative_names(self._root)
        names: list[str] = self._known["derivatives"]
        return names

    def _derivative_type(self, name: str) -> str:
        if self.layout is Layout.SUBJECT_FIRST:
            return name
        return f"{self.bucket}/{self._data_set.key(f'{DERIVATIVES}/{name}')}"

    def _get_derivative_types(self) -> list[str]:
        return [self._derivative_type(name) for name in self._derivative_names]

    def _get_subject(self, subject_id: str) -> S3BIDSSubject:
        return self._subject_class(subject_id=subject_id, study=self)

    def _list_all_subjects(self) -> list[str]:
        """Give all subjects: the directories, and with the participant table those that it lists too."""
        if self.use_participants_tsv:
            return self._data_set.listed_participants(self._root)
        return self._root.subjects

    def _get_non_subject_s3_keys(self) -> KeyTree:
        data_set, root = self._data_set, self._root
        raw = data_set.non_subject_keys("", root, leave_out=DERIVATIVES)
        if DERIVATIVES not in root.directories:
            return {"raw": raw, "derivatives": []}
        if self.layout is Layout.SUBJECT_FIRST:
            return {"raw": raw, "derivatives": data_set.non_subject_keys(DERIVATIVES, data_set.level(DERIVATIVES))}
        places = (f"{DERIVATIVES}/{name}" for name in self._derivative_names)
        return {
            "raw": raw,
            "derivatives": [data_set.non_subject_keys(place, data_set.level(place)) for place in places],
        }

    def _patterns(self, include: DerivativeChoice) -> tuple[str, ...]:
        patterns = derivative_patterns(include)
        if any("/" in pattern for pattern in patterns):
            # An element of derivative_types stands for its own name; listing them is needed only to know it.
            return derivative_patterns(include, self.derivative_types)
        return patterns

    def to_frame(self, include_derivs: DerivativeChoice = False) -> pd.DataFrame:  # noqa: FBT002 - as download has it
        """Give the catalog as a table: the chosen subjects' raw files and all files of the whole study.

        Parameters
        ----------
        include_derivs
            Derivatives to list too.

        Returns
        -------
        pandas.DataFrame
            One row an object; see :meth:`s3bids.catalog.Catalog.to_frame` for the columns.
        """
        return self._catalog(self.subjects, self._selection(self.subjects, ALL, include_derivs)).to_frame()

    def download(
        self,
        directory: str | os.PathLike[str],
        include_modality_agnostic: bool | str | Sequence[str] = (DESCRIPTION,),  # noqa: FBT001 - this and what follows: 0.1.7
        include_derivs: DerivativeChoice = False,  # noqa: FBT002
        include_derivs_dataset_description: bool = True,  # noqa: FBT001, FBT002
        suffix: str | None = None,
        overwrite: bool = False,  # noqa: FBT001, FBT002
        pbar: bool = True,  # noqa: FBT001, FBT002
        *,
        n_jobs: int | None = None,
        verify: str = "etag",
        dry_run: bool = False,
    ) -> DownloadReport:
        """Download the chosen subjects.

        Parameters
        ----------
        directory
            Files go to ``directory`` + key without the study's prefix.
        include_modality_agnostic
            Files of the whole study: True or ``"all"`` for everything at the root that belongs to no subject, False for
            none, or names out of ``dataset_description.json``, ``CHANGES``, ``README`` and ``LICENSE``.
        include_derivs
            True for all derivatives, or names or globs of their directories.
        include_derivs_dataset_description
            Bring the ``dataset_description.json`` of each chosen derivative, without which pybids does not see it.
        suffix
            Only subjects' files whose names end with this text.
        overwrite
            Replace files that differ and that s3bids did not write. Files that are complete are never fetched again.
        pbar
            Show a bar, on stderr or in the notebook.
        n_jobs
            Processes, as joblib counts them. None: one, or what ``joblib.parallel_config`` says; each has many
            transfers under way at once.
        verify
            ``size``; ``etag`` (default: the MD5 too, where the ETag is one); or ``sha256`` (and a SHA-256 in the
            manifest).
        dry_run
            Fetch and write nothing; the report's `plan` says what would be done.

        Returns
        -------
        DownloadReport
            Counts, bytes, seconds; conflicts are files that differ and were kept.

        Raises
        ------
        DownloadError
            If files failed, after everything else was done; it carries the report.
        DestinationError
            If the directory is a file or cannot be written; nothing was fetched.
        """
        check_flags(include_derivs_dataset_description=include_derivs_dataset_description)
        return self._download(
            self.subjects,
            directory,
            root=include_modality_agnostic,
            derivatives=include_derivs,
            derivative_root=(DESCRIPTION,) if include_derivs_dataset_description else (),
            suffix=suffix,
            overwrite=overwrite,
            pbar=pbar,
            n_jobs=n_jobs,
            verify=verify,
            dry_run=dry_run,
        )

    def download_dataset(
        self,
        directory: str | os.PathLike[str],
        *,
        derivatives: DerivativeChoice = False,
        suffix: str | None = None,
        overwrite: bool = False,
        n_jobs: int | None = None,
        verify: str = "etag",
        dry_run: bool = False,
        emit: Callable[[Event], None] | None = None,
    ) -> DownloadReport:
        """Download the data set as the command line does: with every file that belongs to no subject.

        With all subjects chosen these are all files of the raw data set (``code/``, ``phenotype/``, ``sourcedata/``,
        dot-files ...) and of the chosen derivatives; with some of the subjects, the files at the roots.

        Parameters
        ----------
        directory, suffix, overwrite, n_jobs, verify, dry_run
            As in :meth:`download`.
        derivatives
            Derivatives to bring as well, with the files at their roots.
        emit
            Told what happens, as events of :mod:`s3bids.transfer.progress`. Default: nobody is told.

        Returns
        -------
        DownloadReport
        """
        return self._download(
            self.subjects,
            directory,
            **self._dataset_choice(derivatives, suffix),
            overwrite=overwrite,
            n_jobs=n_jobs,
            verify=verify,
            dry_run=dry_run,
            emit=emit,
        )

    def dataset_catalog(self, *, derivatives: DerivativeChoice = False, suffix: str | None = None) -> Catalog:
        """List what :meth:`download_dataset` would bring."""
        return self._catalog(self.subjects, self._selection(self.subjects, **self._dataset_choice(derivatives, suffix)))

    def _dataset_choice(self, derivatives: DerivativeChoice, suffix: str | None) -> dict[str, Any]:
        chosen = {subject.subject_id for subject in self.subjects}
        rule = ALL if chosen == set(self._all_subjects) else FILES
        return {"root": rule, "derivatives": derivatives, "derivative_root": rule, "suffix": suffix}

    def _download(
        self,
        subjects: Sequence[S3BIDSSubject],
        directory: object,
        *,
        root: object = False,
        derivatives: DerivativeChoice = False,
        derivative_root: tuple[str, ...] | str = (),
        suffix: str | None = None,
        **options: Any,
    ) -> DownloadReport:
        checked = check_options(**options)
        target = check_directory_argument(directory)
        selection = self._selection(subjects, root, derivatives, derivative_root, suffix)
        return self._bring(self._catalog(subjects, selection), target, checked, str(directory), subjects)

    def _bring(
        self,
        catalog: Catalog,
        target: Path,
        options: Options,
        directory: str,
        subjects: Sequence[S3BIDSSubject] = (),
    ) -> DownloadReport:
        """Download a catalog's objects, and note where they are."""
        if not options.dry_run and directory not in self._local_directories:
            self._local_directories.append(directory)
        try:
            report = execute(self.storage, catalog, target, options)
        except DownloadError as error:
            self._note(subjects, catalog, error.report, target)
            raise
        if not options.dry_run:
            self._note(subjects, catalog, report, target)
        return report

    def _note(
        self, subjects: Sequence[S3BIDSSubject], catalog: Catalog, report: DownloadReport, directory: Path
    ) -> None:
        """Learn what a download has brought, also when some of it failed."""
        if subjects:
            note_files(subjects, catalog, files_present(report, directory))

    def _selection(
        self,
        subjects: Sequence[S3BIDSSubject],
        root: object,
        derivatives: DerivativeChoice = False,  # noqa: FBT002 - one of the choices that users have
        derivative_root: tuple[str, ...] | str = (),
        suffix: str | None = None,
    ) -> Selection:
        check_suffix(suffix)
        ids = tuple(subject.subject_id for subject in subjects)
        rule = FILES if root == FILES else agnostic_rule(root)
        return Selection(ids, self._patterns(derivatives), rule, derivative_root, suffix)

    def _catalog(self, subjects: Sequence[S3BIDSSubject], selection: Selection) -> Catalog:
        """List what a selection wants, as it is now; a subclass of the subject may have chosen keys of its own."""
        self._root = self._data_set.root()
        chosen = {subject.subject_id: subject._chosen_keys(selection.derivatives) for subject in subjects}
        own = [key for keys in chosen.values() if keys is not None for key in keys]
        listed = tuple(subject for subject, keys in chosen.items() if keys is None)
        catalog = self._data_set.catalog(replace(selection, subjects=listed), self._root)
        if not own:
            return catalog
        return joined(catalog, select(self._data_set.key_catalog(own), selection))

    def _download_non_sub_keys(
        self,
        directory: str | os.PathLike[str],
        select: str | Sequence[str] = (DESCRIPTION,),
        filenames: Sequence[str] | None = None,
        *,
        overwrite: bool = False,
    ) -> DownloadReport:
        """Download files of the whole study: those of `filenames` (``bucket/key``) whose names are in `select`.

        `filenames` are by default ``non_sub_s3_keys['raw']``; a directory among them comes with its content. `select`
        is ``'all'`` or file names.
        """
        options = check_options(overwrite=overwrite)
        target = check_directory_argument(directory)
        names = [select] if isinstance(select, str) else list(select)
        paths = [name.removeprefix(f"{self.bucket}/") for name in filenames or self.non_sub_s3_keys["raw"]]
        if names != [ALL]:
            paths = [path for path in paths if path.rpartition("/")[2] in names]
        return self._bring(self._data_set.tree_catalog(paths), target, options, str(directory))

    def _download_derivative_descriptions(
        self, include_derivs: DerivativeChoice, directory: str | os.PathLike[str], *, overwrite: bool = False
    ) -> DownloadReport:
        """Download the ``dataset_description.json`` of each chosen derivative; one without it is no error."""
        options = check_options(overwrite=overwrite)
        target = check_directory_argument(directory)
        selection = self._selection((), (), include_derivs, (DESCRIPTION,))
        return self._bring(self._catalog((), selection), target, options, str(directory))


def _check_types(*groups: tuple[tuple[str, object, type], ...]) -> None:
    for name, value, kind in (item for group in groups for item in group):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be {kind.__name__}, not {type(value).__name__}")
