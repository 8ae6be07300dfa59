"""How many threads a computation may use here: the cores of this process, and the quota of its container."""

import math
import os
from pathlib import Path

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Cores that this process may run on at the same time, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota = cores_of_quota(_CPU_MAX.read_text())
    except OSError:  # no control groups
        quota = None
    return max(1, cores if quota is None else min(cores, quota))


def cores_of_quota(cpu_max: str) -> int | None:
    """Whole cores that a cgroup's `cpu.max` ("QUOTA PERIOD" in microseconds) grants, rounded up; None: no limit.

    More threads than that would wait for each other most of the time.
    """
    quota, _, period = cpu_max.strip().partition(" ")
    if quota == "max" or not quota.isdigit() or not period.isdigit():
        return None
    return math.ceil(int(quota) / int(period))
