"""A BIDS study on storage: what users hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bringing import DESCRIPTION, BringingStudy
from .choice import choosing, told
from .downloading import check_flags
from .errors import ConfigError
from .selection import DerivativeChoice, SubjectChoice
from .viewed_study import ViewedStudy

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from typing import Self

    from .choice import Choosing
    from .transfer.progress import Event
    from .transfer.report import DownloadReport


class S3BIDSStudy(BringingStudy, ViewedStudy):
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
    participants
        The path of the participant table, relative to the root; ``""`` if there is none.

    Raises
    ------
    ObjectNotFoundError
        If nothing is under the prefix (a FileNotFoundError); BucketNotFoundError if there is no such bucket.
    SubjectNotFoundError
        If a subject is unknown (a ValueError), naming the nearest.
    """

    @classmethod
    def from_config(cls, path: str | os.PathLike[str], *, subjects: SubjectChoice = None) -> Self:
        """Open the study of a study file.

        :meth:`download`, :meth:`download_dataset` and :meth:`cohort` then bring what the file says (filters, cohort,
        derivatives, suffix, jobs, checks), where their own arguments say nothing.

        Parameters
        ----------
        path
            A YAML file, or the name of a shipped study; see docs/study-files.md.
        subjects
            Subjects to choose in place of those of the file.

        Raises
        ------
        ConfigError
            If the file makes no sense: names the file, the line, the key, what was found and what is allowed. Also if
            it is of another class.
        """
        from . import load_study

        study = load_study(path, subjects=subjects)
        if not isinstance(study, cls):
            raise ConfigError(f"{path} describes a study of class {type(study).__name__}, not {cls.__name__}")
        return study

    def to_config(self, path: str | os.PathLike[str]) -> None:
        """Write a study file, from which :meth:`from_config` opens this study with these subjects; no credentials.

        Raises
        ------
        ConfigError
            If the study is on a storage that no file can describe.
        """
        from . import save_study

        save_study(self, path)

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
        allow_other_study: bool = False,
        filters: object = None,
        where: str | None = None,
        sample: int | None = None,
        balance: str | None = None,
        random_seed: int | None = None,
        include: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        keys: str | Sequence[str] | None = None,
        with_sidecars: bool | None = None,
        with_fieldmaps: bool = False,
        valid_subset: bool = False,
        require: str | Sequence[str] | None = None,
    ) -> DownloadReport:
        """Download the chosen subjects.

        With one of the arguments from `filters` on, the listing is taken whole first, the choice is made on it, and
        nothing is fetched (but the participant table) before it is certain that something is chosen. Files that the
        chosen ones need then come too; see docs/choosing.md.

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
            Processes, as joblib counts them; each has many transfers under way at once. None: what
            ``joblib.parallel_config`` says, else one, which two others help where small files are thousands.
        verify
            ``size``; ``etag`` (default: the MD5 too, where the ETag is one); or ``sha256`` (and a SHA-256 in the
            manifest).
        dry_run
            Fetch and write nothing; the report's `plan` says what would be done.
        retry_failed
            Bring only what could not be downloaded to the directory, as its manifest has it. The chosen subjects,
            `include_derivs` and `suffix` narrow that further; `include_modality_agnostic` and a False for
            `include_derivs` do not. What an interrupted run did not come to has not failed: that takes a plain run.
        allow_other_study
            Bring the study to a directory that holds another one; else such a directory is refused.
        filters, where, sample, balance, random_seed, include, exclude, keys
            Which subjects and files; :func:`s3bids.choice.choosing` describes these and the following.
        with_sidecars, with_fieldmaps, valid_subset, require
            What comes with them, and what subjects must have.

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
        ConfigError
            If an argument makes no sense, or nothing is chosen: says which condition left nothing.
        ObjectNotFoundError
            With `retry_failed`, if the directory has no manifest; nothing was fetched.
        """
        choice = self._choice(
            retry_failed,
            filters=filters,
            where=where,
            sample=sample,
            balance=balance,
            random_seed=random_seed,
            include=include,
            exclude=exclude,
            keys=keys,
            require=require,
            with_sidecars=with_sidecars,
            with_fieldmaps=with_fieldmaps,
            valid_subset=valid_subset,
        )
        check_flags(include_derivs_dataset_description=include_derivs_dataset_description)
        given = {"derivatives": include_derivs, "suffix": suffix}
        how = {"overwrite": overwrite, "n_jobs": n_jobs, "verify": verify, "reserve": 0}
        return self._download(
            self.subjects,
            directory,
            root=include_modality_agnostic,
            derivative_root=(DESCRIPTION,) if include_derivs_dataset_description else (),
            **told(given | how, self._said),
            pbar=pbar,
            dry_run=dry_run,
            retry_failed=retry_failed,
            allow_other_study=allow_other_study,
            choice=choice,
        )

    def download_dataset(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        derivatives: DerivativeChoice = False,
        suffix: str | None = None,
        overwrite: bool = False,
        n_jobs: int | None = None,
        verify: str = "etag",
        dry_run: bool = False,
        retry_failed: bool = False,
        emit: Callable[[Event], None] | None = None,
        reserve: int = 0,
        allow_other_study: bool = False,
        filters: object = None,
        where: str | None = None,
        sample: int | None = None,
        balance: str | None = None,
        random_seed: int | None = None,
        include: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        keys: str | Sequence[str] | None = None,
        with_sidecars: bool | None = None,
        with_fieldmaps: bool = False,
        valid_subset: bool = False,
        require: str | Sequence[str] | None = None,
    ) -> DownloadReport:
        """Download the data set as the command line does: with every file that belongs to no subject.

        With all subjects chosen these are all files of the raw data set (``code/``, ``phenotype/``, ``sourcedata/``,
        dot-files ...) and of the chosen derivatives; with some of the subjects, the files at the roots. With one of the
        arguments from `filters` on, it is what :meth:`download` brings with them.

        Parameters
        ----------
        directory
            As in :meth:`download`; by default what the file says that the study was opened from.
        suffix, overwrite, n_jobs, verify, dry_run, retry_failed, filters, where, sample, balance
            As in :meth:`download`.
        random_seed, include, exclude, keys, with_sidecars, with_fieldmaps, valid_subset, require
            As in :meth:`download`.
        derivatives
            Derivatives to bring as well, with the files at their roots; as `include_derivs`.
        emit
            Told what happens, as events of :mod:`s3bids.transfer.progress`. Default: nobody is told.
        reserve
            Bytes that are to stay free on the disk: what does not fit is refused before the first request.
        allow_other_study
            As in :meth:`download`.

        Returns
        -------
        DownloadReport

        Raises
        ------
        ConfigError
            If a derivative or the suffix matches no file; nothing was fetched. The others are those of
            :meth:`download`.
        """
        choice = self._choice(
            retry_failed,
            filters=filters,
            where=where,
            sample=sample,
            balance=balance,
            random_seed=random_seed,
            include=include,
            exclude=exclude,
            keys=keys,
            require=require,
            with_sidecars=with_sidecars,
            with_fieldmaps=with_fieldmaps,
            valid_subset=valid_subset,
        )
        what = told({"derivatives": derivatives, "suffix": suffix}, self._said)
        how = {"overwrite": overwrite, "n_jobs": n_jobs, "verify": verify, "reserve": reserve}
        return self._download(
            self.subjects,
            told({"directory": directory}, self._said)["directory"],
            **({"root": (), "derivative_root": (), **what} if choice.is_active else self._dataset_choice(**what)),
            choice=choice,
            must_match=True,
            **told(how, self._said),
            dry_run=dry_run,
            retry_failed=retry_failed,
            emit=emit,
            allow_other_study=allow_other_study,
        )

    def _choice(self, retry_failed: object, **given: Any) -> Choosing:
        """Check what is asked for, with what the study's file says of it; what failed was chosen before."""
        return choosing(**told(given, {} if retry_failed else self._said))
