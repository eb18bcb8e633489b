"""Whether training and scoring see the same voxels of an image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from data_prep.arrays import IntArray
from data_prep.folds import FoldTable
from data_prep.patches import PatchRequest
from data_prep.sampling import own_view
from search.audit.record import LEAK, PASSED, Check
from search.audit.scans import Scans
from search.audit.subject import Subject

NAME = "voxels"


def check_voxels(subject: Subject, scans: Scans) -> Check:
    """Boxes of voxels that patches are cut from, of biopsies that are on both sides of a split.

    A box has the largest radius that a trial can ask for, what augmentation needs beyond, and all slices. Two
    biopsies can share voxels where they have an image in common: the same file, or a copy with equal voxels.
    """
    biopsies = subject.material.patches.biopsy_id
    boxes = boxes_of(scans, subject.material.patches.request)
    shared = sharing(scans)
    pairs = [
        (a, b)
        for a, b in combinations([row for row, name in enumerate(biopsies) if name in boxes], 2)
        if shared.get(biopsies[a], frozenset()) & shared.get(biopsies[b], frozenset())
        and overlap(boxes[biopsies[a]], boxes[biopsies[b]])
    ]
    apart = [pair for pair in pairs if _is_separated(pair, tuple(subject.tables.values()))]
    figures = {
        "radius": subject.material.patches.request.radius,
        "overlapping_pairs": len(pairs),
        "across_splits": [[biopsies[a], biopsies[b]] for a, b in apart],
    }
    if apart:
        a, b = apart[0]
        more = f", as with {len(apart) - 1} more pairs" if len(apart) > 1 else ""
        text = (
            "The patches of {0} and {1} overlap in one image, and one is trained on where the other is scored"
            f"{more}."
        )
        return Check(NAME, LEAK, text, (biopsies[a], biopsies[b]), figures)
    text = (
        f"No voxel is seen both in training and in scoring; the {len(pairs)} pairs of biopsies whose patches "
        "overlap are held out together."
    )
    return Check(NAME, PASSED, text, figures=figures)


def boxes_of(scans: Scans, request: PatchRequest) -> dict[str, IntArray]:
    """The box of each biopsy by its id: first and last + 1 canonical voxel along each axis, shape (2, 3)."""
    boxes = {}
    for visit in scans.visits:
        view = own_view(request, visit)
        for number, row in enumerate(visit.rows):
            box = view.box(number)
            boxes[scans.cohort.biopsies[row].biopsy_id] = np.array([box.low, box.high], dtype=np.int64)
    return boxes


def sharing(scans: Scans) -> dict[str, frozenset[str]]:
    """Each biopsy's images, by the content of their voxels; masks do not count."""
    content: dict[int, set[str]] = {}
    for scan in scans.scans:
        if not scan.flat:
            content.setdefault(scan.visit, set()).add(scan.content)
    return {
        scans.cohort.biopsies[row].biopsy_id: frozenset(content.get(number, ()))
        for number, visit in enumerate(scans.visits)
        for row in visit.rows
    }


def overlap(one: IntArray, other: IntArray) -> bool:
    """Whether two boxes have a voxel in common.

    >>> overlap(np.array([[0, 0, 0], [3, 3, 1]]), np.array([[2, 2, 0], [5, 5, 1]]))
    True
    """
    return bool(np.all(np.maximum(one[0], other[0]) < np.minimum(one[1], other[1])))


def _is_separated(pair: tuple[int, int], tables: Sequence[FoldTable]) -> bool:
    a, b = pair
    return any(bool(np.any(table.fold[:, a] != table.fold[:, b])) for table in tables)
