"""How much memory there is, so that what cannot fit is refused before it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup/memory.max")


def memory_bytes() -> int:
    """Memory that this process may use, by the machine, SLURM and its control group (v2, memory.max)."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    granted = os.environ.get("SLURM_MEM_PER_NODE", "")  # MiB; the control groups of its jobs lie further down
    if granted.isdecimal() and int(granted) > 0:
        available = min(available, int(granted) << 20)
    try:
        limit = _CGROUP.read_text().strip()
    except OSError:
        return available
    return min(available, int(limit)) if limit.isdecimal() else available
