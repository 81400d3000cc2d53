"""A BIDS study on storage: what users hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .catalog import Catalog
from .downloading import check_directory_argument, check_flags, check_options, check_suffix, execute, files_present
from .errors import DownloadError
from .listed_study import ListedStudy
from .retry_failed import RetryChoice, find_failed
from .selection import ALL, FILES, DerivativeChoice, require_matches
from .subject import note_files
from .transfer.destination import check_directory

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from .subject import S3BIDSSubject
    from .transfer.download import Options
    from .transfer.progress import Event
    from .transfer.report import DownloadReport, Failure

DESCRIPTION = "dataset_description.json"


class S3BIDSStudy(ListedStudy):
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

    def headers(self, *, suffix: str | None = None) -> pd.DataFrame:
        """Read the headers of the chosen subjects' raw images into a table, to look at them before a download.

        Costs the listing and one request of at most 64 KB for each image, many at once.

        Parameters
        ----------
        suffix
            Only images whose names end with this text, such as ``bold.nii.gz``.

        Returns
        -------
        pandas.DataFrame
            One row an image, sorted by path: ``path``, ``subject``, ``session``, ``datatype``, ``suffix``, ``bytes``,
            ``format``, ``dtype``, ``shape``, ``volumes``, ``x_mm``, ``y_mm``, ``z_mm``, ``tr_s`` (seconds),
            ``orientation``, and ``error``: why an image could not be read.
        """
        from .header_table import header_frame, header_rows

        return header_frame(header_rows(self, suffix=suffix))

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
        retry_failed: bool = False,
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
        retry_failed
            Bring only what could not be downloaded to the directory, as its manifest has it. The chosen subjects,
            `include_derivs` and `suffix` narrow that further; `include_modality_agnostic` and a False for
            `include_derivs` do not. What an interrupted run did not come to has not failed: that takes a plain run.

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
        ObjectNotFoundError
            With `retry_failed`, if the directory has no manifest; nothing was fetched.
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
            retry_failed=retry_failed,
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
        retry_failed: bool = False,
        emit: Callable[[Event], None] | None = None,
    ) -> DownloadReport:
        """Download the data set as the command line does: with every file that belongs to no subject.

        With all subjects chosen these are all files of the raw data set (``code/``, ``phenotype/``, ``sourcedata/``,
        dot-files ...) and of the chosen derivatives; with some of the subjects, the files at the roots.

        Parameters
        ----------
        directory, suffix, overwrite, n_jobs, verify, dry_run, retry_failed
            As in :meth:`download`.
        derivatives
            Derivatives to bring as well, with the files at their roots; as `include_derivs`.
        emit
            Told what happens, as events of :mod:`s3bids.transfer.progress`. Default: nobody is told.

        Returns
        -------
        DownloadReport

        Raises
        ------
        ConfigError
            If a derivative or the suffix matches no file; nothing was fetched. The others are those of
            :meth:`download`.
        """
        return self._download(
            self.subjects,
            directory,
            **self._dataset_choice(derivatives, suffix),
            must_match=True,
            overwrite=overwrite,
            n_jobs=n_jobs,
            verify=verify,
            dry_run=dry_run,
            retry_failed=retry_failed,
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
        must_match: bool = False,
        retry_failed: bool = False,
        **options: Any,
    ) -> DownloadReport:
        checked = check_options(**options)
        check_flags(retry_failed=retry_failed)
        target = check_directory_argument(directory)
        if retry_failed:
            choice = self._retry_choice(subjects, derivatives, suffix)
            failed, lost = find_failed(self._data_set, target, choice)
            return self._bring(failed, target, checked, str(directory), [*subjects], lost)
        selection = self._selection(subjects, root, derivatives, derivative_root, suffix)
        parts = self._parts(subjects, selection)
        if must_match and isinstance(parts, Catalog):
            require_matches(parts, selection)
        return self._bring(parts, target, checked, str(directory), subjects)

    def _retry_choice(
        self, subjects: Sequence[S3BIDSSubject], derivatives: DerivativeChoice, suffix: str | None
    ) -> RetryChoice:
        check_suffix(suffix)
        chosen = frozenset(subject.subject_id for subject in subjects)
        # With all subjects chosen, those are meant too that have gone since.
        everyone = chosen >= set(self._all_subjects)
        return RetryChoice(None if everyone else chosen, self._patterns(derivatives), suffix)

    def _bring(
        self,
        parts: Catalog | Iterable[Catalog],
        target: Path,
        options: Options,
        directory: str,
        subjects: Sequence[S3BIDSSubject] = (),
        lost: Sequence[Failure] = (),
    ) -> DownloadReport:
        """Download a catalog, which may come in parts, and note where files are; `lost` are known to fail."""
        if not options.dry_run and directory not in self._local_directories:
            check_directory(target)
            self._local_directories.append(directory)
        came = [parts] if isinstance(parts, Catalog) else []
        coming = parts if isinstance(parts, Catalog) else _remembered(parts, came)
        try:
            report = execute(self.storage, coming, target, options, lost)
        except DownloadError as error:
            self._note(subjects, came, error.report, target)
            raise
        if not options.dry_run:
            self._note(subjects, came, report, target)
        return report

    def _note(
        self, subjects: Sequence[S3BIDSSubject], parts: list[Catalog], report: DownloadReport, directory: Path
    ) -> None:
        """Learn what a download has brought, also when some of it failed."""
        if subjects:
            present = files_present(report, directory)
            for catalog in parts:
                note_files(subjects, catalog, present)

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
        chosen = self.non_sub_s3_keys["raw"] if filenames is None else filenames
        paths = [name.removeprefix(f"{self.bucket}/") for name in chosen]
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
        return self._bring(self._parts((), selection), target, options, str(directory))


def _remembered(parts: Iterable[Catalog], came: list[Catalog]) -> Iterator[Catalog]:
    for part in parts:
        came.append(part)
        yield part
