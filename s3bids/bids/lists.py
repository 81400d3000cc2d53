"""Lists that users write into files: subjects, keys, and filters as JSON."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from ..errors import ConfigError
from .names import subject_label
from .participants import parse_participants

_LINES = re.compile(r"\r\n|\n|\r")
_HEADERS = ("participant_id", "subject_id")


def parse_subjects(data: bytes, *, source: str) -> list[str]:
    r"""Read a list of subjects.

    Either one id a line, with or without ``sub-``, where empty lines and lines that begin with ``#`` do not count; or a
    participant table, known by its header.

    Raises
    ------
    ConfigError
        If there is no subject, or a line holds more than one word; names the line.
    ParticipantsError
        If a table cannot be read.

    Examples
    --------
    >>> parse_subjects(b"# pilot\n01\nsub-02\n", source="subjects.txt")
    ['sub-01', 'sub-02']
    """
    lines = list(_numbered(data, source))
    first = re.split(r"[\t,]", lines[0][1])[0].strip() if lines else ""
    if first in _HEADERS:
        return list(parse_participants(data, source=source).ids)
    found = []
    for number, line in lines:
        if len(line.split()) > 1 or "," in line:
            raise ConfigError(f"{source}, line {number}: {line!r} is no subject; write one id a line")
        found.append(subject_label(line))
    if not found:
        raise ConfigError(f"{source} names no subject; write one id a line")
    return list(dict.fromkeys(found))


def parse_keys(data: bytes, *, source: str) -> list[str]:
    r"""Read a list of keys or paths, one a line; empty lines and lines that begin with ``#`` do not count.

    Raises
    ------
    ConfigError
        If there is none.

    >>> parse_keys(b"sub-01/anat/sub-01_T1w.nii.gz\n\n", source="keys.txt")
    ['sub-01/anat/sub-01_T1w.nii.gz']
    """
    found = [line for _, line in _numbered(data, source)]
    if not found:
        raise ConfigError(f"{source} names no file; write one path from the root of the study on, or one key, a line")
    return list(dict.fromkeys(found))


def _numbered(data: bytes, source: str) -> list[tuple[int, str]]:
    """Give the lines that count, with their numbers from 1 on."""
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source} is no text in UTF-8; write one name a line") from error
    lines = ((number, line.strip()) for number, line in enumerate(_LINES.split(text), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def parse_filter_json(data: bytes, *, source: str) -> dict[str, Any]:
    """Read the JSON of fMRIPrep's ``--bids-filter-file``; :func:`s3bids.bids.filters.parse_filters` takes the result.

    Raises
    ------
    ConfigError
        If it is no JSON object; names the line.

    >>> parse_filter_json(b'{"t1w": {"session": "01"}}', source="filters.json")
    {'t1w': {'session': '01'}}
    """
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{source}, line {error.lineno}: this is no JSON ({error.msg})") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{source} is no JSON in UTF-8") from error
    if not isinstance(found, dict):
        raise ConfigError(f'{source} holds no JSON object; a filter file looks like {{"bold": {{"task": "rest"}}}}')
    return found
