"""Optuna's search replayed over a table of configurations: our sampler, our pruner, our booking of folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState
from search_table import SPACE, STUDY, Row

from search.booking import book_fold
from search.claims import trial_seed
from search.pruner import MIN_FOLDS, REFERENCES
from search.sections import SearchSection
from search.storage import make_sampler
from search.suggest import sample


@dataclass(frozen=True)
class Replayed:
    """One trial of a replayed search.

    Attributes:
        row: Its configuration.
        folds: How many of its folds ran; fewer than all where it was pruned.
        incumbent: The complete trial of the best value when it began; None among the first few.
    """

    row: Row
    folds: int
    incumbent: Row | None

    @property
    def seconds(self) -> float:
        """The recorded seconds of the folds that ran."""
        return sum(fold.seconds for fold in self.row.folds[: self.folds])

    @property
    def is_pruned(self) -> bool:
        """Whether it did not run to its end."""
        return self.folds < len(self.row.folds)

    @property
    def is_as_good(self) -> bool:
        """Whether its true AUC is at least the incumbent's, so that pruning it is false."""
        return self.incumbent is not None and self.row.true_auc >= self.incumbent.true_auc

    @property
    def would_lead(self) -> bool:
        """Whether its value over all folds is above the incumbent's."""
        return self.incumbent is not None and self.row.value > self.incumbent.value


class Clairvoyant(optuna.pruners.BasePruner):
    """Prunes at the first look whatever is truly worse than the best by value: a pruner without error."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._true = {_key(row.settings): row.true_auc for row in rows}

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to stop `trial` here."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(trial.intermediate_values) < MIN_FOLDS or len(complete) < REFERENCES:
            return False
        return self._true[_key(trial.params)] < self._true[_key(study.best_trial.params)]


def _key(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(settings[name] for name in SPACE)


def replay(rows: Sequence[Row], search: SearchSection, pruner: BasePruner, seed: int) -> list[Replayed]:
    """Run a whole search; what a slot does with its child, here with the table."""
    by_settings = {_key(row.settings): row for row in rows}
    study = optuna.create_study(direction="maximize", pruner=pruner)
    space, trials, complete = STUDY.parameters, list[Replayed](), list[Row]()
    for place in range(search.trials):
        study.sampler = make_sampler(search, 1, trial_seed(seed, place))
        trial = study.ask()
        row = by_settings[_key(space.settings(sample(trial, space)))]
        incumbent = max(complete, key=lambda row: row.value) if len(complete) >= REFERENCES else None
        trials.append(Replayed(row, _run(trial, row), incumbent))
        if trials[-1].is_pruned:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            complete.append(row)
            study.tell(trial, row.value)
    return trials


def _run(trial: optuna.Trial, row: Row) -> int:
    """Book fold after fold; returns how many ran."""
    for done, fold in enumerate(row.folds, start=1):
        book_fold(trial, fold)
        trial.report(row.running[done - 1], step=fold.split)
        if done < len(row.folds) and trial.should_prune():
            return done
    return len(row.folds)
