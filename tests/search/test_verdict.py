"""What a reader is told of a study's result."""

from __future__ import annotations

from typing import Any

import pytest

from search.metrics import DIRECTIONS
from search.verdict import verdict

TEST = {"statistic": "roc_auc", "permutations": 199, "configurations": 20, "reductions": []}
TEST |= {"earlier": 0, "caution": None}


def record(**changes: Any) -> dict[str, Any]:
    honest = {
        "metric": "roc_auc",
        "estimate": 0.61,
        "ci95": [0.48, 0.72],
        "naive": 0.66,
        "selected_naive": 0.67,
        "method": "participant-bootstrap BBC-CV",
        "p_value": None,
        "permutation": None,
        "claim": False,
        "chance": 0.5,
        "reason": None,
        "draws": 1000,
        "configurations": 24,
        "distinct": 9,
        "tuned_minus_default": {"default_trial": 0, "estimate": 0.02, "ci95": [-0.05, 0.08]},
    }
    selected = {"rule": "rank-average", "trials": [3, 7, 1]}
    trial = {"number": 3, "metrics": dict.fromkeys(DIRECTIONS, 0.66), "complete_cases": None}
    trial |= {"further_labels": {}}
    return {"selected": selected, "honest": honest | changes, "trials": [trial]}


def said(**changes: Any) -> str:
    return verdict(record(**changes)).plain


def test_the_honest_estimate_comes_before_the_naive_values_with_its_interval_and_its_method() -> None:
    text = said()
    assert "mean rank of trials 3, 7, 1" in text
    assert "0.610 (95 % interval 0.480 to 0.720)" in text
    assert "0.670 on the data that selected it; the best trial alone 0.660" in text
    assert "1000 draws, 24 trials (9 different)" in text
    assert text.index("0.610") < text.index("0.670")


def test_tuned_minus_default_is_always_there() -> None:
    assert "tuned minus default (trial 0): +0.020 (95 % interval -0.050 to +0.080)" in said()
    assert "tuned minus default: unknown" in said(tuned_minus_default=None)
    assert "tuned minus default" in said(estimate=None, reason="there is 1 participant")


@pytest.mark.parametrize(
    ("claim", "words"),
    [(True, "better than chance at"), (False, "not told apart from"), (None, "too few participants to say")],
)
def test_whether_there_is_a_signal_is_said_in_words(claim: bool | None, words: str) -> None:
    assert words in said(claim=claim)
    assert all(words not in said(claim=other) for other in (True, False, None) if other is not claim)


def test_an_estimate_above_one_half_without_a_claim_is_not_left_to_look_like_a_weak_signal() -> None:
    assert "without any signal such an estimate is about 0.52 to 0.54" in said(claim=False)
    assert "without any signal" not in said(claim=True)
    assert "without any signal" not in said(claim=False, metric="accuracy")


@pytest.mark.parametrize("metric", ["brier", "log_loss"])
def test_of_a_metric_that_is_minimised_it_is_said_which_way_is_better(metric: str) -> None:
    lines = said(metric=metric, chance=0.25).splitlines()
    assert all("(lower is better)" in line for line in lines if line.startswith(("honest", "tuned")))
    assert any("chance: 0.250" in line for line in lines)
    assert "lower is better" not in said()


def test_without_an_estimate_the_reason_is_told() -> None:
    text = said(estimate=None, ci95=[None, None], reason="one participant is not enough")
    assert "honest estimate: none, as one participant is not enough" in text


def test_a_permutation_test_is_told_with_what_was_permuted() -> None:
    text = said(p_value=0.015, permutation=TEST)
    assert "(roc auc, 20 configurations, 199 permutations): p = 0.015" in text
    reduced = said(p_value=0.015, permutation={**TEST, "reductions": ["training.epochs=1"]})
    assert "reduced by training.epochs=1): p" in reduced
    second = said(p_value=0.015, permutation={**TEST, "earlier": 2, "caution": "declared after the search"})
    assert "after 2 earlier tests): p" in second
    assert second.endswith("declared after the search")
    assert "p =" not in said()
    assert "it cannot be read" in said(permutation={"problem": "x.json: it cannot be read"})


def test_a_study_without_a_complete_trial_has_no_verdict() -> None:
    assert verdict({"selected": {"rule": "argmax", "trials": []}, "honest": {}}).plain == ""


def test_complete_cases_and_further_labels_stand_beside() -> None:
    told = record()
    assert "every sequence" not in verdict(told).plain
    told["trials"][0] |= {
        "complete_cases": {"biopsies": 101, "metrics": {"roc_auc": 0.7}},
        "further_labels": {"CD8A": {"roc_auc": 0.6}, "GFAP": {"roc_auc": None}},
    }
    text = verdict(told).plain
    assert "trial 3 on the 101 biopsies with every sequence: roc auc 0.700 (on all: 0.660)" in text
    assert "trial 3, labels beside: CD8A 0.600, GFAP - (roc auc; the one searched for: 0.660)" in text
