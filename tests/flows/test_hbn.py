"""A site of the Healthy Brain Network, from wherever the environment says that the bucket fcp-indi is."""

from __future__ import annotations

import json
import logging

import pytest

from s3bids import DownloadError, HBNSite, HBNSubject, LocalStorage, S3BIDSStudy
from s3bids.testing.studies import write_hbn_site

PREFIX = "data/Projects/HBN/MRI/Site-SI"
FIRST, SECOND, THIRD = (f"sub-{label}" for label in ("NDARAA075AMK", "NDARAB708LM5", "NDARAC462DZH"))
#: What is at the servers for the tests of this module: path below the site -> content.
SITE = {}


@pytest.fixture(scope="module")
def site_directory(tmp_path_factory):
    root = tmp_path_factory.mktemp("hbn")
    site = root / "fcp-indi" / PREFIX
    SITE.update({path: (site / path).read_bytes() for path in write_hbn_site(site)})
    return root


@pytest.fixture(scope="module")
def hbn_servers(site_directory, moto, moto_client, rclone):
    """The site on three servers: name -> environment."""
    moto_client.create_bucket(Bucket="fcp-indi")
    for path, content in SITE.items():
        moto_client.put_object(Bucket="fcp-indi", Key=f"{PREFIX}/{path}", Body=content, ACL="public-read")
        target = rclone.root / "fcp-indi" / PREFIX / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    rclone.refresh()
    return {
        "moto": {"AWS_ENDPOINT_URL": moto.url},
        "rclone": {"AWS_ENDPOINT_URL": rclone.url},
        "local": {"LOCAL_FS": "1", "LOCAL_FS_ROOT_DIR": str(site_directory)},
    }


@pytest.fixture
def hbn(site_directory, monkeypatch):
    """The class, in the environment of the local emulation."""
    monkeypatch.setenv("LOCAL_FS", "1")
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", str(site_directory))
    return HBNSite


def raw(*subjects):
    return {path for path in SITE if path.startswith(subjects)}


def derived(*subjects, name=""):
    return {path for path in SITE if path.startswith(tuple(f"derivatives/{subject}/{name}" for subject in subjects))}


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, {}),
        (
            {"subjects": "all", "use_participants_tsv": True},
            {"include_modality_agnostic": True, "include_derivs": True},
        ),
        ({"subjects": 2, "random_seed": 42}, {"include_derivs": ["qsiprep", "afq"]}),
    ],
    ids=["as-the-notebook-calls-it", "everything", "some"],
)
def test_three_servers_give_three_identical_trees(hbn_servers, monkeypatch, tmp_path, tree, options, arguments):
    found = {}
    for name, environment in hbn_servers.items():
        with monkeypatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            report = HBNSite("SI", **options).download(tmp_path / name, **arguments)
        found[name] = tree(tmp_path / name)
        # The description is ours, not the site's.
        assert report.fetched == len(found[name]) - 1
    assert found["moto"] == found["rclone"] == found["local"]
    ours = json.loads(found["moto"].pop("dataset_description.json"))
    assert found["moto"].items() <= SITE.items()
    assert found["moto"]
    assert ours["Name"] == "HBN Study, Site-SI"
    if options.get("subjects") == "all":
        assert found["moto"] == SITE


def test_without_arguments_the_first_subject_comes_with_a_description(hbn, out, tree):
    study = hbn("SI")
    study.download(out)
    files = tree(out)
    assert json.loads(files.pop("dataset_description.json")) == {
        "Name": "HBN Study, Site-SI",
        "DatasetType": "raw",
        "Subjects": [FIRST],
        "BIDSVersion": "1.0.0",
    }
    assert files == {path: SITE[path] for path in raw(FIRST)}
    assert study.local_directories == [str(out)]


@pytest.mark.parametrize("site", ["Site-SI", "SI", "si", "site-si", "SITE-Si"])
def test_a_site_is_named_in_any_case(hbn, site):
    study = hbn(site)
    assert study.site == "Site-SI"
    assert (study.study_id, study.bucket, study.s3_prefix) == ("HBN", "fcp-indi", PREFIX)
    assert repr(study) == f"HBNSite(study_id=HBN, bucket=fcp-indi, s3_prefix={PREFIX})"


@pytest.mark.parametrize("site", ["XX", "", "Site-", "Site", "SI ", "Site-Site-SI"])
def test_an_unknown_site_is_refused_with_the_four_there_are(site):
    with pytest.raises(ValueError, match="Site-CBIC, Site-CUNY, Site-RU, Site-SI"):
        HBNSite(site)


@pytest.mark.parametrize("site", [None, 1, ["SI"]])
def test_a_site_of_a_wrong_type_is_refused(site):
    with pytest.raises(TypeError, match="site must be text"):
        HBNSite(site)


@pytest.mark.parametrize("prefix", ["", "MRI", "/MRI/"])
def test_the_sites_may_lie_elsewhere(by_params, prefix):
    parent = prefix.strip("/")
    by_params.put({f"{parent}/Site-RU/sub-1/x".lstrip("/"): "x"})
    study = HBNSite("RU", "mine", by_params.bucket, prefix, storage=LocalStorage(by_params.storage), anon=False)
    assert study.s3_prefix == f"{parent}/Site-RU".lstrip("/")
    assert (study.study_id, study.anon, [s.subject_id for s in study.subjects]) == ("mine", False, ["sub-1"])


def test_a_site_knows_its_derivatives_by_their_names(hbn):
    study = hbn("SI", subjects=[0])
    assert study.derivative_types == ["T1w_HCP", "afq", "qsiprep"] == study._get_derivative_types()
    top = f"fcp-indi/{PREFIX}"
    assert study.non_sub_s3_keys == {"raw": [f"{top}/participants.tsv"], "derivatives": []}
    assert study._get_non_subject_s3_keys() == study.non_sub_s3_keys


def test_a_subject_has_only_the_derivatives_that_it_has(hbn):
    study = hbn("SI", subjects="all")
    assert [type(subject) for subject in study.subjects] == [HBNSubject] * 3
    first, _, third = study.subjects
    assert (first.site, first.subject_id) == ("Site-SI", FIRST)
    assert repr(first) == f"HBNSubject(subject_id={FIRST}, study_id=HBN, site=Site-SI)"
    assert {key.removeprefix(f"{PREFIX}/") for key in first.s3_keys["raw"]} == raw(FIRST)
    assert set(first.s3_keys["derivatives"]) == {"T1w_HCP", "afq", "qsiprep"}
    assert set(third.s3_keys["derivatives"]) == {"T1w_HCP", "qsiprep"}
    assert first.s3_keys["derivatives"]["qsiprep"] == [
        f"{PREFIX}/derivatives/{FIRST}/qsiprep/{FIRST}/dwi/{FIRST}_acq-64dir_confounds.tsv"
    ]
    assert study._get_subject("sub-x").site == "Site-SI"


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (True, ("",)),
        ("afq", ("afq/",)),
        (["afq", "qsi*"], ("afq/", "qsiprep/")),
        (("T1w_HCP",), ("T1w_HCP/",)),
        (False, ()),
        ([], ()),
    ],
)
def test_derivatives_come_by_name_from_the_chosen_subjects_only(hbn, out, tree, choice, names):
    study = hbn("SI", subjects=[SECOND])
    study.download(out, False, choice)
    files = tree(out)
    del files["dataset_description.json"]
    expected = raw(SECOND).union(*(derived(SECOND, name=name) for name in names))
    assert set(files) == expected
    (subject,) = study.subjects
    kinds = {path.split("/")[2] for path in expected if path.startswith("derivatives/")}
    assert set(subject.files["derivatives"]) == kinds


def test_a_subject_alone_writes_no_description(hbn, out, tree):
    (subject,) = hbn("SI").subjects
    subject.download(out, ["afq"])
    assert set(tree(out)) == raw(FIRST) | derived(FIRST, name="afq/")


@pytest.fixture
def small(by_params):
    """A site with what the synthetic one lacks."""
    by_params.put(
        {
            "Site-RU/sub-1/x": "raw",
            "Site-RU/derivatives/dataset_description.json": "of the derivatives",
            "Site-RU/derivatives/README": "other",
            "Site-RU/derivatives/sub-1/afq/x.csv": "afq",
            "Site-RU/derivatives/sub-1/log.txt": "of no derivative",
            "Site-RU/derivatives/sub-2/later/x.csv": "of a subject without raw data",
        }
    )
    return by_params


def open_small(place, **options):
    return HBNSite("RU", bucket=place.bucket, s3_prefix="", storage=place.storage, **options)


@pytest.mark.parametrize(("option", "comes"), [({}, True), ({"include_derivs_dataset_description": False}, False)])
def test_the_description_of_the_derivatives_comes_with_them(small, out, tree, option, comes):
    study = open_small(small)
    study.download(out, False, "afq", pbar=False, **option)
    files = {"sub-1/x", "derivatives/sub-1/afq/x.csv", "dataset_description.json"}
    assert set(tree(out)) == files | ({"derivatives/dataset_description.json"} if comes else set())


def test_other_files_of_the_derivatives_are_one_flat_list(small):
    study = open_small(small)
    assert study.derivative_types == ["afq", "later"]
    top = f"{small.bucket}/Site-RU/derivatives"
    assert study.non_sub_s3_keys == {"raw": [], "derivatives": [f"{top}/README", f"{top}/dataset_description.json"]}
    assert study.subjects[0].s3_keys["derivatives"] == {"afq": ["Site-RU/derivatives/sub-1/afq/x.csv"]}


@pytest.mark.parametrize("alone", [True, False])
def test_a_derivative_that_the_subject_has_is_not_warned_of(small, out, caplog, alone):
    study = open_small(small)
    if alone:
        study._download_derivative_descriptions("afq", out)
    else:
        study.download(out, False, "afq")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("has_derivatives", [True, False])
def test_a_pattern_that_matches_nothing_is_warned_of_once(small, out, caplog, has_derivatives):
    small.put({"bare/Site-RU/sub-1/x": "x"})
    prefix = "" if has_derivatives else "bare"
    study = HBNSite("RU", bucket=small.bucket, s3_prefix=prefix, storage=small.storage)
    study.download(out, include_derivs="none", pbar=False)
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "'none'" in warning.getMessage()


def test_an_own_description_is_left_alone(small, out):
    out.mkdir()
    (out / "dataset_description.json").write_text("mine")
    open_small(small).download(out, pbar=False)
    assert (out / "dataset_description.json").read_text() == "mine"


def test_a_description_is_written_where_files_failed_too(small, out, tree):
    out.mkdir()
    (out / "derivatives").write_text("in the way")
    with pytest.raises(DownloadError):
        open_small(small).download(out, include_derivs="afq", pbar=False)
    assert set(tree(out)) == {"sub-1/x", "dataset_description.json", "derivatives"}


def test_a_dry_run_writes_no_description(small, out):
    open_small(small).download(out, dry_run=True)
    assert not out.exists()


def test_the_comma_separated_table_chooses_subjects(hbn):
    study = hbn("SI", subjects="all", use_participants_tsv=True)
    assert [subject.subject_id for subject in study.subjects] == [FIRST, SECOND, THIRD]


def test_the_options_of_a_site_are_those_of_a_study(small, out, tree):
    open_small(small).download(out, include_derivs=True, suffix="csv", pbar=False)
    assert set(tree(out)) == {
        "dataset_description.json",
        "derivatives/dataset_description.json",
        "derivatives/sub-1/afq/x.csv",
    }
    assert isinstance(open_small(small), S3BIDSStudy)


@pytest.mark.parametrize("option", [{"subjects": 1.5}, {"anon": 1}, {"s3_prefix": 1}, {"storage": "s3"}, {"bucket": 1}])
def test_wrong_types_are_refused(hbn, option):
    with pytest.raises(TypeError, match=next(iter(option))):
        hbn("SI", **option)


def test_a_site_travels_between_processes(hbn, out, tree, reborn):
    study = reborn(hbn("SI", subjects=[SECOND]))
    assert (study.site, study.subjects[0].site) == ("Site-SI", "Site-SI")
    study.download(out, pbar=False)
    assert set(tree(out)) == raw(SECOND) | {"dataset_description.json"}
