import pickle
import random

import pytest

from s3bids import errors
from s3bids.transfer.retry import PASSING, Retry

#: Error -> whether asking again may help.
PASSES = {
    errors.StorageConnectionError: True,
    errors.StorageUnavailableError: True,
    errors.VerificationError: True,
    errors.StorageError: False,
    errors.ObjectNotFoundError: False,
    errors.BucketNotFoundError: False,
    errors.AccessDeniedError: False,
    errors.ObjectChangedError: False,
    errors.KeyRefusedError: False,
    errors.KeyClashError: False,
    errors.ArchiveError: False,
    errors.TableError: False,
    errors.DestinationError: False,
    errors.ImageError: False,
    errors.MissingPackageError: False,
    errors.DownloadError: False,
    errors.SubjectNotFoundError: False,
    errors.ParticipantsError: False,
    errors.ConfigError: False,
    errors.S3BIDSError: False,
}


def test_of_every_error_it_is_known_whether_it_passes():
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.S3BIDSError)}
    assert kinds == set(PASSES)


@pytest.mark.parametrize("kind", list(PASSES), ids=lambda kind: kind.__name__)
def test_which_errors_pass(kind):
    assert issubclass(kind, PASSING) is PASSES[kind]


def test_waits_double_up_to_the_longest():
    waits = []
    retry = Retry(first_s=0.5, longest_s=3.0, sleep=waits.append, uniform=lambda low, high: high)
    for attempt in range(1, 7):
        retry.wait(attempt)
    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


def test_a_wait_is_anything_from_zero_on():
    bounds = []
    retry = Retry(sleep=lambda seconds: None, uniform=lambda low, high: bounds.append((low, high)) or 0.0)
    for attempt in (1, 2, 99):
        retry.wait(attempt)
    assert bounds == [(0.0, 0.2), (0.0, 0.4), (0.0, 10.0)]


def test_a_copy_in_another_process_draws_numbers_of_its_own():
    """If the generator travelled along, all processes would wait the same times and meet the server together."""
    copy = pickle.loads(pickle.dumps(Retry()))
    random.seed(1)
    first = copy.uniform(0, 1)
    random.seed(2)
    assert copy.uniform(0, 1) != first
    random.seed(1)
    assert copy.uniform(0, 1) == first
    assert copy == Retry()


def test_the_defaults():
    retry = Retry()
    assert (retry.attempts, retry.first_s, retry.longest_s) == (5, 0.2, 10.0)
