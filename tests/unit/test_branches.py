import pytest

from s3bids.branches import branch_of
from s3bids.transfer.branches import Branch, root_of


@pytest.mark.parametrize(
    ("path", "directory", "is_whole"),
    [
        ("README", "", False),
        ("sub-1/x", "sub-1", True),
        ("sub-1/ses-1/anat/x", "sub-1", True),
        ("code/tools/x", "code", True),
        ("derivatives/x", "derivatives", False),
        ("derivatives/afq/x", "derivatives/afq", False),
        ("derivatives/afq/sub-1/x", "derivatives/afq/sub-1", True),
        ("derivatives/afq/sub-1/ses-1/x", "derivatives/afq/sub-1", True),
        ("derivatives/sub-1/x", "derivatives/sub-1", False),
        ("derivatives/sub-1/afq/x", "derivatives/sub-1/afq", True),
        ("derivatives", "", False),
        ("sourcedata/derivatives/x", "sourcedata", True),
    ],
)
def test_a_branch_is_what_is_chosen_together(path, directory, is_whole):
    assert branch_of(path) == Branch(directory, is_whole)


@pytest.mark.parametrize(
    ("key", "target", "root"),
    [
        ("ds/sub-1/x", "sub-1/x", "ds/"),
        ("a/b/x", "x", "a/b/"),
        ("x", "x", ""),
        ("/x", "x", None),
        ("dsub-1/x", "sub-1/x", None),
        ("ds/x", "y", None),
        ("x", "ds/x", None),
    ],
)
def test_the_root_of_a_data_set_is_what_the_target_leaves_of_the_key(key, target, root):
    assert root_of(key, target) == root
