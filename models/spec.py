"""Frozen records that say what to train and how; plain data, no TensorFlow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.errors import ModelError

Setting = str | int | float

TASKS = ("classification", "regression")
STEMS = ("paper", "small", "resize")
STAGES = 5  # of a deep network: its stem, and four stacks of blocks


@dataclass(frozen=True)
class TransferSpec:
    """Weights that a backbone starts from.

    Attributes:
        weights: "imagenet", or the path of a file of weights.
        trainable_stages: How many of the `STAGES` train, from the last one back; the others stay frozen,
            batch normalisation included. 0 trains the head alone, and a stem that replaces the stock one.

    Raises:
        ModelError: There is no weights' name, or not as many stages.
    """

    weights: str
    trainable_stages: int = STAGES

    def __post_init__(self) -> None:
        if not self.weights:
            raise ModelError("weights: 'imagenet' or a path is needed, but got an empty name")
        if not 0 <= self.trainable_stages <= STAGES:
            raise ModelError(
                f"trainable_stages: a whole number from 0 to {STAGES} is needed, "
                f"but got {self.trainable_stages}"
            )


@dataclass(frozen=True)
class CustomSpec:
    """An architecture that is not ours: a user's function, or a KerasTuner hypermodel.

    Attributes:
        kind: "function" or "hypermodel".
        source: `module:name` of an installed module, or `/path/to/file.py:name`.
        params: What a function is called with besides the input shape, or the values of a hypermodel's
            hyperparameters; sorted by name.
        arguments: What a hypermodel's class is constructed with; sorted by name.
    """

    kind: str
    source: str
    params: tuple[tuple[str, Setting], ...] = ()
    arguments: tuple[tuple[str, Setting], ...] = ()


@dataclass(frozen=True)
class ModelSpec:
    """What a network is, down to its parameter count.

    Attributes:
        architecture: A name in `models.registry.ARCHITECTURES`, or the name of `custom`.
        input_shape: Patch (height, width, channels) in pixels.
        head: Widths of the dense ReLU layers before the last one; None takes the architecture's own.
        dropout: Share of the features that the head drops before each dense layer, in [0, 1).
        stem: How a small patch meets a deep network: "paper" (the Keras network as it is), "small" (3x3,
            stride 1, no pooling) or "resize" (interpolated to `resize_to` pixels first).
        resize_to: Side in pixels; only with that stem.
        transfer: Where the backbone's weights come from; None draws them.
        custom: The architecture itself where it is not one of the registry's.
        outputs: How many targets are predicted at once, each by a unit of its own on the same features.
        task: "classification" (targets 0 and 1, a sigmoid a unit) or "regression" (numbers, linear units).

    Raises:
        ModelError: A number is outside its range, or a stem or task is unknown.
    """

    architecture: str
    input_shape: tuple[int, int, int]
    head: tuple[int, ...] | None = None
    dropout: float = 0.0
    stem: str = "paper"
    resize_to: int | None = None
    transfer: TransferSpec | None = None
    custom: CustomSpec | None = None
    outputs: int = 1
    task: str = "classification"

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise ModelError(
                f"input_shape: three positive numbers (height, width, channels) are needed, "
                f"but got {self.input_shape}"
            )
        if self.head and min(self.head) < 1:
            raise ModelError(f"head: widths are positive whole numbers, but got {self.head}")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout: a number from 0 to below 1 is needed, but got {self.dropout}")
        if self.stem not in STEMS:
            raise ModelError(f"stem: one of {', '.join(STEMS)} is needed, but got '{self.stem}'")
        if (self.stem == "resize") != (self.resize_to is not None) or (self.resize_to or 1) < 1:
            raise ModelError(
                f"resize_to: the stem 'resize' needs a positive side, others none, but stem '{self.stem}' "
                f"got {self.resize_to}"
            )
        if self.outputs < 1:
            raise ModelError(f"outputs: a whole number of at least 1 is needed, but got {self.outputs}")
        _check_task(self.task)

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Of one sample's targets and of what is predicted of it: (), or (outputs,) of several."""
        return () if self.outputs == 1 else (self.outputs,)


@dataclass(frozen=True)
class OptimizerSpec:
    """How weights follow gradients.

    Attributes:
        name: A name in `models.registry.OPTIMIZERS`.
        learning_rate: Positive step size at the start.
        momentum: In [0, 1); other optimizers than "sgd" have none and take 0 only.
        nesterov: Whether the momentum looks ahead; needs a momentum.
        weight_decay: Decoupled: each step takes `learning_rate * weight_decay` of every kernel away, biases
            and normalisations excepted. 0 for none.
        clip_norm: Largest global norm of the gradient; None for no limit.
        transferred_rate: Factor on the learning rate of weights that were transferred (`TransferSpec`).

    Raises:
        ModelError: A number is outside its range.
    """

    name: str
    learning_rate: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    clip_norm: float | None = None
    transferred_rate: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (
            ("learning_rate", self.learning_rate),
            ("clip_norm", 1.0 if self.clip_norm is None else self.clip_norm),
            ("transferred_rate", self.transferred_rate),
        ):
            if not (math.isfinite(value) and value > 0):
                raise ModelError(f"{name}: a positive number is needed, but got {value}")
        if not 0 <= self.momentum < 1:
            raise ModelError(f"momentum: a number from 0 to below 1 is needed, but got {self.momentum}")
        if self.nesterov and not self.momentum:
            raise ModelError("nesterov: a momentum above 0 is needed, but got 0")
        if not 0 <= self.learning_rate * self.weight_decay < 1:
            raise ModelError(
                f"weight_decay: learning_rate * weight_decay must lie in [0, 1), but got "
                f"{self.learning_rate} * {self.weight_decay}"
            )


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


SCHEDULES = ("constant", "cosine", "plateau")


@dataclass(frozen=True)
class TrainingSpec:
    """How long and in which portions one fold is trained.

    Attributes:
        epochs: Passes over the training samples, at most.
        batch_size: Samples a step; larger than the fold means the whole fold.
        seed: Decides initial weights, shuffling and augmentation.
        patience: Epochs without a better loss on the stop samples before the end; None never stops early.
        schedule: The learning rate from epoch to epoch: "constant", "cosine" (half a cosine from the first
            epoch towards 0 after the last) or "plateau".
        plateau_factor: In (0, 1): "plateau" multiplies the rate by it
        plateau_patience: after so many epochs without a better loss on the stop samples, or without stop
            samples on the training samples.
        label_smoothing: In [0, 1): labels y become `y (1 - s) + s / 2` in the training loss; 0 in regression.
        stop_after: Ends training after so many epochs, at most `epochs`, whose learning rates are those of
            the whole schedule; None trains to its end.

    Raises:
        ModelError: A number is outside its range, or the schedule is unknown.
    """

    epochs: int
    batch_size: int
    seed: int
    patience: int | None = None
    schedule: str = "constant"
    plateau_factor: float = 0.5
    plateau_patience: int = 4
    label_smoothing: float = 0.0
    stop_after: int | None = None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("epochs", self.epochs, 1),
            ("batch_size", self.batch_size, 1),
            ("seed", self.seed, 0),
            ("patience", 1 if self.patience is None else self.patience, 1),
            ("plateau_patience", self.plateau_patience, 1),
        ):
            if value < least:
                raise ModelError(f"{name}: a whole number of at least {least} is needed, but got {value}")
        if not 1 <= self.last_epoch <= self.epochs:
            raise ModelError(
                f"stop_after: a whole number from 1 to epochs = {self.epochs} is needed, "
                f"but got {self.stop_after}"
            )
        if self.schedule not in SCHEDULES:
            raise ModelError(f"schedule: one of {', '.join(SCHEDULES)} is needed, but got '{self.schedule}'")
        if not 0 < self.plateau_factor < 1:
            raise ModelError(
                f"plateau_factor: a number above 0 and below 1 is needed, but got {self.plateau_factor}"
            )
        if not 0 <= self.label_smoothing < 1:
            raise ModelError(
                f"label_smoothing: a number from 0 to below 1 is needed, but got {self.label_smoothing}"
            )

    @property
    def last_epoch(self) -> int:
        """The epoch after which training ends, if patience does not run out before."""
        return self.epochs if self.stop_after is None else self.stop_after


MODELS = ("constant", "logistic", "svm", "forest", "gp")
SELECTIONS = ("none", "nca")


@dataclass(frozen=True)
class BaselineSpec:
    """What a shallow model is; a setting that its model has no use for keeps its default.

    Attributes:
        model: "constant", "logistic", "svm", "forest" or "gp".
        regularisation: 1 / C of logistic regression (ridge) and of the support vector machine. In regression,
            "logistic" is ridge regression, and this the rows of zeros that its penalty is worth (alpha).
        svm_gamma: Of the radial basis function, in units of 1 / (features x their variance).
        forest_trees: Number of trees.
        forest_leaf: Least number of biopsies in a leaf.
        selection: "none", or "nca": features by neighbourhood component analysis first.
        nca_lambda: Its penalty on the squared weights.
        task: "classification", or "regression": the same models for numbers in place of classes.

    Raises:
        ModelError: A number is outside its range, or a name is unknown.
    """

    model: str
    regularisation: float = 1.0
    svm_gamma: float = 1.0
    forest_trees: int = 300
    forest_leaf: int = 3
    selection: str = "none"
    nca_lambda: float = 1.0
    task: str = "classification"

    def __post_init__(self) -> None:
        for name, value, known in (("model", self.model, MODELS), ("selection", self.selection, SELECTIONS)):
            if value not in known:
                raise ModelError(f"{name}: one of {', '.join(known)} is needed, but got '{value}'")
        for name in ("regularisation", "svm_gamma", "forest_trees", "forest_leaf", "nca_lambda"):
            number = getattr(self, name)
            if not (math.isfinite(number) and number > 0):
                raise ModelError(f"{name}: a positive number is needed, but got {number}")
        _check_task(self.task)


def _check_task(task: str) -> None:
    if task not in TASKS:
        raise ModelError(f"task: one of {', '.join(TASKS)} is needed, but got '{task}'")
