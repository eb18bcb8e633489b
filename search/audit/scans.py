"""Every image of a cohort to compare: a hash of its voxels, and a small picture of its detail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.geometry import Grid
from data_prep.problems import Problems
from data_prep.records import Cohort
from data_prep.survey import Visit, in_parallel, survey
from data_prep.volumes import Volume, slabs

EDGE = 32  # blocks along each axis of the window: of a head of 240 mm, 7.5 mm each
CELLS = 64  # at most, along each axis of an image, that blocks are made of: half a block each
HEAD = 0.2  # of the strongest voxels (99 %): what differs more from the border is head, a judgement
FINE, COARSE = 1.0, 2.0  # blocks: detail is what lies between two Gaussians of these deviations
CONTRAST_FLOOR = 0.3  # of the detail's own deviation, so that flat regions do not become noise
ROUNDING = 1e-9  # of the intensities: detail below it is none

Progress = Callable[[int, int], None]
Slabs = Iterator[tuple[int, npt.NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class Scan:
    """One image.

    Attributes:
        visit: The visit that it belongs to, by its place in `Scans.visits`.
        participants: Whose it is by the table: one, unless several ids name the same file.
        sequence: Its sequence.
        path: The file, links resolved.
        content: sha256 of its voxels as stored.
        flat: Whether it has at most two different values, as a mask has.
        detail: Its detail in a window around the head's centre, at equal local contrast, shape (32, 32, 32).
    """

    visit: int
    participants: tuple[str, ...]
    sequence: str
    path: Path
    content: str
    flat: bool
    detail: FloatArray


@dataclass(frozen=True, eq=False)
class Scans:
    """The images of a cohort, and the visits that they belong to.

    Attributes:
        cohort: The cohort.
        visits: Those with a biopsy of the study.
        scans: Their images.
        window: Edges of the window that details are of, in mm along the canonical axes, shape (3,).
    """

    cohort: Cohort
    visits: tuple[Visit, ...]
    scans: tuple[Scan, ...]
    window: DoubleArray


def read_scans(
    cohort: Cohort,
    sequences: Sequence[str],
    biopsies: Sequence[str],
    progress: Progress | None = None,
    resample_to: str | None = None,
) -> Scans:
    """Read every image once, a slab at a time.

    Args:
        cohort: The cohort.
        sequences: Those of the study.
        biopsies: Those of the study; visits without any of them are left out.
        progress: Called with images read and in all.
        resample_to: As in `survey`.

    Raises:
        InputError: The problems of the images.
    """
    problems, wanted = Problems(), set(biopsies)
    visits = tuple(
        visit
        for visit in survey(cohort, sequences, problems, resample_to).visits
        if any(cohort.biopsies[row].biopsy_id in wanted for row in visit.rows)
    )
    problems.raise_any()
    images = [(n, name, volume) for n, visit in enumerate(visits) for name, volume in visit.images.items()]
    window = usual_size([volume for _, _, volume in images])
    found = in_parallel(lambda image: look_at(image[2], slabs(image[2]), window), images, progress)
    scans = tuple(
        Scan(n, _participants(cohort, visits[n]), name, volume.path.resolve(), *seen)
        for (n, name, volume), seen in zip(images, found, strict=True)
    )
    return Scans(cohort, visits, scans, window)


def usual_size(volumes: Sequence[Volume]) -> DoubleArray:
    """The median field of view, in mm along the canonical axes, shape (3,)."""
    sizes = [np.array(volume.grid.canonical_shape) * volume.grid.voxel_size for volume in volumes]
    return np.asarray(np.median(sizes, axis=0), dtype=np.float64)


def look_at(volume: Volume, parts: Slabs, window: DoubleArray) -> tuple[str, bool, FloatArray]:
    """Hash, flatness and detail of a volume.

    Args:
        volume: Says how the voxels lie and are scaled.
        parts: The voxels, as `slabs` yields them.
        window: Edges in mm along the canonical axes, shape (3,).
    """
    digest, values = hashlib.sha256(str((volume.grid.shape, volume.dtype.kind)).encode()), _Values()
    starts = [_starts(size) for size in volume.grid.shape]
    sums = np.zeros([len(each) for each in starts])
    for start, slab in parts:
        digest.update(np.asfortranarray(slab).tobytes(order="F"))
        values.add(slab)
        cells = volume.scaled(slab).astype(np.float64)
        for axis in (0, 1):
            cells = np.add.reduceat(cells, starts[axis], axis=axis)
        inside = np.searchsorted(starts[2], np.arange(start, start + slab.shape[2]), side="right") - 1
        for place in np.unique(inside):
            sums[:, :, place] += cells[:, :, inside == place].sum(axis=2)
    sizes = [np.diff([*each, size]) for each, size in zip(starts, volume.grid.shape, strict=True)]
    means = sums / (sizes[0][:, None, None] * sizes[1][None, :, None] * sizes[2])
    blocks = around_head(volume.grid.to_canonical(means), _edges(volume.grid, starts), window)
    return digest.hexdigest(), values.are_few, detail_of(blocks)


def around_head(cells: DoubleArray, edges: Sequence[DoubleArray], window: DoubleArray) -> DoubleArray:
    """Means of 32 blocks along each axis of a window about the head's centre.

    A copy that was cropped or padded has its head in the same blocks; beyond the image its border goes on.

    Args:
        cells: Mean intensities in canonical order, shape (a, b, c).
        edges: Where cells begin and end along each axis, in mm, shapes (a + 1,), (b + 1,), (c + 1,).
        window: Its edges in mm, shape (3,).
    """
    blocks = cells
    for axis, (centre, bounds) in enumerate(zip(head_centre(cells, edges), edges, strict=True)):
        ends = centre + window[axis] * (np.arange(EDGE + 1) / EDGE - 0.5)
        reach = bounds.copy()
        reach[0], reach[-1] = min(bounds[0], ends[0]), max(bounds[-1], ends[-1])
        low, high = np.maximum(ends[:-1, None], reach[:-1]), np.minimum(ends[1:, None], reach[1:])
        shares = np.maximum(high - low, 0.0)
        shares /= shares.sum(axis=1, keepdims=True)
        blocks = np.moveaxis(np.tensordot(shares, blocks, axes=(1, axis)), 0, axis)
    return np.asarray(blocks, dtype=np.float64)


def head_centre(cells: DoubleArray, edges: Sequence[DoubleArray]) -> list[float]:
    """The mean place of all that differs from the border, in mm along each axis, also if inverted."""
    border = np.concatenate([np.take(cells, (0, -1), axis=axis).ravel() for axis in range(3)])
    differs = np.abs(cells - np.median(border))
    is_head = differs > HEAD * np.percentile(differs, 99)
    volumes = [np.diff(bounds) for bounds in edges]
    weights = is_head * volumes[0][:, None, None] * volumes[1][None, :, None] * volumes[2]
    total = float(weights.sum())
    middles = [(bounds[1:] + bounds[:-1]) / 2 for bounds in edges]
    if not total:
        return [float((bounds[0] + bounds[-1]) / 2) for bounds in edges]
    return [
        float((weights.sum(axis=tuple({0, 1, 2} - {axis})) * middle).sum() / total)
        for axis, middle in enumerate(middles)
    ]


def detail_of(blocks: DoubleArray) -> FloatArray:
    """What tells one head from another: edges and grain, without brightness, shading and contrast.

    A band of detail is divided by its own local strength, so that a scale, an offset and a smooth change of
    brightness leave it as it is.

    Args:
        blocks: Mean intensities, shape (a, b, c).
    """
    band = gaussian_filter(blocks, FINE) - gaussian_filter(blocks, COARSE)
    strength = np.sqrt(gaussian_filter(band**2, COARSE))
    floor = CONTRAST_FLOOR * float(np.sqrt(np.mean(band**2)))
    if floor <= ROUNDING * float(np.abs(blocks).max(initial=0.0)):
        return np.zeros(blocks.shape, dtype=np.float32)
    return np.asarray(band / (strength + floor), dtype=np.float32)


def _participants(cohort: Cohort, visit: Visit) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cohort.biopsies[row].participant_id for row in visit.rows))


def _starts(size: int) -> npt.NDArray[np.int64]:
    """The first voxel of each cell along an axis."""
    cells = min(CELLS, size)
    return np.arange(cells, dtype=np.int64) * size // cells


def _edges(grid: Grid, starts: Sequence[npt.NDArray[np.int64]]) -> list[DoubleArray]:
    """Where cells begin and end along each canonical axis, in mm from the first voxel's outer face."""
    edges = [np.zeros(1)] * 3
    for (axis, direction), begins, size in zip(grid.orientation, starts, grid.shape, strict=True):
        ends = np.array([*begins, size], dtype=np.float64)
        edges[int(axis)] = (ends if direction > 0 else size - ends[::-1]) * grid.voxel_size[int(axis)]
    return edges


class _Values:
    """Keeps the two outermost values while nothing else has been seen."""

    def __init__(self) -> None:
        self._seen: set[float] = set()
        self.are_few = True

    def add(self, slab: npt.NDArray[Any]) -> None:
        """Look at some voxels; once there are three different values, at no more."""
        if not self.are_few:
            return
        self._seen |= {float(slab.min()), float(slab.max())}
        between = len(self._seen) > 2 or bool(np.any((slab != slab.min()) & (slab != slab.max())))
        self.are_few = not between
