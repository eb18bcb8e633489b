"""What patches are asked for, and what is cut out: records that say how big, of what, and whose.

`patch[i, j, c]` is channel c at canonical voxel (x0 - R + i, y0 - R + j, z0): the first axis runs left to
right, the second back to front. With several slices the channels are all sequences of the lowest slice, then
of the next one up, and so on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from data_prep.intensity import METHODS
from data_prep.problems import InputError, Problems, nearest

# Beyond these a patch is no neighbourhood of a biopsy any more, or the Gaussian no filter.
_MAX_RADIUS = 256
SPACING_MM = (0.1, 10.0)
SLICE_MM = (0.1, 50.0)
MOST_SLICES = 2 * _MAX_RADIUS + 1

# What a biopsy has that has no sequence.
_BLANK = {"raw": 0, "padding": True, "present": False, "mean": 0, "std": 1, "landmarks": 0, "unseen": False}


@dataclass(frozen=True)
class PatchRequest:
    """What to cut out.

    Attributes:
        sequences: In channel order.
        radius: In voxels of the patch; its edge is 2 * radius + 1.
        slices: Odd number of axial slices.
        spacing_mm: Edge of the patch's isotropic voxels, None for the image's own grid.
        slice_mm: Distance between slices, None for `spacing_mm` or the image's own.
        resample_to: The sequence whose grid the others are resampled to where a participant's grids differ;
            None refuses grids that differ.
        normalisation: One method for all sequences, or one for each: names of `intensity.METHODS`.

    Raises:
        InputError: A value that is not legal.
    """

    sequences: tuple[str, ...]
    radius: int
    slices: int = 1
    spacing_mm: float | None = None
    slice_mm: float | None = None
    resample_to: str | None = None
    normalisation: str | tuple[str, ...] = "zscore"

    def __post_init__(self) -> None:
        problems = Problems()
        if not self.sequences or len(set(self.sequences)) < len(self.sequences):
            problems.add(
                "sequences", f"at least one and each once is needed, but got {list(self.sequences)}."
            )
        if not 0 <= self.radius <= _MAX_RADIUS:
            problems.add("patch radius", f"0 to {_MAX_RADIUS} voxels are possible, but got {self.radius}.")
        if self.slices % 2 != 1 or not 1 <= self.slices <= MOST_SLICES:
            problems.add("slices", f"an odd number is needed, but got {self.slices}.")
        low, high = SPACING_MM
        if self.spacing_mm is not None and not low <= self.spacing_mm <= high:
            problems.add("spacing_mm", f"{low:g} to {high:g} mm are possible, but got {self.spacing_mm}.")
        self._check_slices(problems)
        self._check_methods(problems)
        problems.raise_any()

    @property
    def methods(self) -> tuple[str, ...]:
        """The normalisation of each sequence."""
        if isinstance(self.normalisation, str):
            return (self.normalisation,) * len(self.sequences)
        return self.normalisation

    def _check_slices(self, problems: Problems) -> None:
        low, high = SLICE_MM
        if self.slice_mm is None:
            return
        if not low <= self.slice_mm <= high:
            problems.add("slice_mm", f"{low:g} to {high:g} mm are possible, but got {self.slice_mm}.")
        if self.slices == 1:
            problems.add("slice_mm", "only several slices have a distance, but got slices = 1.")

    def _check_methods(self, problems: Problems) -> None:
        if len(self.methods) != len(self.sequences):
            problems.add(
                "normalisation",
                f"one method a sequence is needed, but got {len(self.methods)} for {len(self.sequences)}.",
            )
        for method in dict.fromkeys(self.methods):
            if method not in METHODS:
                problems.add("normalisation", f"unknown method '{method}'; {nearest(method, METHODS)}.")


@dataclass(frozen=True, eq=False)
class PatchSet:
    """Patches of n biopsies in C sequences, edge E = 2 * radius + 1, S slices.

    Attributes:
        raw: Intensities before normalisation, shape (n, E, E, S * C); 0 where padded or absent.
        padding: Voxels beyond the grid that patches are cut on, shape (n, E, E, S).
        present: Whether the biopsy has the sequence, shape (n, C).
        mean: What each image's intensities are taken relative to (`intensity.Scale.location`), shape (n, C);
            0 if absent or not normalised.
        std: What they are then divided by, shape (n, C); 1 if absent or not normalised.
        landmarks: Percentiles of each image by which a histogram is matched, shape (n, C,
            `intensity.LANDMARKS`); 0 if absent or not needed.
        voxel_mm: Edges of the patch's voxels along its two axes, float64 of shape (n, 2).
        unseen: Voxels of the grid that lie beyond the field of view of a sequence which the biopsy has, shape
            (n, E, E, S * C); None where there are none, as always where no grids differ.
        biopsy_id: n names.
        participant_id: n names.
        request: What was asked for.
    """

    raw: FloatArray
    padding: BoolArray
    present: BoolArray
    mean: FloatArray
    std: FloatArray
    landmarks: FloatArray
    voxel_mm: DoubleArray
    biopsy_id: tuple[str, ...]
    participant_id: tuple[str, ...]
    request: PatchRequest
    unseen: BoolArray | None = None

    def __post_init__(self) -> None:
        for array in self.arrays().values():
            array.flags.writeable = False

    @cached_property
    def hash(self) -> str:
        """sha256 of all the attributes."""
        text = json.dumps([asdict(self.request), self.biopsy_id, self.participant_id], sort_keys=True)
        digest = hashlib.sha256(text.encode())
        for name, array in self.arrays().items():
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.biopsy_id)

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the C sequences."""
        return self.request.sequences

    @property
    def slices(self) -> int:
        """Number of axial slices S."""
        return self.request.slices

    @property
    def radius(self) -> int:
        """The largest radius that can be asked for."""
        return self.request.radius

    @property
    def channel_names(self) -> tuple[str, ...]:
        """S * C names: "T1" in the site's slice, "T1[-1]" in the one below, "T1[+1]" above."""
        offsets = range(-(self.slices // 2), self.slices // 2 + 1)
        return tuple(f"{name}[{dz:+d}]" if dz else name for dz in offsets for name in self.sequences)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays by attribute name, those that there are."""
        names = ("raw", "padding", "present", "mean", "std", "landmarks", "voxel_mm", "unseen")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def images(self, radius: int) -> FloatArray:
        """Normalised crops.

        Voxels beyond the grid, and beyond a sequence's own field of view, count as intensity 0, which is air;
        absent sequences are exactly 0 after normalisation.

        Args:
            radius: At most `self.radius`.

        Returns:
            Shape (n, 2 * radius + 1, 2 * radius + 1, S * C), a copy.
        """
        shape = (len(self), 1, 1, len(self.channel_names))
        mean, std = np.tile(self.mean, self.slices), np.tile(self.std, self.slices)
        images = (self.raw[self._crop(radius)] - mean.reshape(shape)) / std.reshape(shape)
        return images.astype(np.float32, copy=False)

    def raw_images(self, radius: int) -> FloatArray:
        """Crops before normalisation, shape as of `images`, a copy."""
        return np.array(self.raw[self._crop(radius)])

    def padded(self, radius: int) -> IntArray:
        """Number of voxels of each crop, over its slices but in one channel, beyond the grid; shape (n,)."""
        return np.asarray(self.padding[self._crop(radius)].sum(axis=(1, 2, 3)), dtype=np.int64)

    def measured(self, radius: int) -> BoolArray:
        """Which voxels of the crops have an intensity: not absent, padded or unseen; shape as of `images`."""
        inside = np.repeat(~self.padding[self._crop(radius)], len(self.sequences), axis=3)
        inside &= np.tile(self.present, self.slices)[:, None, None, :]
        return inside if self.unseen is None else inside & ~self.unseen[self._crop(radius)]

    def take(self, rows: Sequence[int] | IntArray) -> PatchSet:
        """The patches of some biopsies, in the order of `rows`."""
        chosen = np.asarray(rows, dtype=np.int64)
        return PatchSet(
            **{name: array[chosen] for name, array in self.arrays().items()},
            biopsy_id=tuple(self.biopsy_id[row] for row in chosen),
            participant_id=tuple(self.participant_id[row] for row in chosen),
            request=self.request,
        )

    def aligned(self, biopsy_id: Sequence[str], participant_id: Sequence[str]) -> PatchSet:
        """The patches of some biopsies in their order; one that is not in the set has no sequence at all.

        Args:
            biopsy_id: n names.
            participant_id: Whose each is, n names.
        """
        place = {name: row for row, name in enumerate(self.biopsy_id)}
        rows = np.array([place.get(name, 0) for name in biopsy_id], dtype=np.int64)
        absent = np.array([name not in place for name in biopsy_id])
        arrays = {name: array[rows] for name, array in self.arrays().items()}
        for name in arrays.keys() & _BLANK.keys():
            arrays[name][absent] = _BLANK[name]
        return PatchSet(
            **arrays,
            biopsy_id=tuple(biopsy_id),
            participant_id=tuple(participant_id),
            request=self.request,
        )

    def _crop(self, radius: int) -> tuple[slice, slice, slice]:
        if not 0 <= radius <= self.radius:
            raise InputError(f"patch radius: 0 to {self.radius} were extracted, but got {radius}.")
        inner = slice(self.radius - radius, self.radius + radius + 1)
        return (slice(None), inner, inner)
