"""OpenNeuro: a data set by its accession, and what pipelines made of it as data sets of their own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .bids.layouts import Layout
from .errors import ConfigError
from .study import S3BIDSStudy

if TYPE_CHECKING:
    from .selection import SubjectChoice
    from .storage.base import Storage
    from .storage.params import LocalFSParams, S3Params

BUCKET = "openneuro.org"
#: The bucket of OpenNeuroDerivatives, ``<pipeline>/<accession>-<pipeline>/`` (OpenNeuro, ``derivatives.ts``).
DERIVATIVES_BUCKET = "openneuro-derivatives"

_ACCESSION = re.compile(r"ds[0-9]{6}")
_PIPELINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class OpenNeuroStudy(S3BIDSStudy):
    """A data set of OpenNeuro.

    The bucket holds no versions: files that later snapshots dropped may still be there.

    Parameters
    ----------
    accession
        Such as ``ds000102``, in any case.
    subjects, anon, use_participants_tsv, random_seed, storage
        As in :class:`S3BIDSStudy`. A `storage` must have the bucket of the data set: ``openneuro.org``, or
        ``openneuro-derivatives`` with a pipeline.
    pipeline
        ``fmriprep``, ``mriqc`` or ``fitlins``: the stand-alone derivative that this pipeline made of the data set,
        ``s3://openneuro-derivatives/fmriprep/ds000102-fmriprep``. Which there are is known only by asking.

    Raises
    ------
    ConfigError
        If `accession` is none, or `pipeline` cannot be a name. The others are those of :class:`S3BIDSStudy`.
    """

    def __init__(
        self,
        accession: str,
        subjects: SubjectChoice = None,
        *,
        pipeline: str | None = None,
        anon: bool = True,
        use_participants_tsv: bool = False,
        random_seed: int | None = None,
        storage: Storage | S3Params | LocalFSParams | None = None,
    ) -> None:
        self._accession = accession_of(accession)
        self._pipeline = _checked_pipeline(pipeline)
        name = self._accession if pipeline is None else f"{self._accession}-{pipeline}"
        super().__init__(
            name,
            BUCKET if pipeline is None else DERIVATIVES_BUCKET,
            name if pipeline is None else f"{pipeline}/{name}",
            subjects,
            anon,
            use_participants_tsv,
            random_seed,
            storage=storage,
            layout=Layout.NESTED if pipeline is None else Layout.STANDALONE,
        )

    @property
    def accession(self) -> str:
        """Such as ``ds000102``."""
        return self._accession

    @property
    def pipeline(self) -> str | None:
        """The pipeline of a stand-alone derivative; None for the data set itself."""
        return self._pipeline


def accession_of(text: str) -> str:
    """Give an accession as the bucket writes it.

    >>> accession_of("DS000102")
    'ds000102'
    """
    if not isinstance(text, str):
        raise TypeError(f"accession must be text, not {type(text).__name__}")
    found = text.strip().lower()
    if _ACCESSION.fullmatch(found) is None:
        raise ConfigError(f"{text!r} is no accession of OpenNeuro; one looks like ds000102, with six digits")
    return found


def _checked_pipeline(pipeline: object) -> str | None:
    if pipeline is None:
        return None
    if not isinstance(pipeline, str):
        raise TypeError(f"pipeline must be text or None, not {type(pipeline).__name__}")
    if _PIPELINE.fullmatch(pipeline) is None:
        raise ConfigError(f"{pipeline!r} cannot be the name of a pipeline; there are for example fmriprep and mriqc")
    return pipeline
