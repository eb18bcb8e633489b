"""What a lowered network computes, beside the stock network it stands in for."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from models.build import build_model, open_model
from models.errors import ModelError
from models.heads import LOGIT
from models.lowering import lower
from models.reach import Reach
from models.seeding import initialise
from models.spec import ModelSpec
from models.views import (
    AdjustableDropout,
    CentreConvolution,
    FusedBatchNormalization,
    LoneBatchNormalization,
    PointwiseConvolution,
    View,
)


def _small(shape):
    """Every kind of layer that has a view, and some that have none."""
    patch = keras.Input(shape)
    x = layers.Conv2D(6, 1, strides=2, name="down")(patch)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(8, 3, padding="same", name="spatial")(layers.Activation("relu")(x))
    x = layers.BatchNormalization(momentum=0.5, epsilon=1e-5, name="norm2")(x)
    x = layers.Conv2D(5, 1, use_bias=False, name="point")(layers.Activation("relu")(x))
    x = layers.BatchNormalization(scale=False, name="unscaled")(x)
    return keras.Model(patch, layers.Dense(1, name=LOGIT)(layers.GlobalAveragePooling2D()(x)))


def _pair(side, seed=3):
    """The same weights in a stock network and a lowered one."""
    stock, model = _small((side, side, 4)), _small((None, None, 4))
    for network in (stock, model):
        initialise(network, seed)
    lowered = lower(model, LOGIT, Reach(model).centred((side, side)))
    lowered.load()
    return stock, lowered


def _batch(n, side, channels=4):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, side, side, channels)).astype(np.float32)


def _trained(network, variables, x, rate=0.1, steps=3):
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((network(x, training=True) - 1) ** 2)
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(rate * gradient)


@pytest.mark.parametrize("side", [1, 2, 3, 8])
@pytest.mark.parametrize("n", [1, 2, 9])
@pytest.mark.parametrize("training", [True, False])
def test_a_lowered_network_computes_what_the_stock_network_does(side, n, training):
    stock, lowered = _pair(side)
    x = _batch(n, side)
    expected = stock(x, training=training)
    np.testing.assert_allclose(lowered.network(x, training=training), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [1, 2, 8])
@pytest.mark.parametrize("n", [1, 9])
def test_steps_bring_a_lowered_network_to_the_same_weights_and_statistics(side, n):
    stock, lowered = _pair(side)
    x = _batch(n, side)
    _trained(stock, stock.trainable_variables, x)
    _trained(lowered.network, lowered.trainable, x)
    result = _small((side, side, 4))
    initialise(result, 3)
    lowered.copy_to(result)
    for ours, theirs in zip(result.weights, stock.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5, err_msg=theirs.path)


def test_a_layer_at_two_places_is_run_as_it_is():
    patch = keras.Input((None, None, 4))
    shared, norm = layers.Conv2D(4, 1), layers.BatchNormalization()
    x = norm(shared(norm(shared(patch))))
    model = keras.Model(patch, layers.GlobalAveragePooling2D(name="out")(x))
    lowered = lower(model, "out", ())
    assert not any(isinstance(layer, View) for layer in lowered.network.layers)
    np.testing.assert_allclose(lowered.network(_batch(3, 5)), model(_batch(3, 5)), rtol=1e-5)


@pytest.mark.parametrize(("side", "kinds"), [(8, 2 + 2), (1, 2 + 2 + 1)])
def test_what_has_a_view(side, kinds):
    _, lowered = _pair(side)
    views = [layer for layer in lowered.network.layers if isinstance(layer, View)]
    assert len(views) == kinds
    assert {type(view) for view in views} >= {PointwiseConvolution, FusedBatchNormalization}
    assert any(isinstance(view, CentreConvolution) for view in views) == (side == 1)


def test_training_moves_a_centre_in_place_of_its_kernel():
    stock, lowered = _pair(1)
    shapes = [tuple(variable.shape) for variable in lowered.trainable]
    assert (6, 8) in shapes
    assert (3, 3, 6, 8) not in shapes
    assert len(shapes) == len(stock.trainable_variables)


def _noisy():
    patch = keras.Input((None, None, 4))
    x = layers.Conv2D(6, 1, name="point")(layers.GaussianNoise(0.5)(patch))
    x = layers.Dropout(0.4, name="dropout1")(layers.GlobalAveragePooling2D()(x))
    x = layers.Dropout(0.2, name="own")(x)
    return keras.Model(patch, layers.Dense(1, name=LOGIT)(x))


def test_random_layers_draw_what_they_draw_in_the_stock_network():
    stock, model = _noisy(), _noisy()
    for network in (stock, model):
        initialise(network, 5)
    lowered = lower(model, LOGIT)
    for _ in range(3):
        found = lowered.network(_batch(6, 3), training=True)
        np.testing.assert_allclose(found, stock(_batch(6, 3), training=True), rtol=1e-5)


def test_only_our_heads_dropout_takes_another_rate():
    lowered = lower(_noisy(), LOGIT)
    lowered.set_dropout(0.9)
    views = [layer for layer in lowered.network.layers if isinstance(layer, AdjustableDropout)]
    assert {view.name: round(float(view.rate), 3) for view in views} == {"dropout1": 0.9, "own": 0.2}


def test_the_dropout_of_our_head_has_the_names_that_are_looked_for():
    lowered = lower(open_model(ModelSpec("small_cnn", (5, 5, 2), head=(8, 4), dropout=0.5)), LOGIT)
    lowered.set_dropout(0.25)
    views = [layer for layer in lowered.network.layers if isinstance(layer, AdjustableDropout)]
    assert [float(view.rate) for view in views] == [0.25] * 3


def test_rates_and_states_of_generators_are_no_variables_of_training():
    names = {variable.name for variable in lower(_noisy(), LOGIT).variables}
    assert names == {"kernel", "bias"}


def _nested(side):
    patch, entry = keras.Input((side, side, 4)), keras.Input((side, side, 4))
    sequence = keras.Sequential([entry, layers.Conv2D(4, 1), layers.BatchNormalization()])
    norm = keras.Model(entry, layers.BatchNormalization()(entry))
    x = norm(layers.Activation("relu")(sequence(layers.Conv2D(4, 1, name="outer")(patch))))
    return keras.Model(patch, layers.Dense(1, name=LOGIT)(layers.GlobalAveragePooling2D()(x)))


def test_the_layers_of_nested_models_have_views_and_the_same_function():
    stock, model = _nested(5), _nested(5)
    for network in (stock, model):
        initialise(network, 2)
    lowered = lower(model, LOGIT)
    x = _batch(6, 5)
    for training in (True, False):
        found, expected = (net(x, training=training) for net in (lowered.network, stock))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    views = [layer for layer in lowered.network._flatten_layers() if isinstance(layer, View)]
    assert len(views) == 4
    assert len(lowered.variables) == len(model.weights)


def test_a_nested_model_at_two_places_is_run_as_it_is():
    patch = keras.Input((5, 5, 4))
    inner = keras.Sequential([keras.Input((5, 5, 4)), layers.Conv2D(4, 1), layers.BatchNormalization()])
    model = keras.Model(patch, layers.GlobalAveragePooling2D(name="out")(inner(inner(patch))))
    lowered = lower(model, "out")
    assert not any(isinstance(layer, View) for layer in lowered.network._flatten_layers())
    np.testing.assert_allclose(lowered.network(_batch(3, 5)), model(_batch(3, 5)), rtol=1e-5)


@pytest.mark.parametrize("alone", [True, False])
def test_a_frozen_or_renormalised_layer_keeps_its_meaning(alone):
    patch = keras.Input((None, None, 4))
    frozen = layers.BatchNormalization(trainable=False)
    other = layers.BatchNormalization(renorm=True, trainable=not alone)  # single samples: see below
    model = keras.Model(patch, layers.GlobalAveragePooling2D(name="out")(other(frozen(patch))))
    lowered = lower(model, "out", alone=alone)
    assert not isinstance(lowered.network.layers[2], View)
    before = frozen.moving_mean.numpy()
    np.testing.assert_allclose(lowered.network(_batch(3, 5)), model(_batch(3, 5)), rtol=1e-5)
    lowered.network(_batch(3, 5), training=True)
    np.testing.assert_array_equal(frozen.moving_mean, before)


def test_what_training_moves_stands_for_the_stock_variables():
    _, lowered = _pair(1)
    stock = lowered._stock.trainable_variables
    stood = lowered.standing_for(stock)
    assert [id(variable) for variable in stood] == [id(variable) for variable in lowered.trainable]
    assert lowered.standing_for([stock[0]]) == [stock[0]]


@pytest.mark.parametrize(
    ("alone", "kind"), [(True, LoneBatchNormalization), (False, FusedBatchNormalization)]
)
def test_single_samples_are_normalised_by_moving_statistics(alone, kind):
    lowered = lower(_small((None, None, 4)), LOGIT, alone=alone)
    kinds = [type(layer) for layer in lowered.network.layers]
    assert kinds.count(kind) == (3 if alone else 2)
    assert not {LoneBatchNormalization, FusedBatchNormalization} - {kind} & set(kinds)


def _error(gradients, exact):
    """Relative error over all weights."""

    def norm(parts):
        return np.sqrt(sum(np.sum(np.square(part)) for part in parts))

    return norm([a - b for a, b in zip(gradients, exact, strict=True)]) / norm(exact)


def _gradients(network, variables, x, y):
    with tf.GradientTape() as tape:
        logit = network(tf.cast(x, variables[0].dtype), training=True)[:, 0]
        labels = tf.cast(y, logit.dtype)
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logit))
    return [gradient.numpy().astype(np.float64) for gradient in tape.gradient(loss, variables)]


@pytest.mark.parametrize("side", [pytest.param(9, marks=pytest.mark.slow), 17])
def test_the_gradients_of_resnet50_are_as_exact_as_those_of_stock_keras(side):
    """Both beside float64. On maps of one pixel float32 alone errs by per cents."""
    spec = ModelSpec("resnet50", (side, side, 9))
    x, y = _batch(9, side, 9), np.arange(9) % 2
    stock = build_model(spec, 3)
    exact = _in_float64(spec, stock, x, y)
    plain = _gradients(_to_logit(stock), stock.trainable_variables, x, y)
    model = open_model(spec)
    initialise(model, 3)
    centred = Reach(model).centred((side, side))
    lowered = lower(model, LOGIT, centred)
    lowered.load()
    found = _gradients(lowered.network, lowered.trainable, x, y)
    ours = dict(zip(map(id, lowered.trainable), found, strict=True))
    centres = {
        id(view.stock.kernel): id(view.centre)
        for view in lowered.network.layers
        if isinstance(view, CentreConvolution)
    }
    full = [_widened(ours[centres.get(id(v), id(v))], v.shape) for v in model.trainable_variables]
    assert _error(full, exact) < 3 * _error(plain, exact)


def _to_logit(model):
    return keras.Model(model.input, model.get_layer(LOGIT).output)


def _in_float64(spec, stock, x, y):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        model = build_model(spec, 0)
    finally:
        keras.config.set_dtype_policy(policy)
    for ours, theirs in zip(model.weights, stock.weights, strict=True):
        ours.assign(tf.cast(theirs.value, ours.dtype))
    # the head is float32 under any policy: see `models.heads`
    return _gradients(_to_logit(model), model.trainable_variables, x, y)


def _widened(gradient, shape):
    """A centre's gradient in its kernel, whose other taps have none."""
    if gradient.shape == tuple(shape):
        return gradient
    wide = np.zeros(shape)
    wide[shape[0] // 2, shape[1] // 2] = gradient
    return wide


def test_mixed_precision_computes_the_same_up_to_its_rounding():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        stock, lowered = _pair(4)
        x = _batch(9, 4)
        ours, theirs = lowered.network(x, training=True), stock(x, training=True)
        assert lowered.network.get_layer("point").compute_dtype == "bfloat16"
        ours, theirs = (tf.cast(output, tf.float32) for output in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, rtol=0.1, atol=0.05)
    finally:
        keras.config.set_dtype_policy(policy)


def test_dropout_of_a_nested_network_keeps_its_rate_whatever_its_name():
    """Only our head's layers, at the top level, take the rate of a trial."""

    def block(name):
        patch = keras.Input((4,))
        return keras.Model(patch, keras.layers.Dropout(0.5, name="dropout1")(patch), name=name)

    patch = keras.Input((4,), name="patch")
    model = keras.Model(patch, keras.layers.Dense(1, name=LOGIT)(block("two")(block("one")(patch))))
    lowered = lower(model, LOGIT)
    lowered.set_dropout(0.0)
    x = np.ones((200, 4), np.float32)
    dropped = lowered.network(x, training=True) - lowered.network(x, training=False)
    assert np.abs(dropped.numpy()).max() > 0


def test_single_samples_are_refused_where_a_batch_normalisation_could_not_bear_them():
    patch = keras.Input((1, 1, 4), name="patch")
    shared = keras.layers.BatchNormalization(name="shared")
    model = keras.Model(patch, keras.layers.Dense(1, name=LOGIT)(shared(shared(patch))))
    with pytest.raises(ModelError, match="'shared' is not; use a batch_size of 2 or more"):
        lower(model, LOGIT, alone=True)
    assert lower(model, LOGIT).network is not None
