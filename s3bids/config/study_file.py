"""A study as a YAML file describes it, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..choice import choosing
from ..dataset import PARTICIPANTS
from ..downloading import MOST_JOBS
from ..errors import ConfigError
from ..hbn import site_name
from ..transfer.space import parse_size
from .extending import read_study
from .keys import ALLOWED, LISTS, TEXTS, study_model

if TYPE_CHECKING:
    import os

    from .yaml_text import Document

#: Words for unsigned requests, besides true (other tools write the credentials of a public bucket as none).
_ANON_WORDS = ("none", "null", "anon")
#: What can be the name of a study.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class _BadValueError(ConfigError):
    """One value makes no sense by itself or beside the others."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key}: {why}; allowed is {ALLOWED[key]}")
        self.key = key


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Where a study is, how to reach it, and what of it is wanted; the values of one study file.

    Raises
    ------
    ConfigError
        If values contradict each other.
    """

    #: A short name; downloads go to a directory of this name by default.
    name: str
    bucket: str
    #: The root of the data set in the bucket; ``""`` is the bucket's top.
    prefix: str = ""
    description: str = ""
    #: Where the study is described.
    source: str = ""
    #: Under which terms the data are given.
    terms: str = ""
    #: ``class`` in the file.
    study_class: Literal["S3BIDSStudy", "HBNSite"] = "S3BIDSStudy"
    #: The HBN site, for an HBNSite.
    site: str | None = None
    #: None: ``nested``, or the one of the class.
    layout: Literal["nested", "subject-first", "standalone"] | None = None
    #: The directory of a local emulation; None: S3.
    local_root: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    #: Send unsigned requests and look up no credentials.
    anon: bool = True
    request_payer: bool = False
    profile: str | None = None
    #: A tuple holds ids.
    subjects: int | str | tuple[str, ...] = "all"
    use_participants_tsv: bool = False
    random_seed: int | None = None
    #: Names or globs; ``("*",)`` stands for all.
    derivatives: tuple[str, ...] = ()
    #: The path of the participant table, relative to the root; ``""`` if there is none that could be read.
    participants: str = PARTICIPANTS
    #: The prefix holds a directory for each data set; one is named as in ``abide/CMU_a``.
    collection: bool = False
    #: This and what follows up to `valid_subset`: arguments of :meth:`~s3bids.S3BIDSStudy.download_dataset`.
    where: str | None = None
    sample: int | None = None
    balance: str | None = None
    require: tuple[str, ...] = ()
    suffix: str | None = None
    filters: dict[str, Any] | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    #: None: bring them if something is chosen.
    sidecars: bool | None = None
    fieldmaps: bool = False
    valid_subset: bool = False
    #: The directory of downloads; None: the study's name in the working directory.
    destination: str | None = None
    #: Processes; None: one, or what ``joblib.parallel_config`` says.
    jobs: int | None = None
    verify: Literal["size", "etag", "sha256"] = "etag"
    overwrite: bool = False
    #: Bytes of the disk that are to stay free, or text such as ``50G``.
    reserve: int | str = 0

    def __post_init__(self) -> None:
        for key, is_wrong, why in self._rules():
            if is_wrong:
                raise _BadValueError(key, why)
        if self.study_class == "HBNSite":
            self._check_site(self.site or "")
        self._check_choice()

    def _rules(self) -> list[tuple[str, bool, str]]:
        """Give each rule as key, whether it is broken, and what to say."""
        is_site = self.study_class == "HBNSite"
        number = isinstance(self.subjects, int)
        return [
            ("name", NAME.fullmatch(self.name) is None, f"{self.name!r} cannot be the name of a directory"),
            ("bucket", not self.bucket or "/" in self.bucket, f"{self.bucket!r} cannot be the name of a bucket"),
            ("prefix", self.prefix == "/", "'/' is no prefix; leave it out for the top of the bucket"),
            ("site", self.site is not None and not is_site, "a site goes with class: HBNSite only"),
            ("class", is_site and self.site is None, "HBNSite needs a site as well"),
            ("layout", is_site and self.layout not in (None, "subject-first"), "an HBNSite is always subject-first"),
            ("endpoint_url", not _is_address(self.endpoint_url), f"{self.endpoint_url!r} is no address of a server"),
            ("local_root", self.local_root == "", "it is empty"),
            ("region", self.region == "", "it is empty"),
            ("profile", self.profile == "", "it is empty"),
            ("profile", self.anon and self.profile is not None, "a profile signs requests, and anon is true"),
            ("subjects", number and int(str(self.subjects)) < 1, "at least one subject must be wanted"),
            ("subjects", not number and not self.subjects, "no subject is named"),
            ("participants", self.participants.startswith("/"), "it begins at the root of the study, without a slash"),
            ("participants", is_site and self.participants != PARTICIPANTS, f"a site has {PARTICIPANTS}"),
            ("derivatives", "" in self.derivatives, "a name is empty"),
            ("collection", self.collection and is_site, "a site is one data set"),
            ("destination", self.destination == "", "it is empty"),
            ("jobs", self.jobs == 0, "0 processes do nothing"),
            ("jobs", abs(self.jobs or 1) > MOST_JOBS, "no machine runs so many processes"),
            ("random_seed", not 0 <= (self.random_seed or 0) < 2**32, f"{self.random_seed} is out of range"),
        ]

    def _check_site(self, site: str) -> None:
        try:
            name = site_name(site)
        except ConfigError as error:
            raise _BadValueError("site", str(error)) from error
        if self.prefix.strip("/").rpartition("/")[2] != name:
            raise _BadValueError("prefix", f"it must end with the site's directory, {name}")

    def _check_choice(self) -> None:
        """Check one by one what :func:`s3bids.choice.choosing` checks, so that the key is known."""
        for key, (name, value) in self._asked.items():
            try:
                choosing(**{name: value})
            except (TypeError, ValueError) as error:
                raise _BadValueError(key, str(error)) from error
        try:
            _ = self.reserve_bytes
        except ConfigError as error:
            raise _BadValueError("reserve", str(error)) from error

    @property
    def _asked(self) -> dict[str, tuple[str, Any]]:
        """Give what is chosen besides subjects, derivatives and suffix: key -> argument and value."""
        names = {"sidecars": "with_sidecars", "fieldmaps": "with_fieldmaps"}
        keys = ("filters", "where", "sample", "balance", "require", "include", "exclude", "keys", *names)
        values = {key: getattr(self, key) for key in (*keys, "valid_subset")}
        # That sidecars are not wanted is a choice, unlike any other False.
        given = {
            key: value
            for key, value in values.items()
            if value not in (None, ()) and (value is not False or key == "sidecars")
        }
        return {
            key: (names.get(key, key), list(value) if isinstance(value, tuple) else value)
            for key, value in given.items()
        }

    @property
    def asked(self) -> dict[str, Any]:
        """What is chosen besides subjects, derivatives and suffix: arguments of a download."""
        return dict(self._asked.values())

    @property
    def reserve_bytes(self) -> int:
        """Bytes of the disk that are to stay free."""
        if isinstance(self.reserve, int):
            if self.reserve < 0:
                raise ConfigError(f"{self.reserve} is less than nothing")
            return self.reserve
        return parse_size(self.reserve)

    @property
    def derivative_choice(self) -> bool | list[str]:
        """The derivatives, as downloads take them."""
        return True if self.derivatives in (("all",), ("*",)) else list(self.derivatives)

    @property
    def download_arguments(self) -> dict[str, Any]:
        """What :meth:`~s3bids.S3BIDSStudy.download_dataset` is to be told besides the directory."""
        return {
            "derivatives": self.derivative_choice,
            "suffix": self.suffix,
            "n_jobs": self.jobs,
            "verify": self.verify,
            "overwrite": self.overwrite,
            "reserve": self.reserve_bytes,
            **self.asked,
        }

    @property
    def location(self) -> str:
        """The study's address, as it is configured: ``s3://bucket/prefix`` or ``file:///root/bucket/prefix``."""
        start = "s3://" if self.local_root is None else f"file://{Path(self.local_root).as_posix()}/"
        return f"{start}{self.bucket}/{self.prefix.strip('/')}".rstrip("/")

    def member(self, name: str) -> StudyConfig:
        """Give the config of one data set of a collection.

        Raises
        ------
        ConfigError
            If this is no collection, or the name is no directory's.
        """
        if not self.collection:
            raise ConfigError(
                f"the study {self.name} is one data set, so there is no {self.name}/{name}; leave {name} out"
            )
        if not name or "/" in name or name in (".", ".."):
            raise ConfigError(f"{self.name}/{name} names no data set; {self._advice}")
        safe = re.sub(r"[^A-Za-z0-9._-]", "-", name)
        return replace(
            self, name=f"{self.name}-{safe}", prefix=f"{self.prefix.strip('/')}/{name}".lstrip("/"), collection=False
        )

    @property
    def _advice(self) -> str:
        return f"s3bids ls {self.name} lists the data sets, and {self.name}/NAME is one of them"


def _is_address(url: str | None) -> bool:
    return url is None or re.match(r"https?://[^/]", url) is not None


def load_config(path: str | os.PathLike[str]) -> StudyConfig:
    """Read a study file.

    Parameters
    ----------
    path
        A YAML file with the keys of :data:`~s3bids.config.ALLOWED`. ``${NAME}`` stands for a variable of the
        environment; `extends` names a file whose keys are taken over. A ``name`` that is left out is the file's own,
        without extension.

    Raises
    ------
    ConfigError
        If it cannot be read or makes no sense: names the file, the line, the key, what was found and what is allowed.
    """
    document = read_study(path)
    return _checked(document, _prepared(document))


def _prepared(document: Document) -> dict[str, Any]:
    """Give the fields of a config: what is null counts as not given, and single names stand for lists."""
    values = {key: value for key, value in document.values.items() if key != "extends"}
    for key in values:
        if document.is_filled(key) and key in TEXTS:
            values[key] = document.text(key)
    anon = values.get("anon", False)
    if "anon" in values and (anon is None or str(anon).lower() in _ANON_WORDS):
        values["anon"] = True
    values = {key: value for key, value in values.items() if value is not None}
    values.setdefault("name", document.path.stem)
    values.setdefault("anon", "profile" not in values)
    if "subjects" in values:
        # YAML 1.1 reads 01 as the number 1, so the ids of a list are taken as they were written.
        values["subjects"] = document.texts("subjects") or values["subjects"]
    for key in LISTS:
        if isinstance(values.get(key), str):
            values[key] = (values[key],)
    if values.get("derivatives") == ("all",):
        values["derivatives"] = ("*",)
    for key in ("local_root", "destination"):
        if isinstance(values.get(key), str) and values[key]:
            values[key] = str(document.of(key).path.absolute().parent / values[key])
    if str(values.get("participants", "")).lower() == "none":
        values["participants"] = ""
    return values


def _checked(document: Document, values: dict[str, Any]) -> StudyConfig:
    """Check the types of all fields by pydantic, then what they say together."""
    from pydantic import ValidationError

    try:
        found = study_model()(**values).model_dump(by_alias=True, exclude_unset=True)
        fields = {"study_class" if key == "class" else key: value for key, value in found.items()}
        return StudyConfig(**{**fields, **_as_lists(fields)})
    except ValidationError as error:
        # pydantic's own text speaks of Python's types and does not know the line.
        problem = error.errors()[0]
        raise ConfigError(_bad_type_text(document, str(problem["loc"][0]), problem["type"])) from None
    except _BadValueError as error:
        raise ConfigError(_bad_value_text(document, error)) from None


def _as_lists(fields: dict[str, Any]) -> dict[str, Any]:
    filters = fields.get("filters")
    return {} if filters is None else {"filters": _listed(filters)}


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _bad_type_text(document: Document, key: str, kind: str) -> str:
    if kind == "missing":
        return f"{document.where(key)}: the key {key!r} is missing; give {ALLOWED[key]}"
    quotes = "; put it in quotes to make it text" if kind == "string_type" else ""
    return f"{document.where(key)}: {key} is {document.shown(key)}; allowed is {ALLOWED[key]}{quotes}"


def _bad_value_text(document: Document, error: _BadValueError) -> str:
    if document.is_filled(error.key):
        # What a variable holds is not for everybody's eyes.
        found = f"{error.key} is {document.shown(error.key)}, and what stands there is not allowed"
        return f"{document.where(error.key)}: {found}; allowed is {ALLOWED[error.key]}"
    return f"{document.where(error.key)}: {error}"


__all__ = ["NAME", "StudyConfig", "load_config"]
