"""The page of a map, as text; tests/search/maps/test_page_browser.py opens it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from search.maps.drawing import Drawn
from search.maps.page import render
from search.maps.scene import Marks, Scene

MakeScene = Callable[..., Scene]
NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_it_says_whose_map_of_what_it_is(make_scene: MakeScene) -> None:
    page = render(make_scene(), [("Model", "toy, version 1")], ["Do not rely on it there."])
    for text in (
        "sub-001: map of CD3D, CD8A",
        "Research use only",
        "toy, version 1",
        "Do not rely on it there.",
    ):
        assert text in page


def test_it_reaches_nothing_outside(make_scene: MakeScene) -> None:
    page = render(make_scene(), [])
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*", page)
    assert "http" not in re.sub(r"<script>.*?</script>|http-equiv", "", page, flags=re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]
    assert "unsafe-inline'" not in policy[1].partition("style-src")[0]


@pytest.mark.parametrize("part", ["name", "label", "biopsy", "row", "note"])
def test_names_are_text_wherever_they_stand(
    make_scene: MakeScene, make_drawn: Callable[..., object], part: str
) -> None:
    scene = make_scene()
    clean = len(re.findall(r"<script|<img", render(scene, [("a", "b")], ["c"])))
    if part == "name":
        scene = make_scene(name=NASTY)
    elif part == "label":
        scene = make_scene(drawn=make_drawn((NASTY, "B")))
    elif part == "biopsy":
        object.__setattr__(scene.marks, "names", ("b1", NASTY, "b3"))
    page = render(scene, [("a", NASTY if part == "row" else "b")], [NASTY if part == "note" else "c"])
    assert NASTY not in page
    assert "alert(1)" in page
    assert len(re.findall(r"<script|<img", page)) == clean


def test_the_viewer_starts_at_the_peak_and_knows_where_that_is(make_scene: MakeScene) -> None:
    scene = make_scene()
    data = data_of(render(scene, []))
    place = np.array(data["affine"]) @ [*data["start"], 1]  # type: ignore[misc]
    expected = scene.grid.canonical_affine @ [*scene.peak(0), 1]
    assert np.abs(place - expected).max() <= 1  # flat voxels are two cubes: half a voxel of 2 mm
    kinds = [layer["kind"] for layer in data["layers"]]  # type: ignore[attr-defined, index]
    assert kinds == ["probability", "probability", "regions", "spread", "spread", "unlike"]


def test_one_label_has_no_pheno_regions(make_scene: MakeScene, make_drawn: Callable[..., object]) -> None:
    page = render(make_scene(drawn=make_drawn(("CD3D",))), [])
    assert "Pheno-regions" not in page


def test_every_value_of_a_layer_has_a_colour_of_its_own(make_scene: MakeScene) -> None:
    for layer in data_of(render(make_scene(), []))["layers"]:  # type: ignore[attr-defined]
        assert len(set(layer["colours"])) == len(layer["colours"])


def test_the_value_of_a_regression_is_a_layer_of_its_own_range(
    make_scene: MakeScene, make_drawn: Callable[..., Drawn]
) -> None:
    drawn = make_drawn(("CD3D",))
    value = np.where(drawn.region[..., None], 2 + 3 * drawn.probability, np.nan).astype(np.float32)
    layers = data_of(render(make_scene(drawn=replace(drawn, value=value)), []))["layers"]
    (found,) = [layer for layer in layers if layer["kind"] == "value"]  # type: ignore[attr-defined]
    assert found["name"] == "Value of CD3D"
    assert (found["least"], found["most"]) == pytest.approx((np.nanmin(value), np.nanmax(value)))


def test_each_biopsy_lies_on_the_slices_of_its_voxel(make_scene: MakeScene) -> None:
    """Voxels of 2 mm are two cubes of 1 mm; what lies beyond the image is on none."""
    places = np.array([[11.0, 10.0, 6.0], [-4.0, 3.0, 3.0]])
    scene = make_scene(marks=Marks(("in", "out"), places, {}))
    data = data_of(render(scene, []))
    (site,) = data["sites"]  # type: ignore[misc]
    x, y, z = site["slices"]
    assert (x[0] == x[1], y[0] == y[1], z[1] - z[0]) == (True, True, 1)
    found = np.array(data["affine"]) @ [*site["at"], 1]
    assert found == pytest.approx(scene.grid.canonical_affine @ [11, 10, 6, 1])
