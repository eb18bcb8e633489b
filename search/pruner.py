"""Stopping a hopeless trial after some of its folds, by a paired test over participants."""

from __future__ import annotations

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import wilcoxon

from search.booking import finished_folds
from search.records import FoldResult

LEVEL = 0.005
MIN_TRIALS, MIN_FOLDS, MIN_PARTICIPANTS = 5, 2, 8


class PairedParticipantPruner(optuna.pruners.BasePruner):
    """Prunes a trial that is worse than the best one on the same participants.

    After each fold from the second, the mean Brier score of each held-out participant is paired with the same
    participant's in the best complete trial, and a one-sided Wilcoxon signed-rank test at `LEVEL` decides.
    Participants, not biopsies, are the units: biopsies of one participant are not independent, and pairing
    them prunes too much.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to stop `trial` here."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        mine = finished_folds(trial)
        if len(complete) < MIN_TRIALS or len(mine) < MIN_FOLDS:
            return False
        best = finished_folds(study.best_trial)
        return is_worse(list(mine.values()), [best[split] for split in mine if split in best])


def is_worse(folds: list[FoldResult], best: list[FoldResult]) -> bool:
    """Whether `folds` are worse than `best` on the participants that both have held out."""
    mine, theirs = participant_scores(folds), participant_scores(best)
    shared = sorted(set(mine) & set(theirs))
    difference = np.array([mine[key] - theirs[key] for key in shared])
    if len(shared) < MIN_PARTICIPANTS or not difference.any():
        return False
    return bool(wilcoxon(difference, alternative="greater").pvalue < LEVEL)


def participant_scores(folds: list[FoldResult]) -> dict[tuple[int, int], float]:
    """Mean Brier score of each held-out participant, by repeat and participant."""
    scores: dict[tuple[int, int], float] = {}
    for fold in folds:
        held_out = fold.scores
        errors = (held_out.probability - held_out.label) ** 2
        for participant in np.unique(held_out.participant):
            mean = float(errors[held_out.participant == participant].mean())
            scores[fold.repeat, int(participant)] = mean
    return scores
