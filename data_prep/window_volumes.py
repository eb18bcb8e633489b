"""The sequences of a visit in memory, each read once: those with the grid's voxels, the others as splines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from data_prep.brain import BrainMask
from data_prep.geometry import Grid, between, same_places
from data_prep.intensity import Scale
from data_prep.patch_set import PatchRequest
from data_prep.resample import Box, are_voxels, padding
from data_prep.sampling import View, own_view, view_of
from data_prep.scan import read_boxes
from data_prep.splines import BEYOND, fit_spline, read_lattices, read_spline
from data_prep.survey import Visit, in_parallel
from data_prep.volumes import Volume
from data_prep.window_stack import Stack, Window

# A part of a voxel by which grids may be shifted and still count as shifted by whole ones: places are rounded
# to thousandths, and less than half of one is nothing.
_NO_SHIFT: Final = 4e-4

# Points that are worked on at once, so that windows take little more memory than what comes of them.
_POINTS: Final = 2**20
_TAPS: Final = 4.0  # voxels along each axis that a point of a cubic spline hangs on

_FLOAT: Final = np.dtype(np.float32).itemsize


@dataclass(frozen=True, eq=False)
class Held:
    """One sequence of a visit.

    Attributes:
        grid: Its own.
        scale: Of its intensities.
        place: Among the volumes of the stack; None of one that has other voxels than the visit's grid.
        spline: As `splines.fit_spline` gives it where samples lie between voxels; None where they are copied.
    """

    grid: Grid
    scale: Scale
    place: int | None
    spline: FloatArray | None


class VisitVolumes:
    """What windows of a visit are cut from, a sequence after the other.

    Args:
        request: What is to be cut.
        visit: As `survey` found it.

    Attributes:
        held: The sequences that were read, by channel of the request.
    """

    def __init__(self, request: PatchRequest, visit: Visit) -> None:
        self.held: dict[int, Held] = {}
        self._request, self._visit = request, visit
        self._own = own_view(request, visit)
        self._copies = are_voxels(self._own.offsets, self._own.edges)
        self._shifts = self._lattices()
        window = Window()
        if self._copies:
            above = self._own.offsets[2, 0, 0]
            apart = int(above[1] - above[0]) if request.slices > 1 else 1
            window = Window(request.radius, request.slices, apart)
        self._stack = Stack(visit.grid.canonical_shape, len(self._shifts), window)

    def _lattices(self) -> dict[int, IntArray]:
        """The channels with the voxels of the visit's grid, and which of theirs its first one is.

        Files of another extent are among them where samples are copied.
        """
        found = {}
        for channel in self.channels:
            grid = self.file(channel).grid
            turn, shift = between(self._visit.grid, grid)
            is_whole = np.array_equal(turn, np.eye(3)) and np.abs(shift - np.rint(shift)).max() < _NO_SHIFT
            if same_places(self._visit.grid, grid):
                found[channel] = np.zeros(3, dtype=np.int64)
            elif self._copies and is_whole:
                found[channel] = np.rint(shift).astype(np.int64)
        return found

    @property
    def channels(self) -> list[int]:
        """Of the request, those that there are."""
        names = enumerate(self._request.sequences)
        return [channel for channel, name in names if name in self._visit.images]

    def file(self, channel: int) -> Volume:
        """Where a sequence is read from."""
        return self._visit.images[self._request.sequences[channel]]

    def read(self, channel: int, mask: BrainMask | None) -> None:
        """Read one sequence to its end, its voxels and its scale in one pass.

        Raises:
            InputError: As `scan.read_boxes`.
        """
        volume = self.file(channel)
        whole = Box((0, 0, 0), volume.grid.canonical_shape)
        (voxels,), scale = read_boxes(volume, [whole], mask, self._request.methods[channel])
        place, spline = None, None
        if channel in self._shifts:
            place = [*self._shifts].index(channel)
            self._stack.put(place, voxels, self._shifts[channel])
        if place is None or not self._copies:
            spline = fit_spline(voxels, view_of(self._own, self._visit.grid, volume.grid).edges)
        self.held[channel] = Held(volume.grid, scale, place, spline)

    def at(self, voxels: IntArray) -> View:
        """The samples of windows around canonical voxels as a volume on the visit's grid has them."""
        return View(self._own.shape, voxels.astype(np.float64), self._own.offsets, self._own.edges)

    def seen_by(self, held: Held, own: View) -> View:
        """The same samples as a sequence has them."""
        return view_of(own, self._visit.grid, held.grid)

    def raw(self, own: View, voxels: IntArray, beyond: BoolArray) -> FloatArray:
        """Intensities before normalisation, 0 where there are none.

        Args:
            own: As `at` gives it for the voxels.
            voxels: Canonical, shape (m, 3).
            beyond: Samples beyond the visit's grid, shape (m, E, E, S).

        Returns:
            Shape (m, E, E, S, C).
        """
        copied = [channel for channel in self._shifts if channel in self.held] if self._copies else []
        if len(copied) == len(self._request.sequences):
            found = self._stack.cut(voxels)
        else:
            found = np.zeros((*beyond.shape, len(self._request.sequences)), dtype=np.float32)
            if copied:
                found[..., copied] = self._stack.cut(voxels)
        splines = [channel for channel in self.held if channel not in copied]
        in_parallel(partial(self._interpolate, own, beyond, found), splines, None)
        return found

    def _interpolate(self, own: View, beyond: BoolArray, found: FloatArray, channel: int) -> None:
        """Fill in one sequence that is read between its voxels, some windows at a time."""
        held = self.held[channel]
        if held.spline is None:
            return
        view = self.seen_by(held, own)
        for rows in in_pieces(np.arange(len(beyond)), view):
            some = found[int(rows[0]) : int(rows[-1]) + 1, ..., channel]
            if view is own:
                values = read_lattices(held.spline, view.centres[rows].astype(np.int64), _axes(view))
                np.copyto(some, values, where=~beyond[rows])
            else:
                points = points_of(view, rows)
                inside = ~(beyond[rows] | padding(points, view.shape))
                some[inside] = read_spline(held.spline, points[:, inside])

    def volume(self, channel: int) -> FloatArray:
        """One sequence at the voxels of the visit's grid, canonical; 0 where it has none there."""
        held = self.held[channel]
        if held.place is not None:
            return self._stack.volume(held.place)
        nx, ny, nz = self._visit.grid.canonical_shape
        found = np.zeros((nx, ny, nz), dtype=np.float32)
        for z in range(nz):
            plane = np.indices((nx, ny, 1)).reshape(3, -1).T + np.array([0, 0, z])
            found[:, :, z] = self._at_voxels(held, plane)[0].reshape(nx, ny)
        return found

    def intensities(self, channel: int, voxels: IntArray) -> tuple[FloatArray, BoolArray]:
        """What a sequence shows at voxels, and whether they lie in its field of view; shape (m,) each."""
        return self._at_voxels(self.held[channel], voxels)

    def _at_voxels(self, held: Held, voxels: IntArray) -> tuple[FloatArray, BoolArray]:
        view = self.seen_by(held, self.at(voxels))
        if held.place is not None:
            return self._stack.volume(held.place)[tuple(voxels.T)], view.covered
        found = np.zeros(len(voxels), dtype=np.float32)
        if held.spline is not None:
            found[view.covered] = read_spline(held.spline, view.centres[view.covered].T)
        return found, view.covered


def _axes(view: View) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Offsets of the samples along each axis of the grid that windows are cut on."""
    x, y, z = view.offsets
    return x[:, 0, 0], y[0, :, 0], z[0, 0, :]


def points_of(view: View, rows: IntArray) -> DoubleArray:
    """Canonical voxel coordinates of some windows, shape (3, rows, E, E, S)."""
    centres = view.centres[rows].T[:, :, None, None, None]
    return np.asarray(centres + view.offsets[:, None])


def outside(view: View) -> BoolArray:
    """Which samples of all windows lie in no voxel of the volume, shape (m, E, E, S)."""
    beyond = np.zeros((len(view.centres), *view.offsets.shape[1:]), dtype=np.bool_)
    # A window is a box: where its corners lie inside, so does the rest of it.
    corners = view.offsets[:, [0, -1]][:, :, [0, -1]][..., [0, -1]].reshape(3, -1)
    at_edge = padding(view.centres.T[:, :, None] + corners[:, None], view.shape).any(axis=1)
    rows = np.flatnonzero(at_edge)
    for some in in_pieces(rows, view):
        beyond[some] = padding(points_of(view, some), view.shape)
    return beyond


def in_pieces(rows: IntArray, view: View) -> list[IntArray]:
    """Windows that are worked on at once, so that their points and voxels take little memory."""
    voxels = math.prod(float(np.ptp(along)) + _TAPS for along in view.offsets)
    step = max(1, int(_POINTS // max(view.offsets[0].size, voxels)))
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def bytes_of(request: PatchRequest, visit: Visit) -> int:
    """About how much memory the volumes of a visit take, each as a copy and, if need be, as a spline."""
    own = own_view(request, visit)
    copies = are_voxels(own.offsets, own.edges)
    needed = 0
    for name in visit.images.keys() & set(request.sequences):
        grid = visit.images[name].grid
        is_own = same_places(visit.grid, grid)
        needed += _FLOAT * math.prod(visit.grid.shape) * is_own
        needed += _FLOAT * math.prod(size + 2 * BEYOND for size in grid.shape) * (not (copies and is_own))
    return needed
