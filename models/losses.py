"""What training minimises: the mean over the targets of a batch that are known."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def loss_of(task: str, outputs: int = 1) -> Loss:
    """The loss of a task, a function of targets and linear outputs.

    Args:
        task: "classification": binary cross-entropy of labels in [0, 1] against log-odds. "regression":
            squared error.
        outputs: How many targets. Of one, both tensors are (batch,) and every target is known; of more, both
            are (batch, outputs), and a target that is NaN takes no part: it adds nothing to the loss, and no
            gradient comes from it.

    >>> two = tf.constant([[1.0, float("nan")], [4.0, 2.0]])
    >>> float(loss_of("regression", 2)(two, tf.zeros((2, 2))))
    7.0
    """
    each = _squared if task == "regression" else _entropy
    if outputs == 1:
        return lambda target, output: tf.reduce_mean(each(target, output))
    return lambda target, output: _mean_of_known(each, target, output)


def _mean_of_known(each: Loss, target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    known = tf.logical_not(tf.math.is_nan(target))
    # NaN is replaced before it is computed with: a gradient of zero times NaN would be NaN.
    losses = each(tf.where(known, target, tf.zeros_like(target)), output)
    total = tf.reduce_sum(tf.where(known, losses, tf.zeros_like(losses)))
    return total / tf.reduce_sum(tf.cast(known, losses.dtype))


def _squared(target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    return tf.math.squared_difference(output, target)


def _entropy(target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=output)
