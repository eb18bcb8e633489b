import json
import sys
import zipfile

import keras
import pytest
from keras import layers, ops

from models.build import build_model
from models.errors import ModelError
from models.loadable import check_loadable
from models.spec import ModelSpec


@keras.saving.register_keras_serializable("theirs")
class Doubled(layers.Layer):
    def call(self, x):
        return x * 2

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable("theirs")
def tripled(x):
    return x * 3


def saved(path, *middle):
    x = patch = keras.Input((4, 4, 2))
    for layer in middle:
        x = layer(x)
    keras.Model(patch, layers.Dense(1)(layers.Flatten()(x))).save(path)
    return path


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec("small_cnn", (5, 5, 2), outputs=2),
        pytest.param(
            ModelSpec("resnet50", (5, 5, 2), stem="resize", resize_to=33, dropout=0.3), marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_networks_of_the_registry_need_nothing_but_keras(spec, tmp_path):
    build_model(spec).save(tmp_path / "network.keras")
    check_loadable(tmp_path / "network.keras")


@pytest.mark.parametrize("name", ["normed", "random"])
def test_functions_of_the_user_that_use_stock_layers_load_anywhere(custom, name, tmp_path):
    build_model(custom(name, 8)).save(tmp_path / "network.keras")
    check_loadable(tmp_path / "network.keras")


def test_operations_of_keras_are_stock(tmp_path):
    shifted = [ops.relu, lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True), lambda x: x[:, ::2]]
    policy = layers.Conv2D(3, 1, activation="gelu", kernel_regularizer="l2", dtype="mixed_bfloat16")
    check_loadable(saved(tmp_path / "network.keras", *shifted, policy, layers.RandomFlip()))


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (Doubled(), "'Doubled'"),
        (layers.Activation(tripled), "'theirs>tripled'"),
        (layers.TimeDistributed(Doubled()), "'Doubled'"),
        (layers.Lambda(lambda x: x + 1), "'Lambda', '__lambda__'"),
        (layers.Lambda(tripled), "'Lambda', 'theirs>tripled'"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_what_belongs_to_somebody_is_named_though_this_process_knows_it(layer, named, tmp_path):
    path = saved(tmp_path / "network.keras", layer)
    with pytest.raises(ModelError) as caught:
        check_loadable(path)
    assert str(caught.value) == (
        f"network.keras: stock Keras alone must be able to load the network, but it needs {named}. "
        f"Build it from stock layers and keras.ops"
    )


def _renamed(path, module, name):
    """The file, its first dense layer said to be of another class."""
    with zipfile.ZipFile(path) as file:
        parts = {each: file.read(each) for each in file.namelist()}
    network = json.loads(parts["config.json"])
    (dense,) = [each for each in network["config"]["layers"] if each["class_name"] == "Dense"]
    dense.update(module=module, class_name=name, registered_name=None)
    parts["config.json"] = json.dumps(network).encode()
    with zipfile.ZipFile(path, "w") as file:
        for each, content in parts.items():
            file.writestr(each, content)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("kerasx.layers", "Dense"),
        ("keras.src.utils", "get_file"),
        ("keras.layers", "TFSMLayer"),
        (None, "Dense"),
    ],
)
def test_what_is_no_layer_of_keras_is_refused_before_it_is_looked_for(module, name, tmp_path):
    path = saved(tmp_path / "network.keras")
    _renamed(path, module, name)
    with pytest.raises(ModelError, match=f"it needs '{name}'"):
        check_loadable(path)
    assert "kerasx" not in sys.modules


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{}"])
def test_what_is_no_file_of_keras_is_refused_in_a_line(content, tmp_path):
    (tmp_path / "network.keras").write_bytes(content)
    with pytest.raises(ModelError, match=r"network\.keras: a \.keras file is needed") as caught:
        check_loadable(tmp_path / "network.keras")
    assert "\n" not in str(caught.value)
