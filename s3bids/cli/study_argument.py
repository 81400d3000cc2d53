"""From STUDY on the command line to a study: a YAML file, the name of a shipped study, or an address."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..config import StudyConfig, load_config, open_study, shipped_studies
from ..errors import ConfigError, SubjectNotFoundError
from ..storage.params import LocalFSParams, url_params
from ..transfer.manifest import STATE_FOLDER
from .options import ALL, Choice, Connection

if TYPE_CHECKING:
    from ..bids.layouts import Layout
    from ..selection import DerivativeChoice
    from ..study import S3BIDSStudy


#: Data sets of OpenNeuro, their pages, and web addresses of buckets of AWS, as people copy them from a browser.
_ACCESSION = re.compile(r"ds\d{6}")
_PAGE = re.compile(r"https?://(?:www\.)?openneuro\.org/datasets/(ds\d{6})(?![\w])", re.ASCII)
_OBJECT_URL = re.compile(
    r"https?://(?:([a-z0-9.-]{3,63})\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com/(?(1)|([a-z0-9.-]{3,63})/?)([^?#]*)"
)
#: How the name of a saved plan or of a lock ends.
_PLAN = re.compile(r"\.(gz|jsonl|lock)$")


def config_of(study: str) -> StudyConfig:
    """Find out which study is meant.

    Raises
    ------
    ConfigError
        If it is none: says what a study can be, and which shipped ones have similar names.
    """
    if "://" in study:
        _refuse_web_address(study)
        return url_config(study)
    shipped = shipped_studies()
    is_path = study.endswith((".yaml", ".yml")) or os.path.basename(study) != study  # noqa: PTH119 - no Path: 'x/'
    is_member = study.partition("/")[0] in shipped and not Path(study).exists()
    if _PLAN.search(study) and Path(study).is_file():
        raise ConfigError(f"{study} is no study, but looks like a saved plan; write s3bids download --plan {study} DIR")
    if is_path and not is_member and not Path(study).is_dir():
        return load_config(study)
    if study in shipped:
        return load_config(shipped[study])
    if Path(study).is_file():
        return load_config(study)
    collection, _, member = study.partition("/")
    if collection in shipped and member:
        return load_config(shipped[collection]).member(member.removesuffix("/"))
    raise ConfigError(_unknown_text(study, list(shipped)))


def _unknown_text(study: str, shipped: list[str]) -> str:
    if Path(study).is_dir():
        return _directory_text(study)
    near = [study.lower()] if study.lower() in shipped else difflib.get_close_matches(study.lower(), shipped, 3)
    if _ACCESSION.fullmatch(study):
        near = [f"s3://openneuro.org/{study}"]
    hint = f"did you mean {' or '.join(near)}? Give" if near else "give"
    return (
        f"there is no study {study!r}; {hint} "
        "a YAML file, a name that s3bids studies lists, or an address such as s3://bucket/prefix"
    )


def _directory_text(study: str) -> str:
    """Say of a directory in the place of a study how it is used."""
    path = Path(study).absolute()
    kind = "a download" if (path / STATE_FOLDER).is_dir() else "a directory"
    text = f"{study} is {kind}; to use it as a study write "
    if path.parent == path.parent.parent:
        return text + "file:///root/bucket/prefix, where the folder in place of bucket stands for a bucket"
    return text + f"file://{path.as_posix()}; s3bids verify and s3bids report look at a download"


def _refuse_web_address(url: str) -> None:
    """Refuse what people copy from a browser, with the address to write in its place."""
    found = _PAGE.match(url)
    if found is not None:
        raise ConfigError(f"{url!r} is a web page; write s3://openneuro.org/{found[1]}")
    found = _OBJECT_URL.match(url)
    if found is not None:
        raise ConfigError(f"{url!r} is a web address; write s3://{found[1] or found[2]}/{found[3] or ''}")


def url_config(url: str) -> StudyConfig:
    """Give the config of an address: the last part of it is the prefix, or the key of an object, and the name."""
    params, prefix = url_params(url)
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in _last(prefix, params.bucket_name))
    # A name that begins with a dot or hyphen would hide the directory, lead upwards, or look like an option.
    name = name.lstrip("._-") or "study"
    root = str(params.root_dir) if isinstance(params, LocalFSParams) else None
    return StudyConfig(name=name, bucket=params.bucket_name, prefix=prefix, local_root=root)


def _last(prefix: str, bucket: str) -> str:
    return prefix.strip("/").rpartition("/")[2] or bucket


class Source(Protocol):
    """What is told of the study behind a download."""

    @property
    def study_id(self) -> str:
        """The study's name."""
        ...

    @property
    def layout(self) -> Layout:
        """How the study is arranged."""
        ...

    @property
    def location(self) -> str:
        """Where the study is."""
        ...


@dataclass(frozen=True)
class Chosen:
    """A study that is open, and what of it is wanted."""

    study: S3BIDSStudy
    derivatives: DerivativeChoice
    suffix: str | None
    #: Further arguments of a download.
    asked: dict[str, Any]
    #: What the study's file says.
    config: StudyConfig

    @property
    def study_id(self) -> str:
        """The study's name."""
        return self.study.study_id

    @property
    def layout(self) -> Layout:
        """How the study is arranged."""
        return self.study.layout

    @property
    def location(self) -> str:
        """Where the study really is: ``s3://bucket/prefix``, or the address of its local emulation."""
        return f"{self.study.storage.location}/{self.study.s3_prefix}".rstrip("/")

    def directory(self, given: str | None) -> Path:
        """Give the directory of the download: by default the file's, else the study's name in the working directory."""
        return Path(given or self.config.destination or self.study.study_id)


def open_chosen(study: str, connection: Connection, choice: Choice) -> Chosen:
    """Open a study with what was chosen on the command line, or else in its file."""
    config = connection.applied_to(config_of(study))
    config = replace(config, derivatives=choice.derivatives or config.derivatives)
    opened = _with_subjects(config, choice.subjects)
    suffix = config.suffix if choice.suffix is None else choice.suffix
    return Chosen(opened, config.derivative_choice, suffix, {**config.asked, **choice.asked}, config)


def _with_subjects(config: StudyConfig, names: tuple[str, ...]) -> S3BIDSStudy:
    if not names:
        return open_study(config)
    if names == (ALL,):
        return open_study(config, subjects=ALL)
    try:
        return open_study(config, subjects=names)
    except SubjectNotFoundError:
        # One number that is nobody's id says how many; with a leading zero it can only be an id.
        if len(names) > 1 or not names[0].isdecimal() or names[0].startswith("0"):
            raise
        study = open_study(config, subjects=int(names[0]))
        if len(study.subjects) < int(names[0]):
            # More than there are: rather an id with a mistake in it than a way to say all.
            raise
        return study


__all__ = ["Chosen", "Source", "config_of", "open_chosen", "url_config"]
