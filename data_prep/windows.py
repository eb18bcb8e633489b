"""Patches around any voxels of a visit, cut out of volumes that were read once.

What a map asks for is what training saw: the patch around a voxel is that of `extract_patches` for a biopsy
at its centre, bit for bit where samples are voxels of the image. Between voxels, a spline that was fitted to
the whole volume stands for those of the neighbourhoods (`data_prep.splines`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from data_prep.arrays import BoolArray, FloatArray, IntArray
from data_prep.cohort_file import placeholders
from data_prep.features.location import bounding_box, in_box
from data_prep.features.table import FeatureTable
from data_prep.geometry import Grid
from data_prep.intensity import LANDMARKS
from data_prep.patch_set import PatchRequest, PatchSet
from data_prep.problems import InputError
from data_prep.records import Biopsy, Cohort
from data_prep.sampling import View
from data_prep.spacing import in_plane_mm
from data_prep.survey import Progress
from data_prep.volumes import Volume, open_volume
from data_prep.window_reading import ReadVisit, read_visits
from data_prep.window_volumes import VisitVolumes, outside

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Windows:
    """One visit of a participant, from which patches are cut around any voxels.

    Attributes:
        participant: Whose.
        name: The participant, and what tells the visit from their others where there are several.
        grid: Of the visit, on which patches are cut; of `PatchRequest.resample_to` where that is asked for.
        placed_like: The file that tells it, whose header maps take over; None where that is gone.
        biopsies: Of this visit, k of them.
        sites: Their canonical voxels, shape (k, 3).
        request: What is cut.
        present: The sequences of the request that there are.
        brain: Where the brain mask is not zero, canonical on the grid; None where there is no mask.
    """

    participant: str
    name: str
    grid: Grid
    placed_like: Volume | None
    biopsies: tuple[Biopsy, ...]
    sites: IntArray
    request: PatchRequest
    present: tuple[str, ...]
    brain: BoolArray | None
    _volumes: VisitVolumes = field(repr=False)
    _box: tuple[IntArray, IntArray] = field(repr=False)

    def volume(self, sequence: str) -> FloatArray:
        """A whole image at the voxels of the grid, canonical: a view, not to be written to.

        An image on another grid is interpolated as its patches are, and 0 beyond its field of view.

        Args:
            sequence: One of `present`.
        """
        found = self._volumes.volume(self.request.sequences.index(sequence))
        found.flags.writeable = False
        return found

    def shown(self, voxels: IntArray) -> BoolArray:
        """Where any sequence has an intensity other than 0, which is air; shape (m,).

        Args:
            voxels: Canonical, shape (m, 3).
        """
        found = np.zeros(len(voxels), dtype=np.bool_)
        for channel in self._volumes.held:
            values, covered = self._volumes.intensities(channel, voxels)
            found |= covered & (values != 0)
        return found

    def patches(self, voxels: IntArray) -> PatchSet:
        """What `extract_patches` gives for biopsies at the centres of voxels.

        Args:
            voxels: Canonical, inside the grid, shape (m, 3).

        Returns:
            m patches, called "participant@x-y-z".

        Raises:
            ValueError: A voxel lies outside the grid.
        """
        self._check(voxels)
        own = self._volumes.at(voxels)
        beyond = outside(own)
        views = {channel: self._volumes.seen_by(held, own) for channel, held in self._volumes.held.items()}
        raw = self._volumes.raw(own, voxels, beyond)
        unseen = _limit(raw, beyond, {channel: view for channel, view in views.items() if view is not own})
        return PatchSet(
            raw=_side_by_side(raw),
            padding=beyond,
            **self._scales(len(voxels), views),
            voxel_mm=np.tile(in_plane_mm(self.request.spacing_mm, self.grid), (len(voxels), 1)),
            unseen=unseen,
            biopsy_id=tuple(f"{self.participant}@{x}-{y}-{z}" for x, y, z in voxels.tolist()),
            participant_id=(self.participant,) * len(voxels),
            request=self.request,
        )

    def location(self, voxels: IntArray) -> FeatureTable:
        """What `features.location` gives for biopsies at the centres of voxels, m rows.

        Args:
            voxels: As in `patches`.
        """
        self._check(voxels)
        return in_box(voxels, *self._box)

    def _scales(self, count: int, views: Mapping[int, View]) -> dict[str, Any]:
        """By attribute of a `PatchSet`; a place beyond its field of view lacks a sequence."""
        shape = (count, len(self.request.sequences))
        present = np.zeros(shape, dtype=np.bool_)
        mean, std = np.zeros(shape, dtype=np.float32), np.ones(shape, dtype=np.float32)
        landmarks = np.zeros((*shape, LANDMARKS), dtype=np.float32)
        for channel, view in views.items():
            rows, scale = view.covered, self._volumes.held[channel].scale
            present[rows, channel], landmarks[rows, channel] = True, scale.landmarks
            mean[rows, channel], std[rows, channel] = scale.location, scale.spread
        return {"present": present, "mean": mean, "std": std, "landmarks": landmarks}

    def _check(self, voxels: IntArray) -> None:
        if voxels.ndim != 2 or voxels.shape[1:] != (3,):
            raise ValueError(f"voxels of shape (m, 3) are needed, but got {voxels.shape}")
        wrong = (voxels < 0) | (voxels >= self.grid.canonical_shape)
        if wrong.any():
            first = voxels[wrong.any(axis=1)][0].tolist()
            raise ValueError(
                f"a voxel must lie inside the canonical grid {self.grid.canonical_shape}, but got {first}"
            )


def _limit(raw: FloatArray, beyond: BoolArray, views: Mapping[int, View]) -> BoolArray | None:
    """Hide sequences of windows whose centre they lack, in place; `PatchSet.unseen` of the others."""
    unseen: BoolArray | None = None
    for channel, view in views.items():
        covered = view.covered[:, None, None, None]
        np.copyto(raw[..., channel], 0, where=~covered)
        marks = outside(view) & ~beyond & covered
        if marks.any():
            unseen = np.zeros(raw.shape, dtype=np.bool_) if unseen is None else unseen
            unseen[..., channel] = marks
    return None if unseen is None else _side_by_side(unseen)


def _side_by_side(windows: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Slices and sequences along one axis."""
    *rest, slices, sequences = windows.shape
    return windows.reshape(*rest, slices * sequences)


def open_windows(
    cohort: Cohort, participant: str, request: PatchRequest, progress: Progress | None = None
) -> list[Windows]:
    """Read what patches of a participant are cut from into memory, each file once.

    Args:
        cohort: The cohort.
        participant: One of its participants.
        request: What to cut out.
        progress: Called with (done, total) files, from this thread.

    Returns:
        One a visit: biopsies that see the same files.

    Raises:
        InputError: Nobody is called so; or every problem of the images and masks, as `extract_patches` names
            them; or the volumes do not fit into memory.
    """
    visits = read_visits(cohort, participant, request, progress)
    return [_windows(one, name, request) for one, name in zip(visits, _names(visits), strict=True)]


def _windows(one: ReadVisit, name: str, request: PatchRequest) -> Windows:
    visit = one.visit
    box = (np.zeros(3, dtype=np.int64), np.array(visit.grid.canonical_shape, dtype=np.int64) - 1)
    biopsies = tuple(one.cohort.biopsies[row] for row in visit.rows)
    return Windows(
        participant=biopsies[0].participant_id,
        name=name,
        grid=visit.grid,
        placed_like=next(_tellers(one), None),
        biopsies=biopsies,
        sites=visit.sites,
        request=request,
        present=tuple(request.sequences[channel] for channel in one.volumes.channels),
        brain=None if one.brain is None else one.brain.canonical(),
        _volumes=one.volumes,
        _box=box if one.brain is None else bounding_box(one.brain),
    )


def _tellers(one: ReadVisit) -> Iterator[Volume]:
    """Files whose grid is the visit's; that which tells it need not be among the sequences of the request."""
    grid = one.visit.grid
    yield from (volume for volume in one.visit.volumes if volume.grid is grid)
    first = one.cohort.biopsies[one.visit.rows[0]]
    files = one.cohort.images(first, one.cohort.sequences) | one.cohort.masks(first)
    for path in files.values():
        with suppress(InputError):  # what is wrong with files that were not asked for is not told here
            volume = open_volume(path)
            if volume.grid.shape == grid.shape and np.array_equal(volume.grid.affine, grid.affine):
                yield volume


def _names(visits: Sequence[ReadVisit]) -> list[str]:
    """The participant's, and of several visits what the table says of their files where they differ."""
    firsts = [one.cohort.biopsies[one.visit.rows[0]] for one in visits]
    templates = [text for key, text in visits[0].cohort.file.templates() if not key.startswith("repeats")]
    columns = dict.fromkeys(name for text in templates for name in placeholders(text) if name != "sequence")
    telling = [name for name in columns if len({first.columns[name] for first in firsts}) > 1]
    return ["_".join([first.participant_id, *(first.columns[name] for name in telling)]) for first in firsts]
