from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import memory
from data_prep.problems import InputError
from search import placement
from search.placement import Placement, place


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(placement, "cores", lambda: 8)
    monkeypatch.setattr(placement, "memory_bytes", lambda: 1000 * 2**20)
    monkeypatch.setattr(placement, "visible_gpus", lambda: ["GPU-a", "GPU-b", "GPU-c"])
    return monkeypatch


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


def test_slots_without_gpus_share_the_cores(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(placement, "visible_gpus", list)
    assert place(workers=2) == (Placement(4, None, 350.0, 4),) * 2
    assert place(workers=20)[0].threads == 1
    with pytest.raises(InputError, match="has no GPU, but got '0'"):
        place(gpus="0")


def test_at_least_one_slot_is_needed() -> None:
    with pytest.raises(InputError, match="1 to 1024 are possible, but got 0"):
        place(workers=0)


def test_the_machine_has_cores_and_memory() -> None:
    assert placement.cores() >= 1
    assert 100 < place(workers=1)[0].memory_mb < 1e8


def test_children_keep_to_the_limit_of_the_control_group(machine: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{2**25}\n")
    machine.undo()
    machine.setattr(memory, "_CGROUP", tmp_path / "memory.max")
    assert place(workers=2, gpus="")[0].memory_mb == placement.MEMORY_SHARE * 32 / 2
