"""Intraclass correlations: published values, a plain analysis of variance, known truths, draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.statistics.agreement import FORMS, LEAST, Drawn, Measure, icc, mean_squares

# Shrout and Fleiss (1979), table 2: 6 targets, 4 judges.
JUDGED = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)
# Values of their table 4; the ends of the intervals are those that R's psych 2.x prints for these data.
PUBLISHED = {"1": (0.17, -0.13, 0.72), "A": (0.29, 0.02, 0.76), "C": (0.71, 0.34, 0.95)}


def paired(seed: int, people: int = 20, each: int = 3, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n, 2) of sites whose participants have levels of their own, and the participants."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    truth = rng.normal(size=people)[who] + rng.normal(size=len(who))
    return truth[:, None] + noise * rng.normal(size=(len(who), 2)), who


@pytest.mark.parametrize("form", FORMS)
def test_the_published_example_comes_out(form: str) -> None:
    found = icc(JUDGED, form)
    assert found.value is not None
    assert found.textbook is not None
    assert (round(found.value, 2), *(round(end, 2) for end in found.textbook)) == PUBLISHED[form]
    assert found.drawn is None
    assert found.ci95 == found.textbook


def test_mean_squares_are_those_of_the_published_table() -> None:
    found = mean_squares(JUDGED)
    told = (found.between, found.within, found.columns, found.error)
    assert [round(float(value), 2) for value in told] == [11.24, 6.26, 32.49, 1.02]


@given(
    scores=st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=12),
    scale=st.floats(0.01, 100),
    shift=st.floats(-1e3, 1e3),
)
def test_an_icc_follows_no_unit_and_an_analysis_of_variance_gives_it(
    scores: list[tuple[int, int]], scale: float, shift: float
) -> None:
    x = np.array(scores, dtype=float)
    n, k = x.shape
    rows, columns, mean = x.mean(axis=1), x.mean(axis=0), x.mean()
    between = k * ((rows - mean) ** 2).sum() / (n - 1)
    within = ((x - rows[:, None]) ** 2).sum() / (n * (k - 1))
    across = n * ((columns - mean) ** 2).sum() / (k - 1)
    error = ((x - rows[:, None] - columns + mean) ** 2).sum() / ((n - 1) * (k - 1))
    plain = {
        "1": (between - within, between + (k - 1) * within),
        "A": (between - error, between + (k - 1) * error + k * (across - error) / n),
        "C": (between - error, between + (k - 1) * error),
    }
    for form, (top, bottom) in plain.items():
        for seen in (x, x * scale + shift):
            value = icc(seen, form).value
            if bottom <= 1e-9:
                assert value is None or abs(top) < 1e-9 or bottom < 1e-9
            else:
                assert value == pytest.approx(top / bottom, abs=1e-6)


def in_folds(seed: int, levels: float) -> tuple[np.ndarray, np.ndarray]:
    """Sites of 4 folds whose models are shifted against each other; ICC .8 within a fold."""
    rng = np.random.default_rng(seed)
    fold = np.repeat(np.arange(4), 15)
    truth = levels * rng.normal(size=4)[fold] + rng.normal(size=60)
    return truth[:, None] + 0.5 * rng.normal(size=(60, 2)), fold


@pytest.mark.parametrize("form", FORMS)
def test_what_models_of_folds_are_shifted_by_is_no_agreement(form: str) -> None:
    plain, fold = in_folds(0, 0.0)
    shifted = plain + np.array([0.0, 5.0, -3.0, 9.0])[fold][:, None]
    within, moved = icc(plain, form, strata=fold), icc(shifted, form, strata=fold)
    assert moved.value == pytest.approx(within.value)
    assert moved.textbook == pytest.approx(within.textbook)
    assert (icc(shifted, form).value or 0.0) > 0.97
    constant = np.repeat([0.4, 0.5, 0.6, 0.3], 15)
    assert icc(np.stack([constant, constant], axis=1), form, strata=fold) == Measure(None)


def test_within_folds_sites_have_a_degree_of_freedom_less_for_each() -> None:
    """By the analysis of variance of each fold, added up."""
    scores, fold = in_folds(1, 3.0)
    squares = sum(
        2 * ((scores[fold == one].mean(axis=1) - scores[fold == one].mean()) ** 2).sum() for one in range(4)
    )
    found, whole = mean_squares(scores, fold), mean_squares(scores)
    assert float(found.between) == pytest.approx(squares / 56)
    assert (float(found.freedom), float(whole.freedom)) == (56, 59)
    for part in ("within", "columns", "error"):
        assert getattr(found, part) == getattr(whole, part)


@pytest.mark.parametrize("form", FORMS)
def test_intervals_cover_within_folds(form: str) -> None:
    held = np.zeros(2)
    for seed in range(200):
        scores, fold = in_folds(seed, 2.0)
        found = icc(scores, form, Drawn(np.arange(60), draws=400), strata=fold)
        for place, ends in enumerate((found.textbook, found.drawn)):
            held[place] += ends is not None and ends[0] <= 0.8 <= ends[1]
    assert (held / 200 >= 0.9).all()
    assert (held / 200 <= 0.99).all()


@pytest.mark.parametrize("form", FORMS)
def test_two_equal_scans_agree_wholly_and_constant_ones_tell_nothing(form: str) -> None:
    once = np.random.default_rng(0).normal(size=9)
    equal = icc(np.stack([once, once], axis=1), form, Drawn(np.arange(9)))
    assert equal == Measure(1.0, (1.0, 1.0), (1.0, 1.0))
    assert icc(np.ones((9, 2)), form) == Measure(None)
    assert icc(np.zeros((LEAST - 1, 2)), form) == Measure(None)


def test_a_shift_between_scans_counts_against_absolute_agreement_alone() -> None:
    scores, _ = paired(1, noise=0.1)
    shifted = scores + np.array([0.0, 2.0])
    for form, changes in (("1", True), ("A", True), ("C", False)):
        before, after = icc(scores, form).value, icc(shifted, form).value
        assert before is not None
        assert after is not None
        assert (after < before - 0.2) == changes
        assert changes or after == pytest.approx(before)


@pytest.mark.parametrize("form", FORMS)
def test_textbook_intervals_cover_where_sites_are_independent(form: str) -> None:
    """ICC 1 / (1 + .25) = .8 of both forms without shifts; 400 cohorts of 40, nominal 95 %."""
    held = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=(40, 1)) + 0.5 * rng.normal(size=(40, 2))
        ends = icc(scores, form).textbook
        held += ends is not None and ends[0] <= 0.8 <= ends[1]
    assert 0.92 <= held / 400 <= 0.98


def test_draws_of_participants_are_those_of_a_plain_bootstrap() -> None:
    scores, who = paired(3)
    ends = icc(scores, "A", Drawn(who, draws=1500)).drawn
    assert ends is not None
    rng, values = np.random.default_rng(5), []
    for _ in range(1500):
        rows = np.concatenate([np.flatnonzero(who == one) for one in rng.integers(0, 20, size=20)])
        values.append(icc(scores[rows], "A").value)
    assert np.quantile(np.array(values, float), [0.025, 0.975]) == pytest.approx(ends, abs=0.02)


def test_sites_of_few_participants_widen_the_interval_that_is_shown() -> None:
    """Levels of participants make up what sites differ by: 60 sites are not 60 then."""
    rng = np.random.default_rng(2)
    who = np.repeat(np.arange(8), 8)
    scores = (
        rng.normal(size=8)[who][:, None]
        + 0.05 * rng.normal(size=(64, 1))
        + 0.5 * rng.normal(size=(8, 2))[who]
    )
    found = icc(scores, "1", Drawn(who))
    assert found.textbook is not None
    assert found.ci95 == found.drawn is not None
    assert found.drawn[1] - found.drawn[0] > 1.3 * (found.textbook[1] - found.textbook[0])


def test_of_few_participants_nothing_is_drawn() -> None:
    scores, who = paired(3, people=5)
    drawn = Drawn(who)
    assert (drawn.participants, drawn.is_told) == (5, False)
    assert icc(scores, "A", drawn).drawn is None
    assert icc(scores, "A", drawn, independent=False).ci95 is None
