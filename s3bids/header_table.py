"""The headers of a study's images as one table, to look at them before terabytes are downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bids.names import parse
from .choice import choosing
from .errors import S3BIDSError
from .loading import is_image
from .narrowing import narrow
from .neuro.headers import ImageHeader, read_headers

if TYPE_CHECKING:
    import pandas as pd

    from .catalog import Catalog, Entry
    from .listed_study import ListedStudy

#: The columns of the table: where the image is, what its name says, what its header says, and what is wrong with it.
COLUMNS = (
    "path", "subject", "session", "datatype", "suffix", "bytes", "format", "dtype", "shape", "volumes", "x_mm", "y_mm",
    "z_mm", "tr_s", "orientation", "error",
)  # fmt: skip
_NUMBERS = {
    "bytes": "int64",
    "volumes": "Int64",
    "x_mm": "float64",
    "y_mm": "float64",
    "z_mm": "float64",
    "tr_s": "float64",
}


def header_rows(
    study: ListedStudy, *, suffix: str | None = None, filters: object = None, where: str | None = None
) -> list[dict[str, Any]]:
    """Read the headers of the chosen subjects' images side by side, one small request each.

    Parameters
    ----------
    suffix
        Only images whose names end with this text.
    filters, where
        Only images of such names, and of such subjects, as in :func:`s3bids.choice.choosing`.

    Returns
    -------
    list of dict
        One row an image, sorted by path: :data:`COLUMNS`. A value that there is not is None; `error` says why an image
        could not be read, and then there is nothing of its header.
    """
    catalog = _narrowed(study, suffix, filters, where)
    entries = [entry for entry in catalog if is_image(entry.path)]
    headers = read_headers(study.storage, [entry.key for entry in entries])
    return [_row(entry, header) for entry, header in zip(entries, headers, strict=True)]


def _narrowed(study: ListedStudy, suffix: str | None, filters: object, where: str | None) -> Catalog:
    if filters is None and where is None:
        return study.dataset_catalog(suffix=suffix)
    choice = choosing(filters=filters, where=where, with_sidecars=False)
    return narrow(study, choice, study._candidate_selection(choice, suffix)).catalog


def header_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Give rows as a table of pandas: numbers as numbers, everything else as text."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({name: _NUMBERS.get(name, "string") for name in COLUMNS})


def _row(entry: Entry, header: ImageHeader | S3BIDSError) -> dict[str, Any]:
    name = parse(entry.path)
    row = dict.fromkeys(COLUMNS) | {
        "path": entry.path,
        "subject": entry.subject,
        "session": name.session,
        "datatype": name.datatype,
        "suffix": name.suffix,
        "bytes": entry.size,
    }
    if isinstance(header, S3BIDSError):
        return row | {"error": str(header)}
    sizes = (*header.voxel_sizes, None, None, None)[:3]
    return row | {
        "format": header.format,
        "dtype": header.dtype,
        "shape": "x".join(map(str, header.shape)),
        "volumes": header.volumes,
        **dict(zip(("x_mm", "y_mm", "z_mm"), sizes, strict=True)),
        "tr_s": header.repetition_time,
        "orientation": header.orientation,
    }
