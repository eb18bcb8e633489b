"""Second scans of the same sites, as `[repeats]` of a cohort declares them.

A second scan is the participant's: it keeps the ids of participant and biopsy, so that whatever splits or
draws participants takes it along.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from data_prep.arrays import BoolArray, FloatArray
from data_prep.cohort_file import placeholders
from data_prep.records import Biopsy, Cohort
from data_prep.tables import MISSING

Show = Callable[[np.random.Generator], FloatArray]
"""An epoch's images, from the epoch's generator."""


def second_scans(cohort: Cohort) -> Cohort | None:
    """The cohort as its second scans show it.

    Ids, sites and masks are those of the first scans: a second scan must be registered to the first.

    Returns:
        The biopsies that have an image under `[repeats]`, in their order; None where there are none.
    """
    repeats = cohort.file.repeats
    if repeats is None:
        return None
    file = cohort.file.model_copy(update={"images": repeats.images, "repeats": None})
    again = replace(cohort, file=file)
    there = {
        biopsy.biopsy_id
        for group in again.by_columns_of_paths()
        if not _lacks(group[0], repeats.images) and again.images(group[0], cohort.sequences)
        for biopsy in group
    }
    if not there:
        return None
    return replace(again, biopsies=tuple(b for b in cohort.biopsies if b.biopsy_id in there))


def _lacks(biopsy: Biopsy, template: str) -> bool:
    """Whether a column of the template says n/a for the biopsy: it was not scanned again."""
    return any(biopsy.columns.get(name) == MISSING for name in placeholders(template))


def alternate(first: Show, second: Show, has_second: BoolArray) -> Show:
    """Training images in which each row that was scanned twice is shown by one of its scans at random.

    Both scans of a row are varied by the same draws, and the choice comes from a child of the epoch's
    generator: rows shown by their first scan, and all that is drawn later, are bit for bit what they are
    without second scans. Which scan an epoch shows follows from its generator alone, so that
    `data_prep.augmentation.epoch_generator` brings it back.

    Args:
        first: Shows n rows by their first scans.
        second: Shows the same rows by their second ones; what it shows of others is not looked at.
        has_second: Which rows were scanned twice, shape (n,).
    """

    def show(generator: np.random.Generator) -> FloatArray:
        (chooser,) = generator.spawn(1)
        again = has_second & (chooser.random(len(has_second)) < 0.5)
        twin = copy.deepcopy(generator)  # will draw the same numbers
        images = first(generator)
        if not again.any():
            return images
        chosen = again.reshape(-1, *(1 for _ in images.shape[1:]))
        return np.where(chosen, second(twin), images)

    return show
