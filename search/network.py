"""A fold of a network: patches, augmentation and training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from data_prep.arrays import FloatArray
from data_prep.augmentation import augmenter
from data_prep.inputs import input_channels, model_input
from models.runtime import device_name
from models.training import Samples, Trainer
from search.fold import Scored, Task
from search.specs import augment_spec, model_spec, optimizer_spec, training_spec

Send = Callable[[dict[str, Any]], None]


def train_network(task: Task, trainer: Trainer, send: Send) -> Scored:
    """Train the trial's network on one fold.

    Args:
        task: The fold.
        trainer: Keeps compiled networks from fold to fold.
        send: Receives a message after each epoch.
    """
    settings, material = task.config.settings, task.material
    images = model_input(material.patches, int(settings["patch_radius"]), material.missing)
    channels = input_channels(material.patches, material.missing)
    labels = task.labels.astype(np.float32)
    fitted = trainer.fit(
        model_spec(task.study, settings, images.shape[1:]),
        optimizer_spec(settings),
        training_spec(task.study.training, settings, task.seed, task.stop is not None),
        Samples(images[task.fit], labels[task.fit]),
        None if task.stop is None else Samples(images[task.stop], labels[task.stop]),
        augment=_augmentation(task),
        on_epoch=lambda epoch: send({"kind": "epoch", "split": task.split.index, **epoch}),
    )
    return Scored(
        held_out=fitted.predict(task.held_out(images, channels)),
        stop=None if task.stop is None else fitted.predict(images[task.stop]),
        parameters=fitted.parameters,
        trainable_parameters=fitted.trainable_parameters,
        dead_parameters=fitted.dead_parameters,
        device=device_name(),
        curves=fitted.history,
        best_epoch=fitted.best_epoch,
    )


def _augmentation(task: Task) -> Callable[[np.random.Generator], FloatArray] | None:
    """Fresh augmented copies of the fitted biopsies for each epoch, or None."""
    spec, material = augment_spec(task.study, task.config.settings), task.material
    if spec.is_none:
        return None
    radius = int(task.config.settings["patch_radius"])
    return augmenter(spec, material.patches, task.fit, radius, material.missing)
