import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from models.compiled import CompiledModel
from models.custom import custom_model
from models.errors import ModelError
from models.heads import LOGIT
from models.hypermodel import compose
from models.spec import CustomSpec, ModelSpec, OptimizerSpec

SHAPE = (5, 5, 2)

NETWORKS = """
import keras
from keras import layers

def features(input_shape, width=3):
    patch = keras.Input(input_shape)
    return keras.Model(patch, layers.Conv2D(width, 3, activation="relu")(patch))

def classifier(input_shape):
    return keras.Sequential([
        layers.Conv2D(3, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten(),
        layers.Dropout(0.5), layers.Dense(1, activation="sigmoid"),
    ])

def softmax(input_shape):
    return keras.Sequential([layers.Flatten(), layers.Dense(2, activation="softmax")])

def code(input_shape):
    patch = keras.Input(input_shape)
    scaled = layers.Lambda(lambda x: 3 * x[..., :1])(patch)
    return keras.Model(patch, layers.Dense(1)(layers.Flatten()(scaled)))

class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.flat, self.last = layers.Flatten(), layers.Dense(1, activation="sigmoid")

    def call(self, x):
        return self.last(self.flat(x))

def subclassed(input_shape):
    return Net()

KEPT = keras.Sequential([keras.Input((5, 5, 2)), layers.Flatten(), layers.Dense(1)])

def kept(input_shape):
    return KEPT

def labels(input_shape, outputs):
    return keras.Sequential([layers.Flatten(), layers.Dense(outputs, activation="sigmoid")])

def miscounted(input_shape, outputs):
    return keras.Sequential([layers.Flatten(), layers.Dense(outputs + 1, activation="sigmoid")])

def nothing(input_shape):
    keras.Input(input_shape)

def raises(input_shape):
    width = 0
    return 1 / width
"""


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(NETWORKS)

    def spec(name: str, shape=SHAPE, head=None, outputs=1, task="classification", **params) -> ModelSpec:
        source = CustomSpec("function", f"{tmp_path}/mine.py:{name}", tuple(sorted(params.items())))
        return ModelSpec("mine", shape, head=head, custom=source, outputs=outputs, task=task)

    return spec


def patches(shape=SHAPE, n=8):
    return np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)


WHOLE = ["features", "classifier", "softmax", "code", "subclassed", "kept"]


@pytest.mark.parametrize("name", WHOLE)
def test_what_a_function_returns_gets_the_form_of_ours(spec, name):
    model = custom_model(spec(name))
    assert (model.name, model.input.name) == ("mine", "patch")
    assert (model.input_shape, model.output_shape) == ((None, *SHAPE), (None, 1))
    odds = keras.Model(model.input, model.get_layer(LOGIT).output)(patches())
    np.testing.assert_allclose(model(patches()), keras.ops.sigmoid(odds), rtol=1e-5)


@pytest.mark.parametrize("name", WHOLE)
def test_its_loss_falls_with_our_training(spec, name):
    compiled, x = CompiledModel(spec(name), OptimizerSpec("adam", 0.02)), patches(n=32)
    y = (x[..., 0].mean(axis=(1, 2)) > 0).astype(np.float32)
    compiled.reset(OptimizerSpec("adam", 0.02), seed=0)
    losses = [float(compiled.step(x, y)) for _ in range(15)]
    assert losses[-1] < losses[0]
    own = compiled.stock_model(spec(name), seed=0)
    np.testing.assert_allclose(own(x)[:, 0], 1 / (1 + np.exp(-compiled.logits(x))), rtol=1e-3)


def test_parameters_reach_the_function(spec):
    assert custom_model(spec("features", width=6)).get_layer(LOGIT).kernel.shape == (6, 1)


def test_the_head_is_that_of_the_spec(spec):
    model = custom_model(spec("features", head=(4,)))
    assert model.get_layer("dense1").units == 4


def test_training_one_build_does_not_reach_the_next(spec):
    first = custom_model(spec("kept"))
    start = first.get_weights()
    for weight in first.weights:
        weight.assign(weight + 1)
    for old, new in zip(start, custom_model(spec("kept")).get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", WHOLE)
def test_stock_layers_stay_stock_layers(spec, name):
    assert all(type(layer).__module__.startswith("keras.") for layer in custom_model(spec(name)).layers)


@pytest.mark.slow  # another process
def test_saved_networks_load_without_our_code_or_the_users(spec, tmp_path):
    np.save(tmp_path / "x.npy", patches())
    expected = []
    for name in WHOLE:
        model = custom_model(spec(name))
        model.save(tmp_path / f"{name}.keras")
        expected.append(model.predict(patches(), verbose=0))
    script = f"""
        import keras, numpy as np, sys
        x = np.load("x.npy")
        out = [keras.models.load_model(f"{{n}}.keras").predict(x, verbose=0) for n in {WHOLE}]
        np.save("out.npy", out)
        sys.exit("models" in sys.modules)
    """
    (tmp_path / "mine.py").unlink()
    command = [sys.executable, "-P", "-c", textwrap.dedent(script)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("nothing", "a keras.Model must be returned, but got NoneType$"),
        ("raises", r"ZeroDivisionError: division by zero \(mine\.py:\d+\)$"),
        ("feature", r"mine\.py has no 'feature'; did you mean 'features'\?$"),
        ("keras", r"a function is needed, but got a module$"),
    ],
)
def test_a_function_that_gives_no_network_is_one_line(spec, name, law):
    with pytest.raises(ModelError, match=rf"^[^\n]*{law}"):
        custom_model(spec(name))


def test_a_parameter_that_the_function_does_not_take_is_one_line(spec):
    with pytest.raises(ModelError, match=r"^[^\n]*TypeError: features\(\) got an unexpected [^\n]*'depth'"):
        custom_model(spec("features", depth=3))


def test_a_patch_too_small_for_the_network_is_one_line(spec):
    with pytest.raises(ModelError, match=r"^[^\n]*mine\.py:features: ValueError: [^\n]*\(mine\.py:\d+\)$"):
        custom_model(spec("features", (2, 2, 2)))


def test_an_architecture_of_the_registry_is_none_of_the_users():
    with pytest.raises(ModelError, match="'small_cnn': a function or a hypermodel is needed"):
        custom_model(ModelSpec("small_cnn", SHAPE))


def hyper(name: str, shape, **params):
    return ModelSpec(
        "hyper",
        shape,
        custom=CustomSpec("hypermodel", f"keras_tuner.applications:{name}", tuple(sorted(params.items()))),
    )


def default(question):
    return question.default


XCEPTION = {"num_residual_blocks": 2, "sep_num_filters": 128, "conv2d_num_filters": 32}


@pytest.mark.parametrize("pooling", ["avg", "flatten", "max"])
@pytest.mark.parametrize("side", [1, 5, 17])
def test_hyper_xception_builds_on_any_patch(side, pooling):
    spec = hyper("HyperXception", (side, side, 9), pooling=pooling, **XCEPTION)
    asked = compose(spec.custom, spec.input_shape, default)
    assert set(asked) == {"activation", "kernel_size", "initial_strides"}
    model = custom_model(hyper("HyperXception", spec.input_shape, pooling=pooling, **XCEPTION, **asked))
    assert model(patches((side, side, 9), 2)).shape == (2, 1)


RESNET = {"conv3_depth": 4, "conv4_depth": 6, "pooling": "avg"}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["v1", "v2", "next"])
@pytest.mark.parametrize("side", [1, 17])
def test_hyper_resnet_builds_and_comes_back_from_a_file(version, side, tmp_path):
    model = custom_model(hyper("HyperResNet", (side, side, 9), version=version, **RESNET))
    model.save(tmp_path / "m.keras")
    x = patches((side, side, 9), 2)
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "m.keras")(x), model(x), rtol=1e-5)


def test_hyper_resnet_asks_for_what_shapes_it_and_for_no_optimizer():
    spec = hyper("HyperResNet", (17, 17, 9), version="v2")
    assert set(compose(spec.custom, spec.input_shape, default)) == {"conv3_depth", "conv4_depth", "pooling"}


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize(("task", "name"), [("classification", "probability"), ("regression", "value")])
def test_a_function_that_takes_outputs_has_a_unit_for_each_target(spec, outputs, task, name):
    model = custom_model(spec("labels", outputs=outputs, task=task))
    assert (model.output_shape, model.layers[-1].name) == ((None, outputs), name)
    assert model.get_layer(LOGIT).kernel.shape == (50, outputs)


@pytest.mark.parametrize("name", WHOLE)
def test_a_regression_reads_the_linear_unit_before_the_end(spec, name):
    model, classes = custom_model(spec(name, task="regression")), custom_model(spec(name))
    classes.set_weights(model.get_weights())
    odds = keras.Model(classes.input, classes.get_layer(LOGIT).output)(patches())
    assert model.layers[-1].name == "value"
    np.testing.assert_allclose(model(patches()), odds, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("classifier", r"classifier must take a parameter 'outputs' to return 3 units, but has none$"),
        ("miscounted", r"must return \(batch, 3\), linear or under a sigmoid, but returns \(None, 4\)$"),
    ],
)
def test_a_function_without_a_unit_for_each_label_is_one_line(spec, name, law):
    with pytest.raises(
        ModelError, match=rf"^[^\n]*multi-label heads need an architecture with K outputs.*{law}"
    ):
        custom_model(spec(name, outputs=3))
