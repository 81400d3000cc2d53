"""Downloads by many processes: frozen plans, and their shards."""

from .bring import download_plan
from .frozen import Access, FrozenPlan, freeze, read_plan, save_plan
from .shards import Shard, assign, parse_shard

__all__ = [
    "Access",
    "FrozenPlan",
    "Shard",
    "assign",
    "download_plan",
    "freeze",
    "parse_shard",
    "read_plan",
    "save_plan",
]
