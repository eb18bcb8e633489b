"""Predictions made by hand, and metrics and rules once more, as plain loops."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.stats import rankdata
from sklearn import metrics as sk

from search.metrics import DIRECTIONS, PROBABILITY_FLOOR
from search.statistics.predictions import Outputs, Predictions
from search.statistics.selection import Rule


def make_predictions(
    seed: int = 0,
    configurations: int = 8,
    participants: int = 12,
    repeats: int = 1,
    folds: int = 3,
    signal: float = 0.5,
    decimals: int = 1,
    default: int | None = 0,
) -> Predictions:
    """One to four biopsies a participant, scored with a noise of their own; few decimals make many ties."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(participants), rng.integers(1, 5, participants))
    fold = np.stack([rng.permutation(np.arange(participants) % folds)[who] for _ in range(repeats)])
    label = np.tile(rng.integers(0, 2, len(who)), (repeats, 1))
    noise = rng.normal(size=(configurations, repeats, len(who)))
    probability = np.round(1 / (1 + np.exp(-noise - signal * (2 * label - 1))), decimals)
    threshold = np.broadcast_to(rng.choice([0.45, 0.5, 0.55], (configurations, repeats, 1)), noise.shape)
    return Predictions(
        label.astype(np.int64),
        who.astype(np.int64),
        fold.astype(np.int64),
        probability,
        threshold.copy(),
        trials=tuple(range(10, 10 + configurations)),
        settings=tuple({} for _ in range(configurations)),
        parameters=rng.choice([5.0, 50.0, 500.0], configurations),
        default=default,
        handed_out=configurations + 3,
    )


Copies = Sequence[tuple[int, int]]  # (name of the copy, participant): who was drawn twice has two copies


def copies(multiplicity: Sequence[float]) -> list[tuple[int, int]]:
    """A name for each time that a participant was drawn."""
    people = [p for p, times in enumerate(multiplicity) for _ in range(int(times))]
    return list(enumerate(people))


def everybody(predictions: Predictions | Outputs) -> list[tuple[int, int]]:
    return [(int(who), int(who)) for who in np.unique(predictions.participant)]


def cells(outputs: Outputs, drawn: Copies) -> Iterator[tuple[int, int, int, int]]:
    """(repeat, fold, copy, row) of every biopsy of every copy."""
    for repeat in range(len(outputs.label)):
        for copy, person in drawn:
            for row in np.flatnonzero(outputs.participant == person):
                yield repeat, int(outputs.fold[repeat, row]), copy, int(row)


def metric_of(outputs: Outputs, metric: str, drawn: Copies) -> float | None:
    """By scikit-learn on the biopsies of the copies, each as often as it was drawn."""
    rows = list(cells(outputs, drawn))
    if metric == "roc_auc":
        return concordance(outputs, rows, lambda cell: cell[:2])
    if metric == "within_participant_auc":
        return concordance(outputs, rows, lambda cell: cell[:3])
    if not rows:
        return None
    label = [outputs.label[r, row] for r, _, _, row in rows]
    called = [outputs.predicted[r, row] for r, _, _, row in rows]
    probability = np.array([outputs.probability[r, row] for r, _, _, row in rows])
    if metric == "f1":
        return float(sk.f1_score(label, called)) if sum(label) + sum(called) else None
    if metric == "accuracy":
        return float(sk.accuracy_score(label, called))
    if metric == "brier":
        return float(sk.brier_score_loss(label, probability))
    clipped = np.clip(probability, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return float(sk.log_loss(label, clipped, labels=[0, 1]))


Cell = tuple[int, int, int, int]


def concordance(outputs: Outputs, rows: list[Cell], group: Callable[[Cell], tuple[int, ...]]) -> float | None:
    """The AUC of each group by scikit-learn, weighted with its pairs."""
    groups: dict[tuple[int, ...], list[Cell]] = {}
    for cell in rows:
        groups.setdefault(group(cell), []).append(cell)
    right = total = 0.0
    for mine in groups.values():
        label = [int(outputs.label[r, row]) for r, _, _, row in mine]
        pairs = sum(label) * (len(label) - sum(label))
        if pairs:
            right += pairs * sk.roc_auc_score(label, [outputs.score[r, row] for r, _, _, row in mine])
            total += pairs
    return right / total if total else None


def select_plainly(rule: Rule, predictions: Predictions, metric: str, drawn: Copies) -> list[int]:
    """The rule on the copies, configuration by configuration."""
    sign = 1 if DIRECTIONS[metric] == "maximize" else -1
    order = sorted(
        range(len(predictions.trials)), key=lambda c: (predictions.parameters[c], predictions.trials[c])
    )
    distinct: list[int] = []
    for c in order:
        said = (predictions.probability[c], predictions.threshold[c])
        others = ((predictions.probability[d], predictions.threshold[d]) for d in distinct)
        if not any(np.array_equal(said, other) for other in others):
            distinct.append(c)
    value = {c: sign * (metric_of(predictions.outputs(c), metric, drawn) or 0.0) for c in distinct}
    value = {c: round(v, 12) for c, v in value.items()}
    best_first = sorted(distinct, key=lambda c: (-value[c], predictions.parameters[c], predictions.trials[c]))
    if rule.name == "one-se":
        bound = value[best_first[0]] - error_of(predictions, best_first[0], metric, drawn)
        within = [c for c in best_first if value[c] >= bound]
        return [min(within, key=lambda c: (predictions.parameters[c], -value[c], predictions.trials[c]))]
    return best_first[: rule.members(len(distinct))]


def error_of(predictions: Predictions, c: int, metric: str, drawn: Copies) -> float:
    """Standard error of a configuration's mean over its folds."""
    values = []
    for repeat in range(len(predictions.label)):
        for fold in np.unique(predictions.fold[repeat]):
            part = fold_of(predictions.outputs(c), repeat, int(fold))
            people = [(copy, p) for copy, p in drawn if p in part.participant]
            one = metric_of(part, metric, people)
            if one is not None:
                values.append(one)
    if len(values) < 2:
        return 0.0
    folds = max(len(values) / len(predictions.label), 1.0)
    return statistics.stdev(values) / float(np.sqrt(folds))


def fold_of(outputs: Outputs, repeat: int, fold: int) -> Outputs:
    rows = np.flatnonzero(outputs.fold[repeat] == fold)
    return Outputs(
        outputs.label[[repeat]][:, rows],
        outputs.participant[rows],
        outputs.fold[[repeat]][:, rows],
        outputs.score[[repeat]][:, rows],
        outputs.probability[[repeat]][:, rows],
        outputs.predicted[[repeat]][:, rows],
    )


def combine_plainly(predictions: Predictions, members: Sequence[int]) -> Outputs:
    """Mean ranks within fold and repeat, mean probabilities, and the label by the mean threshold."""
    if len(members) == 1:
        return predictions.outputs(members[0])
    score = np.zeros(predictions.label.shape)
    for repeat, fold in enumerate(predictions.fold):
        for k in np.unique(fold):
            rows = np.flatnonzero(fold == k)
            ranks = [rankdata(predictions.probability[c, repeat, rows]) for c in members]
            score[repeat, rows] = sum(ranks) / len(members) / (len(rows) + 1)
    probability = predictions.probability[list(members)].mean(axis=0)
    threshold = predictions.threshold[list(members)].mean(axis=0)
    predicted = (probability - threshold > 1e-12).astype(np.int64)
    return Outputs(
        predictions.label, predictions.participant, predictions.fold, score, probability, predicted
    )
