from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from search.delivery import Outage
from search.mlflow_store.connecting import client_at
from search.mlflow_store.runs import KEY_TAG, PARENT_TAG, STUDY_TAG
from search.mlflow_store.single_runs import Place, SingleRuns


def test_a_run_stands_below_its_study(place: Place, tmp_path: Path) -> None:
    client = client_at(place.uri)
    experiment = client.create_experiment("toy", (tmp_path / "artifacts").as_uri())
    mine, other = (
        client.create_run(experiment, tags={KEY_TAG: "study", STUDY_TAG: study}).info.run_id
        for study in ("0f", "another")
    )
    runs = SingleRuns(client, place)
    run = runs.start("a map", {"level": "map"}, {"label": "CD3D"}, {"correlation": 0.5})
    assert runs.finish(run) == run.info.run_id
    kept = client.get_run(run.info.run_id)
    assert (kept.info.status, kept.info.run_name) == ("FINISHED", "a map")
    assert (kept.data.tags["level"], kept.data.tags[PARENT_TAG]) == ("map", mine)
    assert (kept.data.params, kept.data.metrics) == ({"label": "CD3D"}, {"correlation": 0.5})
    assert runs.tagged("level", "map").info.run_id == run.info.run_id
    assert runs.tagged("level", "refit") is None
    assert other != mine


def test_without_its_study_a_run_stands_alone(place: Place) -> None:
    client = client_at(place.uri)
    for where in (place, replace(place, study_id=None)):
        run = SingleRuns(client, where).start("a map", {}, {}, {})
        assert PARENT_TAG not in client.get_run(run.info.run_id).data.tags


def test_files_are_shown_under_the_names_that_they_are_given(place: Place, tmp_path: Path) -> None:
    client, own = client_at(place.uri), tmp_path / "sub-0123.nii.gz"
    own.write_bytes(b"voxels")
    (tmp_path / "sub-0123.html").write_text("page")
    runs = SingleRuns(client, place)
    run = runs.start("a map", {}, {}, {})
    files = {"P01.nii.gz": own, "P01/map.html": tmp_path / "sub-0123.html", "P02/map.html": own}
    runs.add_files(run, files)
    folder = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    for name, file in files.items():
        assert (folder / name).read_bytes() == file.read_bytes()
    assert not (folder / "P01/map.html").is_symlink()
    assert not list((tmp_path / "artifacts").rglob("*0123*"))


def test_more_parameters_than_a_request_takes_all_arrive(place: Place) -> None:
    client = client_at(place.uri)
    run = SingleRuns(client, place).start("a map", {}, {f"p{n}": n for n in range(150)}, {})
    assert len(client.get_run(run.info.run_id).data.params) == 150


def test_a_store_that_breaks_down_is_an_outage(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_at(place.uri)
    runs = SingleRuns(client, place)

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(client), "create_run", broken)
    with pytest.raises(Outage, match="Input/output error"):
        runs.start("a map", {}, {}, {})
