"""What every architecture of the registry promises, whatever it is made of and whatever patch it is given."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.compiled import CompiledModel
from models.errors import NotBuildable
from models.registry import ARCHITECTURES, check, smallest_side
from models.spec import STEMS, ModelSpec, OptimizerSpec

# Keras warns of itself while it saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

QUICK = [("small_cnn", 5, 9), ("small_cnn", 17, 27), ("resnet50", 17, 9)]
SLOW = [("resnet152", 17, 9), ("densenet201", 29, 9)]

RADII, SLICES, SEQUENCES, RESIZED = (2, 4, 8, 16), (1, 3), 9, 32
COMBINATIONS = [*itertools.product(ARCHITECTURES, RADII, SLICES, STEMS)]
# Each deep network, each stem and both numbers of slices; smallest patches, where networks break.
SAMPLED = [
    ("resnet50", 2, 1, "small"),
    ("resnet50", 8, 3, "resize"),
    ("resnet152", 2, 3, "paper"),
    ("densenet201", 2, 1, "small"),
]


def _spec(name, radius, slices, stem):
    side, resize_to = 2 * radius + 1, RESIZED if stem == "resize" else None
    return ModelSpec(name, (side, side, SEQUENCES * slices), stem=stem, resize_to=resize_to)


def _is_allowed(case):
    try:
        check(_spec(*case))
    except NotBuildable:
        return False
    return True


ALLOWED = [case for case in COMBINATIONS if _is_allowed(case)]


def _is_quick(case):
    return case in SAMPLED or not ARCHITECTURES[case[0]].is_deep


def _batch(side, channels, n=6):
    rng = np.random.default_rng(0)
    y = (np.arange(n) % 2).astype(np.float32)
    return (rng.normal(size=(n, side, side, channels)) + y[:, None, None, None] / 4).astype(np.float32), y


def _slope(compiled, x, y):
    """The squared norm of the loss's gradient."""
    with tf.GradientTape() as tape:
        logit = compiled.lowered.network(x, training=True)[:, 0]
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logit))
    return sum(float(tf.reduce_sum(g**2)) for g in tape.gradient(loss, compiled.lowered.trainable))


@pytest.fixture
def eagerly():
    """Without tracing, which takes a deep network a minute; the operations are the same."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(
    scope="module", params=[*QUICK, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)], ids=str
)
def trained(request):
    """A network after ten traced steps on one batch: (compiled, batch, losses)."""
    name, side, channels = request.param
    optimizer = OptimizerSpec("adam", 1e-3)
    compiled = CompiledModel(ModelSpec(name, (side, side, channels)), optimizer)
    compiled.reset(optimizer, 0)
    batch = _batch(side, channels)
    return compiled, batch, [float(compiled.step(*batch)) for _ in range(10)]


def test_every_architecture_of_the_registry_is_covered():
    assert {name for name, _, _ in QUICK + SLOW} == set(ARCHITECTURES)
    assert {name for name, *_ in SAMPLED} == {name for name, entry in ARCHITECTURES.items() if entry.is_deep}
    assert set(SAMPLED) <= set(ALLOWED)


def test_every_radius_and_stem_is_taken_but_by_densenet_as_it_is():
    left_out = {(name, radius, stem) for name, radius, _, stem in set(COMBINATIONS) - set(ALLOWED)}
    shallow = {("small_cnn", radius, stem) for radius in RADII for stem in ("small", "resize")}
    assert left_out == shallow | {("densenet201", radius, "paper") for radius in (2, 4, 8)}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if _is_quick(case) else pytest.mark.slow) for case in ALLOWED],
    ids=lambda case: "-".join(map(str, case)),
)
def test_a_network_builds_learns_and_predicts_the_same_once_saved_and_loaded(case, eagerly, tmp_path):
    spec, sgd = _spec(*case), OptimizerSpec("sgd", 1.0)
    compiled = CompiledModel(spec, sgd)
    compiled.reset(sgd, 0)
    # Batch norm over few samples of one pixel each gives ResNet152 gradients beyond single precision.
    x, y = _batch(spec.input_shape[0], spec.input_shape[2], n=32)
    # A step as long as would, were the loss a plane, lower it by this much.
    promised = 0.03
    compiled.set_learning_rate(promised / _slope(compiled, x, y))
    before, after = (float(compiled.step(x, y)) for _ in range(2))
    assert 0.2 < (before - after) / promised < 1.2

    model = compiled.stock_model(spec, 0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    probability = 1 / (1 + np.exp(-compiled.logits(x)))
    np.testing.assert_allclose(loaded(x, training=False)[:, 0], probability, rtol=1e-3)


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
