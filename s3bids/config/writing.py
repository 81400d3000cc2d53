"""From a study back to its file."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..hbn import HBNSite
from ..storage.files import atomic_file
from ..storage.params import LocalFSParams, S3Params, without_password
from .opening import open_study
from .shipped import shipped_studies
from .study_file import NAME, StudyConfig, load_config

if TYPE_CHECKING:
    import os

    from ..selection import SubjectChoice
    from ..study import S3BIDSStudy


#: What would be read as a variable; without its end it stands for itself.
_VARIABLE = re.compile(r"\$\{(?=[^}]*\})")


def load_study(path: str | os.PathLike[str] | StudyConfig, *, subjects: SubjectChoice = None) -> S3BIDSStudy:
    """Open the study of a file; its downloads bring what the file says, where the call says nothing else.

    Parameters
    ----------
    path
        A study file, the name of a shipped study, or a config.
    subjects
        Subjects to choose in place of those of the file.

    Raises
    ------
    ConfigError
        If the file makes no sense: names the file, the line, the key, what was found and what is allowed.
    ObjectNotFoundError
        If nothing is under the prefix; BucketNotFoundError if there is no such bucket.
    """
    config = path if isinstance(path, StudyConfig) else load_config(shipped_studies().get(str(path), path))
    study = open_study(config, subjects=subjects)
    study._said = {**config.download_arguments, "directory": config.destination}
    return study


def save_study(study: S3BIDSStudy, path: str | os.PathLike[str]) -> None:
    """Write a study to a file, from which :func:`load_study` opens the same study with the same subjects.

    Credentials are not written; a study that was opened with some needs them in the environment, or a profile.

    Raises
    ------
    ConfigError
        If the study is on a storage that no file can describe.
    """
    write_config(config_of_study(study), path)


def config_of_study(study: S3BIDSStudy) -> StudyConfig:
    """Describe an open study; one that was opened from a config keeps what else that says."""
    if isinstance(study._config, StudyConfig):
        return study._config
    chosen = tuple(subject.subject_id for subject in study.subjects)
    is_site = isinstance(study, HBNSite)
    return StudyConfig(
        name=study.study_id if NAME.fullmatch(study.study_id) else _safe(study.study_id),
        study_class="HBNSite" if is_site else "S3BIDSStudy",
        site=study.site if isinstance(study, HBNSite) else None,
        layout=study.layout.value,
        bucket=study.bucket,
        prefix=study.s3_prefix,
        subjects="all" if sorted(chosen) == sorted(study._all_subjects) else chosen,
        use_participants_tsv=study.use_participants_tsv,
        random_seed=study.random_seed,
        participants=study._data_set.participants,
        **_access(study),
    )


def _safe(name: str) -> str:
    kept = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "-" for each in name)
    return kept.lstrip("._-") or "study"


def _access(study: S3BIDSStudy) -> dict[str, Any]:
    params = getattr(study.storage, "params", None)
    if isinstance(params, LocalFSParams):
        return {"local_root": str(Path(params.root_dir).absolute())}
    if not isinstance(params, S3Params):
        raise ConfigError(
            f"the study {study.study_id} is on {study.storage.location}, which no study file can describe"
        )
    return {
        "endpoint_url": without_password(params.endpoint_url),
        "region": params.region_name,
        "anon": params.anon,
        "profile": None if params.anon else params.profile_name,
        "request_payer": params.request_payer,
    }


def write_config(config: StudyConfig, path: str | os.PathLike[str]) -> None:
    """Write a config to a YAML file, whole or not at all; what has its default is left out."""
    import yaml

    values = _values(config)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
    with atomic_file(path) as file:
        file.write(text.encode())


def _values(config: StudyConfig) -> dict[str, Any]:
    """Give what a file says, by its keys."""
    default = replace(StudyConfig(name=config.name, bucket=config.bucket))
    found: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        key = "class" if field.name == "study_class" else field.name
        if key not in ("name", "bucket") and value == getattr(default, field.name):
            continue
        found[key] = _written(value)
    if "participants" in found:
        found["participants"] = found["participants"] or "none"
    if found.get("derivatives") == ["*"]:
        found["derivatives"] = "all"
    return found


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    return _VARIABLE.sub("$${", value) if isinstance(value, str) else value


__all__ = ["config_of_study", "load_study", "save_study", "write_config"]
