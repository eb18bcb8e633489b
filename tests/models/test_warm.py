from dataclasses import fields, replace

import keras
import numpy as np
import pytest

from models.build import build_model
from models.errors import OutOfMemory
from models.samples import Samples
from models.spec import ComputeSpec, CustomSpec, ModelSpec, OptimizerSpec, TrainingSpec, TransferSpec
from models.training import Trainer
from models.warm import KEPT_ON_GPU, WarmNetworks, _structure

SPEC, ADAM = ModelSpec("small_cnn", (5, 5, 2), head=(32,)), OptimizerSpec("adam", 0.1)
SGD = OptimizerSpec("sgd", 0.1)


def test_trials_of_one_structure_share_a_network():
    warm = WarmNetworks(ComputeSpec())
    first = warm.ready(SPEC, ADAM, 0)
    assert warm.ready(ModelSpec("small_cnn", (9, 9, 2), head=(32,)), OptimizerSpec("adam", 1e-4), 7) is first


@pytest.mark.parametrize(
    ("spec", "optimizer"),
    [
        (SPEC, SGD),
        (ModelSpec("small_cnn", (5, 5, 3), head=(32,)), ADAM),
        (ModelSpec("small_cnn", (5, 5, 2), head=(16,)), ADAM),
        (ModelSpec("small_cnn", (1, 1, 2), head=(32,)), ADAM),  # every convolution sees one pixel
    ],
    ids=["optimizer", "channels", "head", "one pixel"],
)
def test_another_structure_has_a_network_of_its_own(spec, optimizer):
    warm = WarmNetworks(ComputeSpec())
    assert warm.ready(SPEC, ADAM, 0) is not warm.ready(spec, optimizer, 0)
    assert len(warm) == 2


MANY = OptimizerSpec("sgd", 0.1, 0.9, nesterov=True, weight_decay=0.1, clip_norm=1.0)
THICK = replace(SPEC, dropout=0.2)
DEEP = ModelSpec("resnet50", (9, 9, 2), transfer=TransferSpec("a.weights.h5", 2))
OWN = CustomSpec("function", "a.py:f", (("width", 3),), (("depth", 3),))
OTHERS = ModelSpec("own", (9, 9, 2), custom=OWN)

STRUCTURAL = {
    "architecture": (SPEC, replace(SPEC, architecture="resnet50")),
    "channels": (SPEC, replace(SPEC, input_shape=(5, 5, 3))),
    "head": (SPEC, replace(SPEC, head=(16,))),
    "dropout at all": (SPEC, THICK),
    "stem": (DEEP, replace(DEEP, stem="small")),
    "resize_to": (replace(DEEP, stem="resize", resize_to=32), replace(DEEP, stem="resize", resize_to=64)),
    "transfer": (DEEP, replace(DEEP, transfer=None)),
    "trainable_stages": (DEEP, replace(DEEP, transfer=TransferSpec("a.weights.h5", 3))),
    "custom": (OTHERS, replace(OTHERS, custom=None)),
    "outputs": (SPEC, replace(SPEC, outputs=2)),
    "task": (SPEC, replace(SPEC, task="regression")),
    "kind": (OTHERS, replace(OTHERS, custom=replace(OWN, kind="hypermodel"))),
    "source": (OTHERS, replace(OTHERS, custom=replace(OWN, source="a.py:g"))),
    "params": (OTHERS, replace(OTHERS, custom=replace(OWN, params=(("width", 4),)))),
    "arguments": (OTHERS, replace(OTHERS, custom=replace(OWN, arguments=(("depth", 4),)))),
    "name": (ADAM, replace(ADAM, name="amsgrad")),
    "momentum at all": (SGD, replace(SGD, momentum=0.5)),
    "nesterov": (MANY, replace(MANY, nesterov=False)),
    "weight_decay at all": (ADAM, replace(ADAM, weight_decay=0.1)),
    "clip_norm at all": (ADAM, replace(ADAM, clip_norm=1.0)),
}
VALUES = {
    "input_shape": (SPEC, replace(SPEC, input_shape=(9, 9, 2))),
    "dropout": (THICK, replace(THICK, dropout=0.6)),
    "learning_rate": (ADAM, replace(ADAM, learning_rate=0.01)),
    "momentum": (MANY, replace(MANY, momentum=0.5)),
    "weight_decay": (MANY, replace(MANY, weight_decay=0.4)),
    "clip_norm": (MANY, replace(MANY, clip_norm=0.01)),
}
# `test_transferred_weights_and_their_rate_are_values`
OF_TRANSFERS = {"weights", "transferred_rate"}


def _key(spec, alone=False):
    if isinstance(spec, OptimizerSpec):
        return _structure(SPEC, spec, alone)
    return _structure(spec, ADAM, alone)


def test_every_field_of_a_spec_is_either_structure_or_a_value():
    tested = {name.partition(" ")[0] for name in STRUCTURAL} | set(VALUES) | OF_TRANSFERS
    specs = (ModelSpec, TransferSpec, CustomSpec, OptimizerSpec)
    assert {field.name for spec in specs for field in fields(spec)} == tested - {"channels"}


@pytest.mark.parametrize("name", STRUCTURAL)
def test_specs_that_differ_in_structure_never_share_a_network(name):
    first, second = STRUCTURAL[name]
    assert _key(first) == _key(replace(first)) != _key(second)


def test_steps_on_single_samples_are_a_structure():
    assert _key(SPEC, True) != _key(SPEC)


def _samples(side, seed=0, n=12):
    rng = np.random.default_rng(seed)
    return Samples(rng.normal(size=(n, side, side, 2)).astype(np.float32), np.arange(n, dtype=np.float32) % 2)


def _fit(trainer, spec, optimizer):
    samples = _samples(spec.input_shape[0])
    fitted = trainer.fit(spec, optimizer, TrainingSpec(2, 6, 3), samples, samples)
    return fitted._compiled, fitted.history, fitted.predict(samples.x)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_compiles_nothing_and_a_warm_fit_equals_a_fresh_one(name):
    trainer, results = Trainer(), []
    for spec in VALUES[name]:
        pair = (SPEC, spec) if isinstance(spec, OptimizerSpec) else (spec, ADAM)
        results.append(_fit(trainer, *pair))
    (kept, _, before), (warm, history, after) = results
    assert warm is kept
    assert kept._step.experimental_get_tracing_count() == 1
    _, expected, fresh = _fit(Trainer(), *pair)
    assert history == expected
    np.testing.assert_array_equal(after, fresh)
    assert not np.array_equal(before, after)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, while it saves
def test_transferred_weights_and_their_rate_are_values(tmp_path):
    """The head alone moves under a vanishing rate of what is transferred."""
    paths = [tmp_path / f"{name}.weights.h5" for name in "ab"]
    for seed, path in enumerate(paths):
        keras.utils.set_random_seed(seed)
        keras.applications.ResNet50(
            weights=None, include_top=False, input_shape=(None, None, 3)
        ).save_weights(path)
    trainer, results = Trainer(), []
    for path, rate in zip(paths, (0.5, 1e-9), strict=True):
        spec = replace(DEEP, transfer=TransferSpec(str(path), 2))
        optimizer = OptimizerSpec("adam", 1e-3, transferred_rate=rate)
        results.append(_fit(trainer, spec, optimizer))
    assert results[0][0] is results[1][0]
    _, expected, fresh = _fit(Trainer(), spec, optimizer)
    assert results[1][1] == expected
    np.testing.assert_array_equal(results[1][2], fresh)
    moved, start = results[1][0].model, build_model(spec, 3)
    for name, is_moved in (("conv5_block1_2_conv", False), ("conv3_block1_2_conv", False), ("dense1", True)):
        kernels = [model.get_layer(name).kernel.numpy() for model in (moved, start)]
        assert (np.abs(kernels[0] - kernels[1]).max() > 1e-5) == is_moved


def test_the_network_used_longest_ago_is_dropped_for_want_of_memory(monkeypatch):
    warm = WarmNetworks(ComputeSpec(), memory_mb=100)
    resident = iter([0, 101, 99])
    monkeypatch.setattr("models.warm.resident_mb", lambda: next(resident))
    first, second = warm.ready(SPEC, ADAM, 0), warm.ready(SPEC, SGD, 0)
    assert warm.ready(SPEC, ADAM, 0) is first
    warm.ready(SPEC, OptimizerSpec("sgd", 0.1, 0.9), 0)
    assert warm.ready(SPEC, ADAM, 0) is first
    assert len(warm) == 2
    monkeypatch.setattr("models.warm.resident_mb", lambda: 0)
    assert warm.ready(SPEC, SGD, 0) is not second


def test_a_network_is_made_however_little_memory_there_is():
    warm = WarmNetworks(ComputeSpec(), memory_mb=0)
    for optimizer in (ADAM, SGD, ADAM):
        warm.ready(SPEC, optimizer, 0)
    assert len(warm) == 1


def test_dropping_a_network_keeps_the_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        warm = WarmNetworks(ComputeSpec("mixed_bfloat16"), memory_mb=0)
        warm.ready(SPEC, ADAM, 0)
        compiled = warm.ready(SPEC, SGD, 0)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert compiled.model.get_layer("conv1").compute_dtype == "bfloat16"
        assert {str(np.dtype(weight.dtype)) for weight in compiled.model.weights} == {"float32"}
    finally:
        keras.config.set_dtype_policy(policy)


def test_memory_exhausted_by_the_making_is_named(monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr("models.warm.CompiledModel", exhausted)
    with pytest.raises(OutOfMemory, match="ran out of memory"):
        WarmNetworks(ComputeSpec()).ready(SPEC, ADAM, 0)


def test_a_gpu_keeps_few_networks_whatever_the_main_memory(monkeypatch):
    monkeypatch.setattr("models.warm.tf.config.list_physical_devices", lambda kind: ["gpu"])
    warm = WarmNetworks(ComputeSpec())
    for optimizer in (ADAM, SGD, OptimizerSpec("sgd", 0.1, 0.9)):
        warm.ready(SPEC, optimizer, 0)
    assert len(warm) == KEPT_ON_GPU
