"""Training of one fold after another on compiled networks that stay warm."""

from __future__ import annotations

import gc
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from models.compiled import CompiledModel, out_of_memory_named
from models.curves import probability
from models.errors import ModelError, NonFiniteLoss
from models.optimizers import structure_of
from models.registry import check, check_optimizer
from models.samples import DoubleArray, FloatArray, IntArray, Samples, batches, check_finite
from models.seeding import streams
from models.spec import ModelSpec, OptimizerSpec, TrainingSpec
from models.watch import Watch

__all__ = ["Fitted", "Samples", "Trainer"]

KEPT = 2

Augment = Callable[[np.random.Generator], FloatArray]
OnEpoch = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Fitted:
    """A trained network, until its trainer begins the next fit on the same compiled network.

    Attributes:
        history: One value an epoch: "loss" (mean over the epoch's batches); with stop samples also
            "stop_loss" and, where they hold both classes, "stop_roc_auc".
        best_epoch: 1-based; the epoch whose weights the network has.
        parameters: Number of weights, batch-norm statistics included.
        trainable_parameters: Number of weights that training moves.
    """

    history: dict[str, list[float]]
    best_epoch: int
    parameters: int
    trainable_parameters: int
    _compiled: CompiledModel = field(repr=False)
    _fit: int = field(repr=False)

    @property
    def model(self) -> keras.Model:
        """The Keras model, patches (batch, h, w, channels) to probabilities (batch, 1); not a copy.

        Raises:
            ModelError: The trainer has begun another fit on the same network.
        """
        return self._current().model

    def predict(self, x: FloatArray) -> DoubleArray:
        """Probabilities (n,) of patches (n, h, w, channels), in inference mode.

        Raises:
            ModelError: The trainer has begun another fit on the same network, or a patch is not finite.
            NonFiniteLoss: An output is not finite.
            OutOfMemory: The device has too little memory.
        """
        check_finite(x)
        logit = self._current().logits(x)
        if not np.isfinite(logit).all():
            raise NonFiniteLoss("the trained network's output is not finite")
        return probability(logit)

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


class Trainer:
    """Trains fold after fold and keeps the compiled networks of the last structures used.

    A structure is what a compiled step depends on: the model's spec, the optimizer's name, and whether it has
    momentum. Folds and trials of one structure compile nothing after the first, and each fit begins exactly
    as in a new process.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._compiled: OrderedDict[tuple[ModelSpec, tuple[str, bool]], CompiledModel] = OrderedDict()

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
            training: Epochs, batch size, seed and patience.
            fit: Samples to train on.
            stop: Samples whose loss is recorded and, if there is a patience, decides when to stop and which
                epoch's weights are kept; without, the last epoch's are.
            augment: Gives an epoch's patches for all rows of `fit`; drawn anew for each epoch.
            on_epoch: Receives {"epoch": 1-based, "loss", "stop_loss", "stop_roc_auc"} after each epoch, the
                latter two as far as they are defined; what it raises ends the fit.

        Raises:
            ModelError: A name or setting is wrong.
            NotBuildable: The network does not take patches of this size.
            NonFiniteLoss: A loss or a weight became NaN or infinite.
            OutOfMemory: The device or machine has too little memory.
        """
        compiled = self._ready(check(model), check_optimizer(optimizer), training.seed)
        random = streams(training.seed)
        watch = Watch(compiled, stop, training.patience)
        for epoch in range(1, training.epochs + 1):
            x = fit.x if augment is None else augment(random.augmentation)
            order = random.shuffling.permutation(len(fit.y))
            seen = watch.record(epoch, _run_epoch(compiled, x, fit.y, batches(order, training.batch_size)))
            if on_epoch is not None:
                on_epoch(seen)
            if watch.is_over:
                break
        watch.restore_best()
        trained = compiled.model
        return Fitted(
            history=watch.history,
            best_epoch=watch.best_epoch,
            parameters=trained.count_params(),
            trainable_parameters=sum(math.prod(weight.shape) for weight in trained.trainable_variables),
            _compiled=compiled,
            _fit=compiled.fits,
        )

    def _ready(self, model: ModelSpec, optimizer: OptimizerSpec, seed: int) -> CompiledModel:
        structure = (model, structure_of(optimizer))
        with out_of_memory_named():
            if structure not in self._compiled:
                self._make_room()
                self._compiled[structure] = CompiledModel(model, optimizer)
            self._compiled.move_to_end(structure)
            self._compiled[structure].reset(optimizer, seed)
        return self._compiled[structure]

    def _make_room(self) -> None:
        if len(self._compiled) < self._kept:
            return
        while len(self._compiled) >= self._kept:
            self._compiled.popitem(last=False)
        # Keras's registries hold on to dropped models, and clearing them forgets the precision policy too.
        policy = keras.config.dtype_policy()
        keras.backend.clear_session(free_memory=False)
        keras.config.set_dtype_policy(policy)
        gc.collect()


def _run_epoch(compiled: CompiledModel, x: FloatArray, y: FloatArray, parts: list[IntArray]) -> float:
    # Losses stay on the device until the epoch is over, so that no step waits for the one before.
    with out_of_memory_named():
        losses = tf.stack([compiled.step(x[rows], y[rows]) for rows in parts]).numpy()
    return float(np.average(losses.astype(np.float64), weights=[len(rows) for rows in parts]))
