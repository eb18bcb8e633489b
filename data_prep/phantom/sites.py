"""Where the biopsies are: how many each participant has, their true sites and what was recorded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray, IntArray
from data_prep.phantom.spec import MAX_PER_PARTICIPANT, PhantomSpec
from data_prep.problems import InputError

_ATTEMPTS = 200


@dataclass(frozen=True)
class Sites:
    """Biopsy sites of a participant in mm, the voxels of a default phantom; shape (biopsies, 3) each.

    Attributes:
        true: Where the tissue was taken.
        recorded: Where the table says it was.
    """

    true: DoubleArray
    recorded: DoubleArray


def allocate(biopsies: int, participants: int, rng: np.random.Generator) -> IntArray:
    """Share the biopsies out at random, 1 to 8 each; shape (participants,)."""
    free = np.repeat(np.arange(participants), MAX_PER_PARTICIPANT - 1)
    chosen = rng.choice(free, size=biopsies - participants, replace=False)
    return 1 + np.bincount(chosen, minlength=participants)


def draw_sites(tumour: BoolArray, count: int, spec: PhantomSpec, rng: np.random.Generator) -> Sites:
    """Draw the sites of one participant, independent of every field.

    Args:
        tumour: The tumour with its oedema, shape (n, n, n).
        count: How many.
        spec: Gives the least distance between true sites, the error of recording, and the room that recorded
            sites keep to the border: an error that leaves less is drawn again.
        rng: Source of randomness.

    Raises:
        InputError: They do not fit.
    """
    site_sd = spec.model.site_sd
    low = np.array([spec.room, spec.room, 2])
    high = np.array(tumour.shape) - 1 - low
    candidates = np.argwhere(tumour)
    candidates = candidates[((candidates >= low) & (candidates <= high)).all(axis=1)]
    true = _spread(candidates, count, spec.spacing, rng)
    recorded = true + site_sd * rng.standard_normal(true.shape)
    while (outside := ((recorded < low) | (recorded > high)).any(axis=1)).any():
        recorded[outside] = true[outside] + site_sd * rng.standard_normal((int(outside.sum()), 3))
    return Sites(true, recorded)


def _spread(candidates: IntArray, count: int, spacing: float, rng: np.random.Generator) -> DoubleArray:
    for _ in range(_ATTEMPTS):
        points = candidates + rng.uniform(-0.5, 0.5, size=candidates.shape)
        chosen: list[DoubleArray] = []
        while len(points) and len(chosen) < count:
            chosen.append(points[rng.integers(len(points))])
            points = points[((points - chosen[-1]) ** 2).sum(axis=1) >= spacing**2]
        if len(chosen) == count:
            return np.array(chosen)
    raise InputError(
        f"phantom: size: {count} sites at least {spacing:g} mm apart do not fit into a tumour of "
        f"{len(candidates)} voxels. Choose a larger size or fewer biopsies for each participant."
    )
