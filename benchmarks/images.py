"""Reading images through a link: a whole series against downloading it first, and a thousand headers.

Run it as ``python benchmarks/images.py --endpoint http://127.0.0.1:9200 --root DIR``. DIR is what the server at the
endpoint serves, with a directory for each bucket; the images are made there, below the bucket, if they are not there
yet. Without --root they must have been made before. Ratios are taken inside a round: the speed of a machine drifts.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from s3bids import read_nifti
from s3bids.neuro.headers import ImageHeader, read_headers
from s3bids.storage import S3Params, S3Storage
from s3bids.testing.counting import CountingStorage

if TYPE_CHECKING:
    from collections.abc import Callable

HEADERS = 1000
SERIES = "series.nii.gz"


def make_images(folder: Path, volumes: int) -> None:
    """Write a series that compresses to about four tenths, as real ones do, and a thousand small images."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*(np.linspace(-2, 2, n) for n in (96, 96, 60)), indexing="ij")
    head = 3000 * np.exp(-sum(axis**2 for axis in axes))
    data = np.empty((*head.shape, volumes), np.int16, order="F")
    for volume in range(volumes):
        data[..., volume] = np.where(head > 60, head + rng.normal(0, 40, head.shape), 0)
    image = nib.Nifti1Image(data, np.diag([2, 2, 2, 1]))
    image.header.set_zooms((2, 2, 2, 1.5))
    image.header.set_xyzt_units("mm", "sec")
    (folder / SERIES).write_bytes(gzip.compress(image.to_bytes(), 6, mtime=0))
    small = gzip.compress(nib.Nifti1Image(data[..., :1], image.affine).to_bytes(), 1, mtime=0)
    for number in range(HEADERS):
        (folder / f"{number:04}_T1w.nii.gz").write_bytes(small)


def timed(function: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(storage: CountingStorage, key: str, rounds: int, take: Callable[[Any], Any]) -> None:
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, SERIES)
        storage.download(key, path)  # the file for the page cache, the connection for both

        def download_and_load() -> None:
            path.unlink(missing_ok=True)
            storage.download(key, path)
            take(nib.load(path))

        for number in range(rounds):
            pair = [(theirs, download_and_load), (ours, lambda: take(read_nifti(key, storage)))]
            for times, function in pair if number % 2 else reversed(pair):
                times.append(timed(function))
        loading = [timed(lambda: take(nib.load(path)))[0] for _ in range(rounds)]
        size = path.stat().st_size
    ratios = [one[0] / other[0] for one, other in zip(ours, theirs, strict=True)]
    print(
        f"  read through the link  {statistics.median(t for t, _ in ours):6.2f} s wall, "
        f"{statistics.median(c for _, c in ours):6.2f} s CPU   ({size / 1e6:.0f} MB)\n"
        f"  download, then load    {statistics.median(t for t, _ in theirs):6.2f} s wall, "
        f"{statistics.median(c for _, c in theirs):6.2f} s CPU\n"
        f"  load alone             {statistics.median(loading):6.2f} s wall\n"
        f"  ratio of each round    {', '.join(f'{ratio:.2f}' for ratio in ratios)}; "
        f"median {statistics.median(ratios):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True, help="address of an S3 server")
    parser.add_argument("--bucket", default="bench")
    parser.add_argument("--prefix", default="images", help="where in the bucket the images are")
    parser.add_argument("--root", type=Path, help="the directory that the server serves")
    parser.add_argument("--volumes", type=int, default=200, help="volumes of the series when it is made")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.root is not None:
        folder = options.root / options.bucket / options.prefix
        if not (folder / SERIES).is_file():
            make_images(folder, options.volumes)
    storage = CountingStorage(S3Storage(S3Params(options.bucket, options.endpoint, anon=True)))
    key = f"{options.prefix}/{SERIES}"
    print(f"all data of a .nii.gz, as stored, {options.endpoint}")
    compare(storage, key, options.rounds, lambda image: np.asanyarray(image.dataobj))
    print("the same by get_fdata()")
    compare(storage, key, options.rounds, lambda image: image.get_fdata())
    keys = [f"{options.prefix}/{number:04}_T1w.nii.gz" for number in range(HEADERS)]
    print(f"{HEADERS} headers")
    for _ in range(options.rounds):
        storage.reset()
        found: list[Any] = []
        wall, cpu = timed(lambda into=found: into.extend(read_headers(storage, keys)))
        bad = sum(not isinstance(header, ImageHeader) for header in found)
        print(
            f"  {wall:5.2f} s wall, {cpu:5.2f} s CPU, {storage.count('get')} GETs, "
            f"{storage.count('head')} HEADs, {bad} bad"
        )


if __name__ == "__main__":
    main()
