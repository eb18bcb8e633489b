"""Augmentation of patches: drawn first, then applied, all samples at once.

Flips, quarter turns and shifts by whole voxels interpolate nothing; a free rotation is bilinear.
Rotations are those of the voxel grid: where in-plane voxels are not square, resample them (`spacing_mm`).

Every draw can be had again from the seed of a training and the number of the epoch: see `epoch_generator`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from data_prep.augment_spec import SHIFT_LIMIT_SD, AugmentSpec, margin
from data_prep.inputs import ChannelLayout, fill_in, lay_out
from data_prep.patch_set import PatchSet

# Number of the stream among those of a training's seed: 0 draws weights, 1 shuffles.
_AUGMENTATION_STREAM = 2


@dataclass(frozen=True, eq=False)
class Draw:
    """What is done to each of n samples of C sequences.

    Attributes:
        flip_x: Mirror left and right, shape (n,).
        flip_y: Mirror back and front, shape (n,).
        quarter_turns: From the first axis towards the second, 0 to 3, shape (n,).
        degrees: The same way, on top of the quarter turns; float64, 0 without free rotation, shape (n,).
        shift: Where the centre moves along both axes, in voxels, shape (n, 2).
        gain: Factor of each sequence, shape (n, C).
        offset: Added after the gain; 0 for an absent sequence, which so stays 0; shape (n, C).
        dropped: Sequences shown as absent, shape (n, C).
    """

    flip_x: BoolArray
    flip_y: BoolArray
    quarter_turns: IntArray
    degrees: DoubleArray
    shift: IntArray
    gain: FloatArray
    offset: FloatArray
    dropped: BoolArray


def draw(
    spec: AugmentSpec, present: BoolArray, generator: np.random.Generator, voxel_mm: DoubleArray | float
) -> Draw:
    """Draw the augmentation of n samples.

    The generator advances by the same amount whatever is switched on, so that switching one off leaves the
    others as they were, and a larger setting is the smaller one's draw writ large.

    Args:
        spec: What to vary.
        present: Whether a sample has a sequence, shape (n, C).
        generator: The source of randomness.
        voxel_mm: In-plane edges of the samples' voxels, one number or shape (n, 2).
    """
    n, sequences = present.shape
    flips = generator.random((2, n)) < 0.5
    turns = generator.integers(4, size=(n,))
    shift = generator.standard_normal((n, 2))
    angle = generator.uniform(-1.0, 1.0, (n,))
    log_gain, offset = generator.standard_normal((2, n, sequences))
    fate = generator.random((n, sequences))
    return Draw(
        flip_x=flips[0] & spec.flip,
        flip_y=flips[1] & spec.flip,
        quarter_turns=turns * (spec.rotation == "quarter"),
        degrees=angle * spec.largest_angle,
        shift=_whole_voxels(spec, shift, np.broadcast_to(voxel_mm, (n, 2))),
        gain=np.exp(log_gain * spec.intensity_scale).astype(np.float32),
        offset=np.where(present, offset * spec.intensity_shift, 0.0).astype(np.float32),
        dropped=_dropped(spec.channel_dropout, present, fate),
    )


def _whole_voxels(spec: AugmentSpec, shift: DoubleArray, voxel_mm: DoubleArray) -> IntArray:
    """Shifts in standard deviations, as voxels within the limit for each sample's own voxels."""
    limit = np.ceil(SHIFT_LIMIT_SD * spec.jitter_mm / voxel_mm)
    return np.clip(np.rint(shift * spec.jitter_mm / voxel_mm), -limit, limit).astype(np.int64)


def _dropped(probability: float, present: BoolArray, fate: DoubleArray) -> BoolArray:
    """Which present sequences go; the one with the highest fate stays even when all of them should."""
    dropped = np.asarray(present & (fate < probability))
    dropped[np.arange(len(fate)), np.where(present, fate, -1.0).argmax(axis=1)] = False
    return dropped


def epoch_generator(seed: int, epoch: int) -> np.random.Generator:
    """The generator of one epoch's augmentation: `default_rng([seed, 2, epoch])`, independent of all others.

    Args:
        seed: Of the training.
        epoch: Counted from 1.

    >>> epoch_generator(7, 3).random() == np.random.default_rng([7, 2, 3]).random()
    True
    """
    return np.random.default_rng([seed, _AUGMENTATION_STREAM, epoch])


def replay(
    spec: AugmentSpec, present: BoolArray, voxel_mm: DoubleArray | float, seed: int, epoch: int
) -> Draw:
    """The draw that a training with this seed used in an epoch, counted from 1; arguments as of `draw`."""
    return draw(spec, present, epoch_generator(seed, epoch), voxel_mm)


def epochs(
    spec: AugmentSpec, patches: PatchSet, radius: int, layout: ChannelLayout, fill: FloatArray | None = None
) -> Callable[[np.random.Generator], FloatArray]:
    """What makes an epoch's augmented copy of `lay_out(patches, radius, layout)`.

    Args:
        spec: What to vary.
        patches: Those that are trained on, with `margin` voxels beyond the radius.
        radius: Of the patches that the network sees.
        layout: Of the channels.
        fill: What is shown of sequences that are absent or dropped, as it is, neither moved nor brightened:
            shape (2 * radius + 1, the same, S * C); None for 0.

    Raises:
        InputError: The patches have too little room.
    """
    present, voxel_mm = patches.present, patches.voxel_mm
    room = margin(spec, radius, float(voxel_mm.min()))
    wide = lay_out(patches, radius + room, layout)

    def augment(generator: np.random.Generator) -> FloatArray:
        drawn = draw(spec, present, generator, voxel_mm)
        images = apply(drawn, wide, radius, layout)
        fill_in(images, present & ~drawn.dropped, layout, fill)
        return images

    return augment


def apply(drawn: Draw, images: FloatArray, radius: int, layout: ChannelLayout) -> FloatArray:
    """Crop each image around its shifted centre, mirror it, turn it, then change its intensities.

    A sequence has one gain, offset and fate in all its slices. Presence channels stay as they are, but for
    those of dropped sequences, which become 0.

    Args:
        drawn: For n samples.
        images: Shape (n, 2 * (radius + margin) + 1, the same, channels), as of `inputs.lay_out`.
        radius: Of the result.
        layout: Of the channels.

    Returns:
        Shape (n, 2 * radius + 1, 2 * radius + 1, channels), a copy.

    Raises:
        ValueError: The images are too small for the radius and the draw, or not as many as were drawn for.
    """
    wanted = (len(drawn.shift), images.shape[1], images.shape[1], layout.channels)
    x, y = _sources(drawn, radius)
    centre = images.shape[1] // 2
    reach = max(float(np.abs(x).max(initial=0)), float(np.abs(y).max(initial=0)))
    if images.shape != wanted or reach > centre + 1e-6:
        raise ValueError(
            f"images of shape {wanted} that reach {reach:g} from their centre are needed, "
            f"but got {images.shape}."
        )
    read = _interpolated if drawn.degrees.any() else _moved
    result = read(images, x + centre, y + centre)
    if layout.presence:
        # Constant over a patch; interpolated, a 1 could become the float below it.
        constant = slice(layout.channels - len(layout.presence), None)
        result[..., constant] = images[:, centre, centre, None, None, constant]
    _change_intensities(drawn, result, layout)
    return result


def _sources(drawn: Draw, radius: int) -> tuple[DoubleArray, DoubleArray]:
    """Offsets from the centre at which the result is read, two arrays of shape (n, edge, edge)."""
    offsets = np.arange(-radius, radius + 1)
    u, v = offsets[None, :, None], offsets[None, None, :]
    cos, sin = (part[:, None, None] for part in _direction(drawn.degrees + 90.0 * drawn.quarter_turns))
    # A result turned one way is read at places turned the other way.
    x, y = cos * u + sin * v, cos * v - sin * u
    x = np.where(drawn.flip_x[:, None, None], -x, x) + drawn.shift[:, 0, None, None]
    y = np.where(drawn.flip_y[:, None, None], -y, y) + drawn.shift[:, 1, None, None]
    return x, y


def _direction(degrees: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Cosine and sine, exactly -1, 0 or 1 for whole quarter turns."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    whole = degrees % 90.0 == 0.0
    return np.where(whole, np.rint(cos), cos), np.where(whole, np.rint(sin), sin)


def _moved(images: FloatArray, x: DoubleArray, y: DoubleArray) -> FloatArray:
    """The voxels at whole coordinates."""
    samples = np.arange(len(images))[:, None, None]
    return np.asarray(images[samples, x.astype(np.int64), y.astype(np.int64)], dtype=np.float32)


def _interpolated(images: FloatArray, x: DoubleArray, y: DoubleArray) -> FloatArray:
    """Bilinear values: a sparse matrix with the weights of four neighbours a row, times the voxels."""
    # Only here, because it is slow to load and most programs augment nothing.
    from scipy.sparse import csr_array

    n, edge, _, channels = images.shape
    left, low = np.floor(x), np.floor(y)
    right, high = x - left, y - low
    voxels, weights = np.empty((*x.shape, 4), np.int32), np.empty((*x.shape, 4), np.float32)
    first = np.arange(n)[:, None, None] * edge
    for k, (dx, dy) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        # Beyond the last voxel the weight is 0.
        column, row = np.clip(left + dx, 0, edge - 1), np.clip(low + dy, 0, edge - 1)
        voxels[..., k] = (first + column) * edge + row
        weights[..., k] = (right if dx else 1 - right) * (high if dy else 1 - high)
    starts = np.arange(0, voxels.size + 1, 4, dtype=np.int32)
    shape = (x.size, n * edge * edge)
    matrix = csr_array((weights.ravel(), voxels.ravel(), starts), shape=shape)
    return np.asarray(matrix @ images.reshape(-1, channels), dtype=np.float32).reshape(*x.shape, channels)


def _change_intensities(drawn: Draw, images: FloatArray, layout: ChannelLayout) -> None:
    """Gain, offset and absence, in place."""
    kept = ~drawn.dropped
    if not kept.all() or (drawn.gain != 1.0).any():
        images *= layout.spread(drawn.gain * kept, kept)[:, None, None, :]
    if drawn.offset.any():
        images += layout.spread(drawn.offset * kept, np.zeros_like(kept))[:, None, None, :]
