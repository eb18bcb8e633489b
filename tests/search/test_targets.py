from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from data_prep.label_rules import LabelDefinition
from data_prep.labels import UNKNOWN, Labels
from models.calibration import Calibration
from search.targets import LEAST_TO_CALIBRATE, Targets

GENES = ("A", "B")


def targets_of(rule: str, train: list[int], held_out: float = 1.0) -> Targets:
    """Targets of two genes; the expression of rows 10 to 19 times a factor."""
    tpm = np.random.default_rng(0).gamma(2, 3, (20, 2))
    tpm[5, 1] = np.nan
    tpm[10:] *= held_out
    definition = LabelDefinition(GENES, rule, combine="multi-label")
    cut = definition.threshold(tpm[:, 0])
    label = (tpm[:, 0] > cut).astype(np.int64)
    further = (definition.threshold(tpm[~np.isnan(tpm[:, 1]), 1]),)
    labels = Labels(tuple(map(str, range(20))), tpm, tpm[:, 0], label, cut, definition, further)
    return Targets.of(labels, np.array(train))


def test_a_classification_learns_labels_and_says_probabilities_as_they_are() -> None:
    targets = targets_of("above-median", list(range(10)))
    assert targets.names == GENES
    assert (targets.labels[5, 1], np.isnan(targets.learned[5, 1])) == (UNKNOWN, True)
    known = targets.labels != UNKNOWN
    assert np.array_equal(targets.learned[known], targets.labels[known])
    said = np.random.default_rng(1).random((4, 2))
    assert np.array_equal(targets.probability(said, targets.calibrated(None, None)), said)


def test_a_regression_learns_logarithms_in_units_of_the_training_fold() -> None:
    train = list(range(10))
    targets = targets_of("log-tpm:5", train)
    assert np.nanmean(targets.learned[train], axis=0) == pytest.approx([0, 0], abs=1e-6)
    assert np.nanstd(targets.learned[train], axis=0) == pytest.approx([1, 1], abs=1e-6)
    told = targets.values(targets.learned.astype(float))
    assert told[0, 0] == pytest.approx(targets.mean[0] + targets.sd[0] * targets.learned[0, 0])
    assert targets.cuts * targets.sd + targets.mean == pytest.approx(np.log2([6.0, 6.0]))


def test_values_become_chances_that_fit_rows_beside_the_training_ones() -> None:
    """Against scikit-learn's logistic regression, which has no prior on so many rows to speak of."""
    rng, rows = np.random.default_rng(3), np.arange(4000)
    value = rng.gamma(2.0, 1.0, len(rows))
    label = (value > np.median(value)).astype(np.int64)
    definition = LabelDefinition(column="s", rule="log-tpm")
    labels = Labels(
        tuple(map(str, rows)), np.empty((len(rows), 0)), value, label, float(np.median(value)), definition
    )
    targets = Targets.of(labels, rows[:2000])
    said = (targets.learned + rng.normal(0, 1, (len(rows), 1))).astype(np.float64)
    held = rows[2000:]
    told = targets.probability(said, targets.calibrated(said[held], held))
    plain = LogisticRegression(C=1e9).fit(said[held], label[held])
    assert told[:, 0] == pytest.approx(plain.predict_proba(said)[:, 1], abs=0.01)
    assert told[held].mean() == pytest.approx(label[held].mean(), abs=0.005)


@pytest.mark.parametrize("rows", [None, np.arange(10, 10 + LEAST_TO_CALIBRATE - 1)])
def test_without_rows_to_calibrate_on_the_training_rows_give_the_share_of_positives(
    rows: np.ndarray | None,
) -> None:
    train = list(range(10))
    targets = targets_of("log-tpm:5", train)
    right = np.nan_to_num(targets.learned.astype(float))
    told = targets.probability(right, targets.calibrated(None if rows is None else right[rows], rows))
    told[targets.labels == UNKNOWN] = np.nan
    share = (np.sum(targets.labels[train] == 1, axis=0) + 0.5) / (
        np.sum(targets.labels[train] != UNKNOWN, axis=0) + 1
    )
    assert np.nanmean(told[train], axis=0) == pytest.approx(share, abs=1e-6)


@settings(max_examples=50)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20, unique=True), st.floats(0.01, 5.0))
def test_chances_rank_as_values_do_however_far_they_lie_from_the_cut(
    values: list[float], slope: float
) -> None:
    targets = targets_of("log-tpm:5", list(range(20)))
    said = np.sort(np.round(values, 3))[:, None].repeat(2, axis=1)
    told = targets.probability(said, (Calibration(slope, 0.3),) * 2)[:, 0]
    apart = np.diff(said[:, 0]) > 1e-2 * np.maximum(1.0, np.abs(said).max())
    assert (np.diff(told) >= 0).all()
    assert (np.diff(told)[apart] > 0).all()


def test_a_regression_does_not_see_the_biopsies_held_out() -> None:
    train = list(range(10))
    one, other = (targets_of("log-tpm:5", train, factor) for factor in (1.0, 50.0))
    assert np.array_equal(one.learned[train], other.learned[train], equal_nan=True)
    assert np.array_equal(one.cuts, other.cuts)
    assert not np.array_equal(one.learned[10:], other.learned[10:], equal_nan=True)
