"""Contenders of real studies in one home, of baselines, and their finalists as a rescoring leaves them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from data_prep.problems import InputError
from search.booking import FOLD, finished_folds, settings_of
from search.comparing import compare, find_contenders
from search.home import Home
from search.identity import SEARCHED
from search.metrics import fold_metrics
from search.opening import study_id
from search.records import FoldResult
from search.refits.rescored import Finalist, SchemeScores, metrics_of, write_scores
from search.statistics.comparison import corrected_t, holm
from search.statistics.honest import honest_estimate
from search.statistics.predictions import predictions_of
from search.statistics.selection import Rule, combined, select
from search.storage import open_storage

Change = Callable[[FoldResult], FoldResult]


@pytest.fixture
def home(shallow: Path, tmp_path: Path) -> Home:
    """A copy of the home in which the study "shallow" of six baselines ran."""
    return Home(shutil.copytree(shallow / "home", tmp_path / "home"))


def load(home: Home, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=open_storage(None, home))


def clone(home: Home, name: str, change: Change = lambda fold: fold, **attributes: Any) -> optuna.Study:
    """Another study in the same storage, with the trials of "shallow" after a change of their folds."""
    source, storage = load(home, "shallow"), open_storage(None, home)
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize")
    for key, value in (source.user_attrs | {"id": name} | attributes).items():
        study.set_user_attr(key, value)
    for trial in source.get_trials(deepcopy=True):
        for key, text in trial.system_attrs.items():
            if key.startswith(FOLD):
                trial.system_attrs[key] = change(FoldResult.from_json(text)).to_json()
        study.add_trial(trial)
    return study


def good(fold: FoldResult) -> FoldResult:
    """Nearly right, and a little otherwise in each fold."""
    sure = 0.8 + 0.02 * fold.fold
    probabilities = [sure if label else 1 - sure for label in fold.labels]
    probabilities[0] = 0.5 - 0.001 * fold.fold
    return replace(fold, probabilities=tuple(probabilities), threshold=0.55)


def bad(fold: FoldResult) -> FoldResult:
    """The same the wrong way round."""
    return replace(good(fold), probabilities=tuple(1 - one for one in good(fold).probabilities))


def rescore(home: Home, name: str, trials: list[int], seeds: int = 3, **changes: Any) -> SchemeScores:
    """Finalists on ten tables: the search's own fold results, the k-th table's probabilities a little off."""
    study = load(home, name)
    finalists = []
    for trial in (study.trials[number] for number in trials):
        own = list(finished_folds(trial).values())
        folds = [_noisy(fold, table, seed=trial.number) for table in range(10) for fold in own]
        tables = tuple(metrics_of(folds[3 * table : 3 * table + 3], False) for table in range(10))
        settings = settings_of(trial)
        finalists.append(Finalist(trial.number, False, settings, trial.value, tables, tuple(folds), ()))
    scores = SchemeScores(
        scheme="bank",
        title="ten fold tables",
        shares_participants=False,
        is_pooled=False,
        metric="roc_auc",
        study=study_id(study),
        folds=study.user_attrs["folds"]["hash"],
        table="b" * 64,
        tables=10,
        seeds=seeds,
        handed_out=len(study.trials),
        finalists=tuple(finalists),
    )
    scores = replace(scores, **changes)
    write_scores(scores, home.study(name))
    return scores


def _noisy(fold: FoldResult, table: int, seed: int) -> FoldResult:
    noise = np.random.default_rng([table, fold.fold, seed]).uniform(0, 0.2, len(fold.rows))
    probabilities = tuple(np.clip(np.array(fold.probabilities) + noise - 0.1, 0.0, 1.0).tolist())
    return replace(fold, repeat=table, split=3 * table + fold.fold, probabilities=probabilities, curves={})


def problems(home: Home, *names: str) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        find_contenders(home, None, names)
    return caught.value.problems


def test_trials_are_compared_by_the_corrected_test_over_the_folds_of_the_search(home: Home) -> None:
    clone(home, "good", good)
    found = compare(find_contenders(home, None, ["shallow:2", "good:1"]), "brier")
    trials = load(home, "shallow").trials[2], load(home, "good").trials[1]
    one, other = ([fold_metrics(f.scores)["brier"] for f in finished_folds(t).values()] for t in trials)
    expected = corrected_t(np.subtract(other, one), 1 / 2)
    (rival,) = found.rivals
    assert rival.comparison == expected
    assert (found.value, rival.value) == pytest.approx((np.mean(one), np.mean(other)))
    assert (found.bank, found.folds, found.used, found.left_out) == (None, 3, 3, 0)


def test_a_study_alone_means_what_its_own_rule_selects(home: Home) -> None:
    identity = load(home, "shallow").user_attrs["identity"]
    clone(home, "greedy", identity=identity | {"search.selection": "argmax"})
    ensemble, greedy = find_contenders(home, None, ["shallow", "greedy"])
    predictions = predictions_of(load(home, "shallow"))
    assert predictions is not None
    members = select(Rule(), predictions, "roc_auc")
    assert (ensemble.rule, ensemble.trials) == (Rule(), tuple(predictions.trials[m] for m in members))
    assert np.array_equal(ensemble.own_outputs().score, combined(predictions, members).score)
    assert (greedy.rule, len(greedy.trials)) == (Rule("argmax"), 1)
    assert ensemble.is_selected
    assert greedy.is_selected
    assert load(home, "greedy").trials[greedy.trials[0]].value == load(home, "greedy").best_value


def test_several_are_corrected_together(home: Home) -> None:
    clone(home, "good", good)
    names = ["shallow:2", "good:2", "good:1", "shallow:1"]
    found = compare(find_contenders(home, None, names), "brier")
    assert [rival.contender.name for rival in found.rivals] == names[1:]
    assert [test.p for test in found.tests] == holm([rival.single_p or 0.0 for rival in found.rivals])
    assert [test.tests for test in found.tests] == [3, 3, 3]


def test_a_trial_compared_with_itself_is_indistinguishable(home: Home) -> None:
    found = compare(find_contenders(home, None, ["shallow:1", "shallow:1"]), "roc_auc")
    (test,) = found.tests
    assert (test.difference, test.p, found.rivals[0].better) == (0.0, 1.0, None)


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy", "brier", "log_loss"])
@pytest.mark.parametrize("names", [["bad:2", "good:2"], ["good:2", "bad:2"]])
def test_the_better_one_is_named_whichever_way_the_metric_goes(
    home: Home, names: list[str], metric: str
) -> None:
    clone(home, "good", good)
    clone(home, "bad", bad)
    (rival,) = compare(find_contenders(home, None, names), metric).rivals
    assert rival.better == "good:2"
    assert rival.record()["better"] == "good:2"


def test_folds_in_which_the_metric_is_undefined_are_left_out(home: Home) -> None:
    def one_class(fold: FoldResult) -> FoldResult:
        return replace(good(fold), labels=(1,) * len(fold.labels)) if fold.fold == 1 else good(fold)

    clone(home, "one", one_class)
    clone(home, "other", one_class)
    found = compare(find_contenders(home, None, ["one:2", "other:2"]), "roc_auc")
    assert (found.folds, found.used, found.tests[0].folds) == (3, 2, 2)
    clone(home, "none", lambda fold: replace(fold, labels=(1,) * len(fold.labels)))
    with pytest.raises(InputError, match=r"roc_auc must be defined in two folds at least .* is in 0 of 3"):
        compare(find_contenders(home, None, ["none:2", "none:1"]), "roc_auc")


def test_all_ten_tables_count_where_all_were_scored_there(home: Home) -> None:
    clone(home, "twin")
    scores = {name: rescore(home, name, [0, 1, 2, 3]) for name in ("shallow", "twin")}
    found = compare(find_contenders(home, None, ["shallow:1", "twin:2"]), "brier")
    one, other = (
        [fold_metrics(fold.scores)["brier"] for fold in scores[name].finalists[place].folds]
        for name, place in (("shallow", 1), ("twin", 2))
    )
    expected = corrected_t(np.subtract(other, one), 1 / 2)
    (test,) = found.tests
    assert test.difference == pytest.approx(expected.difference)
    assert test.p == pytest.approx(expected.p)
    assert found.record()["folds"] == {
        "n": 30,
        "used": 30,
        "hash": "b" * 64,
        "bank": True,
        "seeds": 3,
        "tables_left_out": 0,
    }


def best(home: Home) -> int:
    return load(home, "shallow").best_trial.number


@pytest.mark.parametrize("metric", ["roc_auc", "brier", "accuracy"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("what", ["what the rule selects", "the best trial"])
def test_what_the_search_selected_is_never_called_better_on_its_own_folds(
    what: str, turned: bool, metric: str, home: Home
) -> None:
    """As far apart as can be: a test of the same folds would be sure of it."""
    clone(home, "good", good)
    clone(home, "bad", bad)
    number = best(home)
    selected, other = ("good" if what.startswith("what") else f"good:{number}"), "bad:2"
    names = [other, selected] if turned else [selected, other]
    found = compare(find_contenders(home, None, names), metric)
    (rival,) = found.rivals
    assert (rival.comparison, rival.single_p, rival.better, found.tests) == (None, None, None, ())
    record = rival.record()
    assert (record["tested"], record["note"]) == (False, "selected on these folds: not tested")
    untested = ("better", "p", "p_uncorrected", "ci95", "smallest_difference", "indistinguishable")
    assert {key: record[key] for key in untested} == dict.fromkeys(untested)
    assert record["difference"] == pytest.approx(rival.value - found.value)
    named = compare(find_contenders(home, None, ["good:2", "bad:2"]), metric).rivals[0]
    assert (named.better, named.record()["tested"], named.note) == ("good:2", True, None)


def test_only_pairs_of_what_was_not_selected_are_tested_and_counted(home: Home) -> None:
    names = ["shallow:2", "shallow:1", f"shallow:{best(home)}", "shallow"]
    found = compare(find_contenders(home, None, names), "brier")
    assert [rival.comparison is not None for rival in found.rivals] == [True, False, False]
    assert [test.tests for test in found.tests] == [1]
    assert found.rivals[0].comparison == found.tests[0]


def test_the_best_of_one_trial_is_not_selected(home: Home) -> None:
    source, one = load(home, "shallow"), clone(home, "one")
    keep = optuna.create_study(study_name="alone", storage=open_storage(None, home), direction="maximize")
    for key, value in one.user_attrs.items():
        keep.set_user_attr(key, value)
    keep.add_trial(source.best_trial)
    contenders = find_contenders(home, None, ["alone", "alone:0"])
    assert [one.is_selected for one in contenders] == [False, False]


def test_the_best_trial_of_a_metric_that_is_minimised_is_the_lowest(home: Home) -> None:
    clone(home, "low", metric="brier")
    values = {trial.number: trial.value or 0.0 for trial in load(home, "low").trials}
    lowest, highest = (pick(values, key=lambda number: values[number]) for pick in (min, max))
    picked = find_contenders(home, None, [f"low:{lowest}", f"low:{highest}"])
    assert [one.is_selected for one in picked] == [True, False]


def test_where_one_was_selected_the_searchs_own_tables_are_left_out_and_nothing_is_tested(home: Home) -> None:
    number = best(home)
    scores = rescore(home, "shallow", [2, 1, number])
    found = compare(find_contenders(home, None, ["shallow:2", f"shallow:{number}", "shallow:1"]), "brier")
    assert (found.folds, found.left_out, found.record()["folds"]["tables_left_out"]) == (27, 1, 1)
    means = [
        np.mean([fold_metrics(fold.scores)["brier"] for fold in scores.finalists[place].folds[3:]])
        for place in (0, 2, 1)
    ]
    assert [found.value, *(rival.value for rival in found.rivals)] == pytest.approx(means)
    assert [rival.note for rival in found.rivals] == ["selected on these biopsies: not tested", None]
    assert found.rivals[0].better is None
    named = compare(find_contenders(home, None, ["shallow:2", "shallow:1"]), "brier")
    assert (named.folds, named.left_out) == (30, 0)


def test_a_bank_of_the_searchs_own_tables_alone_is_no_other_folds(home: Home) -> None:
    study = clone(home, "repeated")
    study.set_user_attr("folds", study.user_attrs["folds"] | {"repeats": 10})
    rescore(home, "repeated", [2, best(home)])
    found = compare(find_contenders(home, None, ["repeated:2", f"repeated:{best(home)}"]), "brier")
    assert (found.bank, found.left_out, found.folds) == (None, 0, 3)


@pytest.mark.parametrize("turned", [False, True])
def test_a_selection_and_no_tuning_have_the_honest_difference_beside(turned: bool, home: Home) -> None:
    study = load(home, "shallow")
    expected = honest_estimate(study, Rule())
    assert expected is not None
    assert expected.tuned_minus_default is not None
    default = expected.tuned_minus_default.default_trial
    names = [f"shallow:{default}", "shallow"] if turned else ["shallow", f"shallow:{default}"]
    (rival,) = compare(find_contenders(home, None, names), "roc_auc").rivals
    assert rival.honest == expected.tuned_minus_default
    assert rival.record()["tuned_minus_default"] == {
        "difference": rival.honest.estimate,
        "ci95": [rival.honest.low, rival.honest.high],
    }
    clone(home, "twin")
    other = next(number for number in range(6) if number != default)
    for pair, metric in (
        (names, "brier"),
        (["shallow", f"shallow:{other}"], "roc_auc"),
        (["twin", f"shallow:{default}"], "roc_auc"),
        (["twin", "shallow"], "roc_auc"),
    ):
        (rival,) = compare(find_contenders(home, None, pair), metric).rivals
        assert (rival.honest, rival.record()["tuned_minus_default"]) == (None, None)


def test_scores_under_other_schemes_are_not_read(home: Home) -> None:
    rescore(home, "shallow", [2, 1])
    (home.study("shallow").root / "refits" / "rescored-random.json").write_text("torn")
    found = compare(find_contenders(home, None, ["shallow:2", "shallow:1"]), "brier")
    assert found.bank is not None


def test_a_finalist_with_the_same_settings_stands_for_a_trial(home: Home) -> None:
    """A search hands the same model out several times; a rescoring takes equal settings once."""
    predictions = predictions_of(load(home, "shallow"))
    assert predictions is not None
    settings = predictions.settings
    first, second = next((i, j) for j in range(6) for i in range(j) if settings[i] == settings[j])
    rescore(home, "shallow", [first])
    one, other = find_contenders(home, None, [f"shallow:{first}", f"shallow:{second}"])
    said = one.bank_outputs(), other.bank_outputs()
    assert said[0] is not None
    assert said[1] is not None
    assert np.array_equal(said[0].score, said[1].score)


@pytest.mark.parametrize(
    "changes",
    [{"seeds": 1}, {"table": "c" * 64}, {"study": "an earlier one"}, {"finalists": ()}],
    ids=["other seeds", "other tables", "another study's", "not a finalist"],
)
def test_else_the_folds_of_the_search_count(home: Home, changes: dict[str, Any]) -> None:
    clone(home, "twin")
    rescore(home, "shallow", list(range(6)))
    rescore(home, "twin", list(range(6)), **changes)
    found = compare(find_contenders(home, None, ["shallow", "twin"]), "roc_auc")
    assert (found.bank, found.folds) == (None, 3)


def test_other_folds_and_other_labels_are_refused_with_both_hashes(home: Home) -> None:
    attributes = load(home, "shallow").user_attrs
    clone(home, "refolded", folds=attributes["folds"] | {"hash": "f" * 64})
    clone(home, "relabelled", identity=attributes["identity"] | {SEARCHED: "e" * 64})
    assert problems(home, "shallow", "refolded", "relabelled") == (
        "STUDY: shallow and refolded: only studies of the same fold table can be compared, but got sha256 "
        f"{attributes['folds']['hash']} and {'f' * 64}",
        "STUDY: shallow and relabelled: only studies of the same labels can be compared, but got sha256 "
        f"{attributes['identity']['cohort.labels']} and {'e' * 64}",
    )


def test_a_study_that_learns_further_labels_is_compared_with_one_that_does_not(home: Home) -> None:
    identity = load(home, "shallow").user_attrs["identity"]
    clone(home, "several", good, identity=identity | {"cohort.labels": "e" * 64})
    older = {key: value for key, value in identity.items() if key != SEARCHED}
    clone(home, "older", bad, identity=older)
    found = compare(find_contenders(home, None, ["shallow:2", "several:2", "older:2"]), "brier")
    assert [rival.comparison is not None for rival in found.rivals] == [True, True]
    clone(home, "unlike", identity=older | {"cohort.labels": "e" * 64})
    (told,) = problems(home, "shallow", "unlike")
    assert "only studies of the same labels can be compared" in told


def test_labels_that_folds_cut_otherwise_are_refused(home: Home) -> None:
    """Of the same expression, and hence the same hash."""
    clone(home, "cut", lambda fold: replace(fold, labels=(1 - fold.labels[0], *fold.labels[1:])))
    assert problems(home, "shallow", "cut") == (
        "STUDY: shallow and cut: each biopsy must have the same label in both, but 3 differ: was `label` "
        "another?",
    )


def test_what_has_no_prediction_of_some_biopsies_is_refused_in_a_line_each(home: Home) -> None:
    study = load(home, "shallow")
    study.add_trial(create_trial(state=TrialState.PRUNED))
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.ask()
    told = problems(
        home, "shallow:0", "shallow:6", "shallow:7", "shallow:8", "shallow:9", "shallow:x", "shalow"
    )
    assert told[:3] == (
        "STUDY: shallow:6: only a complete trial can be compared, but it is pruned",
        "STUDY: shallow:7: only a complete trial can be compared, but it is failed",
        "STUDY: shallow:8: only a complete trial can be compared, but it is running",
    )
    assert told[3:5] == (
        "STUDY: shallow:9: no trial '9' of study 'shallow': its trials are 0 to 8",
        "STUDY: shallow:x: no trial 'x' of study 'shallow': its trials are 0 to 8",
    )
    assert told[5].startswith(f"STUDY: no study 'shalow' in {home.root}; did you mean 'shallow'")
    assert len(told) == 6


def test_a_study_without_a_complete_trial_is_refused(home: Home) -> None:
    storage = open_storage(None, home)
    empty = optuna.create_study(study_name="empty", storage=storage)
    for key, value in load(home, "shallow").user_attrs.items():
        empty.set_user_attr(key, value)
    assert problems(home, "shallow", "empty") == (
        "STUDY: empty: a complete trial is needed, but it has none yet",
    )


def test_one_alone_is_not_compared(home: Home) -> None:
    assert problems(home, "shallow") == ("STUDY: two or more are needed to compare, but got 1",)


def test_an_unknown_metric_is_refused(home: Home) -> None:
    with pytest.raises(InputError, match="--metric: unknown name 'auc'"):
        compare(find_contenders(home, None, ["shallow:0", "shallow:1"]), "auc")
