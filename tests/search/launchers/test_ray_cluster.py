"""Workers as tasks of a real Ray cluster; what stands in for them does as their environment says."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest

from data_prep.problems import InputError, Problems
from search.claims import ASKED
from search.errors import StudyStoppedError
from search.launchers import ray_cluster
from search.launchers.following import Following
from search.launchers.ray_cluster import Fleet
from search.launchers.ray_connecting import connected
from search.launchers.request import LaunchRequest
from tests.ray_head import Head, Record, ends, stand_in, starts
from tests.search.launchers.conftest import STORAGE, MakeRequest

Run = Callable[..., list[Record]]
Condition = Callable[[], object]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "starts.jsonl"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the launcher says."""
    lines: list[str] = []
    monkeypatch.setattr(ray_cluster, "say", lines.append)
    return lines


@pytest.fixture(scope="module")
def ray(ray_head: Head, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Ray, of whose cluster this process is a part."""
    module = importlib.import_module("ray")
    place = SimpleNamespace(address=ray_head.address, folder=tmp_path_factory.mktemp("study"))
    with connected(module, cast(LaunchRequest, place)):
        yield module


@pytest.fixture
def run(
    ray: Any,
    ray_head: Head,
    make_request: MakeRequest,
    log: Path,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs stand-ins on the cluster to their end; returns what they told of themselves.

    `asked` trials are asked for, of which `begun` run. As soon as `until` holds, SIGTERM is heard.
    """
    monkeypatch.setattr(ray_cluster, "work", stand_in)
    monkeypatch.setattr(ray_cluster, "LONGEST_PAUSE", 0.1)

    def run(
        acts: str, asked: int = 0, begun: int = 0, until: Condition | None = None, **changes: Any
    ) -> list[Record]:
        study = optuna.create_study(study_name="toy")
        study.set_user_attr(ASKED, asked)
        for _ in range(begun):
            study.ask()
        environment = {"LOG": str(log), "ACTS": acts, "RADSEARCH_STORAGE": STORAGE}
        fields = {"address": ray_head.address, "memory_mb": 64, "environment": environment, "at_once": 1}
        heard: list[int] = []
        missed: list[str] = []
        if until is not None:
            threading.Thread(target=hear, args=(until, heard, missed)).start()
        fleet = Fleet(ray, make_request(**(fields | changes)), Following(study, 0, told.append), heard)
        fleet.wait()
        assert not missed
        fleet.raise_any()
        return starts(log)

    return run


def hear(condition: Condition, heard: list[int], missed: list[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            missed.append("what was waited for has not happened in time")
            break
        time.sleep(0.02)
    heard.append(signal.SIGTERM)


def test_each_worker_runs_the_command_in_the_main_thread_of_a_process_of_its_own(run: Run) -> None:
    first, second = run("0", at_once=2)
    assert first["pid"] != second["pid"]
    for start in (first, second):
        assert start["main"]
        assert start["arguments"] == ["worker", "toy", "--workers", "1", "--gpus="]
    assert {first["title"], second["title"]} == {f"ray::radsearch worker {n} of toy" for n in (1, 2)}


def test_each_worker_is_given_a_gpu_and_cores_of_its_own_and_asked_to_leave(run: Run, log: Path) -> None:
    first, second = run("wait", at_once=2, gpus=1, until=lambda: len(starts(log)) == 2)
    assert {first["gpu"], second["gpu"]} == {"0", "1"}
    if len(os.sched_getaffinity(0)) > 1:
        assert not set(first["cores"]) & set(second["cores"])
    assert [end["heard"] for end in ends(log)] == [[signal.SIGINT]] * 2


def test_a_secret_is_nowhere_but_in_the_worker(run: Run, ray_head: Head, log: Path) -> None:
    (start,) = run("0")
    assert "sesame-open" not in start["initial"]
    said = [path.read_bytes() for path in ray_head.folder.rglob("*") if path.is_file()]
    assert len(said) > 20
    assert not any(b"sesame-open" in text for text in said)


def test_a_worker_that_is_killed_is_handed_to_ray_again(run: Run, told: list[str]) -> None:
    """Also in the last trial, which waits for nobody but is to be taken up by somebody."""
    first, second, third = run("die die 0", asked=1, begun=1)
    assert len({first["pid"], second["pid"], third["pid"]}) == 3
    lost = [line for line in told if line.startswith("worker 1 was lost: The worker died unexpectedly")]
    assert len(lost) == 2
    assert all(line.endswith("; it is started again in 0 s") for line in lost)


def test_a_worker_that_is_killed_again_and_again_is_given_up(
    run: Run, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "LOSSES", 2)
    with pytest.raises(StudyStoppedError, match=r"^1 of 1 workers could not go on: worker 1 was lost: .* 3 "):
        run("die", asked=1)
    assert len(starts(log)) == 3


def test_a_worker_that_is_killed_when_all_is_done_is_let_be(run: Run) -> None:
    assert len(run("die")) == 1


def test_a_worker_that_leaves_while_trials_are_left_is_started_again(
    run: Run, log: Path, told: list[str]
) -> None:
    assert len(run("0 wait", asked=1, until=lambda: len(starts(log)) == 2)) == 2
    assert "worker 1 has left node-7; it is started again in 0 s" in told


@pytest.mark.parametrize(("code", "kind"), [(1, InputError), (3, StudyStoppedError)])
def test_a_worker_that_cannot_go_on_is_quoted_and_not_started_again(
    run: Run, log: Path, told: list[str], code: int, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=r"^1 of 1 workers could not go on: node-7: the reason$"):
        run(str(code), asked=1)
    quoted = [f"worker 1 could not go on (exit code {code}):", "  node-7: first", "  node-7: the reason"]
    assert told[-3:] == quoted
    assert len(starts(log)) == 1


def test_an_error_of_ours_in_a_worker_ends_it_and_is_named(run: Run, log: Path) -> None:
    with pytest.raises(StudyStoppedError, match=r"^1 of 1 workers could not go on: ValueError: it is T"):
        run("raise", asked=1)
    assert len(starts(log)) == 1


def test_a_node_without_radsearch_is_an_input_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def work(*_): return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ray_cluster, "work", importlib.import_module("only_here").work)
    with pytest.raises(InputError, match="every node needs radsearch as it is installed here, but one has: "):
        run("0")


def test_a_cluster_without_room_is_told_of_and_waited_for(run: Run, told: list[str]) -> None:
    wanted = (
        "a worker needs a node with 1 CPU, 976.6 GiB of memory, but the cluster has none; the workers wait"
    )
    assert not run("0", memory_mb=10**6, until=lambda: any(line.startswith(wanted) for line in told))


def test_too_few_places_are_told_of_and_those_who_wait_get_fresh_processes(run: Run, told: list[str]) -> None:
    assert len({start["pid"] for start in run("0", at_once=3)}) == 3
    assert "the cluster has room for 2 of 3 workers; the others wait until it grows" in told


@pytest.mark.parametrize("address", ["head", "http://head:80", "head:0", "head:99999", "ray://head", ""])
def test_an_address_that_is_none_is_refused(make_request: MakeRequest, address: str) -> None:
    problems = Problems()
    ray_cluster.check(make_request(address=address), problems)
    with pytest.raises(InputError, match=r"--address: must be HOST:PORT, ray://HOST:PORT or auto, but got '"):
        problems.raise_any()


def test_more_gpus_than_this_machine_has_are_refused_unless_a_cluster_is_named(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "visible_gpus", lambda: ["GPU-a"])
    problems = Problems()
    ray_cluster.check(make_request(gpus=1, at_once=2, address="head:6379"), problems)
    ray_cluster.check(make_request(gpus=1, at_once=1), problems)
    problems.raise_any()
    ray_cluster.check(make_request(gpus=1, at_once=2), problems)
    with pytest.raises(InputError, match="--gpus: this machine must have so many, but got 2 of 1"):
        problems.raise_any()


def test_a_dry_run_needs_no_ray_and_shows_no_secret(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    plan = ray_cluster.plan(make_request(address="head:6379", gpus=1, cpus=4, memory_mb=16384))
    assert plan == (
        "2 tasks on head:6379, each with 4 CPUs, 1 GPU, 16 GiB of memory:\n"
        "radsearch worker toy --workers 1 --gpus="
    )


def test_what_to_install_is_said_where_ray_is_not(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"must be installed, but is not: pip install 'radsearch\[ray\]'$"):
        ray_cluster.ready(make_request(address="head:6379"))
