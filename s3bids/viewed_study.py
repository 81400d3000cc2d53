"""A study as people look at it: its coverage as a page and as plots, and its card in a notebook."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .dataset import PARTICIPANTS
from .display import card, some
from .listed_study import ListedStudy
from .selection import ALL, DerivativeChoice

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from matplotlib.axes import Axes

    from .catalog import Catalog
    from .report.coverage import Coverage


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
        MissingExtraError
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
        MissingExtraError
            If matplotlib is not installed.
        ConfigError
            If `by` is another word.
        """
        from .report.plots import check_part, plot_sizes, require_matplotlib

        check_part(by)
        require_matplotlib()
        return plot_sizes(self._coverage(include_derivs), by=by, ax=ax)

    def coverage_of(self, catalog: Catalog) -> Coverage:
        """Give what the chosen subjects have of a catalog, with what the participant table says of them."""
        from .report.coverage import study_coverage

        has_table = any(file.key == self._data_set.key(PARTICIPANTS) for file in self._root.files)
        return study_coverage(
            catalog,
            title=self.study_id,
            source=f"{self.storage.location}/{self.s3_prefix}".rstrip("/"),
            subjects=[subject.subject_id for subject in self.subjects],
            participants=self.storage.read(self._data_set.key(PARTICIPANTS)) if has_table else None,
        )

    def _coverage(self, include_derivs: DerivativeChoice) -> Coverage:
        return self.coverage_of(self._catalog(self.subjects, self._selection(self.subjects, ALL, include_derivs)))
