"""A real Slurm of one node on this computer: munged, slurmctld and slurmd, started here and ended here."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from s3bids.testing.faults import Proxy

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo")
#: Other work may hold this computer up for minutes: a patient Slurm takes nobody for dead.
PATIENCE_S = 300
#: As many as the largest array here has tasks: they wait for the network and not for a processor.
CPUS = 8
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT", "BOOT_FAIL", "OUT_OF_MEMORY")

CONFIG = """
ClusterName=s3bids
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
SlurmdParameters=config_overrides
RebootProgram=/bin/true
KillWait=2
MinJobAge=3600
MessageTimeout=100
SlurmdTimeout={patience}
SlurmctldTimeout={patience}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(number):
    """Give ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_until(is_so, what, *, seconds=PATIENCE_S):
    """Wait for something that other programs do."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain: {what()}"
        time.sleep(0.1)


class Cluster:
    """The daemons of one node, and the commands of a user."""

    def __init__(self, folder):
        self.folder = folder
        self.host = socket.gethostname().partition(".")[0]
        self.environment = {"PATH": f"{os.defpath}:/usr/sbin:/sbin", "SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons = {}

    def start(self):
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        config = CONFIG.format(
            host=self.host,
            user=getpass.getuser(),
            folder=self.folder,
            ports=free_ports(2),
            patience=PATIENCE_S,
            cpus=CPUS,
        )
        (self.folder / "slurm.conf").write_text(config)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        places = {"key-file": key, "socket": self.folder / "munge.sock", "seed-file": self.folder / "munge.seed"}
        places |= {"pid-file": self.folder / "munged.pid", "log-file": self.folder / "munged.log"}
        self._begin("munged", "--force", "--foreground", *(f"--{name}={path}" for name, path in places.items()))
        wait_until(lambda: (self.folder / "munge.sock").exists(), lambda: self.said("munged"))
        self._begin("slurmctld", "-D")
        self._begin("slurmd", "-D")
        self.wait_for_node()

    def wait_for_node(self):
        wait_until(lambda: self.run("sinfo", "-h", "-o", "%t", is_checked=False) in ("idle", "mix", "alloc"), self.logs)

    def _begin(self, name, *arguments):
        with (self.folder / f"{name}.out").open("ab") as out:
            # A group of their own, so that Ctrl-C in the tests does not end them before the tests are over.
            self._daemons[name] = subprocess.Popen(
                [shutil.which(name, path=self.environment["PATH"]), *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def said(self, name):
        return (self.folder / f"{name}.out").read_text()[-2000:]

    def logs(self):
        return "\n".join(self.said(name) for name in self._daemons)

    def run(self, *command, is_checked=True):
        """Run a command of a user and give what it prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert not is_checked or done.returncode == 0, f"{command}: {done.stderr}\n{self.logs()}"
        return done.stdout.strip()

    def state(self, job):
        """Give the state of a job or of one task, such as RUNNING."""
        words = self.run("scontrol", "show", "job", "-o", job, is_checked=False).split()
        return next((word.partition("=")[2] for word in words if word.startswith("JobState=")), "UNKNOWN")

    def wait_for_state(self, job, *states):
        wait_until(lambda: self.state(job) in states, lambda: f"{job} is {self.state(job)}\n{self.logs()}")

    def wait_for_end(self, job):
        self.wait_for_state(job, *ENDED)
        return self.state(job)

    def begin_now(self, job):
        """Let a requeued job begin: by itself Slurm waits two minutes."""
        self.wait_for_state(job, "PENDING")
        self.run("scontrol", "update", f"JobId={job}", "StartTime=now")

    def restart_node(self):
        """Let the node lose its power and come back: every process on it is killed.

        Slurm would notice after minutes; here an administrator tells it.
        """
        daemon = self._daemons["slurmd"]
        daemon.kill()
        daemon.wait()
        for process in self._job_processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.run("scontrol", "update", f"NodeName={self.host}", "State=DOWN", "Reason=power")
        self._begin("slurmd", "-D", "-b")
        wait_until(self._is_back, self.logs)
        self.wait_for_node()

    def _is_back(self):
        """Return the node to service, which Slurm refuses until its daemon has answered."""
        self.run("scontrol", "update", f"NodeName={self.host}", "State=RESUME", is_checked=False)
        return self.run("sinfo", "-h", "-o", "%t", is_checked=False) in ("idle", "mix", "alloc")

    def _job_processes(self):
        """Find the processes of jobs, which know the configuration of this cluster, and their step daemons."""
        mark = f"SLURM_CONF={self.folder / 'slurm.conf'}".encode()
        daemons = {daemon.pid for daemon in self._daemons.values()}
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (place / "environ").read_bytes().split(b"\0")
                name = (place / "comm").read_text().strip()
                is_of_node = name == "slurmstepd" or any(word.startswith(b"SLURM_JOB_ID=") for word in words)
                if mark in words and is_of_node and int(place.name) not in daemons:
                    yield int(place.name)

    def end(self):
        for process in self._job_processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Slurm that takes jobs. It is never skipped: whoever asks for its tests wants them run."""
    path = f"{os.defpath}:/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        pytest.fail(f"there is no {', '.join(missing)}; .ci/install-slurm installs them (Debian: slurm-wlm, munge)")
    found = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        found.start()
        yield found
    finally:
        found.end()


@pytest.fixture
def proxy(rclone):
    """A counting proxy before an S3 server, as strict as S3."""
    with Proxy(rclone.url, strict=True) as running:
        yield running


@pytest.fixture
def study(rclone, bucket_name, proxy):
    """A study on the server: its address, and its files as path -> bytes."""
    folder = rclone.root / bucket_name / "ds"
    files = {"dataset_description.json": b'{"Name": "array", "BIDSVersion": "1.10.0"}', "README": b"read me"}
    for subject in range(24):
        name = f"sub-{subject:02}"
        files |= {f"{name}/anat/{name}_run-{run}_T1w.json": f"{name} {run}".encode() * 100 for run in range(6)}
        files[f"{name}/anat/{name}_T1w.nii.gz"] = os.urandom(200_000)
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    rclone.refresh()
    yield f"s3://{bucket_name}/ds", files
    shutil.rmtree(rclone.root / bucket_name)
    rclone.refresh()
