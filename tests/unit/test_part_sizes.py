import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3bids.transfer.part_sizes import MOST_PART_SIZES, USUAL_PART_SIZES, part_sizes

MIB = 1024 * 1024
TIB = 1024 * 1024 * MIB
sizes = st.integers(1, 48 * TIB) | st.integers(5 * MIB, 200 * MIB)


@given(size=sizes, parts=st.integers(1, 10_000) | st.integers(1, 5))
def test_every_size_gives_the_number_of_parts_and_they_are_few(size, parts):
    found = part_sizes(size, parts)
    assert all(math.ceil(size / part) == parts for part in found)
    assert len(set(found)) == len(found) <= MOST_PART_SIZES
    if parts > 1:
        assert all(5 * MIB <= part <= 5 * 1024 * MIB for part in found)


@given(size=sizes, part=st.sampled_from(USUAL_PART_SIZES))
def test_a_usual_size_is_always_tried(size, part):
    parts = math.ceil(size / part)
    if 1 < parts <= 10_000:
        assert part in part_sizes(size, parts)


@given(size=sizes)
def test_what_boto3_makes_of_its_part_size_is_tried(size):
    from s3transfer.utils import ChunksizeAdjuster

    part = ChunksizeAdjuster().adjust_chunksize(8 * MIB, size)
    if part < size and part <= 5 * 1024 * MIB:
        assert part in part_sizes(size, math.ceil(size / part))


@pytest.mark.parametrize(
    "adjusted",
    [
        pytest.param(lambda size: size // 10_000 + 1, id="Go"),
        pytest.param(lambda size: math.ceil(size / 10_000), id="Java"),
        pytest.param(lambda size: math.ceil(math.ceil(size / 10_000) / MIB) * MIB, id="rclone"),
        pytest.param(lambda size: math.ceil(math.ceil(size / 10_000) / (16 * MIB)) * 16 * MIB, id="minio"),
    ],
)
@given(size=st.integers(160 * 1024 * MIB, 5 * TIB))
def test_what_other_tools_make_of_theirs_for_large_objects_is_tried(adjusted, size):
    part = adjusted(size)
    assert part in part_sizes(size, math.ceil(size / part))


@given(size=st.integers(5 * MIB + 1, 5 * TIB), parts=st.integers(2, 10_000))
def test_parts_of_even_size_in_whole_mib_are_tried(size, parts):
    part = math.ceil(size / parts / MIB) * MIB
    if math.ceil(size / part) == parts and 5 * MIB <= part <= 5 * 1024 * MIB:
        assert part in part_sizes(size, parts)


@pytest.mark.parametrize(
    ("size", "parts", "first"),
    [
        (16 * MIB, 2, 8 * MIB),
        (16 * MIB + 1, 3, 8 * MIB),
        (16 * MIB - 1, 2, 8 * MIB),
        (11 * MIB, 2, 8 * MIB),
        (11 * MIB, 3, 5 * MIB),
        (100 * MIB, 2, 50 * MIB),
        (100 * MIB, 7, 16 * MIB),
        (40 * MIB, 3, 16 * MIB),
        (32 * MIB + 100, 2, 17_179_870),
        (1500 * MIB, 2, 1_073_741_568),
        (5000 * MIB, 5, 1_073_741_568),
        (100_000 * MIB, 6250, 16 * MIB),
        (7 * MIB, 1, 7 * MIB),
    ],
)
def test_the_most_usual_size_is_tried_first(size, parts, first):
    assert part_sizes(size, parts)[0] == first


@pytest.mark.parametrize(
    ("size", "parts"), [(0, 1), (0, 0), (1, 0), (1, -1), (-1, 1), (10 * MIB, 3), (9 * MIB, 3), (80_000 * MIB, 10_001)]
)
def test_uploads_that_s3_does_not_take_have_no_size(size, parts):
    assert part_sizes(size, parts) == ()
