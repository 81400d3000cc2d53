"""Study files: what they may say, what is refused, and where the shipped ones are."""

import shutil
import subprocess
import sys
import tomllib
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

import s3bids
from s3bids import HBNSite, LocalStorage, S3BIDSStudy
from s3bids.config import ALLOWED, StudyConfig, list_members, load_config, open_study, shipped_studies
from s3bids.errors import ConfigError, ObjectNotFoundError, SubjectNotFoundError
from s3bids.testing.studies import write_hbn_site, write_study

SHIPPED = [
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
]
COLLECTIONS = {"abide", "abide2", "adhd200", "corr", "hbn-eeg", "openneuro", "openneuro-fmriprep", "openneuro-mriqc"}
#: Where the bucket is; that of the derivatives of OpenNeuro is not documented.
REGIONS = {"nsd": "us-east-2", "openneuro-fmriprep": None, "openneuro-mriqc": None}
PACKAGE = Path(s3bids.__file__).parent
HBN = "class: HBNSite\nbucket: fcp-indi\n"


@pytest.fixture
def load(tmp_path):
    """A function that writes a study file and loads it: text or bytes -> config."""

    def go(content):
        path = tmp_path / "mine.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_config(path)

    return go


@pytest.fixture
def emulation(tmp_path):
    """The root of a local emulation with a study at ``bucket/ds``."""
    write_study(tmp_path / "root" / "bucket" / "ds")
    return tmp_path / "root"


# What a file may say


def test_a_bucket_is_enough(load):
    assert load("bucket: b\n") == StudyConfig(name="mine", bucket="b")


def test_everything_can_be_said(load, tmp_path):
    text = (
        "name: ours\ndescription: A study\nsource: https://example.org\nterms: Ask us.\nclass: S3BIDSStudy\n"
        "layout: standalone\nbucket: b\nprefix: a/ds\nlocal_root: root\nregion: eu-central-1\n"
        "endpoint_url: http://localhost:9000\nanon: false\nrequest_payer: true\nprofile: lab\nsubjects: 3\n"
        "use_participants_tsv: true\nrandom_seed: 42\nderivatives: [fmriprep, afq*]\nparticipants: a/b.tsv\n"
        "collection: true\n"
    )
    assert load(text) == StudyConfig(
        name="ours",
        description="A study",
        source="https://example.org",
        terms="Ask us.",
        layout="standalone",
        bucket="b",
        prefix="a/ds",
        local_root=str(tmp_path / "root"),
        region="eu-central-1",
        endpoint_url="http://localhost:9000",
        anon=False,
        request_payer=True,
        profile="lab",
        subjects=3,
        use_participants_tsv=True,
        random_seed=42,
        derivatives=("fmriprep", "afq*"),
        participants="a/b.tsv",
        collection=True,
    )


def test_every_field_has_a_key_and_says_what_is_allowed():
    names = {"class" if field.name == "study_class" else field.name for field in fields(StudyConfig)}
    assert names | {"extends"} == ALLOWED.keys()


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("subjects: all", "subjects", "all"),
        ("subjects: 5", "subjects", 5),
        ("subjects: '5'", "subjects", "5"),
        ("subjects: 05", "subjects", "05"),
        ("subjects: sub-05", "subjects", "sub-05"),
        (
            "subjects: [01, 010, 2, sub-3, NDARAA075AMK, 1e3, '4']",
            "subjects",
            ["01", "010", "2", "sub-3", "NDARAA075AMK", "1e3", "4"],
        ),
        ("subjects: null", "subjects", "all"),
        ("derivatives: all", "derivatives", ["*"]),
        ("derivatives: afq", "derivatives", ["afq"]),
        ("derivatives: []", "derivatives", []),
        ("anon: null", "anon", True),
        ("anon: none", "anon", True),
        ("anon: None", "anon", True),
        ("anon: anon", "anon", True),
        ("anon: true", "anon", True),
        ("anon: no", "anon", False),
        ("profile: lab", "anon", False),
        ("prefix: 2020-01-01", "prefix", "2020-01-01"),
        ("prefix: '010'", "prefix", "010"),
        ("description: süß", "description", "süß"),
        ("description: !!str 5", "description", "5"),
        ("region: ~", "region", None),
    ],
)
def test_values_mean_what_people_mean(load, text, field, value):
    found = getattr(load(f"bucket: b\n{text}\n"), field)
    assert found == (tuple(value) if isinstance(value, list) else value)
    assert type(found) is (tuple if isinstance(value, list) else type(value))


def test_a_byte_order_mark_and_windows_line_ends_are_read(load):
    assert load(b"\xef\xbb\xbfbucket: b\r\nprefix: ds\r\n").prefix == "ds"


def test_a_config_is_frozen():
    config = StudyConfig(name="a", bucket="b")
    with pytest.raises(FrozenInstanceError):
        config.bucket = "c"


@pytest.mark.parametrize(
    ("options", "location"),
    [
        ({}, "s3://b"),
        ({"prefix": "/a/ds/"}, "s3://b/a/ds"),
        ({"local_root": "/data", "prefix": "ds"}, "file:///data/b/ds"),
    ],
)
def test_the_location_is_an_address(options, location):
    assert StudyConfig(name="a", bucket="b", **options).location == location


# What is refused


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ("bucket: b\nbukcet: c", 2, ["'bukcet'", "did you mean 'bucket'", "random_seed"]),
        ("bucket: b\nextends: x", 2, ["extends is 'x', which is no shipped study", ALLOWED["extends"]]),
        ("prefix: ds", None, ["'bucket' is missing", ALLOWED["bucket"]]),
        ("bucket: null", 1, ["'bucket' is missing"]),
        ("bucket: ''", 1, ["bucket", "''"]),
        ("bucket: b/ds", 1, ["bucket", "'b/ds'"]),
        ("bucket: 5", 1, ["bucket is the number 5", "in quotes"]),
        ("bucket: [b]", 1, ["bucket is a list of 'b'"]),
        ("bucket: b\nlayout: flat", 2, ["layout is 'flat'", "nested, subject-first or standalone"]),
        ("bucket: b\nclass: Study", 2, ["class is 'Study'", "S3BIDSStudy or HBNSite"]),
        ("bucket: b\nanon: maybe", 2, ["anon is 'maybe'", "true or null"]),
        ("bucket: b\nanon: 1", 2, ["anon is the number 1"]),
        ("bucket: b\nrequest_payer: 'true'", 2, ["request_payer is 'true'", "true or false"]),
        ("bucket: b\n\nrandom_seed: x", 3, ["random_seed is 'x'", "a number from 0"]),
        ("bucket: b\nrandom_seed: -1", 2, ["random_seed", "-1"]),
        ("bucket: b\nrandom_seed: 4294967296", 2, ["random_seed", "4294967296"]),
        ("bucket: b\nrandom_seed: true", 2, ["random_seed is true"]),
        ("bucket: b\nsubjects: 0", 2, ["subjects", "at least one"]),
        ("bucket: b\nsubjects: []", 2, ["subjects", "no subject is named"]),
        ("bucket: b\nsubjects: true", 2, ["subjects is true"]),
        ("bucket: b\nsubjects: [yes, 01]", 2, ["subjects is a list of true", ALLOWED["subjects"]]),
        ("bucket: b\nsubjects: {a: 1}", 2, ["subjects is a mapping"]),
        ("bucket: b\nsubjects: [[a], b, c, d]", 2, ["a list of a list, 'b', 'c' ..."]),
        ("bucket: b\nderivatives: [1]", 2, ["derivatives is a list of the number 1"]),
        ("bucket: b\nendpoint_url: localhost", 2, ["endpoint_url", "'localhost'", "http://"]),
        ("bucket: b\nprefix: /", 2, ["prefix", "leave it out"]),
        ("bucket: b\nname: ../x", 2, ["name", "'../x'"]),
        ("bucket: b\nname: .hidden", 2, ["name", "'.hidden'"]),
        ("bucket: b\nregion: ''", 2, ["region", "it is empty"]),
        ("bucket: b\nanon: true\nprofile: lab", 3, ["profile", "anon is true"]),
        ("bucket: b\nsite: SI", 2, ["site", "class: HBNSite"]),
        (f"{HBN}prefix: a/Site-SI", 1, ["class", "needs a site"]),
        (f"{HBN}prefix: a/Site-SI\nsite: XX", 4, ["site", "'XX'", "Site-CUNY"]),
        (f"{HBN}prefix: a/Site-SI\nsite: RU", 3, ["prefix", "Site-RU"]),
        (f"{HBN}prefix: a/Site-SI\nsite: SI\nlayout: nested", 5, ["layout", "subject-first"]),
        ("bucket: " + "x" * 200 + "/y", 1, ["bucket"]),
    ],
)
def test_nonsense_is_refused_with_file_line_key_and_what_is_allowed(load, tmp_path, text, line, parts):
    with pytest.raises(ConfigError) as caught:
        load(f"{text}\n")
    message = str(caught.value)
    place = f"{tmp_path / 'mine.yaml'}" + (f", line {line}: " if line else ": ")
    assert message.startswith(place)
    assert [part for part in parts if part not in message] == []
    assert "\n" not in message
    assert "pydantic" not in message


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["bucket: fcp-indi"]),
        ("- a\n- b\n", ["bucket: fcp-indi"]),
        ("bucket\n", ["bucket: fcp-indi"]),
        ("bucket: b\n  prefix: ds\n", ["line 2", "no YAML"]),
        ("bucket: {b\n", ["line 2", "no YAML"]),
        ("bucket: 'b\n", ["no YAML"]),
        ("bucket: b\nbucket: c\n", ["line 2", "'bucket' comes twice"]),
        ("? [a]\n: b\n", ["line 1", "a key must be a word"]),
        ("bucket: b\n---\nbucket: c\n", ["line 2", "second document"]),
        ("bucket: !!python/object/apply:os.system [ls]\n", ["line 1", "tags", "os.system"]),
        ("bucket: !local b\n", ["line 1", "tags"]),
        ("!!set {bucket: b}\n", ["line 1", "tags"]),
        ("bucket: &b b\nprefix: *b\n", ["line 1", "anchors and aliases"]),
        ("<<: {bucket: b}\n", ["line 1", "'<<' is unknown"]),
        ("a: " + "[" * 5000, ["line 1", "levels"]),
        (b"\x1f\x8b\x08\x00\xff", ["no UTF-8"]),
        (b"bucket: b\x00\n", ["no YAML"]),
        ("#" * 65 * 1024, ["more than 65536 bytes"]),
    ],
)
def test_a_hostile_or_broken_file_is_refused(load, content, parts):
    with pytest.raises(ConfigError) as caught:
        load(content)
    message = str(caught.value)
    assert [part for part in ("mine.yaml", *parts) if part not in message] == []
    assert "\n" not in message


def test_a_bomb_of_aliases_is_refused_at_once(load):
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(ConfigError, match="anchors and aliases"):
        load("\n".join(lines))


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot read the study file"):
        load_config(tmp_path / name)


@pytest.mark.parametrize(
    "options", [{"prefix": "/"}, {"profile": "lab"}, {"site": "SI"}, {"bucket": ""}, {"name": "a b"}, {"subjects": 0}]
)
def test_a_config_made_in_python_is_checked_as_well(options):
    with pytest.raises(ConfigError, match=f"^{next(iter(options))}: "):
        StudyConfig(**{"name": "a", "bucket": "b", **options})


# From a config to a study


def test_a_local_study_is_opened(load, emulation):
    study = open_study(load(f"bucket: bucket\nprefix: ds\nlocal_root: {emulation.name}\n"))
    assert type(study) is S3BIDSStudy
    assert isinstance(study.storage, LocalStorage)
    assert (study.study_id, study.s3_prefix, study.layout) == ("mine", "ds", "nested")
    assert [subject.subject_id for subject in study.subjects] == ["sub-01", "sub-02", "sub-10"]


@pytest.mark.parametrize(
    ("configured", "asked", "chosen"),
    [
        ("all", None, ["sub-01", "sub-02", "sub-10"]),
        (2, None, ["sub-01", "sub-02"]),
        (("10", "sub-01"), None, ["sub-10", "sub-01"]),
        (2, "all", ["sub-01", "sub-02", "sub-10"]),
        ("all", ["02"], ["sub-02"]),
    ],
)
def test_subjects_are_those_of_the_config_unless_others_are_asked_for(emulation, configured, asked, chosen):
    config = StudyConfig(name="a", bucket="bucket", prefix="ds", local_root=str(emulation), subjects=configured)
    assert [subject.subject_id for subject in open_study(config, subjects=asked).subjects] == chosen


def test_an_unknown_subject_is_named(emulation):
    config = StudyConfig(name="a", bucket="bucket", prefix="ds", local_root=str(emulation), subjects=("11",))
    with pytest.raises(SubjectNotFoundError, match=r"sub-11.*sub-10"):
        open_study(config)


def test_seed_table_and_layout_reach_the_study(emulation):
    config = StudyConfig(
        name="a",
        bucket="bucket",
        prefix="ds",
        local_root=str(emulation),
        random_seed=1,
        use_participants_tsv=True,
        layout="standalone",
    )
    study = open_study(config)
    assert (study.random_seed, study.use_participants_tsv, study.layout) == (1, True, "standalone")


def test_how_to_reach_the_bucket_reaches_the_storage(rclone, bucket_name):
    write_study(rclone.root / bucket_name / "ds", subjects=["01"])
    rclone.refresh()
    config = StudyConfig(
        name="a", bucket=bucket_name, prefix="ds", endpoint_url=rclone.url, region="eu-central-1", request_payer=True
    )
    params = open_study(config).storage.params
    assert (params.endpoint_url, params.region_name) == (rclone.url, "eu-central-1")
    assert (params.anon, params.request_payer, params.profile_name) == (True, True, None)


def test_the_environment_switches_a_study_to_the_local_emulation(emulation, monkeypatch):
    monkeypatch.setenv("LOCAL_FS", "1")
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", str(emulation))
    study = open_study(StudyConfig(name="a", bucket="bucket", prefix="ds", endpoint_url="http://127.0.0.1:9"))
    assert study.storage.location == f"file://{emulation}/bucket"


# The shipped studies


def test_the_shipped_studies_are_found():
    assert list(shipped_studies()) == SHIPPED


def test_the_shipped_studies_are_found_in_a_wheel(tmp_path):
    """A wheel has them inside the package, where a checkout has not."""
    shutil.copytree(PACKAGE, tmp_path / "s3bids", ignore=shutil.ignore_patterns("__pycache__", "_studies"))
    shutil.copytree(next(iter(shipped_studies().values())).parent, tmp_path / "s3bids" / "_studies")
    code = "from s3bids.config import shipped_studies\nfor path in shipped_studies().values(): print(path)"
    command = [sys.executable, "-c", code]
    found = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == [str(tmp_path / "s3bids" / "_studies" / f"{name}.yaml") for name in SHIPPED]


def test_the_wheel_takes_the_studies_along():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {"studies": "s3bids/_studies"}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_study_is_complete_and_public(name):
    config = load_config(shipped_studies()[name])
    assert config.name == name
    assert config.description
    assert config.source
    assert (config.anon, config.region, config.endpoint_url) == (True, REGIONS.get(name, "us-east-1"), None)
    assert config.collection == (name in COLLECTIONS)
    assert config.layout is not None


def test_only_tables_that_can_be_read_are_named():
    named = {name: load_config(path).participants for name, path in shipped_studies().items()}
    assert {name for name, table in named.items() if not table} == {
        *("abide", "abide2", "adhd200", "corr", "nki-rs", "nsd", "openneuro-fmriprep", "openneuro-mriqc")
    }
    assert {table for table in named.values() if table} == {"participants.tsv", "derivatives/qsiprep/participants.tsv"}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_study_opens_in_the_local_emulation(name, tmp_path, monkeypatch):
    config = load_config(shipped_studies()[name])
    if config.collection:
        config = config.member("one")
    place = tmp_path / config.bucket / config.prefix
    if config.site:
        write_hbn_site(place, site=config.site)
    else:
        write_study(place)
    monkeypatch.setenv("LOCAL_FS", "1")
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", str(tmp_path))
    study = open_study(config)
    assert len(study.subjects) == 3
    assert (study.s3_prefix, study.bucket) == (config.prefix, config.bucket)
    assert isinstance(study, HBNSite) == (config.site is not None)
    assert study.layout == config.layout
    assert len(study.derivative_types) == (3 if config.site else 1)


# Collections


@pytest.mark.parametrize(("prefix", "inside"), [("a/b/", "a/b/CMU_a"), ("", "CMU_a")])
def test_a_data_set_of_a_collection_is_a_study(prefix, inside):
    collection = StudyConfig(name="abide", bucket="b", prefix=prefix, layout="standalone", collection=True)
    member = collection.member("CMU_a")
    assert member == replace(collection, name="abide-CMU_a", prefix=inside, collection=False)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_a_data_set_needs_the_name_of_a_directory(name):
    with pytest.raises(ConfigError, match="names no data set; s3bids ls abide lists the data sets"):
        StudyConfig(name="abide", bucket="b", collection=True).member(name)


def test_odd_directories_get_names_that_directories_here_can_have():
    assert StudyConfig(name="x", bucket="b", collection=True).member("é *").name == "x----"


def test_a_study_is_no_collection_and_a_collection_no_study(emulation):
    one = StudyConfig(name="one", bucket="bucket", prefix="ds", local_root=str(emulation))
    many = StudyConfig(name="many", bucket="bucket", local_root=str(emulation), collection=True)
    assert list_members(many) == ["ds"]
    assert len(open_study(many.member("ds"), subjects="all").subjects) == 3
    with pytest.raises(ConfigError, match="one is one data set"):
        list_members(one)
    with pytest.raises(ConfigError, match="one is one data set, so there is no one/x"):
        one.member("x")
    with pytest.raises(ConfigError, match="many holds many data sets"):
        open_study(many)
    with pytest.raises(ObjectNotFoundError, match="no directories"):
        list_members(replace(many, prefix="nowhere"))


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("", "participants.tsv"),
        ("participants: none\n", ""),
        ("participants: None\n", ""),
        ("participants: x/y.tsv\n", "x/y.tsv"),
    ],
)
def test_the_participant_table_may_be_named(load, text, table):
    assert load(f"bucket: b\n{text}").participants == table


@pytest.mark.parametrize(
    "text",
    [
        "participants: /x.tsv\n",
        "participants: 3\n",
        "collection: 1\n",
        f"{HBN}prefix: a/Site-SI\nsite: SI\ncollection: true\n",
    ],
)
def test_nonsense_about_tables_and_collections_is_refused(load, text):
    with pytest.raises(ConfigError, match="line"):
        load(text if "bucket" in text else f"bucket: b\n{text}")


def test_a_shipped_study_can_be_changed(tmp_path):
    write_hbn_site(tmp_path / "fcp-indi" / "data" / "Projects" / "HBN" / "MRI" / "Site-SI")
    config = replace(load_config(shipped_studies()["hbn-si"]), local_root=str(tmp_path), use_participants_tsv=True)
    assert len(open_study(config).subjects) == 3
