"""Where slots run: on the GPUs where there are any, else the cores shared out so that they don't fight."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.memory import memory_bytes
from data_prep.problems import InputError
from models.device import tensorflow_device, thread_counts, visible_gpus, why_no_gpu

MEMORY_SHARE = (
    0.7  # of the machine's memory, for all children together; owners and the page cache want the rest
)

MAX_SLOTS = 1024  # of one machine


@dataclass(frozen=True)
class Placement:
    """Where one slot's child runs.

    Attributes:
        threads: How many threads it computes an operation with.
        gpu: Its GPU or MIG slice, by UUID; None for the CPU.
        memory_mb: Resident memory past which it is replaced by a fresh one after a fold.
        inter: How many operations it computes at the same time; None for as many as `threads`.
    """

    threads: int
    gpu: str | None
    memory_mb: float = math.inf
    inter: int | None = None


def place(
    workers: int | None = None,
    gpus: str | None = None,
    slots_per_gpu: int | None = None,
    require_gpu: bool = False,
) -> tuple[Placement, ...]:
    """Place the slots of a run; slots one after the other are on different GPUs.

    Args:
        workers: How many slots; None for `slots_per_gpu` a GPU, or one on a machine without.
        gpus: Which of the visible GPUs, as indices or UUIDs with commas between; None for all; "" for none.
        slots_per_gpu: How many slots share each GPU; None for one, or as many as `workers` makes it.
        require_gpu: Refuse the CPU, also where GPUs are there and TensorFlow sees none, which takes some
            seconds to find out.

    Raises:
        InputError: A GPU that is not there or named twice, none where one is needed, slots that are too few
            or too many, or `workers` that contradict `slots_per_gpu`.
    """
    _check_number("--workers", workers, "")
    chosen = _chosen(gpus, visible_gpus())
    if require_gpu:
        _check_gpus(gpus, chosen)
    slots = _slots(workers, gpus, slots_per_gpu, len(chosen))
    threads, inter = thread_counts(cores(), slots)
    limit = MEMORY_SHARE * memory_bytes() / 2**20 / slots
    gpu_of = [chosen[index % len(chosen)] if chosen else None for index in range(slots)]
    return tuple(Placement(threads, gpu, limit, inter) for gpu in gpu_of)


def note_on(placements: Sequence[Placement], gpus: str | None) -> list[str]:
    """What a user is told of placements: that they are on the CPU, unless that was asked for.

    Args:
        placements: Of `place`.
        gpus: As `place` had it.
    """
    if gpus == "" or any(slot.gpu is not None for slot in placements):
        return []
    threads = max(placements[0].threads, placements[0].inter or 0)
    counted = "1 thread" if threads == 1 else f"{threads} threads"
    slots = f"{len(placements)} slots run on the CPU with {counted} each"
    if len(placements) == 1:
        slots = f"one slot runs on the CPU with {counted}"
    return [f"{why_no_gpu()}: {slots} (--require-gpu refuses that)"]


def _slots(workers: int | None, gpus: str | None, slots_per_gpu: int | None, chosen: int) -> int:
    """How many slots there are."""
    if slots_per_gpu is not None and not chosen:
        why = "--gpus names none" if gpus == "" else why_no_gpu()
        raise InputError(f"--slots-per-gpu: needs GPUs to share, but {why}; --workers says how many slots")
    shared = chosen * (slots_per_gpu or 1)
    if slots_per_gpu is not None and workers not in (None, shared):
        raise InputError(
            f"--workers: with --slots-per-gpu it must be {shared} ({chosen} x {slots_per_gpu}), or left out, "
            f"but got {workers}"
        )
    _check_number("--slots-per-gpu", max(1, shared), " slots in all")
    return max(1, shared) if workers is None else workers


def _check_number(name: str, slots: int | None, what: str) -> None:
    if slots is not None and not 1 <= slots <= MAX_SLOTS:
        raise InputError(f"{name}: 1 to {MAX_SLOTS}{what} are possible, but got {slots}")


def _check_gpus(gpus: str | None, chosen: Sequence[str]) -> None:
    """Refuse to go on without a GPU that TensorFlow computes on."""
    if not chosen:
        why = "--gpus names none" if gpus == "" else why_no_gpu()
        raise InputError(f"--require-gpu: a GPU is needed, but {why}")
    device = tensorflow_device(chosen[0])
    if device == "nothing" or device.startswith("CPU"):
        raise InputError(
            f"--require-gpu: TensorFlow must compute on {chosen[0]}, but it finds {device}. Is it the CPU "
            "build, or the driver too old for it? 'make install' on this machine sets up the GPU build"
        )


def cores() -> int:
    """How many cores this process may use, by its affinity, SLURM and its control group (v2, cpu.max)."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")  # which a cluster need not hold its jobs to
    if granted.isdecimal() and int(granted) > 0:
        available = min(available, int(granted))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return available
    return available if quota == "max" else max(1, min(available, int(quota) // int(period)))


def _chosen(gpus: str | None, visible: list[str]) -> list[str]:
    if gpus is None:
        return visible
    chosen: list[str] = []
    for name in filter(None, (part.strip() for part in gpus.split(","))):
        if name.isdigit() and int(name) < len(visible):
            gpu = visible[int(name)]
        elif name in visible:
            gpu = name
        else:
            there = f"GPUs 0 to {len(visible) - 1}" if visible else "no GPU"
            raise InputError(f"--gpus: must name GPUs of this machine, which has {there}, but got {name!r}")
        if gpu in chosen:
            raise InputError(
                f"--gpus: must name each GPU once, but got {name!r} again; --slots-per-gpu shares one"
            )
        chosen.append(gpu)
    return chosen
