"""Finalists on all tables and seeds: which fits that takes, what they must equal, what is made of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.problems import InputError
from search.baseline import fit_shallow
from search.booking import finished_folds
from search.fold import Task, run_fold
from search.home import Home
from search.metrics import pooled_metrics
from search.recorded import material_of, recorded_study
from search.records import FoldResult
from search.refits.fit import Fit
from search.refits.rescore import Plan, averaged, check_repeated, plan_of, scores_of


class Results:
    """Stands for a ledger: fits each fit when it is asked for."""

    def __init__(self, plan: Plan, cache: Path) -> None:
        self.plan, self.cache = plan, cache
        self.failing: set[str] = set()
        self.change: Callable[[FoldResult], FoldResult] = lambda result: result
        self.known: dict[str, FoldResult] = {}

    def __contains__(self, fit: Fit) -> bool:
        return fit.key in self.known

    def failure(self, fit: Fit) -> str | None:
        return "failed: the loss must be finite" if fit.key in self.failing else None

    def result(self, fit: Fit) -> FoldResult | None:
        if fit.key in self.failing:
            return None
        if fit.key not in self.known:
            task = Task.of_fit(self.plan.material, self.plan.study, fit)
            self.known[fit.key] = run_fold(task, lambda task: fit_shallow(task, self.cache))
        return self.change(self.known[fit.key])


@pytest.fixture
def plan(shallow: Path, tmp_path: Path) -> Callable[..., Plan]:
    home = Home.at(shutil.copytree(shallow / "home", tmp_path / "home"))
    recorded, study = recorded_study(home, None, "shallow")
    material = material_of(study, recorded, home)

    def make(**options: object) -> Plan:
        return plan_of(recorded, study, material, home.study("shallow"), **options)  # type: ignore[arg-type]

    return make


def results(plan: Plan, tmp_path: Path) -> Results:
    return Results(plan, tmp_path / "home" / "cache")


def test_each_finalist_is_fitted_on_every_fold_with_every_seed(plan: Callable[..., Plan]) -> None:
    made = plan(top=2, seeds=3)
    assert (made.tables, len(made.scheme.splits), made.shortage) == (10, 30, None)
    assert len(made.fits) == len({fit.key for fit in made.fits}) == len(made.candidates) * 30 * 3
    assert made.scheme.title == "fold bank, 10 x 3 folds"
    fewer = plan(top=2, seeds=1, tables=2)
    assert {fit.key for fit in fewer.fits} < {fit.key for fit in made.fits}
    assert fewer.shortage is None  # the bank has ten; no more were asked for


def test_the_searchs_own_folds_are_among_the_fits_and_come_out_again(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    made = plan(top=3, seeds=2, tables=2)
    ledger = results(made, tmp_path)
    repeated = list(made.repeated())
    assert len(repeated) == 3 * len(made.candidates)
    for candidate, booked, fit in repeated:
        (trial,) = (trial for trial in made.recorded.trials if trial.number == candidate.trial)
        assert booked == finished_folds(trial)[fit.split]
        assert fit.key in {one.key for one in made.fits}
    assert check_repeated(made, ledger) == []  # type: ignore[arg-type]


def shifted(fold: FoldResult) -> FoldResult:
    return replace(fold, probabilities=tuple(np.nextafter(p, 1.0) for p in fold.probabilities))


def test_a_last_bit_that_differs_on_the_same_device_is_refused_with_the_difference(
    plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(top=1, seeds=1, tables=1)
    ledger = results(made, tmp_path)
    ledger.change = shifted
    told = r"trial \d+: fold 0: .* must come out again, but .*a probability differs by \d.* same versions"
    with pytest.raises(InputError, match=told) as caught:
        check_repeated(made, ledger)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3 * len(made.candidates)
    monkeypatch.setattr("search.refits.repeated.software_versions", lambda: {"numpy": "1.0"})
    with pytest.raises(InputError, match=r"; numpy was \d\S*, is 1\.0"):
        check_repeated(made, ledger)  # type: ignore[arg-type]


def test_last_bits_may_differ_on_another_device_and_that_is_told(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    made = plan(top=1, seeds=1, tables=1)
    ledger = results(made, tmp_path)
    ledger.change = lambda fold: replace(shifted(fold), device="CPU x7")
    remarks = check_repeated(made, ledger)  # type: ignore[arg-type]
    assert len(remarks) == len(made.candidates)
    assert all("fold 0 ran on CPU x1, and now on CPU x7, and differs" in remark for remark in remarks)


def test_a_fold_of_the_search_that_fails_now_is_refused(plan: Callable[..., Plan], tmp_path: Path) -> None:
    made = plan(top=1, seeds=1, tables=1)
    ledger = results(made, tmp_path)
    ledger.failing = {next(made.repeated())[2].key}
    with pytest.raises(InputError, match="it failed: failed: the loss must be finite"):
        check_repeated(made, ledger)  # type: ignore[arg-type]


def test_scores_are_metrics_of_the_mean_over_the_seeds_table_by_table(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    made = plan(top=2, seeds=2, tables=2)
    ledger = results(made, tmp_path)
    scores = scores_of(made, ledger)  # type: ignore[arg-type]
    bank = made.bank
    assert bank is not None
    assert (scores.table, scores.tables, scores.seeds, scores.handed_out) == (bank.hash, 2, 2, 6)
    assert (scores.scheme, scores.shares_participants, scores.is_pooled) == ("bank", False, False)
    for finalist, candidate in zip(scores.finalists, made.candidates, strict=True):
        assert (finalist.trial, finalist.own) == (candidate.trial, candidate.own)
        for table in range(2):
            folds = []
            for split in bank.splits()[3 * table : 3 * table + 3]:
                one, other = (ledger.result(Fit.of(config, split)) for config in candidate.configs(2))
                assert one is not None
                assert other is not None
                mean = [(p + q) / 2 for p, q in zip(one.probabilities, other.probabilities, strict=True)]
                cut = (one.threshold + other.threshold) / 2
                folds.append(replace(one, probabilities=tuple(mean), threshold=cut).scores)
            expected = pooled_metrics(folds)
            assert finalist.tables[table] == pytest.approx(expected)
    assert {one.trial for one in scores.finalists if one.is_default} == {0}


def test_with_the_trials_own_seed_and_table_alone_a_finalist_has_its_own_value(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    made = plan(top=3, seeds=1, tables=1)
    scores = scores_of(made, results(made, tmp_path))  # type: ignore[arg-type]
    assert [one.regression("roc_auc") for one in scores.finalists] == [0.0] * len(scores.finalists)


def test_a_seed_that_fails_is_replaced_by_the_others_and_told(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    made = plan(top=2, seeds=2, tables=1)
    candidate, split = made.candidates[0], made.scheme.splits[1]
    ledger = results(made, tmp_path)
    own, further = made.fits_of(candidate, split)
    ledger.failing = {further.key}
    best = scores_of(made, ledger).finalists[0]  # type: ignore[arg-type]
    kept = ledger.result(own)
    assert kept is not None
    assert best.folds[1].probabilities == kept.probabilities
    assert best.failures == ("failed: the loss must be finite",)
    ledger.failing |= {own.key}
    scores = scores_of(made, ledger)  # type: ignore[arg-type]
    assert scores.finalists[0].values("roc_auc") == []
    assert scores.finalists[1].values("roc_auc") != []


def test_the_mean_of_one_seed_is_that_seed(make_fold: Callable[..., FoldResult]) -> None:
    assert averaged([make_fold(0)]) == replace(make_fold(0), curves={})


def test_leaving_each_participant_out_pools_the_auc_and_says_so(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    made = plan(scheme="participant", top=1, seeds=1)
    assert (made.tables, len(made.scheme.splits), list(made.repeated())) == (1, 12, [])
    scores = scores_of(made, results(made, tmp_path))  # type: ignore[arg-type]
    assert (scores.is_pooled, scores.shares_participants, scores.table) == (True, False, None)
    predictions = scores.predictions()
    assert predictions is not None
    said, label = predictions.probability[0, 0], predictions.label[0]
    pairs = [
        (said[i] > said[j]) + 0.5 * (said[i] == said[j])
        for i in range(36)
        for j in range(36)
        if label[i] > label[j]
    ]
    assert scores.finalists[0].mean("roc_auc") == pytest.approx(np.mean(pairs))
    constants = [one for one in scores.finalists if one.settings["architecture"] == "constant"]
    assert all((one.mean("roc_auc") or 0.0) < 0.5 for one in constants)


def test_random_splits_share_participants_stop_on_a_fifth_and_say_so(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    made = plan(scheme="random", top=1, seeds=1, tables=3)
    assert made.tables == len(made.scheme.splits) == 3
    owners = made.material.patches.participant_id
    for fit in made.fits:
        assert fit.stop is not None
        assert (len(fit.train), len(fit.stop), len(fit.test)) == (22, 7, 7)
        assert sorted([*fit.train, *fit.stop, *fit.test]) == list(range(36))
        assert {owners[row] for row in fit.train} & {owners[row] for row in fit.test}
    scores = scores_of(made, results(made, tmp_path))  # type: ignore[arg-type]
    assert scores.shares_participants
    assert scores.title == "random 60/20/20 split (shares participants: too good)"
    assert len(scores.finalists[0].tables) == 3
    assert scores.predictions() is None


def test_the_time_is_what_the_search_took_for_what_is_left(plan: Callable[..., Plan], tmp_path: Path) -> None:
    made = plan(top=1, seeds=2, tables=1)
    made = replace(
        made,
        candidates=tuple(
            replace(one, folds={0: replace(fold, seconds=10.0 + index)})
            for index, one in enumerate(made.candidates)
            for fold in list(one.folds.values())[:1]
        ),
    )
    ledger = results(made, tmp_path)
    assert made.seconds_left(ledger) == 6 * sum(10.0 + i for i in range(len(made.candidates)))  # type: ignore[arg-type]
    ledger.result(made.fits[0])
    assert made.seconds_left(ledger) == 5 * 10.0 + 6 * sum(10.0 + i for i in range(1, len(made.candidates)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tables": 11}, "--tables: 1 to 10 are in the study's bank, but got 11"),
        ({"scheme": "participant", "tables": 2}, "--tables: leaving each participant out is one table"),
    ],
)
def test_more_tables_than_a_scheme_has_are_refused(
    plan: Callable[..., Plan], options: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        plan(**options)
