"""What is told of a map."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.regions import Region
from search.maps.drawing import Drawn
from search.maps.record import map_record, metrics_of, public_record
from search.maps.scene import Scene

SCORE = {"participant": "sub-001", "label": "CD3D", "correlation": 0.5, "p_value": 0.01}


@pytest.fixture
def told(make_scene: Callable[..., Scene]) -> dict[str, object]:
    scene = make_scene()
    region = Region("tumor", scene.drawn.region, "of sub-001/tumor.nii.gz")
    return map_record(scene, region, 1.234, ["sub-001.html"], [SCORE])


def test_a_map_is_told_in_numbers(told: dict[str, object], make_drawn: Callable[..., Drawn]) -> None:
    drawn = make_drawn()
    inside = drawn.region
    assert told["region"] == {
        "name": "tumor",
        "note": "of sub-001/tumor.nii.gz",
        "voxels": int(inside.sum()),
        "volume_ml": pytest.approx(inside.sum() * 2 / 1000),
    }
    first = told["labels"][0]  # type: ignore[index]
    assert first["above_share"] == pytest.approx(drawn.above[inside][:, 0].mean(), abs=1e-4)
    assert first["mean_probability"] == pytest.approx(drawn.probability[inside][:, 0].mean(), abs=1e-4)
    assert told["unlike_share"] == pytest.approx(drawn.unlike[inside].mean(), abs=1e-4)
    assert sum(part["share"] for part in told["pheno_regions"].values()) == pytest.approx(1, abs=1e-3)  # type: ignore[attr-defined]
    json.dumps(told, allow_nan=False)


def test_the_peak_is_told_in_the_world(told: dict[str, object], make_scene: Callable[..., Scene]) -> None:
    scene = make_scene()
    world = (scene.grid.canonical_affine @ [*scene.peak(1), 1])[:3]
    assert told["labels"][1]["peak"]["mm_ras"] == pytest.approx(world, abs=0.01)  # type: ignore[index]


def test_where_nothing_is_said_there_is_no_number(
    make_scene: Callable[..., Scene], make_drawn: Callable[..., Drawn]
) -> None:
    drawn = make_drawn()
    scene = make_scene(drawn=make_drawn(probability=np.full_like(drawn.probability, np.nan)))
    told = map_record(scene, Region("x", drawn.region, ""), 0.0, [], [])
    assert told["unanswered_share"] == 1
    assert told["labels"][0]["mean_probability"] is None
    json.dumps(told, allow_nan=False)


def test_what_others_see_names_nobody(told: dict[str, object]) -> None:
    record = {"model": {"name": "toy"}, "participant": "sub-001", "out_of_fold": True, "maps": [told]}
    public = public_record(record)
    assert "sub-001" not in json.dumps(public)
    assert public["maps"][0]["scores"][0]["correlation"] == 0.5
    assert public["out_of_fold"] is True


def test_metrics_have_names_that_mlflow_takes(told: dict[str, object]) -> None:
    told["labels"][0]["name"] = "CD3D+CD3E"  # type: ignore[index]
    found = metrics_of({"maps": [told]})
    assert found["above_share/CD3D_CD3E"] == told["labels"][0]["above_share"]  # type: ignore[index]
    assert found["correlation/CD3D"] == 0.5
    assert all(isinstance(value, float) for value in found.values())
    assert SimpleNamespace(**told).seconds == 1.23
