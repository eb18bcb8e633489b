import keras
import numpy as np
import pytest
import tensorflow as tf

from models.errors import ModelError
from models.optimizers import FusedAdam, FusedSGD, make_optimizer, reset_optimizer, structure_of
from models.spec import OptimizerSpec

STOCK = {
    "adam": (OptimizerSpec("adam", 1e-2), keras.optimizers.Adam(1e-2)),
    "amsgrad": (OptimizerSpec("amsgrad", 1e-2), keras.optimizers.Adam(1e-2, amsgrad=True)),
    "sgd": (OptimizerSpec("sgd", 1e-2), keras.optimizers.SGD(1e-2)),
    "momentum": (OptimizerSpec("sgd", 1e-2, 0.9), keras.optimizers.SGD(1e-2, momentum=0.9)),
}


def _weights():
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape)) for shape in [(3, 3, 2, 4), (4,)]]


def _gradients(steps):
    """Gradients whose scale falls, so that AMSGrad's maximum matters."""
    rng = np.random.default_rng(1)
    return [[rng.normal(size=shape) / (1 + step) for shape in [(3, 3, 2, 4), (4,)]] for step in range(steps)]


def _follow(optimizer, steps=100):
    weights = _weights()
    for gradients in _gradients(steps):
        optimizer.apply([tf.constant(gradient, tf.float32) for gradient in gradients], weights)
    return [weight.numpy() for weight in weights]


@pytest.mark.parametrize("name", STOCK)
def test_a_hundred_fused_steps_equal_those_of_stock_keras(name):
    spec, stock = STOCK[name]
    for ours, theirs in zip(_follow(make_optimizer(spec)), _follow(stock), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_fused_nesterov_equals_stock_keras():
    ours = _follow(FusedSGD(1e-2, momentum=0.9, nesterov=True))
    theirs = _follow(keras.optimizers.SGD(1e-2, momentum=0.9, nesterov=True))
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-6)


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
            used.apply([tf.constant(gradient, tf.float32) for gradient in gradients], weights)
    np.testing.assert_array_equal(weights[0].numpy(), _follow(make_optimizer(spec), 5)[0])


def test_a_reset_takes_new_settings():
    optimizer = make_optimizer(OptimizerSpec("sgd", 1e-2, 0.9))
    optimizer.build(_weights())
    reset_optimizer(optimizer, OptimizerSpec("sgd", 1e-3, 0.5))
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)
    assert optimizer.get_config()["momentum"] == 0.5


def test_momentum_cannot_appear_in_a_built_optimizer():
    optimizer = FusedSGD(0.1)
    optimizer.build(_weights())
    with pytest.raises(ModelError, match=r"momentum: cannot change from 0\.0 to 0\.5"):
        optimizer.set_momentum(0.5)


def test_steps_are_shared_by_all_rates_and_momenta_of_a_kind():
    first, second = OptimizerSpec("sgd", 0.1, 0.5), OptimizerSpec("sgd", 0.2, 0.9)
    assert structure_of(first) == structure_of(second) != structure_of(OptimizerSpec("sgd", 0.1))


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ModelError, match="optimizer: a known name is needed, but got 'lion'"):
        make_optimizer(OptimizerSpec("lion", 0.1))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, while it saves
@pytest.mark.parametrize("optimizer", [FusedAdam(1e-2, amsgrad=True), FusedSGD(1e-2, momentum=0.9)])
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
