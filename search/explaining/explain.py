"""From a model with members of every fold to what it looks at, on biopsies that these never learned from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from data_prep.arrays import IntArray
from data_prep.features import FeatureTable, load_features
from data_prep.problems import InputError
from search.deployment.model import Model
from search.deployment.plan import RefitPlan
from search.deployment.predictor import Predictor
from search.explaining.changed import Cover, covered, cropped, neutral_values
from search.explaining.effort import LIMIT_SECONDS, choose
from search.explaining.explanations import Explanations
from search.explaining.held_out import HeldOut, Speaker
from search.explaining.occlusion import occlude
from search.explaining.permutation import permute
from search.targets import Targets

Progress = Callable[[int, int], None]

# Patches by which a model's speed is measured; of networks the first ones are slower than all others.
_MEASURED = 256


def explain(
    model: Model, plan: RefitPlan, cache: Path, progress: Progress, limit: float = LIMIT_SECONDS
) -> Explanations:
    """Exchange sequences between held-out biopsies, and cover parts of their patches.

    Args:
        model: With members of every fold.
        plan: What it was made of.
        cache: Keeps the features of locations, by content.
        progress: Called with changed patches that are done, and in all.
        limit: What it may take by forecast, in seconds; how finely a model is explained hangs on it.

    Raises:
        InputError: The model has no members of the folds.
    """
    if not model.folds:
        raise InputError(f"{model.facts.name}: explanations need the models of the folds, but it has none")
    parts = list(held_out_parts(model, plan, cache))
    patches = parts[0].patches
    count, edge = sum(map(len, parts)), 2 * patches.radius + 1
    chosen = choose(count, len(patches.sequences), edge, pace(parts), limit)
    step = _counter(progress, count * chosen.effort.copies(len(patches.sequences), edge))
    return Explanations(
        labels=model.labels,
        sequences=patches.sequences,
        chosen=chosen,
        permutation=permute(parts, chosen.effort.draws, step),
        occlusion=occlude(parts, chosen.effort, step),
    )


def held_out_parts(model: Model, plan: RefitPlan, cache: Path) -> Iterator[HeldOut]:
    """Each fold with the ensemble that never saw its biopsies.

    Biopsies that lack a sequence which all of those had that the model learned from are left out: it says
    nothing of them.
    """
    material = plan.material
    patches = cropped(material.patches, model.request.radius)
    needed = [patches.sequences.index(name) for name in model.facts.needed]
    location: FeatureTable | None = None
    for split in plan.splits:
        predictor = model.predictor(split.fold)
        if predictor.reads_location and location is None:
            location = load_features("location", material.source, material.patches, 0, cache)
        rows = split.test[patches.present[split.test][:, needed].all(axis=1)]
        held_out, learned = patches.take(rows), patches.take(material.learnable(split.train))
        yield HeldOut(
            fold=split.fold,
            rows=rows,
            participant=material.participant[rows],
            labels=Targets.of(material.labels, split.train).labels[rows],
            patches=held_out,
            neutral=neutral_values(held_out, learned),
            location=None if location is None else _rows_of(location, rows),
            speaker=_speaker(predictor),
        )


def _rows_of(table: FeatureTable, rows: IntArray) -> FeatureTable:
    return FeatureTable(np.array(table.values[rows]), table.names)


def _speaker(predictor: Predictor) -> Speaker:
    return lambda shown: predictor.say(shown).probability


def pace(parts: Sequence[HeldOut]) -> float:
    """Seconds that one patch takes, measured on copies of the largest fold's in which nothing is covered."""
    part = max(parts, key=len)
    copies = min(part.at_once(), math.ceil(_MEASURED / len(part)))
    shown = covered(part.patches, [Cover(block=(slice(0), slice(0)))] * copies, part.neutral)
    part.logits(shown)
    started = time.monotonic()
    part.logits(shown)
    return (time.monotonic() - started) / len(shown)


def _counter(progress: Progress, total: int) -> Callable[[int], None]:
    done = 0

    def step(more: int) -> None:
        nonlocal done
        done += more
        progress(done, total)

    progress(0, total)
    return step
