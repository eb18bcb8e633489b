from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.patches import PatchRequest
from search.audit.record import LEAK, PASSED
from search.audit.scans import Scans
from search.audit.subject import Subject
from search.audit.voxels import boxes_of, check_voxels, overlap, sharing


def merged(scans: Scans, one: str, other: str) -> Scans:
    """The scans with the images of one participant equal to those of another."""
    content = {s.sequence: s.content for s in scans.scans if s.participants == (one,)}
    changed = [
        replace(s, content=content[s.sequence]) if s.participants == (other,) else s for s in scans.scans
    ]
    return replace(scans, scans=tuple(changed))


def test_a_sound_study_passes_though_patches_of_a_participant_overlap(audited: Subject, scans: Scans) -> None:
    check = check_voxels(audited, scans)
    assert (check.verdict, check.figures["across_splits"]) == (PASSED, [])
    assert check.figures["overlapping_pairs"] >= 0


def test_equal_voxels_under_two_ids_are_a_leak_where_patches_overlap(audited: Subject, scans: Scans) -> None:
    boxes = boxes_of(scans, audited.material.patches.request)
    patches, folds = audited.material.patches, audited.material.folds.fold[0]
    a, b = next(
        (a, b)
        for a in range(36)
        for b in range(a)
        if folds[a] != folds[b] and overlap(boxes[patches.biopsy_id[a]], boxes[patches.biopsy_id[b]])
    )
    people = patches.participant_id[a], patches.participant_id[b]
    check = check_voxels(audited, merged(scans, *people))
    assert check.verdict == LEAK
    assert sorted([patches.biopsy_id[a], patches.biopsy_id[b]]) in [
        sorted(pair) for pair in check.figures["across_splits"]
    ]


@pytest.mark.parametrize(("radius", "slices"), [(0, 1), (3, 1), (3, 5)])
def test_a_box_is_what_a_patch_is_cut_from(audited: Subject, scans: Scans, radius: int, slices: int) -> None:
    boxes = boxes_of(scans, PatchRequest(("T1",), radius, slices))
    for visit in scans.visits:
        for row, site in zip(visit.rows, visit.sites, strict=True):
            low, high = boxes[scans.cohort.biopsies[row].biopsy_id]
            reach = np.array([radius, radius, slices // 2])
            np.testing.assert_array_equal(low, np.maximum(site - reach, 0))
            np.testing.assert_array_equal(high, np.minimum(site + reach + 1, 24))


def test_only_boxes_with_a_common_voxel_overlap() -> None:
    box = np.array([[0, 0, 0], [3, 3, 1]])
    assert overlap(box, box + np.array([2, 2, 0]))
    assert not overlap(box, box + np.array([3, 0, 0]))
    assert not overlap(box, box + np.array([0, 0, 1]))


def test_masks_are_no_shared_image(scans: Scans) -> None:
    flat = replace(scans, scans=tuple(replace(scan, flat=True, content="x") for scan in scans.scans))
    assert not any(sharing(flat).values())
    assert len(sharing(scans)["b00"]) == 3
