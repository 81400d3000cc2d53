"""Which files of a BIDS data set come together."""

from __future__ import annotations

from .bids.layouts import DERIVATIVES
from .transfer.branches import Branch


def branch_of(path: str) -> Branch:
    """Give the part of a data set that a file belongs to, in every layout.

    That is the directory of a subject, of a subject in a derivative, or of something else at the root of the data set
    or of a derivative; for a file that lies there by itself, the files beside it.

    Parameters
    ----------
    path
        The key relative to the root of the data set.

    >>> branch_of("sub-1/ses-1/anat/x.nii.gz").directory, branch_of("derivatives/afq/sub-1/x.csv").directory
    ('sub-1', 'derivatives/afq/sub-1')
    >>> branch_of("README"), branch_of("derivatives/afq/dataset_description.json")
    (Branch(directory='', is_whole=False), Branch(directory='derivatives/afq', is_whole=False))
    """
    directories = path.split("/")[:-1]
    depth = 3 if directories[:1] == [DERIVATIVES] else 1
    return Branch("/".join(directories[:depth]), len(directories) >= depth)


__all__ = ["branch_of"]
