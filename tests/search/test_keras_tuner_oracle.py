from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import optuna
import pytest
from keras_tuner.engine.trial import TrialStatus
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from search.keras_tuner_oracle import OptunaOracle, OptunaSearch

Score = Callable[[keras_tuner.HyperParameters], Any]


def bowl(hp: keras_tuner.HyperParameters) -> float:
    """Smallest at x = 2 behind "a", everywhere larger behind "b"."""
    value = 0.0
    if hp.Choice("arm", ["a", "b"]) == "b":
        with hp.conditional_scope("arm", ["b"]):
            value = 1.0 + hp.Int("units", 1, 8)
    return value + float((hp.Float("x", -10, 10) - 2) ** 2)


def tuner_of(score: Score, folder: Path, kind: type = OptunaSearch, **options: Any) -> keras_tuner.Tuner:
    """A tuner whose trials take no time: their objective is `score` of the hyperparameters."""

    class Tuner(kind):  # type: ignore[misc]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
            return score(trial.hyperparameters)

    return Tuner(directory=str(folder), project_name="project", **({"seed": 1, "max_trials": 6} | options))


def stored(folder: Path, name: str = "project") -> list[optuna.trial.FrozenTrial]:
    """What another program finds in the project's journal."""
    journal = JournalStorage(JournalFileBackend(str(folder / "project" / "optuna.journal")))
    return optuna.load_study(study_name=name, storage=journal).trials


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    model = keras.Sequential(
        [keras.layers.Input((2,)), keras.layers.Dense(hp.Int("units", 1, 3)), keras.layers.Dense(1)]
    )
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.SGD(rate), "mse", run_eagerly=True)  # nothing to trace
    return model


def test_a_script_changes_one_line(tmp_path: Path) -> None:
    x = np.linspace(-1, 1, 16).reshape(8, 2)
    options = {"objective": "val_loss", "max_trials": 2, "executions_per_trial": 2, "project_name": "project"}
    tuner = OptunaSearch(build, directory=str(tmp_path), **options)  # was keras_tuner.RandomSearch(...)
    tuner.search(x, x.sum(1), epochs=3, validation_data=(x, x.sum(1)), verbose=0)
    trials = stored(tmp_path)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    assert all(list(trial.intermediate_values) == [0, 1, 2] for trial in trials)
    best = tuner.oracle.get_best_trials(1)[0]
    assert tuner.oracle.study.best_value == best.score
    assert tuner.oracle.study.best_params == best.hyperparameters.values
    assert tuner.oracle.study.best_trial.user_attrs["metrics"]["val_loss"] == best.score
    assert tuner.oracle.study.metric_names == ["val_loss"]
    assert tuner.get_best_models()[0].count_params() > 0


def test_the_arguments_of_random_search_keep_their_places() -> None:
    theirs = list(inspect.signature(keras_tuner.RandomSearch).parameters)
    ours = list(inspect.signature(OptunaSearch).parameters)
    assert ours[: len(theirs) - 1] == theirs[:-1]


def test_trials_are_those_of_keras_tuner_and_have_their_active_parameters_alone(tmp_path: Path) -> None:
    tuner = tuner_of(bowl, tmp_path, max_trials=15)
    tuner.search(verbose=0)
    for trial in stored(tmp_path):
        twin = tuner.oracle.trials[trial.user_attrs["keras_tuner_trial"].removeprefix("project/")]
        assert trial.params == {k: v for k, v in twin.hyperparameters.values.items() if k in trial.params}
        assert ("units" in trial.params) == (trial.params["arm"] == "b")
        assert trial.value == twin.score == pytest.approx(bowl(twin.hyperparameters))
    assert len(stored(tmp_path)) == 15


def test_hyperparameters_that_a_trial_brings_up_are_recorded_with_it(tmp_path: Path) -> None:
    tuner_of(bowl, tmp_path, max_trials=2).search(verbose=0)
    assert stored(tmp_path)[0].params == {"arm": "a", "x": -10.0}  # nothing was known when it was asked for


def test_the_same_seed_asks_for_the_same_values(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tuner_of(bowl, tmp_path / name).search(verbose=0)
    first, second = ([t.params for t in stored(tmp_path / name)] for name in ("a", "b"))
    assert first == second


@pytest.mark.parametrize(("direction", "expected"), [("max", 2.0), ("min", 0.0)])
def test_the_objective_gives_the_direction(tmp_path: Path, direction: str, expected: float) -> None:
    objective = keras_tuner.Objective("score", direction)
    tuner = tuner_of(
        lambda hp: {"score": float(hp.Choice("x", [0, 1, 2]))}, tmp_path, objective=objective, max_trials=9
    )
    tuner.search(verbose=0)
    assert tuner.oracle.study.best_value == expected


def test_several_objectives_are_added_up_as_keras_tuner_does() -> None:
    oracle = OptunaOracle([keras_tuner.Objective("auc", "max"), "val_loss"], max_trials=3)
    oracle._set_project_dir("unused", "project")
    assert oracle.objective.get_value({"auc": 0.75, "val_loss": 0.25}) == -0.5
    assert oracle._sampler == "tpe"


def test_no_values_are_run_twice_and_the_search_ends_with_them(tmp_path: Path) -> None:
    def score(hp: keras_tuner.HyperParameters) -> float:
        return float(hp.Choice("x", [1, 2, 3])) + float(hp.Float("y", 0, 0.5, step=0.5))

    tuner = tuner_of(score, tmp_path, max_trials=50)
    tuner.search(verbose=0)
    done = [tuple(t.params.values()) for t in stored(tmp_path) if t.state == TrialState.COMPLETE]
    assert len(done) == len(set(done)) == len(tuner.oracle.trials) == 6
    repeats = {t.user_attrs.get("error") for t in stored(tmp_path) if t.state != TrialState.COMPLETE}
    assert repeats <= {"these values were tried before"}


@pytest.mark.parametrize("retries", [0, 2])
def test_a_trial_is_told_once_it_is_not_run_again(tmp_path: Path, retries: int) -> None:
    runs: list[TrialState] = []

    def score(hp: keras_tuner.HyperParameters) -> float:
        hp.Float("x", 0, 1)
        runs.append(stored(tmp_path)[0].state)
        raise ValueError("no such layer")

    tuner_of(score, tmp_path, max_trials=1, max_retries_per_trial=retries).search(verbose=0)
    assert runs == [TrialState.RUNNING] * (1 + retries)
    (trial,) = stored(tmp_path)
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["error"] == "ValueError: no such layer"


def test_a_retry_that_succeeds_is_one_complete_trial(tmp_path: Path) -> None:
    results = iter([ValueError("out of memory"), 0.5])

    def score(hp: keras_tuner.HyperParameters) -> float:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    tuner_of(score, tmp_path, max_trials=1, max_retries_per_trial=1).search(verbose=0)
    assert [(t.state, t.value) for t in stored(tmp_path)] == [(TrialState.COMPLETE, 0.5)]


@pytest.mark.filterwarnings("ignore:All-NaN axis")
def test_a_score_that_is_no_number_is_a_failure(tmp_path: Path) -> None:
    tuner_of(lambda _: float("nan"), tmp_path, max_trials=1).search(verbose=0)
    assert [(t.state, t.value) for t in stored(tmp_path)] == [(TrialState.FAIL, None)]


def test_too_many_failures_in_a_row_stop_the_search_and_are_told(tmp_path: Path) -> None:
    def score(hp: keras_tuner.HyperParameters) -> float:
        raise keras_tuner.errors.FailedTrialError(f"{hp.Float('x', 0, 1)} is too little")

    with pytest.raises(RuntimeError, match="consecutive failures exceeded the limit of 2"):
        tuner_of(score, tmp_path, max_consecutive_failed_trials=2).search(verbose=0)
    assert [t.state for t in stored(tmp_path)] == [TrialState.FAIL] * 2
    tuner_of(bowl, tmp_path, max_consecutive_failed_trials=2).search(verbose=0)  # corrected, and continued
    states = [t.state for t in stored(tmp_path)]
    assert states.count(TrialState.COMPLETE) == 5
    assert TrialState.RUNNING not in states


def oracle_in(folder: Path, **options: Any) -> OptunaOracle:
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0, 1)
    oracle = OptunaOracle("val_loss", hyperparameters=hp, seed=0, **options)
    oracle._set_project_dir(str(folder), "project")
    oracle.verbose = 0
    return oracle


def finish(oracle: OptunaOracle, trial: Any, score: float) -> None:
    oracle.update_trial(trial.trial_id, {"val_loss": score})
    trial.status = TrialStatus.COMPLETED
    oracle.end_trial(trial)


def test_a_step_counts_once(tmp_path: Path) -> None:
    oracle = oracle_in(tmp_path)
    trial = oracle.create_trial("tuner")
    for step, value in [(0, 0.5), (0, 0.1), (1, float("nan")), (2, 0.25)]:
        oracle.report(trial.trial_id, {"val_loss": value}, step)
    oracle.report(trial.trial_id, {"accuracy": 1.0}, 3)
    finish(oracle, trial, 0.25)
    oracle.report(trial.trial_id, {"val_loss": 0.0}, 4)  # too late
    assert stored(tmp_path)[0].intermediate_values == {0: 0.5, 2: 0.25}


def test_values_that_a_subclass_changed_are_recorded_as_they_ran(tmp_path: Path) -> None:
    oracle = oracle_in(tmp_path)
    trial = oracle.create_trial("tuner")
    trial.hyperparameters.values["x"] = 0.125
    finish(oracle, trial, 1.0)
    assert [(t.state, t.value) for t in stored(tmp_path)] == [
        (TrialState.FAIL, None),
        (TrialState.COMPLETE, 1.0),
    ]
    assert stored(tmp_path)[1].params == {"x": 0.125}


def test_a_reloaded_oracle_tells_what_was_not_told_and_gives_up_what_nobody_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle = oracle_in(tmp_path)
    trial = oracle.create_trial("tuner")
    monkeypatch.setattr(oracle, "_settle", lambda _: None)  # killed after KerasTuner's own book-keeping
    finish(oracle, trial, 0.5)
    oracle.populate_space("1")  # killed before it
    assert [t.state for t in stored(tmp_path)] == [TrialState.RUNNING] * 2
    for _ in range(2):
        oracle_in(tmp_path).reload()
        assert [(t.state, t.value) for t in stored(tmp_path)] == [
            (TrialState.COMPLETE, 0.5),
            (TrialState.FAIL, None),
        ]


KILLED = """
import os, sys
from pathlib import Path
from tests.search.test_keras_tuner_oracle import bowl, tuner_of
runs = 0
def score(hp):
    global runs
    runs += 1
    if runs == 3:
        os._exit(9)
    return bowl(hp)
tuner_of(score, Path(sys.argv[1])).search(verbose=0)
"""


def test_a_killed_search_continues_in_the_trial_that_it_was_in(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "3"}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment, check=False)
    assert killed.returncode == 9
    before = stored(tmp_path)
    assert [t.state for t in before] == [TrialState.COMPLETE] * 2 + [TrialState.RUNNING]
    tuner = tuner_of(bowl, tmp_path)
    assert tuner.remaining_trials == 3
    tuner.search(verbose=0)
    after = stored(tmp_path)
    assert [t.state for t in after] == [TrialState.COMPLETE] * 6
    assert [t.params for t in after[:3]] == [t.params for t in before]


def test_a_project_of_another_tuner_is_taken_over_with_its_trials(tmp_path: Path) -> None:
    tuner_of(bowl, tmp_path, keras_tuner.RandomSearch, max_trials=4).search(verbose=0)
    tuner = tuner_of(bowl, tmp_path, max_trials=6)
    assert tuner.remaining_trials == 2
    assert {t.user_attrs["keras_tuner_trial"]: t.value for t in stored(tmp_path)} == {
        f"project/{name}": trial.score for name, trial in tuner.oracle.trials.items()
    }
    tuner.search(verbose=0)
    assert len(stored(tmp_path)) == 6


def test_overwrite_begins_anew(tmp_path: Path) -> None:
    for _ in range(2):
        tuner_of(bowl, tmp_path, max_trials=3, overwrite=True).search(verbose=0)
        assert len(stored(tmp_path)) == 3


def test_a_shared_storage_keeps_the_study_of_a_project_begun_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/trials.db"
    for _ in range(2):
        tuner_of(bowl, tmp_path, max_trials=2, overwrite=True, storage=url).search(verbose=0)
    assert not (tmp_path / "project" / "optuna.journal").exists()
    summaries = optuna.get_all_study_summaries(url)
    assert [(s.study_name, s.n_trials) for s in summaries] == [("project", 2), ("project-2", 2)]


def test_a_named_study_is_continued_and_must_have_the_same_values(tmp_path: Path) -> None:
    url, options = f"sqlite:///{tmp_path}/trials.db", {"study_name": "ours", "max_trials": 2}
    for folder in ("a", "b"):
        tuner_of(bowl, tmp_path / folder, storage=url, **options).search(verbose=0)
    assert len(optuna.load_study(study_name="ours", storage=url).trials) == 4
    other = tuner_of(
        lambda hp: float(hp.Choice("arm", ["c", "d"]) == "c"), tmp_path / "c", storage=url, **options
    )
    with pytest.raises(
        ValueError, match="study_name: 'arm' must have the values that it has in the study 'ours'"
    ):
        other.search(verbose=0)


def test_without_a_project_nothing_is_kept() -> None:
    oracle = OptunaOracle("val_loss", sampler=optuna.samplers.QMCSampler(seed=0))
    assert isinstance(oracle.study.sampler, optuna.samplers.QMCSampler)
    assert oracle.populate_space("0") == {"status": TrialStatus.RUNNING, "values": {}}


def test_what_optuna_does_not_have_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    def unusual(hp: keras_tuner.HyperParameters) -> keras.Model:
        hp.Float("x", 0.1, 1, sampling="reverse_log")
        return build(hp)

    with pytest.raises(ValueError, match="hyperparameter 'x': a scale must be"):
        OptunaSearch(unusual, "val_loss", directory=str(tmp_path))
    with pytest.raises(ValueError, match="sampler: must be one of"):
        OptunaSearch(build, "val_loss", sampler="best", directory=str(tmp_path))
    with pytest.raises(ValueError, match="objective: its direction must be"):
        OptunaSearch(build, keras_tuner.Objective("x", "minimize"), directory=str(tmp_path))
