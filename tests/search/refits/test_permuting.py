from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from data_prep.problems import InputError
from search.errors import StudyStoppedError
from search.metrics import pooled_metrics
from search.refits.permuting import Findings, Plan, draw, p_value, statistic
from search.statistics.selection import Rule
from tests.search.refits.stand_in import Toy, chooser, toy


def plan_of(cohort: Toy, null: str, count: int = 19, seed: int = 0, folds: int = 3) -> Plan:
    search = chooser(cohort.features.shape[1])
    return Plan.of(search, null, cohort.participant, lambda order: cohort.table(order, folds), count, seed)


def outcome(cohort: Toy, null: str, **options: int) -> Findings:
    return plan_of(cohort, null, **options).findings(cohort.fit)


@given(st.lists(st.floats(0, 1) | st.none(), max_size=50), st.floats(0, 1))
def test_a_p_value_counts_the_observed_order_and_what_could_not_be_fitted(
    values: list[float | None], observed: float
) -> None:
    worse = sum(value is not None and value < observed for value in values)
    assert p_value(observed, values) == pytest.approx((len(values) + 1 - worse) / (len(values) + 1))


def test_more_permutations_continue_a_test() -> None:
    cohort = toy(3)
    few, more = (outcome(cohort, "global", count=count) for count in (5, 12))
    assert few.values == more.values[:5]
    assert few.values != outcome(cohort, "global", count=5, seed=1).values


@pytest.mark.parametrize("null", ["global", "within"])
def test_a_permutation_is_the_whole_search_on_the_permuted_labels(null: str) -> None:
    """A second, plain implementation: relabel the cohort, make its folds, search it, look at the best."""
    cohort = toy(4)
    plan = plan_of(cohort, null, count=5)
    name = "roc_auc" if null == "global" else "within_participant_auc"
    for drawn, value in zip(plan.drawn, plan.findings(cohort.fit).values, strict=True):
        other = Toy(cohort.features, cohort.label[drawn.order], cohort.participant)
        folds = [
            [other.fit(fit).scores for fit in chooser().fits(other.table().splits()) if fit.config == config]
            for config in chooser().configs
        ]
        best = max(folds, key=lambda scores: pooled_metrics(scores)["roc_auc"] or 0.0)
        assert value == pytest.approx(pooled_metrics(best)[name])


def test_the_p_value_of_a_tiny_cohort_is_that_of_all_its_orders_and_holds_its_level() -> None:
    """4 participants with a positive and a negative each: 16 labellings, equally likely under the null."""
    cohort = toy(5, people=4, biopsies=2, features=2)
    values: dict[tuple[int, ...], float | None] = {}
    for swaps in product((0, 1), repeat=4):
        label = np.array([bit for swap in swaps for bit in (swap, 1 - swap)])
        one = Toy(cohort.features, label, cohort.participant)
        found = chooser(2).choose([one.fit(fit) for fit in chooser(2).fits(one.table(folds=2).splits())])
        assert found is not None
        values[swaps] = statistic("within", found.outputs)
    exact = {key: np.mean([value >= mine for value in values.values()]) for key, mine in values.items()}
    assert all(np.mean([p <= level for p in exact.values()]) <= level for level in np.arange(1, 17) / 16)
    for swaps in [(0, 0, 0, 0), (1, 0, 1, 1)]:
        label = np.array([bit for swap in swaps for bit in (swap, 1 - swap)])
        one = Toy(cohort.features, label, cohort.participant)
        drawn = outcome(one, "within", count=99, folds=2)
        assert drawn.observed == values[swaps]
        assert drawn.p_value == pytest.approx(exact[swaps], abs=4 * 0.5 / np.sqrt(99))


@pytest.mark.parametrize("null", ["global", "within"])
def test_p_values_are_uniform_without_signal_whatever_levels_participants_have(null: str) -> None:
    found = np.array([outcome(toy(seed, features=3), null, count=9, folds=2).p_value for seed in range(50)])
    jitter = np.random.default_rng(0).uniform(0, 1 / 10, 50)  # p is a multiple of 1/10
    assert kstest(found - jitter, "uniform").pvalue > 0.01
    assert np.mean(found <= 0.1) <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 50)


@pytest.mark.parametrize("null", ["global", "within"])
def test_a_signal_is_found(null: str) -> None:
    assert outcome(toy(1, people=20, signal=1.5), null).p_value == 1 / 20


def leaky(seed: int) -> Toy:
    """Images and labels of a participant share one level; a biopsy's own label is noise."""
    random = np.random.default_rng(seed)
    level = np.repeat(random.normal(size=16), 3)
    score = level + random.normal(size=48) * 0.5
    x = 3 * level[:, None] + random.normal(size=(48, 2))
    return Toy(x, (score > np.median(score)).astype(np.int64), np.repeat(np.arange(16), 3))


def test_labels_that_depend_on_the_participant_alone_are_no_signal_within() -> None:
    """Levels that images and labels share make the global null false; the other stays true."""
    globally, within = (
        [outcome(leaky(seed), null, count=9, folds=2).p_value for seed in range(10)]
        for null in ("global", "within")
    )
    assert np.mean(globally) < 0.15
    assert np.mean(within) > 0.3  # .55 on average, standard error .09


def test_an_order_without_folds_is_drawn_again() -> None:
    """Positives of two participants only: most orders that mix participants leave them two folds to be in."""
    refused = list[int]()

    def table(order: np.ndarray | None) -> object:
        if order is not None and order[0] != 0:
            refused.append(int(order[0]))
            raise InputError("validation.folds: no")
        return "table"

    drawn = draw("global", np.arange(3), table, 0, 4)  # type: ignore[arg-type]
    assert (drawn.order[0], drawn.drawn_again, drawn.table) == (0, len(refused), "table")


def test_accepted_orders_stay_equally_likely() -> None:
    def table(order: np.ndarray | None) -> object:
        if order is not None and order[0] == 1:
            raise InputError("validation.folds: no")
        return "table"

    found = [tuple(draw("global", np.arange(3), table, 0, b).order.tolist()) for b in range(800)]  # type: ignore[arg-type]
    legal = [order for order in permutations(range(3)) if order[0] != 1]
    assert set(found) == set(legal)
    assert all(abs(found.count(order) / 800 - 1 / 4) < 4 * np.sqrt(3 / 16 / 800) for order in legal)


def test_labels_none_of_whose_orders_has_folds_are_refused() -> None:
    def table(order: np.ndarray | None) -> object:
        raise InputError("validation.folds: 3 folds need both classes")

    with pytest.raises(StudyStoppedError, match=r"no order of the labels has folds: .*both classes"):
        draw("global", np.arange(3), table, 0, 0)  # type: ignore[arg-type]


def test_a_null_that_no_pair_of_biopsies_is_about_is_refused() -> None:
    cohort = toy(0, people=12, biopsies=1)
    with pytest.raises(InputError, match="--null within: within_participant_auc needs biopsies of different"):
        outcome(cohort, "within")


def test_a_search_of_which_nothing_can_be_fitted_is_refused() -> None:
    with pytest.raises(StudyStoppedError, match="no configuration could be fitted"):
        plan_of(toy(0), "global", count=1).findings(lambda _: None)


def test_the_rule_is_part_of_what_is_repeated() -> None:
    cohort, rule = toy(6), Rule("rank-average", top=3)
    search = chooser(rule=rule)
    plan = Plan.of(search, "global", cohort.participant, cohort.table, 3, 0)
    sizes = {
        len(found.members) for fits in plan.permuted if (found := search.choose([*map(cohort.fit, fits)]))
    }
    assert sizes == {3}
