"""Requests for launchers, and what stands in for workers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from search.launchers.opening import write_environment
from search.launchers.request import Batch, LaunchRequest
from tests.slurm import Slurm

STORAGE = "postgresql://radsearch:sesame-open@db.lab/trials"

# Tells what it was started with, then does as its environment says; SIGTERM ends it half a second later,
# unless it stays.
STUB = """
import json, os, signal, sys, time
heard = []
if "STUB_STAYS" in os.environ:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
print(json.dumps({"argv": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid()}), flush=True)
(ready := os.environ.get("STUB_READY")) and open(ready, "w").close()
deadline = time.monotonic() + float(os.environ.get("STUB_SECONDS", 0))
while time.monotonic() < deadline and not heard:
    time.sleep(0.01)
if heard:
    time.sleep(0.5)
    print(f"left after {len(heard)}", flush=True)
sys.exit(0 if heard else int(os.environ.get("STUB_CODE", 0)))
"""


@dataclass(frozen=True)
class StubbedRequest(LaunchRequest):
    """A request whose workers are the stub."""

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", STUB, *self.worker]


MakeRequest = Callable[..., LaunchRequest]


@pytest.fixture
def make_request(tmp_path: Path) -> MakeRequest:
    """Makes requests in a home below `tmp_path`; keywords go to the batch or to the request."""

    def make(kind: type[LaunchRequest] = LaunchRequest, home: str = "home", **changes: Any) -> LaunchRequest:
        folder = tmp_path / home / "studies" / "toy"
        batch = {
            "time": "04:00:00",
            "partition": None,
            "account": None,
            "tasks": 3,
            "notice": 120,
            "setup": (),
            "options": (),
        }
        batch = {name: changes.pop(name, value) for name, value in batch.items()}
        fields = {
            "study": "toy",
            "trials": 6,
            "folder": folder,
            "worker": ("worker", "toy", "--workers", "1", "--gpus="),
            "environment": {"RADSEARCH_HOME": str(tmp_path / home), "RADSEARCH_STORAGE": STORAGE},
            "at_once": 2,
            "gpus": 0,
            "cpus": 1,
            "memory_mb": 512,
            "address": None,
            "batch": Batch(**batch),
        }
        request = kind(**(fields | changes))
        request.logs.mkdir(parents=True, exist_ok=True)
        write_environment(request)
        return request

    return make


@pytest.fixture
def make_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Slurm]]:
    """Makes a stand-in for SLURM and puts its `sbatch` on the path."""
    made: list[Slurm] = []

    def make(**options: float) -> Slurm:
        slurm = Slurm(tmp_path / "slurm", **options)
        monkeypatch.setenv("PATH", str(slurm.bin), prepend=":")
        made.append(slurm)
        return slurm

    yield make
    for slurm in made:
        slurm.close()
