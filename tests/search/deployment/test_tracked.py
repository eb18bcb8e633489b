from __future__ import annotations

import math
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlflow_server.launch import free_port
from search.deployment.tracked import log_map
from search.home import Home
from tests.search.deployment.conftest import Refitted
from tests.search.deployment.facts_by_hand import make_facts
from tests.search.deployment.own_mlflow import home_with_mlflow


def test_a_map_is_a_run_of_its_own_with_its_files(refitted: Refitted, tmp_path: Path) -> None:
    home, page = home_with_mlflow(refitted.home, tmp_path / "home"), tmp_path / "sub-001.html"
    page.write_text("page")
    metrics = {"correlation": 0.6, "undefined": math.nan}
    run_id = log_map(home, None, make_facts(), "map of P01", {"P01/map.html": page}, metrics)
    assert run_id is not None
    client = MlflowClient(home.tracking_uri)
    run = client.get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("map of P01", "FINISHED")
    assert (run.data.tags["level"], run.data.tags["model"], run.data.tags["model_version"]) == (
        "map",
        "cd3d",
        "2",
    )
    assert run.data.metrics == {"correlation": 0.6}
    assert client.get_experiment(run.info.experiment_id).name == "cd3d-search"
    assert [item.path for item in client.list_artifacts(run_id, "P01")] == ["P01/map.html"]
    assert not [path for path in home.root.rglob("*") if "sub-001" in path.name]


def test_without_mlflow_a_line_says_so_and_the_map_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"http://jo:secret@127.0.0.1:{free_port()}"
    page = tmp_path / "map.html"
    page.write_text("page")
    assert log_map(Home.at(tmp_path / "home"), uri, make_facts(), "map", {"map.html": page}, {}) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("MLflow at http://jo:***@127.0.0.1:")
    assert line.endswith("the map is not logged")
    assert page.read_text() == "page"
