"""The views that do not merely repeat their stock layer; `test_lowering.py` has the others beside theirs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from models.views import AdjustableDropout, DenseConvolution, LoneBatchNormalization, spread


def _norm(shape=(1, 1, 3), **options):
    norm = layers.BatchNormalization(momentum=0.9, **options)
    norm.build((None, *shape))
    return norm


def _values(n, shape=(1, 1, 3)):
    return np.random.default_rng(0).normal(5, 3, (n, 1, *shape)).astype(np.float32)


@pytest.mark.parametrize("side", [1, 2])
def test_the_statistics_of_lone_samples_are_those_of_their_weighted_pixels(side):
    """Which begin with a distribution of mean 0 and variance 1, of the weight that is left to it."""
    norm, values = _norm(), _values(40, (side, side, 3))
    view = LoneBatchNormalization(norm)
    for value in values:
        view(value, training=True)
    weights = np.repeat(0.1 * 0.9 ** np.arange(39, -1, -1), side**2) / side**2
    seen = values.reshape(-1, 3).astype(np.float64)
    mean = weights @ seen
    variance = weights @ seen**2 + 0.9**40 - mean**2
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-4)


@pytest.mark.parametrize("shape", [(3,), (2, 2, 3)], ids=str)
def test_a_lone_sample_is_normalised_as_in_inference_right_after(shape):
    norm, (value,) = _norm(shape), _values(1, shape)
    norm.gamma.assign([1, 2, 3])
    norm.beta.assign([4, 5, 6])
    found = LoneBatchNormalization(norm)(value, training=True)
    np.testing.assert_allclose(found, norm(value, training=False), rtol=1e-5)


@pytest.mark.parametrize("side", [1, 4])
@pytest.mark.parametrize("size", [1e2, 1e6, 1e15])
def test_no_pixel_of_a_lone_sample_leaves_the_range_of_its_share(size, side):
    value = np.zeros((1, side, side, 3), np.float32)
    value[0, 0, 0] = size
    found = LoneBatchNormalization(_norm())(value, training=True)
    assert (np.abs(found) <= np.sqrt(10 * side**2 - 1) * (1 + 1e-4)).all()
    assert np.isfinite(found).all()


def test_stock_normalisation_turns_lone_values_into_its_offset_and_its_variance_into_nothing():
    """What the view is for."""
    norm = _norm()
    for value in _values(300):
        assert (norm(value, training=True).numpy() == 0).all()
    assert (norm.moving_variance.numpy() < 1e-10).all()


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}], ids=str)
@pytest.mark.parametrize("shape", [(3,), (1, 3), (1, 1, 3)], ids=str)
def test_inference_after_lone_values_is_that_of_the_stock_layer(options, shape):
    norm, values = _norm(shape, **options), _values(300, shape)
    view = LoneBatchNormalization(norm)
    for value in values:
        view(value, training=True)
    np.testing.assert_array_equal(view(values[0]), norm(values[0]))
    spread = norm(values[:, 0]).numpy().reshape(300, 3)
    np.testing.assert_allclose(spread.mean(axis=0), 0, atol=0.6)
    np.testing.assert_allclose(spread.std(axis=0), 1, atol=0.5)


def test_the_gradient_through_lone_values_is_that_of_what_is_computed():
    def output(value):
        return tf.reduce_sum(LoneBatchNormalization(_norm())(value, training=True) * [1.0, 2.0, 3.0])

    value = tf.constant([[[[0.5, -1.0, 2.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(value)
        result = output(value)
    found = tape.gradient(result, value).numpy().ravel()
    steps = 1e-2 * np.eye(3, dtype=np.float32).reshape(3, 1, 1, 1, 3)
    expected = [float(output(value + step) - output(value - step)) / 2e-2 for step in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def _dropouts(rate):
    first, second = (layers.Dropout(rate, seed=3) for _ in range(2))
    return first, AdjustableDropout(second)


def test_an_adjustable_dropout_drops_what_the_stock_layer_does():
    stock, view = _dropouts(0.3)
    x = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    for _ in range(3):
        np.testing.assert_allclose(view(x, training=True), stock(x, training=True), rtol=1e-6, atol=0)
    np.testing.assert_array_equal(view(x), x)


def test_the_rate_changes_in_a_step_traced_already():
    _, view = _dropouts(0.5)
    step = tf.function(lambda x: view(x, training=True), autograph=False)
    x = tf.ones((100, 100))
    for rate in (0.5, 0.1, 0.8):
        view.rate.assign(rate)
        found = step(x).numpy()
        assert (found == 0).mean() == pytest.approx(rate, abs=0.03)
        assert np.unique(found)[-1] == pytest.approx(1 / (1 - rate))
    assert step.experimental_get_tracing_count() == 1


def test_every_step_drops_others():
    _, view = _dropouts(0.5)
    first, second = (view(np.ones((10, 10), np.float32), training=True).numpy() for _ in range(2))
    assert (first != second).any()


def test_a_view_has_the_name_and_precision_of_its_layer():
    norm = layers.BatchNormalization(name="norm", dtype=keras.DTypePolicy("mixed_bfloat16"))
    norm.build((None, 1, 1, 3))
    view = LoneBatchNormalization(norm)
    assert (view.name, view.compute_dtype) == ("norm", "bfloat16")
    assert view(np.ones((1, 1, 1, 3), np.float32), training=True).dtype == tf.bfloat16


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 3), (4, 1), (5, 4)], ids=str)
@pytest.mark.parametrize("kernel", [(3, 3), (2, 2), (5, 3)], ids=str)
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_a_padded_convolution_is_one_product_over_its_whole_map(size, kernel, strides, bias):
    random = np.random.default_rng(0)
    patch = keras.Input((*size, 3))
    stock = layers.Conv2D(4, kernel, strides=strides, padding="same", use_bias=bias)
    expected = keras.Model(patch, stock(patch))
    for variable in stock.weights:
        variable.assign(random.normal(size=variable.shape))
    x = random.normal(size=(6, *size, 3)).astype(np.float32)
    np.testing.assert_allclose(DenseConvolution(stock)(x), expected(x), rtol=1e-4, atol=1e-5)


def test_a_spread_kernel_has_each_tap_where_it_meets_a_pixel():
    kernel = np.arange(9, dtype=np.float32).reshape(3, 3, 1, 1)
    assert spread(kernel, (2, 2), (2, 2), (1, 1)).T.tolist() == [
        [4, 5, 7, 8],
        [3, 4, 6, 7],
        [1, 2, 4, 5],
        [0, 1, 3, 4],
    ]
