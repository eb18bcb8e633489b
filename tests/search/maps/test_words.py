"""Sentences about maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data_prep.regions import Region
from search.maps import words
from search.maps.drawing import Drawn
from search.maps.scene import Scene

MakeScene = Callable[..., Scene]


def asking(**changes: Any) -> Any:
    labels = tuple(
        SimpleNamespace(name=name, definition=f"{name} above 1 (TPM)") for name in ("CD3D", "CD8A")
    )
    facts = SimpleNamespace(name="toy", version=3, study="quick", labels=labels)
    model = SimpleNamespace(facts=facts, folds=5)
    return SimpleNamespace(**({"model": model, "out_of_fold": False, "stride": 1} | changes))


@pytest.mark.parametrize(
    ("out_of_fold", "fold", "told"),
    [
        (True, 2, "out of fold 3 of 5"),
        (True, None, "not in the training set"),
        (False, 2, "in the training set"),
        (False, None, "not in the training set"),
    ],
)
def test_it_is_said_whether_the_model_knew_the_participant(
    out_of_fold: bool, fold: int | None, told: str
) -> None:
    line = words.said(asking(out_of_fold=out_of_fold), fold)
    assert line == f"model toy, version 3; {told}; research use only"


def test_a_map_of_somebody_the_model_learned_from_bears_a_warning(make_scene: MakeScene) -> None:
    def warned(fold: int | None, **changes: Any) -> bool:
        return any("learned from" in note for note in words.notes(make_scene(), asking(**changes), fold))

    assert warned(1)
    assert not warned(None)
    assert not warned(1, out_of_fold=True)


def test_it_is_said_where_not_to_rely_on_it(make_scene: MakeScene, make_drawn: Callable[..., Drawn]) -> None:
    drawn = make_drawn()
    share = round(100 * drawn.unlike[drawn.region].mean())
    assert any(
        note.startswith(f"{share}% of the region is unlike")
        for note in words.notes(make_scene(), asking(), None)
    )
    none = make_scene(drawn=make_drawn(unlike=np.zeros_like(drawn.unlike)))
    assert words.notes(none, asking(), None) == []


def test_it_is_said_where_nothing_is_said(make_scene: MakeScene, make_drawn: Callable[..., Drawn]) -> None:
    probability = make_drawn().probability.copy()
    probability[:10] = np.nan
    notes = words.notes(make_scene(drawn=make_drawn(probability=probability)), asking(), None)
    assert any("nothing is said" in note for note in notes)


def test_the_table_tells_region_and_stride(make_scene: MakeScene) -> None:
    scene = make_scene()
    found = dict(words.rows(scene, Region("tumor", scene.drawn.region, "from x"), asking(stride=2), None))
    assert found["Region"] == "tumor: from x"
    assert found["Stride"].startswith("2: ")
    assert "1 x 1 x 2 mm" in found["Size"]
    assert found["CD3D"].startswith("CD3D above 1 (TPM). Above 0.400 in ")


@pytest.mark.parametrize(("low", "high", "told"), [(0.49, 0.51, True), (0.4, 0.55, False)])
def test_a_map_that_hardly_tells_places_apart_says_so(
    make_scene: MakeScene, make_drawn: Callable[..., Drawn], low: float, high: float, told: bool
) -> None:
    drawn = make_drawn(("CD3D",))
    share = (drawn.probability - np.nanmin(drawn.probability)) / np.ptp(drawn.probability[drawn.region])
    notes = words.notes(
        make_scene(drawn=replace(drawn, probability=low + (high - low) * share)), asking(), None
    )
    line = "Probabilities of CD3D from 0.49 to 0.51: this model hardly tells places apart."
    assert (line in notes) is told
    assert any("hardly" in note for note in notes) is told
