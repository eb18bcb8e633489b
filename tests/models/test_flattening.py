import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from models.errors import ModelError
from models.flattening import flat_network

SHAPE = (5, 5, 2)


def flat(network):
    return flat_network(network, SHAPE, "mine.py:network")


def patches(n=4):
    return np.random.default_rng(0).normal(size=(n, *SHAPE)).astype(np.float32)


def kinds(network):
    return [type(layer) for layer in network.layers]


def same(network, other):
    np.testing.assert_allclose(network(patches()), other(patches()), rtol=1e-5, atol=1e-6)


def plain(name=None):
    patch = keras.Input(SHAPE)
    return keras.Model(patch, layers.Conv2D(3, 3, name=name)(patch))


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.drop, self.last = layers.Conv2D(3, 3), layers.Dropout(0.5), layers.Dense(4)
        self.flat = layers.Flatten()

    def call(self, x, training=None):
        return self.last(self.flat(self.drop(self.first(x), training=training)))


def test_a_network_is_copied_with_its_weights():
    network = plain()
    copied = flat(network)
    same(copied, network)
    assert copied.input.name == "patch"
    assert not {id(weight) for weight in copied.weights} & {id(weight) for weight in network.weights}


def test_training_the_copy_leaves_the_original():
    network = plain()
    before = network.get_weights()
    for weight in flat(network).weights:
        weight.assign(weight + 1)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_an_open_input_gets_the_size_of_the_patch():
    patch = keras.Input((None, None, 2))
    network = keras.Model(patch, layers.Conv2D(3, 3)(patch))
    assert flat(network).input_shape == (None, *SHAPE)
    same(flat(network), network)


@pytest.mark.parametrize("head", [[], [keras.Input(SHAPE)]])
def test_a_sequential_network_is_built_and_opened(head):
    network = keras.Sequential([*head, layers.Conv2D(3, 3), layers.Flatten()])
    copied = flat(network)
    same(copied, network)
    assert kinds(copied) == [layers.InputLayer, layers.Conv2D, layers.Flatten]


def test_nested_networks_are_opened():
    inner = keras.Sequential([keras.Input((3, 3, 3)), layers.BatchNormalization(), layers.ReLU()])
    inner.trainable = False
    patch = keras.Input(SHAPE)
    outer = keras.Model(patch, keras.Sequential([plain(), inner])(patch))
    copied = flat(outer)
    same(copied, outer)
    assert kinds(copied) == [layers.InputLayer, layers.Conv2D, layers.BatchNormalization, layers.ReLU]
    assert [layer.trainable for layer in copied.layers[1:]] == [True, False, False]


def test_nested_networks_of_the_same_names_stay():
    patch = keras.Input(SHAPE)
    network = keras.Model(patch, layers.Add()([plain("conv")(patch), plain("conv")(patch)]))
    same(flat(network), network)


def test_layers_used_twice_stay_one_layer():
    patch = keras.Input(SHAPE)
    conv = layers.Conv2D(2, 3, padding="same")
    network = keras.Model(patch, conv(conv(patch)))
    same(flat(network), network)
    assert flat(network).count_params() == network.count_params()


def test_layers_of_the_names_of_ours_are_renamed():
    names = ["logit", "dense1", "probability", "average", "mine"]
    network = keras.Sequential([layers.Dense(3, name=name) for name in names])
    assert [layer.name for layer in flat(network).layers] == [
        "patch",
        *(f"{n}_own" for n in names[:-1]),
        "mine",
    ]


def test_a_subclassed_network_is_followed_through_its_call():
    network = Net()
    copied = flat(network)
    same(copied, network)
    assert set(kinds(copied)) == {
        layers.InputLayer,
        layers.Conv2D,
        layers.Dropout,
        layers.Flatten,
        layers.Dense,
    }
    assert not np.allclose(copied(patches(), training=True), copied(patches(), training=False))


def test_the_code_of_a_lambda_becomes_operations():
    patch = keras.Input(SHAPE)
    network = keras.Model(patch, layers.Lambda(lambda x, k: x[..., :1] * k, arguments={"k": 2})(patch))
    copied = flat(network)
    same(copied, network)
    assert layers.Lambda not in kinds(copied)


def test_regularisers_are_kept():
    network = keras.Sequential([layers.Conv2D(3, 3, kernel_regularizer="l2")])
    assert len(flat(network).losses) == 1


def test_the_compilation_of_a_network_changes_nothing():
    network = plain()
    network.compile("adam", "mse")
    same(flat(network), network)


@keras.saving.register_keras_serializable("tests")
class Scaled(layers.Layer):
    def __init__(self, by, **kwargs):
        super().__init__(**kwargs)
        self.by = by

    def call(self, x):
        return x * self.by

    def get_config(self):
        return super().get_config() | {"by": self.by}


class Unsaved(layers.Layer):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


def test_a_layer_class_of_the_users_own_is_kept():
    network = keras.Sequential([keras.Input(SHAPE), Scaled(3.0)])
    same(flat(network), network)


def two(inputs, outputs):
    ends = [keras.Input(SHAPE) for _ in range(inputs)]
    joined = layers.Add()(ends) if inputs > 1 else ends[0]
    return keras.Model(ends, [layers.Conv2D(1, 1)(joined) for _ in range(outputs)])


class Branching(Net):
    def call(self, x, training=None):
        return self.last(self.flat(x)) if training else self.last(self.flat(self.drop(x)))


class Opaque(keras.Model):
    def call(self, x):
        return tf.reduce_mean(x, axis=(1, 2))


class Owner(keras.Model):
    def build(self, _):
        self.factor = self.add_weight(shape=(2,), name="factor")

    def call(self, x):
        return x * self.factor


def fixed_batch():
    patch = keras.Input(batch_shape=(3, *SHAPE))
    return keras.Model(patch, layers.Flatten()(patch))


@pytest.mark.parametrize(
    ("network", "law"),
    [
        (lambda: None, "a keras.Model must be returned, but got NoneType"),
        (lambda: layers.Dense(3), "a keras.Model must be returned, but got Dense"),
        (lambda: [plain()], "a keras.Model must be returned, but got list"),
        (lambda: two(2, 1), "a model of one input must be returned, but it has 2"),
        (lambda: two(1, 2), "a model of one output must be returned, but it has 2"),
        (
            lambda: keras.Sequential([keras.Input((7, 7, 2)), layers.Flatten()]),
            r"must take any number of patches of \(5, 5, 2\), but takes \(None, 7, 7, 2\)",
        ),
        (
            lambda: keras.Sequential([keras.Input((50,)), layers.Dense(3)]),
            r"must take any number of patches of \(5, 5, 2\), but takes \(None, 50\)",
        ),
        (fixed_batch, r"any number of patches of \(5, 5, 2\), but takes \(3, 5, 5, 2\)"),
        (lambda: keras.Sequential([layers.Conv2D(3, 9)]), "ValueError: .*negative"),
        (lambda: keras.Sequential([]), "ValueError"),
        (Branching, "Branching.call must take the same layers in training and in inference"),
        (Opaque, "Opaque.call must be of Keras layers and keras.ops alone, so that"),
        (Owner, "all weights must belong to layers between the patch and the output"),
        (lambda: keras.Model(), "NotImplementedError"),
        (
            lambda: keras.Sequential([keras.Input(SHAPE), Unsaved(lambda x: x)]),
            "layer 'unsaved.*' of class Unsaved cannot be copied and saved; give the class a get_config",
        ),
    ],
)
def test_what_is_no_network_from_a_patch_is_one_line(network, law):
    with pytest.raises(
        ModelError,
        match=rf"^mine\.py:network: [^\n]*{law}",
    ):
        flat(network())
