import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from models.build import build_model, open_model
from models.reach import Reach, is_plain_convolution
from models.spec import ModelSpec


@pytest.fixture(scope="module")
def resnet():
    return Reach(open_model(ModelSpec("resnet50", (17, 17, 9))))


@pytest.mark.parametrize(
    ("side", "dead"),
    [(9, 9_437_184), (13, 9_437_184), (17, 6_291_456), (31, 6_291_456), (33, 0)],
)
def test_the_weights_that_small_patches_leave_dead_in_resnet50(resnet, side, dead):
    """Eight of nine taps of 3 kernels of 512 x 512, and below 17 pixels of 6 kernels of 256 x 256 more."""
    assert resnet.dead_parameters((side, side)) == dead


@pytest.mark.parametrize(("side", "count"), [(9, 9), (17, 3), (33, 0)])
def test_the_convolutions_on_one_pixel_of_resnet50(resnet, side, count):
    assert len(resnet.centred((side, side))) == count


def _gradients(model, side, channels):
    """Of the mean output, with everything random and the units linear, so that nothing else is zero."""
    x = np.random.default_rng(0).normal(size=(4, side, side, channels)).astype(np.float32)
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(model(x, training=False) ** 2)
    return tape.gradient(value, model.trainable_variables)


def _linear(shape, kernel=3, stride=1, padding="same", zeros=0):
    patch = keras.Input(shape)
    x = layers.ZeroPadding2D(zeros)(patch) if zeros else patch
    x = layers.Conv2D(4, kernel, strides=stride, padding=padding)(x)
    x = layers.Conv2D(3, 3, strides=2, padding="same")(x)
    return keras.Model(patch, layers.GlobalAveragePooling2D()(x))


@pytest.mark.parametrize("side", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kernel": 5},
        {"kernel": 7, "stride": 2, "padding": "valid", "zeros": 3},
        {"kernel": 3, "stride": 3},
        {"kernel": 4, "stride": 2},
    ],
    ids=str,
)
def test_dead_weights_are_those_whose_gradient_is_exactly_zero(side, options):
    found = _gradients(_linear((side, side, 2), **options), side, 2)
    zeros = sum(int((gradient.numpy() == 0).sum()) for gradient in found)
    assert Reach(_linear((None, None, 2), **options)).dead_parameters((side, side)) == zeros


@pytest.mark.parametrize("side", [1, 2, 5])
def test_the_small_cnn_agrees_with_its_gradients_where_a_tap_is_dead(side):
    spec = ModelSpec("small_cnn", (side, side, 3))
    model = build_model(spec, 1)
    kernels = [
        np.abs(gradient.numpy()).max(axis=(2, 3))
        for gradient in _gradients(model, side, 3)
        if len(gradient.shape) == 4
    ]
    dead = Reach(open_model(spec)).dead_parameters((side, side))
    assert any((taps == 0).any() for taps in kernels) == bool(dead)


def test_padding_by_a_layer_before_gives_outer_taps_a_pixel():
    padded = Reach(_linear((None, None, 2), zeros=1))
    assert padded.centred((1, 1)) == frozenset()
    assert padded.dead_parameters((1, 1)) == 0


@pytest.mark.parametrize(
    "options",
    [{"trainable": False}, {"kernel_constraint": "max_norm"}, {"kernel_regularizer": "l2"}],
    ids=str,
)
def test_a_kernel_that_more_than_gradients_may_move_is_not_centred(options):
    patch = keras.Input((None, None, 2))
    free, bound = (
        layers.Conv2D(3, 3, padding="same", name="free"),
        layers.Conv2D(3, 3, padding="same", **options),
    )
    assert Reach(keras.Model(patch, bound(free(patch)))).centred((1, 1)) == {"free"}


def test_a_convolution_used_at_two_places_is_left_alone():
    patch = keras.Input((None, None, 2))
    shared = layers.Conv2D(2, 3, padding="same")
    reach = Reach(keras.Model(patch, shared(layers.MaxPooling2D(2, padding="same")(shared(patch)))))
    assert (reach.centred((1, 1)), reach.dead_parameters((1, 1))) == (frozenset(), 0)


def test_a_height_and_a_width_are_told_apart():
    reach = Reach(_linear((None, None, 2)))
    assert reach.centred((1, 5)) == frozenset()
    assert reach.dead_parameters((1, 5)) > 0


def test_a_network_without_spatial_convolutions_reaches_everything():
    patch = keras.Input((None, None, 2))
    reach = Reach(keras.Model(patch, layers.Conv2D(3, 1)(patch)))
    assert (reach.centred((1, 1)), reach.dead_parameters((1, 1))) == (frozenset(), 0)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 3, groups=2),
        layers.Conv2D(4, 3, dilation_rate=2),
        layers.Conv2D(4, 3, activation="relu"),
        layers.DepthwiseConv2D(3),
        layers.Dense(4),
    ],
    ids=["groups", "dilation", "activation", "depthwise", "dense"],
)
def test_other_layers_are_no_plain_convolutions(layer):
    assert not is_plain_convolution(layer)


def test_a_network_of_a_fixed_size_takes_that_size_alone():
    fixed, open_ = Reach(_linear((2, 2, 2))), Reach(_linear((None, None, 2)))
    assert fixed.takes((2, 2))
    assert not fixed.takes((4, 4))
    assert open_.takes((4, 4))
    assert fixed.centred((2, 2)) == open_.centred((2, 2))
    assert fixed.dead_parameters((2, 2)) == open_.dead_parameters((2, 2))


def _one(shape, name):
    patch = keras.Input(shape)
    return keras.Model(patch, layers.Conv2D(2, 3, padding="same", name="conv")(patch), name=name)


def test_a_nested_model_is_seen_through_unless_its_size_is_open():
    patch = keras.Input((1, 1, 2))
    reach = Reach(keras.Model(patch, _one((None, None, 2), "open")(_one((1, 1, 2), "fixed")(patch))))
    assert reach.centred((1, 1)) == {"fixed/conv"}
    assert reach.dead_parameters((1, 1)) == 8 * 4


def test_frozen_weights_are_not_counted_as_dead():
    model = _linear((None, None, 2))
    dead = Reach(model).dead_parameters((1, 1))
    model.layers[1].trainable = False
    assert 0 < Reach(model).dead_parameters((1, 1)) < dead


class Unknown(layers.Layer):
    """A layer that tells nothing of its output."""

    def call(self, x):
        return x[:, ::2, ::2] * 2


def test_layers_that_nobody_knows_are_passed():
    patch = keras.Input((2, 2, 2))
    x = layers.Conv2D(2, 3, padding="same", name="conv")(Unknown()(patch))
    reach = Reach(keras.Model(patch, x))
    assert reach.centred((2, 2)) == {"conv"}


def _single(side, kernel, **options):
    patch = keras.Input((side, side, 2))
    return keras.Model(patch, layers.Conv2D(3, kernel, name="one", **{"padding": "same", **options})(patch))


@pytest.mark.parametrize(
    ("side", "kernel", "options", "compact"),
    [
        (1, 3, {}, True),
        (2, 3, {}, True),
        (3, 3, {}, False),  # as much arithmetic, and nine times the weights
        (4, 5, {}, False),  # less arithmetic, but ten times the weights
        (4, 5, {"strides": 4}, True),
        (2, 1, {}, False),
        (2, 2, {"padding": "valid"}, False),
    ],
)
def test_convolutions_on_few_pixels_are_compact(side, kernel, options, compact):
    assert Reach(_single(side, kernel, **options)).compact((side, side)) == ({"one"} if compact else set())


def test_the_compact_convolutions_of_resnet50(resnet):
    """Of five blocks of stage 4 on 2x2 pixels, and of three of stage 5 on one, at 17 pixels."""
    assert resnet.centred((17, 17)) < resnet.compact((17, 17))
    assert len(resnet.compact((17, 17))) == 9
    assert not resnet.compact((97, 97))
