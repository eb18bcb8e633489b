from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.metrics import DIRECTIONS
from search.statistics import sums as sums_module
from search.statistics.bbc import bootstrap
from search.statistics.draws import draw_participants
from search.statistics.predictions import Predictions
from search.statistics.selection import RULES, Rule
from search.statistics.sums import Sums
from tests.search.statistics.plainly import (
    combine_plainly,
    copies,
    make_predictions,
    metric_of,
    select_plainly,
)


def bootstrap_plainly(
    predictions: Predictions, rule: Rule, metric: str, draws: int, seed: int
) -> tuple[list[float | None], list[float | None]]:
    """The same draws, one at a time: select on the copies, combine, score on those who were not drawn."""
    selected, default = [], []
    for times in draw_participants(Sums(metric, predictions), draws, seed):
        undrawn = copies([float(t == 0) for t in times])
        members = select_plainly(rule, predictions, metric, copies(times.tolist()))
        selected.append(metric_of(combine_plainly(predictions, members), metric, undrawn))
        default.append(metric_of(predictions.outputs(predictions.default or 0), metric, undrawn))
    return selected, default


@pytest.mark.parametrize("metric", DIRECTIONS)
@pytest.mark.parametrize("rule", RULES)
def test_it_is_the_plain_loop_over_draws(rule: str, metric: str) -> None:
    predictions = make_predictions(2, repeats=2, default=4)
    ours = bootstrap(predictions, Rule(rule), metric, draws=6, seed=5)
    selected, default = bootstrap_plainly(predictions, Rule(rule), metric, draws=6, seed=5)
    assert ours.selected == pytest.approx(np.array(selected, float))
    assert ours.default == pytest.approx(np.array(default, float))


def test_chunks_of_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = make_predictions(repeats=2)
    whole = bootstrap(predictions, Rule(), "roc_auc", draws=50, seed=0)
    monkeypatch.setattr(sums_module, "CHUNK", 500)
    parts = bootstrap(predictions, Rule(), "roc_auc", draws=50, seed=0)
    assert np.array_equal(whole.selected, parts.selected)
    assert np.array_equal(whole.chance, parts.chance)


def test_without_an_untuned_configuration_there_is_none_to_compare() -> None:
    assert bootstrap(make_predictions(default=None), Rule(), "roc_auc", 5, 0).default is None


def test_one_configuration_is_always_the_one_selected() -> None:
    boot = bootstrap(make_predictions(configurations=1), Rule(), "brier", 20, 0)
    assert boot.default is not None
    assert np.array_equal(boot.selected, boot.default)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), rule=st.sampled_from(RULES), metric=st.sampled_from(sorted(DIRECTIONS)))
def test_the_order_of_rows_and_the_names_of_folds_say_nothing(seed: int, rule: str, metric: str) -> None:
    predictions = make_predictions(seed, repeats=2)
    order = np.random.default_rng(seed).permutation(len(predictions.participant))
    shuffled = replace(
        predictions,
        label=predictions.label[:, order],
        participant=predictions.participant[order],
        fold=2 - predictions.fold[:, order],
        probability=predictions.probability[:, :, order],
        threshold=predictions.threshold[:, :, order],
    )
    first, second = (bootstrap(p, Rule(rule), metric, 20, 0) for p in (predictions, shuffled))
    assert first.selected == pytest.approx(second.selected)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), rule=st.sampled_from(RULES))
def test_an_auc_does_not_change_when_the_classes_change_places(seed: int, rule: str) -> None:
    predictions = make_predictions(seed, decimals=2)
    swapped = replace(predictions, label=1 - predictions.label, probability=1 - predictions.probability)
    swapped = replace(swapped, probability=np.round(swapped.probability, 2))
    for metric in ("roc_auc", "within_participant_auc"):
        first, second = (bootstrap(p, Rule(rule), metric, 20, 0) for p in (predictions, swapped))
        assert first.selected == pytest.approx(second.selected)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), rule=st.sampled_from(RULES), power=st.sampled_from([0.5, 3.0]))
def test_an_auc_knows_ranks_alone(seed: int, rule: str, power: float) -> None:
    predictions = make_predictions(seed)
    bent = replace(predictions, probability=predictions.probability**power)
    first, second = (bootstrap(p, Rule(rule), "roc_auc", 20, 0) for p in (predictions, bent))
    assert np.array_equal(first.selected, second.selected)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), rule=st.sampled_from(RULES), metric=st.sampled_from(sorted(DIRECTIONS)))
def test_a_configuration_handed_out_twice_changes_nothing(seed: int, rule: str, metric: str) -> None:
    predictions = make_predictions(seed)
    size = len(predictions.trials)
    twice = replace(predictions.take([*range(size), 3, 0, 3]), trials=tuple(range(size + 3)))
    once = replace(predictions, trials=tuple(range(size)))
    first, second = (bootstrap(p, Rule(rule), metric, 20, 0) for p in (once, twice))
    assert first.selected == pytest.approx(second.selected)


@pytest.mark.parametrize("rule", RULES)
def test_what_one_metric_selects_can_be_scored_by_another(rule: str) -> None:
    """The same draws, one at a time: selected by the Brier score, scored by pairs within participants."""
    predictions, scored = make_predictions(2, repeats=2), "within_participant_auc"
    ours = bootstrap(predictions, Rule(rule), "brier", draws=6, seed=5, scored=scored)
    drawn = draw_participants(Sums(scored, predictions), 6, 5, also=Sums("brier", predictions))
    plain = []
    for times in drawn:
        members = select_plainly(Rule(rule), predictions, "brier", copies(times.tolist()))
        undrawn = copies([float(t == 0) for t in times])
        plain.append(metric_of(combine_plainly(predictions, members), scored, undrawn))
    assert ours.selected == pytest.approx(np.array(plain, float))
    assert np.all(ours.chance == 0.5)
