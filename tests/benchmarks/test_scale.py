"""The benchmark of many workers: a small one, whose counts are those that the benchmark prints."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from search.booking import finished_folds
from search.dashboard import has_note
from search.home import Home
from search.storage import open_storage
from tests.postgresql import Cluster

MakeCohort = Callable[..., Path]
ROOT, FOLDS = Path(__file__).parents[2], 5


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The modules of the benchmark."""
    monkeypatch.syspath_prepend(ROOT)
    names = ("load", "study", "workers")
    return SimpleNamespace(**{name: importlib.import_module(f"benchmarks.scale_{name}") for name in names})


@pytest.fixture
def crew(
    bench: SimpleNamespace, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """One process of three workers."""
    monkeypatch.setattr(bench.load, "PROCESSES", 1)
    with closing(bench.load.Crew(database, tmp_path, 3)) as crew:
        yield crew


def shape(trial: FrozenTrial) -> tuple[tuple[str, ...], ...]:
    """What a trial has, but for the numbers of its pictures."""
    system = sorted(name.partition("-")[0] for name in trial.system_attrs)
    return tuple(system), tuple(sorted(trial.user_attrs)), tuple(map(str, sorted(trial.intermediate_values)))


def check_study(study: optuna.Study, trials: int) -> None:
    """Each trial is complete or pruned, has its own place, and the folds and the note of its own."""
    found = study.get_trials(deepcopy=False)
    notes = study._storage.get_study_system_attrs(study._study_id)
    assert sorted(trial.user_attrs["place"] for trial in found) == list(range(trials))
    assert {trial.state for trial in found} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert all(has_note(notes, trial) for trial in found)
    assert all(len(finished_folds(t)) == FOLDS for t in found if t.state == TrialState.COMPLETE)


def test_workers_run_every_trial_once_new_or_waiting_and_a_study_can_be_filled_with_more(
    bench: SimpleNamespace,
    crew: Any,
    postgres: Cluster,
    database: str,
    tmp_path: Path,
    make_cohort: MakeCohort,
) -> None:
    make_cohort(tmp_path / "cohort", participants=45, biopsies=150, sequences=("T1",))
    level = bench.load.Level
    levels = level("ours", 3, 0.0, 7), level("ours", 3, 0.0, 6, waiting=True), level("theirs", 2, 0.0, 4)
    loads = [bench.load.run_level(crew, postgres, database, tmp_path, level) for level in levels]
    for load in loads[:2]:
        assert (load.run, load.twice, load.overshoot, load.unfinished) == (load.level.trials, 0, 0, 0)
        assert len(load.seconds["first ask"]) == 3
        assert len(load.seconds["tell"]) == load.level.trials
    assert loads[2].run >= 4
    assert loads[2].overshoot <= 1
    assert len(bench.load.table(loads)) == 5
    storage = open_storage(database, Home.at(tmp_path))
    study = optuna.load_study(study_name="ours-3-0-7-new", storage=storage)
    check_study(study, 7)
    bench.study.fill(study, 30)
    check_study(study, 30)
    later = optuna.create_study(study_name="later", storage=storage)
    assert later.ask().number == 0, "what was written at once leaves the database's own count right"


def test_a_study_in_a_journal_is_filled_as_its_slot_would_have_gone_on(
    bench: SimpleNamespace, tmp_path: Path, make_cohort: MakeCohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale_workers = bench.workers
    make_cohort(tmp_path / "cohort", participants=45, biopsies=150, sequences=("T1",))
    home, seen = Home.at(tmp_path / "home"), scale_workers.Seen()
    monkeypatch.setattr(scale_workers.slots, "draw_trial", scale_workers.drawn)
    monkeypatch.setattr(scale_workers.TimedSlot, "seen", seen, raising=False)
    settled = bench.study.settings(tmp_path, "kept", 3, pruner="none")
    study = bench.study.opened(settled, None, home)
    scale_workers.lay_pictures(home, settled)
    scale_workers.ours(study._storage, settled, home, 0.0, seen)
    check_study(study, 3)
    bench.study.fill(study, 30)
    again = optuna.load_study(study_name="kept", storage=open_storage(None, home))
    check_study(again, 30)
    slots, copies = again.get_trials()[:3], again.get_trials()[3:]
    assert {shape(trial) for trial in copies} <= {shape(trial) for trial in slots}
    assert again.ask().number == 30


def trial(number: int, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    made = optuna.create_trial(state=state, value=0.5 if state == TrialState.COMPLETE else None)
    made.number = number
    return made


def test_a_fold_that_two_workers_ran_a_trial_too_many_and_one_that_is_left_are_counted(
    bench: SimpleNamespace,
) -> None:
    answers = [
        {"seconds": {"ask": [0.1]}, "done": [[7, 0], [7, 1]], "cpu": 1.0},
        {"seconds": {"ask": [0.3], "tell": [0.2]}, "done": [[7, 1], [8, 0], [9, 0]], "cpu": 2.0},
    ]
    trials = [trial(0), trial(1), trial(2, TrialState.RUNNING)]
    load = bench.load.tally(bench.load.Level("ours", 2, 1.0, 2), 4.0, answers, trials)
    assert (load.run, load.twice, load.overshoot, load.unfinished) == (3, 1, 1, 1)
    assert (load.workers_cpu, load.asks_a_second) == (3.0, 0.75)
    assert (load.quantile("ask", 0.5), load.quantile("tell", 1.0)) == (200.0, 200.0)


def test_the_cpu_of_a_process_counts_its_children_and_those_that_ended(bench: SimpleNamespace) -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass\n"
    spend = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])\n{busy}"
    command = [sys.executable, "-c", f"{spend}print(flush=True)\nsys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert bench.load.cpu_of(process.pid) >= 0.55
        process.communicate(b"")
