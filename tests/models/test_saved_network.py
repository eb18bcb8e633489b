import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from models import saved_network
from models.build import build_model
from models.errors import ModelError, NonFiniteLoss, OutOfMemory
from models.heads import LOGIT
from models.samples import Samples
from models.saved_network import LEAST, SavedNetwork
from models.spec import ModelSpec, OptimizerSpec, TrainingSpec
from models.training import Trainer


@pytest.fixture(scope="module")
def trainer():
    return Trainer()


def trained(trainer, spec, decay=0.0):
    """After an epoch, so that statistics are no longer those of a new network."""
    random = np.random.default_rng(0)
    y = random.normal(size=(20, *spec.target_shape)).astype(np.float32)
    y = y if spec.task == "regression" else (y > 0).astype(np.float32)
    samples = Samples(random.normal(size=(20, *spec.input_shape)).astype(np.float32), y)
    optimizer = OptimizerSpec("adam", 1e-3, weight_decay=decay)
    return trainer.fit(spec, optimizer, TrainingSpec(1, 10, 0), samples, None)


def patches(spec, n=40):
    return np.random.default_rng(1).normal(size=(n, *spec.input_shape)).astype(np.float32)


def logit(p):
    return np.log(p) - np.log1p(-p)


@pytest.mark.parametrize(
    ("spec", "decay"),
    [
        (ModelSpec("small_cnn", (9, 9, 2)), 0.0),
        (ModelSpec("small_cnn", (4, 4, 3), outputs=3), 0.0),
        (ModelSpec("small_cnn", (5, 5, 2), outputs=2, task="regression", dropout=0.3), 0.0),
        pytest.param(ModelSpec("resnet50", (17, 17, 2)), 0.0, marks=pytest.mark.slow),
        pytest.param(ModelSpec("resnet50", (9, 9, 2), task="regression"), 0.1, marks=pytest.mark.slow),
        pytest.param(ModelSpec("resnet50", (3, 3, 2), stem="small"), 0.0, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_saved_network_predicts_what_the_trained_one_does(trainer, spec, decay, tmp_path):
    fitted, x = trained(trainer, spec, decay), patches(spec)
    fitted.save(tmp_path / "network.keras")
    network = SavedNetwork.open(tmp_path / "network.keras", spec.task)
    said, expected = network.predict(x), fitted.predict(x).reshape(len(x), -1)
    assert said.shape == (40, spec.outputs) == (40, network.outputs)
    assert network.input_shape == spec.input_shape
    if spec.task == "classification":
        said, expected = logit(said), logit(expected)
    # Both are float32; beside float64 the two err alike (benchmarks/README.md, "Maps").
    np.testing.assert_allclose(said, expected, rtol=1e-4, atol=1e-5)


def test_resnet50_predicts_what_stock_keras_does():
    """On 17 pixels nine of its convolutions are run as one product over their map."""
    model = build_model(ModelSpec("resnet50", (17, 17, 2)))
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_mean.assign(random.normal(0, 0.3, layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.5, 2, layer.moving_variance.shape))
    network = SavedNetwork(model, "classification")
    x = patches(ModelSpec("resnet50", (17, 17, 2)), 5)
    expected = keras.Model(model.input, model.get_layer(LOGIT).output)(x, training=False)
    np.testing.assert_allclose(logit(network.predict(x)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["normed", "random"])
def test_a_network_of_the_users_own_predicts_the_same(trainer, custom, name, tmp_path):
    fitted, x = trained(trainer, custom(name, 8)), patches(custom(name, 8))
    fitted.save(tmp_path / "network.keras")
    said = SavedNetwork.open(tmp_path / "network.keras", "classification").predict(x)
    np.testing.assert_allclose(logit(said[:, 0]), logit(fitted.predict(x)), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def network():
    return SavedNetwork(build_model(ModelSpec("small_cnn", (6, 6, 2), outputs=2), 3), "classification")


def test_a_patch_gets_the_same_bits_in_any_company_and_at_any_place(network):
    x = patches(ModelSpec("small_cnn", (6, 6, 2)), 2 * network.batch + 3)
    whole = network.predict(x)
    np.testing.assert_array_equal(network.predict(x[::-1])[::-1], whole)
    np.testing.assert_array_equal(network.predict(x[5:6]), whole[5:6])
    np.testing.assert_array_equal(network.predict(x[7:-9]), whole[7:-9])


def test_no_patches_get_no_numbers(network):
    assert network.predict(np.empty((0, 6, 6, 2), np.float32)).shape == (0, 2)


def test_any_number_of_patches_is_traced_once(network, monkeypatch):
    """And the network runs on batches of one size."""
    network.predict(np.zeros((1, 6, 6, 2), np.float32))
    run, seen = network._run, []
    monkeypatch.setattr(network, "_run", lambda x: seen.append(x.shape[0]) or run(x))
    for count in (1, network.batch, network.batch + 1, 3 * network.batch - 1):
        network.predict(np.zeros((count, 6, 6, 2), np.float32))
    assert seen == [network.batch] * 7
    assert isinstance(run, tf.types.experimental.ConcreteFunction)  # which is never traced again


def test_larger_maps_go_through_in_smaller_batches(monkeypatch):
    def batch(side):
        return SavedNetwork(build_model(ModelSpec("small_cnn", (side, side, 2))), "classification").batch

    sizes = [batch(side) for side in (5, 33, 129)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] >= LEAST
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: ["gpu"])
    assert batch(5) > sizes[0]


def test_batches_are_halved_until_they_fit(monkeypatch):
    network = SavedNetwork(build_model(ModelSpec("small_cnn", (4, 4, 2)), 3), "regression")
    x = patches(ModelSpec("small_cnn", (4, 4, 2)), 50)
    expected = network.predict(x)
    traced = network._traced

    def cramped():
        run, size = traced(), network.batch

        def step(x):
            if size > 2 * LEAST:
                raise tf.errors.ResourceExhaustedError(None, None, "too much")
            return run(x)

        return step

    monkeypatch.setattr(network, "_traced", cramped)
    network._run = cramped()
    np.testing.assert_allclose(network.predict(x), expected, atol=1e-6)
    assert network.batch == 2 * LEAST
    monkeypatch.setattr(saved_network, "LEAST", 2 * LEAST)
    network._run = lambda x: (_ for _ in ()).throw(tf.errors.ResourceExhaustedError(None, None, "too much"))
    with pytest.raises(OutOfMemory, match="ran out of memory"):
        network.predict(x)


def test_patches_of_another_shape_or_without_numbers_are_refused(network):
    with pytest.raises(ModelError, match=r"patches \(n, 6, 6, 2\) are needed, but got \(1, 5, 6, 2\)"):
        network.predict(np.zeros((1, 5, 6, 2), np.float32))
    with pytest.raises(ModelError, match="got 72 that are NaN or infinite"):
        network.predict(np.full((1, 6, 6, 2), np.nan, np.float32))


def test_an_output_that_is_no_number_is_told(network, monkeypatch):
    monkeypatch.setattr(network, "_run", lambda x: tf.fill((len(x), 2), np.nan))
    with pytest.raises(NonFiniteLoss, match="output is not finite"):
        network.predict(np.zeros((1, 6, 6, 2), np.float32))


def test_a_network_of_another_making_is_refused():
    patch = keras.Input((4, 4, 2))
    other = keras.Model(patch, layers.Dense(1)(layers.Flatten()(patch)), name="other")
    with pytest.raises(ModelError, match=f"to a layer '{LOGIT}' is needed, but got 'other'"):
        SavedNetwork(other, "classification")
    with pytest.raises(ModelError, match="task: one of classification, regression"):
        SavedNetwork(build_model(ModelSpec("small_cnn", (4, 4, 2))), "ranking")


def test_a_damaged_file_is_refused_in_a_line(tmp_path):
    path = tmp_path / "network.keras"
    build_model(ModelSpec("small_cnn", (4, 4, 2))).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # among the weights
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"network\.keras: Keras cannot load the network") as caught:
        SavedNetwork.open(path, "classification")
    assert "\n" not in str(caught.value)


def test_gpus_are_shared_and_those_in_use_left_as_they_are(monkeypatch, tmp_path):
    asked = []

    def grow(gpu, on):
        asked.append((gpu, on))
        if gpu == "busy":
            raise RuntimeError("Physical devices cannot be modified after being initialized")

    build_model(ModelSpec("small_cnn", (4, 4, 2))).save(tmp_path / "network.keras")
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: ["busy", "idle"])
    monkeypatch.setattr("tensorflow.config.experimental.set_memory_growth", grow)
    SavedNetwork.open(tmp_path / "network.keras", "classification")
    assert asked == [("busy", True), ("idle", True)]


SEVEN = """
import numpy as np
from models.build import build_model
from models.saved_network import SavedNetwork
from models.spec import ModelSpec
for seed in range(7):
    network = SavedNetwork(build_model(ModelSpec("small_cnn", (4, 4, 2)), seed), "classification")
    network.predict(np.zeros((1, 4, 4, 2), np.float32))
    print(flush=True)
"""


@pytest.mark.slow
def test_many_networks_in_a_process_write_no_warning():
    """TensorFlow would warn of a function that is traced again and again."""
    script = (
        "import sys; from models.quiet import quiet_loading\nwith quiet_loading(): import keras\n" + SEVEN
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 7
    assert "WARNING" not in done.stderr
    assert "retracing" not in done.stderr
