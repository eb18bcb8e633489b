"""Training of one fold after another on compiled networks that stay warm."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from models.compiled import CompiledModel
from models.curves import probability
from models.errors import ModelError, NonFiniteLoss, OutOfMemory
from models.registry import check, check_optimizer
from models.samples import DoubleArray, FloatArray, IntArray, Samples, batch_cuts, check_finite, smoothed
from models.schedules import make_schedule
from models.seeding import streams
from models.spec import ComputeSpec, ModelSpec, OptimizerSpec, TrainingSpec
from models.warm import WarmNetworks
from models.watch import Watch

__all__ = ["Fitted", "Samples", "Trainer"]

Augment = Callable[[np.random.Generator], FloatArray]
OnEpoch = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Fitted:
    """A trained network, until its trainer begins the next fit on the same compiled network.

    Attributes:
        history: One value an epoch: "loss" (mean over the epoch's known targets of what is optimised: with
            dropout and smoothed labels, where there are) and "learning_rate"; with stop samples also
            "stop_loss" and, in classification where the first target has both classes, its "stop_roc_auc", in
            inference mode and on the labels as they are.
        best_epoch: 1-based; the epoch whose weights the network has.
        parameters: Number of weights, batch-norm statistics included.
        trainable_parameters: Number of weights that training may move.
        dead_parameters: How many of these receive no gradient at this patch size, whatever the data.
    """

    history: dict[str, list[float]]
    best_epoch: int
    parameters: int
    trainable_parameters: int
    dead_parameters: int
    _spec: ModelSpec = field(repr=False)
    _seed: int = field(repr=False)
    _compiled: CompiledModel = field(repr=False)
    _fit: int = field(repr=False)

    @property
    def model(self) -> keras.Model:
        """A Keras model of its own, patches (batch, h, w, channels) to `predict`'s numbers (batch, outputs).

        Raises:
            ModelError: The trainer has begun another fit on the same network.
        """
        return self._current().stock_model(self._spec, self._seed)

    def predict(self, x: FloatArray) -> DoubleArray:
        """Probabilities, or in regression values, of patches (n, h, w, channels), in inference mode.

        Returns:
            Of one output (n,), of more (n, outputs), float64.

        Raises:
            ModelError: The trainer has begun another fit on the same network, or a patch is not finite.
            NonFiniteLoss: An output is not finite.
            OutOfMemory: The device has too little memory.
        """
        check_finite(x)
        output = self._current().logits(x)
        if not np.isfinite(output).all():
            raise NonFiniteLoss("the trained network's output is not finite")
        return output if self._spec.task == "regression" else probability(output)

    def save(self, path: Path) -> None:
        """Write the network as a `.keras` file that loads without this package.

        Raises:
            ModelError: The trainer has begun another fit on the same network.
        """
        partial = path.with_name(f".{path.stem}.partial.keras")
        self.model.save(partial)
        partial.replace(path)

    def _current(self) -> CompiledModel:
        if self._compiled.fits != self._fit:
            raise ModelError("the trained network is gone: predict or save before the trainer's next fit")
        return self._compiled


@dataclass(frozen=True)
class _Job:
    """The arguments of `Trainer.fit`, checked."""

    model: ModelSpec
    optimizer: OptimizerSpec
    training: TrainingSpec
    fit: Samples
    stop: Samples | None
    augment: Augment | None
    on_epoch: OnEpoch | None

    @property
    def cuts(self) -> IntArray:
        """Where the batches of an epoch begin, and the end of the last."""
        return batch_cuts(len(self.fit.y), self.training.batch_size)

    @property
    def is_alone(self) -> bool:
        """Whether every batch is of one sample; batches of one are never mixed with others."""
        return bool((np.diff(self.cuts) == 1).all())


class Trainer:
    """Trains fold after fold on networks that stay compiled (`models.warm`).

    Each fit begins exactly as in a new process.

    Args:
        compute: Precision and compiler; `models.runtime.configure` has set the process up for the same.
        memory_mb: Resident memory past which compiled networks are dropped.
    """

    def __init__(self, compute: ComputeSpec | None = None, memory_mb: float = math.inf) -> None:
        self._warm = WarmNetworks(compute or ComputeSpec(), memory_mb)

    def fit(
        self,
        model: ModelSpec,
        optimizer: OptimizerSpec,
        training: TrainingSpec,
        fit: Samples,
        stop: Samples | None,
        augment: Augment | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> Fitted:
        """Train a network from its seeded initial weights.

        Args:
            model: What to train.
            optimizer: How weights follow gradients.
            training: Epochs and how many of them are gone through, batch size, seed, patience, schedule and
                smoothing of labels.
            fit: Samples to train on; the values of a regression in units in which they have mean 0 and
                standard deviation 1, about which weights are drawn and learning rates chosen.
            stop: Samples whose loss is recorded and, if there is a patience, decides when to stop and which
                epoch's weights are kept; without, the last epoch's are.
            augment: Gives an epoch's patches for all rows of `fit`, from a generator of that epoch's own
                (`models.seeding.Streams.augmentation`).
            on_epoch: Receives {"epoch": 1-based, "loss", "learning_rate", "stop_loss", "stop_roc_auc"} after
                each epoch, the latter two as far as they are defined; what it raises ends the fit.

        Raises:
            ModelError: A name or setting is wrong.
            NotBuildable: The network does not take patches of this size.
            NonFiniteLoss: A loss or a weight became NaN or infinite.
            OutOfMemory: The device or machine has too little memory.
        """
        job = _Job(check(model), _checked(optimizer, model), training, fit, stop, augment, on_epoch)
        _check_targets(job)
        try:
            return self._run(job)
        except OutOfMemory:
            # What other structures hold must not decide whether this one fits.
            if not self._warm.release(job.model, job.optimizer, job.is_alone):
                raise
        return self._run(job)

    def _run(self, job: _Job) -> Fitted:
        model, optimizer, training = job.model, job.optimizer, job.training
        compiled = self._warm.ready(model, optimizer, training.seed, job.is_alone)
        random, schedule, cuts = streams(training.seed), make_schedule(training), job.cuts
        targets, known = smoothed(job.fit.y, training.label_smoothing), job.fit.known
        watch = Watch(compiled, job.stop, training.patience, model.task)
        for epoch in range(1, training.last_epoch + 1):
            rate = optimizer.learning_rate * schedule.factor(epoch)
            compiled.set_learning_rate(rate)
            x = job.fit.x if job.augment is None else job.augment(random.augmentation(epoch))
            order = random.shuffling.permutation(len(targets))
            losses = compiled.epoch(x, targets, order, cuts)
            shares = np.add.reduceat(known[order], cuts[:-1])
            seen = watch.record(epoch, float(np.average(losses, weights=shares)), rate)
            schedule.saw(seen.get("stop_loss", seen["loss"]))
            if job.on_epoch is not None:
                job.on_epoch(seen)
            if watch.is_over:
                break
        watch.restore_best()
        stock = compiled.model
        return Fitted(
            history=watch.history,
            best_epoch=watch.best_epoch,
            parameters=stock.count_params(),
            trainable_parameters=sum(math.prod(weight.shape) for weight in stock.trainable_variables),
            dead_parameters=compiled.dead_parameters(model.input_shape[:2]),
            _spec=model,
            _seed=training.seed,
            _compiled=compiled,
            _fit=compiled.fits,
        )


def _checked(optimizer: OptimizerSpec, model: ModelSpec) -> OptimizerSpec:
    """Refuse settings that would do nothing.

    Raises:
        ModelError: The optimizer is unknown, or has no use for a setting with this model.
    """
    if model.transfer is None and optimizer.transferred_rate != 1:
        raise ModelError(
            f"transferred_rate: only with transferred weights, but got {optimizer.transferred_rate} without"
        )
    return check_optimizer(optimizer)


def _check_targets(job: _Job) -> None:
    """Refuse targets of another shape than the network's output, and classes' settings in regression.

    Raises:
        ModelError: The targets are not as many as the outputs, or the labels of a regression are smoothed.
    """
    smoothing, outputs = job.training.label_smoothing, job.model.outputs
    if job.model.task == "regression" and smoothing:
        raise ModelError(
            f"label_smoothing: 0 is needed in regression, whose targets are no classes, but got {smoothing}"
        )
    for samples in (job.fit, job.stop):
        if samples is not None and samples.y.shape[1:] != job.model.target_shape:
            law = "(n,)" if outputs == 1 else f"(n, {outputs})"
            raise ModelError(
                f"samples: {outputs} output(s) need targets {law}, but got the shape {samples.y.shape}"
            )
