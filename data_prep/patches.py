"""Patches: the axial neighbourhood of every biopsy in every sequence.

`patch[i, j, c]` is channel c at canonical voxel (x0 - R + i, y0 - R + j, z0): the first axis runs left to
right, the second back to front. With several slices the channels are all sequences of the lowest slice, then
of the next one up, and so on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from data_prep.brain import BrainMask, read_brain
from data_prep.memory import memory_bytes
from data_prep.problems import InputError, Problems, nearest
from data_prep.records import Cohort
from data_prep.resample import cut, neighbourhood, padding, sample_points, steps
from data_prep.scan import read_boxes
from data_prep.spacing import in_plane_mm
from data_prep.survey import Progress, Visit, damage, in_parallel, survey
from data_prep.volumes import Volume

NORMALISATIONS = ("zscore", "none")

# Of the machine's memory; normalised, cropped and shuffled, patches are there several times over.
_MEMORY_SHARE = 0.25

# Beyond these a patch is no neighbourhood of a biopsy any more, or the Gaussian no filter.
_MAX_RADIUS = 256
_SPACING_MM = (0.1, 10.0)

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class PatchRequest:
    """What to cut out.

    Attributes:
        sequences: In channel order.
        radius: In voxels of the patch; its edge is 2 * radius + 1.
        slices: Odd number of axial slices.
        spacing_mm: Edge of the patch's isotropic voxels, None for the image's own grid.
        normalisation: "zscore" per image, or "none".

    Raises:
        InputError: A value that is not legal.
    """

    sequences: tuple[str, ...]
    radius: int
    slices: int = 1
    spacing_mm: float | None = None
    normalisation: Literal["zscore", "none"] = "zscore"

    def __post_init__(self) -> None:
        problems = Problems()
        if not self.sequences or len(set(self.sequences)) < len(self.sequences):
            problems.add(
                "sequences", f"at least one and each once is needed, but got {list(self.sequences)}."
            )
        if not 0 <= self.radius <= _MAX_RADIUS:
            problems.add("patch radius", f"0 to {_MAX_RADIUS} voxels are possible, but got {self.radius}.")
        if self.slices % 2 != 1 or not 1 <= self.slices <= 2 * _MAX_RADIUS + 1:
            problems.add("slices", f"an odd number is needed, but got {self.slices}.")
        low, high = _SPACING_MM
        if self.spacing_mm is not None and not low <= self.spacing_mm <= high:
            problems.add("spacing_mm", f"{low:g} to {high:g} mm are possible, but got {self.spacing_mm}.")
        if self.normalisation not in NORMALISATIONS:
            problems.add("normalisation", f"{nearest(self.normalisation, NORMALISATIONS)}.")
        problems.raise_any()


@dataclass(frozen=True, eq=False)
class PatchSet:
    """Patches of n biopsies in C sequences, edge E = 2 * radius + 1, S slices.

    Attributes:
        raw: Intensities before normalisation, shape (n, E, E, S * C); 0 where padded or absent.
        padding: Voxels beyond the image, shape (n, E, E, S).
        present: Whether the biopsy has the sequence, shape (n, C).
        mean: Of the image as `scan.read_boxes` has it, shape (n, C); 0 if absent or not normalised.
        std: Likewise; 1 if absent or not normalised.
        voxel_mm: Edges of the patch's voxels along its two axes, float64 of shape (n, 2).
        biopsy_id: n names.
        participant_id: n names.
        request: What was asked for.
        hash: sha256 of all the above.
    """

    raw: FloatArray
    padding: BoolArray
    present: BoolArray
    mean: FloatArray
    std: FloatArray
    voxel_mm: DoubleArray
    biopsy_id: tuple[str, ...]
    participant_id: tuple[str, ...]
    request: PatchRequest
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        for array in self.arrays().values():
            array.flags.writeable = False
        object.__setattr__(self, "hash", self._content_hash())

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
        """The arrays by attribute name."""
        names = ("raw", "padding", "present", "mean", "std", "voxel_mm")
        return {name: getattr(self, name) for name in names}

    def images(self, radius: int) -> FloatArray:
        """Normalised crops.

        Padded voxels count as intensity 0, which is air; absent sequences are exactly 0 after normalisation.

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
        """Number of voxels of each crop, over its slices but in one channel, beyond the image; shape (n,)."""
        return np.asarray(self.padding[self._crop(radius)].sum(axis=(1, 2, 3)), dtype=np.int64)

    def take(self, rows: Sequence[int] | IntArray) -> PatchSet:
        """The patches of some biopsies, in the order of `rows`."""
        chosen = np.asarray(rows, dtype=np.int64)
        return PatchSet(
            **{name: array[chosen] for name, array in self.arrays().items()},
            biopsy_id=tuple(self.biopsy_id[row] for row in chosen),
            participant_id=tuple(self.participant_id[row] for row in chosen),
            request=self.request,
        )

    def _crop(self, radius: int) -> tuple[slice, slice, slice]:
        if not 0 <= radius <= self.radius:
            raise InputError(f"patch radius: 0 to {self.radius} were extracted, but got {radius}.")
        inner = slice(self.radius - radius, self.radius + radius + 1)
        return (slice(None), inner, inner)

    def _content_hash(self) -> str:
        text = json.dumps([asdict(self.request), self.biopsy_id, self.participant_id], sort_keys=True)
        digest = hashlib.sha256(text.encode())
        for name, array in self.arrays().items():
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def extract_patches(cohort: Cohort, request: PatchRequest, progress: Progress | None = None) -> PatchSet:
    """Cut the neighbourhoods of all biopsies out of the cohort's images.

    No volume is ever in memory: each passes by in slabs, and only neighbourhoods and moments stay.

    Args:
        cohort: The cohort.
        request: What to cut out.
        progress: Called with (done, total) visits (participants or their sessions), from this thread.

    Returns:
        The patches in the order of the biopsy table.

    Raises:
        InputError: Every problem of the images: unreadable, truncated or damaged files, NaN, grids that
            differ, sites outside the grid; or sequences that the cohort does not have; or patches that do not
            fit into memory.
    """
    problems = Problems()
    for name in request.sequences:
        if name not in cohort.sequences:
            problems.add("sequences", f"unknown name '{name}'; {nearest(name, cohort.sequences)}.")
    _check_memory(request, len(cohort.biopsies), problems)
    problems.raise_any()
    found = survey(cohort, request.sequences, problems)
    blocks = in_parallel(lambda visit: _Block.read(cohort, request, visit), found.visits, progress)
    for block in blocks:
        problems.extend(InputError(block.problems))
    for lines in in_parallel(lambda volume: damage(cohort, volume), found.loose, None):
        problems.extend(InputError(lines))
    problems.raise_any()
    return _assemble(cohort, request, blocks)


def _check_memory(request: PatchRequest, biopsies: int, problems: Problems) -> None:
    voxels = (2 * request.radius + 1) ** 2 * request.slices
    needed = biopsies * voxels * len(request.sequences) * np.dtype(np.float32).itemsize
    limit = _MEMORY_SHARE * memory_bytes()
    if needed > limit:
        problems.add(
            "patch radius",
            f"patches may take {limit / 2**30:.1f} GiB, {_MEMORY_SHARE:.0%} of the memory, but radius "
            f"{request.radius} with slices = {request.slices} takes {needed / 2**30:.1f} GiB.",
        )


class _Block:
    """The patches of one visit while its volumes are read, one after the other."""

    def __init__(self, cohort: Cohort, request: PatchRequest, visit: Visit) -> None:
        k, channels, edge = len(visit.rows), len(request.sequences), 2 * request.radius + 1
        self.rows = visit.rows
        self.raw = np.zeros((k, edge, edge, request.slices, channels), dtype=np.float32)
        self.present = np.zeros(channels, dtype=np.bool_)
        self.mean = np.zeros(channels, dtype=np.float32)
        self.std = np.ones(channels, dtype=np.float32)
        self.problems: list[str] = []
        self._cohort, self._zscore = cohort, request.normalisation == "zscore"
        self._step = steps(request.spacing_mm, visit.grid.voxel_size)
        self.voxel_mm = in_plane_mm(request.spacing_mm, visit.grid)
        self._points = [
            sample_points(site, self._step, request.radius, request.slices) for site in visit.sites
        ]
        shape = visit.grid.canonical_shape
        self._boxes = [neighbourhood(points, self._step, shape) for points in self._points]
        self.padding = np.stack([padding(points, shape) for points in self._points])

    @classmethod
    def read(cls, cohort: Cohort, request: PatchRequest, visit: Visit) -> _Block:
        block = cls(cohort, request, visit)
        mask = None
        if visit.brain is not None and block._zscore:
            mask = block._noting(visit.brain, read_brain)
        for channel, sequence in enumerate(request.sequences):
            if sequence in visit.images:
                block._noting(visit.images[sequence], partial(block._fill, channel, mask))
        return block

    def _noting(self, volume: Volume, read: Callable[[Volume], _Read]) -> _Read | None:
        """What was read, or None and a problem noted."""
        try:
            return read(volume)
        except InputError as error:
            self.problems.append(f"{self._cohort.label_of(volume.path)}: {error}")
            return None

    def _fill(self, channel: int, mask: BrainMask | None, volume: Volume) -> None:
        boxes, (mean, std) = read_boxes(volume, self._boxes, mask, self._zscore)
        self.present[channel], self.mean[channel], self.std[channel] = True, mean, std
        for row, near in enumerate(boxes):
            self.raw[row, ..., channel] = cut(
                near, self._boxes[row], self.padding[row], self._points[row], self._step
            )


def _assemble(cohort: Cohort, request: PatchRequest, blocks: Sequence[_Block]) -> PatchSet:
    order = np.argsort(np.concatenate([block.rows for block in blocks]))
    repeats = [len(block.rows) for block in blocks]
    edge = 2 * request.radius + 1
    raw = np.concatenate([block.raw for block in blocks])[order]
    return PatchSet(
        raw=raw.reshape(len(order), edge, edge, -1),
        padding=np.concatenate([block.padding for block in blocks])[order],
        present=np.repeat([block.present for block in blocks], repeats, axis=0)[order],
        mean=np.repeat([block.mean for block in blocks], repeats, axis=0)[order],
        std=np.repeat([block.std for block in blocks], repeats, axis=0)[order],
        voxel_mm=np.repeat([block.voxel_mm for block in blocks], repeats, axis=0)[order],
        biopsy_id=tuple(biopsy.biopsy_id for biopsy in cohort.biopsies),
        participant_id=tuple(biopsy.participant_id for biopsy in cohort.biopsies),
        request=request,
    )
