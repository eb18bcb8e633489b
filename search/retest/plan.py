"""Which fits show what a selection says of second scans: each fold's model, on those held out from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import optuna
from optuna.trial import FrozenTrial

from data_prep.folds import Split
from data_prep.problems import InputError
from search.booking import booked_settings, counts, finished_folds
from search.facts import config_of, rule_of
from search.material import Material
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit, context_of
from search.scenes import SECOND, Scenes, map_scenes
from search.statistics.predictions import predictions_of
from search.statistics.selection import select
from search.study_file import Study


@dataclass(frozen=True, eq=False)
class Plan:
    """The fits, and the scenes that they score.

    Attributes:
        study: The study's settings.
        material: Its dataset.
        trials: Numbers of the trials that answer together.
        configs: Their settings and seeds.
        booked: What the search booked of each, by split.
        rule: How they were chosen, in words.
        scenes: Of the study.
        names: The scenes that are scored.
        splits: Of the first fold table, those with somebody held out who was scanned twice.
    """

    study: Study
    material: Material
    trials: tuple[int, ...]
    configs: tuple[TrialConfig, ...]
    booked: tuple[Mapping[int, FoldResult], ...]
    rule: str
    scenes: Scenes
    names: tuple[str, ...]
    splits: tuple[Split, ...]

    @property
    def maps(self) -> tuple[str, str] | None:
        """The scenes of the lattice by the first scan and the second; None where no map is asked for."""
        return (self.names[1], self.names[2]) if len(self.names) > 1 else None

    def fit(self, config: TrialConfig, split: Split) -> Fit:
        """The fit of one fold, as the search fitted it, with the scenes to score beside."""
        return replace(Fit.of(config, split), scenes=self.names)

    @property
    def fits(self) -> list[Fit]:
        """All of them, those of a fold in a row."""
        return [self.fit(config, split) for split in self.splits for config in self.configs]

    @property
    def context(self) -> str:
        """A hash of all that the fits depend on beside themselves, the scans of the scenes among it."""
        shown = [self.scenes.whole(name).patches.hash for name in self.names]
        parts = (context_of(self.study, self.material), *shown)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def plan_of(
    recorded: optuna.Study,
    study: Study,
    material: Material,
    scenes: Scenes,
    trial: int | None = None,
    stride_mm: float | None = None,
) -> Plan:
    """Plan to score second scans by what a study selects, or by one trial.

    Args:
        recorded: What Optuna has of the study.
        study: Its settings.
        material: Its dataset.
        scenes: Of it.
        trial: The number of a trial; None for what the study's rule selects.
        stride_mm: Of the lattice of a map; None for no map.

    Raises:
        InputError: The cohort has no second scans; no trial is complete; no such trial.
    """
    numbers, rule = _chosen(recorded, study) if trial is None else ((trial,), "named")
    trials = recorded.get_trials(deepcopy=False)
    chosen = [_trial(trials, number, study.name) for number in numbers]
    names = (SECOND, *(() if stride_mm is None else map_scenes(stride_mm)))
    plan = Plan(
        study=study,
        material=material,
        trials=tuple(numbers),
        configs=tuple(config_of(trials, one, study.search.seed) for one in chosen),
        booked=tuple(finished_folds(one) for one in chosen),
        rule=rule,
        scenes=scenes,
        names=names,
        splits=tuple(split for split in material.folds.splits() if split.repeat == 0),
    )
    shown = [split for split in plan.splits if len(scenes.rows(SECOND, plan.fit(plan.configs[0], split)))]
    return replace(plan, splits=tuple(shown))


def _chosen(recorded: optuna.Study, study: Study) -> tuple[tuple[int, ...], str]:
    """The trials that the study's rule selects, and its name."""
    predictions, rule = predictions_of(recorded), rule_of(recorded)
    if predictions is None:
        raise InputError(f"STUDY: a complete trial is needed, but study {study.name!r} has none yet")
    members = select(rule, predictions, study.search.metric)
    return tuple(predictions.trials[member] for member in members), rule.name


def _trial(trials: Sequence[FrozenTrial], number: int, study: str) -> FrozenTrial:
    found = next((one for one in trials if one.number == number), None)
    if found is None or not counts(found) or booked_settings(found) is None:
        known = [str(one.number) for one in trials if counts(one) and booked_settings(one) is not None]
        raise InputError(
            f"--trial: a trial of study {study!r} that was run is needed, but got {number}. "
            f"There {'are' if known else 'is none yet'} {', '.join(known)}".rstrip()
        )
    return found
