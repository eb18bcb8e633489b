"""A real Ray cluster of this machine for tests, with GPUs that are none; and what stands in for a worker."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from search.launchers import ray_worker
from search.launchers.ray_worker import End

Record = dict[str, Any]

ROOT = Path(__file__).parents[1]
CPUS, GPUS, MEMORY = 2, 2, 4 * 2**30
SCRIPT = f"""
import sys, ray
context = ray.init(
    address="local", num_cpus={CPUS}, num_gpus={GPUS}, _memory={MEMORY}, object_store_memory=80 * 2**20,
    include_dashboard=False, log_to_driver=False, logging_level="error", _temp_dir=sys.argv[1],
)
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
ray.shutdown()
"""


@dataclass(frozen=True)
class Head:
    """A cluster.

    Attributes:
        address: HOST:PORT.
        folder: What it writes.
        environment: What a process needs to be let in.
    """

    address: str
    folder: Path
    environment: Mapping[str, str]


@contextmanager
def head() -> Iterator[Head | None]:
    """A running cluster within the block; None where Ray is not installed."""
    if find_spec("ray") is None:
        yield None
        return
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",
    }
    ours = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with tempfile.TemporaryDirectory(prefix="radsearch-head-", dir="/tmp") as folder:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", SCRIPT, folder],
            env={**os.environ, **environment, **ours},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL),
        )
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "no Ray cluster came up"
        yield Head(address, Path(folder), environment)
        process.communicate()


def stand_in(arguments: Sequence[str], environment: Mapping[str, str], cores: int) -> End:
    """In place of `search.launchers.ray_worker.work`: does what the environment says, and tells of itself.

    ACTS names what each start of it does, separated by blanks; LOG is a file that gets a line a start.
    """
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: signals.append(number))
    claim = ray_worker.claim_cores(cores)
    log = Path(environment["LOG"])
    told: Record = {
        "pid": os.getpid(),
        "arguments": list(arguments),
        "main": threading.current_thread() is threading.main_thread(),
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "cores": sorted(os.sched_getaffinity(0)),
        "title": Path("/proc/self/cmdline").read_bytes().rstrip(b"\0").decode(),
        "path": sys.path,
        "initial": Path("/proc/self/environ").read_bytes().decode(),
    }
    _note(log, told)
    acts = environment["ACTS"].split()
    act = acts[min(len(starts(log)), len(acts)) - 1]
    if act == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "raise":
        raise ValueError("it is Tuesday")
    deadline = time.monotonic() + 60
    while act == "wait" and not signals and time.monotonic() < deadline:
        time.sleep(0.05)
    if claim is not None:
        claim.close()
    code = 130 if signals else int(act) if act.isdecimal() else 0
    _note(log, {"left": os.getpid(), "heard": signals})
    return End(code, "node-7", "first\nthe reason" if code else "")


def _note(log: Path, record: Record) -> None:
    with log.open("a") as stream:
        stream.write(json.dumps(record) + "\n")


def starts(log: Path) -> list[Record]:
    """What stand-ins have told of themselves, a record a start."""
    return [record for record in _noted(log) if "pid" in record]


def ends(log: Path) -> list[Record]:
    """What stand-ins have told as they left, a record each."""
    return [record for record in _noted(log) if "left" in record]


def _noted(log: Path) -> list[Record]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
