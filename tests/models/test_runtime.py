import logging
import subprocess
import sys

import keras
import pytest

from models.errors import ModelError
from models.runtime import configure, device_name
from models.spec import ComputeSpec


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
    monkeypatch.setattr("tensorflow.config.threading.get_intra_op_parallelism_threads", lambda: 1)
    monkeypatch.setattr("tensorflow.config.threading.get_inter_op_parallelism_threads", lambda: 3)
    assert device_name() == "CPU x3"


@pytest.fixture
def float32():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize(("capability", "runs"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_needs_a_gpu_that_has_it(monkeypatch, capability, runs):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: ["gpu"])
    monkeypatch.setattr("tensorflow.config.experimental.set_memory_growth", lambda gpu, on: None)
    details = {"compute_capability": capability}
    monkeypatch.setattr("tensorflow.config.experimental.get_device_details", lambda gpu: details)
    if runs:
        configure(ComputeSpec("mixed_bfloat16"))
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    else:
        with pytest.raises(ModelError, match=r"needs a GPU of compute capability 8.0 or more, but got 7.5"):
            configure(ComputeSpec("mixed_bfloat16"))


DETERMINISTIC = """
from models.runtime import configure
from models.spec import ComputeSpec, ModelSpec, OptimizerSpec, TrainingSpec
configure(ComputeSpec(deterministic=True))
import numpy as np
from tensorflow.python.framework.config import is_op_determinism_enabled
from models.training import Samples, Trainer
samples = Samples(np.ones((4, 5, 5, 1), np.float32), np.array([0, 1, 0, 1], np.float32))
model, optimizer = ModelSpec("small_cnn", (5, 5, 1)), OptimizerSpec("adam", 0.1)
Trainer().fit(model, optimizer, TrainingSpec(1, 2, 0), samples, samples)
print(is_op_determinism_enabled())
"""


@pytest.mark.slow
def test_training_runs_with_deterministic_kernels_when_asked():
    """In a process of its own, as they cannot be switched off again."""
    command = [sys.executable, "-P", "-c", DETERMINISTIC]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"
