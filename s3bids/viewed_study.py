"""A study as people look at it: its coverage as a page and as plots, and its card in a notebook."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .display import card, some
from .errors import ObjectNotFoundError, ParticipantsError
from .listed_study import ListedStudy
from .narrowing import narrow
from .selection import ALL, FILES, DerivativeChoice

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from .bids.participants import Participants
    from .catalog import Catalog
    from .choice import Choosing
    from .report.coverage import Coverage

logger = logging.getLogger(__name__)


class ViewedStudy(ListedStudy):
    """What shows a study; :class:`~s3bids.study.S3BIDSStudy` adds the downloads."""

    def _repr_html_(self) -> str:
        chosen = [subject.subject_id for subject in self.subjects]
        rows = [
            ("source", f"{self.storage.location}/{self.s3_prefix}".rstrip("/")),
            ("subjects", f"{len(chosen):,} of {len(self._all_subjects):,}: {some(chosen)}"),
            ("layout", str(self.layout)),
        ]
        if self.local_directories:
            rows.append(("downloaded to", some(self.local_directories)))
        return card(f"{type(self).__name__} {self.study_id}", rows)

    def write_report(
        self,
        path: str | os.PathLike[str],
        include_derivs: DerivativeChoice = False,  # noqa: FBT002 - as download has it
    ) -> Path:
        """Write the coverage page: one HTML file that shows what the chosen subjects have, and opens offline.

        Lists the chosen subjects and reads the participant table; no data are fetched.

        Parameters
        ----------
        path
            A file name that ends in ``.html``; a file of this name is replaced.
        include_derivs
            Derivatives to show as well.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        ConfigError
            If the name does not end in ``.html``, or its folder does not exist; nothing was listed.
        DestinationError
            If the file cannot be written.
        """
        from .report.page import check_page_name, write_page

        check_page_name(path)
        return write_page(path, self._coverage(include_derivs), now=datetime.now().astimezone())

    def plot_coverage(self, include_derivs: DerivativeChoice = False, *, ax: Axes | None = None) -> Axes:  # noqa: FBT002
        """Draw which subject has what: subjects by datatype and suffix, coloured by the number of recordings.

        Parameters
        ----------
        include_derivs
            Derivatives to show as well.
        ax
            Where to draw; by default into a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        MissingPackageError
            If matplotlib is not installed.
        """
        from .report.plots import plot_coverage, require_matplotlib

        require_matplotlib()
        return plot_coverage(self._coverage(include_derivs), ax=ax)

    def plot_sizes(
        self,
        include_derivs: DerivativeChoice = False,  # noqa: FBT002 - as download has it
        *,
        by: str = "datatype",
        ax: Axes | None = None,
    ) -> Axes:
        """Draw how large the parts of the study are.

        Parameters
        ----------
        include_derivs
            Derivatives to show as well.
        by
            ``datatype``, ``derivative`` or ``session``.
        ax
            Where to draw; by default into a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        MissingPackageError
            If matplotlib is not installed.
        ConfigError
            If `by` is another word.
        """
        from .report.plots import check_part, plot_sizes, require_matplotlib

        check_part(by)
        require_matplotlib()
        return plot_sizes(self._coverage(include_derivs), by=by, ax=ax)

    def dataset_catalog(self, *, derivatives: DerivativeChoice = False, suffix: str | None = None) -> Catalog:
        """List what :meth:`~s3bids.study.S3BIDSStudy.download_dataset` would bring."""
        return self._catalog(self.subjects, self._selection(self.subjects, **self._dataset_choice(derivatives, suffix)))

    def _dataset_choice(self, derivatives: DerivativeChoice, suffix: str | None) -> dict[str, Any]:
        chosen = {subject.subject_id for subject in self.subjects}
        rule = ALL if chosen == set(self._all_subjects) else FILES
        return {"root": rule, "derivatives": derivatives, "derivative_root": rule, "suffix": suffix}

    def dataset_coverage(
        self, *, derivatives: DerivativeChoice = False, suffix: str | None = None, choice: Choosing | None = None
    ) -> Coverage:
        """Give what :meth:`~s3bids.study.S3BIDSStudy.download_dataset` would bring, ready for a page or a plot.

        Parameters
        ----------
        derivatives, suffix
            As in :meth:`~s3bids.study.S3BIDSStudy.download_dataset`.
        choice
            Its further arguments, as :func:`s3bids.choice.choosing` gives them.

        Returns
        -------
        s3bids.report.coverage.Coverage
            For :func:`s3bids.report.page.write_page` and the functions of :mod:`s3bids.report.plots`.

        Raises
        ------
        ConfigError
            If nothing is chosen: says which condition left nothing.
        """
        if choice is None or not choice.is_active:
            return self.coverage_of(self.dataset_catalog(derivatives=derivatives, suffix=suffix))
        selection = self._selection(self.subjects, (), derivatives, (), suffix)
        wanted = replace(selection, subjects=tuple(self._candidates(self.subjects, choice)))
        narrowed = narrow(self, choice, wanted, must_match=True)
        return self._coverage_of(narrowed.catalog, narrowed.subjects, choice_text(choice.given))

    def coverage_of(self, catalog: Catalog) -> Coverage:
        """Give what the chosen subjects have of a catalog, with what the participant table says of them."""
        return self._coverage_of(catalog, [subject.subject_id for subject in self.subjects])

    def _coverage_of(self, catalog: Catalog, subjects: Sequence[str], *notes: str) -> Coverage:
        from .report.coverage import study_coverage

        table: Participants | None = None
        try:
            table = self._data_set.participant_table(self._root)
        except ObjectNotFoundError:
            logger.debug("%s: the study has no participant table", self._data_set.table_address)
        except ParticipantsError as error:
            notes = (*notes, str(error))
        return study_coverage(
            catalog,
            title=self.study_id,
            source=f"{self.storage.location}/{self.s3_prefix}".rstrip("/"),
            subjects=subjects,
            participants=table,
            notes=notes,
        )

    def _coverage(self, include_derivs: DerivativeChoice) -> Coverage:
        return self.coverage_of(self._catalog(self.subjects, self._selection(self.subjects, ALL, include_derivs)))


def choice_text(given: Mapping[str, Any]) -> str:
    """Say what was chosen, for the reader of a page.

    >>> choice_text({"where": "age < 10", "filters": {"suffix": ["T1w"]}})
    "Only what was chosen is shown: where 'age < 10', filters {'suffix': ['T1w']}."
    """
    texts = (f"{name.replace('_', ' ')} {value!r}" for name, value in given.items())
    return f"Only what was chosen is shown: {', '.join(texts)}."
