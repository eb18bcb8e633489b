"""Which voxels of which sequences a patch holds, and who reads them best: the readers of a phantom."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Final, TypeAlias

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.answers import Reader, ideal_reader
from data_prep.phantom.joint import Channel, joint_reader, plain_channels
from data_prep.phantom.lattice import Lattice, lattice_of
from data_prep.phantom.spec import SEQUENCES, FieldModel, PhantomSpec

Axes: TypeAlias = tuple[DoubleArray, DoubleArray, DoubleArray]
"""Places along x, y, z in mm."""

SLICES: Final = 2
"""How many slices of each sequence a patch holds on mixed grids: those next to the site's."""

_PERIOD: Final = (2, 2, 6)  # 1 mm points along x, y, z after which mixed grids lie alike
_DIGITS: Final = 6

gaussian_reader: Final = cache(ideal_reader)


def readers(spec: PhantomSpec, weights: Sequence[float], model: FieldModel) -> list[Reader]:
    """The ideal readers of biopsies of a participant, one for each equally frequent place of a site.

    Args:
        spec: Of the gaussian kind.
        weights: What a unit of the field adds to each of `SEQUENCES`; 0 where it is missing.
        model: The constants; those of the spec, but for a radius or an error.
    """
    if spec.grids == "mixed" or model.registration_sd:
        return [joint_reader(view, model) for view in frequent_views(spec, weights, model)]
    return [gaussian_reader(float(np.square(weights).sum().round(12)), model)]


def frequent_views(
    spec: PhantomSpec, weights: Sequence[float], model: FieldModel
) -> list[tuple[Channel, ...]]:
    """What patches hold at places that sites have equally often."""
    if spec.grids != "mixed":
        return [plain_channels(weights, model)]
    places = np.array(list(product(*(range(count) for count in _PERIOD)))) + spec.size // 2
    return [_canonical(channels_at(spec, weights, place.astype(float), model)) for place in places]


def channels_at(
    spec: PhantomSpec, weights: Sequence[float], place: DoubleArray, model: FieldModel
) -> tuple[Channel, ...]:
    """What a patch holds around the point of the reference grid at `place` mm, shape (3,)."""
    if spec.grids != "mixed":
        return plain_channels(weights, model)
    return tuple(
        _channel(weight, lattice_of(spec, SEQUENCES[index]), place, model)
        for index, weight in enumerate(weights)
        if weight
    )


def _channel(weight: float, lattice: Lattice, place: DoubleArray, model: FieldModel) -> Channel:
    """The voxels of a grid whose middles lie within the radius, in the slices next to the site."""
    x, y, z = (_offsets(lattice, axis, place[axis], model.radius) for axis in range(3))
    near = sorted(z, key=lambda offset: (abs(offset), offset))[:SLICES]
    return Channel(weight, (x, y, tuple(sorted(near))), lattice.box, model.registration_sd**2)


def _offsets(lattice: Lattice, axis: int, at: float, radius: float) -> tuple[float, ...]:
    edge, origin = lattice.edges[axis], lattice.origin[axis]
    low, high = ((at + side * (radius + 1e-6) - origin) / edge for side in (-1, 1))
    offsets = origin + edge * np.arange(np.ceil(low), np.floor(high) + 1) - at
    return tuple(offsets.round(_DIGITS).tolist())


def _canonical(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """The same view or its mirror image, which is read as well, along each axis: whichever sorts first."""
    flips = [_flipped(channels, axis) for axis in range(3)]
    axes = [min(tuple(channel.axes[axis] for channel in channels), flips[axis]) for axis in range(3)]
    return tuple(
        Channel(channel.weight, (axes[0][i], axes[1][i], axes[2][i]), channel.box, channel.spread)
        for i, channel in enumerate(channels)
    )


def _flipped(channels: Sequence[Channel], axis: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(-offset + 0.0 for offset in channel.axes[axis][::-1]) for channel in channels)


def voxel_places(channel: Channel, place: DoubleArray) -> Axes:
    """The axes of a channel's voxels in mm around a place."""
    x, y, z = (np.array(axis) + at for axis, at in zip(channel.axes, place, strict=True))
    return x, y, z
