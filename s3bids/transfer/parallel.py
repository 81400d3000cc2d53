"""One plan over several processes, a cluster, or one process: joblib outside, threads inside."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from .companion import affordable
from .engine import run_transfers
from .pool import Part
from .progress import Event, Finished, Planned, Received, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..storage.base import Storage
    from .outcome import Settings
    from .plan import Transfer
    from .report import Result

#: Most files and most bytes in one task: a joblib task costs 150 µs, and progress shows only when one is done.
_TASK_FILES = 256
_TASK_BYTES = 256 * 1024 * 1024


def run(
    storage: Storage,
    parts: Iterable[Part],
    settings: Settings,
    emit: Callable[[Event], None],
    *,
    n_jobs: int | None = None,
) -> Iterator[Result]:
    """Carry out transfers in as many processes as `n_jobs` says, and yield the results as they come.

    Parameters
    ----------
    parts
        As :func:`~s3bids.transfer.engine.run_transfers` takes them; several processes begin when all are planned.
    n_jobs
        As joblib has it: None means what ``joblib.parallel_config`` says, else one; -1 all cores. In one process the
        transfers share threads, which saturates most links: further processes help where checking binds the processor.
    """
    if worker_count(n_jobs) == 1:
        if n_jobs is None:
            settings = replace(settings, companions=affordable())
        yield from run_transfers(storage, parts, settings, emit)
        return
    import joblib

    planned = list(parts)
    for part in planned:
        if part.planned.files and not part.is_told:
            emit(part.planned)
    emit(Planned(0, 0, is_all=True))
    transfers = chain.from_iterable(part.transfers for part in planned)
    tasks = (joblib.delayed(run_task)(storage, task, settings) for task in cut_into_tasks(transfers))
    for results in joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(tasks):
        for result in results:
            emit(Received(result.bytes))
            emit(Finished(result))
            yield result


def run_task(storage: Storage, transfers: list[Transfer], settings: Settings) -> list[Result]:
    """Carry out one task inside a worker."""
    with storage:
        part = Part(transfers, Planned(len(transfers), sum(transfer.size for transfer in transfers)))
        return list(run_transfers(storage, [part], settings, silent))


def worker_count(n_jobs: int | None) -> int:
    """Give the number of workers that joblib would use.

    joblib takes a third of a second to import, and is not needed to know that nobody has configured it.
    """
    if n_jobs == 1 or (n_jobs is None and "joblib" not in sys.modules):
        return 1
    import joblib

    count: int = joblib.effective_n_jobs(n_jobs)
    return count


def cut_into_tasks(transfers: Iterable[Transfer]) -> Iterator[list[Transfer]]:
    """Cut transfers into lists that are neither long nor large."""
    task: list[Transfer] = []
    size = 0
    for transfer in transfers:
        if task and (len(task) == _TASK_FILES or size + transfer.size > _TASK_BYTES):
            yield task
            task, size = [], 0
        task.append(transfer)
        size += transfer.size
    if task:
        yield task


__all__ = ["cut_into_tasks", "run", "run_task", "worker_count"]
