"""Where the samples of a visit's patches lie: around each site on one grid, and in any other of its volumes.

The samples have the canonical axes of the reference grid, which is the visit's: also those of an oblique one.
On the grid's own voxels they are centred on the site's voxel, which halves round up to; with a spacing in
millimetres on the site itself, because a voxel of 5 mm may be centred 2.5 mm away from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray, FloatArray
from data_prep.geometry import Grid, between, rounded, same_places
from data_prep.patch_set import PatchRequest
from data_prep.resample import Box, cut, neighbourhood, padding, sample_points, steps, whole_where_close
from data_prep.survey import Visit


@dataclass(frozen=True, eq=False)
class View:
    """The samples of k patches as a volume has them.

    Attributes:
        shape: Of the canonical volume.
        centres: Of the patches, in canonical voxels, shape (k, 3).
        offsets: Of the samples from the centre, in canonical voxels, shape (3, E, E, S).
        edges: In voxels along each canonical axis, of what a sample stands for; shape (3,).
    """

    shape: tuple[int, int, int]
    centres: DoubleArray
    offsets: DoubleArray
    edges: DoubleArray

    @cached_property
    def covered(self) -> BoolArray:
        """Which centres lie in a voxel of the volume, shape (k,)."""
        return ~padding(self.centres.T, self.shape)

    def points(self, row: int) -> DoubleArray:
        """Canonical voxel coordinates of one patch, shape (3, E, E, S)."""
        return np.asarray(self.centres[row][:, None, None, None] + self.offsets)

    def padding(self, row: int) -> BoolArray:
        """Which samples of one patch lie in no voxel of the volume, shape (E, E, S)."""
        return padding(self.points(row), self.shape)

    def box(self, row: int) -> Box:
        """The voxels that one patch depends on."""
        return neighbourhood(self.points(row), self.edges, self.shape)

    def cut(self, row: int, near: FloatArray) -> FloatArray:
        """One patch from the voxels of its box, shape (E, E, S); 0 where there are none."""
        return cut(near, self.box(row), self.padding(row), self.points(row), self.edges)


def own_view(request: PatchRequest, visit: Visit) -> View:
    """The samples as a volume on the visit's own grid has them."""
    size, slice_mm = visit.grid.voxel_size, request.slice_mm
    edges = steps(request.spacing_mm, size)
    apart = edges.copy()
    if slice_mm is not None:
        apart[2] = steps(slice_mm, size)[2]
    axes = sample_points(np.zeros(3), apart, request.radius, request.slices)
    centres = visit.sites.astype(np.float64) if request.spacing_mm is None else visit.positions
    return View(visit.grid.canonical_shape, centres, np.stack(np.meshgrid(*axes, indexing="ij")), edges)


def view_of(own: View, grid: Grid, other: Grid) -> View:
    """The samples as a volume on another grid has them.

    Args:
        own: As `own_view` gives it.
        grid: The visit's.
        other: The volume's; `own` comes back where its voxels have the same places.
    """
    if same_places(grid, other):
        return own
    turn, shift = between(grid, other)
    return View(
        other.canonical_shape,
        rounded(own.centres @ turn.T + shift),
        np.einsum("ij,j...->i...", turn, own.offsets),
        # A box that lies aslant reaches along each axis as far as the squares of its edges' parts add up to.
        whole_where_close(np.sqrt((turn**2) @ (own.edges**2))),
    )
