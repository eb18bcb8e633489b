from __future__ import annotations

from pathlib import Path

import pytest

from search import oom


def test_the_kernels_counters_are_read_and_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.events").write_text("low 0\noom 5\noom_kill 2\noom_group_kill 7\n")
    (tmp_path / "vmstat").write_text("nr_free_pages 123\noom_kill 3\n")
    monkeypatch.setattr(oom, "COUNTERS", (tmp_path / "memory.events", tmp_path / "vmstat", tmp_path / "none"))
    assert oom.oom_kills() == 5


@pytest.mark.parametrize("content", [b"", b"oom_kill\n", b"oom_kill many\n", b"\xff\xfe"])
def test_a_counter_that_tells_nothing_counts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "memory.events").write_bytes(content)
    monkeypatch.setattr(oom, "COUNTERS", (tmp_path / "memory.events",))
    assert oom.oom_kills() == 0


def test_a_linux_machine_has_a_counter() -> None:
    if not Path("/proc/vmstat").exists():
        pytest.skip("this system has no /proc/vmstat")
    assert "oom_kill" in Path("/proc/vmstat").read_text()
