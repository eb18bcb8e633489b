from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep.phantom import template
from data_prep.problems import InputError


def test_tissue_fractions_are_those_of_a_brain() -> None:
    loaded = template.load_template(3)
    gm, wm = loaded.gm.data, loaded.wm.data
    assert gm.min() == wm.min() == 0
    assert (gm + wm).max() < 1.05
    litres = 27e-6 * np.array([gm.sum(), wm.sum()])
    assert np.all((litres > 0.35) & (litres < 1.1))


def test_the_hull_holds_the_tissue_and_not_the_air() -> None:
    loaded = template.load_template(3)
    tissue = loaded.gm.data + loaded.wm.data
    assert loaded.outside.data[tissue > 0.9].max() < 3
    assert loaded.outside.data[0, 0, 0] > 15


@pytest.mark.parametrize("spacing", [1, 2, 3])
def test_resampling_does_not_depend_on_the_spacing(spacing: int) -> None:
    loaded = template.load_template(spacing)
    read = loaded.wm.resample(6 * np.eye(3), loaded.centre - 6 * 11.5, 24)
    reference = template.load_template(1).wm.resample(6 * np.eye(3), loaded.centre - 6 * 11.5, 24)
    assert np.corrcoef(read.ravel(), reference.ravel())[0, 1] > 0.95


def test_a_nilearn_without_the_maps_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "find_spec", lambda _: None)
    template.load_template.cache_clear()
    with pytest.raises(InputError, match=r"mni_icbm152_gm.*the phantom needs this file of nilearn"):
        template.load_template(3)
    assert not Path("nilearn").exists()
