"""Which label dominates where."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from search.maps.combined import meaning, pheno_regions
from search.maps.drawing import Drawn


def of(
    make_drawn: Callable[..., Drawn], probabilities: list[list[float]], thresholds: tuple[float, ...]
) -> list[int]:
    """What dominates in a row of voxels with these probabilities of each label."""
    values = np.array(probabilities, dtype=np.float32)[:, None, None]
    drawn = make_drawn(
        tuple("ABC"[: len(thresholds)]),
        probability=values,
        thresholds=thresholds,
        above=values > np.array(thresholds),
        region=np.isfinite(values[..., 0]),
    )
    return [int(number) for number in pheno_regions(drawn).ravel()]


def test_the_label_farthest_above_its_own_threshold_dominates(make_drawn: Callable[..., Drawn]) -> None:
    # 0.3 is farther above 0.1 than 0.6 above 0.5: logits 1.35 and 0.41.
    rows = [[0.6, 0.3], [0.6, 0.05], [0.4, 0.09], [0.9, 0.11], [np.nan, np.nan]]
    assert of(make_drawn, rows, (0.5, 0.1)) == [2, 1, 0, 1, 0]


def test_a_label_below_its_threshold_never_dominates(make_drawn: Callable[..., Drawn]) -> None:
    assert of(make_drawn, [[0.95, 0.02, 0.51], [0.95, 0.02, 0.4]], (0.97, 0.01, 0.5)) == [2, 2]
    assert of(make_drawn, [[0.5, 0.5]], (0.5, 0.5)) == [0]


def test_it_is_what_a_loop_over_voxels_finds(make_drawn: Callable[..., Drawn]) -> None:
    drawn = make_drawn(("A", "B", "C"))
    found = pheno_regions(drawn)
    odds = lambda p: np.log(p) - np.log1p(-p)  # noqa: E731
    for x, y, z in np.argwhere(drawn.region):
        here = drawn.probability[x, y, z].astype(float)
        margins = {k: odds(here[k]) - odds(t) for k, t in enumerate(drawn.thresholds) if here[k] > t}
        assert found[x, y, z] == (1 + max(margins, key=margins.__getitem__) if margins else 0)
    assert not found[~drawn.region].any()
    assert set(np.unique(found)) == {0, 1, 2, 3}


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_certainty_is_no_trouble(make_drawn: Callable[..., Drawn], certain: float) -> None:
    assert of(make_drawn, [[certain, 0.6]], (0.4, 0.5)) == [1 if certain else 2]


def test_every_number_has_a_meaning() -> None:
    assert meaning(("A", "B")) == {"0": "none above its threshold", "1": "A", "2": "B"}
