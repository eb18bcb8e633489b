import zipfile

import h5py
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelError
from models.weight_files import read_weights


def _network():
    patch = keras.Input((4, 4, 3))
    features = keras.layers.Conv2D(2, 3, name="conv1_conv")(patch)
    features = keras.layers.BatchNormalization(name="conv1_bn", beta_initializer="random_normal")(features)
    features = keras.layers.Conv2D(12, 1, use_bias=False, name="conv2_conv")(features)
    return keras.Model(patch, features, name="backbone")


def _saved(network, path):
    (network.save_weights if path.name.endswith(".weights.h5") else network.save)(path)
    return path


def _assert_same(weights, network):
    expected = {layer.name: layer.get_weights() for layer in network.layers if layer.weights}
    assert set(expected) <= set(weights)
    for name, arrays in expected.items():
        for ours, theirs in zip(weights[name], arrays, strict=True):
            assert ours.dtype == np.float32
            np.testing.assert_array_equal(ours, theirs)


FILES = ["a.keras", "a.weights.h5", "a.h5"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", FILES)
def test_every_format_of_keras_gives_the_arrays_by_layer(name, tmp_path):
    network = _network()
    _assert_same(read_weights(_saved(network, tmp_path / name)), network)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", FILES)
def test_the_layers_of_a_nested_model_are_found(name, tmp_path):
    patch, network = keras.Input((4, 4, 3)), _network()
    outer = keras.Model(patch, keras.layers.Flatten()(network(patch)))
    _assert_same(read_weights(_saved(outer, tmp_path / name)), network)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", FILES)
def test_what_an_optimizer_remembers_is_no_weight(name, tmp_path):
    network = _network()
    network.compile("adam", "mse")
    network.train_on_batch(np.ones((2, 4, 4, 3)), np.ones((2, 2, 2, 12)))
    weights = read_weights(_saved(network, tmp_path / name))
    _assert_same(weights, network)
    assert set(weights) == {"conv1_conv", "conv1_bn", "conv2_conv"}


def test_the_layout_that_keras_applications_publishes_is_read(tmp_path):
    network = _network()
    with h5py.File(tmp_path / "published.h5", "w") as file:  # as Keras 2 wrote weights without a model
        for layer in network.layers[1:]:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            half = len(names) // 2  # a long list of names was split
            group.attrs["weight_names0"] = np.array(names[:half], "S")
            group.attrs["weight_names1"] = np.array(names[half:], "S")
            for name, weight in zip(names, layer.get_weights(), strict=True):
                group[name] = weight
    _assert_same(read_weights(tmp_path / "published.h5"), network)


def test_what_is_no_weights_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "noise.h5").write_bytes(b"no HDF5")
    (tmp_path / "noise.keras").write_bytes(b"no archive")
    h5py.File(tmp_path / "empty.h5", "w").close()
    for name, message in [
        ("absent.h5", "weights: there is no file '.*absent.h5'"),
        ("noise.h5", r"weights: '.*noise.h5' is no weights file of Keras: [^\n]+$"),
        ("noise.keras", r"weights: '.*noise.keras' is no weights file of Keras: [^\n]+$"),
        ("empty.h5", "weights: '.*empty.h5' names no layer with weights"),
        ("weights.pt", r"weights: a file \.keras, \.weights\.h5 or \.h5 is needed, but got '.*weights\.pt'"),
    ]:
        with pytest.raises(ModelError, match=message):
            read_weights(tmp_path / name)


@pytest.fixture
def secret(tmp_path):
    """Numbers that are none of a model's business, as HDF5 and as bytes."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["numbers"] = np.arange(4, dtype=np.float32)
    np.arange(4, dtype=np.float32).tofile(tmp_path / "secret.bin")
    return tmp_path


def _soft(group, folder):
    group["0"] = h5py.SoftLink("/elsewhere")


def _external_link(group, folder):
    group["0"] = h5py.ExternalLink(str(folder / "secret.h5"), "/numbers")


def _external_storage(group, folder):
    group.create_dataset("0", (4,), np.float32, external=[(str(folder / "secret.bin"), 0, 16)])


def _virtual(group, folder):
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource(folder / "secret.h5", "numbers", (4,))
    group.create_virtual_dataset("0", layout)


@pytest.mark.parametrize("put", [_soft, _external_link, _external_storage, _virtual])
def test_weights_in_other_files_are_not_read(put, secret):
    with h5py.File(secret / "a.weights.h5", "w") as file:
        layer = file.create_group("layers/dense/vars")
        layer.attrs["name"] = "dense"
        put(layer, secret)
    with pytest.raises(ModelError, match=r"'0' (is a link|lies in another file), and only"):
        read_weights(secret / "a.weights.h5")


def test_a_link_among_the_names_of_an_old_file_is_not_followed(secret):
    with h5py.File(secret / "a.h5", "w") as file:
        layer = file.create_group("model_weights/dense")
        layer["out"] = h5py.ExternalLink(str(secret / "secret.h5"), "/")
        layer.attrs["weight_names"] = [b"out/numbers"]
    with pytest.raises(ModelError, match="'out/numbers' is a link"):
        read_weights(secret / "a.h5")


def test_weights_that_claim_a_terabyte_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        layer = file.create_group("layers/dense/vars")
        layer.attrs["name"] = "dense"
        layer.create_dataset("0", (2**38,), np.float32, chunks=(2**20,))
    with pytest.raises(ModelError, match="claims 1099511627776 bytes, more than 100 times its size"):
        read_weights(tmp_path / "a.weights.h5")


def test_a_chunk_that_would_be_inflated_for_a_few_weights_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        layer = file.create_group("layers/dense/vars")
        layer.attrs["name"] = "dense"
        layer.create_dataset("0", (10,), np.float32, chunks=(2**29,), maxshape=(None,), compression="gzip")
    with pytest.raises(ModelError, match="claims 2147483648 bytes, more than 100 times its size"):
        read_weights(tmp_path / "a.weights.h5")


def test_compressed_weights_are_read(tmp_path):
    values = np.random.default_rng(0).normal(size=(300, 20)).astype(np.float32)
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        layer = file.create_group("layers/dense/vars")
        layer.attrs["name"] = "dense"
        layer.create_dataset("0", data=values, compression="gzip")
    np.testing.assert_array_equal(read_weights(tmp_path / "a.weights.h5")["dense"][0], values)


def test_an_archive_that_bursts_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(2**24))
    with pytest.raises(ModelError, match="claims 16777216 bytes, more than 100 times its size"):
        read_weights(tmp_path / "a.keras")


@settings(max_examples=150)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=20))
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("damaged") / "a.weights.h5"
    with h5py.File(path, "w") as file:
        layer = file.create_group("layers/dense/vars")
        layer.attrs["name"] = "dense"
        layer["0"] = np.ones((3, 2), np.float32)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[int(place * len(content))] = value
    path.write_bytes(content)
    try:
        found = str(read_weights(path))
    except ModelError as error:
        found = str(error)
    assert found
