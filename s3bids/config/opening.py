"""From a config to the study that it describes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import ConfigError, ObjectNotFoundError
from ..hbn import HBNSite
from ..storage.params import DEFAULT_USER, LocalFSParams, Params, is_local_emulation, local_params, url_params
from ..storage.registry import open_storage
from ..study import S3BIDSStudy

if TYPE_CHECKING:
    from ..selection import SubjectChoice
    from .study_file import StudyConfig


def open_study(config: StudyConfig, *, subjects: SubjectChoice = None) -> S3BIDSStudy:
    """Open the study that a config describes; ``LOCAL_FS=1`` switches it to the local emulation.

    Parameters
    ----------
    config
        To change some of it, use :func:`dataclasses.replace`.
    subjects
        Subjects to choose in place of those of the config, as in :class:`S3BIDSStudy`.

    Raises
    ------
    ObjectNotFoundError
        If nothing is under the prefix; BucketNotFoundError if there is no such bucket.
    SubjectNotFoundError
        If a subject is unknown, naming the nearest.
    """
    if config.collection:
        raise ConfigError(f"{config.name} holds many data sets; {config._advice}")
    study = _opened(config, config.subjects if subjects is None else subjects)
    if isinstance(subjects, int | str):
        config = replace(config, subjects=subjects)
    elif subjects is not None:
        config = replace(config, subjects=tuple(subject.subject_id for subject in study.subjects))
    study._config = config
    return study


def _opened(config: StudyConfig, chosen: SubjectChoice) -> S3BIDSStudy:
    params = params_of(config)
    if config.study_class == "HBNSite":
        return HBNSite(
            config.site or "",
            config.name,
            config.bucket,
            config.prefix.strip("/").rpartition("/")[0],
            chosen,
            config.use_participants_tsv,
            config.random_seed,
            anon=config.anon,
            storage=params,
        )
    return S3BIDSStudy(
        config.name,
        config.bucket,
        config.prefix,
        chosen,
        config.anon,
        config.use_participants_tsv,
        config.random_seed,
        storage=params,
        layout=config.layout or "nested",
        participants=config.participants,
    )


def list_members(config: StudyConfig) -> list[str]:
    """List the data sets of a collection: one delimiter listing, sorted.

    Raises
    ------
    ConfigError
        If it is no collection.
    ObjectNotFoundError
        If nothing is under the prefix.
    """
    if not config.collection:
        raise ConfigError(f"{config.name} is one data set, no collection of them")
    with open_storage(config.bucket, params_of(config), anon=config.anon) as storage:
        directories, _ = storage.children(config.prefix.strip("/"))
    if not directories:
        raise ObjectNotFoundError(f"cannot list {config.location}: there are no directories; check the prefix")
    return sorted(key.removesuffix("/").rpartition("/")[2] for key in directories)


def params_of(config: StudyConfig) -> Params:
    """Give the parameters of the bucket that a config describes; ``LOCAL_FS=1`` is obeyed."""
    if config.local_root is not None:
        return LocalFSParams(
            use_local_fs=True, root_dir=config.local_root, user=DEFAULT_USER, bucket_name=config.bucket
        )
    if is_local_emulation():
        return local_params(config.bucket)
    params, _ = url_params(
        f"s3://{config.bucket}",
        anon=config.anon,
        endpoint_url=config.endpoint_url,
        region=config.region,
        profile=config.profile,
        request_payer=config.request_payer,
    )
    return params


__all__ = ["list_members", "open_study", "params_of"]
