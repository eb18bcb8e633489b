"""Runs the sides of a benchmark in turn, each in a process of its own, and prints their ratios."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

Measured = dict[str, float]


def measure(work: Callable[[], object]) -> None:
    """Run `work` and print its seconds and the process' peak memory as the last line of stdout."""
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Peak resident memory of this program (proc(5)); getrusage would count what forked it in."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def run_side(script: str, *args: str) -> Measured:
    """One side in a fresh process: `python SCRIPT ARGS`, which ends in `measure`."""
    done = subprocess.run([sys.executable, script, *args], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{Path(script).name} {' '.join(args)} failed:\n{done.stderr[-2000:]}")
    measured: Measured = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def compare(script: str, ours: str, other: str, args: tuple[str, ...], runs: int) -> None:
    """Run both sides `runs` times in turn; print medians, and the ratio other / ours with its spread."""
    pairs: list[Mapping[str, Measured]] = []
    for number in range(1, runs + 1):
        pairs.append({side: run_side(script, side, *args) for side in (other, ours)})
        print(
            f"  run {number} of {runs}: "
            + ", ".join(f"{s} {m['seconds']:.2f} s" for s, m in pairs[-1].items())
        )
    for figure, unit in (("seconds", "s"), ("peak_mb", "MiB")):
        medians = {side: statistics.median(pair[side][figure] for pair in pairs) for side in (other, ours)}
        ratios = sorted(pair[other][figure] / pair[ours][figure] for pair in pairs)
        print(
            f"{figure}: {other} {medians[other]:.2f} {unit}, {ours} {medians[ours]:.2f} {unit}; "
            f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
