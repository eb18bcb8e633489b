from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from search.ledger import Ledger, RunLog, RunRecord
from search.tracking import Tracker


def test_what_is_logged_is_kept_as_mlflow_would_keep_it() -> None:
    ledger = Ledger()
    ledger.now = began = datetime(2026, 3, 1, tzinfo=UTC)
    ledger.start_run("trial/3", "trial 3", {"level": "trial", "trial": 3}, {"rate": 0.1}, parent="study")
    ledger.log_curves("trial/3", [{"loss": 0.5}, {"loss": None}, {"loss": 0.25}])
    ledger.log_metrics("trial/3", {"auc": 0.7, "f1": float("nan")})
    ledger.log_artifact("trial/3", Path("/home/roc.png"))
    ledger.log_artifact("trial/3", Path("/home/map.png"), "maps")
    ledger.log_text("trial/3", "a\tb\n", "table.tsv")
    ledger.set_tags("trial/3", {"ending": "complete"})
    ledger.now = ended = datetime(2026, 3, 2, tzinfo=UTC)
    ledger.end_run("trial/3", "FINISHED")
    assert ledger.runs == {
        "trial/3": RunRecord(
            name="trial 3",
            parent="study",
            tags={"level": "trial", "trial": "3", "ending": "complete"},
            params={"rate": "0.1"},
            points={"loss": {1: 0.5, 3: 0.25}, "auc": {0: 0.7}},
            texts={"table.tsv": "a\tb\n"},
            files={"roc.png": Path("/home/roc.png"), "maps/map.png": Path("/home/map.png")},
            status="FINISHED",
            started=began,
            ended=ended,
        )
    }


def test_a_run_that_may_be_missing_is_ended_only_if_it_is_there() -> None:
    ledger = Ledger()
    ledger.end_run("trial/3", "FAILED", if_any=True)
    assert ledger.runs == {}
    with pytest.raises(KeyError):
        ledger.end_run("trial/3", "FAILED")


def test_ledger_and_tracker_take_the_same_calls(tmp_path: Path) -> None:
    tracker = Tracker(f"sqlite:///{tmp_path}/mlflow.db", None, tmp_path / "spool", "s")
    logs: list[RunLog] = [Ledger(), tracker]
    for log in logs:
        log.start_run("study", "s", {}, {})
        log.log_curves("study", [])
        log.end_run("study", "FINISHED")
    tracker.close(0)
