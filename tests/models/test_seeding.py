import keras
import numpy as np
import pytest

from models.errors import ModelError
from models.seeding import initialise, random_states, streams


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
    network = keras.Model(patch, keras.layers.Normalization(name="norm")(patch))
    with pytest.raises(ModelError, match="layer 'norm': no initializer belongs to its variable 'mean'"):
        initialise(network, 0)


def _own():
    """A network whose author decides what it starts from."""
    patch = keras.Input((5, 5, 2))
    offset = np.ones(2, np.float32)
    hidden = keras.layers.Normalization(mean=offset, variance=offset)(patch)
    hidden = keras.layers.SeparableConv2D(3, 3)(hidden)
    loaded = keras.layers.Dense(3)
    network = keras.Model(patch, loaded(keras.layers.Dropout(0.5)(hidden)))
    loaded.set_weights([np.full((3, 3), 7.0), np.zeros(3)])
    return network


def test_a_network_rebuilt_under_a_seed_starts_as_its_author_wants():
    network, other = _own(), _own()
    first = [initialise(network, 4, _own), network.get_weights()][1]
    initialise(network, 5, _own)
    assert not np.array_equal(first[0], network.get_weights()[0])
    initialise(other, 4, _own)
    for ours, theirs in zip(first, other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (first[-2] == 7).all()


def test_a_network_that_is_never_the_same_is_refused():
    with pytest.raises(ModelError, match="the same parameters must give the same network"):
        initialise(_network((8,)), 0, lambda: _network((9,)))


def test_weights_of_a_nested_model_are_drawn_too():
    patch = keras.Input((5, 5, 2))
    network = keras.Model(patch, _network()(patch))
    flat = _drawn(_network(), 3)
    for ours, theirs in zip(_drawn(network, 3), flat, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _noisy():
    patch = keras.Input((4,))
    twice = keras.layers.Dropout(0.5)(keras.layers.GaussianNoise(1.0)(patch))
    return keras.Model(patch, keras.layers.Dense(2)(twice))


def test_the_generators_of_layers_begin_anew_under_a_seed():
    network, x, outputs = _noisy(), np.ones((50, 4), np.float32), []
    for seed in (1, 1, 2):
        initialise(network, seed)
        outputs.append(keras.Model(network.input, network.layers[-1].input)(x, training=True).numpy())
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert (outputs[0] != outputs[2]).mean() > 0.4


def test_every_generator_has_a_state_of_its_own():
    network = _noisy()
    initialise(network, 0)
    first, second = (state.numpy().tolist() for state in random_states(network))
    assert first != second
    assert first[1] == second[1] == 0


def test_generators_leave_the_weights_as_they_are_without():
    patch = keras.Input((4,))
    plain = keras.Model(patch, keras.layers.Dense(2)(patch))
    for ours, theirs in zip(_drawn(plain, 3), _drawn(_noisy(), 3), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_streams_of_a_seed_are_reproducible_and_independent():
    first, again, other = streams(3), streams(3), streams(4)
    drawn = first.shuffling.random(8)
    np.testing.assert_array_equal(drawn, again.shuffling.random(8))
    assert not np.array_equal(drawn, first.augmentation(1).random(8))
    assert not np.array_equal(drawn, other.shuffling.random(8))


def test_the_augmentation_of_an_epoch_is_replayed_without_those_before():
    random = streams(3)
    third = [random.augmentation(epoch).random(8) for epoch in (1, 2, 3)][-1]
    np.testing.assert_array_equal(third, np.random.default_rng([3, 2, 3]).random(8))
    assert not np.array_equal(third, random.augmentation(2).random(8))
