"""What finalists scored, as it is kept, summed up and handed to the statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.problems import InputError
from search.home import Home, StudyFolder
from search.metrics import DIRECTIONS, pooled_metrics
from search.records import FoldResult
from search.refits.rescored import (
    Finalist,
    SchemeScores,
    metrics_of,
    read_rescored,
    read_scheme,
    write_scores,
)

NOTHING = dict.fromkeys(DIRECTIONS)


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return Home.at(tmp_path / "home").study("toy")


@pytest.fixture
def scores(make_fold: Callable[..., FoldResult]) -> SchemeScores:
    """Two finalists on two tables of two folds; the second is the default, and better on the second table."""

    def finalist(trial: int, *errors: float) -> Finalist:
        folds = [
            [replace(make_fold(fold, error=error), split=2 * table + fold, repeat=table) for fold in range(2)]
            for table, error in enumerate(errors)
        ]
        tables = tuple(metrics_of(table, is_pooled=False) for table in folds)
        flat = tuple(replace(fold, curves={}) for table in folds for fold in table)
        return Finalist(trial, trial == 0, {"width": trial, "rate": 0.1}, 0.9, tables, flat, ())

    return SchemeScores(
        scheme="bank",
        title="fold bank, 2 x 2 folds",
        shares_participants=False,
        is_pooled=False,
        metric="roc_auc",
        study="an id",
        folds="f" * 64,
        table="t" * 64,
        tables=2,
        seeds=3,
        handed_out=7,
        finalists=(finalist(4, 0.2, 0.7), finalist(0, 0.6, 0.1)),
    )


def test_scores_are_read_back_as_they_were_written(scores: SchemeScores, folder: StudyFolder) -> None:
    write_scores(scores, folder)
    other = replace(scores, scheme="random", shares_participants=True)
    write_scores(other, folder)
    assert read_rescored(folder) == {"bank": scores, "random": other}
    assert sorted(path.name for path in (folder.root / "refits").iterdir()) == [
        "rescored-bank.json",
        "rescored-random.json",
    ]


def test_one_scheme_is_read_without_the_files_of_the_others(
    scores: SchemeScores, folder: StudyFolder
) -> None:
    write_scores(scores, folder)
    (folder.root / "refits" / "rescored-random.json").write_text("torn")
    assert read_scheme(folder, "bank") == scores
    assert read_scheme(folder, "participant") is None
    with pytest.raises(InputError, match=r"rescored-random\.json: scores that"):
        read_scheme(folder, "random")


def test_later_scores_of_a_scheme_take_the_place_of_earlier_ones(
    scores: SchemeScores, folder: StudyFolder
) -> None:
    write_scores(scores, folder)
    write_scores(replace(scores, seeds=5), folder)
    assert read_rescored(folder) == {"bank": replace(scores, seeds=5)}


def test_a_study_that_was_not_scored_again_has_none(folder: StudyFolder) -> None:
    assert read_rescored(folder) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"finalists": [1]}'])
def test_a_file_of_something_else_is_told(scores: SchemeScores, folder: StudyFolder, text: str) -> None:
    write_scores(scores, folder)
    (folder.root / "refits" / "rescored-bank.json").write_text(text)
    with pytest.raises(InputError, match=r"rescored-bank\.json: scores that .* Run it again"):
        read_rescored(folder)


def of_values(*values: float | None, own: float | None = 0.7) -> Finalist:
    tables = tuple({**NOTHING, "roc_auc": value} for value in values)
    return Finalist(1, False, {}, own, tables, (), ())


def test_the_summary_of_three_tables_is_by_hand() -> None:
    finalist = of_values(0.5, 0.6, None, 0.55)
    assert finalist.values("roc_auc") == [0.5, 0.6, 0.55]
    assert finalist.mean("roc_auc") == pytest.approx(0.55)
    assert finalist.sd("roc_auc") == pytest.approx(0.05)
    assert finalist.regression("roc_auc") == pytest.approx(0.15)


def test_what_cannot_be_summed_up_is_none() -> None:
    assert (of_values(None).mean("roc_auc"), of_values(None).regression("roc_auc")) == (None, None)
    assert (of_values(0.5).sd("roc_auc"), of_values(0.5, own=None).regression("roc_auc")) == (None, None)


def test_predictions_hold_what_each_finalist_said_on_each_table(scores: SchemeScores) -> None:
    predictions = scores.predictions()
    assert predictions is not None
    assert predictions.probability.shape == (2, 2, 32)
    assert (predictions.trials, predictions.default, predictions.handed_out) == ((4, 0), 1, 7)
    for index, finalist in enumerate(scores.finalists):
        for fold in finalist.folds:
            said = predictions.probability[index, fold.repeat, list(fold.rows)]
            assert tuple(said) == fold.probabilities


def test_a_finalist_that_could_not_be_fitted_everywhere_has_no_predictions(scores: SchemeScores) -> None:
    whole, other = scores.finalists
    torn = replace(other, tables=(other.tables[0], NOTHING), folds=other.folds[:3], failures=("failed: x",))
    predictions = replace(scores, finalists=(whole, torn)).predictions()
    assert predictions is not None
    assert (predictions.trials, predictions.default) == ((4,), None)
    assert replace(scores, finalists=(torn,)).predictions() is None


def test_a_random_split_holds_not_every_biopsy_out_and_has_no_predictions(scores: SchemeScores) -> None:
    assert replace(scores, scheme="random", shares_participants=True).predictions() is None


def test_a_pooled_auc_counts_the_pairs_of_biopsies_of_different_folds(
    make_fold: Callable[..., FoldResult],
) -> None:
    folds = [make_fold(0, error=0.2), make_fold(1, error=0.7)]
    label = [one for fold in folds for one in fold.labels]
    said = [one for fold in folds for one in fold.probabilities]
    pairs = [
        1.0 if said[i] > said[j] else 0.5 if said[i] == said[j] else 0.0
        for i in range(32)
        for j in range(32)
        if label[i] > label[j]
    ]
    pooled, within = metrics_of(folds, is_pooled=True), metrics_of(folds, is_pooled=False)
    assert pooled["roc_auc"] == pytest.approx(np.mean(pairs))
    assert pooled["roc_auc"] != within["roc_auc"]
    assert {**pooled, "roc_auc": None} == {**within, "roc_auc": None}
    assert within == pooled_metrics([fold.scores for fold in folds])
