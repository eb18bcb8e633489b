"""The process that trains: settings of TensorFlow and Keras, and what to record about the device."""

from __future__ import annotations

import logging
import os
from typing import Any

import keras
import tensorflow as tf

from models.errors import ModelError
from models.spec import ComputeSpec

_log = logging.getLogger(__name__)


BFLOAT16_CAPABILITY = (8, 0)  # NVIDIA Ampere; before, bfloat16 is emulated


def configure(compute: ComputeSpec | None = None) -> None:
    """Prepare TensorFlow and Keras for training; call before the first tensor is made.

    GPU memory is taken as needed, so that slots can share a GPU. A `keras.json` of the user has no say in the
    layout and precision of our arrays. `models.device.child_environment` sets everything else. Determinism
    cannot be switched off again in a process.

    Raises:
        ModelError: Keras runs on another backend than TensorFlow, or the GPU has no arithmetic of the
            precision.
    """
    compute = compute or ComputeSpec()
    if keras.backend.backend() != "tensorflow":
        raise ModelError(f"KERAS_BACKEND: 'tensorflow' is needed, but got '{keras.backend.backend()}'")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    gpus = tf.config.list_physical_devices("GPU")
    _check_precision(compute.precision, gpus)
    keras.config.set_dtype_policy(compute.precision)
    if compute.deterministic:
        tf.config.experimental.enable_op_determinism()
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES", "-1")
    if wanted not in ("", "-1") and not gpus:
        _log.warning("GPU %s was assigned, but this TensorFlow sees none: training runs on the CPU", wanted)


def _check_precision(precision: str, gpus: list[Any]) -> None:
    for gpu in gpus if precision == "mixed_bfloat16" else []:
        capability = tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        if capability < BFLOAT16_CAPABILITY:
            raise ModelError(
                f"precision: mixed_bfloat16 needs a GPU of compute capability 8.0 or more, but got "
                f"{'.'.join(map(str, capability))}"
            )


def device_name() -> str:
    """What this process trains on, for the record: a GPU's name, or 'CPU x2' with its thread count."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    within = tf.config.threading.get_intra_op_parallelism_threads()
    within = within or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or len(os.sched_getaffinity(0)))
    beside = tf.config.threading.get_inter_op_parallelism_threads()
    beside = beside or int(os.environ.get("TF_NUM_INTEROP_THREADS") or within)
    return f"CPU x{max(within, beside)}"
