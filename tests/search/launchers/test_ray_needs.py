from __future__ import annotations

import re
from typing import Any

import pytest

from search.launchers.ray_needs import in_words, needs_of, shortage
from tests.search.launchers.conftest import MakeRequest

NEEDS = {"CPU": 4.0, "GPU": 1.0, "memory": 16.0 * 2**30}


def node(cpus: int, gpus: int, gibibytes: int, alive: bool = True) -> dict[str, Any]:
    resources = {"CPU": float(cpus), "GPU": float(gpus), "memory": gibibytes * 2.0**30}
    return {"Alive": alive, "Resources": {name: value for name, value in resources.items() if value}}


def test_on_a_cluster_a_worker_takes_what_was_asked_for(make_request: MakeRequest) -> None:
    request = make_request(address="head:6379", gpus=1, cpus=6, memory_mb=2048)
    assert needs_of(request) == {"CPU": 6.0, "GPU": 1.0, "memory": 2.0 * 2**30}
    assert in_words(needs_of(request)) == "6 CPUs, 1 GPU, 2 GiB of memory"


def test_on_a_machine_alone_the_cores_are_shared_out(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.launchers.request.cores", lambda: 10)
    assert needs_of(make_request(at_once=3, cpus=8, gpus=0)) == {"CPU": 3.0}
    assert needs_of(make_request(at_once=2, cpus=2, gpus=1)) == {"CPU": 2.0, "GPU": 1.0}
    assert needs_of(make_request(at_once=20, cpus=8, gpus=0)) == {"CPU": 1.0}


def test_nothing_is_said_where_all_workers_fit() -> None:
    assert shortage([node(8, 2, 64)], NEEDS, 2) is None
    assert shortage([node(4, 1, 16), node(9, 2, 99)], NEEDS, 3) is None


@pytest.mark.parametrize(
    ("nodes", "workers", "said"),
    [
        ([node(64, 8, 20)], 2, "room for 1 of 2 workers"),
        ([node(16, 4, 256), node(16, 4, 256, alive=False)], 8, "room for 4 of 8 workers"),
        (
            [node(3, 1, 64), node(64, 0, 15)],
            1,
            "none; .* 2 nodes have: 64 CPUs, 1 GPU, 64 GiB of memory",
        ),
        ([], 1, "its 0 nodes have: 0 CPUs, 0 GPUs, 0 GiB of memory"),
    ],
)
def test_what_keeps_workers_waiting_is_named(nodes: list[dict[str, Any]], workers: int, said: str) -> None:
    line = shortage(nodes, NEEDS, workers)
    assert line is not None
    assert re.search(said, line)
