"""Other processes help with thousands of small files: the same files and records, whatever becomes of them."""

import logging
import pickle
import subprocess
import sys
import threading
from io import BytesIO

import pytest

from s3bids import DownloadError, S3BIDSStudy
from s3bids.storage import LocalFSParams, LocalStorage, S3Params, S3Storage
from s3bids.testing.faults import Answer, Fault
from s3bids.transfer import companion, companion_program, parallel, pool
from s3bids.transfer.manifest import read_failures, read_records
from s3bids.transfer.outcome import Settings
from s3bids.transfer.plan import Action, Transfer
from s3bids.transfer.verify import Verify, verify_directory


@pytest.fixture
def many(counted):
    """Files enough for a companion, with one that is large and one that is empty among them."""
    counted.put({f"ds/sub-{s:02}/anat/{n}.txt": f"{s} {n}" * 20 for s in range(5) for n in range(80)})
    counted.put({"ds/dataset_description.json": "{}", "ds/sub-00/empty": "", "ds/sub-01/large": b"large" * 100_000})
    return counted


class Begun:
    """The processes that were begun; the files of this one wait until one of those has answered."""

    def __init__(self, monkeypatch):
        self.processes = []
        self.answered = threading.Event()
        #: Called with a process when it has answered for the first time.
        self.then = lambda process: None
        popen, answer, fetch = subprocess.Popen, companion.Companion.answer, pool.fetch

        def begin(*args, **options):
            self.processes.append(popen(*args, **options))
            return self.processes[-1]

        def note(one):
            found = answer(one)
            if found.results and not self.answered.is_set():
                self.then(one._process)
                self.answered.set()
            return found

        def wait(*args):
            assert not args[2].companions or self.answered.wait(60)
            return fetch(*args)

        monkeypatch.setattr(companion.subprocess, "Popen", begin)
        monkeypatch.setattr(companion.Companion, "answer", note)
        monkeypatch.setattr(pool, "fetch", wait)

    @property
    def codes(self):
        return [process.poll() for process in self.processes]


@pytest.fixture
def begun(monkeypatch):
    monkeypatch.setattr(pool, "MANY", 10)
    monkeypatch.setattr(parallel, "affordable", lambda: 2)
    found = Begun(monkeypatch)
    yield found
    assert None not in found.codes, "no process is left"


def manifests(directory):
    return len(list((directory / ".s3bids").glob("manifest-*.jsonl")))


def test_they_bring_the_same_files_and_records(many, proxy, out, tree, tmp_path, begun):
    alone = tmp_path / "alone"
    many.study().download(alone, pbar=False, n_jobs=1)
    assert begun.processes == []
    proxy.reset()
    report = many.study().download(out, pbar=False)
    assert (report.fetched, report.failed, report.bytes) == (403, 0, sum(map(len, tree(alone).values())))
    assert tree(out) == tree(alone)
    assert proxy.counts()["get"] == 402, "each object once"
    assert begun.codes == [0, 0]
    assert manifests(out) > 1
    assert {name: record[1:6] for name, record in read_records(out).items()} == {
        name: record[1:6] for name, record in read_records(alone).items()
    }
    assert verify_directory(out, deep=True).differences == ()
    proxy.reset()
    assert (many.study().download(out, pbar=False).skipped, proxy.counts()["get"]) == (403, 0)


def test_what_a_killed_one_had_to_do_is_done_here(many, out, tree, begun):
    begun.then = lambda process: (process.kill(), process.wait())
    report = many.study().download(out, pbar=False)
    assert (report.fetched, report.failed) == (403, 0)
    assert -9 in begun.codes
    files = {name: content for name, content in tree(out).items() if not name.endswith(".part")}
    assert len(files) == 403
    assert verify_directory(out, deep=True).differences == ()


@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/python", ""])
def test_without_another_python_this_process_does_all(many, out, tree, monkeypatch, program):
    monkeypatch.setattr(pool, "MANY", 10)
    monkeypatch.setattr(companion, "processors", lambda: 2)
    monkeypatch.setattr(sys, "executable", program)
    assert companion.affordable() == (2 if program else 0)
    report = many.study().download(out, pbar=False)
    assert (report.fetched, len(tree(out))) == (403, 403)


def test_a_storage_that_does_not_travel_is_read_here(many, out, tree, monkeypatch):
    monkeypatch.setattr(pool, "MANY", 10)
    monkeypatch.setattr(parallel, "affordable", lambda: 1)

    class Homebound(LocalStorage):
        def __reduce__(self):
            raise TypeError("this one stays")

    root = out.parent / "buckets"
    for number in range(30):
        path = root / "bucket" / "ds" / "sub-01" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
    storage = Homebound(LocalFSParams(use_local_fs=True, root_dir=root, user="x", bucket_name="bucket"))
    study = S3BIDSStudy("study", "bucket", "ds", subjects="all", storage=storage)
    assert study.download(out, pbar=False).fetched == 30
    assert len(tree(out)) == 30


class Foreign(LocalStorage):
    """A storage of a module that no other process can import."""


@pytest.mark.parametrize("kind", [Foreign, LocalStorage])
def test_a_storage_that_cannot_be_made_there_is_read_here_without_a_word(out, tree, monkeypatch, capfd, kind):
    monkeypatch.setattr(pool, "MANY", 10)
    monkeypatch.setattr(parallel, "affordable", lambda: 1)
    root = out.parent / "buckets"
    (root / "bucket" / "ds" / "sub-01").mkdir(parents=True)
    for number in range(30):
        (root / "bucket" / "ds" / "sub-01" / f"{number}.txt").write_text(str(number))
    storage = kind(LocalFSParams(use_local_fs=True, root_dir=root, user="x", bucket_name="bucket"))
    monkeypatch.setattr(Foreign, "__module__", "a_module_that_is_nowhere")
    study = S3BIDSStudy("study", "bucket", "ds", subjects="all", storage=storage)
    if kind is Foreign:
        # pickle looks whether the class can be found, which is so here.
        monkeypatch.setitem(sys.modules, "a_module_that_is_nowhere", sys.modules[__name__])
    assert study.download(out, pbar=False).fetched == 30
    assert len(tree(out)) == 30
    assert capfd.readouterr() == ("", "")


def test_a_storage_with_a_client_of_its_own_is_read_here(many, out, begun):
    """The client may have credentials that nobody else knows."""
    params = S3Params(many.bucket, anon=True)
    with S3Storage(params) as storage:
        given = S3Storage(params, client=storage.client)
        begun.answered.set()
        assert many.study(storage=given).download(out, pbar=False).fetched == 403
    assert begun.processes == []


def test_what_fails_there_is_listed_and_can_be_retried(many, proxy, out, begun):
    proxy.script(
        Fault("get", times=None, action=Answer(404, "NoSuchKey"), when=lambda request: "/sub-03/" in request.key)
    )
    with pytest.raises(DownloadError, match="80 files could not be downloaded") as caught:
        many.study().download(out, pbar=False)
    report = caught.value.report
    assert (report.fetched, report.failed) == (323, 80)
    assert all("no such object" in failure.reason for failure in report.failed_files)
    assert [failure.target for failure in report.failed_files] == sorted(read_failures(out))
    proxy.reset()
    assert many.study().download(out, pbar=False).fetched == 80


def test_an_interrupt_ends_them_too(many, out, monkeypatch, begun):
    def interrupt(process):
        del process
        raise KeyboardInterrupt

    begun.then = interrupt
    # The thread that hands out breaks off; the files of this process are let go.
    begun.answered.wait = lambda timeout: True
    with pytest.raises(KeyboardInterrupt):
        many.study().download(out, pbar=False)
    assert list(out.rglob("*.part")) == []


@pytest.mark.parametrize(("processors", "count"), [(1, 0), (2, 2), (3, 2), (64, 2)], ids=lambda value: str(value))
def test_their_number_follows_the_processors(monkeypatch, processors, count):
    monkeypatch.setattr(companion, "processors", lambda: processors)
    assert companion.affordable() == count
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert companion.affordable() == 0, "what a frozen program starts is itself"


# The other side


@pytest.fixture
def task(tmp_path):
    """What is sent to begin with, and transfers of three files of which one is missing."""
    root = tmp_path / "buckets"
    (root / "b" / "ds").mkdir(parents=True)
    for name in ("one", "two"):
        (root / "b" / "ds" / name).write_text(name)
    storage = LocalStorage(LocalFSParams(use_local_fs=True, root_dir=root, user="x", bucket_name="b"))
    settings = Settings(tmp_path / "copy", Verify.SHA256)
    (tmp_path / "copy").mkdir()
    rows = [Transfer(f"ds/{name}", name, 3, None, 0.0, Action.FETCH, "") for name in ("one", "two", "ten")]
    return pickle.dumps((storage, settings)), pickle.dumps(rows)


def answers_of(sent):
    """Give what was answered, and whether it was told to end."""
    answers = BytesIO()
    try:
        companion_program.serve(BytesIO(sent), answers, companion_program._Messages())
        is_told = True
    except companion_program._OrphanedError:
        is_told = False
    answers.seek(0)
    found = []
    while answers.tell() < len(answers.getbuffer()):
        found.append(pickle.load(answers))
    return found, is_told


def test_each_transfer_is_answered_for(task, tmp_path):
    begin, rows = task
    answers, is_told = answers_of(begin + rows + pickle.dumps(None))
    assert is_told
    found = {result.target: result.status.value for answer in answers for result in answer.results}
    assert found == {"one": "fetched", "two": "fetched", "ten": "failed"}
    assert all(answer.width > 0 for answer in answers)
    assert set(read_records(tmp_path / "copy")) == {"one", "two"}
    assert set(read_failures(tmp_path / "copy")) == {"ten"}


@pytest.mark.parametrize("rest", [b"", b"\x80"], ids=["gone", "in the middle of a message"])
def test_one_that_nobody_hands_out_to_any_more_ends(task, rest):
    begin, rows = task
    assert answers_of(begin + rows + rest)[1] is False


def test_what_is_logged_there_is_logged_here(many, out, begun, caplog, monkeypatch):
    """Such as that the manifest cannot be written, which is warned of where logging is set up."""
    answer = companion.pickle.load

    def with_message(pipe):
        found = answer(pipe)
        message = companion.Message("s3bids.transfer.manifest", logging.WARNING, "100 % full")
        return found._replace(messages=[message])

    monkeypatch.setattr(companion.pickle, "load", with_message)
    many.study().download(out, pbar=False)
    assert ("s3bids.transfer.manifest", logging.WARNING, "100 % full") in caplog.record_tuples


def test_messages_are_kept_until_they_are_taken():
    messages = companion_program._Messages()
    messages.handle(logging.makeLogRecord({"name": "s3bids.x", "levelno": 30, "msg": "%d left", "args": (3,)}))
    assert messages.taken() == [companion.Message("s3bids.x", 30, "3 left")]
    assert messages.taken() == []
