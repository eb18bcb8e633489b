"""The process that trains: settings of TensorFlow and Keras, and what to record about the device."""

from __future__ import annotations

import logging
import os
import resource
import sys
from pathlib import Path

import keras
import tensorflow as tf

from models.errors import ModelError

_log = logging.getLogger(__name__)


def configure() -> None:
    """Prepare TensorFlow and Keras for training; call before the first tensor is made.

    GPU memory is taken as needed, so that slots can share a GPU. A `keras.json` of the user has no say in the
    layout and precision of our arrays. `models.device.child_environment` sets everything else.

    Raises:
        ModelError: Keras runs on another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ModelError(f"KERAS_BACKEND: 'tensorflow' is needed, but got '{keras.backend.backend()}'")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES", "-1")
    if wanted not in ("", "-1") and not gpus:
        _log.warning("GPU %s was assigned, but this TensorFlow sees none: training runs on the CPU", wanted)


def device_name() -> str:
    """What this process trains on, for the record: a GPU's name, or 'CPU x2' with its thread count."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    threads = threads or os.environ.get("TF_NUM_INTRAOP_THREADS") or len(os.sched_getaffinity(0))
    return f"CPU x{threads}"


def peak_memory_mb() -> float:
    """The most main memory this program has held, in MiB.

    Read from proc(5) where there is one: getrusage(2) also counts the process that this one was forked from.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
