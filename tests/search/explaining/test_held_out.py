"""Changed copies are asked of the fold's own ensemble, each with its own location."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from data_prep.arrays import DoubleArray
from data_prep.features import FeatureTable
from search.deployment.records import Shown
from search.explaining.changed import Cover, covered
from search.explaining.held_out import HeldOut, pieces


def test_copies_come_back_in_their_order_with_the_locations_repeated(
    make_part: Callable[..., HeldOut],
) -> None:
    place = FeatureTable(np.linspace(-3, 3, 12)[:, None], ("x",))

    def say(shown: Shown) -> DoubleArray:
        where = np.zeros((len(shown), 1)) if shown.location is None else shown.location.values
        return np.asarray(1 / (1 + np.exp(-where)))

    part = make_part(speaker=say, location=place, labels=np.zeros((12, 1), dtype=np.int64))
    copies = covered(part.patches, [Cover(0), Cover(1), Cover(2)], part.neutral)
    logits = part.logits(copies)
    assert logits.shape == (3, 12, 1)
    for copy in logits:
        np.testing.assert_allclose(copy, place.values, atol=1e-12)


def test_certainty_is_finite(make_part: Callable[..., HeldOut]) -> None:
    part = make_part(speaker=lambda shown: np.tile([0.0, 1.0], (len(shown), 1)))
    logits = part.logits(part.patches)
    assert np.isfinite(logits).all()
    assert (logits[..., 0] < -7).all()
    np.testing.assert_allclose(logits[..., 0], -logits[..., 1])


@pytest.mark.parametrize(("count", "size"), [(0, 3), (7, 3), (6, 3), (2, 100)])
def test_pieces_cover_everything_once(count: int, size: int) -> None:
    numbers = [n for piece in pieces(count, size) for n in range(count)[piece]]
    assert numbers == list(range(count))
