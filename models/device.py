"""Which GPUs this process may use, and the environment of one that is to train; no TensorFlow here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from models.nvidia_smi import Gpu, listed_gpus

# What SLURM grants a step or a job, as numbers of the node.
SLURM_GRANTS = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
ASK_DEVICE = "import sys; from models.runtime import device_name; sys.stdout.write(device_name())"
ASK_SECONDS = 300  # TensorFlow loads from a network disk, and CUDA compiles kernels for a new GPU


def visible_gpus() -> list[str]:
    """UUIDs of the NVIDIA GPUs this process may use, in PCI bus order; of a GPU in MIG mode, of its slices.

    An inherited `CUDA_VISIBLE_DEVICES` (SLURM, Ray, the user) narrows and orders them as CUDA does: by index,
    UUID or the beginning of a UUID, ending at the first entry that names none. A GPU in MIG mode stands for
    its first slice then. Without it, what SLURM granted counts.

    Returns:
        An empty list where `nvidia-smi` is absent, fails or hangs.
    """
    present = listed_gpus()
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES")
    if inherited is None:
        return [device for gpu in _granted(present) for device in gpu.devices]
    chosen: list[str] = []
    for entry in inherited.split(","):
        device = _named(entry.strip(), present)
        if device is None or device in chosen:
            break
        chosen.append(device)
    return chosen


def why_no_gpu() -> str:
    """Why `visible_gpus` is empty."""
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES")
    if inherited is None:
        return "nvidia-smi lists no GPU"
    return f"CUDA_VISIBLE_DEVICES={inherited!r} names no GPU of this machine"


def tensorflow_device(gpu: str) -> str:
    """What TensorFlow computes on when it is given a GPU, asked in a process of its own.

    Returns:
        The GPU's name; "CPU x2" or the like where TensorFlow sees no GPU, "nothing" where it does not load.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | child_environment(1, gpu)
    command = [sys.executable, "-P", "-c", ASK_DEVICE]
    try:
        asked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=ASK_SECONDS)
    except subprocess.TimeoutExpired:
        return "nothing"
    return asked.stdout.strip() or "nothing"


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


def _granted(present: Sequence[Gpu]) -> Sequence[Gpu]:
    """The GPUs of this SLURM job, where it is one and its plugin has not set `CUDA_VISIBLE_DEVICES`.

    SLURM counts all GPUs of the node. A process that sees no more of them than were granted has been confined
    to them already, by a control group or a container, and counts them anew.
    """
    granted = next(filter(None, map(os.environ.get, SLURM_GRANTS)), None)
    numbers = [] if granted is None else list(_numbers(granted))
    if not numbers or len(present) <= len(numbers):
        return present
    return [present[number] for number in numbers if number < len(present)]


def _numbers(text: str) -> Iterator[int]:
    """The numbers of a list such as "0,2-3"."""
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and (not last or last.isdigit()):
            yield from range(int(first), int(last or first) + 1)


def _named(entry: str, present: Sequence[Gpu]) -> str | None:
    """The device that an entry of `CUDA_VISIBLE_DEVICES` names."""
    if entry.isdigit():
        return present[int(entry)].devices[0] if int(entry) < len(present) else None
    if entry.startswith("MIG-") and present:
        slices = [uuid for gpu in present for uuid in gpu.slices if uuid.startswith(entry)]
        return slices[0] if len(slices) == 1 else entry
    matches = [gpu for gpu in present if entry and gpu.uuid.startswith(entry)]
    return matches[0].devices[0] if len(matches) == 1 else None
