"""Fits on real child processes: equal to the search's, never run twice; and what becomes of failures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from data_prep.problems import InputError
from search.booking import finished_folds, settings_of
from search.child_process import Child
from search.claims import trial_seed
from search.deployment.member import Member, members_folder
from search.deployment.records import Shown
from search.errors import StudyStoppedError, TrialFailedError
from search.home import Home
from search.material import Material
from search.placement import Placement
from search.recorded import material_of, recorded_study
from search.records import FoldResult, TrialConfig
from search.refits.crew import ATTEMPTS, run_fits
from search.refits.fit import Fit, context_of
from search.refits.ledger import FitLedger
from search.study_file import Study

HERE = Placement(1, None)


@dataclass(frozen=True)
class Bench:
    """A finished study of baselines, and a ledger beside it."""

    recorded: optuna.Study
    study: Study
    home: Home
    material: Material

    @property
    def path(self) -> Path:
        return self.home.study(self.study.name).root / "refits" / "some.jsonl"

    def config(self, trial: optuna.trial.FrozenTrial) -> TrialConfig:
        return TrialConfig(settings_of(trial), trial_seed(self.study.search.seed, trial.user_attrs["place"]))

    def fits(self, count: int) -> list[Fit]:
        """As many fits, with labels in random order."""
        rng = np.random.default_rng(0)
        split, config = self.material.folds.splits()[0], self.config(self.recorded.trials[0])
        orders = (tuple(map(int, rng.permutation(len(self.material.patches)))) for _ in range(count))
        return [Fit.of(config, split, order) for order in orders]

    def run(self, fits: list[Fit], workers: int = 1) -> list[tuple[int, int]]:
        """Run fits; returns what the progress was told."""
        told: list[tuple[int, int]] = []
        with FitLedger.open(self.path, context_of(self.study, self.material)) as ledger:
            places = (HERE,) * workers
            run_fits(fits, ledger, self.study, self.home, self.material, places, lambda *at: told.append(at))
        return told

    def results(self, fits: list[Fit]) -> list[FoldResult | None]:
        with FitLedger.open(self.path, context_of(self.study, self.material)) as ledger:
            return [ledger.result(fit) for fit in fits]


@pytest.fixture
def bench(shallow: Path, tmp_path: Path) -> Bench:
    home = Home.at(shutil.copytree(shallow / "home", tmp_path / "home"))
    recorded, study = recorded_study(home, None, "shallow")
    return Bench(recorded, study, home, material_of(study, recorded, home))


class FakeChild:
    """Stands for a child process; each call takes the next of `replies`, an error or a result."""

    replies: Iterator[FoldResult | Exception]
    closed: list[bool]

    def __init__(self, *_: Any) -> None: ...

    def run_fit(self, _: dict[str, Any]) -> FoldResult:
        reply = next(self.replies)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        self.closed.append(True)


@pytest.fixture
def replying(monkeypatch: pytest.MonkeyPatch) -> Callable[..., type[FakeChild]]:
    def with_replies(*replies: FoldResult | Exception) -> type[FakeChild]:
        monkeypatch.setattr(FakeChild, "replies", iter(replies), raising=False)
        monkeypatch.setattr(FakeChild, "closed", [], raising=False)
        monkeypatch.setattr("search.refits.crew.Child", FakeChild)
        return FakeChild

    return with_replies


def lost() -> TrialFailedError:
    return TrialFailedError("child lost", "the child process died (signal 9)", "its last words")


def short() -> TrialFailedError:
    return TrialFailedError("out of memory", "no 3 GiB left")


def test_a_fit_of_a_trials_fold_equals_it_to_the_last_bit_and_none_runs_twice(bench: Bench) -> None:
    fits, booked = [], []
    for trial in bench.recorded.trials:
        folds = finished_folds(trial)
        fits += [Fit.of(bench.config(trial), split) for split in bench.material.folds.splits()]
        booked += list(folds.values())
    told = bench.run([*fits, *fits], workers=2)
    measured = {"seconds": 0.0, "memory_mb": 0.0}
    again = [replace(result, **measured) for result in bench.results(fits) if result is not None]
    assert again == [replace(fold, **measured) for fold in booked]
    distinct = len({fit.key for fit in fits})
    assert told == [(done, distinct) for done in range(distinct + 1)]
    assert bench.run(fits) == [(distinct, distinct)]
    assert len(bench.path.read_text().splitlines()) == distinct


PROGRAM = """
import json, signal, sys
from search.cli import main
from search.home import Home
from search.placement import Placement
from search.recorded import material_of, recorded_study
from search.refits.crew import run_fits
from search.refits.fit import Fit, context_of
from search.refits.ledger import FitLedger
signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored here
root, path, fits = sys.argv[1], sys.argv[2], [Fit.from_json(fit) for fit in json.load(sys.stdin)]
home = Home.at(root)
recorded, study = recorded_study(home, None, "shallow")
material = material_of(study, recorded, home)
from pathlib import Path
with FitLedger.open(Path(path), context_of(study, material)) as ledger:
    tell = lambda done, total: print(done, flush=True)
    run_fits(fits, ledger, study, home, material, (Placement(1, None),) * 2, tell)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_was_finished_before_a_kill_or_ctrl_c_is_not_run_again(
    bench: Bench, number: signal.Signals
) -> None:
    fits = bench.fits(600)
    command = [sys.executable, "-c", PROGRAM, str(bench.home.root), str(bench.path)]
    owner = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert owner.stdin is not None
    assert owner.stdout is not None
    owner.stdin.write(json.dumps([fit.as_json() for fit in fits]))
    owner.stdin.close()
    while int(owner.stdout.readline()) < 3:
        pass
    children = children_of(owner.pid)
    owner.send_signal(number)
    owner.stdout.read()
    assert owner.wait(timeout=60) != 0
    assert children
    assert all(gone(pid) for pid in children)
    kept = [json.loads(line)["fit"] for line in bench.path.read_text().splitlines() if line.endswith("}")]
    assert 3 <= len(kept) < len(fits)
    some = [fit for fit in fits if fit.key in kept] + [fit for fit in fits if fit.key not in kept][:3]
    done = len(some) - 3
    assert bench.run(some)[0] == (done, done + 3)
    lines = [json.loads(line)["fit"] for line in bench.path.read_text().splitlines()]
    assert sorted(lines) == sorted(fit.key for fit in some)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] + [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.name != str(pid)
        for child in (task / "children").read_text().split()
    ]


def gone(pid: int) -> bool:
    """Whether a process ends within seconds; its parent may be one that never asks for its end."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_a_child_that_is_killed_is_replaced_and_its_fit_run_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int | None] = []
    run_fit = Child.run_fit

    def killed_once(self: Child, fit: dict[str, Any]) -> FoldResult:
        if len(pids) == 1:
            os.kill(self.pid or 0, signal.SIGKILL)
        try:
            return run_fit(self, fit)
        finally:
            pids.append(self.pid)

    monkeypatch.setattr(Child, "run_fit", killed_once)
    fits = bench.fits(3)
    bench.run(fits)
    assert None not in bench.results(fits)
    assert len(pids) == len(fits) + 1
    assert len({*pids} - {None}) == 2


def test_a_fit_over_which_the_child_keeps_dying_is_given_up_and_the_others_are_kept(
    bench: Bench, make_fold: Callable[..., FoldResult], replying: Callable[..., type[FakeChild]]
) -> None:
    fits = bench.fits(3)
    child = replying(make_fold(0), *(lost() for _ in range(ATTEMPTS)))
    with pytest.raises(
        StudyStoppedError, match=r"given up, as the child process died \(signal 9\): its last"
    ):
        bench.run(fits)
    assert child.closed == [True]
    replying(lost(), make_fold(1), make_fold(2))
    assert bench.run(fits) == [(1, 3), (2, 3), (3, 3)]
    assert bench.results(fits) == [make_fold(0), make_fold(1), make_fold(2)]


def test_a_model_that_cannot_be_fitted_is_booked_and_not_tried_again(
    bench: Bench, make_fold: Callable[..., FoldResult], replying: Callable[..., type[FakeChild]]
) -> None:
    fits = bench.fits(2)
    replying(TrialFailedError("failed", "the loss must be finite"), make_fold(1))
    assert bench.run(fits)[-1] == (2, 2)
    assert bench.results(fits) == [None, make_fold(1)]
    replying()
    assert bench.run(fits) == [(2, 2)]


def test_a_fit_that_lacks_memory_is_tried_again_and_then_booked_for_this_call(
    bench: Bench, make_fold: Callable[..., FoldResult], replying: Callable[..., type[FakeChild]]
) -> None:
    fits = bench.fits(2)
    replying(short(), make_fold(0), *(short() for _ in range(ATTEMPTS)))
    assert bench.run(fits)[-1] == (2, 2)
    replying(make_fold(1))
    assert bench.run(fits) == [(1, 2), (2, 2)]
    assert bench.results(fits) == [make_fold(0), make_fold(1)]


@pytest.mark.parametrize("error", [InputError("cohort: changed"), OSError(28, "No space left on device")])
def test_an_error_of_one_process_ends_the_others_and_is_raised(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    waiting = threading.Event()

    class Two(FakeChild):
        def __init__(self, _: object, place: Placement, log: Path, stop: threading.Event) -> None:
            self.stop, self.first = stop, log.name.endswith("-0.log")

        def run_fit(self, _: dict[str, Any]) -> FoldResult:
            if self.first:
                waiting.wait(20)
                raise error
            waiting.set()
            assert self.stop.wait(20)
            raise TrialFailedError("interrupted", "the study was stopped")

    monkeypatch.setattr(Two, "closed", [], raising=False)
    monkeypatch.setattr("search.refits.crew.Child", Two)
    with pytest.raises(type(error), match=r"changed|No space"):
        bench.run(bench.fits(9), workers=2)
    assert Two.closed == [True, True]
    assert bench.path.read_text() == ""


def test_nothing_to_run_starts_no_process(bench: Bench, replying: Callable[..., type[FakeChild]]) -> None:
    child = replying()
    assert bench.run([]) == [(0, 0)]
    assert child.closed == []


def test_no_more_processes_start_than_there_are_fits(
    bench: Bench, make_fold: Callable[..., FoldResult], replying: Callable[..., type[FakeChild]]
) -> None:
    child = replying(make_fold(0), make_fold(1))
    bench.run(bench.fits(2), workers=5)
    assert child.closed == [True, True]


def kept_of(bench: Bench) -> tuple[list[Fit], Path]:
    """Fits that are kept, and where their models lie."""
    return [replace(fit, keep=True) for fit in bench.fits(3)], members_folder(bench.home, bench.study.name)


def test_models_of_kept_fits_are_there_whole_and_lost_ones_are_fitted_again(bench: Bench) -> None:
    """A model of another context is lost too: its folder is called the same, as the fit is the same."""
    fits, members = kept_of(bench)
    bench.run(fits)
    before = bench.results(fits)
    assert {path.name for path in members.iterdir()} == {fit.key for fit in fits}
    shutil.rmtree(members / fits[0].key)
    (members / fits[1].key / "baseline.skops").unlink()
    facts = members / fits[2].key / "member.json"
    facts.write_text(facts.read_text().replace(context_of(bench.study, bench.material), "another"))
    assert bench.run(fits) == [(done, 3) for done in range(4)]
    assert bench.run(fits) == [(3, 3)]
    for fit, one, other in zip(fits, before, bench.results(fits), strict=True):
        assert one is not None
        assert other is not None
        assert one.probabilities == other.probabilities
        said = Member.open(members / fit.key).say(Shown(bench.material.patches.take(fit.test)))
        assert tuple(said.probability[:, 0]) == one.probabilities


def test_what_a_killed_process_left_of_a_model_is_removed(
    bench: Bench, make_fold: Callable[..., FoldResult], replying: Callable[..., type[FakeChild]]
) -> None:
    fits, members = kept_of(bench)
    left = members / f".{fits[0].key}.0123.partial"
    left.mkdir(parents=True)
    replying(make_fold(0))
    bench.run(fits[:1])
    assert not left.exists()


def test_a_kept_fit_that_fails_is_not_tried_again(
    bench: Bench, replying: Callable[..., type[FakeChild]]
) -> None:
    fits, _ = kept_of(bench)
    replying(TrialFailedError("failed", "a class of its own"))
    assert bench.run(fits[:1]) == [(0, 1), (1, 1)]
    replying()
    assert bench.run(fits[:1]) == [(1, 1)]
