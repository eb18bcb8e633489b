"""What every architecture of the registry promises, whatever it is made of."""

import keras
import numpy as np
import pytest

from models.compiled import CompiledModel
from models.registry import ARCHITECTURES, smallest_side
from models.spec import ModelSpec, OptimizerSpec

# Keras warns of itself while it saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

QUICK = [("small_cnn", 5, 9), ("small_cnn", 17, 27), ("resnet50", 17, 9)]
SLOW = [("resnet152", 17, 9), ("densenet201", 29, 9)]


def _batch(side, channels):
    rng = np.random.default_rng(0)
    y = (np.arange(6) % 2).astype(np.float32)
    return (rng.normal(size=(6, side, side, channels)) + y[:, None, None, None] / 4).astype(np.float32), y


@pytest.fixture(
    scope="module", params=[*QUICK, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)], ids=str
)
def trained(request):
    """A network after ten steps on one batch: (compiled, batch, losses)."""
    name, side, channels = request.param
    optimizer = OptimizerSpec("adam", 1e-3)
    compiled = CompiledModel(ModelSpec(name, (side, side, channels)), optimizer)
    compiled.reset(optimizer, 0)
    batch = _batch(side, channels)
    return compiled, batch, [float(compiled.step(*batch)) for _ in range(10)]


def test_every_architecture_of_the_registry_is_covered():
    assert {name for name, _, _ in QUICK + SLOW} == set(ARCHITECTURES)


def test_steps_lower_the_loss_on_a_fixed_batch(trained):
    _, _, losses = trained
    assert losses[-1] < losses[0] / 2


def test_a_saved_network_loads_safely_and_predicts_the_same(trained, tmp_path):
    compiled, (x, _), _ = trained
    compiled.model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(x, training=False), compiled.model(x, training=False))


def test_a_network_is_made_of_stock_layers(trained):
    compiled, *_ = trained
    assert {type(layer).__module__.partition(".")[0] for layer in compiled.model.layers} == {"keras"}


def test_the_smallest_side_named_is_below_every_case(trained):
    compiled, (x, _), _ = trained
    assert smallest_side(compiled.model.name) <= x.shape[1]
