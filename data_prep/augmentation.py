"""Augmentation of patches: drawn first, then applied, all samples at once.

Flips, quarter turns and whole-voxel shifts move voxels without interpolating: intensities stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import BoolArray, FloatArray, IntArray
from data_prep.problems import InputError, nearest

AUGMENTATIONS = ("flip", "rotate", "jitter")

# In voxels: registration and localisation errors of biopsies are a few mm.
_JITTER_SD = 1.5


@dataclass(frozen=True, eq=False)
class Draw:
    """What is done to each of n samples.

    Attributes:
        flip_x: Mirror left and right, shape (n,).
        flip_y: Mirror back and front, shape (n,).
        quarter_turns: From the first axis towards the second, 0 to 3, shape (n,).
        shift: Where the centre moves along both axes, in voxels, shape (n, 2).
    """

    flip_x: BoolArray
    flip_y: BoolArray
    quarter_turns: IntArray
    shift: IntArray


def draw(names: Sequence[str], n: int, rng: np.random.Generator, margin: int) -> Draw:
    """Draw the augmentation of n samples.

    The generator advances by the same amount whichever names are given, so that leaving one out leaves the
    others as they were.

    Args:
        names: Some of `AUGMENTATIONS`; none gives plain centre crops.
        n: Number of samples.
        rng: The source of randomness.
        margin: The largest shift in voxels that the images have room for.

    Raises:
        InputError: An unknown name.
    """
    unknown = [name for name in names if name not in AUGMENTATIONS]
    if unknown:
        raise InputError(
            f"augmentation: unknown name '{name}'; {nearest(name, AUGMENTATIONS)}." for name in unknown
        )
    flips = rng.random((2, n)) < 0.5
    turns = rng.integers(4, size=n)
    shift = np.clip(np.rint(rng.normal(0.0, _JITTER_SD, size=(n, 2))), -margin, margin).astype(np.int64)
    return Draw(
        flips[0] & ("flip" in names),
        flips[1] & ("flip" in names),
        turns * ("rotate" in names),
        shift * ("jitter" in names),
    )


def apply(drawn: Draw, images: FloatArray, radius: int) -> FloatArray:
    """Crop each image around its shifted centre, mirror it, then turn it.

    Args:
        drawn: For n samples.
        images: Shape (n, 2 * (radius + margin) + 1, the same, channels).
        radius: Of the result.

    Returns:
        Shape (n, 2 * radius + 1, 2 * radius + 1, channels), a copy.

    Raises:
        ValueError: The images are too small for the radius and the shifts.
    """
    centre = images.shape[1] // 2
    room = centre - radius
    if room < int(np.abs(drawn.shift).max(initial=0)) or images.shape[1] != images.shape[2]:
        raise ValueError(f"square images with room for the shifts are needed, but got {images.shape}.")
    x, y = _sources(drawn, radius)
    samples = np.arange(len(images))[:, None, None]
    return np.asarray(images[samples, x + centre, y + centre], dtype=np.float32)


def _sources(drawn: Draw, radius: int) -> tuple[IntArray, IntArray]:
    """Offsets from the centre at which the result is read, two arrays of shape (n, edge, edge)."""
    offsets = np.arange(-radius, radius + 1)
    u, v = offsets[None, :, None], offsets[None, None, :]
    # Cosine and sine of the quarter turns; a result turned one way is read at places turned the other way.
    cos = np.array([1, 0, -1, 0])[drawn.quarter_turns][:, None, None]
    sin = np.array([0, 1, 0, -1])[drawn.quarter_turns][:, None, None]
    x, y = cos * u + sin * v, cos * v - sin * u
    x = np.where(drawn.flip_x[:, None, None], -x, x) + drawn.shift[:, 0, None, None]
    y = np.where(drawn.flip_y[:, None, None], -y, y) + drawn.shift[:, 1, None, None]
    return x.astype(np.int64), y.astype(np.int64)
