from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from search.statistics.clustered import clustered_auc

# Patients by WFNS grade 1 to 5 after a subarachnoid haemorrhage, of good and of poor outcome: the data `aSAH`
# of the R package pROC (Turck 2010, Robin 2011), whose own tests hold the AUC and its variance.
GOOD, POOR = (37, 20, 3, 8, 4), (2, 12, 1, 8, 18)

clusters = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), st.integers(0, 5)),
    min_size=4,
    max_size=30,
)


def arrays(rows: list[tuple[int, float, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    label, score, who = (np.array(column) for column in zip(*rows, strict=True))
    return label, score.astype(float), who


def slowly(rows: list[tuple[int, float, int]]) -> tuple[Fraction | None, Fraction | None]:
    """The formulas of Obuchowski 1997, in the order in which the paper has them, in exact fractions."""
    positive = [(s, p) for y, s, p in rows if y == 1]
    negative = [(s, p) for y, s, p in rows if y == 0]
    m, n = len(positive), len(negative)
    if not m or not n:
        return None, None

    def psi(x: float, y: float) -> Fraction:
        return Fraction(1) if x > y else Fraction(1, 2) if x == y else Fraction(0)

    auc = sum(psi(x, y) for x, _ in positive for y, _ in negative) / Fraction(m * n)
    people = sorted({p for _, _, p in rows})
    i10, i01 = len({p for _, p in positive}), len({p for _, p in negative})
    if min(i10, i01) < 2:
        return auc, None
    s10 = s01 = s11 = Fraction(0)
    for person in people:
        v10 = sum(
            (sum(psi(x, y) for y, _ in negative) / n - auc for x, p in positive if p == person), Fraction(0)
        )
        v01 = sum(
            (sum(psi(x, y) for x, _ in positive) / m - auc for y, p in negative if p == person), Fraction(0)
        )
        s10, s01, s11 = s10 + v10 * v10, s01 + v01 * v01, s11 + v10 * v01
    s10 *= Fraction(i10, (i10 - 1) * m)
    s01 *= Fraction(i01, (i01 - 1) * n)
    s11 *= Fraction(len(people), len(people) - 1)
    return auc, s10 / m + s01 / n + 2 * s11 / (m * n)


def delong(label: np.ndarray, score: np.ndarray) -> float:
    """DeLong's variance: that of the mean concordance of the positives, and of the negatives."""
    x, y = score[label == 1], score[label == 0]
    psi = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    return float(psi.mean(axis=1).var(ddof=1) / len(x) + psi.mean(axis=0).var(ddof=1) / len(y))


@given(clusters)
def test_it_is_the_papers_formula_in_exact_fractions(rows: list[tuple[int, float, int]]) -> None:
    auc, variance = clustered_auc(*arrays(rows))
    exact_auc, exact_variance = slowly(rows)
    assert auc == (None if exact_auc is None else pytest.approx(float(exact_auc), abs=1e-12))
    assert variance == (None if exact_variance is None else pytest.approx(float(exact_variance), abs=1e-12))
    assert exact_variance is None or exact_variance >= 0


@given(clusters.filter(lambda rows: 1 < sum(y for y, _, _ in rows) < len(rows) - 1))
def test_one_biopsy_a_participant_gives_scikit_learns_auc_and_delongs_variance(
    rows: list[tuple[int, float, int]],
) -> None:
    label, score, _ = arrays(rows)
    auc, variance = clustered_auc(label, score, np.arange(len(label)))
    assert auc == pytest.approx(roc_auc_score(label, score))
    assert variance == pytest.approx(delong(label, score))


def test_a_small_case_by_hand() -> None:
    """Participant 0 has 3 and 1 (positive, negative), 1 has 2 and 2, 2 has 4 (positive), 3 has 0 (negative).

    Concordances with the other class: positives 3 -> 1, 2 -> 5/6, 4 -> 1; negatives 1 -> 1, 2 -> 5/6, 0 -> 1.
    A = 17/18, so a = (1/18, -2/18, 1/18, 0) and b = (1/18, -2/18, 0, 1/18). I = 4, I1 = I0 = 3, M = N = 3:
    Var = 2 (3/2) (6/324)/9 + 2 (4/3) (5/324)/9 = 1/162 + 10/2187 = 47/4374.
    """
    label = np.array([1, 0, 1, 0, 1, 0])
    score = np.array([3.0, 1.0, 2.0, 2.0, 4.0, 0.0])
    auc, variance = clustered_auc(label, score, np.array([0, 0, 1, 1, 2, 3]))
    assert auc == pytest.approx(17 / 18, abs=1e-15)
    assert variance == pytest.approx(47 / 4374, abs=1e-15)


def test_the_example_of_the_r_package_proc() -> None:
    score = np.concatenate([np.repeat(np.arange(1.0, 6.0), counts) for counts in (GOOD, POOR)])
    label = np.repeat([0, 1], [sum(GOOD), sum(POOR)])
    auc, variance = clustered_auc(label, score, np.arange(len(label)))
    assert auc == pytest.approx(0.82367886178861793, rel=1e-14)
    assert variance == pytest.approx(0.00146991470882363, rel=1e-12)


def test_copies_of_a_biopsy_tell_no_more_than_the_biopsy() -> None:
    rng = np.random.default_rng(0)
    label, score = rng.integers(0, 2, 40), rng.normal(size=40)
    once = clustered_auc(label, score, np.arange(40))
    thrice = clustered_auc(np.repeat(label, 3), np.repeat(score, 3), np.repeat(np.arange(40), 3))
    assert thrice == pytest.approx(once)
