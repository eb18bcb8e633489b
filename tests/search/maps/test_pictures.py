"""Pictures of maps: what is on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from data_prep.geometry import Grid
from search.figures import save_figure
from search.maps import pictures
from search.maps.drawing import Drawn
from search.maps.scene import Marks, Scene
from tests.search.maps.conftest import SHAPE

MakeScene = Callable[..., Scene]


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [text.get_text() for text in axes.texts]
    for legend in figure.legends:
        found += [text.get_text() for text in legend.get_texts()]
    return "\n".join(found)


def dots(figure: Figure) -> list[tuple[float, float]]:
    """Places of all marks, panel by panel."""
    found = [
        c.get_offsets() for axes in figure.axes for c in axes.collections if isinstance(c, PathCollection)
    ]
    return [tuple(place) for part in found for place in np.asarray(part).tolist()]


def test_the_planes_tell_what_they_show(make_scene: MakeScene) -> None:
    peak = make_scene().peak(0).astype(float)
    marks = Marks(("b1", "b2"), np.array([peak, peak]), {"CD3D": [1, None]})
    told = texts(pictures.planes_picture(make_scene(marks=marks), 0))
    for line in ("sub-001: probability of CD3D", "research use only", "threshold 0.40", "biopsy above cut"):
        assert line in told
    assert "biopsy, unknown" in told
    x, y, z = make_scene().peak(0) + 1
    for line in (f"x {x} of 20", f"y {y} of 24", f"z {z} of 12"):
        assert line in told


def test_nothing_is_cut_off_at_the_edges(make_scene: MakeScene) -> None:
    scene = make_scene(name="participant-with-a-name-of-sixty-characters-and-then-some-more")
    for figure in (
        pictures.planes_picture(scene, 0),
        pictures.mosaic_picture(scene, 1),
        pictures.regions_picture(scene),
    ):
        figure.canvas.draw()
        width, height = figure.canvas.get_width_height()
        for text in (*figure.texts, *(t for legend in figure.legends for t in legend.get_texts())):
            box = text.get_window_extent()
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= width
            assert box.y1 <= height


def test_unlike_and_threshold_are_named_only_where_they_are_drawn(
    make_scene: MakeScene, make_drawn: Callable[..., Drawn]
) -> None:
    assert "unlike training data" in texts(pictures.mosaic_picture(make_scene(), 0))
    drawn = make_drawn()
    plain = make_scene(drawn=make_drawn(unlike=np.zeros_like(drawn.unlike)))
    assert "unlike" not in texts(pictures.mosaic_picture(plain, 0))


def test_every_biopsy_of_the_region_has_its_slice_in_the_mosaic(make_scene: MakeScene) -> None:
    scene = make_scene()
    told = texts(pictures.mosaic_picture(scene, 0))
    for place in scene.marks.places:
        assert f"z {int(place[2]) + 1} of 12" in told


def test_marks_lie_at_their_places_on_the_slice_they_are_in(make_scene: MakeScene) -> None:
    """The box starts where the region, with its room, does: marks are millimetres from there."""
    places = np.array([[11.0, 10.0, 6.0]])
    scene = make_scene(marks=Marks(("b",), places, {"CD3D": [1]}))
    start = np.array([part.start for part in pictures._around(scene)])
    expected = ((places[0] - start) * scene.grid.voxel_size)[:2]
    found = dots(pictures.mosaic_picture(scene, 0))
    assert found
    for place in found:
        assert place == pytest.approx(tuple(expected))


def test_many_slices_are_thinned_out_evenly(make_scene: MakeScene) -> None:
    levels = pictures._levels(make_scene())
    assert levels == sorted(set(levels))
    region = make_scene().drawn.region.any(axis=(0, 1))
    assert {levels[0], levels[-1]} == {int(np.flatnonzero(region)[0]), int(np.flatnonzero(region)[-1])}


def test_a_map_is_drawn_in_the_colours_of_its_values(
    make_scene: MakeScene, make_drawn: Callable[..., Drawn]
) -> None:
    """Half of the region at 0, half at 1: the two ends of the scale, whatever the range of the map."""
    drawn = make_drawn()
    probability = np.where(np.arange(20)[:, None, None, None] < 11, 0.0, 1.0) + 0 * drawn.probability
    scene = make_scene(drawn=make_drawn(probability=probability.astype(np.float32), thresholds=(0.5, 0.5)))
    figure = pictures.planes_picture(scene, 0)
    shown = [
        image.norm(image.get_array().compressed())
        for axes in figure.axes
        for image in axes.images
        if image.get_cmap().name == "viridis" and image.get_array() is not None
    ]
    values = np.concatenate([np.asarray(part).ravel() for part in shown])
    assert values.min() == pytest.approx(0, abs=1e-5)
    assert values.max() == 1


def test_labels_of_pheno_regions_are_in_the_legend(make_scene: MakeScene) -> None:
    told = texts(pictures.regions_picture(make_scene()))
    assert "CD3D\nCD8A" in told
    assert "\nbiopsy" in told


def test_hostile_names_are_text(
    make_scene: MakeScene, make_drawn: Callable[..., Drawn], tmp_path: object
) -> None:
    scene = make_scene(name=r"$\frac{", drawn=make_drawn(("$x^", "_b$")))
    for figure in (pictures.planes_picture(scene, 0), pictures.regions_picture(scene)):
        assert save_figure(figure, tmp_path / "picture.png").stat().st_size > 10_000  # type: ignore[operator]


def marked(figure: Figure) -> dict[str, int]:
    """How many biopsies each slice shows, by what is written on it."""
    found = {}
    for axes in figure.axes:
        names = [text.get_text() for text in axes.texts if " of " in text.get_text()]
        for name in names:
            found[name] = sum(len(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection))
    return found


def of_thickness(make_scene: MakeScene, make_drawn: Callable[..., Drawn], mm: float) -> Scene:
    """Biopsies at the lower end, in the middle and at the upper end of axial slices of that thickness."""
    affine = np.diag([1.0, 1.0, mm, 1.0])
    drawn = make_drawn(grid=Grid(SHAPE, affine))
    places = np.array([[11, 10, 5.5], [9, 12, 6.0], [12, 9, 6.49], [10, 10, 3.6], [10, 11, 8.4]])
    marks = Marks(tuple("abcde"), places, {"CD3D": [1, 1, 1, 0, 0]})
    return make_scene(drawn=drawn, marks=marks)


@pytest.mark.parametrize("mm", [0.5, 1.0, 6.0])
def test_each_biopsy_is_marked_once_on_the_slice_that_it_lies_in(
    make_scene: MakeScene, make_drawn: Callable[..., Drawn], mm: float
) -> None:
    scene = of_thickness(make_scene, make_drawn, mm)
    for figure in (
        pictures.mosaic_picture(scene, 0),
        pictures.mosaic_picture(scene, 1),
        pictures.regions_picture(scene),
    ):
        found = {name: count for name, count in marked(figure).items() if count}
        assert found == {"z 7 of 12": 3, "z 5 of 12": 1, "z 9 of 12": 1}


@pytest.mark.parametrize("mm", [1.0, 6.0])
def test_planes_mark_the_biopsies_that_lie_in_them(
    make_scene: MakeScene, make_drawn: Callable[..., Drawn], mm: float
) -> None:
    scene = of_thickness(make_scene, make_drawn, mm)
    peak = scene.peak(0)
    expected = {
        f"{name} {peak[axis] + 1} of {SHAPE[axis]}": int(
            (np.floor(scene.marks.places[:, axis] + 0.5) == peak[axis]).sum()
        )
        for axis, name in enumerate("xyz")
    }
    assert marked(pictures.planes_picture(scene, 0)) == expected


def test_the_legend_names_what_was_drawn_alone(
    make_scene: MakeScene, make_drawn: Callable[..., Drawn]
) -> None:
    scene = make_scene()
    peak, far = scene.peak(0).astype(float), scene.peak(0) + np.array([3.0, 3.0, 2.0])
    marks = Marks(("in", "out"), np.array([peak, far]), {"CD3D": [0, 1]})
    shown = make_scene(marks=marks, drawn=make_drawn(unlike=np.zeros_like(scene.drawn.unlike)))
    told = texts(pictures.planes_picture(shown, 0))
    assert "biopsy below cut" in told
    assert "biopsy above cut" not in told
    assert "unlike" not in told
    away = make_scene(marks=Marks(("away",), np.array([[-5.0, 4.0, 3.0]]), {"CD3D": [1]}))
    for figure in (pictures.mosaic_picture(away, 0), pictures.regions_picture(away)):
        assert "biopsy" not in texts(figure)
        assert not dots(figure)
