"""The way of a download through a study: choose, list, transfer, finish."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .catalog import Catalog
from .choice import Choosing
from .downloading import about_run, check_directory_argument, check_flags, check_options, check_suffix, execute
from .errors import ConfigError, DownloadError
from .finishing import NOTHING_AFTER, PLAIN, After, Finish, after_retry, begin, remembered
from .listed_study import ListedStudy
from .narrowing import narrow, undescribed_in
from .retry_failed import RetryChoice, find_failed
from .selection import ALL, DerivativeChoice, require_matches
from .subject import note_files
from .transfer.destination import check_directory

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from .subject import S3BIDSSubject
    from .transfer.download import Options
    from .transfer.report import DownloadReport, Failure

DESCRIPTION = "dataset_description.json"


class BringingStudy(ListedStudy):
    """A study that brings what was chosen; :class:`~s3bids.study.S3BIDSStudy` has the methods for users."""

    def _download(
        self,
        subjects: Sequence[S3BIDSSubject],
        directory: object,
        *,
        root: object = False,
        derivatives: DerivativeChoice = False,
        derivative_root: tuple[str, ...] | str = (),
        suffix: str | None = None,
        choice: Choosing | None = None,
        must_match: bool = False,
        retry_failed: bool = False,
        again: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> DownloadReport:
        """Bring what was chosen.

        Parameters
        ----------
        again
            What the manifest is to ask for at the next update, if not just this: an update is no choice of its own.
        """
        checked = check_options(**options)
        check_flags(retry_failed=retry_failed)
        if retry_failed and choice is not None and choice.is_active:
            raise ConfigError(f"retry_failed brings what failed before; leave out {', '.join(choice.given)}")
        target = check_directory_argument(directory)
        rules = {"root": root, "derivative_root": derivative_root}
        kept = {} if again is None else {"asked": dict(again)}
        checked = replace(checked, about=self._about(subjects, derivatives, suffix, rules) | kept)
        if retry_failed:
            failed, lost = find_failed(self._data_set, target, self._retry_choice(subjects, derivatives, suffix))
            return self._bring(failed, target, checked, str(directory), [*subjects], lost, after_retry(target))
        selection = self._selection(subjects, root, derivatives, derivative_root, suffix)
        if choice is not None and choice.is_active:
            wanted = replace(selection, subjects=tuple(self._candidates(subjects, choice)))
            narrowed = narrow(self, choice, wanted, must_match=must_match)
            chosen = self._subjects_of(narrowed.subjects)
            asked = {"arguments": choice.given, "seed": narrowed.seed, "subjects": len(chosen)}
            after = After(choice.valid_subset and narrowed.is_subset, narrowed.undescribed, asked)
            checked = replace(
                checked,
                about=self._about(chosen, derivatives, suffix, rules, wanted.subjects, choice.given, narrowed.seed)
                | kept,
            )
            return self._bring(narrowed.catalog, target, checked, str(directory), chosen, after=after)
        parts = self._parts(subjects, selection)
        after = PLAIN
        if must_match and isinstance(parts, Catalog):
            require_matches(parts, selection)
            if selection.derivatives:
                after = replace(PLAIN, undescribed=undescribed_in(parts, self.s3_prefix))
        return self._bring(parts, target, checked, str(directory), subjects, after=after)

    def _bring(
        self,
        parts: Catalog | Iterable[Catalog],
        target: Path,
        options: Options,
        directory: str,
        subjects: Sequence[S3BIDSSubject] = (),
        lost: Sequence[Failure] = (),
        after: After = NOTHING_AFTER,
    ) -> DownloadReport:
        """Download a catalog, which may come in parts, and finish the directory; `lost` are known to fail."""
        if not options.dry_run and directory not in self._local_directories:
            check_directory(target)
            self._local_directories.append(directory)
        came = [parts] if isinstance(parts, Catalog) else []
        whole = parts if isinstance(parts, Catalog) else remembered(parts, came)
        coming, finish = begin(whole, came, target, self.storage.location, after)
        try:
            report = execute(self.storage, coming, target, options, lost)
        except DownloadError as error:
            error.report = self._finish(finish, error.report, subjects)
            raise
        return self._finish(finish, report, subjects)

    def _retry_choice(
        self, subjects: Sequence[S3BIDSSubject], derivatives: DerivativeChoice, suffix: str | None
    ) -> RetryChoice:
        check_suffix(suffix)
        chosen = frozenset(subject.subject_id for subject in subjects)
        # With all subjects chosen, those are meant too that have gone since.
        everyone = chosen >= set(self._all_subjects)
        return RetryChoice(None if everyone else chosen, self._patterns(derivatives), suffix)

    def _about(
        self,
        subjects: Sequence[S3BIDSSubject],
        derivatives: DerivativeChoice,
        suffix: str | None,
        rules: Mapping[str, Any],
        candidates: Sequence[str] | None = None,
        asked: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> dict[str, Any]:
        """Say for the manifest what a run is to bring, for people and to be asked for again.

        Parameters
        ----------
        subjects, derivatives, suffix
            What was chosen.
        rules
            Which files at the roots come.
        candidates
            The subjects that the choice was made among; by default the chosen ones.
        asked, seed
            Further arguments, and what a sample was drawn with.
        """
        chosen = sorted(subject.subject_id for subject in subjects)
        everyone = sorted(self._all_subjects)
        among = chosen if candidates is None else sorted(candidates)
        patterns = self._patterns(derivatives)
        further = {"random_seed": self.random_seed, **(asked or {})}
        if seed is not None:
            further["random_seed"] = seed
        source = f"{self.storage.location}/{self.s3_prefix}".rstrip("/")
        ids = None if chosen == everyone else chosen
        about = about_run(self.study_id, source, ids, patterns, suffix=suffix, **further)
        again = {
            **rules,
            "subjects": "all" if among == everyone else among,
            "chosen": chosen,
            "derivatives": patterns,
            "suffix": suffix,
            "choice": dict(asked or {}),
        }
        place = {"location": self.storage.location, "prefix": self.s3_prefix, "layout": self.layout}
        if "sample" not in again["choice"] and "balance" not in again["choice"]:
            again.pop("chosen")
        return {**about, **place, "participants": self._data_set.participants, "asked": again}

    def _finish(self, finish: Finish, report: DownloadReport, subjects: Sequence[S3BIDSSubject]) -> DownloadReport:
        """Finish a directory and learn what a download has brought, also when some of it failed."""
        report = finish(report)
        if subjects and not report.dry_run:
            present = finish.present(report)
            for catalog in finish.parts:
                note_files(subjects, catalog, present)
        return report

    def _download_non_sub_keys(
        self,
        directory: str | os.PathLike[str],
        select: str | Sequence[str] = (DESCRIPTION,),
        filenames: Sequence[str] | None = None,
        *,
        overwrite: bool = False,
    ) -> DownloadReport:
        """Download files of the whole study: those of `filenames` (``bucket/key``) whose names are in `select`.

        `filenames` are by default ``non_sub_s3_keys['raw']``; a directory among them comes with its content. `select`
        is ``'all'`` or file names.
        """
        options = check_options(overwrite=overwrite)
        target = check_directory_argument(directory)
        names = [select] if isinstance(select, str) else list(select)
        chosen = self.non_sub_s3_keys["raw"] if filenames is None else filenames
        paths = [name.removeprefix(f"{self.bucket}/") for name in chosen]
        if names != [ALL]:
            paths = [path for path in paths if path.rpartition("/")[2] in names]
        return self._bring(self._data_set.tree_catalog(paths), target, options, str(directory))

    def _download_derivative_descriptions(
        self, include_derivs: DerivativeChoice, directory: str | os.PathLike[str], *, overwrite: bool = False
    ) -> DownloadReport:
        """Download the ``dataset_description.json`` of each chosen derivative; one without it is no error."""
        options = check_options(overwrite=overwrite)
        target = check_directory_argument(directory)
        selection = self._selection((), (), include_derivs, (DESCRIPTION,))
        return self._bring(self._parts((), selection), target, options, str(directory))
