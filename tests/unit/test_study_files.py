"""All that a study file says: what it takes over, variables, choices, its schema, and the way back to a file."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import s3bids
from s3bids import HBNSite, S3BIDSStudy
from s3bids.config import ALLOWED, StudyConfig, load_config, shipped_studies, study_schema, write_config
from s3bids.errors import ConfigError
from s3bids.testing.studies import write_hbn_site, write_study

EVERYTHING = """\
name: lab
description: Ours
bucket: bucket
prefix: ds
local_root: root
subjects: [sub-01, '02']
random_seed: 0
where: age >= 8
sample: 1
balance: sex
require: [T1w]
derivatives: all
suffix: .json
filters: {suffix: bold, run: [1, 2], space: null}
include: sub-*/**
exclude: ['**/*.html']
keys: [README]
sidecars: false
fieldmaps: true
valid_subset: true
destination: out
jobs: 2
verify: sha256
overwrite: true
reserve: 1.5K
"""


@pytest.fixture
def write(tmp_path):
    """A function that writes a study file: text -> path."""

    def go(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return go


def test_a_file_says_all_that_a_download_can_be_told(write, tmp_path):
    config = load_config(write(EVERYTHING))
    assert config.destination == str(tmp_path / "out")
    assert config.download_arguments == {
        "derivatives": True,
        "suffix": ".json",
        "n_jobs": 2,
        "verify": "sha256",
        "overwrite": True,
        "reserve": 1536,
        "filters": {"suffix": "bold", "run": [1, 2], "space": None},
        "where": "age >= 8",
        "sample": 1,
        "balance": "sex",
        "require": ["T1w"],
        "include": ["sub-*/**"],
        "exclude": ["**/*.html"],
        "keys": ["README"],
        "with_sidecars": False,
        "with_fieldmaps": True,
        "valid_subset": True,
    }


def test_a_file_that_chooses_nothing_asks_for_nothing():
    assert StudyConfig(name="a", bucket="b").asked == {}


# Taking over


def test_a_file_takes_over_what_it_does_not_say(write, tmp_path):
    write("bucket: b\nprefix: ds\nregion: eu-central-1\nlocal_root: root\nderivatives: [afq]\n", "base.yaml")
    (tmp_path / "labs").mkdir()
    config = load_config(write("extends: ../base.yaml\nregion: null\nderivatives: all\n", "labs/mine.yaml"))
    assert (config.name, config.prefix, config.region, config.derivatives) == ("mine", "ds", None, ("*",))
    assert Path(config.local_root).resolve() == tmp_path / "root"


def test_a_shipped_study_can_be_extended(write):
    config = load_config(write("extends: hbn-si\nsubjects: 3\nwhere: age < 9\n"))
    assert config == replace(load_config(shipped_studies()["hbn-si"]), name="mine", subjects=3, where="age < 9")


@pytest.mark.parametrize(
    ("base", "own", "found"),
    [("anon: true", "profile: lab", (False, "lab")), ("profile: lab", "anon: true", (True, None))],
)
def test_the_own_way_to_sign_takes_the_place_of_the_other(write, base, own, found):
    write(f"bucket: b\n{base}\n", "base.yaml")
    config = load_config(write(f"extends: base.yaml\n{own}\n"))
    assert (config.anon, config.profile) == found


def test_an_error_in_a_file_that_is_extended_names_that_file(write, tmp_path):
    write("bucket: b\n\nlayout: flat\n", "base.yaml")
    with pytest.raises(ConfigError, match=r"base\.yaml, line 3: layout is 'flat'"):
        load_config(write("extends: base.yaml\n"))


# Variables


def test_variables_are_filled_in(write, monkeypatch):
    monkeypatch.setenv("COHORT", "7")
    monkeypatch.setenv("NAME_OF_BUCKET", "010")
    text = "bucket: ${NAME_OF_BUCKET}\nprefix: a/${COHORT}\nsample: ${COHORT}\n"
    config = load_config(write(text + "suffix: '$${x}'\nsubjects: ['${COHORT}']\n"))
    assert (config.bucket, config.prefix, config.sample) == ("010", "a/7", 7)
    assert (config.suffix, config.subjects) == ("${x}", ("7",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layout: ${HIDDEN}", "line 2: layout is '${HIDDEN}'; allowed is nested"),
        ("endpoint_url: ${HIDDEN}", "line 2: endpoint_url is '${HIDDEN}', and what stands there is not allowed"),
        ("where: '(${HIDDEN}'", "line 2: where is '(${HIDDEN}', and what stands there is not allowed"),
        ("sample: ${HIDDEN}", "line 2: sample is '${HIDDEN}'; allowed is a number"),
        ("filters: {task: 're:(${HIDDEN}'}", "line 2: filters is a mapping, and what stands there is not allowed"),
    ],
)
def test_no_error_shows_what_a_variable_holds(write, monkeypatch, text, message):
    monkeypatch.setenv("HIDDEN", "hush-hush")
    with pytest.raises(ConfigError) as caught:
        load_config(write(f"bucket: b\n{text}\n"))
    assert message in str(caught.value)
    assert "hush-hush" not in str(caught.value)


# What is refused: at least thirty files, each with its message

BROKEN = [
    ("bucket: b\nbukcet: c", 2, "the key 'bukcet' is unknown; did you mean 'bucket'? Allowed are extends, name, "),
    ("prefix: ds", None, f"the key 'bucket' is missing; give {ALLOWED['bucket']}"),
    ("bucket: 5", 1, "bucket is the number 5; allowed is the name of a bucket; put it in quotes to make it text"),
    ("bucket: b\nextends: hbn-s", 2, "extends is 'hbn-s', which is no shipped study; did you mean hbn-si"),
    ("bucket: b\nextends: none.yaml", 2, "extends is 'none.yaml', and there is no such file; allowed is "),
    ("bucket: b\nextends: [a]", 2, "extends is a list of 'a'; allowed is the name of a shipped study"),
    ("extends: mine.yaml", 1, "extends is 'mine.yaml', which leads back here"),
    ("bucket: ${NOWHERE}", 1, "the variable NOWHERE is not set, or empty; set it, or write the value here"),
    ("bucket: ${NOT SET}", 1, "${NOT SET} names no variable; write ${NAME}"),
    ("bucket: b\nendpoint_url: http://x/${AWS_SECRET_ACCESS_KEY}", 2, "the variable AWS_SECRET_ACCESS_KEY may hold"),
    ("bucket: b\nprefix: ${GITHUB_TOKEN}", 2, "the variable GITHUB_TOKEN may hold a secret"),
    ("bucket: b\nprefix: ${MYSQL_PWD}", 2, "the variable MYSQL_PWD may hold a secret"),
    ("bucket: b\nprefix: ${GITHUB_PAT}", 2, "the variable GITHUB_PAT may hold a secret"),
    ("bucket: b\nprefix: ${PRIVATE_PART}", 2, "the variable PRIVATE_PART may hold a secret"),
    ("bucket: b\nlocal_root: ''", 2, "local_root: it is empty; allowed is"),
    ("bucket: b\nderivatives: ''", 2, "derivatives: a name is empty; allowed is"),
    (f"bucket: b\nsample: {'9' * 5000}", 2, f"sample is '{'9' * 60}...'; allowed is a number"),
    ("bucket: b\nlayout: flat", 2, "layout is 'flat'; allowed is nested, subject-first or standalone"),
    ("bucket: b\nclass: Study", 2, "class is 'Study'; allowed is S3BIDSStudy or HBNSite"),
    ("bucket: b\nanon: maybe", 2, "anon is 'maybe'; allowed is true or null"),
    ("bucket: b\nanon: true\nprofile: lab", 3, "profile: a profile signs requests, and anon is true; allowed is "),
    ("bucket: b\nendpoint_url: localhost", 2, "endpoint_url: 'localhost' is no address of a server; allowed is "),
    ("bucket: b\nsubjects: 0", 2, "subjects: at least one subject must be wanted; allowed is all"),
    ("bucket: b\nsubjects: [yes]", 2, "subjects is a list of true; allowed is all (the default)"),
    ("bucket: b\nsample: 0", 2, "sample: sample is 0; ask for at least one subject; allowed is a number from 1 on"),
    ("bucket: b\nsample: few", 2, "sample is 'few'; allowed is a number from 1 on"),
    ("bucket: b\nrandom_seed: -1", 2, "random_seed: -1 is out of range; allowed is a number from 0 to 4294967295"),
    ("bucket: b\nwhere: age >=", 2, "where: "),
    ("bucket: b\nwhere: 8", 2, "where is the number 8; allowed is a query on the participant table"),
    ("bucket: b\nfilters: bold", 2, "filters is 'bold'; allowed is entities and their values"),
    ("bucket: b\nfilters: {task: 're:('}", 2, "filters: "),
    ("bucket: b\nfilters: {task: rest, task: x}", 2, "the key 'task' comes twice; leave one"),
    ("bucket: b\nrequire: ['']", 2, "require: require holds an empty text; allowed is a suffix or datatype"),
    ("bucket: b\ninclude: {a: b}", 2, "include is a mapping; allowed is a glob of paths, or a list of them"),
    ("bucket: b\nsidecars: often", 2, "sidecars is 'often'; allowed is true or false: bring what"),
    ("bucket: b\nvalid_subset: 1", 2, "valid_subset is the number 1; allowed is true or false: cut"),
    ("bucket: b\ndestination: ''", 2, "destination: it is empty; allowed is the directory of downloads"),
    ("bucket: b\njobs: 0", 2, "jobs: 0 processes do nothing; allowed is a number of processes from 1 to 10000"),
    ("bucket: b\njobs: many", 2, "jobs is 'many'; allowed is a number of processes"),
    ("bucket: b\nverify: md5", 2, "verify is 'md5'; allowed is size, etag (the default) or sha256"),
    ("bucket: b\noverwrite: 'yes'", 2, "overwrite is 'yes'; allowed is true or false: replace"),
    ("bucket: b\nreserve: lots", 2, "reserve: 'lots' is no size; write for example 500M or 50G; allowed is bytes"),
    ("bucket: b\nreserve: -1", 2, "reserve: -1 is less than nothing; allowed is bytes of the disk"),
    ("bucket: b\nsite: SI", 2, "site: a site goes with class: HBNSite only; allowed is a site of HBN"),
]


def test_there_are_thirty_broken_files():
    assert len({text for text, _, _ in BROKEN}) >= 30


@pytest.mark.parametrize(("text", "line", "message"), BROKEN)
def test_a_broken_file_is_refused_by_file_line_key_and_what_is_allowed(write, text, line, message):
    path = write(f"{text}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    place = f"{path}" if line is None else f"{path}, line {line}"
    assert str(caught.value).startswith(f"{place}: {message}")
    assert "\n" not in str(caught.value)


# The schema


@pytest.mark.parametrize("name", shipped_studies())
def test_the_schema_takes_every_shipped_file(name):
    jsonschema.validate(yaml.safe_load(shipped_studies()[name].read_text()), study_schema())


@pytest.mark.parametrize("text", [EVERYTHING, "extends: hbn-si\nsubjects: 3\nsample: ${N}\nderivatives: afq\n"])
def test_the_schema_takes_what_a_file_may_say(text):
    schema = json.loads(json.dumps(study_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(text), schema)
    assert set(schema["properties"]) == set(ALLOWED)


@pytest.mark.parametrize(
    "text", ["bucket: b\nbukcet: c", "prefix: ds", "bucket: b\nlayout: flat", "bucket: b\njobs: 0"]
)
def test_the_schema_refuses_what_a_file_may_not_say(text):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), study_schema())


#: Values of all kinds, of which each key takes some.
VALUES = [
    None, True, False, 0, 1, -1, -2, 10_001, 2**32, 1.5, "", "a", "/", "a/b", "all", "*", "none", "null", "anon",
    "nested", "size", "50G", "-5", "x y", ".x", "http://h", "ftp://h", "HBNSite", "SI", "[", "${N}", "${JOBS}",
    "/p.tsv", "age >= 8", [], ["a"], ["a", "b"], [""], [1], [None], {}, {"suffix": "bold"}, {"run": [1, 2]}, {"x": {}},
    {"run": None},
]  # fmt: skip


@pytest.fixture(scope="module")
def validator():
    return jsonschema.Draft202012Validator(study_schema())


@pytest.mark.parametrize("key", [key for key in ALLOWED if key != "extends"])
def test_the_schema_refuses_nothing_that_is_read(key, write, validator, monkeypatch):
    monkeypatch.setenv("N", "3")
    monkeypatch.setenv("JOBS", "-2")
    read = 0
    for value in VALUES:
        values = {"bucket": "b", "anon": None if key != "profile" else False, key: value}
        path = write(yaml.safe_dump(values))
        try:
            load_config(path)
        except ConfigError:
            continue
        read += 1
        validator.validate(yaml.safe_load(path.read_text()))
    assert read > 0


@settings(max_examples=150, deadline=None)
@given(values=st.dictionaries(st.sampled_from([*ALLOWED][1:]), st.sampled_from(VALUES), max_size=4))
def test_the_schema_refuses_no_file_that_is_read(values, validator, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "study.yaml"
    path.write_text(yaml.safe_dump({"bucket": "b"} | values))
    try:
        load_config(path)
    except ConfigError:
        return
    validator.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "name: a/b", "name: .x", "name: ''", "bucket: ''", "bucket: a/b", "prefix: /", "region: ''", "local_root: ''",
        "anon: false\nprofile: ''", "balance: ''", "destination: ''", "endpoint_url: ftp://h", "endpoint_url: http:///x",
        "subjects: 0", "subjects: ''", "subjects: []", "jobs: 10001", "jobs: -10001", "sample: 0", "random_seed: -1",
        "require: ['']", "derivatives: ''", "include: ['']", "keys: ''", "participants: /p.tsv", "reserve: -1",
        "reserve: 5 elephants", "layout: 1.5",
    ],
)  # fmt: skip
def test_schema_and_loader_refuse_the_same(text, write, validator):
    whole = text if text.startswith("bucket") else f"bucket: b\n{text}"
    assert not validator.is_valid(yaml.safe_load(whole))
    with pytest.raises(ConfigError):
        load_config(write(f"{whole}\n"))


# From a study and back


@pytest.mark.parametrize("name", shipped_studies())
def test_a_shipped_study_comes_back_from_its_file(name, tmp_path):
    config = load_config(shipped_studies()[name])
    write_config(config, tmp_path / "again.yaml")
    assert load_config(tmp_path / "again.yaml") == config


def test_all_that_a_file_says_comes_back(write, tmp_path):
    config = load_config(write(EVERYTHING))
    write_config(config, tmp_path / "again.yaml")
    assert load_config(tmp_path / "again.yaml") == config


@pytest.mark.parametrize("text", ["${A}", "$${A}", "$$${A}", "${A", "a${A}b${", "$", "${}", "}${"])
def test_dollar_signs_come_back(tmp_path, text):
    config = StudyConfig(name="n", bucket="b", description=text)
    write_config(config, tmp_path / "again.yaml")
    assert load_config(tmp_path / "again.yaml").description == text


def test_a_study_comes_back_with_its_subjects(tmp_path):
    write_study(tmp_path / "bucket" / "ds")
    place = s3bids.LocalFSParams(use_local_fs=True, root_dir=tmp_path, user="", bucket_name="bucket")
    study = S3BIDSStudy("My study", "bucket", "ds", ["10", "01"], storage=place, participants="")
    study.to_config(tmp_path / "mine.yaml")
    again = S3BIDSStudy.from_config(tmp_path / "mine.yaml")
    assert [subject.subject_id for subject in again.subjects] == ["sub-10", "sub-01"]
    assert (again.study_id, again.storage.location, again.s3_prefix) == ("My-study", study.storage.location, "ds")
    again.to_config(tmp_path / "again.yaml")
    assert load_config(tmp_path / "again.yaml") == load_config(tmp_path / "mine.yaml")
    other = S3BIDSStudy.from_config(tmp_path / "mine.yaml", subjects="all")
    other.to_config(tmp_path / "other.yaml")
    assert len(S3BIDSStudy.from_config(tmp_path / "other.yaml").subjects) == 3


def test_a_site_comes_back_as_a_site_and_is_no_site_by_another_class(tmp_path):
    write_hbn_site(tmp_path / "b" / "x" / "Site-SI")
    write_study(tmp_path / "b" / "ds")
    place = s3bids.LocalFSParams(use_local_fs=True, root_dir=tmp_path, user="", bucket_name="b")
    HBNSite("SI", bucket="b", s3_prefix="x", subjects="all", storage=place).to_config(tmp_path / "site.yaml")
    assert HBNSite.from_config(tmp_path / "site.yaml").site == "Site-SI"
    S3BIDSStudy("s", "b", "ds", storage=place).to_config(tmp_path / "study.yaml")
    with pytest.raises(ConfigError, match="describes a study of class S3BIDSStudy, not HBNSite"):
        HBNSite.from_config(tmp_path / "study.yaml")


def test_credentials_are_not_written(tmp_path, rclone, bucket_name):
    write_study(rclone.root / bucket_name / "ds", subjects=["01"])
    rclone.refresh()
    place = s3bids.S3Params(
        bucket_name, rclone.url, aws_access_key_id="access", aws_secret_access_key="hush-hush", anon=True
    )
    S3BIDSStudy("s", bucket_name, "ds", storage=place).to_config(tmp_path / "study.yaml")
    text = (tmp_path / "study.yaml").read_text()
    assert rclone.url in text
    assert "hush-hush" not in text
    assert "access" not in text
