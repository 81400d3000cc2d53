"""Audit callbacks: registered once, called for everything, unable to break anything."""

import logging

import pytest

from s3bids.storage import LocalFSParams, LocalStorage, register_audit_callback, unregister_audit_callback


@pytest.fixture
def storage(tmp_path):
    storage = LocalStorage(LocalFSParams(True, tmp_path, "someone", "bucket"))
    storage.create_bucket()
    return storage


@pytest.fixture
def events():
    found = []

    def remember(operation, bucket, key, extra):
        found.append((operation, bucket, key, extra))

    register_audit_callback(remember)
    register_audit_callback(remember)
    yield found
    unregister_audit_callback(remember)


def test_a_callback_registered_twice_is_called_once(storage, events):
    storage.write("ds/x", b"1")
    assert events == [("write", "bucket", "ds/x", {})]


def test_each_callback_gets_a_dict_of_its_own(storage, events):
    def spoil(operation, bucket, key, extra):
        extra["spoilt"] = True

    register_audit_callback(spoil)
    storage.write("ds/x", b"1")
    unregister_audit_callback(spoil)
    storage.delete("ds/x")
    assert [event[3] for event in events] == [{}, {}]


def test_an_unregistered_callback_is_not_called(storage):
    calls = []
    register_audit_callback(calls.append)
    unregister_audit_callback(calls.append)
    unregister_audit_callback(calls.append)
    unregister_audit_callback(print)
    storage.write("ds/x", b"1")
    assert calls == []


def test_a_callback_that_fails_is_logged_and_breaks_nothing(storage, events, caplog):
    def fail(operation, bucket, key, extra):
        raise ZeroDivisionError("no audit today")

    register_audit_callback(fail)
    try:
        with caplog.at_level(logging.WARNING, "s3bids"):
            assert storage.write("ds/x", b"1") == "ds/x"
            assert storage.delete("ds/x") == ["ds/x"]
    finally:
        unregister_audit_callback(fail)
    assert len(events) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "write of bucket/ds/x" in caplog.text
    assert "no audit today" in caplog.text


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="function"):
        register_audit_callback("print")


def test_a_failed_write_is_not_told(storage, events):
    with pytest.raises(ValueError, match=r"\.\."):
        storage.write("../x", b"1")
    assert storage.delete("none") == []
    assert events == []
