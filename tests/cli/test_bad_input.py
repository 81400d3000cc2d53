"""What people get wrong: exit 2, one sentence that names the thing and the next step, and nothing written."""

import pytest

from s3bids.testing.faults import Answer, Fault

STUDY_COMMANDS = ["ls", "plan", "download"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--subjects", "99"], ["sub-99", "sub-01"]),
        (["--subjects", "1O"], ["sub-1O", "sub-10"]),
        (["--subjects", "0"], ["sub-0", "sub-01"]),
        (["--subjects", "03"], ["sub-03", "sub-01"]),
        (["--subjects", "01,sub-77"], ["sub-77", "sub-01"]),
        (["--subjects", "01", "--subjects", "x/y"], ["x/y"]),
        (["--subjects", "01,,02"], ["--subjects", "01,02"]),
        (["--subjects", "all,01"], ["--subjects", "'all' stands alone"]),
        (["--suffix", "dwi.nii"], ["'dwi.nii'", "ls STUDY --files"]),
    ],
)
@pytest.mark.parametrize("command", ["plan", "download"])
def test_a_choice_that_matches_nothing(refused, url, command, arguments, parts):
    text = refused(command, url, "out", *arguments)
    assert [part for part in parts if part not in text] == []


def test_an_unknown_derivative(run, url, work):
    found = run("download", url, "out", "--derivatives", "fmriprep", code=2)
    assert "error: no wanted file is in a derivative 'fmriprep'" in found.err
    assert "there are: fmriprep-mini" in found.err
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("study", "parts"),
    [
        ("hbn-s", ["'hbn-s'", "hbn-si", "s3bids studies"]),
        ("", ["'STUDY'", "it is empty"]),
        ("nowhere.yaml", ["nowhere.yaml", "No such file"]),
        ("some/where.yml", ["some/where.yml", "No such file"]),
        ("https://openneuro.org/datasets/ds000102", ["https://openneuro.org", "s3://openneuro.org/ds000102"]),
        ("s3://", ["'s3://'", "s3://bucket/prefix"]),
        ("s3:///prefix", ["names no bucket"]),
        ("s3://bucket//", ["prefix", "'/'", "leave it out"]),
        ("file:///bucket", ["too short", "file:///root/bucket/prefix"]),
        ("file:///no/such/bucket", ["/no/such", "does not exist"]),
        ("URLx", ["'dsx'", "check the prefix"]),
        ("/dev/null", ["/dev/null", "bucket: fcp-indi"]),
    ],
)
@pytest.mark.parametrize("command", STUDY_COMMANDS)
def test_no_such_study(refused, url, command, study, parts):
    text = refused(command, study.replace("URL", url))
    assert [part for part in parts if part not in text] == []


def test_a_directory_is_no_study_and_the_text_says_how_it_can_be_one(refused, work):
    (work / "mine").mkdir()
    assert f"file://{work}/mine" in refused("ls", "mine")
    assert f"file://{work}/mine" in refused("ls", "./mine/")


@pytest.mark.parametrize("command", STUDY_COMMANDS)
def test_an_unknown_bucket(refused, moto, command):
    text = refused(command, "s3://no-such-bucket/ds", "--endpoint-url", moto.url)
    assert "s3://no-such-bucket" in text
    assert "check its name and the endpoint" in text


def test_a_missing_prefix(refused, proxy):
    text = refused("download", f"{proxy.study}x", "--endpoint-url", proxy.url)
    assert f"{proxy.study}x" in text
    assert "check the prefix" in text


@pytest.mark.parametrize("command", STUDY_COMMANDS)
def test_access_denied(refused, proxy, command):
    proxy.script(Fault("list", times=None, action=Answer(403, "AccessDenied")))
    text = refused(command, proxy.study, "--endpoint-url", proxy.url)
    assert proxy.study.rpartition("/")[0] in text
    assert "access denied" in text
    assert "--sign" in text
    assert proxy.counts()["get"] == 0


def test_an_access_denied_that_comes_after_the_first_listing(refused, proxy):
    """A listing that is refused must never look like one that is empty."""
    proxy.script(Fault("list", skip=1, times=None, action=Answer(403, "AccessDenied")))
    assert "access denied" in refused("download", proxy.study, "--endpoint-url", proxy.url)


def test_no_credentials(refused, proxy):
    text = refused("download", proxy.study, "--sign", "--endpoint-url", proxy.url)
    assert "AWS_ACCESS_KEY_ID" in text
    assert "--no-sign" in text
    assert proxy.requests == []


def test_an_unknown_profile(refused, proxy):
    text = refused("download", proxy.study, "--profile", "lab", "--endpoint-url", proxy.url)
    assert "'lab'" in text
    assert proxy.requests == []


def test_an_endpoint_that_does_not_answer(refused):
    # Nothing listens on the port of the discard service.
    text = refused("download", "s3://bucket/ds", "--endpoint-url", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9" in text
    assert "check the network and the endpoint" in text


@pytest.mark.parametrize("address", ["ftp://host", "localhost:9000", "http://", ""])
def test_an_endpoint_that_is_none(refused, address):
    assert "endpoint_url" in refused("ls", "s3://bucket/ds", "--endpoint-url", address)


@pytest.mark.parametrize(("where", "part"), [("file", "it is a file"), ("file/below", "Not a directory")])
def test_a_destination_that_cannot_be_one(refused, url, work, where, part):
    (work / "file").write_text("mine")
    text = refused("download", url, where)
    assert str(work / where) in text
    assert part in text
    assert (work / "file").read_text() == "mine"


def test_a_destination_that_is_a_file_is_refused_by_the_plan_too(refused, url, work):
    (work / "file").write_text("mine")
    assert "it is a file" in refused("plan", url, "file")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("bucket: demo\nbukcet: x\n", ["line 2", "'bukcet'", "'bucket'"]),
        ("bucket: [demo\n", ["line 2", "no YAML"]),
        ("prefix: ds\n", ["'bucket' is missing"]),
        ("bucket: demo\nanon: maybe\n", ["line 2", "anon", "'maybe'", "true or null"]),
        ("bucket: !!python/object/apply:os.getcwd []\n", ["line 1", "tags"]),
    ],
)
def test_a_study_file_that_makes_no_sense(refused, work, content, parts):
    (work / "mine.yaml").write_text(content)
    text = refused("download", "mine.yaml")
    assert [part for part in ("mine.yaml", *parts) if part not in text] == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["download"], ["'STUDY'", "s3bids download --help"]),
        (["bogus"], ["'bogus'", "s3bids --help"]),
        (["download", "URL", "out", "02"], ["(02)", "s3bids download --help"]),
        (["download", "URL", "--verify", "md5"], ["'md5'", "'etag'"]),
        (["download", "URL", "--jobs", "0"], ["--jobs", "at least 1"]),
        (["download", "URL", "--jobs", "many"], ["'many'"]),
        (["download", "URL", "--frobnicate"], ["--frobnicate"]),
        (["download", "URL", "--profile", "lab", "--no-sign"], ["--profile", "--no-sign"]),
        (["download", "URL", "--log-file", "no/such/folder"], ["no/such/folder", "name another"]),
        (["download", "URL", ""], ["'[DIR]'", "it is empty"]),
        (["download", "URL", "--region", ""], ["region", "it is empty"]),
        (["verify"], ["'DIR'"]),
        (["verify", ""], ["'DIR'", "it is empty"]),
        (["demo", ""], ["'[DIR]'", "it is empty"]),
        (["verify", "."], ["no manifest", "download the study there first"]),
        (["verify", "nowhere"], ["nowhere", "no such directory", "check its name"]),
        (["verify", "nowhere", "--remote"], ["nowhere", "no such directory", "check its name"]),
        (
            ["download", "URL", "nowhere", "--retry-failed"],
            ["nowhere", "no such directory", "download there first"],
        ),
    ],
)
def test_a_command_line_that_makes_no_sense(refused, url, arguments, parts):
    text = refused(*(url if argument == "URL" else argument for argument in arguments))
    assert [part for part in parts if part not in text] == []


def test_a_local_emulation_that_is_not_told_where(refused, environment):
    environment["LOCAL_FS"] = "1"
    assert "LOCAL_FS_ROOT_DIR" in refused("ls", "hbn-si")
