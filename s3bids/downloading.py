"""The arguments that all downloads share, checked once; and the step from a catalog to files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .catalog import Catalog
from .errors import ConfigError, DownloadError
from .selection import as_index
from .transfer.download import Options, download
from .transfer.plan import Wanted
from .transfer.progress import Bar, silent
from .transfer.report import failure_message
from .transfer.verify import Verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .storage.base import Storage
    from .transfer.progress import Event
    from .transfer.report import DownloadReport, Failure


#: More processes than this are a mistake, and more than joblib can count.
MOST_JOBS = 10_000


def check_options(
    *,
    overwrite: object = False,
    pbar: object = False,
    n_jobs: object = None,
    verify: object = "etag",
    dry_run: object = False,
    emit: Callable[[Event], None] | None = None,
    reserve: object = 0,
    allow_other_study: object = False,
) -> Options:
    """Check the arguments that all downloads have, and give them as one value."""
    check_flags(overwrite=overwrite, pbar=pbar, dry_run=dry_run, allow_other_study=allow_other_study)
    jobs = None if n_jobs is None else as_index(n_jobs)
    if n_jobs is not None and jobs is None:
        raise TypeError(f"n_jobs must be an integer or None, not {type(n_jobs).__name__}")
    if jobs == 0:
        raise ValueError("n_jobs is 0; give at least 1, or -1 for all cores")
    if jobs is not None and abs(jobs) > MOST_JOBS:
        raise ConfigError(f"n_jobs is {jobs}; no machine runs so many processes; -1 stands for all cores")
    if verify not in list(Verify):
        raise ConfigError(f"verify is {verify!r}; choose from {', '.join(Verify)}")
    kept_free = as_index(reserve)
    if kept_free is None or kept_free < 0:
        raise ConfigError(f"reserve is {reserve!r}; give a number of bytes that are to stay free, from 0 on")
    return Options(
        reserve=kept_free,
        allow_other_study=bool(allow_other_study),
        verify=Verify(str(verify)),
        overwrite=bool(overwrite),
        dry_run=bool(dry_run),
        n_jobs=jobs,
        emit=emit or (Bar() if pbar and not dry_run else silent),
    )


def check_flags(**flags: object) -> None:
    """Refuse a value that is neither True nor False."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, not {type(value).__name__}")


def check_suffix(suffix: object) -> None:
    """Refuse a suffix that is no text."""
    if suffix is not None and not isinstance(suffix, str):
        raise TypeError(f"suffix must be text or None, not {type(suffix).__name__}")


def check_directory_argument(directory: object) -> Path:
    """Give the directory of a download as an absolute path."""
    if not isinstance(directory, str | os.PathLike):
        raise TypeError(f"directory must be a path, not {type(directory).__name__}")
    if not os.fspath(directory):
        raise ConfigError("directory is empty; name the directory to download to")
    if "://" in os.fsdecode(directory):
        # As a path it would be a folder called "s3:".
        raise ConfigError(f"directory is {os.fsdecode(directory)!r}, an address; name a directory of this computer")
    return Path(os.path.abspath(os.fspath(directory)))  # noqa: PTH100 - links in the path are the user's own


def wanted_of(catalog: Catalog) -> Wanted:
    """Give the objects of a catalog with their targets: the key without the study's prefix."""
    return Wanted(catalog.keys, catalog.paths, catalog.sizes, catalog.etags, catalog.modified)


def execute(
    storage: Storage,
    catalog: Catalog | Iterable[Catalog],
    directory: Path,
    options: Options,
    lost: Sequence[Failure] = (),
) -> DownloadReport:
    """Download the objects of a catalog, or of its parts as they come; the report lists the `lost` ones as well.

    Raises
    ------
    DownloadError
        If files failed, after everything else was done; it carries the report.
    """
    wanted = wanted_of(catalog) if isinstance(catalog, Catalog) else map(wanted_of, catalog)
    return bring(storage, wanted, directory, options, lost)


def bring(
    storage: Storage,
    wanted: Wanted | Iterable[Wanted],
    directory: Path,
    options: Options,
    lost: Sequence[Failure] = (),
) -> DownloadReport:
    """Download objects; see :func:`execute`."""
    report = download(storage, wanted, directory, options)
    if lost:
        failed = (*report.failed_files, *lost)
        report = replace(report, failed=len(failed), failed_files=failed)
    if report.failed and not options.dry_run:
        raise DownloadError(failure_message(report, directory), report)
    return report


def about_run(
    study: str, source: str, subjects: Sequence[str] | None, derivatives: Sequence[str], **chosen: object
) -> dict[str, Any]:
    """Say for the manifest what a run is to bring, and by which version of s3bids.

    Parameters
    ----------
    study, source
        The study's name, and where it is.
    subjects
        Their ids; None for all.
    derivatives
        Names or globs.
    chosen
        Whatever else was chosen; what is None or empty is left out.
    """
    selection = {"subjects": "all" if subjects is None else list(subjects), "derivatives": list(derivatives), **chosen}
    return {
        "tool": f"s3bids {__version__}",
        "study": study,
        "source": source,
        "selection": {name: value for name, value in selection.items() if value not in (None, [], ())},
    }


def files_present(report: DownloadReport, directory: Path) -> dict[str, str]:
    """Give the files of a finished download that are on disk: key -> absolute path."""
    plan = report.plan
    if plan is None or report.dry_run:
        return {}
    missing = {failure.target for failure in report.failed_files}
    missing |= {conflict.target for conflict in report.conflicting_files if not (directory / conflict.target).is_file()}
    targets = zip(plan.wanted.keys, plan.wanted.targets, strict=True)
    return {key: str(directory / target) for key, target in targets if target not in missing}
