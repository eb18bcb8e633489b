"""Slices of volumes as pictures of a page: grey levels, marks, outlines.

Pictures show the participant's left on the left, in sagittal slices the back; up is front in axial slices and
top in the others.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import binary_erosion

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray

RADIUS: Final = 8
"""Of the patches shown, in voxels: that of the source report's Figure 2."""

PLANES: Final = {"sagittal": 0, "coronal": 1, "axial": 2}
"""The canonical axis that each looks along."""

ENDS: Final = {"sagittal": ("P", "A"), "coronal": ("L", "R"), "axial": ("L", "R")}
"""Letters of what lies to the left and to the right of each: left, right, posterior, anterior."""

_QUALITY: Final = 72  # of JPEG; a slice of 144 pixels takes 3 kB
_SAMPLED: Final = 500_000  # voxels that tell the grey window
_WINDOW: Final = (1.0, 99.5)  # percentiles of the voxels that are not 0
_OUTLINES: Final = {"brain": (86, 180, 233), "tumor": (230, 120, 0)}

Window = tuple[float, float]


@dataclass(frozen=True)
class Mark:
    """A site on a picture, in its pixels.

    Attributes:
        x: From the left.
        y: From above.
        label: Beside it, may be empty.
        near: Whether the site lies in this slice or the next.
        box: Half edges of the patch, None where it is not drawn.
    """

    x: float
    y: float
    label: str
    near: bool
    box: tuple[float, float] | None = None


@dataclass(frozen=True)
class Picture:
    """An image of a page.

    Attributes:
        data: A data URI.
        width: In pixels.
        height: Likewise.
        alt: What a screen reader says of it.
        marks: Sites on it.
        outlines: Data URIs of transparent pictures on top.
        ends: Letters of the directions to the left and to the right.
    """

    data: str
    width: int
    height: int
    alt: str
    marks: tuple[Mark, ...] = ()
    outlines: tuple[str, ...] = ()
    ends: tuple[str, str] = ("L", "R")


def grey_window(voxels: FloatArray) -> Window:
    """Black and white level of a volume; of one that is constant where it is not 0, from 0 on."""
    step = max(1, round((voxels.size / _SAMPLED) ** (1 / 3)))
    sampled = voxels[::step, ::step, ::step]
    values = sampled[sampled != 0]
    if not values.size:  # a few voxels that the sample missed
        values = voxels[voxels != 0]
    if not values.size:
        return 0.0, 1.0
    low, high = map(float, np.percentile(values, _WINDOW))
    if low < high:
        return low, high
    return (0.0, high) if high > 0 else (high, 0.0)


def plane(
    voxels: npt.NDArray[np.generic], at: Sequence[int] | IntArray, axis: int
) -> npt.NDArray[np.generic]:
    """The slice through a voxel, rows from above: shape (second other axis, first other axis)."""
    where: list[slice | int] = [slice(None)] * 3
    where[axis] = int(at[axis])
    # Not np.take, which would copy a volume whose axes were turned.
    return np.asarray(voxels[tuple(where)].T[::-1])


def size_of(shape: Sequence[int], edges: DoubleArray, axis: int, longest: int) -> tuple[int, int]:
    """Width and height in pixels of a slice, true to millimetres, of which the longer has `longest`.

    Args:
        shape: Of the volume in voxels.
        edges: Of a voxel in mm, shape (3,).
        axis: Along which one looks.
        longest: Pixels.
    """
    across, up = (n for n in range(3) if n != axis)
    width, height = shape[across] * float(edges[across]), shape[up] * float(edges[up])
    scale = longest / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def mark(
    site: Sequence[int] | IntArray,
    at: Sequence[int] | IntArray,
    shape: Sequence[int],
    axis: int,
    size: tuple[int, int],
    label: str = "",
    boxed: bool = False,
) -> Mark:
    """Where a voxel is on the picture of the slice through `at`."""
    across, up = (n for n in range(3) if n != axis)
    step = size[0] / shape[across], size[1] / shape[up]
    box = tuple((RADIUS + 0.5) * each for each in step) if boxed else None
    return Mark(
        round((float(site[across]) + 0.5) * step[0], 2),
        round(size[1] - (float(site[up]) + 0.5) * step[1], 2),
        label,
        abs(int(site[axis]) - int(at[axis])) <= 1,
        None if box is None else (round(box[0], 2), round(box[1], 2)),
    )


def slice_data(levels: npt.NDArray[np.generic], window: Window, size: tuple[int, int]) -> str:
    """A slice, rows from above, as a JPEG of that size."""
    image = Image.fromarray(grey(levels, window)).resize(size, Image.Resampling.BILINEAR)
    return _uri(image, "jpeg", quality=_QUALITY, optimize=True)


def patch_data(voxels: FloatArray, site: Sequence[int] | IntArray, window: Window) -> str:
    """The axial patch around a voxel as a PNG, a pixel a voxel; black beyond the image."""
    x, y, z = (int(index) for index in site)
    patch = np.full((2 * RADIUS + 1,) * 2, window[0], dtype=np.float32)
    low, high = np.maximum([x - RADIUS, y - RADIUS], 0), np.array([x + RADIUS + 1, y + RADIUS + 1])
    inside = voxels[low[0] : high[0], low[1] : high[1], z]
    start = low - (x - RADIUS, y - RADIUS)
    patch[start[0] : start[0] + inside.shape[0], start[1] : start[1] + inside.shape[1]] = inside
    return _uri(Image.fromarray(grey(patch.T[::-1], window)), "png", optimize=True)


def grey(levels: npt.NDArray[np.generic], window: Window) -> npt.NDArray[np.uint8]:
    """Grey levels from 0 to 255."""
    low, high = window
    share = (levels.astype(np.float64) - low) / (high - low)
    return np.asarray(np.round(255 * np.clip(share, 0, 1)), dtype=np.uint8)


def outline_data(mask: BoolArray, name: str, size: tuple[int, int]) -> str | None:
    """The rim of a mask's slice, rows from above, as a transparent PNG; None where the slice has none."""
    if not mask.any():
        return None
    large = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    rim = large & ~binary_erosion(large)
    pixels = np.zeros((*rim.shape, 4), dtype=np.uint8)
    pixels[rim] = (*_OUTLINES[name], 255)
    return _uri(Image.fromarray(pixels).quantize(4), "png", optimize=True)


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    stream = BytesIO()
    image.save(stream, format=kind, **options)
    return f"data:image/{kind};base64,{b64encode(stream.getvalue()).decode()}"
