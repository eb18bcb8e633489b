import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.backbones import densenet201, resnet50
from models.stems import REPLACED, behind_stem

NETWORKS = {"resnet50": resnet50, "densenet201": densenet201}


def _network(name, stem, resize_to=None, channels=2):
    patch = keras.Input((None, None, channels), name="patch")
    return keras.Model(patch, behind_stem(NETWORKS[name], patch, stem, resize_to))


@pytest.fixture(scope="module", params=["resnet50", pytest.param("densenet201", marks=pytest.mark.slow)])
def pair(request):
    """One network behind the small stem and as it is."""
    return _network(request.param, "small"), _network(request.param, "paper")


def test_the_small_stem_leaves_a_flat_network_of_stock_layers_each_used_once(pair):
    small, _ = pair
    assert {type(layer).__module__.partition(".")[0] for layer in small.layers} == {"keras"}
    assert not [layer for layer in small.layers if isinstance(layer, keras.Model)]
    assert {len(layer._inbound_nodes) for layer in small.layers} == {1}


def test_the_small_stem_replaces_the_stem_and_no_other_weight(pair):
    small, paper = (
        {layer.name: [tuple(weight.shape) for weight in layer.weights] for layer in network.layers}
        for network in pair
    )
    stem = {name: small.pop(name) for name in REPLACED.values()}
    assert stem["stem_conv"] == [(3, 3, 2, 64)]
    stock = {name: shapes for name, shapes in paper.items() if shapes and name not in REPLACED}
    assert {name: shapes for name, shapes in small.items() if shapes} == stock


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 9, 17, 32, 33])
def test_the_small_stem_keeps_the_side_and_three_stages_halve_it(pair, side):
    small, _ = pair
    halved = math.ceil(math.ceil(math.ceil(side / 2) / 2) / 2)
    assert small.compute_output_shape((None, side, side, 2))[1:3] == (halved, halved)


def test_a_single_pixel_runs_behind_the_small_stem(pair):
    small, _ = pair
    assert np.isfinite(small(np.ones((2, 1, 1, 2), np.float32), training=True)).all()


def test_the_resize_stem_is_the_stock_network_on_an_interpolated_patch():
    resized, paper = _network("resnet50", "resize", 40), _network("resnet50", "paper")
    paper.set_weights(resized.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 2)).astype(np.float32)
    for mode in ({}, {"training": False}, {"training": True}):
        expected = paper(tf.image.resize(x, (40, 40)), **mode)
        np.testing.assert_allclose(resized(x, **mode), expected, rtol=1e-4, atol=1e-5)
    assert {len(layer._inbound_nodes) for layer in resized.layers} == {1}


def test_a_patch_of_the_side_resized_to_stays_as_it_is():
    patch = keras.Input((4, 4, 1))
    resize = keras.Model(patch, behind_stem(lambda resized: resized, patch, "resize", 4))
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 1)).astype(np.float32)
    np.testing.assert_array_equal(resize(x), x)
