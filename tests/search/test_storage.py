from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from data_prep.problems import InputError
from search.errors import StudyStoppedError
from search.home import Home
from search.pruner import PairedParticipantPruner
from search.sections import SearchSection
from search.storage import KernelLock, all_studies, check_url, make_pruner, make_sampler, open_storage


def test_sqlite_serves_one_slot_and_is_refused_for_two(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    check_url(url, slots=1)
    open_storage(url, Home.at(tmp_path))
    with pytest.raises(InputError, match=r"SQLite serves one slot .* but got 2 workers"):
        check_url(url, slots=2)


def test_a_storage_that_cannot_be_opened_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StudyStoppedError, match="--storage: cannot be opened") as caught:
        open_storage(f"sqlite:///{tmp_path}/no/such/folder/trials.db", Home.at(tmp_path))
    assert "\n" not in str(caught.value)


def test_four_processes_take_every_waiting_trial_exactly_once(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    study = optuna.create_study(study_name="s", storage=open_storage(None, home))
    for number in range(24):
        study.enqueue_trial({"x": float(number)})
    code = f"""
import optuna
from search.home import Home
from search.storage import open_storage
study = optuna.load_study(study_name="s", storage=open_storage(None, Home.at({str(tmp_path)!r})))
for _ in range(6):
    trial = study.ask()
    print(trial.suggest_float("x", 0, 100))
"""
    jobs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    taken = [float(line) for job in jobs for line in job.communicate()[0].split()]
    assert sorted(taken) == [float(number) for number in range(24)]


def test_a_killed_lock_holder_delays_nobody(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    code = f"""
import sys
from pathlib import Path
from search.storage import KernelLock
KernelLock(Path({str(journal)!r})).acquire()
print("held", flush=True)
sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    os.kill(holder.pid, signal.SIGKILL)
    lock = KernelLock(journal)
    assert lock.acquire()
    lock.release()


def test_samplers_are_those_asked_for_and_depend_on_their_seed() -> None:
    assert isinstance(make_sampler(SearchSection(sampler="tpe"), 1, 0), optuna.samplers.TPESampler)

    def first(seed: int) -> float:
        study = optuna.create_study(sampler=make_sampler(SearchSection(sampler="random"), 1, seed))
        return study.ask().suggest_float("x", 0, 1)

    assert first(0) == first(0) != first(1)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed")
def test_gp_without_pytorch_is_refused_before_anything_runs() -> None:
    with pytest.raises(InputError, match="'gp' needs PyTorch"):
        make_sampler(SearchSection(sampler="gp"), 1, 0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("paired", PairedParticipantPruner),
        ("median", optuna.pruners.MedianPruner),
        ("none", optuna.pruners.NopPruner),
    ],
)
def test_the_pruner_is_always_named(name: str, kind: type) -> None:
    assert isinstance(make_pruner(SearchSection(pruner=name)), kind)


def test_a_study_that_was_not_completely_created_is_not_listed(tmp_path: Path) -> None:
    storage = open_storage(None, Home.at(tmp_path))
    optuna.create_study(study_name="half", storage=storage)
    optuna.create_study(study_name="whole", storage=storage).set_user_attr("identity", {})
    assert [study.study_name for study in all_studies(storage)] == ["whole"]
