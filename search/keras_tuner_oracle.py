"""Optuna for a script written for KerasTuner: its samplers, storage and dashboard, by changing one line.

    tuner = keras_tuner.RandomSearch(build, objective="val_loss", max_trials=30)
    tuner = OptunaSearch(build, objective="val_loss", max_trials=30)

The trials lie in `DIRECTORY/PROJECT_NAME/optuna.journal`, beside KerasTuner's own files. While the search
runs or later, `optuna-dashboard DIRECTORY/PROJECT_NAME/optuna.journal` shows them.

Imported by users' scripts alone: KerasTuner loads TensorFlow. KerasTuner's parallel search (a chief and its
workers over gRPC) was not tried with it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras_tuner
import optuna
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from search.keras_tuner_space import active, domain_of, on_grid, recorded
from search.keras_tuner_study import direction_of, free_name, known_sampler, open_storage, open_study
from search.suggest import suggest

TRIAL = "keras_tuner_trial"  # user attribute of an Optuna trial: the project and KerasTuner's trial id

_REPEATS = 3  # how often a sampler may propose what was tried before random values take its place
_ENDS = {TrialStatus.COMPLETED: TrialState.COMPLETE, TrialStatus.FAILED: TrialState.FAIL}


class OptunaOracle(keras_tuner.Oracle):  # type: ignore[misc]
    """An oracle that asks an Optuna study for the values of each trial and tells it how the trial ended.

    A KerasTuner trial is one Optuna trial, its retries included: Optuna learns its end once it will not be
    run again. A failed trial is told as failed, and teaches the sampler nothing. Several objectives are added
    up as KerasTuner does.

    Args:
        objective: As in `keras_tuner.Oracle`.
        max_trials: As in `keras_tuner.Oracle`. The first 10 trials of "tpe" and "gp" are random.
        seed: Of what the sampler draws, and as in `keras_tuner.Oracle`.
        hyperparameters: As in `keras_tuner.Oracle`.
        allow_new_entries: As in `keras_tuner.Oracle`.
        tune_new_entries: As in `keras_tuner.Oracle`.
        max_retries_per_trial: As in `keras_tuner.Oracle`.
        max_consecutive_failed_trials: As in `keras_tuner.Oracle`.
        sampler: "tpe" (multivariate, the default), "random", "gp" (needs PyTorch), or an Optuna sampler.
        storage: A database URL, the path of a journal, or one of Optuna's storages. By default a journal in
            the project's folder, which goes where the project goes (`overwrite=True` removes both).
        study_name: A study of that name is continued, and what is in it informs the sampler. By default the
            project's name, numbered where the storage has such a study already.

    Raises:
        ValueError: An unknown sampler, or an objective that is neither to be minimised nor to be maximised.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 100,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        sampler: str | BaseSampler | None = None,
        storage: str | Path | BaseStorage | None = None,
        study_name: str | None = None,
    ) -> None:
        super().__init__(
            objective=objective,
            max_trials=max_trials,
            hyperparameters=hyperparameters,
            allow_new_entries=allow_new_entries,
            tune_new_entries=tune_new_entries,
            seed=seed,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        self._sampler = known_sampler(sampler)
        direction_of(self.objective.direction)  # an unknown one is refused at once
        self._storage = storage
        self._study_name, self._is_named = study_name, study_name is not None
        self._study: optuna.Study | None = None
        self._numbers: dict[str, int] = {}  # KerasTuner's trial id -> Optuna's trial number
        self._check(self.hyperparameters)

    @property
    def study(self) -> optuna.Study:
        """Optuna's study, opened when first asked for: only then is the project's folder known."""
        if self._study is None:
            self._study = self._open()
        return self._study

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Ask Optuna for values that no trial had yet; the search stops where there are none."""
        for attempt in range(self._max_collisions):
            values = self._ask(trial_id)
            if not self._duplicate(values):
                return {"status": TrialStatus.RUNNING, "values": values}
            self._give_up(self._numbers.pop(trial_id), "these values were tried before")
            untried = self._random_values()
            if untried is None:
                break
            if attempt + 1 >= _REPEATS:
                self.study.enqueue_trial(recorded(self.hyperparameters.space, untried)[0])
        return {"status": TrialStatus.STOPPED, "values": None}

    @keras_tuner.synchronized  # type: ignore[untyped-decorator]
    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Trial:
        """As KerasTuner's; the objective becomes a point of the trial's curve."""
        trial = super().update_trial(trial_id, metrics, step)
        self.report(trial_id, metrics, step)
        return trial

    @keras_tuner.synchronized  # type: ignore[untyped-decorator]
    def report(self, trial_id: str, metrics: dict[str, float], step: int) -> None:
        """Add a point to the curve that the dashboard shows; of a step told again (a retry) the first stays.

        Args:
            trial_id: KerasTuner's.
            metrics: By name; without the objective among them nothing is added.
            step: The epoch, from 0.
        """
        asked = self._asked(trial_id)
        if asked is None or asked.state.is_finished() or not self.objective.has_value(metrics):
            return
        value = float(self.objective.get_value(metrics))
        if math.isfinite(value) and int(step) not in asked.intermediate_values:
            self.study._storage.set_trial_intermediate_value(asked._trial_id, int(step), value)

    @keras_tuner.synchronized  # type: ignore[untyped-decorator]
    def end_trial(self, trial: Trial) -> None:
        """As KerasTuner's; Optuna is told unless the trial waits to be run again."""
        try:
            super().end_trial(trial)
        finally:  # the base class raises after too many failures in a row
            self._settle(self.trials[trial.trial_id])

    def update_space(self, hyperparameters: keras_tuner.HyperParameters) -> None:
        """As KerasTuner's; a scale that Optuna does not have is refused before anything is trained."""
        self._check(hyperparameters)
        super().update_space(hyperparameters)

    def get_state(self) -> dict[str, Any]:
        """As KerasTuner's, with the study and the number that each trial has in it."""
        own = {"study_name": self._study_name, "numbers": self._numbers}
        return {**super().get_state(), "optuna": own}

    def set_state(self, state: dict[str, Any]) -> None:
        """As KerasTuner's; a project begun with another oracle is taken over, its trials with it."""
        super().set_state(state)
        saved = state.get("optuna", {"study_name": None, "numbers": {}})
        if not self._is_named:
            self._study_name = saved["study_name"]
        self._numbers, self._study = dict(saved["numbers"]), None

    def reload(self) -> None:
        """Continue a project: Optuna is told what it does not know yet, be it all, and what was cut off."""
        super().reload()
        for trial_id in self.end_order:
            self._settle(self.trials[trial_id])
        ours = set(self._numbers.values())
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.number not in ours and trial.user_attrs.get(TRIAL, "").startswith(self._tag("")):
                self._give_up(trial.number, "interrupted before KerasTuner knew of it")

    def _open(self) -> optuna.Study:
        project = None if getattr(self, "_directory", None) is None else str(self._project_dir)
        storage = open_storage(self._storage, project)
        self._study_name = self._study_name or free_name(self._project or "keras_tuner", storage)
        study = open_study(
            storage, self._study_name, direction_of(self.objective.direction), self._sampler, int(self.seed)
        )
        if not study.metric_names:
            study.set_metric_names([self.objective.name])
        return study

    def _ask(self, trial_id: str) -> dict[str, Any]:
        asked = self.study.ask()
        asked.set_user_attr(TRIAL, self._tag(trial_id))
        values: dict[str, Any] = {}
        for name, hp in active(self.hyperparameters.space, values):
            with self._agreeing(asked.number, name):
                values[hp.name] = on_grid(hp, suggest(asked, name, domain_of(hp)))
        self._numbers[trial_id] = asked.number
        return values

    @contextlib.contextmanager
    def _agreeing(self, number: int, name: str) -> Iterator[None]:
        """Say what to do where the study knows a hyperparameter with other values: Optuna refuses."""
        try:
            yield
        except ValueError as error:
            self._give_up(number, str(error))
            raise ValueError(
                f"study_name: {name!r} must have the values that it has in the study {self._study_name!r} "
                f"({error}); give another name"
            ) from error

    def _settle(self, trial: Trial) -> None:
        """Tell Optuna how a trial ended; what it was told before is not told again."""
        state = _ENDS.get(trial.status)
        if state is None or (state == TrialState.COMPLETE and trial.score is None):
            return
        asked = self._asked(trial.trial_id)
        if asked is not None and asked.state == state:
            return
        ran = self._as_it_ran(trial, state)
        if asked is not None and asked.state == TrialState.RUNNING:
            if asked.params.items() <= ran.params.items():
                self._tell(asked, ran)
                return
            self._give_up(asked.number, "other values ran")
        self._add(trial.trial_id, ran)

    def _as_it_ran(self, trial: Trial, state: TrialState) -> FrozenTrial:
        params, distributions = recorded(self.hyperparameters.space, trial.hyperparameters.values)
        return optuna.trial.create_trial(
            state=state,
            value=float(trial.score) if state == TrialState.COMPLETE else None,
            params=params,
            distributions=distributions,
            user_attrs={TRIAL: self._tag(trial.trial_id), **_attributes(trial)},
        )

    def _tell(self, asked: FrozenTrial, ran: FrozenTrial) -> None:
        storage, key = self.study._storage, asked._trial_id
        # Not asked for: those that KerasTuner met for the first time when it built this trial's model.
        for name in ran.params.keys() - asked.params.keys():
            value, distribution = ran.params[name], ran.distributions[name]
            with self._agreeing(asked.number, name):
                storage.set_trial_param(key, name, distribution.to_internal_repr(value), distribution)
        for attribute, content in ran.user_attrs.items():
            storage.set_trial_user_attr(key, attribute, content)
        self.study.tell(asked.number, ran.value, ran.state, skip_if_finished=True)

    def _add(self, trial_id: str, ran: FrozenTrial) -> None:
        """Add a trial that ran without Optuna, or with other values than it gave."""
        self.study.add_trial(ran)
        tag = self._tag(trial_id)
        trials = self.study.get_trials(deepcopy=False)
        self._numbers[trial_id] = max(t.number for t in trials if t.user_attrs.get(TRIAL) == tag)
        self.save()

    def _asked(self, trial_id: str) -> FrozenTrial | None:
        """What Optuna has of a trial; None where it has nothing."""
        number, trials = self._numbers.get(trial_id), self.study.get_trials(deepcopy=False)
        if number is None or number >= len(trials):
            return None
        return trials[number] if trials[number].user_attrs.get(TRIAL) == self._tag(trial_id) else None

    def _give_up(self, number: int, reason: str) -> None:
        trial = self.study.get_trials(deepcopy=False)[number]
        self.study._storage.set_trial_user_attr(trial._trial_id, "error", reason)
        self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def _check(self, hyperparameters: keras_tuner.HyperParameters) -> None:
        for hp in hyperparameters.space:
            domain_of(hp)

    @property
    def _project(self) -> str:
        return str(getattr(self, "_project_name", None) or "")

    def _tag(self, trial_id: str) -> str:
        return f"{self._project}/{trial_id}"


class OptunaSearch(keras_tuner.Tuner):  # type: ignore[misc]
    """`keras_tuner.RandomSearch` with Optuna's samplers, storage and dashboard.

    Args:
        hypermodel: As in `keras_tuner.RandomSearch`, like all that is not named here.
        objective: As in `OptunaOracle`, like all below.
        max_trials: 100 by default, where RandomSearch has 10: too few for a sampler to learn from.
        seed: See there.
        hyperparameters: See there.
        tune_new_entries: See there.
        allow_new_entries: See there.
        max_retries_per_trial: See there.
        max_consecutive_failed_trials: See there.
        sampler: See there.
        storage: See there.
        study_name: See there.
        **kwargs: As in `keras_tuner.Tuner`: `directory`, `project_name`, `overwrite`, ...
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 100,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        sampler: str | BaseSampler | None = None,
        storage: str | Path | BaseStorage | None = None,
        study_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.seed = seed
        oracle = OptunaOracle(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            sampler=sampler,
            storage=storage,
            study_name=study_name,
        )
        super().__init__(oracle, hypermodel, **kwargs)

    def on_epoch_end(
        self, trial: Trial, model: Any, epoch: int, logs: dict[str, float] | None = None
    ) -> None:
        """Add the epoch to the curve of the trial; of several executions the first is drawn."""
        super().on_epoch_end(trial, model, epoch, logs)
        if isinstance(self.oracle, OptunaOracle):  # a worker of a parallel search has a proxy
            self.oracle.report(trial.trial_id, logs or {}, epoch)


def _attributes(trial: Trial) -> dict[str, Any]:
    """What the dashboard shows of a finished trial besides its parameters and value."""
    best = {name: history.get_best_value() for name, history in trial.metrics.metrics.items()}
    finite = {name: float(v) for name, v in best.items() if v is not None and math.isfinite(v)}
    error = (trial.message or "").strip().splitlines()[-1:]
    return ({"metrics": finite} if finite else {}) | ({"error": error[0]} if error else {})
