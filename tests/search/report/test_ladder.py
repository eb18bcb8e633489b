"""The ladder: each architecture judged alone, and compared with the selected model on the same folds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from search.metrics import Doubles
from search.report.ladder import compare, fold_aucs, ladder
from search.statistics.predictions import Outputs, Predictions

ARCHITECTURES = ("mine", "roi_means", "constant", "roi_means")


def predictions(strength: tuple[float, ...] = (1.0, 0.3, 0.0, 0.1), seed: int = 0) -> Predictions:
    """100 biopsies of 50 participants in 5 folds; each configuration's scores follow the label so much."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, (1, 100))
    participant = np.repeat(np.arange(50), 2)
    score = np.array(strength)[:, None, None] * label + rng.normal(size=(len(strength), 1, 100))
    probability: Doubles = 1 / (1 + np.exp(-score))
    return Predictions(
        label=label,
        participant=participant,
        fold=(participant % 5)[None],
        probability=probability,
        threshold=np.full_like(probability, 0.5),
        trials=(10, 11, 12, 13),
        settings=tuple({"architecture": name} for name in ARCHITECTURES),
        parameters=np.ones(4),
        default=None,
        handed_out=4,
    )


def slow_aucs(outputs: Outputs) -> list[float]:
    return [
        roc_auc_score(outputs.label[0][outputs.fold[0] == k], outputs.score[0][outputs.fold[0] == k])
        for k in range(5)
    ]


def test_simple_architectures_come_first_and_each_is_judged_by_its_best_trial() -> None:
    known = predictions()
    steps = ladder(known, known.outputs(0), "roc_auc", draws=50, seed=0)
    assert [(step.architecture, step.configurations) for step in steps] == [
        ("constant", 1),
        ("roi_means", 2),
        ("mine", 1),
    ]
    best = max((1, 3), key=lambda index: np.average(slow_aucs(known.outputs(index))))
    assert steps[1].trial == known.trials[best]


def test_the_comparison_is_the_corrected_test_over_the_folds() -> None:
    known = predictions()
    found = compare(known.outputs(0), known.outputs(2))
    d = np.array(slow_aucs(known.outputs(0))) - np.array(slow_aucs(known.outputs(2)))
    t = d.mean() / np.sqrt((1 / 5 + 1 / 4) * d.var(ddof=1))
    assert found is not None
    assert found.difference == pytest.approx(d.mean())
    assert found.p == pytest.approx(2 * student.sf(abs(t), 4))


def test_a_model_is_indistinguishable_from_itself() -> None:
    known = predictions()
    steps = ladder(known, known.outputs(0), "roc_auc", draws=20, seed=0)
    comparison = steps[2].comparison
    assert comparison is not None
    assert comparison.difference == 0
    assert comparison.indistinguishable


def test_p_values_are_corrected_for_the_number_of_steps() -> None:
    known = predictions()
    steps = ladder(known, known.outputs(0), "roc_auc", draws=20, seed=0)
    alone = [compare(known.outputs(0), known.outputs(known.trials.index(step.trial))) for step in steps]
    raw = [comparison.p for comparison in alone if comparison]
    corrected = [step.comparison.p for step in steps if step.comparison]
    assert [step.comparison.tests for step in steps if step.comparison] == [3, 3, 3]
    assert min(corrected) == pytest.approx(min(1, 3 * min(raw)))
    assert all(p >= q for p, q in zip(corrected, raw, strict=True))


def test_folds_of_one_class_are_left_out_of_both() -> None:
    known = predictions()
    label = known.label.copy()
    label[0, known.fold[0] == 1] = 1
    one, other = (
        Outputs(label, known.participant, known.fold, known.probability[i], known.probability[i], label)
        for i in (0, 1)
    )
    assert fold_aucs(one).count(None) == 1
    found = compare(one, other)
    assert found is not None
    assert found.folds == 4
