"""The keys of a study file: what each may hold, the type that pydantic checks, and both as a JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ..downloading import MOST_JOBS

if TYPE_CHECKING:
    from pydantic import BaseModel

#: The keys of a study file, and what each may hold.
ALLOWED = {
    "extends": "the name of a shipped study, or a study file relative to this one, whose keys are taken over",
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
    "where": "a query on the participant table, such as age >= 8 and sex == 'F'",
    "sample": "a number from 1 on: so many subjects, drawn with random_seed",
    "balance": "a column of the participant table: as many subjects for each of its values",
    "require": "a suffix or datatype, or a list of them: subjects that lack one are left out",
    "derivatives": "all, a name, or a list of names",
    "suffix": "text that the names of the subjects' files end with",
    "filters": "entities and their values, such as {suffix: bold, run: [1, 2]}",
    "include": "a glob of paths, or a list of them: only these",
    "exclude": "a glob of paths, or a list of them: none of these",
    "keys": "a path in the study, or a list of them: only these files",
    "sidecars": "true or false: bring what the chosen files need",
    "fieldmaps": "true or false: bring the fieldmaps of the chosen files",
    "valid_subset": "true or false: cut tables and links of a subset down to what is there",
    "participants": "the path of the participant table, relative to the root (default: participants.tsv), or none",
    "collection": "true or false; true if the prefix holds a directory for each data set",
    "destination": "the directory of downloads, relative to the study file",
    "jobs": "a number of processes from 1 to 10000, or -1 for all cores (-2: all but one, and so on)",
    "verify": "size, etag (the default) or sha256",
    "overwrite": "true or false: replace files that differ and are not ours",
    "reserve": "bytes of the disk to keep free: a number, or text such as 50G",
}

#: Keys that may hold one text in place of a list.
LISTS = ("derivatives", "require", "include", "exclude", "keys")
_TYPES: dict[str, Any] = {
    **dict.fromkeys(ALLOWED, str),
    **dict.fromkeys(LISTS, tuple[str, ...]),
    **dict.fromkeys(("anon", "request_payer", "use_participants_tsv", "collection"), bool),
    **dict.fromkeys(("sidecars", "fieldmaps", "valid_subset", "overwrite"), bool),
    **dict.fromkeys(("random_seed", "sample", "jobs"), int),
    "class": Literal["S3BIDSStudy", "HBNSite"],
    "layout": Literal["nested", "subject-first", "standalone"],
    "verify": Literal["size", "etag", "sha256"],
    "subjects": int | str | tuple[str | int, ...],
    "filters": dict[str, Any],
    "reserve": int | str,
}
#: Keys that hold text and nothing else.
TEXTS = frozenset(key for key, kind in _TYPES.items() if kind is str)
#: What an editor may know besides: key -> type of JSON -> limits. The loader has the same rules, and others.
_LIMITS: dict[str, dict[str, dict[str, Any]]] = {
    "name": {"string": {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"}},
    "bucket": {"string": {"pattern": "^[^/]+$"}},
    "prefix": {"string": {"not": {"const": "/"}}},
    **{key: {"string": {"minLength": 1}} for key in ("local_root", "region", "profile", "balance", "destination")},
    "endpoint_url": {"string": {"pattern": "^https?://[^/]"}},
    "subjects": {"integer": {"minimum": 1}, "string": {"minLength": 1}, "array": {"minItems": 1}},
    "sample": {"integer": {"minimum": 1}},
    "jobs": {"integer": {"minimum": -MOST_JOBS, "maximum": MOST_JOBS, "not": {"const": 0}}},
    "random_seed": {"integer": {"minimum": 0, "maximum": 2**32 - 1}},
    **{key: {"string": {"minLength": 1}, "array": {"items": {"type": "string", "minLength": 1}}} for key in LISTS},
    "participants": {"string": {"pattern": "^(?!/)"}},
    "reserve": {
        "integer": {"minimum": 0},
        "string": {"pattern": r"^\s*[0-9]{1,15}(\.[0-9]{1,3})?[KMGTkmgt]?([iI]?[bB])?\s*$"},
    },
}
#: A value that a variable gives: as text, whatever the key holds else.
_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}
#: Text that looks like a number that is not whole is taken as it stands.
_FRACTION = {"type": "number", "not": {"type": "integer"}}


def study_model() -> type[BaseModel]:
    """Give the pydantic model of a study file: strict, without unknown keys."""
    from pydantic import ConfigDict, Field, create_model

    found: dict[str, Any] = {
        # A field cannot be named as Python's own word.
        f"{key}_": (
            kind if key == "bucket" else kind | None,
            Field(... if key == "bucket" else None, alias=key, description=ALLOWED[key]),
        )
        for key, kind in _TYPES.items()
    }
    config = ConfigDict(extra="forbid", strict=True, title="Study file of s3bids")
    return create_model("StudyFile", __config__=config, **found)


def study_schema() -> dict[str, Any]:
    """Give the JSON Schema of a study file, by which editors complete and check one as it is written."""
    schema = study_model().model_json_schema(by_alias=True)
    properties = {key: _property(key, schema["properties"][key]) for key in ALLOWED}
    # What is extended may name the bucket.
    schema.pop("required", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "properties": properties,
        "anyOf": [{"required": ["bucket"]}, {"required": ["extends"]}],
    }


def _property(key: str, found: dict[str, Any]) -> dict[str, Any]:
    """Allow null, one text for a list, and a variable; add what is known of the values, and drop what says nothing."""
    limits = _LIMITS.get(key, {})
    kinds = [{**kind, **limits.get(kind.get("type", ""), {})} for kind in found.get("anyOf", [found])]
    kinds = [{name: value for name, value in kind.items() if name not in ("title", "description")} for kind in kinds]
    if key in LISTS:
        kinds.append({"type": "string", **limits["string"]})
    if key == "anon":
        kinds.append({"enum": ["none", "null", "anon"]})
    if any(kind.get("type") == "string" and "enum" not in kind for kind in kinds):
        kinds.append(_FRACTION)
    if {"type": "string"} not in kinds:
        kinds.append(_VARIABLE)
    if {"type": "null"} not in kinds:
        kinds.append({"type": "null"})
    return {"description": ALLOWED[key], "anyOf": kinds}


__all__ = ["ALLOWED", "LISTS", "TEXTS", "study_model", "study_schema"]
