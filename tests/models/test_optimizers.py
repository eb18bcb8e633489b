from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.errors import ModelError
from models.optimizers import FusedAdam, FusedSGD, SpeltAdam, make_optimizer, reset_optimizer, structure_of
from models.spec import OptimizerSpec

DECAY = {"weight_decay": 0.3}
CLIP = {"global_clipnorm": 2.0}

STOCK = {
    "adam": (OptimizerSpec("adam", 1e-2), keras.optimizers.Adam(1e-2)),
    "amsgrad": (OptimizerSpec("amsgrad", 1e-2), keras.optimizers.Adam(1e-2, amsgrad=True)),
    "sgd": (OptimizerSpec("sgd", 1e-2), keras.optimizers.SGD(1e-2)),
    "momentum": (OptimizerSpec("sgd", 1e-2, 0.9), keras.optimizers.SGD(1e-2, momentum=0.9)),
    "nesterov": (
        OptimizerSpec("sgd", 1e-2, 0.9, nesterov=True),
        keras.optimizers.SGD(1e-2, momentum=0.9, nesterov=True),
    ),
    "adam decays": (OptimizerSpec("adam", 1e-2, weight_decay=0.3), keras.optimizers.AdamW(1e-2, **DECAY)),
    "amsgrad decays": (
        OptimizerSpec("amsgrad", 1e-2, weight_decay=0.3),
        keras.optimizers.AdamW(1e-2, amsgrad=True, **DECAY),
    ),
    "sgd decays": (OptimizerSpec("sgd", 1e-2, weight_decay=0.3), keras.optimizers.SGD(1e-2, **DECAY)),
    "nesterov decays": (
        OptimizerSpec("sgd", 1e-2, 0.9, nesterov=True, weight_decay=0.3),
        keras.optimizers.SGD(1e-2, momentum=0.9, nesterov=True, **DECAY),
    ),
    "adam is clipped": (OptimizerSpec("adam", 1e-2, clip_norm=2.0), keras.optimizers.Adam(1e-2, **CLIP)),
    "sgd is clipped": (OptimizerSpec("sgd", 1e-2, clip_norm=2.0), keras.optimizers.SGD(1e-2, **CLIP)),
    "all at once": (
        OptimizerSpec("amsgrad", 1e-2, weight_decay=0.3, clip_norm=2.0),
        keras.optimizers.AdamW(1e-2, amsgrad=True, **DECAY, **CLIP),
    ),
}
SHAPES = {"kernel": (3, 3, 2, 4), "bias": (4,), "gamma": (4,)}


def _weights():
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape), name=name) for name, shape in SHAPES.items()]


def _gradients(steps):
    """Gradients whose scale falls, so that AMSGrad's maximum matters and only the first are clipped."""
    rng = np.random.default_rng(1)
    return [
        [tf.constant(rng.normal(size=shape) / (1 + step), tf.float32) for shape in SHAPES.values()]
        for step in range(steps)
    ]


def _follow(optimizer, steps=100):
    weights = _weights()
    for gradients in _gradients(steps):
        optimizer.apply(gradients, weights)
    return [weight.numpy() for weight in weights]


def _stock(name):
    optimizer = type(STOCK[name][1]).from_config(STOCK[name][1].get_config())
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma"])
    return optimizer


@pytest.mark.parametrize("name", STOCK)
def test_a_hundred_fused_steps_equal_those_of_stock_keras(name):
    for ours, theirs in zip(_follow(make_optimizer(STOCK[name][0])), _follow(_stock(name)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in STOCK if "decays" in name or "at once" in name])
def test_the_steps_that_xla_compiles_decay_and_clip_too(name):
    spec = replace(STOCK[name][0], name="amsgrad", momentum=0, nesterov=False)
    ours = make_optimizer(spec, xla=True)
    assert isinstance(ours, SpeltAdam)
    np.testing.assert_allclose(_follow(ours)[0], _follow(make_optimizer(spec))[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["adam decays", "sgd is clipped", "nesterov"])
def test_a_setting_matters(name):
    plain = replace(STOCK[name][0], weight_decay=0.0, clip_norm=None, nesterov=False)
    assert not np.allclose(_follow(make_optimizer(plain))[0], _follow(make_optimizer(STOCK[name][0]))[0])


def test_only_kernels_decay():
    weights = _weights()
    before = [weight.numpy() for weight in weights]
    make_optimizer(OptimizerSpec("sgd", 0.1, weight_decay=0.5)).apply(
        [tf.zeros(w.shape) for w in weights], weights
    )
    np.testing.assert_allclose(weights[0], before[0] * 0.95, rtol=1e-6)
    np.testing.assert_array_equal(weights[1], before[1])
    np.testing.assert_array_equal(weights[2], before[2])


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize(
    "spec",
    [
        OptimizerSpec("amsgrad", 1e-2, weight_decay=0.3, transferred_rate=0.1),
        OptimizerSpec("sgd", 1e-2, 0.9, weight_decay=0.3, transferred_rate=0.1),
    ],
    ids=["amsgrad", "sgd"],
)
def test_slower_weights_move_as_under_a_smaller_rate(spec, xla):
    """Each of the two follows an optimizer of its own, as without a norm over both."""
    weights, optimizer = _weights(), make_optimizer(spec, xla)
    optimizer.slow_down([weights[0]])
    optimizer.build(weights)
    reset_optimizer(optimizer, spec)
    for gradients in _gradients(20):
        optimizer.apply(gradients, weights)
    slow = _follow(make_optimizer(replace(spec, learning_rate=1e-3), xla), 20)
    fast = _follow(make_optimizer(spec, xla), 20)
    np.testing.assert_allclose(weights[0], slow[0], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(weights[1], fast[1], rtol=1e-5, atol=1e-7)


def test_amsgrad_differs_from_adam():
    (adam, _), (amsgrad, _) = STOCK["adam"], STOCK["amsgrad"]
    assert not np.allclose(_follow(make_optimizer(adam))[0], _follow(make_optimizer(amsgrad))[0])


@pytest.mark.parametrize("name", STOCK)
def test_a_reset_optimizer_steps_like_a_new_one(name):
    spec = STOCK[name][0]
    used, weights = make_optimizer(spec), _weights()
    starts = [weight.numpy() for weight in weights]
    for _ in range(2):
        for weight, start in zip(weights, starts, strict=True):
            weight.assign(start)
        if used.built:
            reset_optimizer(used, spec)
        for gradients in _gradients(5):
            used.apply(gradients, weights)
    np.testing.assert_array_equal(weights[0].numpy(), _follow(make_optimizer(spec), 5)[0])


CHANGES = [
    (OptimizerSpec("sgd", 1e-2, 0.9), OptimizerSpec("sgd", 1e-3, 0.5)),
    (OptimizerSpec("adam", 1e-2, weight_decay=0.1), OptimizerSpec("adam", 1e-3, weight_decay=0.4)),
    (OptimizerSpec("adam", 1e-2, clip_norm=9.0), OptimizerSpec("adam", 1e-3, clip_norm=0.5)),
]


@pytest.mark.parametrize(("first", "second"), CHANGES)
def test_a_reset_takes_new_settings_into_a_step_traced_already(first, second):
    optimizer, weights = make_optimizer(first), _weights()
    optimizer.build(weights)
    starts = [weight.numpy() for weight in weights]
    step = tf.function(lambda *gradients: optimizer.apply(gradients, weights), autograph=False)
    step(*_gradients(1)[0])
    for weight, start in zip(weights, starts, strict=True):
        weight.assign(start)
    reset_optimizer(optimizer, second)
    for gradients in _gradients(5):
        step(*gradients)
    assert step.experimental_get_tracing_count() == 1
    np.testing.assert_allclose(weights[0], _follow(make_optimizer(second), 5)[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (OptimizerSpec("sgd", 0.1, 0.5), r"momentum: cannot change from 0\.0 to 0\.5"),
        (OptimizerSpec("sgd", 0.1, weight_decay=0.5), r"weight_decay: cannot change from 0\.0 to 0\.5"),
        (OptimizerSpec("sgd", 0.1, clip_norm=1), r"clip_norm: cannot change from 0\.0 to 1\.0"),
    ],
)
def test_a_setting_cannot_appear_in_a_built_optimizer(spec, message):
    optimizer = FusedSGD(0.1)
    optimizer.build(_weights())
    with pytest.raises(ModelError, match=message):
        optimizer.adopt(spec)


def test_steps_are_shared_by_all_rates_and_momenta_of_a_kind():
    first, second = OptimizerSpec("sgd", 0.1, 0.5), OptimizerSpec("sgd", 0.2, 0.9)
    assert structure_of(first) == structure_of(second) != structure_of(OptimizerSpec("sgd", 0.1))


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ModelError, match="optimizer: a known name is needed, but got 'lion'"):
        make_optimizer(OptimizerSpec("lion", 0.1))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, while it saves
@pytest.mark.parametrize(
    "optimizer", [FusedAdam(1e-2, amsgrad=True, weight_decay=0.1), FusedSGD(1e-2, momentum=0.9)]
)
def test_a_compiled_model_is_saved_with_the_state_of_its_optimizer(optimizer, tmp_path):
    x, y = np.random.default_rng(0).normal(size=(2, 8, 1))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    model.fit(x, y, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for network in (model, loaded):
        network.train_on_batch(x, y)
    np.testing.assert_array_equal(model.get_weights()[0], loaded.get_weights()[0])
