"""Simulated trials on simulated cohorts: how often the paired pruner prunes, by how much worse a trial is.

A latent molecular level g makes the labels (positive where g > 0). A trial of true AUC A scores a biopsy
`rho g + sqrt(1 - rho^2) e`, rho from A by the ruler of a median split, e partly shared by all trials. g and e
have participant random effects, and each fold's network is off by a little of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, norm, wilcoxon

from data_prep.phantom.answers import rho_from_auc
from search.metrics import Scores, pooled_metrics
from search.pruner import MIN_FOLDS, Parts, is_hopeless, part_of

Doubles = npt.NDArray[np.float64]
Trial = Sequence[Scores]  # its held-out scores, fold by fold
Trials = Sequence[Trial]

PARTICIPANTS, BIOPSIES, FOLDS = 45, 150, 5
PARTICIPANT_SHARE = 0.3  # of the variance of g and e; the phantom's own tau2
SHARED = 0.6  # of the variance of e that all trials have in common
FOLD_SD = 0.03  # of the true AUC of one fold's network about its trial's
LEADING_AUC = 0.70
PLAIN_LEVEL = 0.005


class Cohort:
    """Participants, folds and labels, and the error that all trials share."""

    def __init__(self, rng: np.random.Generator) -> None:
        extra = rng.integers(PARTICIPANTS, size=BIOPSIES - PARTICIPANTS)
        self.rng = rng
        self.participant = np.sort(np.concatenate([np.arange(PARTICIPANTS), extra]))
        self.fold = rng.permutation(np.arange(PARTICIPANTS) % FOLDS)[self.participant]
        self.g, self.shared = self.field(), self.field()

    def field(self) -> Doubles:
        """A unit normal variable with participant random effects, shape (biopsies,)."""
        level = self.rng.standard_normal(PARTICIPANTS)[self.participant]
        own = self.rng.standard_normal(BIOPSIES)
        return np.asarray(np.sqrt(PARTICIPANT_SHARE) * level + np.sqrt(1 - PARTICIPANT_SHARE) * own)

    def trial(self, auc: float) -> Trial:
        """The held-out scores of a trial of that true AUC, fold by fold."""
        fold_auc = np.clip(auc + FOLD_SD * self.rng.standard_normal(FOLDS), 0.5, 0.99)
        rho = np.array([rho_from_auc(a) for a in fold_auc])[self.fold]
        error = np.sqrt(SHARED) * self.shared + np.sqrt(1 - SHARED) * self.field()
        score = rho * self.g + np.sqrt(1 - rho**2) * error
        probability, label = norm.cdf(rho * score / np.sqrt(1 - rho**2)), (self.g > 0).astype(np.int64)
        return [
            Scores(label[rows], probability[rows], self.participant[rows], 0.5)
            for rows in (self.fold == k for k in range(FOLDS))
        ]


@dataclass(frozen=True)
class Pruned:
    """How many of `trials` simulated ones a rule pruned, and the folds that it saved of theirs."""

    pruned: int
    saved: float
    trials: int

    def __str__(self) -> str:
        """The rate with its exact 95 % interval (Clopper and Pearson), and the saving."""
        low, high = binomtest(self.pruned, self.trials).proportion_ci()
        rate, saved = self.pruned / self.trials, self.saved / self.trials
        return f"{rate:6.1%} ({low:.1%} to {high:.1%}), {saved:.0%} of the folds saved"


def audit(rule: str, complete: int, deficit: float, cohorts: int, seed: int) -> Pruned:
    """Prune one trial in each of many cohorts.

    Args:
        rule: A name of `RULES`.
        complete: Complete trials, every one of the same true AUC: the most luck among the leaders.
        deficit: By how much the trial's true AUC is below theirs; 0 makes every prune a false one.
        cohorts: How many.
        seed: Of the first cohort.
    """
    pruned, saved = 0, 0.0
    for number in range(cohorts):
        cohort = Cohort(np.random.default_rng([seed, number]))
        others = [cohort.trial(LEADING_AUC) for _ in range(complete)]
        mine = cohort.trial(LEADING_AUC - deficit)
        is_pruned = RULES[rule](others)
        for look in range(MIN_FOLDS, FOLDS):
            if is_pruned(mine[:look]):
                pruned, saved = pruned + 1, saved + 1 - look / FOLDS
                break
    return Pruned(pruned, saved, cohorts)


def ours(others: Trials) -> Callable[[Trial], bool]:
    """The rule of `search.pruner`."""
    complete = [_parts(other) for other in others]
    return lambda mine: is_hopeless(_parts(mine), complete, "roc_auc")


def plain(others: Trials) -> Callable[[Trial], bool]:
    """Each participant's Brier score against the best trial's: Wilcoxon's signed ranks, p < `PLAIN_LEVEL`."""
    best = max(others, key=lambda folds: pooled_metrics(folds)["roc_auc"] or 0.0)

    def is_worse(mine: Trial) -> bool:
        difference = _participant_means(best[: len(mine)]) - _participant_means(mine)
        return bool(wilcoxon(difference, alternative="greater").pvalue < PLAIN_LEVEL)

    return is_worse


def _participant_means(folds: Trial) -> Doubles:
    parts = [part_of(fold, "brier") for fold in folds]
    return np.array([p.value[p.participant == who].mean() for p in parts for who in np.unique(p.participant)])


def _parts(folds: Trial) -> Parts:
    return Parts({split: part_of(fold, "roc_auc") for split, fold in enumerate(folds)})


RULES = {"paired": ours, "plain": plain}
