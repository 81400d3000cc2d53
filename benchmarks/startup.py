"""How long it takes until s3bids is there: import, help, and the first listing. Medians of several fresh processes.

Run it as ``python benchmarks/startup.py``. Absolute times say little on a busy machine; compare revisions in one run.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 9
COMMANDS = {
    "python alone": [sys.executable, "-c", "pass"],
    "import s3bids": [sys.executable, "-c", "import s3bids"],
    "from s3bids import S3BIDSStudy": [sys.executable, "-c", "from s3bids import S3BIDSStudy"],
    "s3bids --help": [str(Path(sys.executable).with_name("s3bids")), "--help"],
    "s3bids download --help": [str(Path(sys.executable).with_name("s3bids")), "download", "--help"],
}


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    for name, command in COMMANDS.items():
        times = [seconds(command) for _ in range(ROUNDS)]
        print(f"{statistics.median(times) * 1000:7.1f} ms  {name}")


if __name__ == "__main__":
    main()
