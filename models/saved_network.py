"""A trained network out of its file, made to predict many patches at once."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from models.compiled import errors_named
from models.curves import probability
from models.errors import ModelError, NonFiniteLoss, OutOfMemory
from models.heads import LOGIT
from models.loadable import check_loadable
from models.lowering import lower
from models.reach import Reach
from models.samples import DoubleArray, FloatArray, check_finite
from models.spec import TASKS

# Numbers in the largest feature map of a batch. Measured on 2 cores (benchmarks/README.md, "Maps"): smaller
# batches leave the matrix products thin, larger ones gain nothing more and need more memory. A GPU has to be
# kept busy by more.
MAP_ON_CPU, MAP_ON_GPU = 2**21, 2**26
LEAST, MOST_ON_CPU, MOST_ON_GPU = 16, 256, 4096


class SavedNetwork:
    """A network that predicts, from a `.keras` file.

    Patches go through it in batches of one size, the last one filled up: nothing is traced twice, memory does
    not grow with the number of patches, and a patch gets the same number whatever others it comes with. On a
    GPU with too little memory the batches are halved.

    Args:
        model: As `models.training.Fitted.model` gives it, for patches of one size.
        task: "classification" or "regression".

    Attributes:
        input_shape: Of a patch: height, width, channels.
        outputs: How many numbers a patch gets.
        batch: Patches that go through the network at a time.

    Raises:
        ModelError: The model is none of ours.
    """

    def __init__(self, model: keras.Model, task: str) -> None:
        _check(model, task)
        self.input_shape: tuple[int, int, int] = model.input_shape[1:]
        self.outputs = int(model.output_shape[-1])
        self._task = task
        self.batch = _batch(model)
        side = self.input_shape[:2]
        self._network = lower(model, LOGIT, compact=Reach(model).compact(side)).network
        with errors_named():
            self._run = self._traced()

    @classmethod
    def open(cls, path: Path, task: str) -> SavedNetwork:
        """Read a network; no code of anybody's runs, and no class but Keras's own is needed.

        Args:
            path: A `.keras` file, as `models.training.Fitted.save` writes it.
            task: "classification" or "regression".

        Raises:
            ModelError: The file needs more than stock Keras, is damaged, or is no network of ours.
            OutOfMemory: The device or machine has too little memory.
        """
        check_loadable(path)
        _share_gpus()
        try:
            with errors_named():
                model = keras.saving.load_model(path, custom_objects=None, compile=False, safe_mode=True)
        except ModelError:
            raise
        except Exception as error:  # what a damaged file leads to is anybody's guess
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{path.name}: Keras cannot load the network: {reason}") from error
        return cls(model, task)

    def predict(self, x: FloatArray) -> DoubleArray:
        """What the network says of patches (n, height, width, channels), in inference mode.

        Returns:
            Probabilities, or in regression values, (n, outputs), float64: those of
            `models.training.Fitted.predict` up to the rounding of float32.

        Raises:
            ModelError: The patches have another shape, or one is not finite.
            NonFiniteLoss: An output is not finite.
            OutOfMemory: The device or machine has too little memory even for few patches at a time.
        """
        if x.shape[1:] != self.input_shape:
            raise ModelError(f"patches (n, {str(self.input_shape)[1:]} are needed, but got {x.shape}")
        check_finite(x)
        while True:
            try:
                with errors_named():
                    output = self._outputs(x)
                break
            except OutOfMemory:
                if self.batch <= LEAST:
                    raise
                self.batch //= 2
                self._run = self._traced()
        if not np.isfinite(output).all():
            raise NonFiniteLoss("the saved network's output is not finite")
        return output if self._task == "regression" else probability(output)

    def _outputs(self, x: FloatArray) -> DoubleArray:
        output = np.empty((len(x), self.outputs))
        for start in range(0, len(x), self.batch):
            part = x[start : start + self.batch]
            full = part
            if len(part) < self.batch:
                full = np.zeros((self.batch, *self.input_shape), np.float32)
                full[: len(part)] = part
            output[start : start + len(part)] = self._run(tf.constant(full, tf.float32)).numpy()[: len(part)]
        return output

    def _traced(self) -> tf.types.experimental.ConcreteFunction:
        """The network's graph for one batch.

        Made at once: TensorFlow takes first calls of one network after the other, each of which is traced,
        for one function that is traced again and again, and warns of it.
        """
        patches = tf.TensorSpec((self.batch, *self.input_shape), tf.float32)
        traced = tf.function(lambda x: self._network(x, training=False), autograph=False)
        return traced.get_concrete_function(patches)


def _check(model: keras.Model, task: str) -> None:
    """Refuse what has no units as our heads have them.

    Raises:
        ModelError: The task is unknown, or the model is not one from patches of one size to such units.
    """
    if task not in TASKS:
        raise ModelError(f"task: one of {', '.join(TASKS)} is needed, but got '{task}'")
    names = [layer.name for layer in getattr(model, "layers", [])]
    shape = getattr(model, "input_shape", ())
    if LOGIT not in names or len(shape) != 4 or None in shape[1:]:
        raise ModelError(
            f"a network from patches of one size to a layer '{LOGIT}' is needed, but got "
            f"'{getattr(model, 'name', model)}' of the input {shape}"
        )


def _batch(model: keras.Model) -> int:
    """A power of two of patches whose largest feature map is about as large as the device likes."""
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    wanted, most = (MAP_ON_GPU, MOST_ON_GPU) if on_gpu else (MAP_ON_CPU, MOST_ON_CPU)
    nodes = [node for operation in model.operations for node in operation._inbound_nodes]
    maps = [tensor.shape[1:] for node in nodes for tensor in node.output_tensors]
    largest = max(math.prod(side or 1 for side in each) for each in maps)
    return min(most, max(LEAST, 1 << max(0, round(math.log2(wanted / largest)))))


def _share_gpus() -> None:
    """Take a GPU's memory as needed; too late, and done already, where TensorFlow has begun to use it."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)
