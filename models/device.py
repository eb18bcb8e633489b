"""Which GPUs there are, and the environment of a process that is to train on one; no TensorFlow here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

QUERY = ("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader")
QUERY_SECONDS = 30


def visible_gpus() -> list[str]:
    """UUIDs of the NVIDIA GPUs this process may use, in PCI bus order.

    An inherited `CUDA_VISIBLE_DEVICES` (SLURM, Ray, the user) narrows and orders them as CUDA does: by index,
    UUID or the beginning of a UUID, ending at the first entry that names none. MIG slices are taken as named.

    Returns:
        An empty list where `nvidia-smi` is absent, fails or hangs.
    """
    present = _present_gpus()
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES")
    if inherited is None:
        return present
    chosen: list[str] = []
    for entry in inherited.split(","):
        gpu = _named(entry.strip(), present)
        if gpu is None or gpu in chosen:
            break
        chosen.append(gpu)
    return chosen


def thread_counts(cores: int, slots: int) -> tuple[int, int]:
    """How many threads TensorFlow takes in each of several children that share the cores.

    Args:
        cores: Of this machine, as far as we may use them.
        slots: Children that train at the same time.

    Returns:
        Threads within one operation (intra-op, OpenMP), and operations at the same time (inter-op), each at
        least 1.
    """
    share = max(1, cores // slots)
    # Operations on small patches are too small to be split, but gradients and updates of different weights
    # run side by side (benchmarks/README.md, "Threads"). Measured with one and two cores a slot only.
    return (1 if share == 2 else share), share


def child_environment(threads: int, gpu: str | None, inter: int | None = None) -> dict[str, str]:
    """Variables to set before a child process imports TensorFlow.

    Args:
        threads: CPU threads within one operation, at least 1.
        gpu: UUID of its only GPU; None trains on the CPU.
        inter: Operations that run at the same time; None for as many as `threads`.
    """
    count = str(max(1, threads))
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "-1" if gpu is None else gpu,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": count if inter is None else str(max(1, inter)),
        "OMP_NUM_THREADS": count,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "KERAS_BACKEND": "tensorflow",
    }


def _present_gpus() -> list[str]:
    try:
        answer = subprocess.run(QUERY, capture_output=True, text=True, timeout=QUERY_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def _named(entry: str, present: Sequence[str]) -> str | None:
    if entry.isdigit():
        return present[int(entry)] if int(entry) < len(present) else None
    if entry.startswith("MIG-") and present:
        return entry
    matches = [uuid for uuid in present if entry and uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None
