"""A model's input and output as named arrays, for those who ask it through MLflow without a cohort.

Normalised patches say all that a member reads: voxels beyond the grid have the value of air in them, and an
absent sequence is 0 throughout, as `radsearch patches` writes it, or NaN. Matched histograms need the
percentiles of the image beside them, and a member that reads where a site is needs that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.arrays import BoolArray, FloatArray
from data_prep.features.table import FeatureTable
from data_prep.intensity import LANDMARKS
from data_prep.patch_set import PatchRequest, PatchSet
from data_prep.problems import InputError, Problems, named, nearest
from search.deployment.facts import ModelFacts
from search.deployment.records import Prediction, Shown
from search.deployment.unlike import Reference
from search.mlflow_store.deployed import Tensor

PATCHES, MARKS, LOCATION = "patches", "landmarks", "location"
AXES = ("right", "anterior", "superior")  # the columns of `data_prep.features.location`

Arrays = Mapping[str, npt.NDArray[Any]]


def input_tensors(request: PatchRequest, reads_location: bool) -> tuple[Tensor, ...]:
    """What a model is asked with.

    Args:
        request: Of its patches.
        reads_location: Whether a member wants to know where a site is.
    """
    edge, sequences = 2 * request.radius + 1, len(request.sequences)
    found = [Tensor(PATCHES, "float32", (-1, edge, edge, request.slices * sequences))]
    if "nyul" in request.methods:
        found.append(Tensor(MARKS, "float32", (-1, sequences, LANDMARKS)))
    if reads_location:
        found.append(Tensor(LOCATION, "float64", (-1, len(AXES))))
    return tuple(found)


def output_tensors(labels: int, is_regression: bool) -> tuple[Tensor, ...]:
    """What it answers of that many labels: `Prediction`, name by name."""
    each, one = (-1, labels), (-1,)
    found = [
        Tensor("probability", "float64", each),
        Tensor("spread", "float64", each),
        Tensor("positive", "bool", each),
        Tensor("distance", "float64", one),
        Tensor("unlike", "bool", one),
    ]
    return (*found, Tensor("value", "float64", each)) if is_regression else tuple(found)


def arrays_of(shown: Shown) -> dict[str, npt.NDArray[Any]]:
    """The input that says what is shown of n places."""
    patches = shown.patches
    found: dict[str, npt.NDArray[Any]] = {PATCHES: patches.images(patches.radius)}
    if "nyul" in patches.request.methods:
        found[MARKS] = np.array(patches.landmarks)
    if shown.location is not None:
        found[LOCATION] = np.array(shown.location.values)
    return found


def shown_of(arrays: Arrays, facts: ModelFacts, reads_location: bool) -> Shown:
    """What is shown of n places, from the input that says it.

    Raises:
        InputError: An array is absent, of another shape, or partly NaN; a line each.
    """
    wanted = input_tensors(facts.request, reads_location)
    _check(arrays, wanted, facts.request)
    images = np.asarray(arrays[PATCHES], dtype=np.float32)
    present = _present(images, facts.request)
    raw = np.where(np.isnan(images), np.float32(0.0), images)
    count, edge = len(images), images.shape[1]
    sequences, slices = len(facts.request.sequences), facts.request.slices
    marks = arrays.get(MARKS, np.zeros((count, sequences, LANDMARKS), dtype=np.float32))
    voxel_mm = facts.request.spacing_mm or float(np.mean(facts.voxel_mm))
    patches = PatchSet(
        raw=raw,
        padding=np.zeros((count, edge, edge, slices), dtype=np.bool_),
        present=present,
        mean=np.zeros((count, sequences), dtype=np.float32),
        std=np.ones((count, sequences), dtype=np.float32),
        landmarks=np.array(marks, dtype=np.float32),
        voxel_mm=np.full((count, 2), voxel_mm),
        biopsy_id=tuple(str(row) for row in range(count)),
        participant_id=tuple(str(row) for row in range(count)),
        request=facts.request,
    )
    if not reads_location:
        return Shown(patches)
    return Shown(patches, FeatureTable(np.array(arrays[LOCATION], dtype=np.float64), AXES))


def answers_of(prediction: Prediction) -> dict[str, npt.NDArray[Any]]:
    """The output that says what is predicted."""
    names = ("probability", "spread", "positive", "distance", "unlike", "value")
    found = {name: getattr(prediction, name) for name in names}
    return {name: np.asarray(array) for name, array in found.items() if array is not None}


def example(facts: ModelFacts, reference: Reference, reads_location: bool) -> dict[str, npt.NDArray[Any]]:
    """An input that is nobody's: each sequence has the mean intensity of the training patches throughout."""
    request, view = facts.request, reference.view
    sequences = len(request.sequences)
    # Units that come from the training set are undone: what is shown has those of an image.
    level = reference.gaussian.mean[:sequences] * view.spread + view.location
    edge = 2 * request.radius + 1
    flat = np.tile(level.astype(np.float32), request.slices)
    found: dict[str, npt.NDArray[Any]] = {PATCHES: np.broadcast_to(flat, (1, edge, edge, len(flat))).copy()}
    if "nyul" in request.methods:
        found[MARKS] = view.standard[None].astype(np.float32)
    if reads_location:
        found[LOCATION] = np.full((1, len(AXES)), 0.5)
    return found


@dataclass(frozen=True)
class _Shape:
    """The shape that an array must have, as it is told."""

    wanted: tuple[int, ...]

    def fits(self, got: tuple[int, ...]) -> bool:
        return len(got) == len(self.wanted) and all(
            size in (-1, real) for size, real in zip(self.wanted, got, strict=True)
        )

    def __str__(self) -> str:
        return "(" + ", ".join("n" if size == -1 else str(size) for size in self.wanted) + ")"


def _check(arrays: Arrays, wanted: tuple[Tensor, ...], request: PatchRequest) -> None:
    problems = Problems()
    names = [tensor.name for tensor in wanted]
    for name in arrays.keys() - set(names):
        problems.add(name, f"the model reads no such array; {nearest(name, names)}")
    for tensor in wanted:
        if tensor.name not in arrays:
            problems.add(tensor.name, f"the model reads it, but the input has only {named(sorted(arrays))}")
            continue
        got, law = np.shape(arrays[tensor.name]), _Shape(tensor.shape)
        if not law.fits(got):
            channels = ", ".join(request.sequences)
            hint = f". Its channels are {channels}, slice by slice" if tensor.name == PATCHES else ""
            problems.add(tensor.name, f"shape {law} is needed, but got {got}{hint}")
    problems.raise_any()
    lengths = {name: len(arrays[name]) for name in names}
    if len(set(lengths.values())) > 1:
        raise InputError(f"input: arrays of as many places each are needed, but got {lengths}")


def _present(images: FloatArray, request: PatchRequest) -> BoolArray:
    """Which sequences places have, shape (n, C)."""
    apart = images.reshape(*images.shape[:3], request.slices, len(request.sequences))
    unknown = np.isnan(apart)
    partly = unknown.any(axis=(1, 2, 3)) & ~unknown.all(axis=(1, 2, 3))
    if partly.any():
        row, column = np.argwhere(partly)[0]
        raise InputError(
            f"{PATCHES}: a sequence must have numbers throughout a patch or be NaN throughout, but "
            f"{request.sequences[column]} of place {row} has some of both"
        )
    return np.asarray(~(unknown | (apart == 0)).all(axis=(1, 2, 3)))
