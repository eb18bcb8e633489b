import keras
import numpy as np
import pytest
import tensorflow as tf

from models.build import build_model
from models.compiled import CHUNK, CompiledModel, out_of_memory_named
from models.curves import probability
from models.errors import OutOfMemory
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
        out_of_memory_named(),
    ):
        raise cause


def test_a_weight_that_is_not_a_number_is_found_though_the_output_is(spec):
    compiled = CompiledModel(spec, RATE)
    assert compiled.weights_are_finite()
    kernel = compiled.model.weights[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    assert not compiled.weights_are_finite()
