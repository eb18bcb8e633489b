"""A fold of a network: patches, augmentation and training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.fold_input import FoldInput, fit_input
from data_prep.repeats import alternate
from data_prep.saved_input import write_input
from models.loadable import check_loadable
from models.runtime import device_name
from models.training import Fitted, Samples, Trainer
from search.fold import INPUT, NETWORK, Scored, Task
from search.specs import augment_spec, model_spec, optimizer_spec, training_spec

Send = Callable[[dict[str, Any]], None]
Augment = Callable[[np.random.Generator], FloatArray]


def train_network(task: Task, trainer: Trainer, send: Send) -> Scored:
    """Train the trial's network on one fold.

    Args:
        task: The fold.
        trainer: Keeps compiled networks from fold to fold.
        send: Receives a message after each epoch.
    """
    settings, material = task.config.settings, task.material
    view = fit_input(material.patches, task.train, int(settings["patch_radius"]), material.missing)
    images, learned = view.images(material.patches), _learned(task)
    fitted = trainer.fit(
        model_spec(task.study, settings, images.shape[1:]),
        optimizer_spec(settings),
        training_spec(task.study.training, settings, task.seed, task.stop is not None, task.epochs),
        Samples(images[task.fit], learned[task.fit]),
        None if task.stop is None else Samples(images[task.stop], learned[task.stop]),
        augment=_augmentation(task, view),
        on_epoch=lambda epoch: send({"kind": "epoch", "split": task.split.index, **epoch}),
    )
    return _scored(task, view, fitted, images)


def _scored(task: Task, view: FoldInput, fitted: Fitted, images: FloatArray) -> Scored:
    """What the network says of every row that is asked for."""
    return Scored(
        held_out=_outputs(fitted, task.held_out(images, view.channels)),
        stop=None if task.stop is None else _outputs(fitted, images[task.stop]),
        parameters=fitted.parameters,
        trainable_parameters=fitted.trainable_parameters,
        dead_parameters=fitted.dead_parameters,
        device=device_name(),
        curves=fitted.history,
        best_epoch=fitted.best_epoch,
        scenes={scene.name: _outputs(fitted, view.images(scene.patches)) for scene in task.scenes},
        write=partial(_write, view, fitted),
    )


def _write(view: FoldInput, fitted: Fitted, folder: Path) -> None:
    """Write the network, which must load without code of anybody's own."""
    write_input(view, folder / INPUT)
    fitted.save(folder / NETWORK)
    check_loadable(folder / NETWORK)


def _learned(task: Task) -> FloatArray:
    """What is fitted, shape (biopsies,), or (biopsies, K) where there are several labels."""
    learned = task.targets.learned
    return learned[:, 0] if learned.shape[1] == 1 else learned


def _outputs(fitted: Fitted, images: FloatArray) -> DoubleArray:
    """What the network says of each of K labels, shape (m, K)."""
    return fitted.predict(images).reshape(len(images), -1)


def _augmentation(task: Task, view: FoldInput) -> Augment | None:
    """Fresh copies of the fitted biopsies for each epoch: varied, or by either of their scans; or None."""
    spec, material = augment_spec(task.study, task.config.settings), task.material
    second = material.second
    if second is None:
        return None if spec.is_none else view.augmenter(spec, material.patches, task.fit)
    scans = [view.augmenter(spec, patches, task.fit) for patches in (material.patches, second)]
    return alternate(scans[0], scans[1], np.asarray(second.present[task.fit].any(axis=1)))
