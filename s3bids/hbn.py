"""The Healthy Brain Network: one site as a study."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .bids.layouts import Layout
from .bringing import DESCRIPTION
from .errors import ConfigError
from .finishing import write_description
from .selection import DerivativeChoice, SubjectChoice
from .study import S3BIDSStudy
from .subject import S3BIDSSubject

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from .finishing import Finish
    from .storage.base import Storage
    from .storage.params import LocalFSParams, S3Params
    from .transfer.report import DownloadReport

#: Sites with a directory of their own in ``fcp-indi/data/Projects/HBN/MRI``.
SITES = ("Site-CBIC", "Site-CUNY", "Site-RU", "Site-SI")


class HBNSubject(S3BIDSSubject):
    """One subject of a site.

    Parameters
    ----------
    subject_id
        Such as ``sub-NDARAA075AMK``.
    study
        The site's study.
    site
        Such as ``Site-SI``.
    """

    def __init__(self, subject_id: str, study: S3BIDSStudy, site: str | None = None) -> None:
        if site is not None and not isinstance(site, str):
            raise TypeError(f"site must be text or None, not {type(site).__name__}")
        super().__init__(subject_id, study)
        self._site = site

    def __repr__(self) -> str:
        return f"HBNSubject(subject_id={self.subject_id}, study_id={self.study.study_id}, site={self.site})"

    @property
    def site(self) -> str | None:
        """Such as ``Site-SI``."""
        return self._site


class HBNSite(S3BIDSStudy):
    """One site of the Healthy Brain Network.

    ``HBNSite("SI", subjects=3).download("data")`` downloads the raw data of three subjects; ``site.derivative_types``
    are the pipelines to name in ``include_derivs``.

    HBN arranges derivatives by subject, ``derivatives/sub-X/<pipeline>``: :attr:`derivative_types` are the pipelines'
    names.

    Parameters
    ----------
    site
        ``Site-SI``, ``Site-RU``, ``Site-CBIC`` or ``Site-CUNY``, or the same without ``Site-``, in any case.
    study_id, bucket, s3_prefix
        Where the sites are.
    subjects, use_participants_tsv, random_seed, anon, storage
        As in :class:`S3BIDSStudy`. The table of Site-SI is separated by commas, which is read all the same.
    """

    def __init__(
        self,
        site: str,
        study_id: str = "HBN",
        bucket: str = "fcp-indi",
        s3_prefix: str = "data/Projects/HBN/MRI",
        subjects: SubjectChoice = None,
        use_participants_tsv: bool = False,  # noqa: FBT001, FBT002 - the signature of s3bids 0.1.7
        random_seed: int | None = None,
        *,
        anon: bool = True,
        storage: Storage | S3Params | LocalFSParams | None = None,
    ) -> None:
        self._site = site_name(site)
        if not isinstance(s3_prefix, str):
            raise TypeError(f"s3_prefix must be str, not {type(s3_prefix).__name__}")
        parent = s3_prefix.strip("/")
        super().__init__(
            study_id,
            bucket,
            f"{parent}/{self._site}" if parent else self._site,
            subjects,
            anon,
            use_participants_tsv,
            random_seed,
            HBNSubject,
            storage=storage,
            layout=Layout.SUBJECT_FIRST,
        )

    @property
    def site(self) -> str:
        """Such as ``Site-SI``."""
        return self._site

    def _get_subject(self, subject_id: str) -> HBNSubject:
        return HBNSubject(subject_id, self, self.site)

    def download(  # type: ignore[override] # the order of s3bids 0.1.7, which differs from the base class
        self,
        directory: str | os.PathLike[str],
        include_modality_agnostic: bool | str | Sequence[str] = False,  # noqa: FBT001, FBT002 - this and what follows: 0.1.7
        include_derivs: DerivativeChoice = False,  # noqa: FBT002
        overwrite: bool = False,  # noqa: FBT001, FBT002
        pbar: bool = True,  # noqa: FBT001, FBT002
        *,
        suffix: str | None = None,
        include_derivs_dataset_description: bool = True,
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
        """Download the chosen subjects; see :meth:`S3BIDSStudy.download` for the arguments.

        Where there is no ``dataset_description.json`` afterwards, one is written that names the site and its subjects,
        so that BIDS tools open the directory.
        """
        return super().download(
            directory,
            include_modality_agnostic,
            include_derivs,
            include_derivs_dataset_description,
            suffix,
            overwrite,
            pbar,
            n_jobs=n_jobs,
            verify=verify,
            dry_run=dry_run,
            filters=filters,
            where=where,
            sample=sample,
            balance=balance,
            random_seed=random_seed,
            include=include,
            exclude=exclude,
            keys=keys,
            with_sidecars=with_sidecars,
            with_fieldmaps=with_fieldmaps,
            valid_subset=valid_subset,
            require=require,
            retry_failed=retry_failed,
            allow_other_study=allow_other_study,
        )

    def _finish(self, finish: Finish, report: DownloadReport, subjects: Sequence[S3BIDSSubject]) -> DownloadReport:
        """Describe the site as well, where nothing does."""
        report = super()._finish(finish, report, subjects)
        # Only a download of the site describes it, not one of a single subject, nor a retry.
        if report.dry_run or not (finish.after.is_choice or subjects is self.subjects):
            return report
        description = {
            "Name": f"HBN Study, {self.site}",
            "DatasetType": "raw",
            "Subjects": [subject.subject_id for subject in subjects],
            "BIDSVersion": "1.0.0",
        }
        if not write_description(finish.directory, DESCRIPTION, description):
            return report
        return replace(report, written_files=(*report.written_files, DESCRIPTION))


def site_name(site: str) -> str:
    """Give the full name of a site.

    >>> site_name("si"), site_name("Site-CBIC")
    ('Site-SI', 'Site-CBIC')
    """
    if not isinstance(site, str):
        raise TypeError(f"site must be text, not {type(site).__name__}")
    wanted = site.lower().removeprefix("site-")
    for name in SITES:
        if name.lower() == f"site-{wanted}":
            return name
    raise ConfigError(f"HBN has no site {site!r}; choose from {', '.join(SITES)}")
