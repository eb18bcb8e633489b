"""Roughly where a tumour is, from the images and the biopsies: for maps of those who have no mask of it.

A glioma is bright in FLAIR: where there is one its z-score, with that of T2, is what is looked at. Without it
each sequence counts by how far what lies around the biopsies is from the rest of the brain, in either way.
The region is what is nearer to the tissue at the biopsies than to that far from them, in one piece.

Measured, Dice with the given mask. A real, skull-stripped glioma with 12 sites drawn inside its segmentation:
0.92 by FLAIR and T2, also with 3 or 1 of the sites; 0.58 by T1 alone. 29 participants of the default phantom
on whom nothing was chosen, with what sequences they have: mean 0.86 (0.62 to 0.93) inside the brain mask, and
0.82 without one (one of them not found); 0.56 by T1, T1Gd and T2. T1Gd minus T1 beside FLAIR and T2 is no
help: 0.88 of the real one, as it shows the enhancing part alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from scipy import ndimage

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray

# Names in lower case, letters and figures alone.
_FLAIR: Final = {"flair", "t2flair", "t2f", "t2wflair"}
_T2: Final = {"t2", "t2w"}

# In mm from a biopsy: what counts as its tissue, as sites are known to some 2.5 mm, and what does not.
_NEAR: Final = 4.0
_FAR: Final = 25.0

_SCALP: Final = 15.0  # mm below the surface of a head: scalp, skull and fluid
_SMOOTH: Final = 2.0  # mm, standard deviation of the Gaussian
_CLIP: Final = 5.0  # z-scores beyond say no more
_NORMAL: Final = 1.349  # interquartile range of a standard normal distribution


def chosen_sequences(names: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Those that an estimate looks at, and whether a tumour is known to be bright in them.

    >>> chosen_sequences(["T1", "T2w", "FLAIR"]), chosen_sequences(["T1", "T2"])
    ((('T2w', 'FLAIR'), True), (('T1', 'T2'), False))
    """
    plain = {name: "".join(mark for mark in name.lower() if mark.isalnum()) for name in names}
    if not _FLAIR & set(plain.values()):
        return tuple(names), False
    return tuple(name for name, word in plain.items() if word in _FLAIR | _T2), True


def estimate(
    images: Mapping[str, FloatArray],
    inside: BoolArray,
    sites: IntArray,
    voxel_mm: DoubleArray,
    is_brain: bool = True,
) -> BoolArray:
    """The voxels that are taken for tumour; none where nothing at the biopsies stands out.

    Args:
        images: Canonical, those of `chosen_sequences`.
        inside: The brain, or the head; true somewhere.
        sites: Canonical voxels of the biopsies, shape (k, 3), k at least 1.
        voxel_mm: Edges of a voxel, shape (3,).
        is_brain: Whether `inside` is the brain; of a head only what lies deep tells of healthy tissue.
    """
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    within = inside[box]
    apart = _distance(within.shape, sites - np.array([part.start for part in box]), voxel_mm)
    near = within & (apart <= _NEAR)
    rest = within if is_brain else within & (ndimage.distance_transform_edt(within, voxel_mm) > _SCALP)
    rest = rest if rest.any() else within
    # In a small image nothing is far.
    far = rest & (apart > min(_FAR, float(np.median(apart[rest]))))
    found = np.zeros_like(inside)
    if not near.any() or not far.any():
        return found
    scores = [_score(image[box], within, rest, voxel_mm) for image in images.values()]
    _, is_bright = chosen_sequences(tuple(images))
    total = sum((_weight(score, near, rest, is_bright) * score for score in scores), np.zeros(within.shape))
    ends = float(np.median(total[near])), float(np.median(total[far]))
    if ends[0] > ends[1]:
        found[box] = _piece(within & (total > sum(ends) / 2), within, apart)
    return found


def _distance(shape: tuple[int, ...], sites: IntArray, voxel_mm: DoubleArray) -> FloatArray:
    """From each voxel to the nearest site in mm."""
    axes = np.ogrid[tuple(slice(size) for size in shape)]
    nearest = np.full(shape, np.inf, dtype=np.float32)
    for site in sites:
        squares = [((axis - at) * edge) ** 2 for axis, at, edge in zip(axes, site, voxel_mm, strict=True)]
        np.minimum(nearest, squares[0] + squares[1] + squares[2], out=nearest, casting="same_kind")
    return np.sqrt(nearest)


def _score(image: FloatArray, within: BoolArray, rest: BoolArray, voxel_mm: DoubleArray) -> FloatArray:
    """Robust z-scores, smoothed over what lies within; 0 for an image that does not vary."""
    low, middle, high = np.percentile(image[rest], (25, 50, 75))
    spread = (high - low) / _NORMAL or float(image[rest].std())
    if not spread > 0:
        return np.zeros(image.shape, dtype=np.float32)
    scores = np.where(within, np.clip((image - middle) / spread, -_CLIP, _CLIP), 0).astype(np.float32)
    share = ndimage.gaussian_filter(within.astype(np.float32), _SMOOTH / voxel_mm)
    return np.asarray(ndimage.gaussian_filter(scores, _SMOOTH / voxel_mm) / np.maximum(share, 1e-6))


def _weight(score: FloatArray, near: BoolArray, rest: BoolArray, is_bright: bool) -> float:
    """1 where a tumour is bright; else the difference that the biopsies show, in units of the variance."""
    if is_bright:
        return 1.0
    variance = float(score[rest].var())
    return float(score[near].mean() - score[rest].mean()) / variance if variance > 0 else 0.0


def _piece(found: BoolArray, within: BoolArray, apart: FloatArray) -> BoolArray:
    """The piece with the most voxels at the biopsies, without its holes; none where no piece is there."""
    labels, count = ndimage.label(ndimage.binary_opening(found))
    at_sites = np.bincount(labels[within & (apart <= _NEAR)], minlength=count + 1)
    at_sites[0] = 0
    if not at_sites.any():
        return np.zeros_like(found)
    return np.asarray(ndimage.binary_fill_holes(labels == int(at_sites.argmax())) & within)
