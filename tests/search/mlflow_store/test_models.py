from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlflow_server.launch import free_port
from search.delivery import Outage, Rejected
from search.mlflow_store.connecting import client_at
from search.mlflow_store.deployed import Deployed
from search.mlflow_store.models import MlflowModels, Version
from search.mlflow_store.single_runs import Place


def registered(place: Place, deployed: Deployed, name: str = "toy") -> Version:
    return MlflowModels(place.uri).register(name, deployed, "refit toy 1", place)


def runs_of(client: MlflowClient) -> list[str]:
    experiment = client.get_experiment_by_name("toy").experiment_id
    return [run.info.run_id for run in client.search_runs([experiment])]


def test_a_registered_folder_is_found_by_alias_and_number_and_comes_back_as_it_was(
    place: Place, deployed: Deployed, tmp_path: Path
) -> None:
    version = registered(place, deployed)
    shelf = MlflowModels(place.uri)
    assert (version.name, version.number, version.digest) == ("toy", 1, deployed.digest)
    assert shelf.find("toy", "@champion") == shelf.find("toy", "1") == version
    assert shelf.known() == ["models:/toy@champion", "models:/toy/1"]
    (tmp_path / "fetched").mkdir()
    folder = shelf.fetch(version, tmp_path / "fetched")
    for path in deployed.folder.rglob("*"):
        if path.is_file():
            assert (folder / path.relative_to(deployed.folder)).read_bytes() == path.read_bytes()


def test_what_is_shown_of_a_model_stands_with_run_model_and_version(place: Place, deployed: Deployed) -> None:
    done: list[tuple[int, int]] = []
    version = MlflowModels(place.uri).register(
        "toy", deployed, "refit toy 1", place, lambda *step: done.append(step)
    )
    client = client_at(place.uri)
    run = client.get_run(version.run_id)
    assert (run.info.run_name, run.info.status) == ("refit toy 1", "FINISHED")
    assert (run.data.tags["level"], run.data.metrics["honest.estimate"]) == ("refit", 0.66)
    (output,) = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (model.name, str(model.status), model.params["trials"]) == ("toy", "READY", "1,2")
    kept = client.get_model_version("toy", "1")
    assert (kept.run_id, kept.source) == (version.run_id, model.artifact_location)
    assert kept.description == deployed.description[:5000]
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "toy", "version": 1}]
    assert done == [(n, len(done)) for n in range(1, len(done) + 1)]
    assert len(done) == 8


def test_a_folder_gets_no_second_version_but_the_alias_again(place: Place, deployed: Deployed) -> None:
    first = registered(place, deployed)
    newer = registered(place, replace(deployed, digest="cd" * 32))
    shelf = MlflowModels(place.uri)
    assert (newer.number, shelf.find("toy", "@champion")) == (2, newer)
    assert registered(place, deployed) == first
    assert shelf.find("toy", "@champion") == first
    assert len(runs_of(client_at(place.uri))) == 2


@pytest.mark.parametrize("step", ["log_model_artifact", "finalize_logged_model", "create_model_version"])
def test_what_was_cut_off_is_taken_up_again(
    step: str, place: Place, deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, step, cut_off)
        with pytest.raises(Outage, match="Input/output error"):
            registered(place, deployed)
    client = client_at(place.uri)
    assert MlflowModels(place.uri).find("toy", "@champion") is None
    version = registered(place, deployed)
    assert version.number == 1
    assert runs_of(client) == [version.run_id]
    experiment = client.get_experiment_by_name("toy").experiment_id
    (model,) = client.search_logged_models([experiment])
    assert str(model.status) == "READY"
    assert not list(deployed.folder.parent.glob(".logging-*"))


def test_what_a_killed_upload_left_goes_with_the_next_one(place: Place, deployed: Deployed) -> None:
    beside = deployed.folder.parent
    for name, hours in ((".logging-killed", 25), (".logging-at-work", 1), ("logging-other", 25)):
        (beside / name / "model").mkdir(parents=True)
        then = time.time() - hours * 3600
        os.utime(beside / name, (then, then))
    registered(place, deployed)
    assert {path.name for path in beside.glob("*logging-*")} == {".logging-at-work", "logging-other"}


def test_what_is_not_there_is_not_found(place: Place, deployed: Deployed) -> None:
    registered(place, deployed)
    shelf = MlflowModels(place.uri)
    for name, wanted in (("toy", "@none"), ("toy", "2"), ("none", "@champion"), ("none", "1")):
        assert shelf.find(name, wanted) is None


def test_a_model_of_others_is_known_as_such(place: Place, tmp_path: Path) -> None:
    client = client_at(place.uri)
    client.create_registered_model("theirs")
    (tmp_path / "source" / "data").mkdir(parents=True)
    client.create_model_version("theirs", (tmp_path / "source").as_uri())
    shelf = MlflowModels(place.uri)
    found = shelf.find("theirs", "1")
    assert found is not None
    assert found.digest is None
    with pytest.raises(Rejected, match="a model that `radsearch refit` registered is needed"):
        shelf.fetch(found, tmp_path)


def test_a_server_that_is_not_there_is_an_outage(place: Place, deployed: Deployed) -> None:
    away = replace(place, uri=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Outage):
        registered(away, deployed)
    with pytest.raises(Outage):
        MlflowModels(away.uri).find("toy", "@champion")
