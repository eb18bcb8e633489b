from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.metrics import DIRECTIONS
from search.statistics.predictions import Outputs, Predictions
from search.statistics.selection import RULES, Rule, combined, select, standard_error
from tests.search.statistics.plainly import combine_plainly, everybody, make_predictions, select_plainly


@pytest.mark.parametrize("metric", DIRECTIONS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("seed", "repeats"), [(0, 1), (1, 3), (2, 2), (3, 1)])
def test_the_selection_is_that_of_plain_loops(rule: str, metric: str, seed: int, repeats: int) -> None:
    predictions = make_predictions(seed, repeats=repeats)
    expected = select_plainly(Rule(rule), predictions, metric, everybody(predictions))
    assert list(select(Rule(rule), predictions, metric)) == expected


@pytest.mark.parametrize(("seed", "repeats"), [(0, 1), (1, 3)])
@pytest.mark.parametrize("members", [(2,), (4, 1), (0, 1, 2, 3, 5)])
def test_what_is_said_together_is_that_of_plain_loops(
    seed: int, repeats: int, members: tuple[int, ...]
) -> None:
    predictions = make_predictions(seed, repeats=repeats)
    ours, plain = combined(predictions, members), combine_plainly(predictions, members)
    for name in Outputs.__dataclass_fields__:
        assert getattr(ours, name) == pytest.approx(getattr(plain, name)), name


def by_hand(values: list[list[float]], parameters: list[float]) -> Predictions:
    """Six participants of one biopsy in three folds, a positive and a negative each."""
    probability = np.array(values)[:, None]
    return Predictions(
        np.array([[1, 0, 1, 0, 1, 0]]),
        np.arange(6),
        np.array([[0, 0, 1, 1, 2, 2]]),
        probability,
        np.full_like(probability, 0.5),
        trials=tuple(range(len(values))),
        settings=tuple({} for _ in values),
        parameters=np.array(parameters),
        default=None,
        handed_out=len(values),
    )


RIGHT, TWO, ONE = (
    [0.9, 0.1, 0.8, 0.2, 0.7, 0.3],
    [0.9, 0.1, 0.8, 0.2, 0.3, 0.7],
    [0.9, 0.1, 0.2, 0.8, 0.3, 0.7],
)


def test_simplest_within_one_standard_error_by_hand() -> None:
    """AUCs 2/3, 2/3 and 1/3; the best has folds 1, 1, 0: standard error (1/3) sqrt(3) / sqrt(3) = 1/3."""
    predictions = by_hand([TWO, [0.7, 0.3, 0.2, 0.8, 0.9, 0.1], ONE], [500.0, 50.0, 5.0])
    assert select(Rule("one-se"), predictions, "roc_auc") == (2,)
    assert select(Rule("argmax"), predictions, "roc_auc") == (1,)  # a tie goes to fewer parameters
    perfect = by_hand([RIGHT, TWO], [500.0, 5.0])  # its folds agree, so that nothing is within 0 of it
    assert select(Rule("one-se"), perfect, "roc_auc") == (0,)


def test_among_as_many_parameters_the_best_then_the_earlier_trial() -> None:
    predictions = by_hand([ONE, TWO, [p / 2 for p in TWO]], [5.0, 5.0, 5.0])
    assert select(Rule("one-se"), predictions, "roc_auc") == (1,)
    assert select(Rule("rank-average", top=3), predictions, "roc_auc") == (1, 2, 0)


def test_repeats_do_not_narrow_the_standard_error() -> None:
    folds = np.array([[0.5], [0.7], [0.6]])
    once, twice = standard_error(folds, 1), standard_error(np.concatenate([folds, folds]), 2)
    assert once == pytest.approx(0.1 / np.sqrt(3))
    assert twice == pytest.approx(np.sqrt(0.04 / 5) / np.sqrt(3))
    assert standard_error(np.array([[0.5], [np.nan]]), 1).tolist() == [0.0]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), rule=st.sampled_from(RULES), metric=st.sampled_from(sorted(DIRECTIONS)))
def test_what_predicts_the_same_counts_once(seed: int, rule: str, metric: str) -> None:
    """The same configurations, all handed out a second time, later."""
    predictions = make_predictions(seed)
    size = len(predictions.trials)
    twice = replace(predictions.take([*range(size), *range(size)]), trials=tuple(range(10, 10 + 2 * size)))
    chosen = select(Rule(rule), twice, metric)
    assert chosen == select(Rule(rule), predictions, metric)
    assert len(set(chosen)) == len(chosen)


def test_the_same_probabilities_with_another_threshold_say_something_else() -> None:
    """The second calls everything positive; the earlier one of fewer parameters must not stand for it."""
    predictions = by_hand([ONE, ONE, RIGHT], [5.0, 6.0, 7.0])
    predictions.threshold[1] = 0.05
    assert select(Rule("rank-average", top=3), predictions, "f1") == (2, 1, 0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), rule=st.sampled_from(RULES), power=st.sampled_from([0.5, 2.0, 3.0]))
def test_an_auc_knows_ranks_alone(seed: int, rule: str, power: float) -> None:
    predictions = make_predictions(seed)
    bent = replace(predictions, probability=predictions.probability**power)
    for metric in ("roc_auc", "within_participant_auc"):
        members = select(Rule(rule), predictions, metric)
        assert select(Rule(rule), bent, metric) == members
        if len(members) > 1:
            assert np.array_equal(combined(bent, members).score, combined(predictions, members).score)


def test_a_confident_ensemble_is_ranked_by_fold() -> None:
    """Each fold's ranks are its own: what a fold's model says of others' biopsies is not compared."""
    predictions = by_hand([RIGHT, RIGHT], [5.0, 6.0])
    assert combined(predictions, (0, 1)).score.tolist() == [[2 / 3, 1 / 3] * 3]


@pytest.mark.parametrize(
    ("configurations", "rule", "members"),
    [
        (100, Rule(), 15),
        (10, Rule(), 3),
        (2, Rule(), 2),
        (30, Rule(), 4),
        (100, Rule(top=1), 1),
        (7, Rule(top=9), 7),
        (9, Rule("one-se", top=4), 1),
        (9, Rule("argmax"), 1),
    ],
)
def test_how_many_are_taken(configurations: int, rule: Rule, members: int) -> None:
    assert rule.members(configurations) == members


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of rank-average, one-se, argmax, but got 'best'"):
        Rule("best")
    with pytest.raises(ValueError, match="top must be at least 1, but got 0"):
        Rule(top=0)
