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
