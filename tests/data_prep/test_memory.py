from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import memory


@pytest.mark.parametrize(("limit", "expected"), [("1048576\n", 2**20), ("max\n", None), (None, None)])
def test_the_limit_of_the_control_group_counts_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, expected: int | None
) -> None:
    total = next(
        line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")
    )
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "memory.max")
    assert memory.memory_bytes() == (expected or int(total.split()[1]) * 1024)


@pytest.mark.parametrize(
    ("granted", "expected"), [("512", 512 * 2**20), ("0", None), ("", None), ("x", None)]
)
def test_what_slurm_granted_is_not_passed(
    monkeypatch: pytest.MonkeyPatch, granted: str, expected: int | None
) -> None:
    monkeypatch.delenv("SLURM_MEM_PER_NODE", raising=False)
    before = memory.memory_bytes()
    monkeypatch.setenv("SLURM_MEM_PER_NODE", granted)
    assert memory.memory_bytes() == (expected or before)
