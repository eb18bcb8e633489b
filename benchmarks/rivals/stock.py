"""Side `stock`: Optuna, MLflow, and `compile`, `fit` and `predict` of Keras in every fold."""

from __future__ import annotations

import keras
import numpy as np

from rivals.keras_networks import compiled
from rivals.task import Data, Task


def train_fold(task: Task, rate: float, data: Data, fold: int) -> tuple[float, np.ndarray]:
    """Build, compile, fit and predict one fold."""
    train, held_out = data.split(fold)
    keras.backend.clear_session()
    keras.utils.set_random_seed(fold)
    model = compiled(task.architecture, data.x.shape[1:], task.optimizer, rate, task.momentum)
    history = model.fit(
        data.x[train], data.y[train], batch_size=task.batch_size, epochs=task.epochs, verbose=0
    )
    return history.history["loss"][-1], model.predict(data.x[held_out], verbose=0)[:, 0]
