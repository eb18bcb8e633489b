"""A fold of a shallow baseline: the same rows and labels as a network's, features in place of patches."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from threadpoolctl import threadpool_limits

from data_prep.arrays import DoubleArray, IntArray
from data_prep.features import FeatureTable, load_features
from data_prep.patches import PatchSet
from models.registry import BASELINES
from models.shallow import FittedBaseline, fit_baseline
from search.fold import Scored, Task
from search.specs import baseline_spec

# By patches: reading them back from the disk takes longer than most of these models take to fit.
_KEPT: WeakKeyDictionary[PatchSet, dict[tuple[str, int], FeatureTable]] = WeakKeyDictionary()


def fit_shallow(task: Task, cache: Path) -> Scored:
    """Fit the trial's baseline on one fold.

    The model that scores is fitted on the whole training fold, as it has no use for biopsies to stop on; the
    decision threshold comes from a fit that left those out. Where these lie beside the training fold, both
    are the same model.

    Args:
        task: The fold.
        cache: Keeps features, by content.
    """
    table = _features(task, cache)
    features = table.values
    fitted = _fit(task, features, task.split.train)
    held_back = len(task.fit) < len(task.split.train)
    inner = _fit(task, features, task.fit) if held_back else fitted
    return Scored(
        held_out=fitted.predict(task.held_out(features, table.names)),
        stop=None if task.stop is None else inner.predict(features[task.stop]),
        parameters=fitted.parameters,
        trainable_parameters=fitted.parameters,
        device="CPU x1",
    )


def _features(task: Task, cache: Path) -> FeatureTable:
    """Features of every biopsy; NaN where a sequence is absent."""
    material, settings = task.material, task.config.settings
    name = BASELINES[str(settings["architecture"])].features
    radius = int(settings.get("patch_radius", 1))
    kept = _KEPT.setdefault(material.patches, {})
    if (name, radius) not in kept:
        kept[name, radius] = (
            FeatureTable(np.empty((len(material.patches), 0)), ())
            if name == "none"
            else load_features(name, material.source, material.patches, radius, cache)
        )
    return kept[name, radius]


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
