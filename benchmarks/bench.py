"""Compare s3bids with s5cmd and s3bids 0.1.7, and write the table to results.md beside this file.

    python benchmarks/bench.py BENCH [--rounds 5] [--ancestor-rounds 1] [--endpoints lan,wan] [--workloads small,mixed]

BENCH is the folder of the measuring stick: its `compare.py` runs one client on one workload as a fresh process into an
empty folder on a memory disk, and its servers must have been started (`serve.py start`). A round runs every client
once; ratios are taken inside a round, since the speed of a machine drifts, and the median over the rounds is given.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROGRAM = Path(sys.executable).with_name("s3bids")
#: What the ratio to s5cmd is to be at most, with --verify size; and of the default to --verify size.
GOALS = {
    ("small", "lan"): 0.60, ("small", "wan"): 0.75, ("large", "lan"): 1.00, ("large", "wan"): 0.45,
    ("mixed", "lan"): 0.85, ("mixed", "wan"): 0.90,
}  # fmt: skip
ETAG_GOALS = {"small": 1.25, "large": 1.25, "mixed": 1.40}
ANCESTOR_GOALS = {"small": 15, "mixed": 6}


def load(folder: Path) -> Any:
    """Load the measuring stick's compare.py."""
    spec = importlib.util.spec_from_file_location("compare", folder / "compare.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(folder / "compare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


#: Runs a program and writes the peak memory of it, in KB, to a file.
PEAK = """
import resource, subprocess, sys
from pathlib import Path
code = subprocess.run(sys.argv[2:]).returncode
Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
PATIENCE_S = 3600


class Bench:
    """The clients, and how one of them is run."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.compare = load(folder)
        self._scratch = scratch
        self._clients = {
            "size": shlex.join(["sh", "-c", f'exec {shlex.quote(str(PROGRAM))} "$@" --verify size', "sh"]),
            "etag": shlex.quote(str(PROGRAM)),
        }

    def run(self, client: str, endpoint: str, workload: str) -> dict[str, float] | None:
        """Run one client once: seconds of wall clock and of processor; None if it left a wrong tree."""
        name = "ours" if client in self._clients else client
        found: dict[str, float] | None = self.compare.run(
            name, endpoint, workload, self._clients.get(client, ""), PATIENCE_S
        )
        return found

    def peak_mb(self, endpoint: str, workload: str) -> float:
        """Run ours once more, not timed, and give its peak memory."""
        told = self._scratch / "peak"
        command = shlex.join([sys.executable, "-c", PEAK, str(told), str(PROGRAM)])
        if self.compare.run("ours", endpoint, workload, command, PATIENCE_S) is None:
            raise RuntimeError(f"{workload} did not come whole over {endpoint}")
        return int(told.read_text()) / 1024


def ratio(one: list[dict[str, float] | None], other: list[dict[str, float] | None]) -> float:
    """Give the median of the ratios inside the rounds in which both clients ended well; NaN if there was none."""
    found = [a["wall"] / b["wall"] for a, b in zip(one, other, strict=True) if a and b]
    return statistics.median(found) if found else math.nan


def median(results: list[dict[str, float] | None], what: str) -> float:
    """Give the median of the runs that ended well; NaN if none did."""
    found = [result[what] for result in results if result]
    return statistics.median(found) if found else math.nan


def measure(bench: Bench, endpoint: str, workload: str, rounds: int) -> dict[str, list[dict[str, float] | None]]:
    """Run every client once a round; the first round warms up and does not count."""
    found: dict[str, list[dict[str, float] | None]] = {"size": [], "etag": [], "s5cmd": []}
    for number in range(rounds + 1):
        for client, results in found.items():
            result = bench.run(client, endpoint, workload)
            if number:
                results.append(result)
    return found


def mark(value: float, goal: float, *, at_most: bool = True) -> str:
    """Write a figure with its goal, in bold where it is missed."""
    text = f"{value:.2f}" if at_most else f"{value:.1f}"
    is_met = value <= goal if at_most else value >= goal
    sign = "≤" if at_most else "≥"
    return f"{text} ({sign} {goal:g})" if is_met else f"**{text}** ({sign} {goal:g})"


def table(bench: Bench, endpoints: list[str], workloads: list[str], rounds: int) -> list[str]:
    lines = [
        "| workload | endpoint | s5cmd, s | `--verify size`, s | to s5cmd (goal) | default `etag`, s "
        "| to `size` (goal) | cpu s: s5cmd / size / etag | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for endpoint in endpoints:
        for workload in workloads:
            found = measure(bench, endpoint, workload, rounds)
            size, etag, s5cmd = (found[name] for name in ("size", "etag", "s5cmd"))
            cpu = " / ".join(f"{median(results, 'cpu'):.2f}" for results in (s5cmd, size, etag))
            lines.append(
                f"| {workload} | {endpoint} | {median(s5cmd, 'wall'):.2f} | {median(size, 'wall'):.2f} "
                f"| {mark(ratio(size, s5cmd), GOALS[workload, endpoint])} | {median(etag, 'wall'):.2f} "
                f"| {mark(ratio(etag, size), ETAG_GOALS[workload])} | {cpu} | {bench.peak_mb(endpoint, workload):.0f} |"
            )
            print(lines[-1], flush=True)
    return lines


def ancestor_table(bench: Bench, rounds: int) -> list[str]:
    lines = ["| workload, lan | s3bids 0.1.7, s | default `etag`, s | times as fast (goal) |", "|---|---|---|---|"]
    for workload, goal in ANCESTOR_GOALS.items():
        pairs = [(bench.run("ancestor", "lan", workload), bench.run("etag", "lan", workload)) for _ in range(rounds)]
        old, new = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        times = mark(ratio(old, new), goal, at_most=False)
        lines.append(f"| {workload} | {median(old, 'wall'):.1f} | {median(new, 'wall'):.2f} | {times} |")
        print(lines[-1], flush=True)
    return lines


def machine() -> str:
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{model}, {len(os.sched_getaffinity(0))} processors shared by client and servers, {memory:.0f} GB"


def s5cmd_version(bench_home: Path) -> str:
    program = bench_home / "peers" / "bin" / "s5cmd"
    found = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    return found.stdout.split("-")[0].strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ancestor-rounds", type=int, default=1)
    parser.add_argument("--endpoints", default="lan,wan")
    parser.add_argument("--workloads", default="small,large,mixed")
    parser.add_argument("--out", type=Path, default=HERE / "results.md")
    options = parser.parse_args()
    out = options.out.absolute()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options.bench.absolute(), Path(scratch))
        # Not in a checkout: 0.1.7 would import the s3bids of the working directory.
        os.chdir(scratch)
        lines = table(bench, options.endpoints.split(","), options.workloads.split(","), options.rounds)
        if options.ancestor_rounds:
            lines += ["", *ancestor_table(bench, options.ancestor_rounds)]
        versions = ", ".join(f"{name} {version(name)}" for name in ("s3bids", "obstore"))
        home = bench.compare.HOME
    head = [
        "# Measured",
        "",
        f"Written by `make bench` on {time.strftime('%Y-%m-%d')}: {machine()}; Python {platform.python_version()}, "
        f"{versions}, s5cmd {s5cmd_version(home)}.",
        "",
        f"Medians of {options.rounds} rounds (s3bids 0.1.7: {options.ancestor_rounds}); whole process from a cold "
        "start into an empty folder on a memory disk. Ratios are taken inside a round. In bold: the goal is missed.",
        "`lan` has no latency; `wan` has 40 ms to the first byte and 60 MB/s a connection. `small`: 20,000 files of "
        "1-24 KB; `large`: 6 files of 160 MiB; `mixed`: 500 files, 1.4 GB.",
        "",
    ]
    out.write_text("\n".join([*head, *lines]) + "\n")


if __name__ == "__main__":
    main()
