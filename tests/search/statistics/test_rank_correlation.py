from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from search.statistics.predictions import Outputs
from search.statistics.rank_correlation import spearman_within_folds

biopsies = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([0.1, 0.2, 0.3, 0.9]),
        st.sampled_from([0.0, 1.0, 2.0, 5.0]),
        st.integers(0, 3),
    ),
    min_size=2,
    max_size=20,
)


def outputs_of(fold: list[int], score: list[float]) -> Outputs:
    nothing = np.zeros((1, len(fold)), dtype=np.int64)
    ranked = np.array([score])
    return Outputs(nothing, np.arange(len(fold)), np.array([fold]), ranked, ranked, nothing)


def slowly(fold: list[int], score: list[float], tpm: list[float], count: list[int]) -> float:
    """Each biopsy written down so often, scipy's correlation in each fold, averaged by their sizes."""
    total = size = 0.0
    for name in set(fold):
        rows = [i for i, of in enumerate(fold) if of == name for _ in range(count[i])]
        x, y = [score[i] for i in rows], [tpm[i] for i in rows]
        if len(set(x)) > 1 and len(set(y)) > 1:
            total += len(rows) * float(spearmanr(x, y).statistic)
            size += len(rows)
    return total / size if size else np.nan


@given(biopsies)
def test_it_is_scipys_in_each_fold_also_where_biopsies_are_drawn_several_times(
    rows: list[tuple[int, float, float, int]],
) -> None:
    fold, score, tpm, count = (list(column) for column in zip(*rows, strict=True))
    weight = np.array([[1.0] * len(rows), count])
    found = spearman_within_folds(outputs_of(fold, score), np.array(tpm), weight)
    expected = [slowly(fold, score, tpm, list(map(int, draw))) for draw in weight]
    assert found == pytest.approx(expected, nan_ok=True, abs=1e-12)


def test_folds_of_another_level_do_not_matter_and_undefined_ones_are_left_out() -> None:
    """Perfect in fold 0, reversed in the larger fold 1, constant in fold 2: (3 - 5) / 8."""
    fold = [0] * 3 + [1] * 5 + [2] * 4
    score = [0.1, 0.2, 0.3, 0.95, 0.94, 0.93, 0.92, 0.91, 0.5, 0.5, 0.5, 0.5]
    tpm = np.arange(12.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = spearman_within_folds(outputs_of(fold, score), tpm, np.ones((1, 12)))
    assert found == pytest.approx([-0.25])


def test_repeats_are_averaged() -> None:
    nothing = np.zeros((2, 3), dtype=np.int64)
    score = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])
    o = Outputs(nothing, np.arange(3), nothing, score, score, nothing)
    assert spearman_within_folds(o, np.array([1.0, 2.0, 3.0]), np.ones((1, 3))) == pytest.approx([0.0])
