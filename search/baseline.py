"""A fold of a shallow baseline: the same rows and labels as a network's, features in place of patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from data_prep.arrays import DoubleArray, IntArray
from data_prep.features import load_features
from models.registry import BASELINES
from models.shallow import FittedBaseline, fit_baseline
from search.fold import Scored, Task
from search.specs import baseline_spec


def fit_shallow(task: Task, cache: Path) -> Scored:
    """Fit the trial's baseline on one fold.

    The model that scores is fitted on the whole training fold, as it has no use for biopsies to stop on; the
    decision threshold comes from a fit that left those out.

    Args:
        task: The fold.
        cache: Keeps features, by content.
    """
    features = _features(task, cache)
    fitted = _fit(task, features, task.split.train)
    inner = None if task.stop is None else _fit(task, features, task.fit)
    return Scored(
        held_out=fitted.predict(features[task.split.test]),
        stop=None if inner is None else inner.predict(features[task.stop]),
        parameters=fitted.parameters,
        trainable_parameters=fitted.parameters,
        device="CPU x1",
    )


def _features(task: Task, cache: Path) -> DoubleArray:
    """Features of every biopsy (biopsies, features); NaN where a sequence is absent."""
    material, settings = task.material, task.config.settings
    name = BASELINES[str(settings["architecture"])].features
    if name == "none":
        return np.empty((len(material.patches), 0))
    radius = int(settings.get("patch_radius", 1))
    return load_features(name, material.source, material.patches, radius, cache).values


def _fit(task: Task, features: DoubleArray, rows: IntArray) -> FittedBaseline:
    # On matrices of this size threads cost more than they gain: three times as long with two.
    with threadpool_limits(1):
        return fit_baseline(
            baseline_spec(task.config.settings),
            features[rows],
            task.labels[rows],
            task.material.participant[rows],
            task.seed,
        )
