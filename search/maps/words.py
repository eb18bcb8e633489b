"""What pages and pictures say of a map, in words."""

from __future__ import annotations

import numpy as np

from data_prep.regions import Region
from search.maps.asking import Asking
from search.maps.scene import Scene

USE = "research use only"
NARROW = 0.1
"""A range of probabilities below which a map hardly tells places apart."""


def said(asking: Asking, fold: int | None) -> str:
    """By whom a map was drawn, in one line."""
    facts = asking.model.facts
    number = "" if facts.version is None else f", version {facts.version}"
    return f"model {facts.name}{number}; {whose(asking, fold)}; {USE}"


def whose(asking: Asking, fold: int | None) -> str:
    """Whether the model knew the participant."""
    if fold is None:
        return "not in the training set"
    if asking.out_of_fold:
        return f"out of fold {fold + 1} of {asking.model.folds}"
    return "in the training set"


def notes(scene: Scene, asking: Asking, fold: int | None) -> list[str]:
    """What must be borne in mind of a map, a sentence each."""
    lines = []
    if fold is not None and not asking.out_of_fold:
        lines.append(
            "The model learned from this participant: the map is better than that of another would be. "
            "With --out-of-fold only models that never saw them are asked."
        )
    unlike = _share(scene.drawn.unlike[scene.drawn.region])
    if scene.drawn.unlike.any():
        lines.append(
            f"{unlike} of the region is unlike the training data, farther from it than 99 % of the training "
            "biopsies are from those of other participants: do not rely on the map there."
        )
    lines += [_narrow(label, scene, number) for number, label in enumerate(scene.drawn.labels)]
    silent = np.isnan(scene.drawn.probability[scene.drawn.region][:, 0])
    if silent.any():
        lines.append(
            f"Of {_share(silent)} of the region nothing is said: a sequence that the model needs does not "
            "reach there."
        )
    return [line for line in lines if line]


def _narrow(label: str, scene: Scene, number: int) -> str:
    """What is said of a map that is almost the same everywhere; nothing of any other."""
    values = scene.drawn.probability[scene.drawn.region][:, number]
    known = values[np.isfinite(values)]
    if not known.size or known.max() - known.min() >= NARROW:
        return ""
    return (
        f"Probabilities of {label} from {known.min():.2f} to {known.max():.2f}: this model hardly tells "
        "places apart."
    )


def rows(scene: Scene, region: Region, asking: Asking, fold: int | None) -> list[tuple[str, str]]:
    """The table of a page."""
    facts, drawn = asking.model.facts, scene.drawn
    voxels = int(drawn.region.sum())
    edges = " x ".join(f"{edge:.3g}" for edge in drawn.grid.voxel_size)
    found = [
        ("Model", f"{facts.name}{'' if facts.version is None else f', version {facts.version}'}"),
        ("Of study", facts.study),
        ("Participant", f"{scene.name}, {whose(asking, fold)}"),
    ]
    for number, label in enumerate(facts.labels):
        above = _share(drawn.above[drawn.region][:, number])
        found.append((label.name, f"{label.definition}. Above {drawn.thresholds[number]:.3f} in {above}."))
    found += [
        ("Region", f"{region.name}: {region.note}" if region.note else region.name),
        ("Size", f"{voxels:,} voxels of {edges} mm, {voxels * drawn.grid.voxel_size.prod() / 1000:.1f} ml"),
        ("Stride", _stride(asking.stride, drawn.asked)),
        ("Unlike the training data", _share(drawn.unlike[drawn.region])),
        ("Uncertainty", "standard deviation over the members of the model"),
    ]
    return found


def _stride(stride: int, asked: int) -> str:
    if stride == 1:
        return "1: every voxel was asked about"
    return f"{stride}: {asked:,} voxels were asked about, the others lie between them"


def _share(flags: np.ndarray) -> str:
    share = float(np.mean(flags)) if flags.size else 0.0
    return f"{share:.0%}" if share >= 0.01 or not share else f"{share:.2%}"
