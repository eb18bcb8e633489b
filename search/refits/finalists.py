"""Which trials of a study are scored again, and with which seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from data_prep.problems import InputError
from search.booking import booked_settings, booked_versions, finished_folds, is_superseded, settings_of
from search.claims import trial_seed
from search.metrics import DIRECTIONS
from search.records import FoldResult, TrialConfig
from search.statistics.predictions import default_trial
from search.study_file import Study

_FURTHER = 0x5EED  # keeps further seeds of a trial apart from those of its folds


@dataclass(frozen=True)
class Candidate:
    """A configuration of a study that is scored again.

    Attributes:
        trial: The number of the trial, the best one with these settings.
        is_default: Whether it is the configuration that stands for no tuning.
        config: Its settings and its seed.
        own: Its value in the search; None where it did not complete.
        folds: What the search booked of it, by split.
        versions: The software that ran it, by package; None where that was not recorded.
    """

    trial: int
    is_default: bool
    config: TrialConfig
    own: float | None
    folds: Mapping[int, FoldResult]
    versions: Mapping[str, str] | None

    @property
    def pace(self) -> float | None:
        """Mean seconds of a fold in the search; None where it finished none."""
        return float(np.mean([fold.seconds for fold in self.folds.values()])) if self.folds else None

    def configs(self, seeds: int) -> tuple[TrialConfig, ...]:
        """The configuration with its own seed first, then with further ones that follow from it."""
        return with_seeds(self.config, seeds)


def with_seeds(config: TrialConfig, seeds: int) -> tuple[TrialConfig, ...]:
    """A configuration so many times: with its own seed first, then with further ones that follow from it."""
    further = [
        int(np.random.SeedSequence([config.seed, _FURTHER, index]).generate_state(1)[0])
        for index in range(1, seeds)
    ]
    return (config, *(TrialConfig(config.settings, seed) for seed in further))


def finalists_of(recorded: optuna.Study, study: Study, top: int) -> tuple[Candidate, ...]:
    """The best complete trials by the study's metric, equal settings once, and the default configuration.

    Args:
        recorded: The study.
        study: Its settings.
        top: How many, the default not counted where it is not among them.

    Raises:
        InputError: No trial is complete.
    """
    trials = [trial for trial in recorded.get_trials(deepcopy=False) if not is_superseded(trial)]
    ranked = _ranked(trials, study.search.metric)
    if not ranked:
        raise InputError(f"STUDY: a complete trial is needed, but study {recorded.study_name!r} has none yet")
    chosen = _distinct(ranked)[:top]
    default = _default(trials)
    plain = None if default is None else settings_of(default)
    if default is not None and all(settings_of(trial) != plain for trial in chosen):
        chosen.append(next(trial for trial in (*ranked, default) if settings_of(trial) == plain))
    return tuple(_candidate(trial, study, settings_of(trial) == plain) for trial in chosen)


def _default(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The trial that stands for no tuning, completed or not; None before its settings are booked."""
    number = default_trial(trials)
    return next((trial for trial in trials if trial.number == number and booked_settings(trial)), None)


def _ranked(trials: Sequence[FrozenTrial], metric: str) -> list[FrozenTrial]:
    """The complete trials, the best first; of equal ones the first."""
    sign = -1.0 if DIRECTIONS[metric] == "maximize" else 1.0
    done = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None and finished_folds(t)]
    return sorted(done, key=lambda trial: (sign * float(trial.value or 0.0), trial.number))


def _distinct(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The first trial of each configuration."""
    found: list[FrozenTrial] = []
    for trial in trials:
        if all(settings_of(other) != settings_of(trial) for other in found):
            found.append(trial)
    return found


def _candidate(trial: FrozenTrial, study: Study, is_default: bool) -> Candidate:
    seed = trial_seed(study.search.seed, int(trial.user_attrs["place"]))
    return Candidate(
        trial=trial.number,
        is_default=is_default,
        config=TrialConfig(settings_of(trial), seed),
        own=trial.value if trial.state == TrialState.COMPLETE else None,
        folds=finished_folds(trial),
        versions=booked_versions(trial),
    )
