"""What images on storage cost in requests, bytes and memory: on moto, on rclone, and on a local directory.

Run it as ``python benchmarks/image_costs.py [DIRECTORY]``; it needs the extra ``test``, and in the directory, which had
best be a memory disk, 5 GB. The servers are started, and everything is made anew. It fails if a promise is broken.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from s3bids import read_header, read_nifti, write_nifti
from s3bids.storage import LocalFSParams, LocalStorage, S3Params, S3Storage
from s3bids.testing.counting import CountingStorage
from s3bids.testing.servers import moto_server, rclone_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3bids.storage import Storage

BUCKET = "costs"
SHAPE = (128, 128, 74, 300)
VOLUME_BYTES = 128 * 128 * 74 * 2
#: By the smaller of the two kilobytes.
HEADER_BYTES = 64_000
MB = 1_000_000

#: What of 2 GB is written where; the same code writes to both servers.
WRITTEN = {
    "moto": [(".nii", "int16")],
    "rclone": [(".nii", "int16"), (".nii.gz", "int16")],
    "local": [(".nii", "int16"), (".nii.gz", "float32")],
}
#: Writes 2 GB from a process of its own; prints bytes of the array, of memory beside it, and of the object.
WRITE = """
import resource, sys
import nibabel as nib, numpy as np
from s3bids import write_nifti
from s3bids.storage import LocalFSParams, LocalStorage, S3Params, S3Storage

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

bucket, url, root, extension, kind = sys.argv[1:]
storage = (
    S3Storage(S3Params(bucket, url, "testing", "testing-secret", region_name="us-east-1"))
    if url
    else LocalStorage(LocalFSParams(True, root, "someone", bucket))
)
volume = np.random.default_rng(0).integers(0, 3000, (256, 256, 64), dtype=np.int16)
array = np.empty((*volume.shape, 250 if kind == "int16" else 125), kind, order="F")
for index in range(array.shape[3]):
    array[..., index] = volume
image = nib.Nifti1Image(array, np.eye(4))
image.set_data_dtype(np.int16)
first = nib.Nifti1Image(array[..., :1], np.eye(4))
first.set_data_dtype(np.int16)
write_nifti(first, f"small{extension}", storage)
before = most()
write_nifti(image, f"large{extension}", storage)
print(array.nbytes, most() - before, storage.head(f"large{extension}").size)
storage.delete(f"large{extension}")
"""


def make_series() -> nib.Nifti1Image:
    """Make a series of 300 volumes that takes some 500 MB compressed."""
    data = np.random.default_rng(1).integers(0, 3000, (*SHAPE[:3], 10), dtype=np.int16)
    return nib.Nifti1Image(np.tile(data, 30), np.diag([2, 2, 2, 1]))


class Table:
    """Rows of markdown; remembers whether a promise was broken."""

    def __init__(self) -> None:
        self.is_kept = True
        print("| what | where | GETs | HEADs | bytes | promised |\n|---|---|---|---|---|---|")

    def row(
        self, where: str, what: str, storage: CountingStorage, most: float, use: Callable[[], Any], expected: Any
    ) -> None:
        storage.reset()
        found = use()
        gets, heads, taken = storage.count("get"), storage.count("head"), storage.bytes_read
        good = taken <= most and np.array_equal(found, expected)
        good &= not what.startswith("header") or (gets, heads) == (1, 0)
        self.is_kept &= good
        mark = "" if good else "**"
        print(f"| {what} | {where} | {gets} | {heads} | {mark}{taken:,}{mark} | ≤ {most:,.0f} |", flush=True)


def costs(table: Table, where: str, storage: CountingStorage, image: nib.Nifti1Image) -> None:
    """Read the series in all ways that something is promised of."""
    for extension in (".nii", ".nii.gz"):
        write_nifti(image, f"series{extension}", storage)
    sizes = {extension: storage.head(f"series{extension}").size for extension in (".nii", ".nii.gz")}
    data = np.asanyarray(image.dataobj)
    for extension, size in sizes.items():
        key = f"series{extension}"
        what = f"header of {size / MB:.0f} MB {extension}"
        table.row(where, what, storage, HEADER_BYTES, lambda key=key: read_header(key, storage).shape, SHAPE)
    for extension, volume, most in (
        (".nii.gz", 0, 0.02 * sizes[".nii.gz"] + MB),
        (".nii", 0, VOLUME_BYTES + 128_000),
        (".nii", 150, VOLUME_BYTES + 128_000),
    ):

        def one_volume(key: str = f"series{extension}", volume: int = volume) -> Any:
            return read_nifti(key, storage).dataobj[..., volume]

        table.row(where, f"volume {volume} of {extension}", storage, most, one_volume, data[..., volume])
    for extension, size in sizes.items():

        def whole(key: str = f"series{extension}") -> Any:
            return np.asanyarray(read_nifti(key, storage).dataobj)

        table.row(where, f"all of {extension}", storage, 1.01 * size, whole, data)
    indexes: dict[str, bytes] = {}
    np.asanyarray(read_nifti("series.nii.gz", storage, indexes=indexes).dataobj)

    def indexed() -> Any:
        return read_nifti("series.nii.gz", storage, indexes=indexes).dataobj[..., 150]

    what = "volume 150 of .nii.gz, with a kept index"
    table.row(where, what, storage, VOLUME_BYTES + 2 * MB, indexed, data[..., 150])
    for extension in sizes:
        storage.delete(f"series{extension}")


def memory(where: str, arguments: list[str]) -> bool:
    """Write 2 GB, and print what memory it took."""
    is_kept = True
    for extension, kind in WRITTEN[where]:
        command = [sys.executable, "-c", WRITE, BUCKET, *arguments, extension, kind]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        array, more, size = map(int, done.stdout.split())
        is_kept &= more <= 200 * MB
        print(
            f"| {where} | {kind}, {array / MB:,.0f} MB | {extension}, {size / MB:,.0f} MB | {more / MB:.0f} |",
            flush=True,
        )
    return is_kept


def main() -> int:
    """Measure everything everywhere."""
    directory = sys.argv[1] if len(sys.argv) > 1 else None
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=directory)))
        for name in ("rclone", "local"):
            (root / name / BUCKET).mkdir(parents=True)
        servers = {
            "moto": stack.enter_context(moto_server()),
            "rclone": stack.enter_context(rclone_server(root / "rclone")),
        }
        client = servers["moto"].boto3_client()
        client.create_bucket(Bucket=BUCKET)
        client.close()
        storages: dict[str, Storage] = {
            name: S3Storage(S3Params(BUCKET, server.url, server.access_key, server.secret_key, region_name="us-east-1"))
            for name, server in servers.items()
        }
        storages["local"] = LocalStorage(
            LocalFSParams(use_local_fs=True, root_dir=root / "local", user="someone", bucket_name=BUCKET)
        )
        image, table = make_series(), Table()
        for where, storage in storages.items():
            costs(table, where, CountingStorage(storage), image)
        del image
        print("\n| where | array | object | memory beside the array, MB (≤ 200) |\n|---|---|---|---|")
        kept = [
            memory(where, [servers[where].url if where in servers else "", str(root / "local")]) for where in storages
        ]
    return 0 if table.is_kept and all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
