import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from models.losses import loss_of

TASKS = ("classification", "regression")


def by_hand(task, target, output):
    """Target by target, leaving out those that are NaN."""
    found = []
    for wanted, got in zip(target.ravel().tolist(), output.ravel().tolist(), strict=True):
        if wanted == wanted:
            chance = 1 / (1 + np.exp(-got))
            entropy = -(wanted * np.log(chance) + (1 - wanted) * np.log(1 - chance))
            found.append(entropy if task == "classification" else (got - wanted) ** 2)
    return sum(found) / len(found)


def batch(seed, n=7, outputs=3, missing=0.4):
    random = np.random.default_rng(seed)
    target = random.integers(0, 2, (n, outputs)).astype(np.float32)
    target[random.random((n, outputs)) < missing] = np.nan
    target[0, 0] = 1
    return target, random.normal(size=(n, outputs)).astype(np.float32)


def value_and_gradient(task, target, output):
    output = tf.constant(output)
    with tf.GradientTape() as tape:
        tape.watch(output)
        loss = loss_of(task, 3)(tf.constant(target), output)
    return float(loss), tape.gradient(loss, output).numpy()


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16))
def test_the_loss_is_the_mean_over_the_known_targets(task, seed):
    target, output = batch(seed)
    assert value_and_gradient(task, target, output)[0] == pytest.approx(
        by_hand(task, target, output), rel=1e-5
    )


@pytest.mark.parametrize("task", TASKS)
def test_no_gradient_comes_from_a_target_that_is_not_known(task):
    target, output = batch(0)
    _, gradient = value_and_gradient(task, target, output)
    np.testing.assert_array_equal(gradient[np.isnan(target)], 0.0)
    known = ~np.isnan(target)
    derivative = 1 / (1 + np.exp(-output)) - target if task == "classification" else 2 * (output - target)
    np.testing.assert_allclose(gradient[known], derivative[known] / known.sum(), rtol=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_extreme_outputs_of_targets_that_are_not_known_do_no_harm(task):
    target, output = batch(0)
    plain = value_and_gradient(task, target, output)
    output[np.isnan(target)] = -3e38
    loss, gradient = value_and_gradient(task, target, output)
    assert loss == plain[0]
    np.testing.assert_array_equal(gradient, plain[1])


@pytest.mark.parametrize(
    ("task", "theirs"),
    [
        ("classification", keras.losses.BinaryCrossentropy(from_logits=True)),
        ("regression", keras.losses.MeanSquaredError()),
    ],
)
def test_complete_targets_have_the_loss_of_keras(task, theirs):
    target, output = batch(1, missing=0)
    assert value_and_gradient(task, target, output)[0] == pytest.approx(
        float(theirs(target, output)), rel=1e-5
    )
    one = float(loss_of(task)(tf.constant(target[:, 0]), tf.constant(output[:, 0])))
    assert one == pytest.approx(float(theirs(target[:, :1], output[:, :1])), rel=1e-5)
