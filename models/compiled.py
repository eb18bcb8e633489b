"""One network with its optimizer and its compiled training step, used for many fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.build import build_model, open_model
from models.errors import ModelError, OutOfMemory
from models.heads import LOGIT
from models.losses import loss_of
from models.lowering import lower
from models.optimizers import make_optimizer, reset_optimizer
from models.reach import Reach
from models.samples import DoubleArray, FloatArray, IntArray
from models.seeding import initialise
from models.spec import ModelSpec, OptimizerSpec
from models.transfer import transfer, transferred

CHUNK = 256
_FLOATS = ("float16", "bfloat16", "float32", "float64")


class CompiledModel:
    """A network and an optimizer whose steps are traced at most once each.

    A new fit begins with `reset`. Steps take any number of samples; the settings of the optimizer, the rate
    of dropout and the weights that a transfer begins with are variables. Patches may have any size of which
    the same convolutions see one pixel alone (see `takes`).

    Args:
        spec: The network, for patches of one size.
        optimizer: What the steps update the weights with.
        xla: Whether XLA compiles the steps.
        alone: Whether every step is on a single sample, by which batch normalisation then goes in its own way
            (`models.views.LoneBatchNormalization`).

    Attributes:
        model: The stock Keras network, for patches of any size unless it is a custom one; its weights are the
            trained ones, but for the convolutions that `lowered` trains at their centre alone.
        lowered: What the steps run.
        optimizer: Built on the weights that training moves.
        fits: How many fits have begun; whoever keeps the network for later compares it.
    """

    def __init__(
        self, spec: ModelSpec, optimizer: OptimizerSpec, xla: bool = False, alone: bool = False
    ) -> None:
        self.model = open_model(spec)
        self._spec = spec
        # Decay moves taps that no gradient reaches. Of a custom network, all weights are taken as they are.
        self._centring = not optimizer.weight_decay and spec.custom is None
        self._reach = Reach(self.model)
        self._centred = self._centres(spec.input_shape[:2])
        self.lowered = lower(self.model, LOGIT, self._centred, alone)
        self.optimizer = make_optimizer(optimizer, xla)
        if spec.transfer is not None:
            self.optimizer.slow_down(self.lowered.standing_for(transferred(self.model)))
        self.optimizer.build(self.lowered.trainable)
        self.fits = 0
        patches = tf.TensorSpec(self.model.input.shape, tf.float32)
        self._loss = loss_of(spec.task, spec.outputs)
        targets, rows = (
            tf.TensorSpec((None, *spec.target_shape), tf.float32),
            tf.TensorSpec((None,), tf.int64),
        )
        self._step = _traced(self._train, (patches, targets), xla)
        self._epoch = _traced(self._run_epoch, (patches, targets, rows, rows), False)
        self._infer = _traced(self._evaluate, (patches,), xla)
        self._sums = _traced(self._sum_weights, (), False)

    def takes(self, size: tuple[int, int]) -> bool:
        """Whether the traced steps are those that patches (height, width) would get in a fresh network.

        Only then does a training give the same numbers whatever sizes the network was used for before.
        """
        return self._reach.takes(size) and self._centres(size) == self._centred

    def stock_model(self, spec: ModelSpec, seed: int) -> keras.Model:
        """A stock Keras model of its own with the trained weights, for patches of one size.

        Args:
            spec: This network's, at that size.
            seed: Of the last reset; weights out of reach of the patches are still those drawn then.
        """
        model = build_model(spec, seed) if spec.custom is None else open_model(spec)
        self.lowered.copy_to(model)
        return model

    def dead_parameters(self, size: tuple[int, int]) -> int:
        """How many trainable weights patches (height, width) leave without a gradient, whatever the data."""
        return self._reach.dead_parameters(size)

    def reset(self, optimizer: OptimizerSpec, seed: int, spec: ModelSpec | None = None) -> None:
        """Bring weights, statistics, slots, counter and generators to those of a network newly built.

        Args:
            optimizer: Of the structure that the network was made with.
            seed: Decides the weights that are drawn, and what dropout draws.
            spec: Of that structure too, with its rate of dropout and its transferred weights; None for the
                one that the network was made with.

        Raises:
            ModelError: The weights to transfer cannot be had, or do not fit.
        """
        spec = spec or self._spec
        self.fits += 1
        initialise(self.model, seed, None if spec.custom is None else lambda: open_model(spec))
        transfer(self.model, spec)
        self.lowered.load()
        self.lowered.set_dropout(spec.dropout)
        reset_optimizer(self.optimizer, optimizer)

    def set_learning_rate(self, rate: float) -> None:
        """Train on at another learning rate; a reset sets that of its optimizer again."""
        self.optimizer.learning_rate = rate

    def step(self, x: FloatArray, y: FloatArray) -> tf.Tensor:
        """One optimisation step on one batch; its loss before the step."""
        return self._step(x, y)

    def epoch(self, x: FloatArray, y: FloatArray, order: IntArray, cuts: IntArray) -> DoubleArray:
        """One step on each batch, all inside one graph.

        Args:
            x: Patches (n, h, w, channels).
            y: Labels in [0, 1], of regression values: (n,), of several outputs (n, outputs) with NaN where
                one is not known.
            order: The rows as they are trained on.
            cuts: Where each batch begins in `order`, and the end of the last (batches + 1,).

        Returns:
            The loss of each batch before its step, float64: the mean over its known targets
            (`models.losses`), and what a custom network adds to it (regularisers).

        Raises:
            OutOfMemory: A step did not fit.
        """
        with errors_named():
            return np.asarray(self._epoch(x, y, order, cuts).numpy(), np.float64)

    def logits(self, x: FloatArray) -> DoubleArray:
        """The network's output before the sigmoid, of regression its values, in inference mode.

        Args:
            x: Patches (n, h, w, channels), any n.

        Returns:
            Log-odds or values (n,), of several outputs (n, outputs), float64.

        Raises:
            OutOfMemory: A chunk did not fit.
        """
        with errors_named():
            chunks = [self._infer(x[start : start + CHUNK]).numpy() for start in range(0, len(x), CHUNK)]
        return np.concatenate([np.empty((0, *self._spec.target_shape)), *chunks])

    def weights_are_finite(self) -> bool:
        """Whether no weight has become NaN or infinite.

        The loss alone does not tell: in a compiled step, a ReLU fused with its convolution turns NaN into 0.
        """
        return bool(np.isfinite(self._sums().numpy()).all())

    def weights(self) -> list[FloatArray]:
        """A copy of every weight that training changes, batch-norm statistics included."""
        return [variable.numpy() for variable in self.lowered.variables]

    def set_weights(self, weights: list[FloatArray]) -> None:
        """Put back what `weights` returned."""
        for variable, value in zip(self.lowered.variables, weights, strict=True):
            variable.assign(value)

    def _centres(self, size: tuple[int, int]) -> frozenset[str]:
        """Which convolutions are trained at their centre alone."""
        return self._reach.centred(size) if self._centring else frozenset()

    def _train(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        network = self.lowered.network
        with tf.GradientTape() as tape:
            loss = self._loss(y, self._outputs(network(x, training=True)))
            for penalty in network.losses:
                loss += tf.cast(penalty, loss.dtype)
        gradients = zip(tape.gradient(loss, self.lowered.trainable), self.lowered.trainable, strict=True)
        # A custom network may have weights that its output does not depend on.
        self.optimizer.apply_gradients([pair for pair in gradients if pair[0] is not None])
        return loss

    def _run_epoch(self, x: tf.Tensor, y: tf.Tensor, order: tf.Tensor, cuts: tf.Tensor) -> tf.Tensor:
        """The batches in turn; Python between the steps would cost a tenth of a small step."""
        count = tf.shape(cuts)[0] - 1

        def body(number: tf.Tensor, losses: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            rows = order[cuts[number] : cuts[number + 1]]
            return number + 1, losses.write(number, self._step(tf.gather(x, rows), tf.gather(y, rows)))

        losses = tf.TensorArray(tf.float32, count)
        _, losses = tf.while_loop(lambda number, _: number < count, body, (0, losses), parallel_iterations=1)
        return losses.stack()

    def _evaluate(self, x: tf.Tensor) -> tf.Tensor:
        return self._outputs(self.lowered.network(x, training=False))

    def _outputs(self, units: tf.Tensor) -> tf.Tensor:
        """Of a single unit (batch, 1) its column (batch,)."""
        return units if self._spec.target_shape else units[:, 0]

    def _sum_weights(self) -> tf.Tensor:
        numbers = [variable for variable in self.lowered.variables if variable.dtype in _FLOATS]
        return tf.stack([tf.cast(tf.reduce_sum(variable), tf.float32) for variable in numbers])


def _traced(function: Callable[..., tf.Tensor], signature: tuple[tf.TensorSpec, ...], xla: bool) -> Any:
    """A graph of the function; autograph would find nothing to rewrite in it."""
    return tf.function(function, input_signature=signature, autograph=False, jit_compile=xla or None)


@contextmanager
def errors_named() -> Iterator[None]:
    """Turn exhausted memory into `OutOfMemory`, and TensorFlow's other errors into `ModelError`.

    Among the others is an operation without a deterministic kernel, or one that XLA cannot compile.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise OutOfMemory(f"the device or machine ran out of memory: {_first_line(error)}") from error
    except tf.errors.OpError as error:
        raise ModelError(f"TensorFlow could not run the network: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or "no detail"
