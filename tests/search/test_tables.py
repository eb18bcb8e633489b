from __future__ import annotations

import io
from typing import Any

import numpy as np
from rich.console import Console

from search.metrics import count_pairs
from search.results import study_record
from search.tables import describe, number, optimism, studies_table, trials_table, untrained


def printed(thing: Any, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(thing)
    return capture.get()


def trial(number: int, state: str, value: float | None, folds: int = 5) -> dict[str, Any]:
    return {
        "number": number,
        "state": state,
        "value": value,
        "params": {"architecture": "densenet201", "optimizer": "amsgrad", "learning_rate": 1e-3},
        "metrics": {"roc_auc": value},
        "folds_done": folds,
        "seconds": 12.3,
    }


def test_the_state_column_says_why_a_trial_did_not_end_well() -> None:
    endings = [
        ("COMPLETE", "complete"),
        ("PRUNED", "out of memory"),
        ("FAIL", "child lost"),
        ("RUNNING", None),
    ]
    rows = [{**trial(n, state, 0.6), "ending": ending} for n, (state, ending) in enumerate(endings)]
    lines = printed(trials_table(record(*rows)), width=120).splitlines()
    told = [line[7:21].strip() for line in lines if line.strip()[:1].isdigit()]
    assert told == ["done", "out of memory", "child lost", "running"]


def record(*trials: dict[str, Any], best: int | None = None) -> dict[str, Any]:
    return {
        "study": "s",
        "trials": list(trials),
        "best_trial": best,
        "honest": {"metric": "roc_auc"},
        "cohort": {"biopsies": 20, "positive": 10},
    }


def test_a_table_of_trials_fits_a_terminal_of_80_columns_with_nothing_cut() -> None:
    text = printed(trials_table(record(trial(107, "COMPLETE", 0.61249), best=107)))
    assert max(map(len, text.splitlines())) <= 80
    for shown in ("107 *", "done", "densenet201", "amsgrad", "1.0e-03", "0.612", "12 s"):
        assert shown in text
    assert "…" not in text


def test_on_a_narrow_terminal_the_value_is_the_last_thing_to_go() -> None:
    assert "0.612" in printed(trials_table(record(trial(107, "COMPLETE", 0.61249), best=107)), width=40)


def test_the_best_value_comes_with_the_warning_that_it_is_the_largest_of_many() -> None:
    text = printed(trials_table(record(trial(0, "COMPLETE", 0.6), best=0)), width=200)
    assert "best: trial 0, roc_auc 0.600" in text
    assert "too good" in text


def test_the_warning_tells_how_far_chance_carries_an_auc_on_this_cohort() -> None:
    """The standard error against 4,000 random scores of 75 positive and 75 negative biopsies."""
    label = np.repeat([0, 1], 75)
    rng = np.random.default_rng(0)
    spread = np.std([count_pairs(label, rng.random(150)).auc for _ in range(4000)])
    cohort = {"biopsies": 150, "positive": 75}
    said = optimism({"cohort": cohort, "honest": {"metric": "roc_auc"}})
    assert f"strays from 0.5 by {spread:.2f}" in said
    assert "AUC" not in optimism({"cohort": cohort, "honest": {"metric": "brier"}})


def test_a_study_without_results_says_so() -> None:
    text = printed(trials_table(record(trial(0, "WAITING", None, folds=2), trial(1, "FAIL", None, folds=0))))
    assert "waiting" in text
    assert "failed" in text
    assert "No trial is complete yet." in text


def test_a_real_study_is_described_by_its_cohort_its_labels_and_its_folds(finished: Any) -> None:
    text = printed(describe(study_record(finished.outcome.study, finished.home)), width=120)
    assert "cohort toy: 36 biopsies of 12 participants, 18 positive" in text
    assert "label CD3D: 18 of 36 biopsies above" in text
    assert "folds: 3 x 1" in text


def test_a_list_of_studies_shows_each_by_name() -> None:
    row = {"study": "cd3d", "cohort": "toy", "trials": 3, "metric": "roc_auc", "best": None}
    assert "cd3d" in printed(studies_table([row]))


def test_an_undefined_number_is_a_dash() -> None:
    assert (number(None), number(0.5)) == ("-", "0.500")


def reached(radius: int, dead: int | None, architecture: str = "resnet50") -> dict[str, Any]:
    params = {"architecture": architecture, "patch_radius": radius}
    return {"params": params, "dead_parameters": dead, "trainable_parameters": 24_110_977}


def test_weights_that_never_train_are_told_once_for_each_radius() -> None:
    trials = [reached(8, 6_291_456), reached(4, 9_437_184), reached(8, 6_291_456), reached(16, 0)]
    told = str(untrained({"trials": [*trials, reached(8, None, "densenet201")]})).splitlines()
    assert told == [
        "resnet50 at radius 4: 9,437,184 of 24,110,977 weights (39%) meet padding alone and never train",
        "resnet50 at radius 8: 6,291,456 of 24,110,977 weights (26%) meet padding alone and never train",
    ]


def test_nothing_is_told_where_every_weight_trains() -> None:
    assert untrained({"trials": [reached(16, 0), reached(8, None)]}) is None
