from __future__ import annotations

import numpy as np

from data_prep.phantom.scanners import SCANNERS, draw_scanners


def test_scanners_differ_in_gain_offset_and_blur() -> None:
    scanners = draw_scanners(0)
    assert [scanner.name for scanner in scanners] == list(SCANNERS)
    for what in ("gain", "offset", "blur"):
        values = np.array([getattr(scanner, what) for scanner in scanners])
        assert len(np.unique(values, axis=0)) == len(SCANNERS)


def test_log_gains_have_the_stated_spread() -> None:
    gains = np.concatenate([scanner.gain for seed in range(60) for scanner in draw_scanners(seed)])
    assert 0.18 < np.log(gains).std() < 0.22
