import gc
import itertools
import weakref
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.build import build_model
from models.compiled import CHUNK, CompiledModel, errors_named
from models.curves import probability
from models.errors import ModelError, OutOfMemory
from models.spec import ModelSpec, OptimizerSpec

RATE = OptimizerSpec("adam", 1e-3)


@pytest.fixture(scope="module")
def resnet():
    return CompiledModel(ModelSpec("resnet50", (9, 9, 2)), RATE)


@pytest.fixture(scope="module")
def noise():
    rng = np.random.default_rng(0)
    return rng.normal(size=(8, 9, 9, 2)).astype(np.float32), (np.arange(8) % 2).astype(np.float32)


def test_a_reset_network_equals_one_newly_built_weight_for_weight(resnet, noise):
    resnet.reset(RATE, 1)
    for _ in range(2):
        resnet.step(*noise)
    resnet.reset(RATE, 7)
    fresh = build_model(ModelSpec("resnet50", (9, 9, 2)), 7)
    for ours, theirs in zip(resnet.model.weights, fresh.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=theirs.path)


def test_nothing_of_an_earlier_fit_is_left_in_the_optimizer(resnet, noise):
    resnet.reset(RATE, 1)
    resnet.step(*noise)
    assert int(resnet.optimizer.iterations) == 1
    resnet.reset(OptimizerSpec("adam", 0.5), 1)
    rate, *others = sorted(resnet.optimizer.variables, key=lambda variable: variable.name != "learning_rate")
    assert float(rate) == 0.5
    assert not any(variable.numpy().any() for variable in others)


def test_a_fit_repeated_after_a_reset_gives_the_same_weights(resnet, noise):
    results = []
    for _ in range(2):
        resnet.reset(RATE, 3)
        for rows in (slice(0, 5), slice(5, 8)):
            resnet.step(noise[0][rows], noise[1][rows])
        results.append(resnet.weights())
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_step_moves_the_batch_norm_statistics(resnet, noise):
    resnet.reset(RATE, 3)
    resnet.step(*noise)
    mean = next(weight for weight in resnet.model.weights if weight.name == "moving_mean")
    assert mean.numpy().any()


def test_every_batch_size_rate_and_seed_share_one_trace(resnet, noise):
    for size, rate in ((1, 1e-4), (3, 1e-2), (8, 1e-3)):
        resnet.reset(OptimizerSpec("adam", rate), size)
        resnet.step(noise[0][:size], noise[1][:size])
        resnet.logits(noise[0][:size])
    assert resnet._step.experimental_get_tracing_count() == 1
    assert resnet._infer.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("side", [11, 15])
def test_a_radius_with_the_same_maps_of_one_pixel_shares_the_trace(resnet, side):
    """From 9 to 15 pixels, stages 4 and 5 of a ResNet work on one pixel."""
    assert resnet.takes((side, side))
    rng = np.random.default_rng(0)
    resnet.reset(RATE, 0)
    resnet.step(rng.normal(size=(4, side, side, 2)).astype(np.float32), np.array([0, 1, 0, 1], np.float32))
    assert resnet._step.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("side", [7, 17, 33])
def test_a_radius_with_other_maps_of_one_pixel_does_not(resnet, side):
    assert not resnet.takes((side, side))


def test_an_epoch_is_its_steps_in_turn(spec, easy):
    order, cuts = np.random.default_rng(0).permutation(40), np.array([0, 9, 18, 40])
    compiled = CompiledModel(spec, RATE)
    compiled.reset(RATE, 1)
    losses = compiled.epoch(easy.x, easy.y, order, cuts)
    after = compiled.weights()
    compiled.reset(RATE, 1)
    parts = [order[a:b] for a, b in itertools.pairwise(cuts)]
    np.testing.assert_allclose(losses, [float(compiled.step(easy.x[p], easy.y[p])) for p in parts], rtol=1e-6)
    for one, other in zip(after, compiled.weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


SLOWER = [
    pytest.param(spec, marks=pytest.mark.slow)
    for spec in (OptimizerSpec("amsgrad", 1e-3), OptimizerSpec("sgd", 1e-2, 0.9))
]


@pytest.mark.parametrize("optimizer", [RATE, *SLOWER])
def test_steps_compiled_by_xla_equal_the_others(spec, easy, optimizer):
    plain, compiled = CompiledModel(spec, optimizer), CompiledModel(spec, optimizer, xla=True)
    order, cuts = np.arange(40), np.array([0, 20, 40])
    for network in (plain, compiled):
        network.reset(optimizer, 2)
    losses = [network.epoch(easy.x, easy.y, order, cuts) for network in (plain, compiled)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    np.testing.assert_allclose(plain.logits(easy.x), compiled.logits(easy.x), rtol=1e-2, atol=1e-4)


def test_a_dropped_network_leaves_no_graph_behind(spec, easy):
    compiled = CompiledModel(spec, RATE)
    compiled.epoch(easy.x, easy.y, np.arange(40), np.array([0, 40]))
    compiled.logits(easy.x)
    functions = (compiled._step, compiled._epoch, compiled._infer)
    graphs = [weakref.ref(function.get_concrete_function().graph) for function in functions]
    assert all(graph() is not None for graph in graphs)
    del compiled, functions
    keras.backend.clear_session(free_memory=False)
    gc.collect()
    assert [graph() for graph in graphs] == [None, None, None]


def test_steps_equal_those_of_a_plain_keras_loop(spec, easy):
    ours = CompiledModel(spec, RATE)
    ours.reset(RATE, 4)
    theirs = build_model(spec, 4)
    theirs.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    for start in range(0, 40, 8):
        rows = slice(start, start + 8)
        loss = float(ours.step(easy.x[rows], easy.y[rows]))
        assert loss == pytest.approx(theirs.train_on_batch(easy.x[rows], easy.y[rows, None]), rel=1e-4)
    for mine, stock in zip(ours.model.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), stock.numpy(), rtol=1e-2, atol=2e-5)


@pytest.mark.parametrize(
    ("more", "loss"),
    [({"task": "regression"}, "mse"), ({"outputs": 3}, "binary_crossentropy")],
    ids=["a value", "three labels"],
)
def test_steps_of_other_heads_equal_those_of_a_plain_keras_loop(spec, easy, more, loss):
    wanted = replace(spec, **more)
    y = np.column_stack([easy.y, 1 - easy.y, np.roll(easy.y, 1)])[:, : wanted.outputs]
    ours, theirs = CompiledModel(wanted, RATE), build_model(wanted, 4)
    ours.reset(RATE, 4)
    theirs.compile(keras.optimizers.Adam(1e-3), loss)
    for start in range(0, 40, 20):
        rows = slice(start, start + 20)
        mine = float(ours.step(easy.x[rows], y[rows] if wanted.outputs > 1 else y[rows, 0]))
        assert mine == pytest.approx(theirs.train_on_batch(easy.x[rows], y[rows]), rel=1e-4)
    for mine, stock in zip(ours.model.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), stock.numpy(), rtol=1e-2, atol=2e-5)
    assert ours.logits(np.empty((0, 5, 5, 2), np.float32)).shape == (0, *y.shape[1:][: wanted.outputs > 1])


def test_inference_in_chunks_equals_inference_at_once(spec):
    compiled = CompiledModel(spec, RATE)
    x = np.random.default_rng(0).normal(size=(CHUNK + 3, 5, 5, 2)).astype(np.float32)
    expected = compiled.model(x, training=False)[:, 0]
    np.testing.assert_allclose(probability(compiled.logits(x)), expected, rtol=1e-5)


def test_no_patches_have_no_logits(spec):
    assert CompiledModel(spec, RATE).logits(np.empty((0, 5, 5, 2), np.float32)).shape == (0,)


def test_weights_put_back_are_those_taken(spec):
    compiled = CompiledModel(spec, RATE)
    taken = compiled.weights()
    compiled.reset(RATE, 99)
    compiled.set_weights(taken)
    np.testing.assert_array_equal(compiled.weights()[0], taken[0])


@pytest.mark.parametrize(
    "cause", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore lines")]
)
def test_exhausted_memory_has_one_name_and_one_line(cause):
    with (
        pytest.raises(
            OutOfMemory, match=r"^the device or machine ran out of memory: (no detail|OOM when allocating)$"
        ),
        errors_named(),
    ):
        raise cause


def test_what_tensorflow_cannot_run_is_a_failure_with_one_line():
    with (
        pytest.raises(ModelError, match=r"^TensorFlow could not run the network: no such kernel$"),
        errors_named(),
    ):
        raise tf.errors.UnimplementedError(None, None, "no such kernel\nmore lines")


def test_a_weight_that_is_not_a_number_is_found_though_the_output_is(spec):
    compiled = CompiledModel(spec, RATE)
    assert compiled.weights_are_finite()
    kernel = compiled.model.weights[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    assert not compiled.weights_are_finite()


def _fitted(compiled, optimizer, spec, samples, seed=3):
    compiled.reset(optimizer, seed, spec)
    compiled.epoch(samples.x, samples.y, np.arange(40), np.arange(0, 41, 10))
    return compiled.weights()


def _same(first, second):
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_rate_of_dropout_shares_one_trace_and_the_masks_of_a_seed(spec, easy):
    low, high = replace(spec, dropout=0.2), replace(spec, dropout=0.7)
    compiled = CompiledModel(low, RATE)
    results = [_fitted(compiled, RATE, each, easy) for each in (low, high, low)]
    assert compiled._step.experimental_get_tracing_count() == 1
    _same(results[0], results[2])
    _same(results[1], _fitted(CompiledModel(high, RATE), RATE, high, easy))
    assert (results[0][0] != results[1][0]).any()


@pytest.mark.parametrize("name", ["normed", "random"])
def test_a_custom_network_that_was_trained_before_equals_a_fresh_one(custom, easy, name):
    spec = custom(name, 5)
    compiled = CompiledModel(spec, RATE)
    results = [_fitted(compiled, RATE, spec, easy, seed) for seed in (3, 4, 3)]
    _same(results[0], results[2])
    assert (results[0][0] != results[1][0]).any()
    _same(results[0], _fitted(CompiledModel(spec, RATE), RATE, spec, easy))
    assert compiled._step.experimental_get_tracing_count() == 1


def test_a_custom_network_keeps_its_size_and_gives_a_stock_model(custom, easy):
    spec = custom("normed", 5)
    compiled = CompiledModel(spec, RATE)
    assert compiled.takes((5, 5))
    assert not compiled.takes((7, 7))
    assert compiled.dead_parameters((5, 5)) > 0
    _fitted(compiled, RATE, spec, easy)
    stock = compiled.stock_model(spec, 3)
    _same(stock.get_weights(), compiled.model.get_weights())
    np.testing.assert_allclose(stock(easy.x)[:, 0], probability(compiled.logits(easy.x)), rtol=1e-4)


def _custom_network(x):
    """Stands for `open_model`: a weight that the output does not depend on, and a regulariser."""
    patch = keras.Input((5, 5, 2))
    hidden = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.1))(patch)
    hidden = keras.layers.Lambda(tf.stop_gradient)(hidden) if x == "unused" else hidden
    hidden = keras.layers.GlobalAveragePooling2D()(hidden)
    return keras.Model(patch, keras.layers.Dense(1, name="logit")(hidden))


@pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning")  # Keras's own loop
@pytest.mark.parametrize("kind", ["used", "unused"])
def test_steps_of_a_custom_network_minimise_what_keras_would(custom, easy, monkeypatch, kind):
    theirs = _custom_network(kind)
    monkeypatch.setattr("models.compiled.open_model", lambda spec: _custom_network(kind))
    spec = custom("normed", 5)
    compiled = CompiledModel(spec, RATE)
    compiled.reset(RATE, 3)
    theirs.set_weights(compiled.model.get_weights())
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    # Eagerly: as a graph, Keras now and then reads the weights of the unused layer after their update.
    theirs.compile(keras.optimizers.Adam(1e-3), loss, run_eagerly=True)
    for _ in range(3):
        expected = theirs.train_on_batch(easy.x, easy.y[:, None])
        assert float(compiled.step(easy.x, easy.y)) == pytest.approx(expected, rel=1e-4)


def test_a_weight_without_a_gradient_stays_and_the_others_move(custom, easy, monkeypatch):
    def build(_):
        patch = keras.Input((5, 5, 2))
        still = keras.layers.Dense(3, name="still")(patch)
        hidden = keras.layers.Add()([keras.layers.Dense(3)(patch), keras.ops.stop_gradient(still)])
        hidden = keras.layers.GlobalAveragePooling2D()(hidden)
        return keras.Model(patch, keras.layers.Dense(1, name="logit")(hidden))

    monkeypatch.setattr("models.compiled.open_model", build)
    optimizer = OptimizerSpec("adam", 1e-3, clip_norm=1.0)
    compiled = CompiledModel(custom("normed", 5), optimizer)
    compiled.reset(optimizer, 3)
    before = compiled.model.get_layer("still").get_weights()
    weights = compiled.weights()
    compiled.step(easy.x, easy.y)
    _same(before, compiled.model.get_layer("still").get_weights())
    assert sum((a != b).any() for a, b in zip(weights, compiled.weights(), strict=True)) >= 3


def test_decay_moves_the_weights_that_no_patch_reaches(noise):
    """As in stock Keras, by the factor that is left after so many steps."""
    optimizer, spec = OptimizerSpec("sgd", 0.1, weight_decay=0.5), ModelSpec("small_cnn", (1, 1, 2))
    compiled = CompiledModel(spec, optimizer)
    compiled.reset(optimizer, 3)
    drawn = compiled.model.get_layer("conv2").kernel.numpy()
    for _ in range(4):
        compiled.step(noise[0][:, :1, :1], noise[1])
    kernel = compiled.stock_model(spec, 3).get_layer("conv2").kernel.numpy()
    np.testing.assert_allclose(kernel[0, 0], drawn[0, 0] * 0.95**4, rtol=1e-5)
    assert not np.allclose(kernel[1, 1], drawn[1, 1] * 0.95**4, rtol=1e-3)
    assert compiled.takes((9, 9))


def test_another_learning_rate_takes_hold_in_the_next_step(spec, easy):
    slow = OptimizerSpec("sgd", 1e-3)
    compiled = CompiledModel(spec, slow)
    moved = []
    for factor in (1.0, 3.0):
        compiled.reset(slow, 3)
        before = compiled.weights()
        compiled.set_learning_rate(1e-3 * factor)
        compiled.step(easy.x, easy.y)
        moved.append(compiled.weights()[0] - before[0])
    np.testing.assert_allclose(moved[1], 3 * moved[0], rtol=1e-2, atol=1e-6)


def test_a_weight_of_whole_numbers_is_kept_and_not_asked_whether_it_is_finite(spec):
    compiled = CompiledModel(spec, RATE)
    compiled.lowered.variables.append(keras.Variable([3], dtype="int64"))
    assert compiled.weights_are_finite()
    assert compiled.weights()[-1].tolist() == [3]
