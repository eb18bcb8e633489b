import keras
import numpy as np
import pytest
from keras import layers

from models.ending import activation_of, network_output
from models.errors import ModelError
from models.heads import LOGIT
from models.spec import ModelSpec

SHAPE = (5, 5, 2)


def patches(n=6):
    return np.random.default_rng(0).normal(size=(n, *SHAPE)).astype(np.float32)


def ended(last, head=None, dropout=0.0, **more):
    """The user's network and ours; `last` takes the flat patch (batch, 50)."""
    keras.utils.set_random_seed(1)
    patch = keras.Input(SHAPE, name="patch")
    output = last(layers.Flatten()(patch))
    own = keras.Model(patch, output)
    expected = np.asarray(own(patches()))
    spec = ModelSpec("own", SHAPE, head=head, dropout=dropout, **more)
    return expected, keras.Model(patch, network_output(output, spec, "mine.py:network"))


def logit(p):
    return np.log(p) - np.log(1 - p)


def dense(units, activation=None):
    return layers.Dense(
        units, activation=activation, kernel_initializer="he_normal", bias_initializer="normal"
    )


ONE_UNIT = {
    "dense under a sigmoid": dense(1, "sigmoid"),
    "sigmoid layer": keras.Sequential([dense(1), layers.Activation("sigmoid")]),
    "sigmoid operation": lambda x: keras.ops.sigmoid(dense(1)(x)),
    "sigmoid of a sum": lambda x: layers.Activation("sigmoid")(layers.Add()([dense(1)(x), dense(1)(x)])),
    "sigmoid of a relu": lambda x: layers.Activation("sigmoid")(dense(1, "relu")(x)),
    "reshaped": lambda x: layers.Reshape((1,))(layers.Reshape((1, 1))(dense(1, "sigmoid")(x))),
    "pooled": lambda x: layers.GlobalAveragePooling2D()(
        layers.Conv2D(1, 1, activation="sigmoid")(layers.Reshape(SHAPE)(x))
    ),
}


@pytest.mark.parametrize("last", ONE_UNIT.values(), ids=ONE_UNIT)
def test_a_unit_under_a_sigmoid_keeps_its_probability(last):
    expected, model = ended(lambda x: last(x))
    np.testing.assert_allclose(model(patches()), expected, rtol=1e-4)
    odds = keras.Model(model.input, model.get_layer(LOGIT).output)
    np.testing.assert_allclose(odds(patches()), logit(expected), rtol=1e-3, atol=1e-5)


LINEAR = {
    "dense": lambda x: dense(1)(x),
    "activation layer": lambda x: layers.Activation("linear")(dense(1)(x)),
    "sum": lambda x: dense(1)(x) - dense(1)(x),
    "pooled": lambda x: layers.GlobalMaxPooling2D()(layers.Conv2D(1, 1)(layers.Reshape(SHAPE)(x))),
}


@pytest.mark.parametrize("last", LINEAR.values(), ids=LINEAR)
def test_a_linear_unit_is_the_log_odds(last):
    expected, model = ended(last)
    np.testing.assert_allclose(logit(np.asarray(model(patches()))), expected, rtol=1e-3, atol=1e-5)


TWO_UNITS = {
    "dense": lambda x: dense(2, "softmax")(x),
    "layer": lambda x: layers.Softmax()(dense(2)(x)),
    "operation": lambda x: keras.ops.softmax(dense(2)(x)),
    "reshaped": lambda x: layers.Reshape((2,))(dense(2, "softmax")(x)),
}


@pytest.mark.parametrize("last", TWO_UNITS.values(), ids=TWO_UNITS)
def test_two_units_under_a_softmax_give_the_share_of_the_second(last):
    expected, model = ended(last)
    np.testing.assert_allclose(model(patches()), expected[:, 1:], rtol=1e-4)


def test_a_saturated_unit_of_its_own_keeps_its_log_odds():
    """A float32 probability of 1 has none; the unit before the sigmoid does."""
    last = layers.Dense(
        1, activation="sigmoid", kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(40)
    )
    _, model = ended(last)
    odds = keras.Model(model.input, model.get_layer(LOGIT).output)
    np.testing.assert_allclose(odds(patches()), 40)


@pytest.mark.parametrize(
    ("last", "head", "names"),
    [
        (lambda x: layers.Reshape(SHAPE)(x), None, [LOGIT, "probability"]),
        (lambda x: layers.Reshape(SHAPE)(x), (4,), ["dense1", LOGIT, "probability"]),
        (lambda x: dense(3)(x), None, [LOGIT, "probability"]),
        (lambda x: dense(3)(x), (5, 4), ["dense1", "dense2", LOGIT, "probability"]),
    ],
)
def test_features_get_our_head(last, head, names):
    _, model = ended(last, head)
    assert [layer.name for layer in model.layers][-len(names) :] == names
    assert model.output_shape == (None, 1)


def test_features_are_read_as_they_are():
    expected, model = ended(lambda x: dense(3)(x))
    kernel, bias = model.get_layer(LOGIT).get_weights()
    np.testing.assert_allclose(model(patches()), 1 / (1 + np.exp(-(expected @ kernel + bias))), rtol=1e-4)


def test_dropout_stands_in_our_head():
    _, model = ended(lambda x: dense(3)(x), (4,), 0.3)
    assert [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)] == [0.3, 0.3]


def test_the_log_odds_are_single_precision_under_any_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        _, model = ended(lambda x: layers.Activation("sigmoid")(layers.Dense(1)(x)))
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer(LOGIT).compute_dtype == model.output.dtype == "float32"


def test_the_weights_of_the_last_layer_stay_what_they_were():
    _, model = ended(dense(1, "sigmoid"))
    assert model.count_params() == 51


class Scaled(layers.Layer):
    def call(self, x):
        return 2 * x


@pytest.mark.parametrize(
    ("last", "law"),
    [
        (
            lambda x: dense(1, "relu")(x),
            r"one unit must be linear .* but it comes from 'dense.*' \(Dense\) with relu$",
        ),
        (lambda x: dense(1, "softmax")(x), r"one unit must be linear .* with softmax$"),
        (lambda x: dense(2)(x), r"two units must be under a softmax, but they come from .* with linear$"),
        (lambda x: dense(2, "sigmoid")(x), r"two units must be under a softmax.* with sigmoid$"),
        (lambda x: Scaled()(dense(1)(x)), r"Scaled.*an activation that cannot be told"),
        (lambda x: layers.Average()([dense(1)(x), dense(1)(x)]), "Average.*cannot be told"),
        (lambda x: layers.Add()([dense(1)(x), dense(1, "sigmoid")(x)]), "Add.*cannot be told"),
        (lambda x: layers.Reshape((25, 2))(x), r"but returns \(None, 25, 2\)"),
        (lambda x: layers.Reshape((-1,))(dense(1)(x))[:, 0], r"but returns \(None,\)"),
    ],
)
def test_other_endings_are_refused_in_one_line(last, law):
    with pytest.raises(ModelError, match=rf"^mine\.py:network: [^\n]*{law}"):
        ended(last)


@pytest.mark.parametrize(("head", "dropout"), [((3,), 0.0), (None, 0.5)])
def test_a_head_on_a_network_with_a_unit_of_its_own_is_refused(head, dropout):
    with pytest.raises(ModelError, match="of its own and takes no head or dropout"):
        ended(dense(1), head, dropout)


def test_an_activation_is_seen_through_nested_networks():
    inner = keras.Sequential([keras.Input((50,)), dense(1, "sigmoid")])
    assert activation_of(inner(keras.Input((50,)))) == "sigmoid"


def linear_of(model):
    return np.asarray(keras.Model(model.input, model.get_layer(LOGIT).output)(patches()))


SEVERAL = {
    "linear": lambda x: dense(2)(x),
    "dense under a sigmoid": lambda x: dense(2, "sigmoid")(x),
    "sigmoid layer": lambda x: layers.Activation("sigmoid")(dense(2)(x)),
    "reshaped": lambda x: layers.Reshape((2,))(dense(2, "sigmoid")(x)),
}


@pytest.mark.parametrize("last", SEVERAL.values(), ids=SEVERAL)
def test_several_units_are_a_label_each(last):
    expected, model = ended(last, outputs=2)
    is_linear = last is SEVERAL["linear"]
    np.testing.assert_allclose(
        linear_of(model), expected if is_linear else logit(expected), rtol=1e-3, atol=1e-5
    )
    np.testing.assert_allclose(model(patches()), 1 / (1 + np.exp(-linear_of(model))), rtol=1e-4)


FOUND = {
    "linear": lambda x: dense(1)(x),
    "dense under a sigmoid": lambda x: dense(1, "sigmoid")(x),
    "sigmoid layer": lambda x: layers.Activation("sigmoid")(dense(1)(x)),
    "sigmoid of a normalisation": lambda x: layers.Activation("sigmoid")(
        layers.BatchNormalization()(dense(1)(x))
    ),
    "softmax": lambda x: dense(2, "softmax")(x),
    "softmax layer": lambda x: layers.Softmax()(dense(2)(x)),
}


@pytest.mark.parametrize("last", FOUND.values(), ids=FOUND)
def test_a_regression_gives_the_linear_units_as_they_are(last):
    _, classes = ended(last)
    _, model = ended(last, task="regression")
    assert model.layers[-1].name == "value"
    np.testing.assert_allclose(model(patches()), linear_of(classes), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("last", [lambda x: dense(3)(x), lambda x: layers.Reshape(SHAPE)(x)])
def test_a_regression_on_features_gets_our_linear_unit(last):
    _, model = ended(last, (4,), task="regression")
    assert [layer.name for layer in model.layers][-3:] == ["dense1", LOGIT, "value"]


@pytest.mark.parametrize(
    ("last", "law"),
    [
        (lambda x: layers.Reshape((1,))(dense(1, "sigmoid")(x)), "comes one that is out of reach"),
        (lambda x: layers.Activation("sigmoid")(dense(1, "relu")(x)), "comes relu"),
        (lambda x: layers.Activation("sigmoid")(layers.ReLU()(dense(1)(x))), "comes one that cannot be told"),
    ],
)
def test_a_regression_whose_values_would_be_bounded_is_refused(last, law):
    with pytest.raises(ModelError, match=rf"^mine\.py:network: regression reads the linear unit [^\n]*{law}"):
        ended(last, task="regression")


@pytest.mark.parametrize(
    ("last", "law"),
    [
        (
            lambda x: dense(2, "softmax")(x),
            "2 units must be linear .* or under a sigmoid, but .* with softmax",
        ),
        (lambda x: dense(3, "sigmoid")(x), r"need an architecture with K outputs: .* returns \(None, 3\)"),
        (
            lambda x: layers.Reshape(SHAPE)(x),
            r"need an architecture with K outputs: .* returns \(None, 5, 5, 2\)",
        ),
    ],
)
def test_endings_that_are_no_label_each_are_refused(last, law):
    with pytest.raises(ModelError, match=law):
        ended(last, outputs=2)
