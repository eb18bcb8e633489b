"""Which fits a model is made of, and what becomes of those that cannot be made or come out otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data_prep.problems import InputError
from search.deployment.plan import RefitPlan, check_as_booked, check_fitted, plan_refit
from search.facts import rule_of
from search.fold import Task
from search.records import FoldResult
from search.refits.fit import Fit
from search.statistics.predictions import predictions_of
from search.statistics.selection import select
from tests.search.deployment.conftest import Refitted


@pytest.fixture
def plan(refitted: Refitted) -> Callable[..., RefitPlan]:
    def make(**options: Any) -> RefitPlan:
        return plan_refit(refitted.recorded, refitted.study, refitted.material, **options)

    return make


def test_what_the_study_selects_is_fitted_on_its_folds_and_on_everybody(
    plan: Callable[..., RefitPlan], refitted: Refitted
) -> None:
    made, rule = plan(seeds=3), rule_of(refitted.recorded)
    predictions = predictions_of(refitted.recorded)
    assert predictions is not None
    chosen = select(rule, predictions, "roc_auc")
    assert made.trials == tuple(predictions.trials[one] for one in chosen)
    assert len(made.trials) == 3
    assert made.rule == "rank-average"
    for config, folds, final in zip(made.configs, made.folds, made.final, strict=True):
        own = [Fit.of(config, split) for split in refitted.material.folds.splits()]
        assert folds == tuple(replace(fit, keep=True) for fit in own)
        (one,) = final  # nothing is drawn by any of these models
        assert one.config == config
        assert one.train == one.test == tuple(range(36))
        assert (one.keep, one.epochs, one.stop) == (True, None, None)
        assert one.split not in {fit.split for fit in own}
    assert len(made.fits) == len({fit.key for fit in made.fits}) == 3 * (3 + 1)
    assert [fit.config for fit in made.firsts] == list(made.configs)


def test_without_the_folds_there_are_the_fits_on_everybody_alone(plan: Callable[..., RefitPlan]) -> None:
    made = plan(skip_folds=True)
    assert made.folds == ()
    assert made.fits == [fit for fits in made.final for fit in fits] == made.firsts
    assert list(made.repeated()) == []


def test_one_trial_can_be_named(plan: Callable[..., RefitPlan]) -> None:
    made = plan(trial=4)
    assert (made.trials, made.rule, len(made.fits)) == ((4,), "named", 4)
    with pytest.raises(InputError, match="--trial: a trial of study 'shallow' that was run is needed"):
        plan(trial=99)


def renamed(refitted: Refitted, settings: dict[str, Any], best: tuple[int, ...]) -> Any:
    """The recorded study, its trial 0 with other settings, and best epochs of its folds."""
    import json

    from search.booking import FOLD, SETTINGS, finished_folds

    trial = refitted.recorded.get_trials()[0]
    folds = list(finished_folds(trial).values())
    attrs = {k: v for k, v in trial.system_attrs.items() if not k.startswith(FOLD)}
    attrs |= {
        f"{FOLD}{fold.split}": replace(fold, best_epoch=epoch).to_json()
        for fold, epoch in zip(folds, best, strict=False)
    }
    attrs[SETTINGS] = json.dumps(settings)
    trial.system_attrs = attrs
    return SimpleNamespace(get_trials=lambda **_: [trial], user_attrs=refitted.recorded.user_attrs)


@pytest.mark.parametrize(
    ("best", "epochs"), [((7, 2, 30), 7), ((2, 3), 3), ((4, 7), 6), ((1, 2), 2), ((1,), 1), ((9, 9, 9), 9)]
)
def test_networks_train_the_median_of_the_best_epochs_halves_up_with_every_seed(
    refitted: Refitted, best: tuple[int, ...], epochs: int
) -> None:
    recorded = renamed(refitted, {"architecture": "small_cnn", "patch_radius": 2}, best)
    made = plan_refit(recorded, refitted.study, refitted.material, trial=0, seeds=3)
    assert made.epochs == (epochs,)
    (final,) = made.final
    assert [fit.epochs for fit in final] == [epochs] * 3
    assert final[0].config == made.configs[0]
    assert len({fit.seed for fit in final}) == 3
    assert [fit.epochs for fit in made.folds[0]] == [None] * 3


def test_a_network_without_any_fold_tells_no_number_of_epochs(refitted: Refitted) -> None:
    recorded = renamed(refitted, {"architecture": "small_cnn", "patch_radius": 2}, ())
    with pytest.raises(InputError, match="trial 0 has none"):
        plan_refit(recorded, refitted.study, refitted.material, trial=0)


@pytest.mark.parametrize(
    ("architecture", "count"), [("texture_forest", 3), ("texture_svm", 1), ("roi_means", 1)]
)
def test_models_that_draw_are_fitted_with_every_seed(
    refitted: Refitted, architecture: str, count: int
) -> None:
    recorded = renamed(refitted, {"architecture": architecture, "patch_radius": 2}, (0, 0, 0))
    made = plan_refit(recorded, refitted.study, refitted.material, trial=0, seeds=3)
    assert [len(fits) for fits in made.final] == [count]


def test_where_incomplete_biopsies_are_dropped_the_others_are_learned_from(refitted: Refitted) -> None:
    patches = refitted.material.patches
    present = np.array(patches.present)
    present[[3, 8], 1] = False
    lacking = replace(refitted.material, missing="drop", patches=replace(patches, present=present))
    made = plan_refit(refitted.recorded, refitted.study, lacking, trial=0)
    (fit,) = made.final[0]
    assert fit.train == fit.test == tuple(range(36))  # the cuts of the labels are drawn from all of them
    task = Task.of_fit(lacking, refitted.study, fit)
    assert made.learned.tolist() == task.train.tolist() == [row for row in range(36) if row not in (3, 8)]


class Told:
    """A ledger in which a fit's result is another, or a failure."""

    def __init__(
        self, refitted: Refitted, change: Callable[[FoldResult], FoldResult], failing: tuple[str, ...] = ()
    ) -> None:
        self._refitted, self._change, self._failing = refitted, change, failing

    def result(self, fit: Fit) -> FoldResult | None:
        return None if fit.key in self._failing else self._change(self._refitted.booked(fit))

    def failure(self, fit: Fit) -> str | None:
        return "failed: a class of its own" if fit.key in self._failing else None


def shifted(fold: FoldResult) -> FoldResult:
    return replace(fold, probabilities=tuple(np.nextafter(p, 1.0) for p in fold.probabilities))


def test_the_folds_come_out_as_the_search_booked_them(refitted: Refitted) -> None:
    assert len(list(refitted.plan.repeated())) == 9
    with refitted.ledger() as ledger:
        assert check_as_booked(refitted.plan, ledger) == []
        check_fitted(refitted.plan, ledger)


def test_another_bit_is_refused_here_and_told_elsewhere(
    refitted: Refitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger: Any = Told(refitted, shifted)
    with pytest.raises(InputError, match=r"trial \d+: fold 0: the search's own fold must come out again"):
        check_as_booked(refitted.plan, ledger)
    elsewhere: Any = Told(refitted, lambda fold: replace(shifted(fold), device="CPU x7"))
    remarks = check_as_booked(refitted.plan, elsewhere)
    assert len(remarks) == 3
    assert all("ran on CPU x1, and now on CPU x7" in line for line in remarks)
    monkeypatch.setattr("search.refits.repeated.software_versions", lambda: {"numpy": "1.0"})
    remarks = check_as_booked(refitted.plan, ledger)
    assert len(remarks) == 3
    assert all("numpy was" in line and "is 1.0" in line for line in remarks)


def test_a_model_that_cannot_be_made_is_refused_in_a_line_a_trial(refitted: Refitted) -> None:
    trial, fits = refitted.plan.by_trial[1]
    ledger: Any = Told(refitted, lambda fold: fold, tuple(fit.key for fit in fits))
    with pytest.raises(InputError) as caught:
        check_fitted(refitted.plan, ledger)
    assert caught.value.problems == (
        f"trial {trial}: its model could not be made: failed: a class of its own",
    )
