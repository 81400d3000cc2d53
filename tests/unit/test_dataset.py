import logging

import pytest

from s3bids.bids.layouts import Layout
from s3bids.dataset import DataSet
from s3bids.errors import BucketNotFoundError, ObjectNotFoundError, ParticipantsError
from s3bids.selection import ALL, FILES, Selection
from s3bids.storage import LocalFSParams, LocalStorage

NESTED = {
    "README.md": "read",
    ".bidsignore": "x",
    "dataset_description.json": "{}",
    "participants.tsv": "participant_id\tage\nsub-1\t7\nsub-10\t8\n",
    "sub-1_notes.json": "{}",
    "code/run.sh": "run",
    "code-old/run.sh": "run",
    "derivatives-old/x": "x",
    "sub-1/anat/sub-1_T1w.nii.gz": "t1",
    "sub-10/anat/sub-10_T1w.nii.gz": "t1",
    "derivatives/notes.txt": "n",
    "derivatives/afq/dataset_description.json": "{}",
    "derivatives/afq/logs/x": "x",
    "derivatives/afq/sub-1/p.csv": "p",
    "derivatives/afq/sub-10/p.csv": "p",
    "derivatives/afq-old/dataset_description.json": "{}",
    "derivatives/afq-old/sub-1/p.csv": "p",
}

SUBJECT_FIRST = {
    "participants.tsv": "participant_id\nsub-1\nsub-2\n",
    "sub-1/anat/sub-1_T1w.nii.gz": "t1",
    "sub-2/anat/sub-2_T1w.nii.gz": "t1",
    "derivatives/dataset_description.json": "{}",
    "derivatives/sub-1/afq/p.csv": "p",
    "derivatives/sub-1/qsiprep/sub-1/dwi/x": "x",
    "derivatives/sub-2/afq/p.csv": "p",
    "derivatives/sub-2/fmriprep/x": "x",
}


class Watched(LocalStorage):
    """A local storage that remembers what it was asked."""

    def __init__(self, params):
        super().__init__(params)
        self.listed = []

    def list(self, prefix="", *, literal=False, after=""):
        self.listed.append(f"{prefix} after {after}" if after else prefix)
        return super().list(prefix, literal=literal, after=after)

    def children(self, prefix="", delimiter="/"):
        self.listed.append(f"{prefix} (one level)")
        return super().children(prefix, delimiter)


@pytest.fixture
def make_data_set(tmp_path):
    def make(files, prefix="ds", layout=Layout.NESTED):
        for key, text in files.items():
            path = tmp_path / "bucket" / prefix / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return DataSet(Watched(LocalFSParams(True, tmp_path, "me", "bucket")), prefix, layout)

    return make


@pytest.fixture
def nested(make_data_set):
    return make_data_set(NESTED)


@pytest.fixture
def subject_first(make_data_set):
    return make_data_set(SUBJECT_FIRST, layout=Layout.SUBJECT_FIRST)


def paths(data_set, selection):
    catalog = data_set.catalog(selection, data_set.root())
    return [entry.path for entry in catalog]


@pytest.mark.parametrize("prefix", ["", "ds", "a/b"])
def test_the_root_is_one_level(make_data_set, prefix):
    data_set = make_data_set(NESTED, prefix)
    root = data_set.root()
    assert root.directories == ("code", "code-old", "derivatives", "derivatives-old", "sub-1", "sub-10")
    assert root.subjects == ["sub-1", "sub-10"]
    start = f"{prefix}/" if prefix else ""
    names = [".bidsignore", "README.md", "dataset_description.json", "participants.tsv", "sub-1_notes.json"]
    assert [file.key for file in root.files] == [f"{start}{name}" for name in names]
    assert data_set.storage.listed == [f"{prefix} (one level)"]


def test_nothing_under_the_prefix_is_named(nested, tmp_path):
    data_set = DataSet(nested.storage, "DS")
    with pytest.raises(ObjectNotFoundError, match=r"prefix 'DS' of the bucket 'bucket'.*upper and lower case"):
        data_set.root()


def test_a_missing_bucket_is_named(tmp_path):
    data_set = DataSet(LocalStorage(LocalFSParams(True, tmp_path, "me", "none")), "ds")
    with pytest.raises(BucketNotFoundError, match="none"):
        data_set.root()


def test_derivatives_are_directories(nested):
    assert nested.derivative_names(nested.root()) == ["afq", "afq-old"]


def test_derivatives_of_all_subjects_are_joined(subject_first):
    assert subject_first.derivative_names(subject_first.root()) == ["afq", "fmriprep", "qsiprep"]


@pytest.mark.parametrize("layout", list(Layout))
def test_without_the_directory_there_are_no_derivatives_and_no_listing(make_data_set, layout):
    data_set = make_data_set({"sub-1/x": "x", "derivatives-old/afq/x": "x"}, layout=layout)
    root = data_set.root()
    data_set.storage.listed.clear()
    assert data_set.derivative_names(root) == []
    assert data_set.storage.listed == []


def test_keys_that_belong_to_no_subject_carry_the_bucket(nested):
    root = nested.root()
    assert nested.non_subject_keys("", root, leave_out="derivatives") == [
        "bucket/ds/.bidsignore",
        "bucket/ds/README.md",
        "bucket/ds/code",
        "bucket/ds/code-old",
        "bucket/ds/dataset_description.json",
        "bucket/ds/derivatives-old",
        "bucket/ds/participants.tsv",
        "bucket/ds/sub-1_notes.json",
    ]
    assert nested.non_subject_keys("derivatives/afq", nested.level("derivatives/afq")) == [
        "bucket/ds/derivatives/afq/dataset_description.json",
        "bucket/ds/derivatives/afq/logs",
    ]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(("sub-1",)), ["sub-1/anat/sub-1_T1w.nii.gz"]),
        (Selection(()), []),
        (Selection(("sub-none",)), []),
        (Selection((), root=("README", "CHANGES")), ["README.md"]),
        (
            Selection(("sub-1",), root=FILES),
            [".bidsignore", "README.md", "dataset_description.json", "participants.tsv", "sub-1/anat/sub-1_T1w.nii.gz"],
        ),
        (
            Selection((), root=ALL),
            sorted(key for key in NESTED if not key.startswith(("sub-1/", "sub-10/", "derivatives/"))),
        ),
        (
            Selection(("sub-1",), ("afq",)),
            ["derivatives/afq/sub-1/p.csv", "sub-1/anat/sub-1_T1w.nii.gz"],
        ),
        (
            Selection(("sub-1",), ("afq*",), derivative_root=("dataset_description.json",), suffix="csv"),
            [
                "derivatives/afq-old/dataset_description.json",
                "derivatives/afq-old/sub-1/p.csv",
                "derivatives/afq/dataset_description.json",
                "derivatives/afq/sub-1/p.csv",
            ],
        ),
        (
            Selection((), ("afq",), derivative_root=ALL),
            ["derivatives/afq/dataset_description.json", "derivatives/afq/logs/x"],
        ),
        (
            Selection(("sub-1", "sub-10"), root=ALL),
            sorted(key for key in NESTED if not key.startswith("derivatives/")),
        ),
        (Selection(("sub-1", "sub-10"), ("*",), ALL, ALL), sorted(NESTED)),
    ],
)
def test_what_is_wanted_is_listed(nested, selection, expected):
    assert paths(nested, selection) == expected


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(("sub-1",)), ["sub-1/anat/sub-1_T1w.nii.gz"]),
        (Selection(("sub-1",), ("afq",)), ["derivatives/sub-1/afq/p.csv", "sub-1/anat/sub-1_T1w.nii.gz"]),
        (
            Selection(("sub-1",), ("qsi*",), derivative_root=("dataset_description.json",)),
            [
                "derivatives/dataset_description.json",
                "derivatives/sub-1/qsiprep/sub-1/dwi/x",
                "sub-1/anat/sub-1_T1w.nii.gz",
            ],
        ),
        (Selection(("sub-1", "sub-2"), ("*",), ALL, ALL), sorted(SUBJECT_FIRST)),
    ],
)
def test_what_is_wanted_of_a_subject_first_data_set(subject_first, selection, expected):
    assert paths(subject_first, selection) == expected


def test_a_standalone_data_set_is_one_derivative(make_data_set):
    files = {"dataset_description.json": "{}", "sub-1/dwi/x": "x", "sub-2/dwi/x": "x"}
    data_set = make_data_set(files, "ds/derivatives/qsiprep", Layout.STANDALONE)
    assert paths(data_set, Selection(("sub-1",), root=FILES)) == ["dataset_description.json", "sub-1/dwi/x"]


def test_no_more_is_listed_than_the_directories_of_the_selection(nested):
    root = nested.root()
    nested.storage.listed.clear()
    nested.catalog(Selection(("sub-1",), ("afq",), root=("README",)), root)
    assert sorted(nested.storage.listed) == ["ds/derivatives (one level)", "ds/derivatives/afq/sub-1/", "ds/sub-1/"]


def test_all_of_a_data_set_is_one_listing(nested):
    root = nested.root()
    nested.storage.listed.clear()
    nested.catalog(Selection(("sub-10", "sub-1"), ("*",), ALL, ALL), root)
    assert nested.storage.listed == ["ds"]


@pytest.mark.parametrize("layout", [Layout.NESTED, Layout.SUBJECT_FIRST])
def test_a_pattern_that_matches_no_derivative_is_warned_of(make_data_set, caplog, layout):
    data_set = make_data_set(NESTED if layout is Layout.NESTED else SUBJECT_FIRST, layout=layout)
    paths(data_set, Selection(("sub-1",), ("afq", "nomatch")))
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "'nomatch'" in record.getMessage()
    assert "afq" in record.getMessage()


def test_a_pattern_is_warned_of_where_there_are_no_derivatives(make_data_set, caplog):
    data_set = make_data_set({"sub-1/x": "x"})
    assert paths(data_set, Selection(("sub-1",), ("afq", "*"))) == ["sub-1/x"]
    assert [record.getMessage() for record in caplog.records] == ["no derivative matches 'afq'; there are: none"]


def test_all_derivatives_are_no_reason_for_a_warning(make_data_set, caplog):
    assert paths(make_data_set({"sub-1/x": "x"}), Selection(("sub-1",), ("*",))) == ["sub-1/x"]
    assert caplog.records == []


def test_one_subject_is_listed_with_its_derivatives(nested):
    catalog = nested.subject_catalog(["sub-1"], ["afq", "afq-old"])
    assert [(entry.path, entry.subject, entry.derivative) for entry in catalog] == [
        ("derivatives/afq-old/sub-1/p.csv", "sub-1", "afq-old"),
        ("derivatives/afq/sub-1/p.csv", "sub-1", "afq"),
        ("sub-1/anat/sub-1_T1w.nii.gz", "sub-1", None),
    ]


def test_a_directory_stands_for_its_files_and_not_for_its_siblings(nested):
    catalog = nested.tree_catalog(["ds/code", "ds/README.md", "ds/README", "ds/none"])
    assert [entry.path for entry in catalog] == ["README.md", "code/run.sh"]


def test_single_keys_are_looked_up(nested):
    catalog = nested.key_catalog(["ds/sub-1/anat/sub-1_T1w.nii.gz", "ds/README.md"])
    assert [(entry.path, entry.size) for entry in catalog] == [("README.md", 4), ("sub-1/anat/sub-1_T1w.nii.gz", 2)]
    with pytest.raises(ObjectNotFoundError, match="ds/none"):
        nested.key_catalog(["ds/none"])


def test_subjects_of_the_table_that_are_on_storage_too(make_data_set, caplog):
    table = "participant_id\tage\nsub-1\t7\n10\t8\nsub-3\t9\n"
    data_set = make_data_set(NESTED | {"participants.tsv": table, "sub-2/x": "x"})
    assert data_set.listed_participants(data_set.root()) == ["sub-1", "sub-10"]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    text = record.getMessage()
    assert "ds/participants.tsv" in text
    assert "only in participants.tsv: sub-3" in text
    assert "only on storage: sub-2" in text


def test_many_left_out_subjects_are_counted(make_data_set, caplog):
    table = "participant_id\n" + "".join(f"sub-{number:03}\n" for number in range(100))
    data_set = make_data_set({"participants.tsv": table, "sub-001/x": "x"})
    assert data_set.listed_participants(data_set.root()) == ["sub-001"]
    assert "and 79 more" in caplog.text


def test_a_missing_table_says_what_to_do(make_data_set):
    data_set = make_data_set({"sub-1/x": "x"})
    with pytest.raises(ObjectNotFoundError, match=r"has no participants\.tsv; use use_participants_tsv=False"):
        data_set.listed_participants(data_set.root())


def test_a_table_without_ids_is_named(make_data_set):
    data_set = make_data_set({"participants.tsv": "age\n7\n", "sub-1/x": "x"})
    with pytest.raises(ParticipantsError, match=r"participants\.tsv"):
        data_set.listed_participants(data_set.root())
