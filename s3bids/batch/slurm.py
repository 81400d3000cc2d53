"""Scripts for a Slurm array that fetches a frozen plan, one shard a task, and for the job that verifies the whole.

Nothing is submitted here: whoever reads the scripts can do that, and can change them before. A task may be killed and
begun again at any time, since a download always goes on where it was.
"""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..storage.files import atomic_file
from ..transfer.manifest import STATE_FOLDER
from .plan_file import save_plan
from .shards import Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .frozen import FrozenPlan

#: One option of sbatch as it stands behind ``#SBATCH``.
_OPTION = re.compile(r"--?[A-Za-z][^\n\r\0]*")
_PLAIN_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class SlurmJob:
    """How a download is spread over a Slurm array."""

    #: Tasks, and so shards.
    tasks: int
    #: Tasks that run at once; None: as many as Slurm lets.
    at_once: int | None = None
    partition: str | None = None
    #: Such as ``12:00:00``; None: what the partition has.
    time: str | None = None
    #: Further options of sbatch for the array, such as ``--mem=4G``.
    options: tuple[str, ...] = ()
    #: How the tasks check what they fetch: ``size``, ``etag`` or ``sha256``.
    verify: str = "etag"
    #: Processes of a task; None: one, with many threads.
    jobs: int | None = None
    #: Bytes of the disk that stay free.
    reserve: int = 0
    #: Replace files that differ and are not ours.
    overwrite: bool = False

    def __post_init__(self) -> None:
        # The last shard is the one to ask for: its error names what is possible.
        Shard(self.tasks, self.tasks)
        if self.at_once is not None and self.at_once < 1:
            raise ConfigError(f"{self.at_once} tasks at once are none; give at least 1")
        for option in self.lines:
            if _OPTION.fullmatch(option) is None:
                raise ConfigError(f"{option!r} is no option of sbatch in one line; write for example --mem=4G")

    @property
    def words(self) -> tuple[str, ...]:
        """The options of ``s3bids download`` that each task has."""
        jobs = () if self.jobs is None else ("--jobs", str(self.jobs))
        reserve = ("--reserve", str(self.reserve)) if self.reserve else ()
        overwrite = ("--overwrite",) if self.overwrite else ()
        return ("--verify", self.verify, *jobs, *reserve, *overwrite)

    @property
    def lines(self) -> tuple[str, ...]:
        """The options that both jobs have."""
        partition = () if self.partition is None else (f"--partition={self.partition}",)
        limit = () if self.time is None else (f"--time={self.time}",)
        return (*partition, *limit, *self.options)


@dataclass(frozen=True)
class JobFiles:
    """The files of a batch job; all are in one folder."""

    folder: Path
    plan: Path
    #: The array.
    download: Path
    #: The job behind it.
    verify: Path
    #: Submits both.
    submit: Path
    #: Where the verification writes, with ``.txt`` and ``.json`` behind it.
    report: Path


def write_job(
    plan: FrozenPlan,
    directory: Path,
    job: SlurmJob,
    program: Sequence[str],
    *,
    now: Callable[[], float] = time.time,
) -> JobFiles:
    """Write a plan and the scripts of its batch job to a new folder in ``.s3bids/`` of the destination.

    Parameters
    ----------
    plan
        What is to be fetched.
    directory
        The root of the download, seen under this name by all tasks. It is made if it is not there.
    job
        How the work is spread.
    program
        The command that runs s3bids, in words, such as ``("s3bids",)``.
    now
        The clock that names the folder, in seconds since 1970.

    Raises
    ------
    OSError
        If the folder cannot be made, or there is one of this second already.
    """
    root = directory.absolute()
    stamp = time.strftime("slurm-%Y%m%dT%H%M%S", time.gmtime(now()))
    folder = root / STATE_FOLDER / stamp
    folder.mkdir(parents=True)
    names = ("plan.jsonl.gz", "download.sbatch", "verify.sbatch", "submit.sh", "report")
    files = JobFiles(folder, *(folder / name for name in names))
    save_plan(plan, files.plan)
    name = _PLAIN_NAME.sub("-", plan.study)
    access = plan.access
    # Whoever submits the job agrees to sign for this server and to pay; the plan alone could be anybody's.
    server = () if access.anon or access.endpoint_url is None else ("--endpoint-url", access.endpoint_url)
    pays = ("--request-payer",) if access.request_payer else ()
    words = [*program, "download", "--plan", str(files.plan), str(root), *job.words, *server, *pays]
    _write(files.download, _download_script(name, job, shlex.join(words)))
    words = [*program, "verify", str(root), "--plan", str(files.plan), "--report", str(files.report)]
    _write(files.verify, _verify_script(name, job, shlex.join(words)))
    _write(files.submit, _submit_script(files))
    return files


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as file:
        # Names of files need not be text.
        file.write(text.encode(errors="surrogateescape"))


def _head(options: Sequence[str]) -> str:
    return "#!/bin/sh\n" + "".join(f"#SBATCH {option}\n" for option in options)


def _download_script(name: str, job: SlurmJob, command: str) -> str:
    limit = "" if job.at_once is None else f"%{job.at_once}"
    options = (
        f"--job-name=s3bids-{name}",
        f"--array=1-{job.tasks}{limit}",
        "--requeue",
        "--open-mode=append",
        *job.lines,
    )
    return f"""{_head(options)}
# One part of the plan: the parts need nothing of each other, and each can be begun again at any time.
set -eu
# The ids may begin anywhere and go in steps, as in --array=0-15 or --array=10-40:2.
part=$(( (SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN) / ${{SLURM_ARRAY_TASK_STEP:-1}} + 1 ))
# With exec the signals of Slurm reach the program itself, which then ends cleanly.
exec {command} --shard "$part/$SLURM_ARRAY_TASK_COUNT"
"""


def _verify_script(name: str, job: SlurmJob, command: str) -> str:
    return f"""{_head((f"--job-name=s3bids-{name}-verify", "--requeue", *job.lines))}
# The whole plan against the files that are here; what is missing is in the report.
set -eu
exec {command}
"""


def _submit_script(files: JobFiles) -> str:
    return f"""#!/bin/sh
# Submit the download, and behind it its verification, however the tasks end.
set -eu
cd {shlex.quote(str(files.folder))}
array=$(sbatch --parsable --output=%A_%a.log {files.download.name})
array=${{array%%;*}}
verify=$(sbatch --parsable --output=%j.log --dependency="afterany:$array" {files.verify.name})
echo "$array ${{verify%%;*}}"
"""


__all__ = ["JobFiles", "SlurmJob", "write_job"]
