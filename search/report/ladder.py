"""The ladder of architectures: what each reaches on its own, and whether the selected model beats it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from models.registry import BASELINES
from search.metrics import count_pairs
from search.statistics.comparison import Comparison, corrected, corrected_t
from search.statistics.honest import Honest, estimate_of
from search.statistics.predictions import Outputs, Predictions
from search.statistics.selection import Rule, select

ALONE = Rule("argmax")  # what one would report of an architecture that was searched alone


@dataclass(frozen=True)
class LadderStep:
    """One architecture.

    Attributes:
        architecture: Its name.
        configurations: How many of it completed.
        trial: The trial that scores best, on the data that it is picked by.
        honest: What the best of them is worth, by the bootstrap that the whole study is judged by.
        comparison: The selected model's AUC minus this trial's over the folds, corrected for the number of
            steps; None with too few folds.
    """

    architecture: str
    configurations: int
    trial: int
    honest: Honest
    comparison: Comparison | None


def ladder(
    predictions: Predictions, selected: Outputs, metric: str, draws: int, seed: int
) -> list[LadderStep]:
    """A step for each architecture with a complete trial, simple models first.

    Args:
        predictions: Of every complete trial.
        selected: Of the selected model.
        metric: By which trials are compared.
        draws: Bootstraps for each estimate.
        seed: Of the bootstraps.
    """
    steps: list[LadderStep] = []
    for name, members in _by_architecture(predictions):
        own = predictions.take(members)
        best = members[select(ALONE, own, metric)[0]]
        honest = estimate_of(own, ALONE, metric, draws, seed)
        comparison = compare(selected, predictions.outputs(best))
        steps.append(LadderStep(name, len(members), predictions.trials[best], honest, comparison))
    tests = iter(corrected([step.comparison for step in steps if step.comparison is not None]))
    return [step if step.comparison is None else replace(step, comparison=next(tests)) for step in steps]


def compare(one: Outputs, other: Outputs) -> Comparison | None:
    """The corrected t-test of two models over the folds that have both classes; None with fewer than two.

    Both must come from the same folds.
    """
    pairs = [(a, b) for a, b in zip(fold_aucs(one), fold_aucs(other), strict=True) if a is not None]
    differences = np.array([a - b for a, b in pairs if b is not None], dtype=np.float64)
    if len(differences) < 2:
        return None
    folds = len(np.unique(one.fold[0]))
    return corrected_t(differences, 1 / (folds - 1))


def fold_aucs(outputs: Outputs) -> list[float | None]:
    """The AUC of each fold of each repeat; None for a fold of one class."""
    found = []
    for label, score, fold in zip(outputs.label, outputs.score, outputs.fold, strict=True):
        held_out = [fold == number for number in np.unique(fold)]
        found += [count_pairs(label[rows], score[rows]).auc for rows in held_out]
    return found


def _by_architecture(predictions: Predictions) -> Iterator[tuple[str, list[int]]]:
    """Configurations by architecture: the baselines from simple to rich, then the others by name."""
    names = [str(settings.get("architecture", "")) for settings in predictions.settings]
    order = {name: place for place, name in enumerate(BASELINES)}
    for name in sorted(set(names), key=lambda name: (order.get(name, len(order)), name)):
        yield name, [index for index, other in enumerate(names) if other == name]
