"""What pictures and pages of a map show beside it: an image of the participant, and the biopsies on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from data_prep.geometry import Grid
from data_prep.windows import Windows
from search.gallery.drawing import grey_window
from search.maps.drawing import Drawn

SHOWN_FIRST: Final = "T1Gd"
"""On which a reader knows the enhancing rim; where it is absent, the first that is there."""

ABOVE, BELOW = 1, 0

_MARGIN = 2  # voxels around what is shown


@dataclass(frozen=True, eq=False)
class Marks:
    """The biopsies of a visit.

    Attributes:
        names: Of each.
        places: In canonical voxels and parts of one, shape (k, 3).
        known: By label, whether each is `ABOVE` or `BELOW` its cut; None where that is not known.
    """

    names: tuple[str, ...]
    places: DoubleArray
    known: Mapping[str, Sequence[int | None]]


@dataclass(frozen=True, eq=False)
class Scene:
    """A map with what is shown around it.

    Attributes:
        name: Of the participant or visit.
        drawn: The map.
        sequence: The image behind it.
        grey: That image, canonical.
        marks: The biopsies.
        said: What model this is of, and how it was asked, in one line.
    """

    name: str
    drawn: Drawn
    sequence: str
    grey: FloatArray
    marks: Marks
    said: str

    @property
    def grid(self) -> Grid:
        """Whose voxels these are."""
        return self.drawn.grid

    @cached_property
    def window(self) -> tuple[float, float]:
        """Black and white level of the image."""
        return grey_window(self.grey)

    @cached_property
    def head(self) -> tuple[slice, slice, slice]:
        """The box of all that is in the image or in the region."""
        return box_of((self.grey > self.window[0]) | self.drawn.region, (_MARGIN,) * 3)

    def peak(self, label: int) -> IntArray:
        """The voxel of the highest probability, where the model knows the like if anywhere; shape (3,)."""
        probability = self.drawn.probability[..., label]
        known = self.drawn.region & ~self.drawn.unlike
        known &= np.isfinite(probability)
        shown = np.where(known if known.any() else self.drawn.region, probability, -np.inf)
        shown = np.nan_to_num(shown, nan=-1.0, neginf=-2.0)
        return np.array(np.unravel_index(int(np.argmax(shown)), shown.shape), dtype=np.int64)


def scene_of(windows: Windows, drawn: Drawn, marks: Marks, said: str) -> Scene:
    """A map on an image of its participant."""
    sequence = SHOWN_FIRST if SHOWN_FIRST in windows.present else windows.present[0]
    return Scene(windows.name, drawn, sequence, windows.volume(sequence), marks, said)


def box_of(inside: BoolArray, margin: Sequence[int]) -> tuple[slice, slice, slice]:
    """The box of what is true, with so many voxels around it as far as there are."""
    ends = []
    for axis, extra in enumerate(margin):
        there = np.flatnonzero(inside.any(axis=tuple(n for n in range(3) if n != axis)))
        ends.append(slice(max(0, int(there[0]) - extra), min(inside.shape[axis], int(there[-1]) + 1 + extra)))
    return (ends[0], ends[1], ends[2])


def cropped(volume: npt.NDArray[np.generic], box: tuple[slice, slice, slice]) -> npt.NDArray[np.generic]:
    """The part of a canonical volume in a box."""
    return np.asarray(volume[box])
