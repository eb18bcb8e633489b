"""Patches: the axial neighbourhood of every biopsy in every sequence, cut out of the volumes of a cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from data_prep.arrays import BoolArray
from data_prep.brain import BrainMask, read_brain
from data_prep.fallback import check_fallbacks
from data_prep.intensity import LANDMARKS
from data_prep.memory import memory_bytes
from data_prep.patch_set import PatchRequest, PatchSet
from data_prep.problems import InputError, Problems, nearest
from data_prep.records import Cohort
from data_prep.sampling import own_view, view_of
from data_prep.scan import read_boxes
from data_prep.spacing import in_plane_mm
from data_prep.survey import Progress, Visit, damage, in_parallel, survey
from data_prep.volumes import Volume

__all__ = ["PatchRequest", "PatchSet", "extract_patches"]

# Of the machine's memory; normalised, cropped and shuffled, patches are there several times over.
_MEMORY_SHARE = 0.25

_Read = TypeVar("_Read")


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
    named = [("sequences", name) for name in request.sequences]
    for where, name in [*named, ("resample_to", request.resample_to)]:
        if name is not None and name not in cohort.sequences:
            problems.add(where, f"unknown name '{name}'; {nearest(name, cohort.sequences)}.")
    _check_memory(request, len(cohort.biopsies), problems)
    problems.raise_any()
    found = survey(cohort, request.sequences, problems, request.resample_to)
    check_fallbacks(cohort, request, found.visits, problems)
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
        self.present = np.zeros((k, channels), dtype=np.bool_)
        self.mean = np.zeros((k, channels), dtype=np.float32)
        self.std = np.ones((k, channels), dtype=np.float32)
        self.landmarks = np.zeros((k, channels, LANDMARKS), dtype=np.float32)
        self.unseen: list[tuple[int, int, BoolArray]] = []
        self.problems: list[str] = []
        self._cohort, self._methods, self._grid = cohort, request.methods, visit.grid
        self._own = own_view(request, visit)
        self.padding = np.stack([self._own.padding(row) for row in range(k)])
        self.voxel_mm = np.tile(in_plane_mm(request.spacing_mm, visit.grid), (k, 1))

    @classmethod
    def read(cls, cohort: Cohort, request: PatchRequest, visit: Visit) -> _Block:
        block = cls(cohort, request, visit)
        mask = None
        if visit.brain is not None and any(method != "none" for method in request.methods):
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
        """Read one sequence; a site beyond its field of view has none."""
        view = view_of(self._own, self._grid, volume.grid)
        rows = np.flatnonzero(view.covered).tolist()
        boxes, scale = read_boxes(volume, [view.box(row) for row in rows], mask, self._methods[channel])
        self.present[rows, channel], self.landmarks[rows, channel] = True, scale.landmarks
        self.mean[rows, channel], self.std[rows, channel] = scale.location, scale.spread
        for row, near in zip(rows, boxes, strict=True):
            self.raw[row, ..., channel] = np.where(self.padding[row], 0.0, view.cut(row, near))
            beyond = view.padding(row) & ~self.padding[row]
            if beyond.any():
                self.unseen.append((int(self.rows[row]), channel, beyond))


def _unseen(blocks: Sequence[_Block], shape: tuple[int, ...]) -> BoolArray | None:
    """`PatchSet.unseen` of rows in their order; `shape` is (n, E, E, S, C)."""
    found = [mark for block in blocks for mark in block.unseen]
    if not found:
        return None
    unseen = np.zeros(shape, dtype=np.bool_)
    for row, channel, beyond in found:
        unseen[row, ..., channel] = beyond
    return unseen.reshape(*shape[:3], -1)


def _assemble(cohort: Cohort, request: PatchRequest, blocks: Sequence[_Block]) -> PatchSet:
    order = np.argsort(np.concatenate([block.rows for block in blocks]))
    names = ("raw", "padding", "present", "mean", "std", "landmarks", "voxel_mm")
    arrays = {name: np.concatenate([getattr(block, name) for block in blocks])[order] for name in names}
    edge = 2 * request.radius + 1
    return PatchSet(
        **arrays | {"raw": arrays["raw"].reshape(len(order), edge, edge, -1)},
        unseen=_unseen(blocks, arrays["raw"].shape),
        biopsy_id=tuple(biopsy.biopsy_id for biopsy in cohort.biopsies),
        participant_id=tuple(biopsy.participant_id for biopsy in cohort.biopsies),
        request=request,
    )
