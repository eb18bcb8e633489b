"""One network with its optimizer and its compiled training step, used for many fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from models.build import build_model
from models.errors import OutOfMemory
from models.heads import LOGIT
from models.optimizers import make_optimizer, reset_optimizer
from models.samples import DoubleArray, FloatArray
from models.seeding import initialise
from models.spec import ModelSpec, OptimizerSpec

CHUNK = 256


class CompiledModel:
    """A model and an optimizer whose steps are traced at most once each.

    A new fit begins with `reset`. Steps take any number of samples; learning rate and momentum are variables.

    Attributes:
        model: Patches (batch, h, w, channels) to probabilities (batch, 1).
        optimizer: Built on the model's trainable weights.
        fits: How many fits have begun; whoever keeps the model for later compares it.
    """

    def __init__(self, spec: ModelSpec, optimizer: OptimizerSpec) -> None:
        self.model = build_model(spec)
        self.optimizer = make_optimizer(optimizer)
        self.optimizer.build(self.model.trainable_variables)
        self.fits = 0
        self._logit = keras.Model(self.model.input, self.model.get_layer(LOGIT).output)
        patches = tf.TensorSpec((None, *spec.input_shape), tf.float32)
        labels = tf.TensorSpec((None,), tf.float32)
        # Autograph would find nothing to rewrite, and XLA takes minutes for a deep network on a CPU.
        self._step = tf.function(self._train, input_signature=(patches, labels), autograph=False)
        self._infer = tf.function(self._evaluate, input_signature=(patches,), autograph=False)
        self._sums = tf.function(self._sum_weights, input_signature=(), autograph=False)

    def reset(self, optimizer: OptimizerSpec, seed: int) -> None:
        """Bring weights, statistics, slots and counter to those of a model newly built under the seed."""
        self.fits += 1
        initialise(self.model, seed)
        reset_optimizer(self.optimizer, optimizer)

    def step(self, x: FloatArray, y: FloatArray) -> tf.Tensor:
        """One optimisation step on one batch; its mean cross-entropy before the step."""
        return self._step(x, y)

    def logits(self, x: FloatArray) -> DoubleArray:
        """The network's output before the sigmoid, in inference mode.

        Args:
            x: Patches (n, h, w, channels), any n.

        Returns:
            Log-odds (n,), float64.

        Raises:
            OutOfMemory: A chunk did not fit.
        """
        with out_of_memory_named():
            chunks = [self._infer(x[start : start + CHUNK]).numpy() for start in range(0, len(x), CHUNK)]
        return np.concatenate([np.empty(0), *chunks])

    def weights_are_finite(self) -> bool:
        """Whether no weight has become NaN or infinite.

        The loss alone does not tell: in a compiled step, a ReLU fused with its convolution turns NaN into 0.
        """
        return bool(np.isfinite(self._sums().numpy()).all())

    def weights(self) -> list[FloatArray]:
        """A copy of every weight, batch-norm statistics included."""
        return [variable.numpy() for variable in self.model.weights]

    def set_weights(self, weights: list[FloatArray]) -> None:
        """Put back what `weights` returned."""
        for variable, value in zip(self.model.weights, weights, strict=True):
            variable.assign(value)

    def _train(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logit = self._logit(x, training=True)[:, 0]
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logit))
        trainable = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, trainable), trainable)
        return loss

    def _evaluate(self, x: tf.Tensor) -> tf.Tensor:
        return self._logit(x, training=False)[:, 0]

    def _sum_weights(self) -> tf.Tensor:
        return tf.stack([tf.reduce_sum(weight) for weight in self.model.weights])


@contextmanager
def out_of_memory_named() -> Iterator[None]:
    """Turn TensorFlow's and Python's exhausted memory into `OutOfMemory`."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        detail = str(error).strip().partition("\n")[0]
        raise OutOfMemory(f"the device or machine ran out of memory: {detail or 'no detail'}") from error
