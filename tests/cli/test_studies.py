"""``s3bids studies``, the shipped studies by name, and study files."""

import pytest

from s3bids.config import load_config, shipped_studies
from s3bids.testing.studies import write_hbn_site, write_study

SHIPPED = (
    "abide",
    "abide2",
    "adhd200",
    "aomic-id1000",
    "aomic-piop1",
    "aomic-piop2",
    "corr",
    "hbn-cbic",
    "hbn-cuny",
    "hbn-eeg",
    "hbn-pod2",
    "hbn-ru",
    "hbn-si",
    "nki-rs",
    "nsd",
    "openneuro",
    "openneuro-ds000102",
    "openneuro-fmriprep",
    "openneuro-mriqc",
)
#: What is no collection, and has subjects.
SINGLE = tuple(name for name, path in shipped_studies().items() if not load_config(path).collection)


@pytest.fixture
def emulated(environment, tmp_path):
    """A local emulation of every shipped study, to which the environment switches the program."""
    root = tmp_path / "emulated"
    for name, path in shipped_studies().items():
        config = load_config(path)
        place = root / config.bucket / config.prefix
        if config.site:
            write_hbn_site(place, site=config.site, subjects=["NDARAA075AMK", "NDARAB708LM5"])
        else:
            write_study(place, subjects=["01", "02"], sessions=["HBNsiteSI"] if name == "hbn-pod2" else [])
    environment.update(LOCAL_FS="1", LOCAL_FS_ROOT_DIR=str(root))
    return root


def test_the_shipped_studies_are_listed(run):
    found = run("studies", "--long", code=0)
    lines = found.out.splitlines()
    assert tuple(line.split()[0] for line in lines[1 : len(SHIPPED) + 1]) == SHIPPED
    assert "s3://fcp-indi/data/Projects/HBN/MRI/Site-SI\n" in found.out
    [pod2] = [line.split() for line in lines if line.startswith("hbn-pod2")]
    assert pod2[-4:] == [
        *("nested", "us-east-1", "derivatives/qsiprep/participants.tsv"),
        "s3://fcp-indi/data/Projects/HBN/BIDS_curated",
    ]
    [nsd] = [line.split() for line in lines if line.startswith("nsd")]
    assert nsd[1] == "one"
    assert nsd[-4:] == ["nested", "us-east-2", "-", "s3://natural-scenes-dataset/nsddata"]
    [abide] = [line.split() for line in lines if line.startswith("abide ")]
    assert abide[1] == "many"
    assert found.err == ""


def test_the_shipped_studies_as_json(run):
    studies = {study["name"]: study for study in run("studies", "--json", code=0).json}
    assert tuple(studies) == SHIPPED
    assert (studies["hbn-si"]["class"], studies["hbn-si"]["site"]) == ("HBNSite", "SI")
    assert all(study["anon"] for study in studies.values())
    assert {study["region"] for study in studies.values()} == {"us-east-1", "us-east-2", None}
    assert all(study["file"].endswith(f"{name}.yaml") for name, study in studies.items())


@pytest.mark.parametrize("name", SINGLE)
def test_a_shipped_study_is_downloaded_from_its_emulation(run, emulated, work, name):
    found = run("download", name, "--subjects", "1", "--derivatives", "all", "--json", code=0).json
    assert (found["complete"], found["failed"]) == (True, 0)
    assert found["source"].startswith(f"file://{emulated}/")
    assert len(list((work / name).glob("sub-*"))) == 1
    assert (work / name / "dataset_description.json").is_file()
    assert list((work / name / "derivatives").rglob("sub-*")) != []


@pytest.mark.usefixtures("emulated")
def test_an_address_follows_the_emulation_too(run):
    assert run("ls", "s3://openneuro.org/ds000102", code=0).out == "sub-01\nsub-02\n"


@pytest.mark.usefixtures("emulated")
def test_a_directory_of_a_shipped_studys_name_does_not_hide_it(run, work):
    run("download", "openneuro-ds000102", code=0)
    assert (work / "openneuro-ds000102").is_dir()
    run("download", "openneuro-ds000102", code=0)


def test_a_study_file_says_what_is_wanted(run, buckets, work):
    (work / "mine.yaml").write_text(
        f"bucket: demo\nprefix: ds\nlocal_root: {buckets}\nsubjects: [01, sub-10]\nderivatives: all\n"
    )
    run("download", "mine.yaml", code=0)
    assert sorted(path.name for path in (work / "mine").glob("sub-*")) == ["sub-01", "sub-10"]
    assert (work / "mine" / "derivatives" / "fmriprep-mini" / "sub-10").is_dir()
    assert run("ls", "mine.yaml", code=0).out == "sub-01\nsub-10\n"


def test_the_command_line_goes_before_the_study_file(run, proxy, work):
    bucket = proxy.study.split("/")[2]
    (work / "mine.yaml").write_text(
        f"name: ours\nbucket: {bucket}\nprefix: ds\nendpoint_url: http://127.0.0.1:9\nsubjects: 01\n"
    )
    run("download", "mine.yaml", "--endpoint-url", proxy.url, "--subjects", "02", code=0)
    assert [path.name for path in (work / "ours").glob("sub-*")] == ["sub-02"]


@pytest.mark.parametrize("anon", ["", "anon: true", "anon: null", "anon: none", "anon: None", "anon: anon"])
def test_an_anonymous_study_file_signs_nothing(run, proxy, work, environment, anon):
    """One setting drives listing and reading, however it is written."""
    environment.update({"AWS_ACCESS_KEY_ID": "stale", "AWS_SECRET_ACCESS_KEY": "stale"})
    bucket = proxy.study.split("/")[2]
    (work / "mine.yaml").write_text(f"bucket: {bucket}\nprefix: ds\nendpoint_url: {proxy.url}\n{anon}\n")
    run("download", "mine.yaml", "--subjects", "01", code=0)
    assert {request.is_signed for request in proxy.requests} == {False}
    assert proxy.counts()["get"] > 0


def test_a_study_file_may_sign(run, proxy, work, environment):
    environment.update({"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"})
    bucket = proxy.study.split("/")[2]
    (work / "mine.yaml").write_text(f"bucket: {bucket}\nprefix: ds\nendpoint_url: {proxy.url}\nanon: false\n")
    run("ls", "mine.yaml", code=0)
    assert {request.is_signed for request in proxy.requests} == {True}
