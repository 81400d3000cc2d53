import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3bids.bids import schema
from s3bids.bids.names import BIDSName, format_name, is_subject_directory, parse, subject_label
from s3bids.errors import ConfigError


def entities_of(path):
    return dict(parse(path).entities)


@pytest.mark.parametrize(
    ("path", "entities", "suffix", "extension", "datatype"),
    [
        (
            "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-02_bold.nii.gz",
            [("sub", "01"), ("ses", "1"), ("task", "rest"), ("run", "02")],
            "bold",
            ".nii.gz",
            "func",
        ),
        ("sub-01_task-rest_bold.nii.gz", [("sub", "01"), ("task", "rest")], "bold", ".nii.gz", None),
        ("sub-01/sub-01_scans.tsv", [("sub", "01")], "scans", ".tsv", None),
        ("task-rest_bold.json", [("task", "rest")], "bold", ".json", None),
        ("bold.json", [], "bold", ".json", None),
        ("participants.tsv", [], "participants", ".tsv", None),
        ("dataset_description.json", [], "description", ".json", None),
        ("CHANGES", [], "CHANGES", "", None),
        ("sub-01/anat/sub-01_hemi-L_white.surf.gii", [("sub", "01"), ("hemi", "L")], "white", ".surf.gii", "anat"),
    ],
)
def test_a_valid_name_is_read(path, entities, suffix, extension, datatype):
    assert parse(path) == BIDSName(
        tuple(entities),
        suffix,
        extension,
        datatype,
        subject_folder="sub-01" if path.startswith("sub-01/") else None,
        session_folder="ses-1" if "/ses-1/" in path else None,
    )


def test_entities_out_of_order_are_read_in_the_order_of_the_name():
    name = parse("sub-NDARAB708LM5/fmap/sub-NDARAB708LM5_dir-PA_acq-fMRI_epi.nii.gz")
    assert name.entities == (("sub", "NDARAB708LM5"), ("dir", "PA"), ("acq", "fMRI"))
    assert (name.suffix, name.datatype) == ("epi", "fmap")


def test_unknown_entities_are_kept():
    assert entities_of("sub-1_space-RASMM_model-CSD_tractography.trk")["model"] == "CSD"


def test_a_plus_belongs_to_the_label():
    assert entities_of("sub-1_acq-6p+s2_dwi.nii.gz")["acq"] == "6p+s2"


def test_an_old_suffix_in_the_middle_is_passed_over():
    name = parse("sub-1_dwi_space-RASMM_model-CSD_desc-prob-afq_tractography.trk")
    assert name.entities == (("sub", "1"), ("space", "RASMM"), ("model", "CSD"), ("desc", "prob-afq"))
    assert name.suffix == "tractography"


def test_a_name_that_ends_in_an_entity_has_no_suffix():
    name = parse("derivatives/qsiprep/sub-01.html")
    assert (name.entities, name.suffix, name.extension) == ((("sub", "01"),), None, ".html")


@pytest.mark.parametrize("path", ["sub-1__T1w.nii", "sub-1_-x_T1w.nii", "sub-1_acq-_T1w.nii", "sub-1_-_T1w.nii"])
def test_empty_chunks_names_and_values_are_passed_over(path):
    name = parse(path)
    assert (name.entities, name.suffix) == ((("sub", "1"),), "T1w")


@pytest.mark.parametrize("path", ["", "/", "_", "__", "-", "_-_", "sub-", "//", "sub-/"])
def test_a_name_that_says_nothing_is_not_refused(path):
    assert parse(path) == BIDSName((), None, "")


@pytest.mark.parametrize("name", [".bidsignore", "._sub-01_T1w.nii.gz", ".truncated_participants.tsv", ".", ".."])
def test_a_dot_file_has_no_entities_suffix_or_extension(name):
    read = parse(f"sub-02/anat/{name}")
    assert (read.entities, read.suffix, read.extension, read.subject) == ((), None, "", "sub-02")


@pytest.mark.parametrize(
    ("path", "suffix", "extension"),
    [
        ("sub-01/meg/sub-01_task-AEF_meg.ds/BadChannels", "meg", ".ds/"),
        ("sub-01/meg/sub-01_task-AEF_meg.ds/sub-01_task-AEF_meg.meg4", "meg", ".ds/"),
        ("sub-01/meg/sub-01_task-AEF_meg.ds/hz.ds/hz.meg4", "meg", ".ds/"),
        ("sub-01/meg/sub-01_task-AEF_meg.ds/.hidden", "meg", ".ds/"),
        ("sub-01/meg/sub-01_task-AEF_meg.ds/", "meg", ".ds/"),
        ("sub-01/ieeg/sub-01_task-AEF_ieeg.mefd/a.timd/b.segd/c.tdat", "ieeg", ".mefd/"),
        ("sub-01/micr/sub-01_task-AEF_SEM.ome.zarr/0/0/0", "SEM", ".ome.zarr/"),
    ],
)
def test_a_member_of_a_folder_that_counts_as_one_file_is_read_as_the_folder(path, suffix, extension):
    name = parse(path)
    assert name.entities == (("sub", "01"), ("task", "AEF"))
    assert (name.suffix, name.extension, name.datatype) == (suffix, extension, path.split("/")[1])


def test_a_stray_dot_does_not_hide_a_folder_that_counts_as_one_file():
    name = parse("sub-01/micr/sub-01_acq-0.8mm_SEM.ome.zarr/0/.zarray")
    assert (name.get("acq"), name.suffix, name.extension) == ("0.8mm", "SEM", ".ome.zarr/")


@pytest.mark.parametrize("folder", [".ds", ".git.ds", "v1.0", "x.ds.old"])
def test_other_folders_with_a_dot_are_only_folders(folder):
    name = parse(f"{folder}/sub-01_T1w.nii")
    assert (name.entities, name.suffix, name.extension) == ((("sub", "01"),), "T1w", ".nii")


def test_the_folder_without_its_slash_is_a_file():
    assert parse("meg/sub-01_meg.ds").extension == ".ds"


def test_a_directory_marker_is_read_by_the_name_of_its_directory():
    assert parse("sub-01/").entities == (("sub", "01"),)


@pytest.mark.parametrize(
    ("path", "datatype"),
    [
        ("sub-1/anat/sub-1_T1w.nii", "anat"),
        ("sub-1/ses-a/dwi/sub-1_ses-a_dwi.bval", "dwi"),
        ("derivatives/sub-1/qsiprep/sub-1/dwi/sub-1_dwi.bval", "dwi"),
        ("tpl-MNI/anat/tpl-MNI_T1w.nii", "anat"),
        ("tpl-MNI/cohort-1/anat/tpl-MNI_cohort-1_T1w.nii", "anat"),
        ("sub-1/figures/sub-1_T1w.svg", None),
        ("sub-1/anat/extra/sub-1_T1w.nii", None),
        ("sub-1/sub-1_T1w.nii", None),
        ("anat/sub-1_T1w.nii", None),
        ("code/anat/x.py", None),
        ("phenotype/ace.tsv", None),
        ("sub-1/T1w/sub-1_T1w.nii", None),
    ],
)
def test_the_datatype_is_the_folder_directly_above_in_the_tree_of_a_subject(path, datatype):
    assert parse(path).datatype == datatype


@pytest.mark.parametrize(
    ("path", "subject", "session"),
    [
        ("sub-01/ses-1/anat/sub-01_ses-1_T1w.nii", "sub-01", "ses-1"),
        ("sub-01_T1w.nii", "sub-01", None),
        ("derivatives/freesurfer/sub-01/surf/lh.pial", "sub-01", None),
        ("sub-01/ses-1/beh/notes.txt", "sub-01", "ses-1"),
        ("sub-01/anat/sub-02_T1w.nii", "sub-02", None),
        ("derivatives/sub-01/fs/sub-02/x.mgz", "sub-01", None),
        ("sub-A-02/anat/sub-A-02_T1w.nii", "sub-A-02", None),
        ("sub-A-02/anat/x.nii", "sub-A-02", None),
        ("sub-/anat/x.nii", None, None),
        ("my-sub-01/x.nii", None, None),
        ("participants.tsv", None, None),
    ],
)
def test_subject_and_session_come_from_the_name_else_from_the_folders(path, subject, session):
    name = parse(path)
    assert (name.subject, name.session) == (subject, session)


@pytest.mark.parametrize("path", ["sub-10/anat/sub-10_T1w.nii", "sub-01/x.nii", "sub-1_scans.tsv", "sub-1/x.nii"])
def test_subjects_with_similar_labels_are_told_apart(path):
    assert parse(path).subject == path.split("/")[0].split("_")[0]


@pytest.mark.parametrize(
    ("entity", "value"),
    [
        ("sub", "01"),
        ("subject", "01"),
        ("session", "1"),
        ("acquisition", "HCP"),
        ("acq", "HCP"),
        ("run", "007"),
        ("model", "DKI"),
        ("echo", None),
        ("nonsense", None),
    ],
)
def test_an_entity_is_found_by_its_short_and_its_long_name(entity, value):
    assert parse("sub-01_ses-1_acq-HCP_run-007_model-DKI_T1w.nii.gz").get(entity) == value


@pytest.mark.parametrize(("entity", "value"), [("sub", "A-02"), ("session", "1"), ("task", None)])
def test_subject_and_session_are_found_in_the_folders(entity, value):
    assert parse("sub-A-02/ses-1/task-x/notes.txt").get(entity) == value


def test_of_an_entity_that_occurs_twice_the_first_counts():
    name = parse("sub-01_acq-a_acq-b_T1w.nii")
    assert name.get("acq") == "a"
    assert name.entities == (("sub", "01"), ("acq", "a"), ("acq", "b"))


def test_a_name_cannot_be_changed():
    with pytest.raises(AttributeError):
        parse("sub-01_T1w.nii").suffix = "T2w"


def test_a_formatted_name_has_the_order_of_the_standard_and_unknown_entities_last():
    given_entities = [("zeta", "1"), ("run", "01"), ("dir", "AP"), ("alpha", "2"), ("acq", "x"), ("sub", "01")]
    assert (
        format_name(given_entities, suffix="epi", extension=".nii.gz")
        == "sub-01_acq-x_dir-AP_run-01_zeta-1_alpha-2_epi.nii.gz"
    )


def test_the_order_given_can_be_kept():
    given_entities = [("sub", "01"), ("dir", "PA"), ("acq", "fMRI")]
    assert format_name(given_entities, suffix="epi", keep_order=True) == "sub-01_dir-PA_acq-fMRI_epi"


def test_a_name_may_end_in_an_entity():
    assert format_name([("sub", "01")], extension=".html") == "sub-01.html"


def test_the_name_of_a_folder_that_counts_as_one_file_keeps_its_slash():
    assert format_name([("sub", "01")], suffix="meg", extension=".ds/") == "sub-01_meg.ds/"


@pytest.mark.parametrize(
    ("entities", "suffix", "extension"),
    [
        ([], None, ""),
        ([], None, ".nii"),
        ([("sub", "")], "T1w", ".nii"),
        ([("", "01")], "T1w", ".nii"),
        ([("sub", "0_1")], "T1w", ".nii"),
        ([("sub", "../01")], "T1w", ".nii"),
        ([("sub", "0.1")], "T1w", ".nii"),
        ([("su-b", "01")], "T1w", ".nii"),
        ([("sub", "01")], "T1-w", ".nii"),
        ([("sub", "01")], "T1_w", ".nii"),
        ([("sub", "01")], "", ".nii"),
        ([("sub", "01")], "T1w", "nii"),
        ([("sub", "01")], "T1w", ".nii/"),
        ([("sub", "01")], "T1w", "./../x"),
    ],
)
def test_parts_that_make_no_name_are_refused(entities, suffix, extension):
    with pytest.raises(ConfigError, match="cannot make a file name"):
        format_name(entities, suffix=suffix, extension=extension)


LABELS = st.text("abcXYZ0189+", min_size=1, max_size=6)
VALUES = st.lists(LABELS, min_size=1, max_size=3).map("-".join)
ENTITY_NAMES = st.one_of(st.sampled_from(schema.entity_order()), LABELS)
ENTITIES = st.lists(st.tuples(ENTITY_NAMES, VALUES), min_size=1, max_size=8)
EXTENSIONS = st.sampled_from(["", ".nii", ".nii.gz", ".ds/", ".mefd/", ".ome.zarr/", ".surf.gii", "."])
ANY_PATH = st.text(st.one_of(st.sampled_from("/_-.+ds"), st.characters()), max_size=40)
PROPERTY = settings(deadline=None, database=None, derandomize=True)


@PROPERTY
@given(ENTITIES, st.none() | LABELS, EXTENSIONS)
def test_a_formatted_name_is_read_back(entities, suffix, extension):
    read = parse(format_name(entities, suffix=suffix, extension=extension, keep_order=True))
    assert (read.entities, read.suffix, read.extension) == (tuple(entities), suffix, extension)


@PROPERTY
@given(ENTITIES, st.none() | LABELS, EXTENSIONS)
def test_formatting_sorts_entities_and_changes_nothing_else(entities, suffix, extension):
    read = parse(format_name(entities, suffix=suffix, extension=extension))
    assert sorted(read.entities) == sorted(entities)
    known = [schema.entity_order().index(name) for name, _ in read.entities if name in schema.entity_order()]
    assert known == sorted(known)
    assert [name for name, _ in read.entities[: len(known)] if name not in schema.entity_order()] == []


@PROPERTY
@given(ANY_PATH)
def test_any_path_is_read(path):
    name = parse(path)
    assert all("_" not in part and "/" not in part for pair in name.entities for part in pair)
    assert name.suffix is None or not {"-", "_", "/"} & set(name.suffix)
    assert path.rstrip("/").endswith(name.extension) or name.extension.endswith("/")


@pytest.mark.parametrize(
    ("text", "subject"),
    [("01", "sub-01"), ("sub-01", "sub-01"), ("1", "sub-1"), ("A-02", "sub-A-02"), ("NDARaa1", "sub-NDARaa1")],
)
def test_only_the_prefix_of_a_subject_is_normalised(text, subject):
    assert subject_label(text) == subject


@pytest.mark.parametrize("text", ["", "sub-", " ", "sub- "])
def test_a_subject_without_a_label_is_refused(text):
    with pytest.raises(ConfigError, match="has no label"):
        subject_label(text)


@pytest.mark.parametrize("text", ["01/anat", "sub-01/", "/", "n/a", "../01"])
def test_a_subject_with_a_slash_is_refused(text):
    with pytest.raises(ConfigError, match="holds a '/'"):
        subject_label(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-01", True),
        ("sub-A-02", True),
        ("sub-p", True),
        ("sub-", False),
        ("sub", False),
        ("subject-01", False),
        ("SUB-01", False),
        ("my-sub-01", False),
        ("sub-01/anat", False),
        ("", False),
    ],
)
def test_a_subject_directory_begins_with_sub_and_has_a_label(name, expected):
    assert is_subject_directory(name) is expected
