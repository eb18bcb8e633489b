from __future__ import annotations

import numpy as np
import pytest

from data_prep.phantom.scanners import SCANNERS, draw_scanners
from data_prep.phantom.spec import SEQUENCES, PhantomSpec


def test_scanners_differ_in_gain_offset_and_blur() -> None:
    scanners = draw_scanners(PhantomSpec())
    assert [scanner.name for scanner in scanners] == list(SCANNERS)
    for what in ("gain", "offset", "blur"):
        values = np.array([getattr(scanner, what) for scanner in scanners])
        assert len(np.unique(values, axis=0)) == len(SCANNERS)


def test_log_gains_have_the_stated_spread() -> None:
    gains = np.concatenate(
        [scanner.gain for seed in range(60) for scanner in draw_scanners(PhantomSpec(seed=seed))]
    )
    assert 0.18 < np.log(gains).std() < 0.22


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_shift_scales_how_scanners_differ(factor: float) -> None:
    plain, shifted = draw_scanners(PhantomSpec()), draw_scanners(PhantomSpec(scanner_shift=factor))
    for one, other in zip(plain, shifted, strict=True):
        np.testing.assert_allclose(np.log(other.gain), factor * np.log(one.gain))
        np.testing.assert_allclose(other.offset, factor * one.offset)
        assert other.blur == min(1.0, factor) * one.blur


def test_without_a_shift_scanners_are_identical() -> None:
    for scanner in draw_scanners(PhantomSpec(scanner_shift=0.0)):
        assert (scanner.gain == 1).all()
        assert not scanner.offset.any()
        assert scanner.blur == 0


def test_two_scanners_make_each_half_of_a_confounded_phantom() -> None:
    assert [scanner.half for scanner in draw_scanners(PhantomSpec(confounding=0.5))] == [1, 1, -1, -1]
    assert [scanner.half for scanner in draw_scanners(PhantomSpec())] == [0, 0, 0]


def test_one_scanner_measures_no_diffusion() -> None:
    lacking = [scanner.lacks for scanner in draw_scanners(PhantomSpec(missing_by="scanner"))]
    assert lacking == [(), (), (SEQUENCES.index("FA"), SEQUENCES.index("MD"))]
