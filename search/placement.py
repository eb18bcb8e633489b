"""Where slots run: one a GPU where there are GPUs, else the cores shared out so that they don't fight."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from data_prep.memory import memory_bytes
from data_prep.problems import InputError
from models.device import thread_counts, visible_gpus

MEMORY_SHARE = (
    0.7  # of the machine's memory, for all children together; owners and the page cache want the rest
)

MAX_SLOTS = 1024  # of one machine


@dataclass(frozen=True)
class Placement:
    """Where one slot's child runs.

    Attributes:
        threads: How many threads it computes an operation with.
        gpu: Its GPU, by UUID or index; None for the CPU.
        memory_mb: Resident memory past which it is replaced by a fresh one after a fold.
        inter: How many operations it computes at the same time; None for as many as `threads`.
    """

    threads: int
    gpu: str | None
    memory_mb: float = math.inf
    inter: int | None = None


def place(workers: int | None = None, gpus: str | None = None) -> tuple[Placement, ...]:
    """Place the slots of a run.

    Args:
        workers: How many slots; None for one a GPU, or one on a machine without.
        gpus: Which GPUs, as indices or UUIDs with commas between; None for all; "" for none.

    Raises:
        InputError: A GPU that is not there, or fewer than one slot.
    """
    if workers is not None and not 1 <= workers <= MAX_SLOTS:
        raise InputError(f"--workers: 1 to {MAX_SLOTS} are possible, but got {workers}")
    chosen = _chosen(gpus, visible_gpus())
    slots = workers or max(1, len(chosen))
    threads, inter = thread_counts(cores(), slots)
    limit = MEMORY_SHARE * memory_bytes() / 2**20 / slots
    gpu_of = [chosen[index % len(chosen)] if chosen else None for index in range(slots)]
    return tuple(Placement(threads, gpu, limit, inter) for gpu in gpu_of)


def cores() -> int:
    """How many cores this process may use, by its affinity and its control group (cgroup v2, cpu.max)."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return available
    return available if quota == "max" else max(1, min(available, int(quota) // int(period)))


def _chosen(gpus: str | None, visible: list[str]) -> list[str]:
    if gpus is None:
        return visible
    chosen = []
    for name in filter(None, (part.strip() for part in gpus.split(","))):
        if name.isdigit() and int(name) < len(visible):
            chosen.append(visible[int(name)])
        elif name in visible:
            chosen.append(name)
        else:
            there = f"GPUs 0 to {len(visible) - 1}" if visible else "no GPU"
            raise InputError(f"--gpus: must name GPUs of this machine, which has {there}, but got {name!r}")
    return chosen
