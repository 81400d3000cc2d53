"""The method of the next transfer: by throughput, from any thread, with bounded memory."""

import threading

import pytest

from s3bids.storage import TransferChooser, TransferKind, TransferMethod
from s3bids.storage.chooser import MOST_RECORDS

SIMPLE, TRANSFER = TransferMethod.SIMPLE, TransferMethod.TRANSFER
UPLOAD, DOWNLOAD = TransferKind.UPLOAD, TransferKind.DOWNLOAD


@pytest.fixture
def chooser():
    return TransferChooser()


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], TRANSFER),
        ([(TRANSFER, 1)], SIMPLE),
        ([(SIMPLE, 1)], TRANSFER),
        ([(TRANSFER, 2), (SIMPLE, 1)], TRANSFER),
        ([(TRANSFER, 1), (SIMPLE, 2)], SIMPLE),
        ([(TRANSFER, 2), (SIMPLE, 2)], SIMPLE),
        ([(TRANSFER, 1), (SIMPLE, 4), (TRANSFER, 9)], TRANSFER),
    ],
)
def test_the_faster_method_is_chosen_after_both_were_tried(chooser, records, expected):
    for method, speed in records:
        chooser.record(UPLOAD, method, speed * 1_000_000, 1.0)
    assert chooser.choose(UPLOAD) is expected
    assert chooser.choose(DOWNLOAD) is TRANSFER


@pytest.mark.parametrize(("nbytes", "seconds"), [(0, 1.0), (10, 0.0), (0, 0.0), (-1, 1.0), (10, -1.0)])
def test_no_bytes_and_no_time_are_not_recorded(chooser, nbytes, seconds):
    chooser.record(UPLOAD, TRANSFER, nbytes, seconds)
    assert chooser.history(UPLOAD, TRANSFER) == []
    assert chooser.choose(UPLOAD) is TRANSFER


def test_the_history_is_in_megabytes_per_second(chooser):
    chooser.record(DOWNLOAD, SIMPLE, 3_000_000, 2.0)
    chooser.record(DOWNLOAD, SIMPLE, 5_000_000, 2.0)
    assert chooser.history(DOWNLOAD, SIMPLE) == [1.5, 2.5]
    assert chooser.average(DOWNLOAD, SIMPLE) == 2.0
    assert chooser.average(DOWNLOAD, TRANSFER) == 0.0


def test_the_history_starts_anew_and_stays_small(chooser):
    for number in range(MOST_RECORDS):
        chooser.record(UPLOAD, (SIMPLE, TRANSFER)[number % 2], 1_000_000, 1.0)
    assert len(chooser.history(UPLOAD, SIMPLE) + chooser.history(UPLOAD, TRANSFER)) == MOST_RECORDS
    chooser.record(UPLOAD, TRANSFER, 7_000_000, 1.0)
    assert (chooser.history(UPLOAD, SIMPLE), chooser.history(UPLOAD, TRANSFER)) == ([], [7.0])
    assert chooser.choose(UPLOAD) is SIMPLE


def test_an_override_holds_until_the_reset(chooser):
    chooser.override(UPLOAD)
    chooser.record(UPLOAD, TRANSFER, 1_000_000, 1.0)
    assert chooser.choose(UPLOAD) is TRANSFER
    chooser.override(UPLOAD, "simple")
    assert chooser.choose(UPLOAD) is SIMPLE
    assert chooser.choose(DOWNLOAD) is TRANSFER
    chooser.reset(UPLOAD)
    assert chooser.choose(UPLOAD) is TRANSFER
    assert chooser.history(UPLOAD, TRANSFER) == []


def test_texts_are_taken_for_enums(chooser):
    chooser.record("upload", "transfer", 1_000_000, 1.0)
    assert chooser.history(UPLOAD, TRANSFER) == chooser.history("upload", "transfer") == [1.0]
    assert chooser.choose("upload") == "simple"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("choose", ("sideways",)),
        ("record", ("upload", "multipart", 1, 1.0)),
        ("record", ("sideways", "simple", 0, 0.0)),
        ("override", ("upload", "fast")),
        ("history", ("upload", None)),
        ("average", ("up", "simple")),
        ("reset", ("all",)),
    ],
)
def test_another_text_is_refused(chooser, name, arguments):
    with pytest.raises(ValueError, match="not a valid Transfer"):
        getattr(chooser, name)(*arguments)


def test_choosers_share_nothing():
    first, second = TransferChooser(), TransferChooser()
    first.record(UPLOAD, TRANSFER, 1_000_000, 1.0)
    first.override(DOWNLOAD, SIMPLE)
    assert second.history(UPLOAD, TRANSFER) == []
    assert second.choose(DOWNLOAD) is TRANSFER


def test_threads_record_without_mixing_up(chooser):
    barrier = threading.Barrier(16)

    def work(number):
        barrier.wait(60)
        for _ in range(100):
            method = chooser.choose(UPLOAD)
            chooser.record(UPLOAD, method, 1_000_000 if method is SIMPLE else 2_000_000, 1.0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(chooser.history(UPLOAD, SIMPLE)) <= {1.0}
    assert set(chooser.history(UPLOAD, TRANSFER)) <= {2.0}
    assert 1600 % MOST_RECORDS == 0
    assert len(chooser.history(UPLOAD, SIMPLE) + chooser.history(UPLOAD, TRANSFER)) == MOST_RECORDS
