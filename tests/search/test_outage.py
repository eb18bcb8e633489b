"""An MLflow server that is stopped and started again in the middle of a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlflow_server.config import ServerConfig
from mlflow_server.launch import RunningServer, free_port, start
from search.home import Home
from search.progress import Listener
from search.results import study_record
from search.study_file import Study
from search.supervisor import RunOptions, run_study

SHALLOW = (
    "search.enqueue=[]",
    "space={}",
    "space.architecture=['constant', 'roi_means', 'location']",
    "search.trials=6",
)


class Switch(Listener):
    """Stops the server when one trial ends and starts it when a later one does."""

    def __init__(self, config: ServerConfig, log: Path, off: int, on: int) -> None:
        self.config, self.log, self.off, self.on = config, log, off, on
        self.server: RunningServer | None = start(config, log)
        self.ended: list[str] = []

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
        self.server = None

    def trial_ended(self, number: int, cause: str, value: float | None, message: str) -> None:
        self.ended.append(cause)
        if number == self.off:
            self.stop()
        if number == self.on:
            self.server = start(self.config, self.log)


def test_a_server_that_is_away_for_a_while_gets_everything_in_the_end(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study, home = make_study(tmp_path, *SHALLOW), Home.at(tmp_path / "home")
    config = ServerConfig(f"sqlite:///{tmp_path}/server.db", tmp_path / "artifacts", port=free_port())
    switch = Switch(config, tmp_path / "server.log", off=1, on=4)
    try:
        outcome = run_study(study, home, RunOptions(tracking=config.url), switch)
        assert switch.ended == ["complete"] * 6
        assert outcome.undelivered == 0
        trials = study_record(outcome.study, home, config.url)["trials"]
        client = MlflowClient(config.url)
        (experiment,) = [e for e in client.search_experiments() if e.name == "toy"]
        runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
        assert {run.info.status for run in runs.values()} == {"FINISHED"}
        assert len(runs) == 1 + 6 + 6 * 3
        for trial in trials:
            run = runs[trial["mlflow_run_id"]]
            assert run.data.metrics["roc_auc"] == pytest.approx(trial["value"])
            assert [file.path for file in client.list_artifacts(run.info.run_id)] != []
        assert not list(home.study("toy").spool.glob("*-*-*.jsonl"))
    finally:
        switch.stop()
