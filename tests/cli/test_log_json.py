"""``--log-json``: what happens, one JSON object a line."""

import json


def test_every_line_is_an_object_and_the_last_is_the_summary(run, url, work):
    found = run("download", url, "out", "--log-json", "log.jsonl", code=0)
    assert f"the log is {work}/log.jsonl" in found.err
    lines = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    assert all(set(line) >= {"time", "level", "logger", "message"} for line in lines)
    summary = json.loads(lines[-1]["message"].removeprefix("summary: "))
    assert (summary["complete"], summary["failed"]) == (True, 0)


def test_an_error_is_there_with_its_cause_and_without_a_password(run, work):
    run("ls", "s3://b/ds", "--endpoint-url", "http://me:hidden@127.0.0.1:9", "--log-json", "log.jsonl", code=2)
    text = (work / "log.jsonl").read_text()
    assert "hidden" not in text
    assert any("error" in json.loads(line) for line in text.splitlines())


def test_a_log_that_cannot_be_written_is_refused(refused, url):
    assert "name another" in refused("ls", url, "--log-json", "no/such/folder")
