from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import memory
from data_prep.problems import InputError
from search import placement
from search.placement import Placement, note_on, place


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(placement, "cores", lambda: 8)
    monkeypatch.setattr(placement, "memory_bytes", lambda: 1000 * 2**20)
    monkeypatch.setattr(placement, "visible_gpus", lambda: ["GPU-a", "GPU-b", "GPU-c"])
    monkeypatch.setattr(placement, "tensorflow_device", lambda gpu: f"NVIDIA {gpu}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


@pytest.fixture
def without_gpus(machine: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    machine.setattr(placement, "visible_gpus", list)
    return machine


@pytest.mark.usefixtures("machine")
def test_there_is_one_slot_a_gpu_and_the_cores_are_shared_out() -> None:
    assert [(slot.inter, slot.gpu) for slot in place()] == [(2, "GPU-a"), (2, "GPU-b"), (2, "GPU-c")]
    assert all(slot.threads == 1 for slot in place())


@pytest.mark.usefixtures("machine")
def test_gpus_are_chosen_by_index_or_uuid() -> None:
    assert [slot.gpu for slot in place(gpus="2,GPU-a")] == ["GPU-c", "GPU-a"]


@pytest.mark.usefixtures("machine")
def test_more_slots_than_gpus_share_them_in_turn() -> None:
    assert [slot.gpu for slot in place(workers=4, gpus="0,1")] == ["GPU-a", "GPU-b", "GPU-a", "GPU-b"]


@pytest.mark.usefixtures("machine")
def test_no_gpu_can_be_asked_for() -> None:
    assert place(gpus="") == (Placement(8, None, 700.0, 8),)


@pytest.mark.usefixtures("machine")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="GPUs 0 to 2, but got '7'"):
        place(gpus="7")


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("named", ["1,1", "0,GPU-a", "GPU-b, GPU-b"])
def test_a_gpu_is_named_once(named: str) -> None:
    with pytest.raises(InputError, match=r"each GPU once, but got '.*' again; --slots-per-gpu shares one"):
        place(gpus=named)


@pytest.mark.usefixtures("machine")
def test_slots_that_share_gpus_share_the_cores_and_the_memory_too() -> None:
    slots = place(gpus="2,0", slots_per_gpu=2)
    assert [slot.gpu for slot in slots] == ["GPU-c", "GPU-a", "GPU-c", "GPU-a"]
    assert set(slots) == {Placement(1, "GPU-c", 175.0, 2), Placement(1, "GPU-a", 175.0, 2)}
    assert place(workers=6, slots_per_gpu=2) == place(slots_per_gpu=2)


@pytest.mark.usefixtures("machine")
def test_slots_a_gpu_and_slots_in_all_must_agree() -> None:
    with pytest.raises(InputError, match=r"--workers: .* must be 6 \(3 x 2\), or left out, but got 4"):
        place(workers=4, slots_per_gpu=2)
    with pytest.raises(InputError, match=r"--workers: .* must be 3 \(3 x 1\), or left out, but got 2"):
        place(workers=2, slots_per_gpu=1)
    with pytest.raises(InputError, match=r"--slots-per-gpu: 1 to 1024 slots in all .* got 3000"):
        place(slots_per_gpu=1000)


@pytest.mark.usefixtures("without_gpus")
def test_slots_without_gpus_share_the_cores() -> None:
    assert place(workers=2) == (Placement(4, None, 350.0, 4),) * 2
    assert place(workers=20)[0].threads == 1
    with pytest.raises(InputError, match="has no GPU, but got '0'"):
        place(gpus="0")


def test_gpus_that_are_needed_and_not_there_are_missed(without_gpus: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError, match=r"--slots-per-gpu: needs GPUs .* but nvidia-smi lists no GPU; --work"
    ):
        place(slots_per_gpu=1)
    with pytest.raises(InputError, match="--require-gpu: a GPU is needed, but nvidia-smi lists no GPU"):
        place(require_gpu=True)
    without_gpus.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(InputError, match=r"--require-gpu: .* but CUDA_VISIBLE_DEVICES='-1' names no GPU"):
        place(require_gpu=True)


@pytest.mark.usefixtures("machine")
def test_gpus_that_are_needed_and_not_wanted_are_a_contradiction() -> None:
    with pytest.raises(InputError, match="--require-gpu: a GPU is needed, but --gpus names none"):
        place(gpus="", require_gpu=True)
    with pytest.raises(InputError, match="--slots-per-gpu: needs GPUs to share, but --gpus names none"):
        place(gpus="", slots_per_gpu=2)


@pytest.mark.parametrize("device", ["CPU x4", "nothing"])
def test_a_gpu_that_tensorflow_does_not_see_is_refused_where_one_is_needed(
    machine: pytest.MonkeyPatch, device: str
) -> None:
    assert [slot.gpu for slot in place(gpus="1", require_gpu=True)] == ["GPU-b"]
    machine.setattr(placement, "tensorflow_device", lambda gpu: device)
    with pytest.raises(
        InputError, match=f"must compute on GPU-b, but it finds {device}. Is it the CPU build"
    ):
        place(gpus="1", require_gpu=True)


@pytest.mark.usefixtures("without_gpus")
def test_slots_that_land_on_the_cpu_are_noted() -> None:
    assert note_on(place(), None) == [
        "nvidia-smi lists no GPU: one slot runs on the CPU with 8 threads (--require-gpu refuses that)"
    ]
    (line,) = note_on(place(workers=8), None)
    assert "8 slots run on the CPU with 1 thread each" in line


@pytest.mark.usefixtures("machine")
def test_slots_that_are_where_they_should_be_are_not_noted() -> None:
    assert note_on(place(), None) == []
    assert note_on(place(gpus=""), "") == []


def test_at_least_one_slot_is_needed() -> None:
    with pytest.raises(InputError, match="1 to 1024 are possible, but got 0"):
        place(workers=0)


@pytest.mark.parametrize(("granted", "expected"), [("1", 1), ("100000", None), ("0", None), ("", None)])
def test_the_cores_that_slurm_granted_are_not_passed(
    monkeypatch: pytest.MonkeyPatch, granted: str, expected: int | None
) -> None:
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    before = placement.cores()
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", granted)
    assert placement.cores() == (expected or before)


def test_the_machine_has_cores_and_memory() -> None:
    assert placement.cores() >= 1
    assert 100 < place(workers=1)[0].memory_mb < 1e8


def test_children_keep_to_the_limit_of_the_control_group(machine: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{2**25}\n")
    machine.undo()
    machine.setattr(memory, "_CGROUP", tmp_path / "memory.max")
    assert place(workers=2, gpus="")[0].memory_mb == placement.MEMORY_SHARE * 32 / 2
