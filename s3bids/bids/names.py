"""File names of BIDS: from a name to its entities, suffix and extension, and back.

The parser is lenient, because public studies are: entities out of order, unknown entities, a hyphen inside a value
and an old suffix in the middle of a name are all read, and no name is ever refused. Nothing here says whether a name
is valid BIDS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConfigError
from . import schema

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Beginnings of the folders in which datatype folders lie (BIDS specification, "Filesystem structure", and templates).
#: What the directory of a subject begins with.
SUBJECT_PREFIX = "sub-"
_DATATYPE_PARENTS = ("sub-", "ses-", "tpl-", "cohort-")


@dataclass(frozen=True, slots=True)
class BIDSName:
    """What the name of one file says.

    Examples
    --------
    >>> name = parse("sub-01/ses-1/func/sub-01_ses-1_task-rest_run-02_bold.nii.gz")
    >>> name.subject, name.session, name.get("run"), name.suffix, name.extension, name.datatype
    ('sub-01', 'ses-1', '02', 'bold', '.nii.gz', 'func')
    """

    #: Pairs of short entity name and value, in the order of the file name; values are text and keep leading zeros.
    entities: tuple[tuple[str, str], ...]
    #: The last part of the stem, such as ``bold``; None if the stem ends in an entity.
    suffix: str | None
    #: From the first dot on, such as ``.nii.gz``; with a trailing slash for a folder that counts as one file
    #: (``.ds/``); empty if there is none.
    extension: str
    #: The datatype, if the file lies directly in a datatype folder of a subject, session or template; hence None for
    #: the tables in ``phenotype/`` at the root.
    datatype: str | None = None
    #: The first folder above the file that begins with ``sub-``; :attr:`subject` needs it if the name has no ``sub``.
    subject_folder: str | None = None
    #: The first folder above the file that begins with ``ses-``; :attr:`session` needs it if the name has no ``ses``.
    session_folder: str | None = None

    @property
    def subject(self) -> str | None:
        """The subject with its prefix, such as ``sub-01``: of the file name, else of the folders, else None."""
        label = self._value("sub")
        return self.subject_folder if label is None else f"sub-{label}"

    @property
    def session(self) -> str | None:
        """The session with its prefix, such as ``ses-1``: of the file name, else of the folders, else None."""
        label = self._value("ses")
        return self.session_folder if label is None else f"ses-{label}"

    def get(self, entity: str) -> str | None:
        """Return the value of one entity, without its name.

        Parameters
        ----------
        entity
            The short or the long name: ``ses`` or ``session``.

        Returns
        -------
        str or None
            The value as text. Subject and session are looked for in the folders too, everything else in the file name
            alone. If a name has an entity twice, the first counts.

        Examples
        --------
        >>> parse("sub-01/fmap/sub-01_dir-PA_acq-fMRI_epi.nii.gz").get("acquisition")
        'fMRI'
        >>> parse("sub-01/surf/lh.pial").get("subject")
        '01'
        """
        short = schema.short_name(entity)
        if short == "sub":
            return _label(self.subject)
        if short == "ses":
            return _label(self.session)
        return self._value(short)

    def _value(self, short: str) -> str | None:
        for name, value in self.entities:
            if name == short:
                return value
        return None


def parse(path: str) -> BIDSName:
    """Read the name of a file.

    - The stem is split at each ``_``, and each chunk at its first ``-``, so a value may hold further hyphens. A chunk
      that has no hyphen, or nothing on one side of it, is passed over; a last chunk without a hyphen is the suffix
      (of ``dataset_description.json`` that is ``description``).
    - The extension begins at the first dot.
    - The members of a folder that counts as one file (``x_meg.ds/``, ``.mefd/``, ``.ome.zarr/``) have the entities, the
      suffix and the extension of the folder, and the extension keeps the slash of the BIDS schema: ``.ds/``. The
      outermost such folder counts. A path that ends in ``/`` is the folder itself; the same path without the slash
      is a file with the extension ``.ds``.
    - A dot-file (``.bidsignore``) is hidden for BIDS: it has no entities, no suffix and no extension.

    Parameters
    ----------
    path
        A key relative to the root of the dataset, or a bare file name. Any text is accepted.

    Returns
    -------
    BIDSName
        What could be read. Made anew at every call: nothing is remembered.

    Examples
    --------
    >>> parse("sub-1_dwi_space-RASMM_desc-prob-afq_tractography.trk").entities
    (('sub', '1'), ('space', 'RASMM'), ('desc', 'prob-afq'))
    >>> member = parse("sub-01/meg/sub-01_task-AEF_meg.ds/BadChannels")
    >>> member.suffix, member.extension, member.datatype
    ('meg', '.ds/', 'meg')
    """
    folders = path.split("/")
    name = folders.pop()
    stem, extension = _split_name(name)
    for depth, folder in enumerate(folders):
        # The test for a dot spares almost every folder of a large listing the comparison of extensions.
        if "." in folder and (found := _directory_extension(folder)):
            stem, extension = folder.removesuffix(found[:-1]), found
            del folders[depth:]
            break
    else:
        if not name and folders:
            stem, extension = _split_name(folders.pop())
    entities, suffix = _split_stem(stem)
    return BIDSName(
        entities, suffix, extension, _datatype(folders), _first(folders, prefix="sub-"), _first(folders, prefix="ses-")
    )


def format_name(
    entities: Iterable[tuple[str, str]], *, suffix: str | None = None, extension: str = "", keep_order: bool = False
) -> str:
    """Make a file name.

    Parameters
    ----------
    entities
        Pairs of short name and value. Values are written as they are: ``("run", "01")`` gives ``run-01``.
    suffix
        The last part of the stem, such as ``bold``.
    extension
        With its leading dot, such as ``.nii.gz``.
    keep_order
        Write the entities in the order given, not in that of the standard. In the order of the standard, entities that
        BIDS does not know come last, in the order given.

    Returns
    -------
    str
        A name that :func:`parse` reads as these entities (in the order written), this suffix and this extension.

    Raises
    ------
    ConfigError
        If there is no such name: all parts are empty, or one of them holds a character that separates the parts.

    Examples
    --------
    >>> format_name([("dir", "AP"), ("acq", "fMRI"), ("sub", "01")], suffix="epi", extension=".nii.gz")
    'sub-01_acq-fMRI_dir-AP_epi.nii.gz'
    """
    written = tuple(entities) if keep_order else _in_order(entities)
    chunks = [f"{name}-{value}" for name, value in written]
    if suffix is not None:
        chunks.append(suffix)
    text = "_".join(chunks) + extension
    read = parse(text)
    if not text or (read.entities, read.suffix, read.extension) != (written, suffix, extension):
        raise ConfigError(
            f"cannot make a file name of entities {written}, suffix {suffix!r} and extension {extension!r}: {text!r} "
            "would not be read back as these; use letters, digits and '+' in the parts, and begin the extension with "
            "a dot"
        )
    return text


def subject_label(text: str) -> str:
    """Return a subject's id with its prefix.

    Only the prefix is normalised: zeros and letter case stay as they are.

    Parameters
    ----------
    text
        The label, with ``sub-`` or without.

    Returns
    -------
    str
        The id as the package writes it, such as ``sub-01``.

    Raises
    ------
    ConfigError
        If the label is empty or blank, or holds a ``/``.

    Examples
    --------
    >>> subject_label("01"), subject_label("sub-01")
    ('sub-01', 'sub-01')
    """
    label = text.removeprefix("sub-")
    if not label.strip():
        raise ConfigError(f"the subject {text!r} has no label; write it like '01' or 'sub-01'")
    if "/" in label:
        raise ConfigError(f"the subject {text!r} holds a '/'; give the label alone, like '01' or 'sub-01'")
    return f"sub-{label}"


def is_subject_directory(name: str) -> bool:
    """Tell whether a directory of this name is a subject's.

    Parameters
    ----------
    name
        One path component, without slashes.

    Returns
    -------
    bool
        True if it begins with ``sub-`` and has a label after that. The label is taken literally.

    Examples
    --------
    >>> is_subject_directory("sub-A-02"), is_subject_directory("sub-"), is_subject_directory("subject")
    (True, False, False)
    """
    return name.startswith("sub-") and len(name) > len("sub-") and "/" not in name


def _split_name(name: str) -> tuple[str, str]:
    """Return stem and extension; both are empty for a dot-file."""
    if name.startswith("."):
        return "", ""
    stem, dot, rest = name.partition(".")
    return stem, dot + rest


def _split_stem(stem: str) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """Return entities and suffix."""
    chunks = stem.split("_")
    suffix = None if "-" in chunks[-1] else chunks.pop() or None
    entities = []
    for chunk in chunks:
        name, _, value = chunk.partition("-")
        if name and value:
            entities.append((name, value))
    return tuple(entities), suffix


def _directory_extension(folder: str) -> str | None:
    """Return the extension (with its slash) of a folder that counts as one file, None for any other folder."""
    if folder.startswith("."):
        return None
    # The end counts here, not the first dot: the members of a folder with a stray dot in its name have no name of
    # their own to fall back on.
    return next((ext for ext in schema.directory_extensions() if folder.endswith(ext[:-1])), None)


def _datatype(folders: list[str]) -> str | None:
    """Return the datatype that the folders above a file say."""
    if len(folders) < 2 or folders[-1] not in schema.datatypes():
        return None
    return folders[-1] if folders[-2].startswith(_DATATYPE_PARENTS) else None


def _first(folders: list[str], *, prefix: str) -> str | None:
    """Return the first folder that has a label after a prefix."""
    for folder in folders:
        if folder.startswith(prefix) and folder != prefix:
            return folder
    return None


def _label(text: str | None) -> str | None:
    """Return what follows the first hyphen of ``sub-01`` or ``ses-1``."""
    return None if text is None else text.partition("-")[2]


def _in_order(entities: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Sort entities as the standard does; the sort is stable, so unknown ones keep their order."""
    rank = {name: position for position, name in enumerate(schema.entity_order())}
    return tuple(sorted(entities, key=lambda pair: rank.get(pair[0], len(rank))))
