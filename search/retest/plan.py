"""Which fits show what a selection says of second scans: each fold's model, on those held out from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import optuna

from data_prep.folds import Split
from search.booking import finished_folds
from search.facts import config_of
from search.material import Material
from search.records import FoldResult, TrialConfig
from search.refits.chosen import chosen_trials
from search.refits.fit import Fit, context_of
from search.scenes import SECOND, Scenes, map_scenes
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
    chosen, rule = chosen_trials(recorded, study, trial)
    trials = recorded.get_trials(deepcopy=False)
    names = (SECOND, *(() if stride_mm is None else map_scenes(stride_mm)))
    plan = Plan(
        study=study,
        material=material,
        trials=tuple(one.number for one in chosen),
        configs=tuple(config_of(trials, one, study.search.seed) for one in chosen),
        booked=tuple(finished_folds(one) for one in chosen),
        rule=rule,
        scenes=scenes,
        names=names,
        splits=tuple(split for split in material.folds.splits() if split.repeat == 0),
    )
    shown = [split for split in plan.splits if len(scenes.rows(SECOND, plan.fit(plan.configs[0], split)))]
    return replace(plan, splits=tuple(shown))
