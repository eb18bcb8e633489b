import logging
import os
from pathlib import Path

import keras
import numpy as np
import pytest

from models.errors import ModelError
from models.runtime import configure, device_name, peak_memory_mb


def test_a_users_keras_settings_have_no_say():
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("mixed_bfloat16")
    configure()
    assert keras.config.image_data_format() == "channels_last"
    assert keras.config.floatx() == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ModelError, match="KERAS_BACKEND: 'tensorflow' is needed, but got 'jax'"):
        configure()


def test_a_gpu_that_tensorflow_does_not_see_is_reported(monkeypatch, caplog):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aaaa-1")
    with caplog.at_level(logging.WARNING):
        configure()
    assert "GPU-aaaa-1 was assigned, but this TensorFlow sees none" in caplog.text


def test_a_processor_is_named_with_its_threads(monkeypatch):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: [])
    monkeypatch.setattr("tensorflow.config.threading.get_intra_op_parallelism_threads", lambda: 3)
    assert device_name() == "CPU x3"


def test_peak_memory_grows_by_what_is_held():
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    held = np.ones(60_000_000)
    assert peak_memory_mb() > resident + 0.9 * held.nbytes / 2**20
