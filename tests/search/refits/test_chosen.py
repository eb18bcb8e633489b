"""Which trials are fitted once more: those that the study's rule selects, or the one that is named."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from data_prep.problems import InputError
from search.home import Home
from search.recorded import recorded_study
from search.refits.chosen import chosen_trials
from search.statistics.predictions import predictions_of
from search.statistics.selection import Rule, select
from search.study_file import Study


@pytest.fixture
def found(shallow: Path) -> tuple[optuna.Study, Study]:
    return recorded_study(Home.at(shallow / "home"), None, "shallow")


def test_the_rule_of_the_study_chooses_best_first(found: tuple[optuna.Study, Study]) -> None:
    recorded, study = found
    predictions = predictions_of(recorded)
    assert predictions is not None
    trials, rule = chosen_trials(recorded, study)
    members = select(Rule(), predictions, "roc_auc")
    assert [trial.number for trial in trials] == [predictions.trials[member] for member in members]
    assert rule == "rank-average"


def test_a_trial_can_be_named(found: tuple[optuna.Study, Study]) -> None:
    (trial,), rule = chosen_trials(*found, trial=2)
    assert (trial.number, rule) == (2, "named")
    with pytest.raises(
        InputError, match=r"--trial: a trial of study 'shallow' .* There are 0, 1, 2, 3, 4, 5"
    ):
        chosen_trials(*found, trial=6)


def test_a_study_without_a_complete_trial_selects_none(
    found: tuple[optuna.Study, Study], empty_study: optuna.Study
) -> None:
    with pytest.raises(InputError, match="STUDY: a complete trial is needed"):
        chosen_trials(empty_study, found[1])
