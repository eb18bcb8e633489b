from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
import pytest

from search.booking import book_fold
from search.pruner import PairedParticipantPruner, is_worse, participant_scores
from search.records import FoldResult

MakeFold = Callable[..., FoldResult]


def run_trial(study: optuna.Study, folds: list[FoldResult], value: float | None) -> optuna.Trial:
    trial = study.ask()
    for fold in folds:
        book_fold(trial, fold)
    if value is not None:
        study.tell(trial, value)
    return trial


def test_a_participants_score_is_the_mean_brier_score_of_its_biopsies(make_fold: MakeFold) -> None:
    fold = make_fold(labels=(0, 1) * 8, probabilities=(0.5, 0.0) + (0.0, 1.0) * 7)
    scored = participant_scores([fold])
    assert scored[0, 0] == pytest.approx((0.25 + 1.0) / 2)
    assert all(scored[0, person] == 0 for person in range(1, 8))


def test_a_clearly_worse_trial_is_worse_and_an_equal_one_is_not(make_fold: MakeFold) -> None:
    good, bad = [make_fold(0, 0.1), make_fold(1, 0.1)], [make_fold(0, 0.5), make_fold(1, 0.5)]
    assert is_worse(bad, good)
    assert not is_worse(good, good)
    assert not is_worse(good, bad)


def test_too_few_participants_decide_nothing(make_fold: MakeFold) -> None:
    few = {"participants": (0,) * 8 + (1,) * 8}
    assert not is_worse([make_fold(0, 0.5, **few)], [make_fold(0, 0.1, **few)])


def test_a_hopeless_trial_is_pruned_after_two_folds_and_five_complete_trials(
    empty_study: optuna.Study, make_fold: MakeFold
) -> None:
    pruner = PairedParticipantPruner()
    for complete in range(6):
        bad = run_trial(empty_study, [make_fold(0, 0.5), make_fold(1, 0.5)], None)
        assert pruner.prune(empty_study, frozen(empty_study, bad)) == (complete >= 5)
        run_trial(empty_study, [make_fold(k, 0.1) for k in range(5)], 0.9)
    one_fold = run_trial(empty_study, [make_fold(0, 0.5)], None)
    assert not pruner.prune(empty_study, frozen(empty_study, one_fold))


def test_trials_of_equal_quality_are_rarely_pruned(make_fold: MakeFold) -> None:
    """At level .005 a false prune is to be expected in 1 of 200; 6 of 200 would have a chance below .001."""
    rng = np.random.default_rng(0)

    def noisy() -> list[FoldResult]:
        return [make_fold(k, probabilities=tuple(rng.uniform(size=16))) for k in range(2)]

    assert sum(is_worse(noisy(), noisy()) for _ in range(200)) < 6


def frozen(study: optuna.Study, trial: optuna.Trial) -> optuna.trial.FrozenTrial:
    return study.get_trials()[trial.number]
