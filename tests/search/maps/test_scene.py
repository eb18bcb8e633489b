"""What is shown beside a map."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from search.maps.drawing import Drawn
from search.maps.scene import Marks, Scene, box_of, cropped, scene_of


def test_the_peak_is_the_highest_probability_where_the_model_knows_the_like(
    make_scene: Callable[..., Scene], make_drawn: Callable[..., Drawn]
) -> None:
    drawn = make_drawn()
    scene = make_scene(drawn=drawn)
    at = tuple(scene.peak(0))
    known = drawn.region & ~drawn.unlike
    assert known[at]
    assert drawn.probability[(*at, 0)] == drawn.probability[known][:, 0].max()
    nowhere = make_scene(drawn=make_drawn(unlike=drawn.region))
    assert drawn.probability[(*tuple(nowhere.peak(1)), 1)] == drawn.probability[drawn.region][:, 1].max()


def test_the_peak_is_in_the_region_also_where_nothing_is_said(
    make_scene: Callable[..., Scene], make_drawn: Callable[..., Drawn]
) -> None:
    drawn = make_drawn()
    silent = make_drawn(probability=np.full_like(drawn.probability, np.nan))
    assert drawn.region[tuple(make_scene(drawn=silent).peak(0))]
    partly = drawn.probability.copy()
    partly[11] = np.nan
    at = tuple(make_scene(drawn=make_drawn(probability=partly)).peak(0))
    assert np.isfinite(partly[at][0])


def test_the_box_holds_all_that_is_true_with_a_margin() -> None:
    inside = np.zeros((10, 10, 10), bool)
    inside[3, 4:6, 0] = True
    box = box_of(inside, (1, 2, 3))
    assert box == (slice(2, 5), slice(2, 8), slice(0, 4))
    assert cropped(inside, box).sum() == inside.sum()


def test_the_head_is_what_is_in_the_image_or_the_region(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene()
    assert cropped(scene.drawn.region, scene.head).sum() == scene.drawn.region.sum()
    assert cropped(scene.grey, scene.head).shape[0] >= 16


@pytest.mark.parametrize(("present", "shown"), [(("T2", "T1Gd", "T1"), "T1Gd"), (("FLAIR", "T1"), "FLAIR")])
def test_the_image_behind_is_the_one_readers_know(
    make_drawn: Callable[..., Drawn], present: tuple[str, ...], shown: str
) -> None:
    windows = SimpleNamespace(name="p", present=present, volume=lambda name: {"asked": name})
    marks = Marks((), np.zeros((0, 3)), {})
    scene = scene_of(windows, make_drawn(), marks, "")  # type: ignore[arg-type]
    assert (scene.sequence, scene.grey) == (shown, {"asked": shown})
