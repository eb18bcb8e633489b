from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from search.booking import book_settings, requeue
from search.claims import trial_seed
from search.endings import ENDINGS
from search.facts import StudyFacts, config_of, ending_of, message_of, study_metrics
from search.material import prepare
from search.pseudonyms import PSEUDONYMS, names_of


def test_the_facts_are_those_of_the_dataset_though_it_is_not_read(finished: Any) -> None:
    facts = StudyFacts.of(finished.outcome.study)
    material = prepare(finished.study, finished.home, frozen=True)
    assert (facts.cohort, facts.biopsies, facts.participants) == (material.cohort, 36, 12)
    assert (facts.positive, facts.threshold) == (int(material.labels.label.sum()), material.labels.threshold)
    assert (facts.patches, facts.fold_table) == (material.patches.hash, material.folds.hash)
    assert facts.splits == len(material.folds.splits())


def test_pseudonyms_without_the_cohort_are_those_with_it(finished: Any) -> None:
    patches = prepare(finished.study, finished.home, frozen=True).patches
    wanted = names_of(patches.biopsy_id, patches.participant_id, PSEUDONYMS)
    assert StudyFacts.of(finished.outcome.study).pseudonyms == wanted


def test_a_trial_is_what_it_was_run_as(finished: Any) -> None:
    trials = finished.outcome.study.get_trials()
    for place, trial in enumerate(trials):
        config = config_of(trials, trial, finished.study.search.seed)
        assert config.seed == trial_seed(finished.study.search.seed, place)
        assert config.settings["architecture"] == "small_cnn"


@pytest.mark.parametrize("cause", ENDINGS)
def test_an_ending_is_read_back(cause: str, empty_study: optuna.Study) -> None:
    trial, ending = empty_study.ask(), ENDINGS[cause]
    trial.set_user_attr("ending", cause)
    trial.set_user_attr("error", "loss is NaN")
    state = TrialState[ending.state]
    empty_study.tell(trial, 0.5 if state == TrialState.COMPLETE else None, state=state)
    read = ending_of(empty_study.get_trials()[0])
    assert (read.cause, read.run_status, read.retry) == (cause, ending.run_status, False)
    assert message_of(empty_study.get_trials()[0]) == "loss is NaN"


@pytest.mark.parametrize(
    ("state", "cause"), [("COMPLETE", "complete"), ("PRUNED", "pruned"), ("FAIL", "failed")]
)
def test_an_ending_older_than_its_record_is_told_by_the_state(
    state: str, cause: str, empty_study: optuna.Study
) -> None:
    trial = empty_study.ask()
    empty_study.tell(trial, 0.5 if state == "COMPLETE" else None, state=TrialState[state])
    assert ending_of(empty_study.get_trials()[0]).cause == cause


def test_a_requeued_trial_is_retried_and_has_no_message(empty_study: optuna.Study, tmp_path: Path) -> None:
    book_settings(empty_study.ask(), {})
    requeue(empty_study, empty_study.get_trials()[0], "owner lost", tmp_path / "lock")
    lost = empty_study.get_trials()[0]
    assert (ending_of(lost).retry, message_of(lost)) == (True, "")


def test_the_best_trial_is_told_once_there_is_one(finished: Any) -> None:
    study = finished.outcome.study
    assert study_metrics(study) == {
        "trials": 2.0,
        "best_value": study.best_value,
        "best_trial": study.best_trial.number,
    }
    storage = optuna.storages.InMemoryStorage()
    assert study_metrics(optuna.create_study(storage=storage)) == {"trials": 0.0}
