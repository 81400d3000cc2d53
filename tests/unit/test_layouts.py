import pickle

import pytest

from s3bids.bids.layouts import Layout, Place

NESTED, FIRST, STANDALONE = Layout.NESTED, Layout.SUBJECT_FIRST, Layout.STANDALONE


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize(
    ("path", "subject"),
    [
        ("dataset_description.json", None),
        ("README", None),
        ("derivatives", None),
        ("code/run.sh", None),
        ("code/sub-01/run.sh", None),
        ("sourcedata/sub-01/x.dcm", None),
        ("sub-01/anat/sub-01_T1w.nii.gz", "sub-01"),
        ("sub-01/sub-01_scans.tsv", "sub-01"),
        ("sub-A-02/x", "sub-A-02"),
        ("sub-/x", None),
        ("subject/x", None),
        ("sub-01_T1w.json", None),
        ("sub-01", None),
    ],
)
def test_raw_data_belong_to_the_directory_at_the_root(layout, path, subject):
    assert layout.place(path) == Place(subject, None)


@pytest.mark.parametrize("layout", [NESTED, STANDALONE])
@pytest.mark.parametrize(
    ("path", "subject", "derivative"),
    [
        ("derivatives/afq/sub-01/x.csv", "sub-01", "afq"),
        ("derivatives/afq/sub-01/ses-1/dwi/x.csv", "sub-01", "afq"),
        ("derivatives/afq/dataset_description.json", None, "afq"),
        ("derivatives/afq/logs/sub-01/x", None, "afq"),
        ("derivatives/afq/sub-01", None, "afq"),
        ("derivatives/notes.txt", None, ""),
        # A directory of this name is a derivative here, and a subject in the other layout.
        ("derivatives/sub-01/x", None, "sub-01"),
    ],
)
def test_nested_derivatives_belong_to_a_pipeline_and_then_to_a_subject(layout, path, subject, derivative):
    assert layout.place(path) == Place(subject, derivative)


@pytest.mark.parametrize(
    ("path", "subject", "derivative"),
    [
        ("derivatives/sub-01/afq/x.csv", "sub-01", "afq"),
        ("derivatives/sub-01/qsiprep/sub-01/dwi/x.txt", "sub-01", "qsiprep"),
        ("derivatives/sub-01/notes.txt", "sub-01", ""),
        ("derivatives/dataset_description.json", None, ""),
        ("derivatives/group/sub-01/x", "sub-01", "group"),
        ("derivatives/group/x", None, "group"),
    ],
)
def test_subject_first_derivatives_belong_to_a_subject_and_then_to_a_pipeline(path, subject, derivative):
    assert FIRST.place(path) == Place(subject, derivative)


@pytest.mark.parametrize(
    ("layout", "derivatives", "expected"),
    [
        (NESTED, [], ["sub-1/"]),
        (NESTED, ["a", "b"], ["sub-1/", "derivatives/a/sub-1/", "derivatives/b/sub-1/"]),
        (STANDALONE, ["a"], ["sub-1/", "derivatives/a/sub-1/"]),
        (FIRST, [], ["sub-1/"]),
        (FIRST, ["a", "b"], ["sub-1/", "derivatives/sub-1/"]),
    ],
)
def test_directories_of_a_subject_end_in_a_slash(layout, derivatives, expected):
    """Without it the listing of ``sub-1`` would bring ``sub-10`` too."""
    assert layout.subject_prefixes("sub-1", iter(derivatives)) == expected


@pytest.mark.parametrize("layout", list(Layout))
def test_what_is_listed_for_a_subject_is_placed_with_that_subject(layout):
    for prefix in layout.subject_prefixes("sub-1", ["afq"]):
        assert layout.place(f"{prefix}afq/x/y.txt").subject == "sub-1"


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (NESTED, "derivatives/afq/dataset_description.json"),
        (STANDALONE, "derivatives/afq/dataset_description.json"),
        (FIRST, "derivatives/dataset_description.json"),
    ],
)
def test_the_description_of_a_derivative(layout, expected):
    assert layout.description_path("afq") == expected


def test_a_layout_is_the_word_that_users_write_and_pickles():
    assert [str(layout) for layout in Layout] == ["nested", "subject-first", "standalone"]
    assert Layout("subject-first") is FIRST
    assert pickle.loads(pickle.dumps(FIRST)) is FIRST
    with pytest.raises(ValueError, match="flat"):
        Layout("flat")


@pytest.mark.parametrize("layout", [NESTED, STANDALONE])
@pytest.mark.parametrize(
    ("path", "subject", "derivative"),
    [
        ("derivatives/qsiprep/derivatives/dlqc/sub-1/x.json", "sub-1", "qsiprep/dlqc"),
        ("derivatives/qsiprep/derivatives/dlqc/dataset_description.json", None, "qsiprep/dlqc"),
        ("derivatives/a/derivatives/b/derivatives/c/sub-1/x", "sub-1", "a/b/c"),
        ("derivatives/qsiprep/derivatives/loose.txt", None, "qsiprep"),
        ("derivatives/qsiprep/derivatives", None, "qsiprep"),
        ("derivatives/qsiprep/sub-1/derivatives/x", "sub-1", "qsiprep"),
        ("derivatives/derivatives/sub-1/x", "sub-1", "derivatives"),
    ],
)
def test_a_derivative_of_a_derivative_has_both_names(layout, path, subject, derivative):
    assert layout.place(path) == Place(subject, derivative)


@pytest.mark.parametrize("layout", [NESTED, STANDALONE])
@pytest.mark.parametrize("derivative", ["afq", "qsiprep/dlqc", "a/b/c"])
def test_the_root_of_a_derivative_leads_back_to_its_name(layout, derivative):
    root = layout.derivative_root(derivative)
    assert layout.place(f"{root}/sub-1/x") == Place("sub-1", derivative)
    assert layout.subject_prefixes("sub-1", [derivative]) == ["sub-1/", f"{root}/sub-1/"]
    assert layout.description_path(derivative) == f"{root}/dataset_description.json"


def test_a_layout_by_subject_has_one_root_for_all_derivatives():
    assert FIRST.derivative_root("afq") == FIRST.derivative_root("qsiprep") == "derivatives"
