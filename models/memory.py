"""How much main memory this process holds; no TensorFlow here."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def resident_mb() -> float:
    """The main memory that this program holds now, in MiB; 0 where there is no proc(5)."""
    status = Path("/proc/self/status")
    return int(status.read_text().split("VmRSS:")[1].split()[0]) / 2**10 if status.exists() else 0.0


def peak_memory_mb() -> float:
    """The most main memory this program has held, in MiB.

    Read from proc(5) where there is one: getrusage(2) also counts the process that this one was forked from.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
