"""A map: what a model says of every voxel of a region."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from data_prep.geometry import Grid
from data_prep.patch_set import PatchRequest
from data_prep.regions import Region
from data_prep.survey import Progress
from data_prep.windows import Windows
from search.deployment.facts import MemberEntry, ModelFacts
from search.deployment.records import Prediction, Shown
from search.maps.lattice import Lattice

BATCH_BYTES = 1 << 26
"""Of the patches that lie in memory at once; scaling them takes as much again."""

_FEWEST, _MOST = 16, 4096  # voxels a batch
_SURE = 1e-12  # nothing is surer, so that a logit stays finite

_T = TypeVar("_T", bound=np.generic)


class Asked(Protocol):
    """Who is asked: `search.deployment.predictor.Predictor`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """K names."""

    @property
    def facts(self) -> ModelFacts:
        """Of the model."""

    @property
    def entries(self) -> tuple[MemberEntry, ...]:
        """The members that answer, all of one fold or of none."""

    @property
    def reads_location(self) -> bool:
        """Whether a member wants to know where in the brain a place is."""

    def say(self, shown: Shown) -> Prediction:
        """What is said of n places."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A map of K labels on a grid, all arrays in canonical order.

    Attributes:
        labels: K names.
        thresholds: Of each.
        grid: Whose voxels these are.
        region: Where there is a map, shape (x, y, z).
        probability: NaN outside the region, shape (x, y, z, K).
        spread: Over the members, likewise.
        above: Whether the probability is above the label's threshold, shape (x, y, z, K).
        unlike: Whether the place is unlike the training data, shape (x, y, z).
        asked: Of how many voxels the model was asked; the others lie between.
        value: Of a regression, what is said of each score, as `probability`; else None.
    """

    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    grid: Grid
    region: BoolArray
    probability: FloatArray
    spread: FloatArray
    above: BoolArray
    unlike: BoolArray
    asked: int
    value: FloatArray | None = None


def draw(
    predictor: Asked,
    windows: Windows,
    region: Region,
    stride: int = 1,
    progress: Progress | None = None,
    forecast: Callable[[float], None] | None = None,
) -> Drawn:
    """Ask about the voxels of a region, in batches of bounded memory.

    With a stride the logit of the probability, the spread and the value are interpolated in between, and a
    voxel is unlike the training data if the nearest that was asked about is (`search.maps.lattice`).

    Args:
        predictor: The model, or what it is without one fold.
        windows: The participant's images.
        region: Where.
        stride: In voxels along each axis; 1 asks about all of them.
        progress: Called with the voxels done and in all.
        forecast: Called once, after the second batch of more, with the seconds that are left; the first
            batch takes longer than the others.
    """
    lattice = Lattice.of(region.inside, stride, windows.grid.voxel_size)
    said = _ask(predictor, windows, lattice.voxels[lattice.asked], progress, forecast)
    parts = [logit(np.clip(said.probability, _SURE, 1 - _SURE)), said.spread]
    if said.value is not None:
        parts.append(said.value)
    probability, unlike = said.probability, said.unlike
    if len(lattice.asked) < len(lattice.voxels):
        parts = np.split(lattice.between(np.concatenate(parts, axis=1)), len(parts), axis=1)
        probability, unlike = expit(parts[0]), unlike[lattice.nearest()]
        probability[lattice.asked] = said.probability
    thresholds = thresholds_of(predictor)
    where = lattice.voxels
    return Drawn(
        labels=predictor.labels,
        thresholds=tuple(map(float, thresholds)),
        grid=windows.grid,
        region=region.inside,
        probability=_volume(region.inside, where, probability.astype(np.float32), np.nan),
        spread=_volume(region.inside, where, parts[1].astype(np.float32), np.nan),
        above=_volume(region.inside, where, np.asarray(probability > thresholds), False),
        unlike=_volume(region.inside, where, unlike, False),
        asked=len(lattice.asked),
        value=None
        if said.value is None
        else _volume(region.inside, where, parts[2].astype(np.float32), np.nan),
    )


def thresholds_of(predictor: Asked) -> DoubleArray:
    """Probabilities above which each label counts as positive, shape (K,): the fold's own."""
    facts, fold = predictor.facts, predictor.entries[0].fold
    ensemble = facts.ensemble if fold is None else facts.fold_ensembles[fold]
    return ensemble.thresholds


def batch_size(request: PatchRequest) -> int:
    """How many voxels are asked about at once."""
    bytes_each = (2 * request.radius + 1) ** 2 * request.slices * len(request.sequences) * 4
    return int(np.clip(BATCH_BYTES // bytes_each, _FEWEST, _MOST))


def _ask(
    predictor: Asked,
    windows: Windows,
    voxels: IntArray,
    progress: Progress | None,
    forecast: Callable[[float], None] | None,
) -> Prediction:
    said: list[Prediction] = []
    size = batch_size(windows.request)
    for number, start in enumerate(range(0, len(voxels), size), start=1):
        began = time.monotonic()
        batch = voxels[start : start + size]
        location = windows.location(batch) if predictor.reads_location else None
        said.append(predictor.say(Shown(windows.patches(batch), location)))
        left = len(voxels) - start - len(batch)
        if number == 2 and left and forecast is not None:
            forecast((time.monotonic() - began) * left / len(batch))
        if progress is not None:
            progress(start + len(batch), len(voxels))
    return _joined(said)


def _joined(said: list[Prediction]) -> Prediction:
    values = [one.value for one in said if one.value is not None]
    return Prediction(
        probability=np.concatenate([one.probability for one in said]),
        spread=np.concatenate([one.spread for one in said]),
        positive=np.concatenate([one.positive for one in said]),
        distance=np.concatenate([one.distance for one in said]),
        unlike=np.concatenate([one.unlike for one in said]),
        value=np.concatenate(values) if values else None,
    )


def _volume(inside: BoolArray, voxels: IntArray, values: npt.NDArray[_T], beyond: float) -> npt.NDArray[_T]:
    """A canonical array with the values at the voxels and `beyond` elsewhere."""
    volume = np.full((*inside.shape, *values.shape[1:]), beyond, dtype=values.dtype)
    volume[tuple(voxels.T)] = values
    return volume
