"""What the process says of itself at scrape: its build, its start, memory, processor time and open files."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time

from shipway import __version__, compiled
from shipway.monitoring import metrics
from shipway.monitoring.registry import Registry


def read_process_at_scrape(registry: Registry, *, started_s: float) -> None:
    """Have the process's own metrics read from the system.

    Args:
        started_s: When the process started, in seconds since 1970.
    """
    python = platform.python_version()
    registry.allow(metrics.VERSION, (__version__,))
    registry.allow(metrics.PYTHON, (python,))
    registry.read_at_scrape(metrics.BUILD_INFO, lambda: {(__version__, python, compiled.build()): 1})
    registry.read_at_scrape(metrics.PROCESS_START_TIME, lambda: started_s)
    registry.read_at_scrape(metrics.PROCESS_CPU, time.process_time)
    registry.read_at_scrape(metrics.PROCESS_RESIDENT_MEMORY, resident_bytes)
    registry.read_at_scrape(metrics.PROCESS_OPEN_FDS, open_files)
    registry.read_at_scrape(metrics.PROCESS_MAX_FDS, lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM now; None where only its peak could be told (macOS)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return None


def open_files() -> int:
    """File descriptors in use. Counting them opens one, which is left out."""
    return len(os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")) - 1
