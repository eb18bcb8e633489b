"""A run on a machine with two GPUs, as far as `nvidia-smi` is the machine: real children, no such GPUs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlflow import MlflowClient

from search import gpu_gauge
from search.booking import finished_folds
from search.doctor.examination import DoctorOptions, examine
from search.home import Home
from search.placement import place
from search.progress import Listener
from search.study_file import read_study
from search.supervisor import Outcome, RunOptions, run_study
from tests.nvidia import Card, install

BUSY = {"GPU-aaaa-1": "11", "GPU-bbbb-2": "22", "GPU-cccc-3": "33"}
USED = {"11": 1000 * 1.048576, "22": 2000 * 1.048576}
STUDY = """
name = "two"
cohort = "cohort"
[validation]
folds = 2
[search]
trials = 4
sampler = "random"
pruner = "none"
[space]
architecture = ["roi_means"]
patch_radius = 2
"""


def environments() -> Iterator[dict[str, str]]:
    """The environment of each child of this process that trains."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            words = (folder / "cmdline").read_text().split("\0")
            lines = (folder / "environ").read_text().split("\0")
        except OSError:
            continue
        if int(parent) == os.getpid() and "search.child" in words:
            yield dict(line.split("=", 1) for line in lines if "=" in line)


class Watcher(Listener):
    """Looks at the children when folds end, while they wait for the next."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, str]] = {}
        self.notes: list[str] = []

    def fold_done(self, number: int, split: int, value: float | None) -> None:
        self.seen |= {found["CUDA_VISIBLE_DEVICES"]: found for found in environments()}

    def note(self, text: str) -> None:
        self.notes.append(text)


class Ran(NamedTuple):
    """The run, who watched it, and what `nvidia-smi` was asked."""

    home: Home
    outcome: Outcome
    watcher: Watcher
    log: Path

    @property
    def runs(self) -> list[Any]:
        client = MlflowClient(self.home.tracking_uri)
        found = client.get_experiment_by_name("two")
        return list(client.search_runs([found.experiment_id]))


@pytest.fixture(scope="module")
def ran(make_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("gpus")
    make_cohort(folder / "cohort")
    (folder / "study.toml").write_text(STUDY)
    cards = [Card(uuid, busy, f"{int(busy) // 11}000") for uuid, busy in BUSY.items()]
    with pytest.MonkeyPatch.context() as patch:
        log = install(folder, patch, *cards)
        patch.setattr(gpu_gauge, "INTERVAL_SECONDS", 0.2)
        patch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")  # a user's own choice would starve other slots
        home, watcher = Home.at(folder / "home"), Watcher()
        options = RunOptions(placements=place(gpus="0,GPU-bbbb-2"))
        yield Ran(home, run_study(read_study(folder / "study.toml"), home, options, watcher), watcher, log)


def test_each_child_sees_its_own_gpu_alone_and_takes_its_memory_as_needed(ran: Ran) -> None:
    assert set(ran.watcher.seen) == {"GPU-aaaa-1", "GPU-bbbb-2"}
    assert {found["TF_FORCE_GPU_ALLOW_GROWTH"] for found in ran.watcher.seen.values()} == {"true"}


def test_only_gpus_that_were_given_out_are_read(ran: Ran) -> None:
    read = [line for line in ran.log.read_text().splitlines() if line != "-L"]
    assert {line.split()[0] for line in read} == {"--id=GPU-aaaa-1", "--id=GPU-bbbb-2"}


def test_the_runs_of_trials_tell_of_the_gpu_that_they_ran_on(ran: Ran) -> None:
    client, seen = MlflowClient(ran.home.tracking_uri), set()
    for run in (run for run in ran.runs if run.data.tags["level"] == "trial"):
        curve = client.get_metric_history(run.info.run_id, "system/gpu_utilization_percentage")
        used = client.get_metric_history(run.info.run_id, "system/gpu_memory_usage_megabytes")
        share = client.get_metric_history(run.info.run_id, "system/gpu_memory_usage_percentage")
        assert len({point.value for point in curve}) <= 1
        assert [point.value for point in used] == [USED[f"{point.value:.0f}"] for point in curve]
        assert all(point.value == pytest.approx(100 * used[0].value / 1.048576 / 40960) for point in share)
        steps = [point.step for point in curve]
        assert steps == sorted(steps)
        assert all(abs(point.step - point.timestamp / 1000) < 2 for point in curve)
        seen |= {f"{point.value:.0f}" for point in curve}
    assert seen == {"11", "22"}


def test_the_runs_of_folds_tell_mean_and_peak_and_the_record_keeps_both(ran: Ran) -> None:
    noted = [fold for trial in ran.outcome.study.get_trials() for fold in finished_folds(trial).values()]
    told = [fold.gpu for fold in noted if fold.gpu]
    assert {fold["gpu_utilization_mean"] for fold in told} == {11.0, 22.0}
    assert all(fold["gpu_memory_peak_mb"] == USED[f"{fold['gpu_utilization_mean']:.0f}"] for fold in told)
    runs = [run.data.metrics for run in ran.runs if run.data.tags["level"] == "fold"]
    logged = [metrics["gpu_memory_peak_mb"] for metrics in runs if "gpu_memory_peak_mb" in metrics]
    assert sorted(logged) == sorted(fold["gpu_memory_peak_mb"] for fold in told)


def test_the_doctor_finds_nothing_wrong_with_what_was_read(ran: Ran) -> None:
    assert [*examine(ran.home, None, DoctorOptions(), lambda _: None).findings] == []


def test_baselines_which_never_use_a_gpu_are_no_reason_for_a_note(ran: Ran) -> None:
    assert not [note for note in ran.watcher.notes if "TensorFlow" in note]
