"""A fold of a shallow baseline: the same rows and labels as a network's, features in place of patches."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from threadpoolctl import threadpool_limits

from data_prep.arrays import DoubleArray, FloatArray, IntArray
from data_prep.features import FeatureTable, load_features
from data_prep.fold_input import FoldInput, fit_input
from data_prep.patches import PatchSet
from data_prep.records import Cohort
from data_prep.saved_input import write_input
from models.registry import BASELINES
from models.saved_baseline import write_baselines
from models.shallow import FittedBaseline, fit_baseline
from search.fold import BASELINE, INPUT, Scored, Task
from search.scenes import Scene
from search.specs import baseline_spec

# By patches: reading them back from the disk takes longer than most of these models take to fit.
_KEPT: WeakKeyDictionary[PatchSet, dict[tuple[str, int], FeatureTable]] = WeakKeyDictionary()


def fit_shallow(task: Task, cache: Path) -> Scored:
    """Fit the trial's baseline on one fold; of several labels a model each.

    The model that scores is fitted on the whole training fold, as it has no use for biopsies to stop on; the
    decision threshold comes from a fit that left those out. Where these lie beside the training fold, both
    are the same model.

    Args:
        task: The fold.
        cache: Keeps features, by content.
    """
    labels, source = range(len(task.targets.names)), task.material.source
    radius = int(task.config.settings.get("patch_radius", 1))
    view = fit_input(task.material.patches, task.train, radius, task.material.missing)
    table = _features(task, source, view.normalised(task.material.patches), cache)
    fitted = [_fit(task, table.values, task.train, head) for head in labels]
    inner = fitted
    if len(task.fit) < len(task.train):
        inner = [_fit(task, table.values, task.fit, head) for head in labels]
    return Scored(
        held_out=_outputs(fitted, task.held_out(table.values, table.names)),
        stop=None if task.stop is None else _outputs(inner, table.values[task.stop]),
        parameters=sum(model.parameters for model in fitted),
        trainable_parameters=sum(model.parameters for model in fitted),
        device="CPU x1",
        scenes={scene.name: _outputs(fitted, _seen(task, scene, view, cache)) for scene in task.scenes},
        write=partial(_write, view, fitted),
    )


def _write(view: FoldInput, models: list[FittedBaseline], folder: Path) -> None:
    write_input(view, folder / INPUT)
    write_baselines(models, folder / BASELINE)


def _outputs(models: list[FittedBaseline], features: DoubleArray) -> DoubleArray:
    """What the models say of each of K labels, shape (m, K)."""
    return np.stack([model.predict(features) for model in models], axis=1)


def _seen(task: Task, scene: Scene, view: FoldInput, cache: Path) -> DoubleArray:
    """Features of a scene's patches."""
    return _features(task, scene.source, view.normalised(scene.patches), cache).values


def _features(task: Task, source: Cohort, patches: PatchSet, cache: Path) -> FeatureTable:
    """Features of every patch; NaN where a sequence is absent."""
    settings = task.config.settings
    name = BASELINES[str(settings["architecture"])].features
    radius = int(settings.get("patch_radius", 1))
    kept = _KEPT.setdefault(patches, {})
    if (name, radius) not in kept:
        kept[name, radius] = (
            FeatureTable(np.empty((len(patches), 0)), ())
            if name == "none"
            else load_features(name, source, patches, radius, cache)
        )
    return kept[name, radius]


def _fit(task: Task, features: DoubleArray, rows: IntArray, head: int) -> FittedBaseline:
    """The model of one label, on those of the rows of which it is known."""
    learned = task.targets.learned[:, head]
    known = rows[~np.isnan(learned[rows])]
    # On matrices of this size threads cost more than they gain: three times as long with two.
    with threadpool_limits(1):
        return fit_baseline(
            baseline_spec(task.config.settings, task.targets.is_regression),
            features[known],
            _as_learned(learned[known], task.targets.is_regression),
            task.material.participant[known],
            task.seed,
        )


def _as_learned(values: FloatArray, regression: bool) -> DoubleArray | IntArray:
    """Values of a regression as they are, labels as whole numbers."""
    return values.astype(np.float64) if regression else values.astype(np.int64)
