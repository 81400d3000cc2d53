"""One subject: its keys, its files, its download."""

from __future__ import annotations

import logging
import threading

import pytest

from s3bids import HBNSubject, S3BIDSStudy, S3BIDSSubject

RAW = ["ds/sub-1/anat/sub-1_T1w.json", "ds/sub-1/anat/sub-1_T1w.nii.gz", "ds/sub-1/dwi/sub-1_dwi.bval"]
AFQ = ["ds/derivatives/afq/sub-1/sub-1_profiles.csv", "ds/derivatives/afq/sub-1/sub-1_tract.trk"]
OLD = ["ds/derivatives/afq-old/sub-1/sub-1_profiles.csv"]
QSIPREP = ["ds/derivatives/qsiprep/sub-1/dwi/sub-1_dwi.nii.gz"]


def test_the_keys_are_those_of_this_subject_alone(place, keys):
    place.put(keys)
    (subject,) = place.study(subjects=["1"]).subjects
    top = f"{place.bucket}/ds/derivatives"
    expected = {"raw": RAW, "derivatives": {f"{top}/afq": AFQ, f"{top}/afq-old": OLD, f"{top}/qsiprep": QSIPREP}}
    assert subject.s3_keys == expected
    assert subject._s3_keys == expected
    assert subject._get_s3_keys() == expected


def test_a_subject_says_who_it_is(local):
    study = local.study()
    subject = S3BIDSSubject("1", study)
    assert (subject.subject_id, subject.study) == ("sub-1", study)
    assert repr(subject) == "S3BIDSSubject(subject_id=sub-1, study_id=study)"
    for name in ("subject_id", "study", "s3_keys", "files"):
        with pytest.raises(AttributeError):
            setattr(subject, name, None)


def test_an_id_without_objects_has_empty_lists(place, keys, out, tree):
    place.put(keys)
    study = place.study()
    subject = S3BIDSSubject("sub-99", study)
    assert subject.s3_keys == {"raw": [], "derivatives": {kind: [] for kind in study.derivative_types}}
    assert subject.download(out, True, pbar=False).fetched == 0
    assert tree(out) == {}


@pytest.mark.parametrize(
    ("kind", "arguments", "text"),
    [
        (S3BIDSSubject, {"subject_id": 1}, "subject_id must be text, not int"),
        (S3BIDSSubject, {"subject_id": None}, "subject_id must be text, not NoneType"),
        (S3BIDSSubject, {"study": "study"}, "study must be an S3BIDSStudy, not str"),
        (HBNSubject, {"study": S3BIDSStudy}, "study must be an S3BIDSStudy, not type"),
        (HBNSubject, {"site": 1}, "site must be text or None, not int"),
    ],
)
def test_arguments_of_a_wrong_type_are_refused(local, kind, arguments, text):
    with pytest.raises(TypeError, match=f"^{text}$"):
        kind(**{"subject_id": "sub-1", "study": local.study(), **arguments})


def test_constructing_a_subject_asks_nothing_and_leaves_loggers_alone(served, proxy):
    study = served.study()
    proxy.reset()
    loggers = {name: logging.getLogger(name).level for name in ("", "s3bids", "boto3", "botocore", "s3fs")}
    HBNSubject("sub-1", study, site="Site-SI")
    subject = S3BIDSSubject("sub-1", study)
    assert repr(subject)
    assert subject.files == {"raw": {}, "derivatives": {}}
    assert proxy.requests == []
    assert {name: logging.getLogger(name).level for name in loggers} == loggers


def test_the_keys_are_listed_once_however_many_threads_ask(served, proxy):
    study = served.study(subjects="1")
    assert len(study.derivative_types) == 3
    proxy.reset()
    (subject,) = study.subjects
    found = []
    threads = [threading.Thread(target=lambda: found.append(subject.s3_keys)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [keys is found[0] for keys in found] == [True] * 8
    assert sorted(request.prefix for request in proxy.requests) == [
        "ds/derivatives/afq-old/sub-1/",
        "ds/derivatives/afq/sub-1/",
        "ds/derivatives/qsiprep/sub-1/",
        "ds/sub-1/",
    ]


# Downloads


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), RAW),
        ((False,), RAW),
        ((True,), RAW + AFQ + OLD + QSIPREP),
        (("afq",), RAW + AFQ),
        ((("afq*",),), RAW + AFQ + OLD),
        ((["afq"], False, "csv"), AFQ[:1]),
        ((["afq"], True, ".nii.gz", False, 3), RAW[1:2]),
    ],
)
def test_a_download_brings_the_subjects_files_alone(local, keys, out, tree, arguments, expected):
    (subject,) = local.study(subjects="1").subjects
    subject.download(out, *arguments)
    assert tree(out) == {key.removeprefix("ds/"): keys[key] for key in expected}


def test_files_are_those_on_disk_and_later_ones_are_merged(local, out):
    study = local.study(subjects="1")
    (subject,) = study.subjects
    afq, old = (f"{local.bucket}/ds/derivatives/{name}" for name in ("afq", "afq-old"))
    assert subject.files == {"raw": {}, "derivatives": {}}

    def at(keys):
        return {key: str(out / key.removeprefix("ds/")) for key in keys}

    subject.download(out, suffix="T1w.json", pbar=False)
    assert subject.files == {"raw": at(RAW[:1]), "derivatives": {}}
    subject.download(out, "afq", suffix="csv", pbar=False)
    assert subject.files == {"raw": at(RAW[:1]), "derivatives": {afq: at(AFQ[:1])}}
    study.download(out, include_derivs="afq*", pbar=False)
    assert subject.files == {"raw": at(RAW), "derivatives": {afq: at(AFQ), old: at(OLD)}}
    assert all(isinstance(path, str) for path in subject.files["raw"].values())


def test_a_file_that_failed_is_not_among_the_files(by_params, keys, out):
    by_params.put(keys)
    out.mkdir()
    (out / "sub-1").mkdir()
    (out / "sub-1" / "anat").write_text("a file of the user where a directory must be")
    (subject,) = by_params.study(subjects="1").subjects
    with pytest.raises(OSError, match="2 files could not be downloaded"):
        subject.download(out, pbar=False)
    assert list(subject.files["raw"]) == RAW[2:]
    assert (out / "sub-1" / "anat").read_text() == "a file of the user where a directory must be"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"directory": 3}, "directory must be a path, not int"),
        ({"directory": b"out"}, "directory must be a path, not bytes"),
        ({"directory": None}, "directory must be a path, not NoneType"),
        ({"include_derivs": 3}, "include_derivs must be True, False, a name, or a list or tuple of names, not int"),
        ({"include_derivs": None}, "include_derivs must be .*, not NoneType"),
        ({"include_derivs": [3]}, "include_derivs must be .*, not list"),
        ({"include_derivs": {"afq"}}, "include_derivs must be .*, not set"),
        ({"overwrite": 1}, "overwrite must be True or False, not int"),
        ({"suffix": ("a", "b")}, "suffix must be text or None, not tuple"),
        ({"pbar": "no"}, "pbar must be True or False, not str"),
        ({"pbar_idx": "0"}, "pbar_idx must be an integer, not str"),
        ({"pbar_idx": True}, "pbar_idx must be an integer, not bool"),
    ],
)
def test_a_download_refuses_wrong_types_before_anything_is_asked(served, proxy, out, options, text):
    (subject,) = served.study(subjects="1").subjects
    proxy.reset()
    with pytest.raises(TypeError, match=f"^{text}$"):
        subject.download(**{"directory": out, **options})
    assert proxy.requests == []
    assert not out.exists()


# Subclasses that choose keys by themselves, as users of 0.1.7 write them


class Chosen(S3BIDSSubject):
    """Sets ``_s3_keys`` and returns nothing, as 0.1.7 wants it."""

    def _get_s3_keys(self):
        kind = f"{self.study.bucket}/ds/derivatives/afq"
        self._s3_keys = {"raw": RAW[:2], "derivatives": {kind: AFQ[:1]}}


class Elsewhere(S3BIDSSubject):
    """Has its derivatives in an arrangement of its own, as HBN has."""

    def _get_s3_keys(self):
        self._s3_keys = {"raw": [], "derivatives": {"afq": ["ds/derivatives/sub-1/afq/x.csv", "ds/extra/y.txt"]}}


@pytest.mark.parametrize(
    ("include", "expected"),
    [(False, RAW[:2]), (True, RAW[:2] + AFQ[:1]), ("afq", RAW[:2] + AFQ[:1]), ("afq-old", RAW[:2])],
)
def test_a_subclass_that_sets_its_keys_downloads_those(local, keys, out, tree, include, expected):
    study = local.study(subjects=["1"], _subject_class=Chosen)
    study.download(out, False, include, include_derivs_dataset_description=False, pbar=False)
    assert tree(out) == {key.removeprefix("ds/"): keys[key] for key in expected}
    (subject,) = study.subjects
    assert set(subject.files["raw"]) == set(RAW[:2])
    assert {key for files in subject.files["derivatives"].values() for key in files} == set(expected) - set(RAW)


def test_a_subclass_that_sets_its_keys_works_everywhere(place, keys, out, tree):
    place.put(keys)
    place.study(subjects=["1"], _subject_class=Chosen).download(out, False, pbar=False)
    assert set(tree(out)) == {key.removeprefix("ds/") for key in RAW[:2]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, {"derivatives/sub-1/afq/x.csv", "extra/y.txt"}), ({"suffix": "csv"}, {"derivatives/sub-1/afq/x.csv"})],
)
def test_the_keys_of_a_subclass_may_lie_anywhere(local, out, tree, options, expected):
    local.put({"ds/derivatives/sub-1/afq/x.csv": "x", "ds/extra/y.txt": "y"})
    subject = Elsewhere("sub-1", local.study())
    subject.download(out, "afq", pbar=False, **options)
    assert set(tree(out)) == expected
    files = {f"ds/{path}": str(out / path) for path in expected}
    assert subject.files == {"raw": {}, "derivatives": {"afq": files}}


def test_a_key_of_a_subclass_that_is_missing_is_named(local, out):
    local.remove("ds/derivatives/afq/sub-1/sub-1_profiles.csv")
    with pytest.raises(FileNotFoundError, match=r"derivatives/afq/sub-1/sub-1_profiles\.csv: there is no such object"):
        Chosen("sub-1", local.study()).download(out, True, pbar=False)
