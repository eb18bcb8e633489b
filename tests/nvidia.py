"""A stand-in for the driver's `nvidia-smi`: what it answers for machines with GPUs that nobody here has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
{cases}
*) echo "Invalid combination of input arguments." ; exit 2 ;;
esac
"""


@dataclass(frozen=True)
class Card:
    """A GPU as `nvidia-smi` tells of it: numbers as printed, memory in MiB, slices with their used memory."""

    uuid: str
    busy: str = "37"
    used: str = "1024"
    total: str = "40960"
    slices: Sequence[tuple[str, int]] = ()

    @property
    def cases(self) -> str:
        query = "--query-gpu=utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits"
        asked = f"'--id={self.uuid} {query}') echo '{self.busy}, {self.used}, {self.total}' ;;"
        return f"{asked}\n'--id={self.uuid} -q -x') cat <<'END'\n{self._report()}END\n;;"

    def listing(self, index: int) -> list[str]:
        lines = [
            f"  MIG 1g.5gb      Device  {number}: (UUID: {uuid})"
            for number, (uuid, _) in enumerate(self.slices)
        ]
        return [f"GPU {index}: NVIDIA A100-SXM4-40GB (UUID: {self.uuid})", *lines]

    def _report(self) -> str:
        slices = "".join(
            f"<mig_device><index>{number}</index><fb_memory_usage><total>4864 MiB</total>"
            f"<used>{used} MiB</used></fb_memory_usage></mig_device>\n"
            for number, (_, used) in enumerate(self.slices)
        )
        return (
            '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n'
            f"<nvidia_smi_log><gpu><uuid>{self.uuid}</uuid><fb_memory_usage><used>N/A</used></fb_memory_usage>\n"
            f"<mig_devices>{slices or 'None'}</mig_devices></gpu></nvidia_smi_log>\n"
        )


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *cards: Card) -> Path:
    """Put the stand-in on the path of this process and its children, which inherit no choice of devices.

    Returns:
        A file with a line for each call: its arguments.
    """
    log = folder / "nvidia-smi.log"
    listing = "\n".join(line for index, card in enumerate(cards) for line in card.listing(index))
    cases = [f"'-L') cat <<'END'\n{listing}\nEND\n;;", *(card.cases for card in cards)]
    replace(folder, monkeypatch, SCRIPT.format(log=log, cases="\n".join(cases)))
    log.touch()
    return log


def replace(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script of one's own in the place of `nvidia-smi`."""
    program = folder / "nvidia-smi"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS"):
        monkeypatch.delenv(name, raising=False)
