from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.claims import ASKED
from search.errors import StudyStoppedError
from search.home import Home
from search.launchers.following import Following, follow
from search.patient import StorageAwayError


@pytest.fixture
def study() -> optuna.Study:
    study = optuna.create_study(study_name="toy", direction="maximize")
    study.set_user_attr(ASKED, 3)
    return study


def test_each_trial_that_ends_is_told_of_once(study: optuna.Study) -> None:
    lines: list[str] = []
    following = Following(study, 99, lines.append)
    study.tell(study.ask(), 0.25)
    following.look()
    assert lines.pop() == "study toy: 1 of 3 trials have ended"
    first, second = study.ask(), study.ask()
    following.look()
    assert not lines
    second.set_user_attr("ending", "pruned")
    second.set_user_attr("error", "beyond hope")
    study.tell(second, state=TrialState.PRUNED)
    first.set_user_attr("ending", "complete")
    study.tell(first, 0.75)
    for _ in range(2):
        following.look()
    assert lines == [
        "trial 1 ends: complete, value 0.75 (2 of 3)",
        "trial 2 ends: pruned: beyond hope (3 of 3)",
    ]
    assert following.ended == 2


def test_work_is_left_while_trials_are_to_begin_or_to_be_taken_up_again(study: optuna.Study) -> None:
    lines: list[str] = []
    following = Following(study, 99, lines.append)
    trials = [study.ask() for _ in range(2)]
    following.look()
    assert following.has_work
    trials.append(study.ask())
    following.look()
    assert (following.has_work, following.is_over) == (False, False)
    trials[0].set_user_attr("fate", "requeue")
    trials[0].set_user_attr("ending", "owner lost")
    study.tell(trials[0], state=TrialState.FAIL)
    study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"retry_of": 0}))
    following.look()
    assert following.has_work
    assert lines[-1] == "trial 0 ends: owner lost; it is taken up again (0 of 3)"
    for trial in (study.ask(), *trials[1:]):
        study.tell(trial, 0.5)
    following.look()
    assert (following.has_work, following.is_over) == (False, True)


def test_a_storage_that_is_away_is_told_of_once_and_looked_at_again(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    following = Following(study, 3, lines.append)
    following.look()

    def away(**_: object) -> None:
        raise StorageAwayError("connection refused")

    monkeypatch.setattr(study, "get_trials", away)
    for _ in range(3):
        following.look()
    monkeypatch.undo()
    study.tell(study.ask(), 0.5)
    following.look()
    assert lines[1:] == [
        "--storage: connection refused. What is finished is kept; the workers go on",
        "trial 0 ends: complete, value 0.5 (1 of 3)",
    ]


def test_a_storage_that_holds_no_study_any_more_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyStoppedError, match="--storage: holds no study 'toy' any more"):
        follow("toy", None, Home(tmp_path), 3, print)


def test_a_study_that_is_deleted_meanwhile_is_one_line(study: optuna.Study) -> None:
    following = Following(study, 3, print)
    following.look()
    optuna.delete_study(study_name="toy", storage=study._storage)
    with pytest.raises(StudyStoppedError, match="--storage: holds no study 'toy' any more"):
        following.look()
