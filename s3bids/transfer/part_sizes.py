"""Which sizes the parts of an object may have that was uploaded in parts: the listing tells their number only."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MIB = 1024 * 1024
#: Part sizes that are tried for one object. So many MD5s are computed of a file of which none matches.
MOST_PART_SIZES = 12
#: Limits of S3 (user guide, "Amazon S3 multipart upload limits"); the last part of an object may be smaller.
_SMALLEST, _LARGEST, _MOST_PARTS = 5 * _MIB, 5 * 1024 * _MIB, 10_000

#: Part sizes in use, the most usual first. Of two that give the same number of parts, the first is tried first.
USUAL_PART_SIZES = (
    8 * _MIB,  # AWS CLI, boto3, the AWS C runtime and what is built on it
    # git-annex with partsize=1GiB, as OpenNeuro has it: the largest multiple of 32,752 bytes, its chunk, within 1 GiB.
    32_752 * (1024 * _MIB // 32_752),
    5 * _MIB,  # rclone, the AWS SDKs for Go, Java and JavaScript
    16 * _MIB,  # minio
    50 * _MIB,  # s5cmd, s3fs
    15 * _MIB,  # s3cmd
    10 * _MIB,  # Cyberduck
    17_179_870,  # the AWS console in a browser
    64 * _MIB,  # earlier versions of minio, Hadoop
    100 * _MIB,
    1024 * _MIB,  # s3cmd and others for copies within S3
    32 * _MIB,
    128 * _MIB,
    256 * _MIB,
    512 * _MIB,
    25 * _MIB,
    20 * _MIB,
    100_000_000,
    50_000_000,
    10_000_000,
    500_000_000,
    1_000_000_000,
    4768 * _MIB,  # rclone for copies within S3
    _LARGEST,
)

#: Steps of further sizes: the rounder one is tried first.
_STEPS = tuple(step * _MIB for step in (1024, 512, 256, 128, 100, 64, 50, 32, 25, 16, 10, 8, 5, 4, 2, 1))


def part_sizes(size: int, parts: int) -> tuple[int, ...]:
    """Give the sizes that the parts of an object may have, the most usual first.

    Parameters
    ----------
    size
        Bytes of the object.
    parts
        Number of parts.

    Returns
    -------
    tuple of int
        Bytes of each part but the last; at most :data:`MOST_PART_SIZES`, each of which gives this number of parts.
        Empty if S3 has no such uploads.

    >>> part_sizes(20 * 1024**2, 3)[0], part_sizes(20 * 1024**2, 10)
    (8388608, ())
    """
    if size < 1 or not 1 <= parts <= _MOST_PARTS:
        return ()
    if parts == 1:
        # Whatever is larger gives the same ETag.
        return (size,)
    smallest = max(_ceil(size, parts), _SMALLEST)
    largest = min((size - 1) // (parts - 1), _LARGEST)
    fitting = (part for part in _candidates(size, smallest, largest) if smallest <= part <= largest)
    return tuple(islice(_once(fitting), MOST_PART_SIZES))


def _candidates(size: int, smallest: int, largest: int) -> Iterator[int]:
    yield from USUAL_PART_SIZES
    yield from _adjusted(size)
    # Parts of even size, also in whole MiB.
    yield _ceil(smallest, _MIB) * _MIB
    yield smallest
    for step in _STEPS:
        yield from range(_ceil(smallest, step) * step, largest + 1, step)


def _adjusted(size: int) -> Iterator[int]:
    """Give what tools make of their part size where it would give more than 10,000 parts."""
    doubled = 8 * _MIB
    while _ceil(size, doubled) > _MOST_PARTS:
        doubled *= 2
    # boto3 doubles, minio takes multiples of 16 MiB, the SDKs for Go and for Java the smallest that will do. So does
    # rclone in whole MiB, which is among the candidates in any case.
    yield doubled
    yield _ceil(_ceil(size, _MOST_PARTS), 16 * _MIB) * 16 * _MIB
    yield size // _MOST_PARTS + 1
    yield _ceil(size, _MOST_PARTS)


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _once(values: Iterable[int]) -> Iterator[int]:
    seen = set()
    for value in values:
        if value not in seen:
            seen.add(value)
            yield value


__all__ = ["MOST_PART_SIZES", "USUAL_PART_SIZES", "part_sizes"]
