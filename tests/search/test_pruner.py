from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from scipy.stats import t as student

from search.booking import book_fold
from search.metrics import DIRECTIONS, Scores, pooled_metrics
from search.pruner import (
    PairedParticipantPruner,
    Parts,
    is_hopeless,
    leaders,
    leading_on_some_split,
    part_of,
    worse_p_value,
)
from search.records import FoldResult

MakeFold = Callable[..., FoldResult]
PARTICIPANTS, BIOPSIES, FOLDS = 45, 150, 5


class Cohort:
    """Participants in folds whose molecular level and whose errors have participant random effects."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        extra = self.rng.integers(PARTICIPANTS, size=BIOPSIES - PARTICIPANTS)
        self.participant = np.sort(np.concatenate([np.arange(PARTICIPANTS), extra]))
        self.level, self.difficulty = self.field(), self.field()

    def field(self) -> np.ndarray:
        own, person = self.rng.standard_normal(BIOPSIES), self.rng.standard_normal(PARTICIPANTS)
        return np.sqrt(0.3) * person[self.participant] + np.sqrt(0.7) * own

    def trial(self, rho: float) -> list[Scores]:
        """A trial whose score correlates by rho with the level; AUC .5 + 2/pi asin(rho / sqrt 2)."""
        error = np.sqrt(0.6) * self.difficulty + np.sqrt(0.4) * self.field()
        score = 1 / (1 + np.exp(-rho * self.level - np.sqrt(1 - rho**2) * error))
        label, fold = (self.level > 0).astype(np.int64), self.participant % FOLDS
        rows = [fold == k for k in range(FOLDS)]
        return [Scores(label[r], score[r], self.participant[r], 0.5) for r in rows]


def parts_of(folds: list[Scores], metric: str = "roc_auc") -> Parts:
    return Parts({split: part_of(fold, metric) for split, fold in enumerate(folds)})


def share_pruned(seeds: range, rho: float, leading: float, complete: int) -> float:
    pruned = 0
    for seed in seeds:
        cohort = Cohort(seed)
        others = [parts_of(cohort.trial(leading)) for _ in range(complete)]
        mine = parts_of(cohort.trial(rho))
        looks = [Parts({k: mine[k] for k in range(look)}) for look in range(2, FOLDS)]
        pruned += any(is_hopeless(look, others, "roc_auc") for look in looks)
    return pruned / len(seeds)


@pytest.mark.parametrize("metric", sorted(set(DIRECTIONS) - {"f1"}))
def test_the_parts_of_all_folds_make_the_metric(metric: str) -> None:
    folds = Cohort(0).trial(0.5)
    totals = np.sum([part_of(fold, metric).total for fold in folds], axis=0)
    sign = 1 if DIRECTIONS[metric] == "maximize" else -1
    assert sign * totals[0] / totals[1] == pytest.approx(pooled_metrics(folds)[metric])


def test_the_error_of_the_difference_is_that_of_a_jackknife_over_participants() -> None:
    cohort = Cohort(1)
    mine, other = cohort.trial(0.2), cohort.trial(0.5)

    def difference(left_out: int) -> float:
        def auc(folds: list[Scores]) -> float:
            kept = [fold.participant != left_out for fold in folds]
            parts = [
                Scores(f.label[k], f.probability[k], f.participant[k], 0.5)
                for f, k in zip(folds, kept, strict=True)
            ]
            return pooled_metrics(parts)["roc_auc"] or 0.0

        return auc(other) - auc(mine)

    jackknife = np.array([difference(person) for person in range(PARTICIPANTS)])
    error = np.sqrt((PARTICIPANTS - 1) / PARTICIPANTS * ((jackknife - jackknife.mean()) ** 2).sum())
    p = worse_p_value(parts_of(mine), [parts_of(other)], "roc_auc")
    assert difference(-1) / student.isf(p, PARTICIPANTS - 1) == pytest.approx(error, rel=0.1)


def test_trials_of_equal_quality_are_rarely_pruned_though_the_leaders_were_lucky() -> None:
    """Equal ones at 5 % at most by the correction for three looks; 10 of 200 are measured to be far off."""
    assert share_pruned(range(200), rho=0.44, leading=0.44, complete=12) <= 0.05


def test_a_much_worse_trial_is_mostly_pruned() -> None:
    """AUC .5 against .7 (rho .44): about nine in ten."""
    assert share_pruned(range(60), rho=0.0, leading=0.44, complete=6) >= 0.7


def test_leaders_are_chosen_by_the_other_folds(make_fold: MakeFold) -> None:
    def trial(*errors: float) -> Parts:
        return parts_of([make_fold(k, error).scores for k, error in enumerate(errors)], "brier")

    lucky, steady = trial(0.0, 0.3, 0.3), [trial(0.3, 0.2, 0.2) for _ in range(3)]
    led = [any(leader is lucky for leader in leaders([lucky, *steady], split)) for split in range(3)]
    assert led == [False, True, True]


@pytest.mark.parametrize("seed", range(5))
def test_the_trials_kept_have_the_leaders_of_all_whatever_order_they_end_in(
    seed: int, make_fold: MakeFold
) -> None:
    rng = np.random.default_rng(seed)

    def trial() -> Parts:  # of few distinct scores, so that many are equally good
        return parts_of(
            [make_fold(k, error).scores for k, error in enumerate(rng.integers(1, 4, 3) / 10)], "brier"
        )

    study, kept = {number: trial() for number in range(60)}, dict[int, Parts]()
    for number in rng.permutation(60).tolist():
        kept = leading_on_some_split({**kept, number: study[number]})
    assert len(kept) <= 9
    for split in range(3):
        wanted = [id(parts) for parts in leaders(list(study.values()), split)]
        assert [id(parts) for parts in leaders(list(kept.values()), split)] == wanted


def test_a_repeat_of_the_folds_counts_participants_once(make_fold: MakeFold) -> None:
    def trial(error: float, repeats: int) -> Parts:
        folds = [make_fold(k, error, probabilities=noisy(k, error)) for k in range(3)]
        return Parts(
            {
                3 * repeat + k: part_of(fold.scores, "brier", repeat)
                for repeat in range(repeats)
                for k, fold in enumerate(folds)
            }
        )

    def noisy(split: int, error: float) -> tuple[float, ...]:
        wrong = np.clip(error + 0.1 * np.random.default_rng(split).standard_normal(16), 0, 1)
        return tuple(np.where(np.tile([0, 1], 8) == 1, 1 - wrong, wrong))

    once, twice = (worse_p_value(trial(0.32, n), [trial(0.3, n)], "brier") for n in (1, 2))
    assert twice == pytest.approx(once)


def test_a_good_ranking_of_poor_calibration_is_pruned_by_brier_alone(make_fold: MakeFold) -> None:
    complete = [[make_fold(k, 0.1).scores for k in range(5)] for _ in range(3)]
    shifted = [make_fold(k, 0.45).scores for k in range(2)]
    by_metric = {
        metric: is_hopeless(parts_of(shifted, metric), [parts_of(c, metric) for c in complete], metric)
        for metric in ("roc_auc", "brier")
    }
    assert by_metric == {"roc_auc": False, "brier": True}


def test_too_few_participants_decide_nothing(make_fold: MakeFold) -> None:
    few = {"participants": (0,) * 8 + (1,) * 8}
    good, bad = (parts_of([make_fold(k, e, **few).scores for k in range(2)], "brier") for e in (0.1, 0.5))
    assert worse_p_value(bad, [good], "brier") == 1.0


def run_trial(study: optuna.Study, folds: list[FoldResult], value: float | None) -> optuna.Trial:
    trial = study.ask()
    for fold in folds:
        book_fold(trial, fold)
    if value is not None:
        study.tell(trial, value)
    return trial


def frozen(study: optuna.Study, trial: optuna.Trial) -> optuna.trial.FrozenTrial:
    return study.get_trials()[trial.number]


def test_a_hopeless_trial_is_pruned_after_two_folds_and_three_complete_trials(
    empty_study: optuna.Study, make_fold: MakeFold
) -> None:
    pruner = PairedParticipantPruner("roc_auc")
    wrong = {"probabilities": tuple(np.tile([0.6, 0.4], 8) + np.linspace(0, 0.3, 16))}
    for complete in range(4):
        bad = run_trial(empty_study, [make_fold(0, **wrong), make_fold(1, **wrong)], None)
        assert pruner.prune(empty_study, frozen(empty_study, bad)) == (complete >= 3)
        run_trial(empty_study, [make_fold(k, 0.1) for k in range(5)], 0.9)
    one_fold = run_trial(empty_study, [make_fold(0, **wrong)], None)
    good = run_trial(empty_study, [make_fold(0, 0.1), make_fold(1, 0.1)], None)
    assert not pruner.prune(empty_study, frozen(empty_study, one_fold))
    assert not pruner.prune(empty_study, frozen(empty_study, good))


def test_a_complete_trial_without_folds_is_no_reference(
    empty_study: optuna.Study, make_fold: MakeFold
) -> None:
    for _ in range(4):
        run_trial(empty_study, [], 0.9)
    bad = run_trial(empty_study, [make_fold(0, 0.5), make_fold(1, 0.5)], None)
    assert not PairedParticipantPruner("brier").prune(empty_study, frozen(empty_study, bad))
