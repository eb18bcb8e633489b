"""What the driver's `nvidia-smi` says: which GPUs there are, how busy one is; no TensorFlow here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

LIST = ("nvidia-smi", "-L")
ASKED = "utilization.gpu,memory.used,memory.total"
LIST_SECONDS = 30  # without persistence mode the driver is loaded first
READ_SECONDS = 10
MEBIBYTE = 2**20 / 1e6  # in megabytes, by which MLflow counts

_UUID = re.compile(r"(?:GPU|MIG)-[^\s)]+")
_SLICE = re.compile(r"Device\s+(\d+):")


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine.

    Attributes:
        uuid: Its name for the driver.
        slices: UUIDs of the MIG slices that it is cut into, each with its number on this GPU; mostly none.
    """

    uuid: str
    slices: Mapping[str, int] = field(default_factory=dict)

    @property
    def devices(self) -> tuple[str, ...]:
        """What a process can be given: the GPU, or each of its slices."""
        return tuple(self.slices) or (self.uuid,)


@dataclass(frozen=True)
class GpuReading:
    """What a device tells at one moment; None of what it does not tell.

    All processes on the device count.

    Attributes:
        utilization: Percent of the driver's last sampling period (up to a second) in which anything ran.
        memory_mb: Memory in use, in megabytes (1e6 bytes).
        total_mb: Memory that there is.
    """

    utilization: float | None
    memory_mb: float | None
    total_mb: float | None

    @property
    def memory_percentage(self) -> float | None:
        """Share of the memory that is in use."""
        if self.memory_mb is None or not self.total_mb:
            return None
        return 100 * self.memory_mb / self.total_mb


def listed_gpus() -> list[Gpu]:
    """The GPUs of this machine in PCI bus order; none where `nvidia-smi` is absent, fails or hangs."""
    try:
        lines = _answer(LIST, LIST_SECONDS).splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
    gpus: list[tuple[str, dict[str, int]]] = []
    for line in lines:
        uuid = _UUID.search(line)
        if uuid is None:
            continue
        if uuid[0].startswith("GPU-"):
            gpus.append((uuid[0], {}))
        elif gpus and (number := _SLICE.search(line)):
            gpus[-1][1][uuid[0]] = int(number[1])
    return [Gpu(uuid, slices) for uuid, slices in gpus]


def read_gpu(device: str) -> GpuReading | None:
    """How busy one device is.

    Of a MIG slice the driver tells the memory alone, and that in its full report only.

    Args:
        device: UUID of a GPU or of a MIG slice.

    Returns:
        None where the device is unknown.

    Raises:
        OSError: There is no `nvidia-smi`.
        subprocess.SubprocessError: It failed, or hangs.
        ValueError: Its answer is not understood.
    """
    if device.startswith("MIG-"):
        return _read_slice(device)
    query = ("nvidia-smi", f"--id={device}", f"--query-gpu={ASKED}", "--format=csv,noheader,nounits")
    busy, used, total = _answer(query, READ_SECONDS).strip().split(",")
    return GpuReading(_number(busy), _megabytes(used), _megabytes(total))


def _read_slice(device: str) -> GpuReading | None:
    gpu = next((gpu for gpu in listed_gpus() if device in gpu.slices), None)
    if gpu is None:
        return None
    report = _answer(("nvidia-smi", f"--id={gpu.uuid}", "-q", "-x"), READ_SECONDS)
    try:
        slices = ElementTree.fromstring(report).iter("mig_device")  # noqa: S314 - the driver's own report
    except ElementTree.ParseError as error:
        raise ValueError(f"nvidia-smi -q -x: {error}") from error
    for entry in slices:
        if entry.findtext("index", "").strip() == str(gpu.slices[device]):
            used, total = (entry.findtext(f"fb_memory_usage/{name}", "") for name in ("used", "total"))
            return GpuReading(None, _megabytes(used), _megabytes(total))
    return None


def _answer(command: tuple[str, ...], seconds: float) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True).stdout


def _number(text: str) -> float | None:
    """A number with or without its unit; None of "[N/A]" and the like."""
    match = re.match(r"\s*(\d+(?:\.\d+)?)\b", text)
    return float(match[1]) if match else None


def _megabytes(text: str) -> float | None:
    mebibytes = _number(text)
    return None if mebibytes is None else mebibytes * MEBIBYTE
