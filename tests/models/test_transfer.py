import os

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import transfer as module
from models.backbones import APPLICATIONS
from models.build import build_model
from models.errors import ModelError
from models.heads import output_head
from models.seeding import initialise
from models.spec import STAGES, ModelSpec, TransferSpec
from models.transfer import (
    PUBLISHED,
    WITH_TOP,
    freeze,
    load_source,
    stage_of,
    to_channels,
    transfer,
    transferred,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _tiny(channels, stem="conv1", width=4):
    """A network with a ResNet's names: a convolution and a normalisation in each stage, and our head."""
    patch = keras.Input((5, 5, channels), name="patch")
    features = patch
    for stage in (stem, "conv2_block1_1", "conv3_block1_1", "conv4_block1_1", "conv5_block1_1"):
        convolution = keras.layers.Conv2D(width, 3, padding="same", name=f"{stage}_conv")
        features = keras.layers.BatchNormalization(name=f"{stage}_bn")(convolution(features))
    return keras.Model(patch, output_head(features, (3,)))


def _drawn(network, seed):
    initialise(network, seed)
    return network


@pytest.fixture
def file(tmp_path):
    """A three-channel network in a file: its path, and the arrays of its layers."""
    network = _drawn(_tiny(3), 1)
    network.save(tmp_path / "source.keras")
    return tmp_path / "source.keras", {layer.name: layer.get_weights() for layer in network.layers}


def _spec(weights, channels=9, stages=STAGES, **more):
    return ModelSpec("resnet50", (5, 5, channels), transfer=TransferSpec(str(weights), stages), **more)


def _assert_equal(layer, arrays):
    for ours, theirs in zip(layer.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)


kernels = st.tuples(st.integers(1, 12), st.integers(1, 30), st.integers(0, 1000))


@given(kernels)
def test_any_number_of_channels_keeps_the_response_to_equal_channels(case):
    sources, channels, seed = case
    kernel = np.random.default_rng(seed).normal(size=(3, 3, sources, 4)).astype(np.float32)
    ours = to_channels(kernel, channels)
    assert ours.shape == (3, 3, channels, 4)
    np.testing.assert_allclose(ours.sum(axis=2), kernel.sum(axis=2), rtol=1e-4, atol=1e-5)


@given(kernels)
def test_channels_take_the_sources_in_turn(case):
    sources, channels, seed = case
    channels += sources
    kernel = np.random.default_rng(seed).normal(size=(1, 1, sources, 2)).astype(np.float32)
    ours = to_channels(kernel, channels)
    for channel in range(channels):
        shared = sum(other % sources == channel % sources for other in range(channels))
        np.testing.assert_allclose(ours[:, :, channel] * shared, kernel[:, :, channel % sources], rtol=1e-6)


def test_as_many_channels_take_the_kernel_as_it_is():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 9, 4)).astype(np.float32)
    np.testing.assert_array_equal(to_channels(kernel, 9), kernel)


@pytest.mark.parametrize("name", ["resnet50", "densenet201"])
def test_every_weight_of_a_backbone_belongs_to_one_stage_in_order(name):
    network = APPLICATIONS[name](weights=None, include_top=False, input_shape=(32, 32, 3))
    stages = [stage_of(layer.name) for layer in network.layers if layer.weights]
    assert None not in stages
    assert sorted(set(stages)) == list(range(STAGES))
    # a ResNet's shortcut may stand beside its block, but never in another stage
    assert stages == sorted(stages)


def test_the_head_belongs_to_no_stage():
    head = keras.Model(*(lambda patch: (patch, output_head(patch, (3,), 0.5)))(keras.Input((2, 2, 4))))
    assert {stage_of(layer.name) for layer in head.layers} == {None}


@pytest.mark.parametrize("stages", range(STAGES + 1))
def test_the_last_stages_train_and_the_head_always(stages):
    network = _tiny(9)
    freeze(network, stages)
    training = {layer.name for layer in network.layers if layer.trainable_weights}
    names = ["conv1", *(f"conv{n}_block1_1" for n in (2, 3, 4, 5))][STAGES - stages :]
    assert training == {f"{name}_{kind}" for name in names for kind in ("conv", "bn")} | {"dense1", "logit"}


def test_a_replaced_stem_trains_with_the_head():
    network = _tiny(9, stem="stem")
    freeze(network, 0)
    assert {layer.name for layer in network.layers if layer.trainable_weights} == {
        *("stem_conv", "stem_bn", "dense1", "logit")
    }


def test_frozen_statistics_stay_in_training():
    network = _drawn(_tiny(2), 0)
    freeze(network, 1)
    network(np.random.default_rng(0).normal(3, 2, (8, 5, 5, 2)), training=True)
    means = {n: network.get_layer(f"{n}_bn").get_weights()[2] for n in ("conv1", "conv5_block1_1")}
    assert (means["conv1"] == 0).all()
    assert (means["conv5_block1_1"] != 0).any()


def test_the_backbone_takes_the_weights_and_the_head_keeps_its_own(file):
    path, source = file
    network, other = _drawn(_tiny(9), 2), _drawn(_tiny(9), 2)
    transfer(network, _spec(path))
    for layer in network.layers[2:]:
        if stage_of(layer.name) is None:
            _assert_equal(layer, other.get_layer(layer.name).get_weights())
        else:
            _assert_equal(layer, source[layer.name])
    first = network.get_layer("conv1_conv")
    _assert_equal(first, [to_channels(source["conv1_conv"][0], 9), source["conv1_conv"][1]])


def test_without_a_transfer_nothing_changes():
    network, other = _drawn(_tiny(9), 2), _drawn(_tiny(9), 2)
    transfer(network, ModelSpec("resnet50", (5, 5, 9)))
    for ours, theirs in zip(network.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_replaced_stem_keeps_what_was_drawn(file):
    path, source = file
    network, other = _drawn(_tiny(9, stem="stem"), 2), _drawn(_tiny(9, stem="stem"), 2)
    transfer(network, _spec(path, stem="small"))
    _assert_equal(network.get_layer("stem_conv"), other.get_layer("stem_conv").get_weights())
    _assert_equal(network.get_layer("conv2_block1_1_conv"), source["conv2_block1_1_conv"])


def test_a_replaced_stem_takes_that_of_a_network_that_had_it_too(tmp_path):
    source = _drawn(_tiny(9, stem="stem"), 1)
    source.save(tmp_path / "ours.keras")
    network = _drawn(_tiny(9, stem="stem"), 2)
    transfer(network, _spec(tmp_path / "ours.keras", stem="small"))
    _assert_equal(network.get_layer("stem_conv"), source.get_layer("stem_conv").get_weights())


def test_the_transferred_variables_are_those_of_the_backbone():
    network = _tiny(9, stem="stem")
    filled = {id(variable) for variable in transferred(network)}
    names = {layer.name for layer in network.layers if {id(v) for v in layer.variables} & filled}
    assert names == {f"conv{n}_block1_1_{kind}" for n in (2, 3, 4, 5) for kind in ("conv", "bn")}
    assert len(filled) == len(transferred(network)) == 4 * (2 + 4)


def test_a_file_is_read_once_until_it_changes(file, monkeypatch):
    path, _ = file
    read, read_weights = [], module.read_weights
    monkeypatch.setattr(module, "read_weights", lambda path: read.append(path) or read_weights(path))
    network = _tiny(9)
    for _ in range(3):
        transfer(network, _spec(path))
    assert read == [path]
    changed = _drawn(_tiny(3), 5)
    changed.save(path)
    os.utime(path, ns=(1, 1))
    transfer(network, _spec(path))
    assert read == [path, path]
    _assert_equal(
        network.get_layer("conv5_block1_1_bn"), changed.get_layer("conv5_block1_1_bn").get_weights()
    )


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        ({"width": 6}, {}, r"layer 'conv1_bn' needs \(4,\), \(4,\), \(4,\), and 1 more, but got \(6,\)"),
        ({"stem": "stem"}, {}, r"it lacks the layers conv1_bn, conv1_conv$"),
        ({"stem": "conv5_block2_1"}, {"stem": "stem"}, "it has layers of another network, conv5_block2_1_bn"),
    ],
)
def test_weights_of_another_network_are_refused_by_layer_and_shape(theirs, ours, message, tmp_path):
    _tiny(3, **theirs).save(tmp_path / "other.keras")
    with pytest.raises(
        ModelError, match=rf"^weights: '.*other\.keras' does not fit resnet50: [^\n]*{message}"
    ):
        transfer(_tiny(9, **ours), _spec(tmp_path / "other.keras"))


def test_a_refused_file_changes_no_weight(file):
    path, _ = file
    network, other = _drawn(_tiny(9, width=6), 2), _drawn(_tiny(9, width=6), 2)
    with pytest.raises(ModelError, match=r"and 7 more$"):
        transfer(network, _spec(path))
    for ours, theirs in zip(network.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_weights_that_cannot_be_fetched_name_the_file_to_give_instead(name, monkeypatch):
    def offline(fname, origin, **_):
        raise Exception(f"URL fetch failure on {origin}: None -- no route\nto host")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", offline)
    module._loaded.cache_clear()
    file = PUBLISHED.format(name)
    message = (
        rf"^weights: 'imagenet' could not be fetched for {name} \(URL [^\n]*/{file}[^\n]*the file {file} i"
    )
    with pytest.raises(ModelError, match=message):
        load_source(ModelSpec(name, (33, 33, 9), transfer=TransferSpec("imagenet")))


def _published(monkeypatch, name, network):
    monkeypatch.setitem(APPLICATIONS, name, lambda **_: network)
    module._loaded.cache_clear()


def test_the_first_kernel_of_a_published_resnet_is_brought_to_standardised_patches(monkeypatch, tmp_path):
    """A patch in standard deviations gives what the grey values, less their mean, gave."""
    source = _drawn(_tiny(3), 1)
    _published(monkeypatch, "resnet50", source)
    deviation = 255 * np.array(keras_deviation(), np.float32)[::-1]
    kernel = source.get_layer("conv1_conv").get_weights()[0] * deviation[:, None]
    fetched = load_source(_spec("imagenet"))
    np.testing.assert_allclose(fetched["conv1_conv"][0], kernel, rtol=1e-6)
    _assert_equal(source.get_layer("conv2_block1_1_conv"), fetched["conv2_block1_1_conv"])

    for published in (PUBLISHED, WITH_TOP):
        path = tmp_path / published.format("resnet50")
        source.save(path)
        np.testing.assert_allclose(load_source(_spec(path))["conv1_conv"][0], kernel, rtol=1e-6)


def keras_deviation():
    """The deviation of the colours (red, green, blue), from what Keras does to grey values."""
    black, white = (np.full((1, 1, 3), value, np.float32) for value in (0, 255))
    scaled = [keras.applications.densenet.preprocess_input(image.copy()) for image in (black, white)]
    return 1 / (scaled[1] - scaled[0])[0, 0]


def test_the_first_kernel_of_a_published_densenet_is_for_standardised_patches_already(monkeypatch):
    source = _drawn(_tiny(3), 1)
    _published(monkeypatch, "densenet201", source)
    spec = ModelSpec("densenet201", (33, 33, 9), transfer=TransferSpec("imagenet"))
    _assert_equal(source.get_layer("conv1_conv"), load_source(spec)["conv1_conv"])


@pytest.mark.parametrize("name", ["stock.keras", "stock.weights.h5", "stock.h5"])
def test_a_stock_resnet_responds_to_equal_channels_as_before(name, tmp_path, stock):
    (stock.save_weights if "weights" in name else stock.save)(tmp_path / name)
    model = build_model(_spec(tmp_path / name, stages=2), seed=3)
    features = keras.Model(model.input, model.get_layer("conv5_block3_out").output)
    grey = np.random.default_rng(0).normal(size=(2, 5, 5, 1)).astype(np.float32)
    expected = stock(np.repeat(grey, 3, axis=-1))
    np.testing.assert_allclose(features(np.repeat(grey, 9, axis=-1)), expected, rtol=1e-3, atol=1e-5)
    assert not model.get_layer("conv3_block4_3_conv").trainable
    assert model.get_layer("conv4_block1_1_conv").trainable


@pytest.fixture(scope="module")
def stock():
    return _drawn(
        keras.applications.ResNet50(weights=None, include_top=False, input_shape=(None, None, 3)), 4
    )
