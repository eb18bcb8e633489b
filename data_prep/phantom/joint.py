"""The ideal linear reader of several sequences that cannot be averaged: displaced, or on grids of their own.

Sequence j shows `w_j z + eta_j + o_j` on a grid of its own, displaced by an error of variance t_j along x and
y that is drawn for each image. The covariances are those of `data_prep.phantom.kernels`, averaged over the
displacements. Without displacements the images are normal and the reader is the best there is. With them it
is the best linear one: the posterior that weighs all displacements knows a little more, and a reader who is
told them, or finds them by what the anatomy shows, reaches what is read without displacements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.answers import Reader, auc_from_rho, within_auc
from data_prep.phantom.kernels import interval_correlation, patch_axes, product
from data_prep.phantom.spec import FieldModel, Voxel


@dataclass(frozen=True)
class Channel:
    """What a patch holds of one sequence.

    Attributes:
        weight: w, what a unit of the field adds to it.
        axes: Offsets of its voxels from the middle of the site's voxel along x, y, z in mm.
        box: Edges of the box that a voxel averages; zeros for a point.
        spread: Variance of its displacement along x and along y.
    """

    weight: float
    axes: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
    box: Voxel
    spread: float


@dataclass(frozen=True)
class Moments:
    """Second moments of the voxels of all channels, in a basis of patches that are even where the axes are.

    Attributes:
        basis: From this basis to voxels, shape (voxels, d); columns are orthonormal.
        level: Covariance of the voxels with the participant's level, over tau2; shape (d,).
        site: Covariance with the field at the true site, shape (d,).
        signal: Covariance of what field and level add, shape (d, d).
        repeated: The same between two sessions, whose displacements differ.
        noise: Covariance of the noise.
        offsets: Covariance of the offsets o.
    """

    basis: DoubleArray
    level: DoubleArray
    site: DoubleArray
    signal: DoubleArray
    repeated: DoubleArray
    noise: DoubleArray
    offsets: DoubleArray

    @property
    def total(self) -> DoubleArray:
        """S, shape (d, d)."""
        return self.signal + self.noise + self.offsets


@lru_cache(maxsize=64)
def joint_reader(channels: tuple[Channel, ...], model: FieldModel) -> Reader:
    """Solve for the ideal linear score of a patch.

    Args:
        channels: What it holds; weights of 0 have nothing to tell.
        model: The constants of the field; sites are spread over its `voxel`, if there is one.

    Returns:
        The reader; its score has a number for each voxel, channel by channel, x slowest.
    """
    moments = joint_moments(channels, model)
    score = np.linalg.solve(moments.total, moments.site)
    rho = float(np.sqrt(model.kappa2 * moments.site @ score))
    within = moments.total - model.tau2 * np.outer(moments.level, moments.level) - moments.offsets
    h = moments.site - model.tau2 * moments.level
    r = float(np.sqrt(model.kappa2 / 2 * (h @ np.linalg.solve(within, h))))
    return Reader(moments.basis @ score, rho, auc_from_rho(rho), within_auc(r, model.kappa2 * model.tau2))


def plain_channels(weights: Sequence[float], model: FieldModel) -> tuple[Channel, ...]:
    """Channels of one grid, one for each weight above 0."""
    x, y = (tuple(axis.tolist()) for axis in patch_axes(model))
    spread = model.registration_sd**2
    return tuple(Channel(weight, (x, y, (0.0,)), model.box, spread) for weight in weights if weight)


def joint_moments(channels: Sequence[Channel], model: FieldModel) -> Moments:
    """The moments of a patch."""
    bases = [product([_even(axis) for axis in channel.axes]) for channel in channels]
    weights = [channel.weight for channel in channels]
    ones = [basis.sum(axis=0) for basis in bases]
    level = np.concatenate([weight * one for weight, one in zip(weights, ones, strict=True)])
    field = (1 - model.tau2) * _joined(channels, model.length, repeated=False)
    again = (1 - model.tau2) * _joined(channels, model.length, repeated=True)
    shared = model.tau2 * np.outer(level, level)
    noise = [_block(one, one, model.noise_length, 0.0) for one in channels]
    return Moments(
        basis=_diagonal(bases),
        level=level,
        site=model.tau2 * level + (1 - model.tau2) * _site(channels, bases, model),
        signal=shared + field,
        repeated=shared + again,
        noise=_diagonal([block + model.nugget * np.eye(len(block)) for block in noise]),
        offsets=_diagonal([model.offset_variance * np.outer(one, one) for one in ones]),
    )


def _site(channels: Sequence[Channel], bases: Sequence[DoubleArray], model: FieldModel) -> DoubleArray:
    through, found = model.site_sd**2, []
    for channel, basis in zip(channels, bases, strict=True):
        in_plane = through + channel.spread
        parts = zip(channel.axes, channel.box, model.box, (in_plane, in_plane, through), strict=True)
        alone = [
            interval_correlation(np.array(axis), model.length, box, site, spread)
            for axis, box, site, spread in parts
        ]
        found.append(channel.weight * (product(alone) @ basis))
    return np.concatenate(found)


def _joined(channels: Sequence[Channel], length: float, repeated: bool) -> DoubleArray:
    """The correlations of the field between all channels, times both weights.

    A channel is displaced alike at all of its voxels, but not as it is in another session.
    """
    rows = []
    for i, one in enumerate(channels):
        row = []
        for j, other in enumerate(channels):
            spread = 0.0 if i == j and not repeated else one.spread + other.spread
            row.append(one.weight * other.weight * _block(one, other, length, spread))
        rows.append(row)
    return np.block(rows)


def _block(one: Channel, other: Channel, length: float, spread: float) -> DoubleArray:
    parts = []
    for axis in range(3):
        near, far = np.array(one.axes[axis]), np.array(other.axes[axis])
        boxes = one.box[axis], other.box[axis]
        along = interval_correlation(near[:, None] - far, length, *boxes, spread if axis < 2 else 0.0)
        parts.append(_even(one.axes[axis]).T @ along @ _even(other.axes[axis]))
    return product(parts)


@lru_cache(maxsize=256)
def _even(axis: tuple[float, ...]) -> DoubleArray:
    """An orthonormal basis of the even functions on an axis that is even itself, else of all; columns.

    The best score of a patch that a reflection leaves as it is is left as it is, too.
    """
    count = len(axis)
    if not np.allclose(axis, -np.array(axis)[::-1], atol=1e-9):
        return np.eye(count)
    pairs = np.eye(count)[:, : (count + 1) // 2]
    folded = pairs + pairs[::-1]
    return np.asarray(folded / np.linalg.norm(folded, axis=0), dtype=np.float64)


def _diagonal(blocks: Sequence[DoubleArray]) -> DoubleArray:
    rows, columns = (np.cumsum([0, *(block.shape[side] for block in blocks)]) for side in (0, 1))
    whole = np.zeros((rows[-1], columns[-1]))
    for block, row, column in zip(blocks, rows[:-1], columns[:-1], strict=True):
        whole[row : row + block.shape[0], column : column + block.shape[1]] = block
    return whole
