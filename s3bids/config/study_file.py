"""A study as a YAML file describes it, and from there to the study itself."""

from __future__ import annotations

import difflib
import re
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from ..dataset import PARTICIPANTS
from ..errors import ConfigError, ObjectNotFoundError
from ..hbn import HBNSite, site_name
from ..storage.params import (
    DEFAULT_USER,
    LocalFSParams,
    Params,
    is_local_emulation,
    local_params,
    url_params,
)
from ..storage.registry import open_storage
from ..study import S3BIDSStudy
from .yaml_text import Document, read_document

if TYPE_CHECKING:
    import os

    from ..selection import SubjectChoice

#: The keys of a study file, and what each may hold.
ALLOWED = {
    "name": "a name that begins with a letter or digit and goes on with letters, digits, '.', '_' and '-'",
    "description": "text",
    "source": "text that says where the study is described",
    "terms": "text that says under which terms the data are given",
    "class": "S3BIDSStudy or HBNSite",
    "site": "a site of HBN (SI, RU, CBIC or CUNY), together with class: HBNSite",
    "layout": "nested, subject-first or standalone; with class: HBNSite subject-first",
    "bucket": "the name of a bucket",
    "prefix": "the root of the data set in the bucket, as text; without it, the top of the bucket",
    "local_root": "a directory that emulates S3 and holds the bucket as a directory; relative to the study file",
    "region": "a region, such as us-east-1",
    "endpoint_url": "the http:// or https:// address of an S3 server",
    "anon": "true or null (unsigned requests, the default), or false (signed)",
    "request_payer": "true or false",
    "profile": "a profile of the AWS configuration files, without anon: true",
    "subjects": "all (the default), a number from 1 on, an id, or a list of ids",
    "use_participants_tsv": "true or false",
    "random_seed": "a number from 0 to 4294967295",
    "derivatives": "all, a name, or a list of names",
    "participants": "the path of the participant table, relative to the root (default: participants.tsv), or none",
    "collection": "true or false; true if the prefix holds a directory for each data set",
}

#: Words for unsigned requests, besides true (other tools write the credentials of a public bucket as none).
_ANON_WORDS = ("none", "null", "anon")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


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

    def __post_init__(self) -> None:
        for key, is_wrong, why in self._rules():
            if is_wrong:
                raise _BadValueError(key, why)
        if self.study_class == "HBNSite":
            self._check_site(self.site or "")

    def _rules(self) -> list[tuple[str, bool, str]]:
        """Give each rule as key, whether it is broken, and what to say."""
        is_site = self.study_class == "HBNSite"
        number = isinstance(self.subjects, int)
        return [
            ("name", _NAME.fullmatch(self.name) is None, f"{self.name!r} cannot be the name of a directory"),
            ("bucket", not self.bucket or "/" in self.bucket, f"{self.bucket!r} cannot be the name of a bucket"),
            ("prefix", self.prefix == "/", "'/' is no prefix; leave it out for the top of the bucket"),
            ("site", self.site is not None and not is_site, "a site goes with class: HBNSite only"),
            ("class", is_site and self.site is None, "HBNSite needs a site as well"),
            ("layout", is_site and self.layout not in (None, "subject-first"), "an HBNSite is always subject-first"),
            ("endpoint_url", not _is_address(self.endpoint_url), f"{self.endpoint_url!r} is no address of a server"),
            ("region", self.region == "", "it is empty"),
            ("profile", self.profile == "", "it is empty"),
            ("profile", self.anon and self.profile is not None, "a profile signs requests, and anon is true"),
            ("subjects", number and int(str(self.subjects)) < 1, "at least one subject must be wanted"),
            ("subjects", not number and not self.subjects, "no subject is named"),
            ("participants", self.participants.startswith("/"), "it begins at the root of the study, without a slash"),
            ("participants", is_site and self.participants != PARTICIPANTS, f"a site has {PARTICIPANTS}"),
            ("collection", self.collection and is_site, "a site is one data set"),
            ("random_seed", not 0 <= (self.random_seed or 0) < 2**32, f"{self.random_seed} is out of range"),
        ]

    def _check_site(self, site: str) -> None:
        try:
            name = site_name(site)
        except ConfigError as error:
            raise _BadValueError("site", str(error)) from error
        if self.prefix.strip("/").rpartition("/")[2] != name:
            raise _BadValueError("prefix", f"it must end with the site's directory, {name}")

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
        A YAML file with the keys of :data:`ALLOWED`; a ``name`` that is left out is the file's own, without extension.

    Raises
    ------
    ConfigError
        If it cannot be read or makes no sense: names the file, the line, the key, what was found and what is allowed.
    """
    document = read_document(path)
    unknown = [key for key in document.values if key not in ALLOWED]
    if unknown:
        raise ConfigError(_unknown_text(document, unknown[0]))
    return _checked(document, _prepared(document))


def _unknown_text(document: Document, key: str) -> str:
    near = difflib.get_close_matches(key, ALLOWED, 1)
    hint = f"did you mean {near[0]!r}? Allowed" if near else "allowed"
    return f"{document.where(key)}: the key {key!r} is unknown; {hint} are {', '.join(ALLOWED)}"


def _prepared(document: Document) -> dict[str, Any]:
    """Give the fields of a config: what is null counts as not given, and single names stand for lists."""
    values = dict(document.values)
    anon = values.get("anon", False)
    if "anon" in values and (anon is None or str(anon).lower() in _ANON_WORDS):
        values["anon"] = True
    values = {key: value for key, value in values.items() if value is not None}
    values.setdefault("name", document.path.stem)
    values.setdefault("anon", "profile" not in values)
    if "subjects" in values:
        # YAML 1.1 reads 01 as the number 1, so the ids of a list are taken as they were written.
        values["subjects"] = document.texts("subjects") or values["subjects"]
    derivatives = values.get("derivatives")
    if isinstance(derivatives, str):
        values["derivatives"] = ("*",) if derivatives == "all" else (derivatives,)
    if isinstance(values.get("local_root"), str):
        values["local_root"] = str(document.path.absolute().parent / values["local_root"])
    if str(values.get("participants", "")).lower() == "none":
        values["participants"] = ""
    if "class" in values:
        values["study_class"] = values.pop("class")
    return values


def _checked(document: Document, values: dict[str, Any]) -> StudyConfig:
    """Check the types of all fields by pydantic, then what they say together."""
    from pydantic import ConfigDict, ValidationError, create_model

    hints = get_type_hints(StudyConfig)
    types: dict[str, Any] = {
        field.name: (hints[field.name], ... if field.default is MISSING else field.default)
        for field in fields(StudyConfig)
    }
    model = create_model("StudyFile", __config__=ConfigDict(extra="forbid", strict=True), **types)
    try:
        return StudyConfig(**model(**values).model_dump())
    except ValidationError as error:
        # pydantic's own text speaks of Python's types and does not know the line.
        problem = error.errors()[0]
        raise ConfigError(_bad_type_text(document, str(problem["loc"][0]), problem["type"])) from None
    except _BadValueError as error:
        raise ConfigError(f"{document.where(error.key)}: {error}") from None


def _bad_type_text(document: Document, field: str, kind: str) -> str:
    key = "class" if field == "study_class" else field
    if kind == "missing":
        return f"{document.where(key)}: the key {key!r} is missing; give {ALLOWED[key]}"
    quotes = "; put it in quotes to make it text" if kind == "string_type" else ""
    return f"{document.where(key)}: {key} is {document.shown(key)}; allowed is {ALLOWED[key]}{quotes}"


def shipped_studies() -> dict[str, Path]:
    """Give the study files that come with s3bids: name -> path, sorted by name.

    A wheel carries them inside the package; in a checkout they lie beside it.
    """
    here = Path(__file__).parent.parent
    folder = here / "_studies"
    if not folder.is_dir():
        folder = here.parent / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


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
    chosen = config.subjects if subjects is None else subjects
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


__all__ = ["ALLOWED", "StudyConfig", "list_members", "load_config", "open_study", "params_of", "shipped_studies"]
