"""The head template: the MNI152 tissue maps that nilearn ships, and the hull of their brain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import nibabel
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.problems import InputError

_MAPS: Final = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
_COARSE: Final = 3  # mm between the voxels of the hull, which is smooth
_PAD: Final = 24  # mm of air around the 1 mm template, a multiple of every spacing used
_CLOSING: Final = 15.0  # mm: furrows narrower than twice this belong to the hull


@dataclass(frozen=True)
class Map:
    """A volume in the space of the padded template.

    Attributes:
        data: Values, shape (a, b, c).
        spacing: mm between voxels; voxel (0, 0, 0) is centred at (spacing - 1) / 2 mm.
        air: The value beyond the border.
    """

    data: FloatArray
    spacing: int
    air: float

    def resample(self, matrix: DoubleArray, offset: DoubleArray, size: int) -> FloatArray:
        """Read the map at `matrix @ voxel + offset` mm for the voxels of a grid, shape (size, size, size)."""
        start = (offset - (self.spacing - 1) / 2) / self.spacing
        grid = (size, size, size)
        read = ndimage.affine_transform(
            self.data, matrix / self.spacing, start, grid, order=1, mode="constant", cval=self.air
        )
        return np.asarray(read, np.float32)


@dataclass(frozen=True)
class Template:
    """The template.

    Attributes:
        gm: Fraction of grey matter.
        wm: Fraction of white matter.
        outside: Distance from the hull of the brain in mm, negative inside.
        centre: Middle of the brain in mm, shape (3,).
    """

    gm: Map
    wm: Map
    outside: Map
    centre: DoubleArray


@cache
def load_template(spacing: int) -> Template:
    """Read the tissue maps (ICBM 152 nonlinear symmetric 2009a) from the installed nilearn; no download.

    Args:
        spacing: mm between the voxels kept of the tissue maps: 1, 2 or 3.

    Raises:
        InputError: The installed nilearn lacks them.
    """
    fine = {name: np.pad(_read(name), _PAD) for name in ("gm", "wm")}
    coarse = _blocks(fine["gm"], _COARSE) + _blocks(fine["wm"], _COARSE)
    brain = ndimage.gaussian_filter(coarse, 1.0) > 0.3
    closed = ndimage.binary_closing(brain, iterations=round(_CLOSING / _COARSE))
    hull = ndimage.binary_fill_holes(closed)
    outside = ndimage.distance_transform_edt(~hull) - ndimage.distance_transform_edt(hull)
    outside = (ndimage.gaussian_filter(outside, 1.0) * _COARSE).astype(np.float32)
    bounds = [np.flatnonzero(hull.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    centre = _COARSE * np.array([(bound[0] + bound[-1]) / 2 for bound in bounds]) + (_COARSE - 1) / 2
    gm, wm = (Map(_blocks(data, spacing), spacing, 0.0) for data in fine.values())
    return Template(gm, wm, Map(outside, _COARSE, 99.0), centre)


def _read(name: str) -> npt.NDArray[np.uint8]:
    """One tissue map at 1 mm, 255 for a whole voxel; nilearn's own loader would take seconds to import."""
    package = find_spec("nilearn")
    home = Path(package.origin).parent if package and package.origin else Path("nilearn")
    path = home / "datasets" / "data" / _MAPS.format(name)
    if not path.is_file():
        raise InputError(f"{path}: the phantom needs this file of nilearn 0.14. Reinstall nilearn.")
    return np.asarray(nibabel.load(path).dataobj, np.uint8)  # type: ignore[attr-defined]


def _blocks(data: npt.NDArray[np.uint8], edge: int) -> FloatArray:
    """Fraction of tissue in cubic blocks; what is left over at the far borders is dropped."""
    counts = [length // edge for length in data.shape]
    whole = data[tuple(slice(count * edge) for count in counts)]
    shape = [part for count in counts for part in (count, edge)]
    total = whole.reshape(shape).sum(axis=5, dtype=np.float32).sum(axis=(1, 3))
    return np.asarray(total / (255 * edge**3), np.float32)
