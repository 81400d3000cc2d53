"""``plan --save``, ``download --plan`` and ``--shard``: one listing, many processes."""

import gzip
import json

import pytest


@pytest.fixture
def saved(run, url, work):
    """A plan of the synthetic study with its derivatives, in the working directory."""
    run("plan", url, "--derivatives", "all", "--save", "plan.jsonl.gz", code=0)
    return work / "plan.jsonl.gz"


def test_where_the_plan_went_and_what_it_is_for_is_said(run, url, work):
    said = run("plan", url, "--save", "p.gz", code=0).err
    assert said.startswith("s3bids: the plan is in p.gz; s3bids download --plan p.gz DIR fetches it")


def test_a_plan_that_is_saved_says_what_it_is(saved, url):
    header = json.loads(gzip.decompress(saved.read_bytes()).partition(b"\n")[0])
    assert header["kind"] == "s3bids plan"
    assert f"{header['location']}/{header['prefix']}" == url
    assert header["selection"] == ["derivatives=all"]


def test_a_plan_is_listed_once_and_fetched_without_a_listing(run, proxy, own, work, files_of):
    run("plan", proxy.study, "--derivatives", "all", "--save", "p.gz", "--endpoint-url", proxy.url, code=0)
    assert (proxy.counts()["get"], proxy.counts()["head"]) == (0, 0)
    proxy.reset()
    # The plan says where the server is.
    found = run("download", "--plan", "p.gz", "out", "--json", code=0).json
    assert (found["study"], found["source"], found["complete"]) == ("ds", proxy.study, True)
    assert proxy.counts()["list"] == proxy.counts()["head"] == 0
    assert files_of(work / "out") == files_of(own)


@pytest.mark.parametrize("where", ["plan", "study"])
def test_shards_together_are_the_whole(run, saved, url, own, work, files_of, where):
    what = ["--plan", saved.name] if where == "plan" else [url, "--derivatives", "all"]
    fetched = []
    for number in (1, 2, 3):
        arguments = [*what, "out", "--shard", f"{number}/3"] if where == "plan" else [what[0], "out", *what[1:]]
        found = run("download", *arguments, *([] if where == "plan" else ["--shard", f"{number}/3"]), "--json", code=0)
        fetched.append(found.json["fetched"])
    assert files_of(work / "out") == files_of(own)
    assert sum(fetched) == len(files_of(own))
    assert min(fetched) > 0


def test_the_directory_is_by_default_the_studys_name(run, saved, work):
    run("download", "--plan", saved.name, code=0)
    assert (work / "ds" / "dataset_description.json").is_file()


@pytest.mark.parametrize("name", ["../elsewhere", "/tmp/elsewhere", "..", "-x", ""])
def test_a_plan_does_not_say_where_outside_it_goes(refused, run, saved, work, name):
    lines = gzip.decompress(saved.read_bytes())
    saved.write_bytes(gzip.compress(lines.replace(b'"study":"ds"', f'"study":"{name}"'.encode(), 1)))
    assert "can be the name of no directory; give DIR" in refused("download", "--plan", saved.name)
    run("download", "--plan", saved.name, "out", code=0)


def test_a_dry_run_shows_one_part(run, saved, work):
    whole = run("download", "--plan", saved.name, "out", "--dry-run", "--json", code=0).json
    part = run("download", "--plan", saved.name, "out", "--dry-run", "--json", "--shard", "1/4", code=0).json
    assert 0 < part["files"] < whole["files"]
    assert sorted(path.name for path in work.iterdir()) == [saved.name]


def test_a_plan_whose_bucket_changed_is_listed_as_failed(run, own, work):
    run("plan", f"file://{own}", "--save", "p.gz", code=0)
    (own / "CHANGES").write_text("new")
    found = run("download", "--plan", "p.gz", "out", "--json", code=1)
    [failure] = found.json["failed_files"]
    assert failure["target"] == "CHANGES"
    assert failure["reason"].endswith("the plan is older than the object; make it anew")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--shard", "9/8"], ["'--shard'", "no shard 9/8", "I/N"]),
        (["--shard", "0/8"], ["'--shard'", "no shard 0/8"]),
        (["--shard", "a/b"], ["'--shard'", "'a/b' is no shard"]),
        (["--shard", "1/2", "--retry-failed"], ["--retry-failed", "--shard"]),
        (["--plan", "nowhere.gz"], ["give DIR alone", "file://"]),
    ],
)
def test_a_study_with_options_that_make_no_sense(refused, url, arguments, parts):
    text = refused("download", url, "out", *arguments)
    assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--plan", "nowhere.gz", "out"], ["nowhere.gz", "No such file"]),
        (["--plan", "PLAN", "out", "--subjects", "01"], ["the plan says what is wanted"]),
        (["--plan", "PLAN", "out", "--suffix", ".json"], ["the plan says what is wanted"]),
        (["--plan", "PLAN", "out", "--retry-failed"], ["--retry-failed"]),
        (["--plan", "PLAN", "out", "--shard", "4/3"], ["no shard 4/3"]),
        (["--plan", "", "out"], ["'--plan'", "it is empty"]),
        (["out/", "--plan", "other.gz"], ["other.gz", "is no plan"]),
    ],
)
def test_a_plan_with_options_that_make_no_sense(refused, saved, work, arguments, parts):
    (work / "other.gz").write_text("mine")
    text = refused("download", *(saved.name if argument == "PLAN" else argument for argument in arguments))
    assert [part for part in parts if part not in text] == []


def test_a_plan_of_another_version_is_refused(refused, saved):
    lines = gzip.decompress(saved.read_bytes())
    saved.write_bytes(gzip.compress(lines.replace(b'"version":1', b'"version":7', 1)))
    text = refused("download", "--plan", saved.name, "out")
    assert "version 7" in text
    assert "make it anew" in text


def test_a_place_where_no_plan_can_be_saved(run, url, work):
    run("plan", url, "--save", "no/../such", code=0)
    assert (work / "such").is_file()
    (work / "folder").mkdir()
    assert "a directory has that name" in run("plan", url, "--save", "folder", code=1).err


@pytest.fixture
def signing(saved, environment):
    """A plan that wants signed requests to a server of its own, and credentials that lie about."""
    header, _, rest = gzip.decompress(saved.read_bytes()).partition(b"\n")
    values = json.loads(header)
    values["location"] = "s3://bucket"
    values["storage"] |= {"anon": False, "endpoint_url": "http://127.0.0.1:9"}
    saved.write_bytes(gzip.compress(json.dumps(values).encode() + b"\n" + rest))
    environment |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_SESSION_TOKEN": "hush-hush"}
    return saved


def test_a_plan_cannot_have_requests_signed_for_a_server_of_its_own(refused, signing):
    text = refused("download", "--plan", signing.name, "out")
    assert "signed requests to http://127.0.0.1:9; if you trust this server agree with --sign" in text
    assert "hush" not in text


@pytest.mark.parametrize("agreed", [["--sign"], ["--no-sign"], ["--endpoint-url", "http://127.0.0.1:9"]])
def test_who_fetches_a_plan_can_agree_to_sign(run, signing, agreed):
    run("download", "--plan", signing.name, "out", "--dry-run", *agreed, code=0)


def test_the_server_that_the_environment_names_is_trusted(run, signing, environment):
    environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    run("download", "--plan", signing.name, "out", "--dry-run", code=0)


@pytest.fixture
def costly(signing):
    """A plan whose requests are paid for by whoever sends them."""
    header, _, rest = gzip.decompress(signing.read_bytes()).partition(b"\n")
    values = json.loads(header)
    values["storage"] |= {"endpoint_url": None, "request_payer": True}
    signing.write_bytes(gzip.compress(json.dumps(values).encode() + b"\n" + rest))
    return signing


@pytest.mark.parametrize("option", ["--plan", "--locked"])
@pytest.mark.parametrize("further", [[], ["--sign"], ["--profile", "lab"]])
def test_a_plan_cannot_make_anybody_pay(refused, costly, option, further):
    text = refused("download", option, costly.name, "out", "--dry-run", *further)
    assert "the plan wants requests that you pay for (requester pays); agree with --request-payer" in text


@pytest.mark.parametrize("agreed", ["--request-payer", "--no-sign"])
def test_who_fetches_a_plan_can_agree_to_pay_or_send_what_costs_nothing(run, costly, agreed):
    run("download", "--plan", costly.name, "out", "--dry-run", agreed, code=0)


def test_an_unsigned_plan_that_is_signed_here_makes_nobody_pay_either(refused, costly):
    lines = gzip.decompress(costly.read_bytes())
    costly.write_bytes(gzip.compress(lines.replace(b'"anon": false', b'"anon": true', 1)))
    assert "agree with --request-payer" in refused("download", "--plan", costly.name, "out", "--sign")
