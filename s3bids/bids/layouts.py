"""Where the raw data and the derivatives of a subject live below the root of a data set.

Three arrangements occur on public buckets. They are values of one class, so that nothing above has to ask which one it
deals with:

==============  ====================================  =========================================
layout          raw data                              derivatives
==============  ====================================  =========================================
``nested``      ``sub-X/...``                         ``derivatives/<pipeline>/sub-X/...``
``subject-first``  ``sub-X/...``                      ``derivatives/sub-X/<pipeline>/...`` (HBN)
``standalone``  none: the root is one derivative      ``sub-X/...``, further ones as in ``nested``
==============  ====================================  =========================================

Derivatives of derivatives, ``derivatives/<pipeline>/derivatives/<further>/sub-X/...``, go by the name
``<pipeline>/<further>``; the first and the last arrangement have them.

BIDS specification, "Storage of derived datasets"; the second arrangement is HBN's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from .names import is_subject_directory

if TYPE_CHECKING:
    from collections.abc import Iterable

DERIVATIVES = "derivatives"


@dataclass(frozen=True, slots=True)
class Place:
    """To whom a file belongs."""

    #: The subject with its prefix, such as ``sub-01``; None for a file of the whole data set or derivative.
    subject: str | None
    #: The derivative's name; None for raw data, ``""`` for a file in ``derivatives/`` that belongs to none.
    derivative: str | None


class Layout(StrEnum):
    """An arrangement of raw data and derivatives; its value is the word users write."""

    NESTED = "nested"
    SUBJECT_FIRST = "subject-first"
    STANDALONE = "standalone"

    def subject_prefixes(self, subject: str, derivatives: Iterable[str]) -> list[str]:
        """Give the directories, relative to the root, that hold one subject's files.

        Parameters
        ----------
        subject
            With its prefix, such as ``sub-01``.
        derivatives
            Names of the derivatives wanted; a subject-first layout has one directory for them all.

        >>> Layout.NESTED.subject_prefixes("sub-1", ["afq"])
        ['sub-1/', 'derivatives/afq/sub-1/']
        >>> Layout.SUBJECT_FIRST.subject_prefixes("sub-1", ["afq"])
        ['sub-1/', 'derivatives/sub-1/']
        """
        names = list(derivatives)
        if self is Layout.SUBJECT_FIRST:
            return [f"{subject}/", *([f"{DERIVATIVES}/{subject}/"] if names else [])]
        return [f"{subject}/", *(f"{self.derivative_root(name)}/{subject}/" for name in names)]

    def derivative_root(self, derivative: str) -> str:
        """Give the root of the data set that a derivative is; a subject-first layout has one for them all.

        >>> Layout.NESTED.derivative_root("afq"), Layout.NESTED.derivative_root("qsiprep/dlqc")
        ('derivatives/afq', 'derivatives/qsiprep/derivatives/dlqc')
        """
        if self is Layout.SUBJECT_FIRST or not derivative:
            return DERIVATIVES
        return "/".join(f"{DERIVATIVES}/{name}" for name in derivative.split("/"))

    def description_path(self, derivative: str) -> str:
        """Give the path of the ``dataset_description.json`` that describes a derivative.

        >>> Layout.NESTED.description_path("afq")
        'derivatives/afq/dataset_description.json'
        """
        return f"{self.derivative_root(derivative)}/dataset_description.json"

    def place(self, path: str) -> Place:
        """Say to whom a file belongs.

        Parameters
        ----------
        path
            The key relative to the root of the data set.

        >>> Layout.NESTED.place("derivatives/afq/sub-1/x.csv")
        Place(subject='sub-1', derivative='afq')
        >>> Layout.SUBJECT_FIRST.place("derivatives/sub-1/qsiprep/sub-1/dwi/x.txt")
        Place(subject='sub-1', derivative='qsiprep')
        >>> Layout.NESTED.place("derivatives/qsiprep/derivatives/dlqc/sub-1/x.json")
        Place(subject='sub-1', derivative='qsiprep/dlqc')
        """
        parts = path.split("/")
        if parts[0] != DERIVATIVES or len(parts) == 1:
            return Place(_subject(parts, 0), None)
        if self is Layout.SUBJECT_FIRST and _subject(parts, 1) is not None:
            return Place(parts[1], parts[2] if len(parts) > 3 else "")
        if len(parts) == 2:
            return Place(None, "")
        at = 1
        while len(parts) > at + 3 and parts[at + 1] == DERIVATIVES:
            at += 2
        return Place(_subject(parts, at + 1), "/".join(parts[1 : at + 1 : 2]))


def _subject(parts: list[str], index: int) -> str | None:
    """Give the subject directory at `index`; a file, which is the last part, is none."""
    if index < len(parts) - 1 and is_subject_directory(parts[index]):
        return parts[index]
    return None
