"""How much memory there is, so that what cannot fit is refused before it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup/memory.max")


def memory_bytes() -> int:
    """Memory that this process may use, by the machine and its control group (cgroup v2, memory.max)."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CGROUP.read_text().strip()
    except OSError:
        return available
    return min(available, int(limit)) if limit.isdecimal() else available
