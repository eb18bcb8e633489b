"""Whether the kernel has ended processes for want of memory: a child that it killed has not just crashed."""

from __future__ import annotations

from pathlib import Path

# Counters of such kills: of the container (cgroups v2, v1), then of the whole machine.
COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)
NAME = "oom_kill"


def oom_kills() -> int:
    """How often the kernel has killed for want of memory since boot; 0 where it does not tell.

    Counters of the container, where there is one, and of the machine are added up: what counts is that the
    sum rises while a child works on something.
    """
    return sum(_count(counter) for counter in COUNTERS)


def _count(counter: Path) -> int:
    """The value of the line `oom_kill N`; 0 where there is none."""
    try:
        lines = counter.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    values = [fields[1] for line in lines if len(fields := line.split()) == 2 and fields[0] == NAME]
    return int(values[0]) if values and values[0].isdigit() else 0
