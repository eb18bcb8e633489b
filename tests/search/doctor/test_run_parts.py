from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.doctor.run_parts import differences_of
from search.ledger import FoundRun
from tests.search.doctor.runs_by_hand import COMPLETE, STUDY_RUN, Recorder, found, record, tools

CHOSEN = {"study": STUDY_RUN}


def differ(run: FoundRun, recorder: Recorder, key: str = "trial/3", **changes: Any) -> dict[str, Any]:
    """The differences by problem."""
    every = list(differences_of(key, record(**changes), run, CHOSEN | {key: run}, recorder, may_end=True))
    return {item.problem: item for item in every}


def test_a_run_that_is_as_it_should_be_differs_in_nothing() -> None:
    """Whose machine ran it, and what was logged beyond the record, are no difference."""
    run = found(params={**found().params, "more": "1"}, metrics={**found().metrics, "more": 1.0})
    assert differ(run, Recorder()) == {}


@pytest.mark.parametrize(
    ("changes", "problem", "call"),
    [
        ({"status": "RUNNING"}, "run left running", ("end_run", "trial/3", "FINISHED", None)),
        ({"status": "FAILED"}, "status differs", ("end_run", "trial/3", "FINISHED", None)),
        (
            {"params": {"rate": "0.2"}},
            "parameters missing",
            ("log_params", "trial/3", {"architecture": "constant"}),
        ),
        (
            {"tags": COMPLETE | {"ending": "failed"}},
            "tags differ",
            ("set_tags", "trial/3", {"ending": "complete"}),
        ),
        (
            {"metrics": {"loss": 0.25}},
            "metrics differ",
            ("log_curves", "trial/3", [{"roc_auc": 0.7}], 0),
        ),
        ({"parent": "r9"}, "run misplaced", ("nest", "r3", "r-study")),
        ({"parent": None}, "run misplaced", ("nest", "r3", "r-study")),
    ],
)
def test_each_part_that_differs_is_named_and_mended_alone(
    changes: dict[str, Any], problem: str, call: tuple[Any, ...], tmp_path: Path
) -> None:
    recorder = Recorder()
    (difference,) = differ(found(**changes), recorder).values()
    assert (difference.problem, difference.subject) == (problem, "trial 3")
    difference.mend(tools(tmp_path, recorder))
    assert recorder.calls == [call]


@pytest.mark.parametrize("held", [{"out_of_fold.tsv": 4}, {"out_of_fold.tsv": 4, "roc.png": 0}])
def test_an_artifact_that_is_missing_or_empty_is_put_back(held: dict[str, int], tmp_path: Path) -> None:
    recorder = Recorder(held=held)
    (difference,) = differ(found(), recorder).values()
    assert (difference.problem, difference.subject) == ("artifact missing", "roc.png of trial 3 in MLflow")
    difference.mend(tools(tmp_path, recorder))
    assert recorder.calls == [("log_artifact", "trial/3", Path("/home/roc.png"))]


@pytest.mark.parametrize(("status", "left"), [("RUNNING", True), ("FAILED", False), ("FINISHED", False)])
def test_a_study_may_have_failed_but_not_be_left_running(status: str, left: bool) -> None:
    run = found("study", "r-study", status=status, parent=None)
    assert bool(differ(run, Recorder(), "study", parent=None)) is left


def test_a_parent_that_is_not_there_yet_is_no_difference() -> None:
    run = found(parent="r9")
    assert list(differences_of("trial/3", record(), run, {}, Recorder(), may_end=True)) == []


def test_a_run_that_must_not_be_ended_may_differ_in_other_things() -> None:
    run = found(status="RUNNING", parent=None)
    differences = differences_of("trial/3", record(), run, CHOSEN | {"trial/3": run}, Recorder(), False)
    assert [item.problem for item in differences] == ["run misplaced"]
