"""Every metric of a model's out-of-fold predictions, with intervals that treat participants as clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from search.metrics import PROBABILITY_FLOOR, Doubles, Ints
from search.statistics.calibration_line import Interval, calibration_intercept, calibration_slope
from search.statistics.concordance import (
    informative_pairs,
    membership,
    of_biopsies,
    of_participants,
    share,
)
from search.statistics.draws import times_drawn
from search.statistics.predictions import Booleans, Outputs
from search.statistics.rank_correlation import spearman_within_folds

__all__ = ["DRAWS", "Measured", "informative_pairs", "performance"]

DRAWS = 2000  # the ends of an interval are the 50 smallest and largest of them


@dataclass(frozen=True)
class Measured:
    """A metric and its 95 % interval; None for what is undefined."""

    value: float | None
    low: float | None
    high: float | None


def performance(outputs: Outputs, tpm_log: Doubles | None, seed: int = 0) -> dict[str, Measured]:
    """Every metric by name.

    `roc_auc` counts the pairs of a positive and a negative biopsy of one fold and repeat;
    `within_participant_auc` those within one participant. `between_participant_auc` counts pairs of
    participants of one fold whose shares of positive biopsies differ: whether the one with more of them has
    the higher mean score. `brier_skill` is 1 - Brier / Brier of a constant: for each biopsy the share of
    positives among the other folds of the repeat, which is what its model was trained on. `spearman`
    correlates scores and log2(TPM + 1) within folds. The calibration intercept is that "in the large", with
    the slope fixed at 1. All others average over biopsies and repeats.

    Intervals are quantiles over draws of the participants, with replacement, the predictions staying as they
    are; those of the calibration line are its clustered ones. They hold for one model fixed beforehand. On
    cross-validated predictions they are too narrow, as the folds' models share training data (1.4 times for
    an AUC), and for the winner of a search they are too narrow and too high: there the honest estimate of the
    search counts.

    Args:
        outputs: What was predicted.
        tpm_log: log2(TPM + 1) of each biopsy, shape (n,); None leaves `spearman` undefined.
        seed: Of the draws.
    """
    people = len(np.unique(outputs.participant))
    weight = np.vstack([np.ones((1, people)), times_drawn(people, DRAWS, seed)])
    values = _values(outputs, tpm_log, weight)
    measured = {name: _measured(value, people) for name, value in values.items()}
    return measured | _calibration(outputs)


def _values(outputs: Outputs, tpm_log: Doubles | None, weight: Doubles) -> dict[str, Doubles]:
    """Every metric but calibration where participants are there `weight` times, shape (draws,) each."""
    who = membership(outputs.participant)
    biopsies = of_biopsies(outputs)
    undefined = np.full(len(weight), np.nan)
    return {
        "roc_auc": biopsies.auc(weight),
        "within_participant_auc": biopsies.auc_within(weight),
        "between_participant_auc": of_participants(outputs).auc(weight),
        **_probability_metrics(outputs, weight @ who.T),
        **_decision_metrics(outputs, weight @ who.T),
        "spearman": undefined if tpm_log is None else spearman_within_folds(outputs, tpm_log, weight @ who.T),
    }


def _probability_metrics(outputs: Outputs, weight: Doubles) -> dict[str, Doubles]:
    """How far probabilities are from labels; `weight` of shape (draws, biopsies)."""
    label, probability = outputs.label, outputs.probability
    clipped = np.clip(probability, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    brier = _mean((probability - label) ** 2, weight)
    constant = _mean((_prevalence_elsewhere(label, outputs.fold) - label) ** 2, weight)
    return {
        "brier": brier,
        "brier_skill": 1 - share(brier, constant),
        "log_loss": _mean(-np.log(np.where(label == 1, clipped, 1 - clipped)), weight),
    }


def _decision_metrics(outputs: Outputs, weight: Doubles) -> dict[str, Doubles]:
    """How many predicted labels are right."""
    label, predicted = outputs.label, outputs.predicted
    positive, called = _mean(label, weight), _mean(predicted, weight)
    hit, right = _mean(label * predicted, weight), _mean(label == predicted, weight)
    return {
        "accuracy": right,
        "balanced_accuracy": (share(hit, positive) + share(right - hit, 1 - positive)) / 2,
        "f1": share(2 * hit, positive + called),
    }


def _mean(each: Doubles | Ints | Booleans, weight: Doubles) -> Doubles:
    """The mean over repeats (rows of `each`) and weighted biopsies, shape (draws,)."""
    return np.asarray(weight @ each.sum(axis=0) / (weight.sum(axis=1) * len(each)), dtype=np.float64)


def _prevalence_elsewhere(label: Ints, fold: Ints) -> Doubles:
    """The share of positives outside each biopsy's fold, shape (repeats, biopsies); NaN for one fold."""
    same = fold[:, :, None] == fold[:, None, :]
    others = (~same).sum(axis=2).astype(np.float64)
    return share(np.einsum("rij,rj->ri", ~same, label).astype(np.float64), others)


def _calibration(outputs: Outputs) -> dict[str, Measured]:
    """The calibration line over all repeats; a participant is one cluster through all of them."""
    repeats = len(outputs.label)
    stacked = (outputs.label.ravel(), outputs.probability.ravel(), np.tile(outputs.participant, repeats))
    fits: Mapping[str, Interval | None] = {
        "calibration_intercept": calibration_intercept(*stacked),
        "calibration_slope": calibration_slope(*stacked),
    }
    return {name: Measured(*(fit or (None, None, None))) for name, fit in fits.items()}


def _measured(values: Doubles, people: int) -> Measured:
    """The first value, and quantiles of the others that are defined."""
    value, drawn = float(values[0]), values[1:][~np.isnan(values[1:])]
    if np.isnan(value):
        return Measured(None, None, None)
    if people < 2 or not len(drawn):
        return Measured(value, None, None)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Measured(value, float(low), float(high))
