"""Where the study files are that come with s3bids."""

from __future__ import annotations

from pathlib import Path


def shipped_studies() -> dict[str, Path]:
    """Give the study files that come with s3bids: name -> path, sorted by name.

    A wheel carries them inside the package; in a checkout they lie beside it.
    """
    here = Path(__file__).parent.parent
    folder = here / "_studies"
    if not folder.is_dir():
        folder = here.parent / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


__all__ = ["shipped_studies"]
