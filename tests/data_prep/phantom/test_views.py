from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.phantom.answers import ideal_reader
from data_prep.phantom.joint import joint_reader
from data_prep.phantom.spec import COARSE, SEQUENCES, PhantomSpec
from data_prep.phantom.views import channels_at, frequent_views, readers, voxel_places
from data_prep.phantom.weights import signal_weights

MIXED = PhantomSpec(grids="mixed")
WEIGHTS = tuple(signal_weights(MIXED)[:, 0].tolist())
NARROW = replace(MIXED.model, radius=3)


def test_a_default_phantom_has_one_reader_who_reads_the_weighted_mean() -> None:
    spec = PhantomSpec()
    (reader,) = readers(spec, WEIGHTS, spec.model)
    assert reader.rho == pytest.approx(ideal_reader(0.4, spec.model).rho)


@pytest.mark.parametrize("place", [(31.0, 30.0, 32.0), (20.0, 21.0, 17.0)])
def test_a_view_holds_the_voxels_of_each_grid_near_a_place(place: tuple[float, float, float]) -> None:
    at = np.array(place)
    carriers = [name for name, weight in zip(SEQUENCES, WEIGHTS, strict=True) if weight]
    for name, channel in zip(carriers, channels_at(MIXED, WEIGHTS, at, MIXED.model), strict=True):
        edges = COARSE[name]
        axes = voxel_places(channel, at)
        for axis, edge, middle in zip(axes, edges, at, strict=True):
            np.testing.assert_allclose(((axis - 31.5) / edge) % 1, ((axis[0] - 31.5) / edge) % 1, atol=1e-6)
            np.testing.assert_allclose(np.diff(axis), edge)
            assert abs(axis - middle).max() <= 8
        assert abs(axes[2] - at[2]).max() <= 2 * edges[2]
        assert [len(axis) for axis in channel.axes] == [16 // int(edges[0]) + (edges[0] == 1)] * 2 + [2]


def test_views_of_frequent_places_are_those_of_any_place() -> None:
    """Up to reflections, what a patch holds repeats: every place is read as one of the frequent ones."""
    found = [joint_reader(view, NARROW).rho for view in frequent_views(MIXED, WEIGHTS, NARROW)]
    rng = np.random.default_rng(0)
    for place in rng.integers(10, 54, size=(12, 3)).astype(float):
        rho = joint_reader(channels_at(MIXED, WEIGHTS, place, NARROW), NARROW).rho
        assert min(abs(np.array(found) - rho)) < 1e-6


def test_frequent_places_are_as_frequent_as_the_places_of_a_grid() -> None:
    frequent = [joint_reader(view, NARROW).rho for view in frequent_views(MIXED, WEIGHTS, NARROW)]
    block = [np.array([x, y, z], float) for x in (20, 21) for y in (33, 34) for z in range(24, 30)]
    there = [joint_reader(channels_at(MIXED, WEIGHTS, place, NARROW), NARROW).rho for place in block]
    np.testing.assert_allclose(sorted(frequent), sorted(there), atol=1e-6)


def test_displaced_sequences_have_one_reader() -> None:
    spec = PhantomSpec(registration_error=2.0)
    assert [reader.auc for reader in readers(spec, WEIGHTS, spec.model)] == pytest.approx([0.7444], abs=1e-4)
