"""Runs a side of a benchmark as a user starts it: its whole wall time, the memory of all its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

EVERY = 0.25  # seconds between two looks at memory
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True)
class Cost:
    """Wall time from start to end, and the largest resident memory of the whole tree of processes."""

    seconds: float
    peak_mb: float


def run_watched(command: list[str], environment: dict[str, str], folder: Path, log: Path) -> Cost:
    """Run a command in a folder; exits with the end of its log if it fails."""
    peak, started = 0.0, time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
        while process.poll() is None:
            peak = max(peak, _resident_mb(process.pid))
            try:
                process.wait(EVERY)
            except subprocess.TimeoutExpired:
                continue
    seconds = time.perf_counter() - started
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text()[-3000:]}")
    return Cost(seconds, peak)


def _resident_mb(root: int) -> float:
    """Resident memory of a process and all its descendants; pages they share count for each (proc(5))."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            pages[int(folder.name)] = int((folder / "statm").read_text().split()[1])
        except OSError:
            continue  # it ended meanwhile
        parents[int(folder.name)] = int(fields[1])
    return PAGE_MB * sum(pages[pid] for pid in pages if _descends(pid, root, parents))


def _descends(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid != root:
        pid = parents[pid]
    return pid == root
