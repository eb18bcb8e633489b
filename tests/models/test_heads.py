import keras
import numpy as np
import pytest

from models.heads import LOGIT, output_head


def _head(widths, **more):
    features = keras.Input((3, 3, 6))
    return keras.Model(features, output_head(features, widths, **more))


@pytest.mark.parametrize(
    ("widths", "parameters"), [((), 6 + 1), ((4,), 6 * 4 + 4 + 5), ((256, 128), 1792 + 32_896 + 129)]
)
def test_the_dense_layers_are_those_asked_for(widths, parameters):
    assert _head(widths).count_params() == parameters


def test_a_head_without_layers_is_a_logistic_regression_on_the_means():
    head = _head(())
    x = np.random.default_rng(0).normal(size=(5, 3, 3, 6)).astype(np.float32)
    kernel, bias = head.get_layer(LOGIT).get_weights()
    expected = 1 / (1 + np.exp(-(x.mean(axis=(1, 2)) @ kernel + bias)))
    np.testing.assert_allclose(head(x), expected, rtol=1e-5)


def test_the_probability_is_single_precision_under_any_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        head = _head((4,))
    finally:
        keras.config.set_dtype_policy(before)
    assert head.get_layer("dense1").compute_dtype == "bfloat16"
    assert head.get_layer(LOGIT).compute_dtype == head.output.dtype == "float32"


def test_dropout_stands_before_each_dense_layer_and_the_logit():
    features = keras.Input((3, 3, 6))
    head = keras.Model(features, output_head(features, (4, 2), 0.3))
    names = [layer.name for layer in head.layers if layer.name[:5] in ("dense", "dropo", LOGIT)]
    assert names == ["dropout1", "dense1", "dropout2", "dense2", "dropout3", LOGIT]
    assert head.get_layer("dropout2").rate == 0.3


def test_without_dropout_there_is_no_such_layer():
    assert not [layer for layer in _head((4,)).layers if isinstance(layer, keras.layers.Dropout)]


def test_a_single_probability_comes_from_the_same_layers_as_ever():
    layers = [(layer.name, type(layer).__name__) for layer in _head((4,)).layers[1:]]
    expected = [("average", "GlobalAveragePooling2D"), ("dense1", "Dense"), (LOGIT, "Dense")]
    assert layers == [*expected, ("probability", "Activation")]


@pytest.mark.parametrize(("task", "name"), [("classification", "probability"), ("regression", "value")])
def test_every_target_has_a_unit_of_its_own(task, name):
    head, x = _head((), outputs=3, task=task), np.ones((2, 3, 3, 6), np.float32)
    kernel, bias = head.get_layer(LOGIT).get_weights()
    linear = x.mean(axis=(1, 2)) @ kernel + bias
    expected = linear if task == "regression" else 1 / (1 + np.exp(-linear))
    assert (kernel.shape, head.layers[-1].name) == ((6, 3), name)
    np.testing.assert_allclose(head(x), expected, rtol=1e-5)
