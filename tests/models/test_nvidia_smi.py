from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from models import nvidia_smi
from models.nvidia_smi import Gpu, GpuReading, listed_gpus, read_gpu
from tests.nvidia import Card, install, replace

FIRST, SECOND = "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77", "GPU-feba7e40-d724-01ff-b00f-3a439a28a6c7"
SLICES = ("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "MIG-GPU-feba7e40/5/0")


def test_gpus_are_listed_in_order_with_the_slices_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Card(SECOND, slices=[(SLICES[0], 298), (SLICES[1], 2)])
    install(tmp_path, monkeypatch, Card(FIRST), cut)
    assert listed_gpus() == [Gpu(FIRST), Gpu(SECOND, {SLICES[0]: 0, SLICES[1]: 1})]
    assert [gpu.devices for gpu in listed_gpus()] == [(FIRST,), SLICES]


@pytest.mark.parametrize("script", ["#!/bin/sh\necho NVIDIA-SMI has failed; exit 9\n", "#!/no/such/shell\n"])
def test_a_tool_that_fails_lists_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    replace(tmp_path, monkeypatch, script)
    assert listed_gpus() == []


def test_a_tool_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace(tmp_path, monkeypatch, "#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(nvidia_smi, "LIST_SECONDS", 0.1)
    monkeypatch.setattr(nvidia_smi, "READ_SECONDS", 0.1)
    assert listed_gpus() == []
    with pytest.raises(subprocess.TimeoutExpired):
        read_gpu(FIRST)


def test_no_tool_means_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert listed_gpus() == []


def test_one_device_alone_is_asked_and_its_mebibytes_become_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = install(tmp_path, monkeypatch, Card(FIRST), Card(SECOND, busy="91", used="1000", total="4000"))
    reading = read_gpu(SECOND)
    assert reading == GpuReading(91.0, pytest.approx(1048.576), pytest.approx(4194.304))
    assert reading.memory_percentage == pytest.approx(25.0)
    assert all(f"--id={SECOND}" in line for line in log.read_text().splitlines())


def test_what_a_device_does_not_tell_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, Card(FIRST, busy="[N/A]", used="[Not Supported]", total="[N/A]"))
    reading = read_gpu(FIRST)
    assert reading == GpuReading(None, None, None)
    assert reading.memory_percentage is None


def test_memory_that_is_not_used_is_a_share_of_nothing() -> None:
    assert GpuReading(None, 0.0, 100.0).memory_percentage == 0.0
    assert GpuReading(None, 0.0, 0.0).memory_percentage is None


def test_a_slice_tells_its_own_memory_and_no_utilisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Card(SECOND, busy="[N/A]", used="[N/A]", slices=[(SLICES[0], 298), (SLICES[1], 2)])
    install(tmp_path, monkeypatch, Card(FIRST), cut)
    readings = [read_gpu(uuid) for uuid in SLICES]
    assert readings == [
        GpuReading(None, pytest.approx(used * 1.048576), pytest.approx(4864 * 1.048576)) for used in (298, 2)
    ]


def test_a_slice_that_is_gone_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, Card(FIRST))
    assert read_gpu(SLICES[0]) is None


def test_an_answer_that_is_not_understood_is_a_value_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(tmp_path, monkeypatch, "#!/bin/sh\necho unknown\n")
    with pytest.raises(ValueError, match="unpack"):
        read_gpu(FIRST)
    listing = f'echo "GPU 0: x (UUID: {FIRST})"; echo "  MIG 1g Device 0: (UUID: {SLICES[0]})"'
    replace(tmp_path, monkeypatch, f'#!/bin/sh\ntest "$1" = -L && {{ {listing}; exit; }}; echo "<cut off"\n')
    with pytest.raises(ValueError, match="nvidia-smi -q -x"):
        read_gpu(SLICES[0])
