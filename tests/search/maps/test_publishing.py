"""What of a map goes to MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data_prep.cohort import read_cohort
from data_prep.regions import Region
from search.home import Home
from search.maps import publishing
from search.maps.making import Made
from search.maps.publishing import pseudonym, publish
from search.maps.record import map_record
from search.maps.scene import Scene

WHO = "sub-002"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What MLflow is given, read while it is there."""
    given: dict[str, Any] = {}

    def log_map(
        home: Home, uri: str | None, facts: object, title: str, files: dict[str, Path], metrics: Any
    ) -> str:
        given.update(
            title=title, metrics=metrics, uri=uri, files={n: p.read_bytes() for n, p in files.items()}
        )
        return "run"

    monkeypatch.setattr(publishing, "log_map", log_map)
    return given


def published(make_scene: Callable[..., Scene], cohort_folder: Path, visits: int = 1) -> None:
    cohort, scenes = read_cohort(cohort_folder), tuple(make_scene(name=WHO) for _ in range(visits))
    region = Region("tumor", scenes[0].drawn.region, f"of {WHO}/tumor.nii.gz")
    maps = [map_record(scene, region, 1.0, [f"{WHO}.html"], []) for scene in scenes]
    record = {"model": {"name": "toy"}, "participant": WHO, "maps": maps}
    made = Made(WHO, cohort_folder / "maps" / WHO, record, scenes, ())
    model: Any = SimpleNamespace(facts=None)
    assert publish(made, model, cohort, Home.at(cohort_folder / "home"), "sqlite:////x") == "run"


def test_pictures_and_numbers_go_under_a_pseudonym(
    make_scene: Callable[..., Scene], cohort_folder: Path, logged: dict[str, Any]
) -> None:
    published(make_scene, cohort_folder)
    assert logged["title"] == "map of P03 of toy"
    assert sorted(logged["files"]) == [
        "P03_CD3D.png",
        "P03_CD3D_mosaic.png",
        "P03_CD8A.png",
        "P03_CD8A_mosaic.png",
        "P03_pheno_regions.png",
        "map.json",
    ]
    told = json.loads(logged["files"]["map.json"])
    assert told["maps"][0]["region"]["volume_ml"] == logged["metrics"]["region_ml"]
    assert logged["uri"] == "sqlite:////x"


def test_no_id_is_in_anything_that_is_logged(
    make_scene: Callable[..., Scene],
    cohort_folder: Path,
    logged: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[Scene] = []
    monkeypatch.setattr(publishing, "write_pictures", lambda scene, folder: drawn.append(scene) or [])
    published(make_scene, cohort_folder)
    told = logged["title"] + "".join(logged["files"]) + logged["files"]["map.json"].decode()
    for name in (WHO, "b1", str(cohort_folder)):
        assert name not in told
    (scene,) = drawn
    assert (scene.name, set(scene.marks.names)) == ("P03", {""})
    assert len(scene.marks.places) == 3
    assert WHO not in scene.said


def test_each_visit_has_pictures_of_its_own(
    make_scene: Callable[..., Scene],
    cohort_folder: Path,
    logged: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(scene: Scene, folder: Path) -> list[str]:
        (folder / f"{scene.name}.png").write_bytes(b"x")
        return [f"{scene.name}.png"]

    monkeypatch.setattr(publishing, "write_pictures", write)
    published(make_scene, cohort_folder, visits=2)
    assert set(logged["files"]) == {"map.json", "P03_visit1.png", "P03_visit2.png"}


def test_participants_are_counted_through_the_table(cohort_folder: Path) -> None:
    cohort = read_cohort(cohort_folder)
    assert [pseudonym(cohort, who) for who in cohort.participants] == ["P01", "P02", "P03", "P04"]
