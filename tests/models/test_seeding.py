import keras
import numpy as np
import pytest

from models.errors import ModelError
from models.seeding import initialise, streams


def _network(widths=(64,)):
    patch = keras.Input((5, 5, 2))
    features = keras.layers.Conv2D(32, 3, kernel_initializer="he_normal")(patch)
    features = keras.layers.BatchNormalization()(features)
    hidden = keras.layers.Flatten()(features)
    for width in widths:
        hidden = keras.layers.Dense(width, use_bias=True)(hidden)
    return keras.Model(patch, hidden)


def _drawn(model, seed):
    initialise(model, seed)
    return model.get_weights()


def test_one_seed_gives_one_set_of_weights_in_every_model_built():
    for first, second in zip(_drawn(_network(), 7), _drawn(_network(), 7), strict=True):
        np.testing.assert_array_equal(first, second)


def test_another_seed_gives_other_weights():
    network = _network()
    assert not np.array_equal(_drawn(network, 7)[0], _drawn(network, 8)[0])


def test_equal_layers_get_different_weights():
    kernels = [weight for weight in _drawn(_network((96, 96, 96)), 0) if weight.shape == (96, 96)]
    assert not np.array_equal(*kernels)


def test_keras_global_state_plays_no_part():
    network = _network()
    keras.utils.set_random_seed(1)
    first = _drawn(network, 7)
    keras.utils.set_random_seed(2)
    np.testing.assert_array_equal(first[0], _drawn(network, 7)[0])


def test_weights_have_the_scale_of_their_initializer():
    he_kernel, *_, glorot_kernel, _bias = _drawn(_network(), 0)
    assert he_kernel.std() == pytest.approx(np.sqrt(2 / (3 * 3 * 2)), rel=0.1)
    limit = np.sqrt(6 / sum(glorot_kernel.shape))
    assert np.abs(glorot_kernel).max() == pytest.approx(limit, rel=0.01)
    assert glorot_kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)


def test_batch_norm_statistics_return_to_zero_and_one():
    network = _network()
    network(np.random.default_rng(0).normal(5, 3, (16, 5, 5, 2)), training=True)
    *_, mean, variance, _kernel, _bias = _drawn(network, 0)
    assert (mean == 0).all()
    assert (variance == 1).all()


def test_a_variable_that_cannot_be_seeded_is_refused():
    patch = keras.Input((4,))
    network = keras.Model(patch, keras.layers.Dropout(0.5, name="drop")(patch))
    with pytest.raises(ModelError, match="layer 'drop': no initializer belongs to its variable"):
        initialise(network, 0)


def test_the_streams_of_a_seed_are_reproducible_and_independent():
    first, again, other = streams(3), streams(3), streams(4)
    drawn = first.shuffling.random(8)
    np.testing.assert_array_equal(drawn, again.shuffling.random(8))
    assert not np.array_equal(drawn, first.augmentation.random(8))
    assert not np.array_equal(drawn, other.shuffling.random(8))
