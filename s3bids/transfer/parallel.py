"""One plan over several processes, a cluster, or one process: joblib outside, threads inside."""

from __future__ import annotations

import logging
import pickle
import sys
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .companion import affordable
from .destination import abandoned_in, remove_abandoned
from .engine import run_transfers
from .outcome import failed
from .pool import Part
from .progress import Event, Finished, Planned, Received, silent
from .report import Result, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..storage.base import Storage
    from .outcome import Settings
    from .plan import Transfer

#: Most files and most bytes in one task: a joblib task costs 150 µs, and progress shows only when one is done.
_TASK_FILES = 256
_TASK_BYTES = 256 * 1024 * 1024
#: How often work is handed out whose worker is lost: more often, and it is the work that kills them.
_ATTEMPTS = 3
#: The errors of loky and Dask for that; not all of them can be imported everywhere.
_LOST_WORKER = frozenset({"TerminatedWorkerError", "BrokenProcessPool", "KilledWorker"})

logger = logging.getLogger(__name__)


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
        With None small files are shared with others where they are thousands; 1 is one process whatever comes.
    """
    if _is_one_process(n_jobs):
        if n_jobs is None:
            settings = replace(settings, companions=affordable())
        yield from run_transfers(storage, parts, settings, emit)
        return
    _require_workers(storage, n_jobs)
    planned = list(parts)
    for part in planned:
        if part.planned.files and not part.is_told:
            emit(part.planned)
    emit(Planned(0, 0, is_all=True))
    transfers = chain.from_iterable(part.transfers for part in planned)
    folders, has_failed = set(), False
    for result in _spread(storage, enumerate(cut_into_tasks(transfers)), settings, n_jobs):
        folders.add(result.target.rpartition("/")[0])
        has_failed |= result.status is Status.FAILED
        emit(Received(result.bytes))
        emit(Finished(result))
        yield result
    if not has_failed:
        # What a killed worker had begun was done again by another one. Dask does not tell that it lost a worker.
        remove_abandoned(abandoned_in(settings.directory / folder for folder in folders))


def _require_workers(storage: Storage, n_jobs: int | None) -> None:
    """Refuse workers that cannot do the work, before any of it is handed out.

    Raises
    ------
    ConfigError
        If joblib's backend gives no results as they come, or the storage cannot be sent to other processes.
    """
    import joblib
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    if not backend.supports_return_generator:
        name = type(backend).__name__.removesuffix("Backend").lower()
        raise ConfigError(
            f"joblib's backend {name} gives no results before all are there; configure loky, threading or dask"
        )
    if getattr(backend, "supports_sharedmem", False):
        return
    try:
        # As workers get it: by cloudpickle, which sends classes of a notebook as well.
        pickle.dumps(joblib.wrap_non_picklable_objects(storage, keep_wrapper=False))
    except Exception as error:
        raise ConfigError(
            f"cannot send the {type(storage).__name__} to {joblib.effective_n_jobs(n_jobs)} worker processes, since it "
            f"cannot be pickled ({type(error).__name__}: {error}); use n_jobs=1, or joblib's backend threading"
        ) from error


def _spread(
    storage: Storage, tasks: Iterator[tuple[int, list[Transfer]]], settings: Settings, n_jobs: int | None
) -> Iterator[Result]:
    """Hand tasks to the workers; those of a worker that was killed are handed out again, a few times.

    That is safe at any moment: a file is complete or not there, and one that is fetched twice has the same bytes.
    """
    import joblib

    #: Tasks that were handed out and have not come back.
    out: dict[int, list[Transfer]] = {}
    why = ""
    for _ in range(_ATTEMPTS):
        calls = _calls(storage, [*out.items()], tasks, settings, out)
        try:
            for number, results in joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(calls):
                del out[number]
                yield from results
        except Exception as error:
            if not _is_lost_worker(error):
                raise
            why = str(error).partition("\n")[0]
            logger.warning("a worker process was lost, and %d task(s) are begun again: %s", len(out), why)
        else:
            return
    reason = f"worker processes were lost {_ATTEMPTS} times ({why}); check their memory, and run again"
    for task in chain(out.values(), (task for _, task in tasks)):
        yield from (Result(each.key, each.target, Status.FAILED, 0, reason, _ATTEMPTS) for each in task)


def _calls(
    storage: Storage,
    again: list[tuple[int, list[Transfer]]],
    tasks: Iterator[tuple[int, list[Transfer]]],
    settings: Settings,
    out: dict[int, list[Transfer]],
) -> Iterator[Any]:
    """Give the calls for joblib as it asks for them, and note what is out."""
    import joblib

    for number, task in chain(again, tasks):
        out[number] = task
        yield joblib.delayed(run_task)(storage, number, task, settings)


def _is_lost_worker(error: Exception) -> bool:
    """Say whether joblib or Dask tells that a worker died: their errors are of several modules, not all importable."""
    return type(error).__name__ in _LOST_WORKER


def run_task(storage: Storage, number: int, transfers: list[Transfer], settings: Settings) -> tuple[int, list[Result]]:
    """Carry out one task inside a worker; raise nothing, since an error would end the whole run."""
    results: list[Result] = []
    try:
        with storage:
            part = Part(transfers, Planned(len(transfers), sum(transfer.size for transfer in transfers)))
            results += run_transfers(storage, [part], settings, silent)
    except Exception as error:
        logger.debug("task %d failed", number, exc_info=error)
        done = {result.target for result in results}
        left = (transfer for transfer in transfers if transfer.target not in done)
        results += [failed(transfer, error, 1) for transfer in left]
    return number, results


def worker_count(n_jobs: int | None) -> int:
    """Give the number of workers that joblib would use.

    joblib takes a third of a second to import, and is not needed to know that nobody has configured it.
    """
    if n_jobs == 1 or (n_jobs is None and "joblib" not in sys.modules):
        return 1
    import joblib

    count: int = joblib.effective_n_jobs(n_jobs)
    return count


def _is_one_process(n_jobs: int | None) -> bool:
    """Say whether the calling process is to do the work: not where a cluster was chosen, be it of a single worker."""
    if worker_count(n_jobs) > 1:
        return False
    if n_jobs == 1 or "joblib" not in sys.modules:
        return True
    from joblib.parallel import get_active_backend

    return "dask" not in type(get_active_backend()[0]).__module__


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
