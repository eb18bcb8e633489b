import keras
import numpy as np
import pytest

from models.errors import OutOfMemory
from models.spec import ComputeSpec, ModelSpec, OptimizerSpec
from models.warm import KEPT_ON_GPU, WarmNetworks

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
