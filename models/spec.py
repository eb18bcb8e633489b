"""Frozen records that say what to train and how; plain data, no TensorFlow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.errors import ModelError


@dataclass(frozen=True)
class ModelSpec:
    """What a network is, down to its parameter count.

    Attributes:
        architecture: A name in `models.registry.ARCHITECTURES`.
        input_shape: Patch (height, width, channels) in pixels.
        head: Widths of the dense ReLU layers before the sigmoid unit; None takes the architecture's own.

    Raises:
        ModelError: A size is not a positive whole number.
    """

    architecture: str
    input_shape: tuple[int, int, int]
    head: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise ModelError(
                f"input_shape: three positive numbers (height, width, channels) are needed, "
                f"but got {self.input_shape}"
            )
        if self.head and min(self.head) < 1:
            raise ModelError(f"head: widths are positive whole numbers, but got {self.head}")


@dataclass(frozen=True)
class OptimizerSpec:
    """How weights follow gradients.

    Attributes:
        name: A name in `models.registry.OPTIMIZERS`.
        learning_rate: Positive step size.
        momentum: In [0, 1); other optimizers than "sgd" have none and take 0 only.

    Raises:
        ModelError: A number is outside its range.
    """

    name: str
    learning_rate: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ModelError(f"learning_rate: a positive number is needed, but got {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise ModelError(f"momentum: a number from 0 to below 1 is needed, but got {self.momentum}")


PRECISIONS = ("float32", "mixed_bfloat16")


@dataclass(frozen=True)
class ComputeSpec:
    """How the arithmetic of every training of one process is done.

    Attributes:
        precision: "float32", or "mixed_bfloat16": products in bfloat16, weights and statistics in float32.
        xla: Whether steps are compiled by XLA, anew for each patch and batch size.
        deterministic: Whether TensorFlow uses only kernels that give the same bits every time; on a CPU they
            do anyway, on a GPU it costs speed, and an operation without such a kernel fails.

    Raises:
        ModelError: The precision is unknown.
    """

    precision: str = "float32"
    xla: bool = False
    deterministic: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise ModelError(f"precision: one of {known} is needed, but got '{self.precision}'")


@dataclass(frozen=True)
class TrainingSpec:
    """How long and in which portions one fold is trained.

    Attributes:
        epochs: Passes over the training samples, at most.
        batch_size: Samples a step; larger than the fold means the whole fold.
        seed: Decides initial weights, shuffling and augmentation.
        patience: Epochs without a better loss on the stop samples before the end; None never stops early.

    Raises:
        ModelError: A number is outside its range.
    """

    epochs: int
    batch_size: int
    seed: int
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("epochs", self.epochs, 1),
            ("batch_size", self.batch_size, 1),
            ("seed", self.seed, 0),
            ("patience", 1 if self.patience is None else self.patience, 1),
        ):
            if value < least:
                raise ModelError(f"{name}: a whole number of at least {least} is needed, but got {value}")
