"""What to say when a package is missing that only some users need."""

from __future__ import annotations

from ..errors import MissingPackageError


def missing(package: str, extra: str, purpose: str) -> MissingPackageError:
    """Give the error for a package that comes with an extra of s3bids.

    >>> missing("Pillow", "images", "decoding images")
    MissingPackageError("decoding images needs the package Pillow; install it with: pip install 's3bids[images]'")
    """
    return MissingPackageError(f"{purpose} needs the package {package}; install it with: pip install 's3bids[{extra}]'")


__all__ = ["missing"]
