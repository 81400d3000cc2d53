"""Downloads by many processes: frozen plans, and their shards."""

from .bring import download_plan
from .drift import drift
from .frozen import Access, FrozenPlan, freeze
from .lock import lock
from .plan_file import read_plan, save_plan
from .shards import Shard, assign, parse_shard
from .slurm import JobFiles, SlurmJob, write_job
from .verifying import verify_plan

__all__ = [
    "Access",
    "FrozenPlan",
    "JobFiles",
    "Shard",
    "SlurmJob",
    "assign",
    "download_plan",
    "drift",
    "freeze",
    "lock",
    "parse_shard",
    "read_plan",
    "save_plan",
    "verify_plan",
    "write_job",
]
