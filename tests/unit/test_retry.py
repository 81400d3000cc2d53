import pickle
import random

import pytest

from s3bids import errors
from s3bids.transfer.retry import IN_VAIN, PASSING, Health, Retry, Tries

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
    errors.RangeNotServedError: False,
    errors.KeyRefusedError: False,
    errors.KeyClashError: False,
    errors.ArchiveError: False,
    errors.TableError: False,
    errors.DestinationError: False,
    errors.ImageError: False,
    errors.JSONReadError: False,
    errors.JSONWriteError: False,
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
    assert (retry.attempts, retry.busy_attempts, retry.patience_s) == (5, 10, 120.0)
    assert (retry.first_s, retry.longest_s) == (0.2, 10.0)


# What the transfers of one process know of the server

LOST = errors.StorageConnectionError("reset")
BUSY = errors.StorageUnavailableError("slow down")
KEY = "ds/x"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    clock.now = 1000.0
    found = Health(Retry(now=clock))
    clock.now = 1001.0
    return found


def attempts_until_given_up(health, clock, error, *, seconds=1.0, served=False, most=1000):
    """Ask again and again, each attempt taking some seconds; give the number of attempts and the seconds it took."""
    begun = clock.now
    tries = Tries()
    for attempt in range(1, most):
        clock.now += seconds
        if served:
            health.good()
        if health.gives_up(KEY, error, tries):
            return attempt, clock.now - begun
    return None


@pytest.mark.parametrize(("error", "attempts"), [(LOST, 5), (BUSY, 10), (errors.VerificationError("MD5"), 5)])
def test_while_others_are_served_an_object_has_its_attempts(health, clock, error, attempts):
    assert attempts_until_given_up(health, clock, error, served=True) == (attempts, float(attempts))


@pytest.mark.parametrize("error", [LOST, BUSY])
@pytest.mark.parametrize(("seconds", "attempts"), [(1.0, 121), (0.01, 12_001), (60.0, 3), (500.0, 2)])
def test_a_server_that_serves_nobody_is_waited_for(health, clock, error, seconds, attempts):
    """However long each attempt takes: one of a server that never answers takes a minute."""
    found, took = attempts_until_given_up(health, clock, error, seconds=seconds, most=20_000)
    assert found == pytest.approx(attempts, abs=1)
    assert took == pytest.approx(attempts * seconds, abs=1.0)


def test_an_outage_shorter_than_the_patience_fails_nobody(health, clock):
    tries = Tries()
    for _ in range(59):
        clock.now += 2.0
        assert not health.gives_up(KEY, LOST, tries)
    health.good()
    assert health.lost() is None


def ask_others_in_vain(health, clock, number=IN_VAIN - 1):
    """Ask for others once each, after one object was given up."""
    attempts_until_given_up(health, clock, LOST)
    for other in range(number):
        assert health.lost() is None
        clock.now += 1.0
        assert health.gives_up(f"ds/{other}", LOST, Tries()), "an attempt is all they have"


def test_when_some_objects_were_asked_for_in_vain_no_further_one_is(health, clock):
    ask_others_in_vain(health, clock)
    error = health.lost()
    assert isinstance(error, errors.StorageConnectionError)
    assert "not asked for" in str(error)
    assert "120 s" in str(error)


def test_the_pieces_of_one_object_are_one_object(health, clock):
    """While threads wait for those, nobody may have asked for anything else."""
    attempts_until_given_up(health, clock, LOST)
    assert all(health.gives_up(KEY, LOST, Tries()) for _ in range(1000))
    assert health.lost() is None


def test_a_server_that_comes_back_is_asked_again(health, clock):
    ask_others_in_vain(health, clock)
    clock.now += 1.0
    health.good()
    assert health.lost() is None
    assert attempts_until_given_up(health, clock, LOST, served=True) == (5, 5.0)
    ask_others_in_vain(health, clock, IN_VAIN - 2)
    assert health.lost() is None, "those of before do not count"


def test_when_nobody_has_asked_for_long_it_is_worth_asking_again(health, clock):
    ask_others_in_vain(health, clock)
    clock.now += 120.0
    assert health.lost() is not None
    clock.now += 1.0
    assert health.lost() is None
    assert health.gives_up("ds/another", LOST, Tries()), "once"
    assert health.lost() is not None


@pytest.mark.parametrize("idle", [0.0, 1.0, 121.0, 10_000.0])
def test_time_in_which_nobody_asked_counts_for_nothing(health, clock, idle):
    """Such as that of a plan for which many files must be hashed."""
    clock.now += idle
    assert not health.gives_up(KEY, LOST, Tries())
    assert attempts_until_given_up(health, clock, LOST)[0] == pytest.approx(120, abs=1)


def test_the_last_object_is_not_waited_for_when_others_were_served_before(health, clock):
    tries = Tries()
    assert not health.gives_up(KEY, LOST, tries)
    health.good()
    for _ in range(3):
        clock.now += 1.0
        assert not health.gives_up(KEY, LOST, tries)
    clock.now += 1.0
    assert health.gives_up(KEY, LOST, tries)


def test_an_object_that_alone_is_not_served_does_not_make_the_server_dead(health, clock):
    """It fails for hours, in which all others come."""
    for _ in range(100):
        tries = Tries()
        for _ in range(4):
            clock.now += 10.0
            assert not health.gives_up(KEY, LOST, tries)
            health.good()
        assert health.gives_up(KEY, LOST, tries)
        assert health.lost() is None
        health.good()


def test_an_outage_is_waited_for_by_those_it_caught_on_their_way(health, clock):
    """Others were served while their first attempts were under way, which says nothing of the time after."""
    clock.now += 5.0
    health.good()
    clock.now += 1.0
    tries = Tries()
    for _ in range(29):
        assert not health.gives_up(KEY, BUSY, tries)
        clock.now += 3.0


def test_the_attempts_that_an_outage_took_do_not_count_against_an_object(health, clock):
    """Another's answer came just after its first failure, and then nothing for a minute."""
    tries, others = Tries(), Tries()
    assert not health.gives_up(KEY, LOST, tries)
    clock.now += 0.1
    health.good()
    for _ in range(60):
        clock.now += 1.0
        assert not health.gives_up("ds/another", LOST, others)
        assert not health.gives_up(KEY, LOST, tries)
    for _ in range(2):
        health.good()
        clock.now += 1.0
        assert not health.gives_up(KEY, LOST, tries)
    health.good()
    assert health.gives_up(KEY, LOST, tries), "the fifth that failed while others were served"


def test_failures_of_before_the_last_good_answer_are_forgotten(health, clock):
    tries = Tries()
    health.gives_up(KEY, LOST, tries)
    clock.now += 100.0
    health.gives_up(KEY, LOST, tries)
    health.good()
    clock.now += 100.0
    assert not health.gives_up(KEY, LOST, tries), "it was served nothing for 100 s, not for 200 s"


def test_without_patience_the_first_failure_is_the_last(clock):
    assert Health(Retry(now=clock, patience_s=0.0)).gives_up(KEY, LOST, Tries())
