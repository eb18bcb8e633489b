from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from search.doctor.agreement import differences
from search.doctor.mending import Difference
from search.doctor.run_keys import Scope
from search.ledger import FoundRun, RunRecord
from search.run_ids import RunIds
from tests.search.doctor.runs_by_hand import STUDY_RUN, Recorder, found, record, tools

FOLD = record(name="fold 0", parent="trial/3", tags={"level": "fold"}, points={}, texts={}, files={})
EXPECTED = {
    "study": record(parent=None, tags={"level": "study"}, points={}, params={}, texts={}, files={}),
    "trial/3": record(),
    "trial/3/fold/0": FOLD,
}
FOLD_RUN = found("trial/3/fold/0", "r-fold", parent="r3", tags={"level": "fold"})
RUNS = [STUDY_RUN, found(), FOLD_RUN]


class Desk:
    """Compares, with every run noted that is there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.recorder = folder, Recorder()
        self.note({run.key: run.run_id for run in RUNS})

    def note(self, ids: dict[str, str]) -> None:
        with RunIds(self.folder, "sqlite:////a", "toy").locked() as note:
            for key, run_id in ids.items():
                note(key, run_id)

    def compare(
        self,
        runs: Sequence[FoundRun],
        expected: dict[str, RunRecord] = EXPECTED,
        busy: Sequence[int] = (),
        live: bool = False,
        began: int = 10,
    ) -> list[Difference]:
        scope = Scope({3, 4}, 2, busy, live, began)
        ids = RunIds(self.folder, "sqlite:////a", "toy")
        return list(differences(expected, runs, scope, self.recorder, ids))

    def mend(self, difference: Difference) -> list[tuple[object, ...]]:
        difference.mend(tools(self.folder, self.recorder))
        return self.recorder.calls


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_runs_that_are_as_they_should_be_agree(desk: Desk) -> None:
    assert desk.compare(RUNS) == []
    assert desk.compare([*RUNS, found("trial/99", deleted=True)]) == []


def test_without_any_run_each_is_published_parents_first(desk: Desk) -> None:
    found = desk.compare([])
    assert [item.problem for item in found] == ["study without run", "trial without run", "fold without run"]
    assert [call[0] for call in desk.mend(found[2])] == ["start_run", "end_run"]


@pytest.mark.parametrize(("run_id", "call"), [("r3", "restore"), ("other", "start_run")])
def test_a_run_in_the_bin_is_taken_out_if_it_is_the_one_noted(run_id: str, call: str, desk: Desk) -> None:
    (difference,) = desk.compare([STUDY_RUN, FOLD_RUN, found(run_id=run_id, deleted=True)])
    assert difference.problem == "trial without run"
    assert desk.mend(difference)[0][0] == call


def test_of_two_runs_the_noted_one_stays(desk: Desk) -> None:
    (difference,) = desk.compare([found(run_id="older"), *RUNS])
    assert (difference.problem, difference.subject) == ("second run", "run older of trial 3")
    assert "mlflow runs restore --run-id older" in difference.action
    assert desk.mend(difference) == [("delete", "older")]


def test_where_none_is_noted_the_oldest_stays_and_is_noted(desk: Desk) -> None:
    desk.note({"trial/3": "gone"})
    noted, second = desk.compare([*RUNS, found(run_id="younger")])
    assert (noted.problem, second.subject) == ("run id lost", "run younger of trial 3")
    desk.mend(noted)
    assert RunIds(desk.folder, "sqlite:////a", "toy").get("trial/3") == "r3"


@pytest.mark.parametrize("key", ["trial/99", "trial/99/fold/0", "trial/3/fold/2", "nonsense"])
def test_a_run_of_nothing_that_optuna_knows_goes_into_the_bin(key: str, desk: Desk) -> None:
    (difference,) = desk.compare([*RUNS, found(key, "stray")])
    assert difference.problem == "run without trial"
    assert desk.mend(difference) == [("delete", "stray")]


@pytest.mark.parametrize(("trial", "ends"), [("FINISHED", "FAILED"), ("KILLED", "KILLED")])
def test_the_run_of_a_fold_without_a_result_ends_as_its_trial_did_not_well(
    trial: str, ends: str, desk: Desk
) -> None:
    expected = EXPECTED | {"trial/3": record(status=trial)}
    runs = [STUDY_RUN, found(status=trial), FOLD_RUN]
    half = found("trial/3/fold/1", "half", status="RUNNING")
    desk.note({half.key: "half"})
    (difference,) = desk.compare([*runs, half], expected)
    assert difference.problem == "run left running"
    assert desk.mend(difference) == [("end_run", "trial/3/fold/1", ends)]
    ended = found("trial/3/fold/1", "half", status="KILLED")
    assert desk.compare([*runs, ended], expected) == []


def test_a_waiting_trials_run_may_be_there_but_not_run(desk: Desk) -> None:
    desk.note({"trial/4": "r4"})
    (difference,) = desk.compare([*RUNS, found("trial/4", "r4", status="RUNNING")])
    assert (difference.problem, difference.action) == ("run left running", "ended as FAILED")


def test_what_somebody_works_on_is_let_be(desk: Desk) -> None:
    runs = [
        found("study", "r-study", status="RUNNING", parent=None),
        found("trial/4", "r4", status="RUNNING"),
        found("trial/4", "second"),
        found("trial/5", "r5", status="RUNNING"),
        *RUNS[1:],
    ]
    expected = {key: record for key, record in EXPECTED.items() if key != "study"}
    assert desk.compare(runs, expected, busy=[4], live=True) == []


def test_what_was_opened_since_the_examination_began_is_neither_ended_nor_deleted(desk: Desk) -> None:
    """Its trial, or whoever works on it, may be younger than what was read."""
    opened = {"radsearch.opened": "11"}
    young = [
        found("study", "r-study", parent=None, status="RUNNING", tags=STUDY_RUN.tags | opened),
        found(status="RUNNING", tags=RUNS[1].tags | opened),
        found("trial/3/fold/1", "r-fold", parent="r3", status="RUNNING", tags={"level": "fold"} | opened),
        found("trial/99", "r99", tags=opened),
    ]
    desk.note({run.key: run.run_id for run in young})
    expected = {key: EXPECTED[key] for key in ("study", "trial/3")}
    assert desk.compare(young, expected) == []
    problems = [item.problem for item in desk.compare(young, expected, began=11)]
    assert sorted(problems) == ["run left running"] * 3 + ["run without trial"]


def test_a_trial_that_is_younger_than_the_comparison_is_not_missed(desk: Desk) -> None:
    assert desk.compare(RUNS, EXPECTED | {"trial/5": record()}) == []
