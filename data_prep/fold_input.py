"""What a network sees of patches in one fold: what is fitted on the cohort is fitted on the training rows.

Scales that come from each image alone are in the patches already. Here come those of a training fold: units
of quantitative maps, standard histograms, and what stands in for an absent sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from data_prep.augment_spec import AugmentSpec
from data_prep.augmentation import epochs
from data_prep.histogram_matching import location_and_spread, matched, standard_scale
from data_prep.inputs import ChannelLayout, channel_layout, channel_names, fill_in, lay_out
from data_prep.intensity import COHORT_FITTED, LANDMARKS
from data_prep.moments import Moments
from data_prep.patch_set import PatchSet

MEAN: Final = "mean"
"""The way with missing sequences that is fitted: the mean patch of the training rows."""

# What units hang on.
_CHANGED: Final = ("raw", "present", "mean", "std", "landmarks", "unseen")


@dataclass(frozen=True, eq=False)
class FoldInput:
    """What a training fold says of its patches, of C sequences in S slices.

    Attributes:
        sequences: C names.
        methods: Their normalisation.
        radius: Of the patches that a network sees.
        layout: Of the channels.
        channels: Their names.
        known: Whether any training row has the sequence; one that none has is shown as absent wherever it is
            scored, as nothing was learned of it; shape (C,).
        location: What intensities are taken relative to where the method is cohort-fitted, else 0; float64 of
            shape (C,).
        spread: And then divided by, else 1; float64 of shape (C,).
        standard: The scale to which histograms are matched, zeros where they are not; float64 of shape (C,
            `intensity.LANDMARKS`).
        fill: What is shown in place of an absent sequence, in normalised units: shape (2 * radius + 1, the
            same, S * C); None for 0.
    """

    sequences: tuple[str, ...]
    methods: tuple[str, ...]
    radius: int
    layout: ChannelLayout
    channels: tuple[str, ...]
    known: BoolArray
    location: DoubleArray
    spread: DoubleArray
    standard: DoubleArray
    fill: FloatArray | None

    def normalised(self, patches: PatchSet) -> PatchSet:
        """Patches in units of the training fold, without sequences that no training row has.

        They stay as they are where no method is cohort-fitted and nothing is hidden. Doing it twice does no
        more than once.

        Args:
            patches: Any of the same sequences, slices and methods: of the cohort, of other scans, of a map.

        Raises:
            ValueError: They are not.
        """
        self._check(patches)
        columns = [column for column in range(len(self.methods)) if self._changes(patches, column)]
        if not columns:
            return patches
        arrays = patches.arrays()
        changed: dict[str, npt.NDArray[Any]] = {n: np.array(arrays[n]) for n in _CHANGED if n in arrays}
        for column in columns:
            self._rescale(changed, column)
        return PatchSet(
            **(arrays | changed),
            biopsy_id=patches.biopsy_id,
            participant_id=patches.participant_id,
            request=patches.request,
        )

    def images(self, patches: PatchSet) -> FloatArray:
        """The model's input: normalised crops, absent sequences as the fit's `missing` has them shown.

        Args:
            patches: As in `normalised`.

        Returns:
            Shape (n, 2 * radius + 1, the same, channels), a copy.

        Raises:
            ValueError: As `normalised`.
            InputError: The patches are smaller than the radius.
        """
        normal = self.normalised(patches)
        images = lay_out(normal, self.radius, self.layout)
        fill_in(images, normal.present, self.layout, self.fill)
        return images

    def augmenter(
        self, spec: AugmentSpec, patches: PatchSet, rows: IntArray
    ) -> Callable[[np.random.Generator], FloatArray]:
        """What makes an epoch's augmented copy of `images(patches)[rows]`.

        Args:
            spec: What to vary.
            patches: As in `normalised`, with `augment_spec.margin` voxels beyond the radius.
            rows: Of the biopsies that are trained on.

        Raises:
            ValueError: As `normalised`.
            InputError: The patches have too little room.
        """
        return epochs(spec, self.normalised(patches.take(rows)), self.radius, self.layout, self.fill)

    def _check(self, patches: PatchSet) -> None:
        mine = (self.sequences, self.methods, self.layout.slices)
        theirs = (patches.sequences, patches.request.methods, patches.slices)
        if mine != theirs:
            raise ValueError(f"patches of {mine} are needed, as those that were fitted, but got {theirs}")

    def _changes(self, patches: PatchSet, column: int) -> bool:
        """Whether a sequence gets other numbers, or is hidden."""
        if self.known[column]:
            return self.methods[column] in COHORT_FITTED
        return bool(patches.present[:, column].any())

    def _rescale(self, arrays: dict[str, npt.NDArray[Any]], column: int) -> None:
        """Give a sequence the training fold's units, or hide it, in place."""
        rows = np.flatnonzero(arrays["present"][:, column])
        places = slice(column, None, len(self.sequences))
        if not self.known[column]:
            arrays["present"][rows, column] = False
            for name in arrays.keys() & {"raw", "unseen"}:
                arrays[name][..., places] = 0
        elif self.methods[column] == "nyul":
            self._match(arrays, rows, column)
        arrays["landmarks"][rows, column] = self.standard[column]
        arrays["mean"][rows, column] = self.location[column]
        arrays["std"][rows, column] = self.spread[column]

    def _match(self, arrays: dict[str, npt.NDArray[Any]], rows: IntArray, column: int) -> None:
        """Match a sequence's histograms, in place; one with the standard's landmarks is matched already."""
        standard = self.standard[column].astype(np.float32)
        for row in rows:
            marks, values = (
                arrays["landmarks"][row, column],
                arrays["raw"][row, ..., column :: len(self.sequences)],
            )
            if not np.array_equal(marks, standard):
                values[...] = matched(values, marks, self.standard[column])


def fit_input(patches: PatchSet, rows: IntArray, radius: int, missing: str) -> FoldInput:
    """Fit what has to be fitted on a training fold.

    Args:
        patches: The whole cohort's; which sequences need a presence channel depends on who is in the set.
            Nothing else is taken from rows outside the training fold.
        rows: The training fold.
        radius: Of the patches that the network sees.
        missing: As in `inputs.channel_layout`.

    Raises:
        InputError: `missing` is illegal, or `radius` larger than what was extracted.
    """
    layout, train = channel_layout(patches, missing), patches.take(rows)
    known = np.asarray(train.present.any(axis=0))
    count = len(patches.sequences)
    unfilled = FoldInput(
        sequences=patches.sequences,
        methods=patches.request.methods,
        radius=radius,
        layout=layout,
        channels=channel_names(patches, layout),
        known=known,
        location=np.zeros(count),
        spread=np.ones(count),
        standard=np.zeros((count, LANDMARKS)),
        fill=None,
    )
    for column, method in enumerate(unfilled.methods):
        if method in COHORT_FITTED and known[column]:
            _fit_scale(unfilled, train, column)
    return replace(unfilled, fill=_mean_patch(unfilled, train)) if missing == MEAN else unfilled


def _fit_scale(fold: FoldInput, train: PatchSet, column: int) -> None:
    """Set a sequence's numbers, in place."""
    if fold.methods[column] == "nyul":
        present = train.present[:, column]
        # The biopsies of an image share its landmarks, and each image counts once.
        fold.standard[column] = standard_scale(np.unique(train.landmarks[present, column], axis=0))
        fold.location[column], fold.spread[column] = location_and_spread(fold.standard[column])
        return
    moments = Moments()
    moments.add(_voxels(train, fold.radius, column))
    fold.location[column] = moments.mean
    # What patches keep of it has single precision.
    fold.spread[column] = moments.std if np.float32(moments.std) > 0 else 1.0


def _voxels(patches: PatchSet, radius: int, column: int) -> FloatArray:
    """Intensities of a sequence within the radius, where it has any, shape (n,)."""
    places = slice(column, None, len(patches.sequences))
    return np.asarray(patches.raw_images(radius)[..., places][patches.measured(radius)[..., places]])


def _mean_patch(fold: FoldInput, train: PatchSet) -> FloatArray:
    """Mean normalised crop, voxel by voxel, of those that have an intensity there; 0 where nobody does."""
    normal = fold.normalised(train)
    images, counts = normal.images(fold.radius), normal.measured(fold.radius)
    count = np.maximum(counts.sum(axis=0), 1)
    total = np.sum(images, axis=0, dtype=np.float64, where=counts)
    return np.asarray(total / count, dtype=np.float32)
