"""Where a map is drawn: inside a mask that was given, one of the cohort, or what the images show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from data_prep.arrays import BoolArray
from data_prep.brain import read_brain
from data_prep.check.head import find_head
from data_prep.geometry import Grid, same_places
from data_prep.problems import InputError, nearest
from data_prep.records import Cohort
from data_prep.tumor_estimate import chosen_sequences, estimate
from data_prep.volumes import open_volume, read_volume
from data_prep.windows import Windows

# Voxels that are looked up at once.
_PIECE: Final = 2**20


@dataclass(frozen=True, eq=False)
class Region:
    """Where a map is drawn.

    Attributes:
        name: "mask" for one that was given, else as `region_of` takes it, "auto" resolved.
        inside: Canonical, of the grid of the windows; true somewhere.
        note: What it is based on, and what was left out, in a sentence or two.
    """

    name: str
    inside: BoolArray
    note: str


def region_of(windows: Windows, cohort: Cohort, within: str = "auto", mask: Path | None = None) -> Region:
    """Where the map of a visit is drawn; nowhere that no sequence has an intensity other than 0.

    Args:
        windows: Of the visit.
        cohort: Whose masks count.
        within: "tumor" or "brain" for the cohort's mask; "head" for what stands out from the air;
            "estimated-tumor"; "auto" for the tumour mask where there is one, else the estimate.
        mask: A file with voxels at the places of the grid, in any order; it goes before `within`.

    Raises:
        InputError: The mask is absent, cannot be read, is true nowhere, or lies on another grid; there is
            nothing to draw on.
    """
    if mask is not None:
        return _shown(windows, "mask", *_given(windows, mask))
    if within == "auto":
        within = "tumor" if "tumor" in cohort.masks(windows.biopsies[0]) else "estimated-tumor"
    if within not in _REGIONS:
        raise InputError(f"within: unknown name '{within}'; {nearest(within, ('auto', *_REGIONS))}.")
    return _shown(windows, within, *_REGIONS[within](windows, cohort))


def _shown(windows: Windows, name: str, inside: BoolArray, note: str) -> Region:
    """The part of a region in which there is anything to look at."""
    voxels = np.argwhere(inside).astype(np.int64)
    parts = [windows.shown(voxels[start : start + _PIECE]) for start in range(0, len(voxels), _PIECE)]
    seen = np.concatenate([np.zeros(0, dtype=np.bool_), *parts])
    if not seen.any():
        raise InputError(
            f"{windows.name}: a map needs voxels to be drawn on, but of the {len(voxels)} of the region "
            f"'{name}' none has an intensity in any sequence."
        )
    kept = np.zeros(inside.shape, dtype=np.bool_)
    kept[tuple(voxels[seen].T)] = True
    lost = len(voxels) - int(seen.sum())
    left_out = f" Left out, without any intensity: {lost} of {len(voxels)} voxels." if lost else ""
    return Region(name, kept, note + left_out)


def _given(windows: Windows, path: Path) -> tuple[BoolArray, str]:
    try:
        volume = open_volume(path)
        if not same_places(windows.grid, volume.grid):
            raise InputError(
                f"a mask must lie on the grid of {windows.name}'s images, {_words(windows.grid)}, but got "
                f"{_words(volume.grid)}. Resample it, nearest neighbour."
            )
        inside = read_volume(volume) != 0
        if not inside.any():
            raise InputError("a mask must be true somewhere, but it is zero everywhere.")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return inside, f"The mask {path.name}."


def _words(grid: Grid) -> str:
    """Extent, spacing and place of a grid."""
    shape = " x ".join(map(str, grid.canonical_shape))
    size = " x ".join(f"{edge:.4g}" for edge in grid.voxel_size)
    first = ", ".join(f"{place:.1f}" for place in grid.canonical_affine[:3, 3] + 0.0)
    return f"{shape} voxels of {size} mm from ({first}) mm"


def _tumor(windows: Windows, cohort: Cohort) -> tuple[BoolArray, str]:
    path = cohort.masks(windows.biopsies[0]).get("tumor")
    if path is None:
        raise InputError(
            f"{windows.name}: there is no tumour mask. "
            "Give --mask, or --within estimated-tumor, brain or head."
        )
    try:
        inside = read_brain(open_volume(path), "tumor").in_order_of(windows.grid).canonical()
    except InputError as error:
        raise InputError(f"{cohort.label_of(path)}: {error}") from error
    return inside, "The cohort's tumour mask."


def _brain(windows: Windows, cohort: Cohort) -> tuple[BoolArray, str]:
    if windows.brain is None:
        raise InputError(f"{windows.name}: there is no brain mask. Give --mask, or --within head.")
    return windows.brain, "The cohort's brain mask."


def _head(windows: Windows, cohort: Cohort) -> tuple[BoolArray, str]:
    images = [windows.volume(name) for name in windows.present]
    head = find_head(images, windows.grid.canonical_shape) if images else None
    if head is None:
        everywhere = np.ones(windows.grid.canonical_shape, dtype=np.bool_)
        return everywhere, "The whole image: no air is in its corners that a head could stand out from."
    return head.blocks, f"What stands out from the air in {', '.join(windows.present)}."


def _estimated(windows: Windows, cohort: Cohort) -> tuple[BoolArray, str]:
    inside = _head(windows, cohort)[0] if windows.brain is None else windows.brain
    names, is_bright = chosen_sequences(windows.present)
    images = {name: windows.volume(name) for name in names}
    is_brain = windows.brain is not None
    found = estimate(images, inside, windows.sites, windows.grid.voxel_size, is_brain)
    if not found.any():
        raise InputError(
            f"{windows.name}: no tumour stands out at the biopsies in {', '.join(names)}. "
            "Give --mask, or --within brain or head."
        )
    what = "bright in" if is_bright else "like the tissue at the biopsies in"
    where = "the brain mask" if is_brain else "the head"
    return found, f"Estimated, no segmentation: what is {what} {', '.join(names)}, in one piece, in {where}."


_REGIONS: Final[dict[str, Callable[[Windows, Cohort], tuple[BoolArray, str]]]] = {
    "tumor": _tumor,
    "brain": _brain,
    "head": _head,
    "estimated-tumor": _estimated,
}
