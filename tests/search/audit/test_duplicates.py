from __future__ import annotations

from dataclasses import replace

import numpy as np

from data_prep.patches import PatchSet
from search.audit.canaries import doctored
from search.audit.duplicates import check_biopsies, check_scans, patch_likeness
from search.audit.record import LEAK, NOT_APPLICABLE, NOT_CHECKED, PASSED, SUSPICIOUS
from search.audit.scans import Scans
from search.audit.subject import Subject


def test_a_sound_cohort_passes(scans: Scans, audited: Subject) -> None:
    assert [check.verdict for check in check_scans(scans.scans)] == [PASSED, PASSED]
    assert check_biopsies(audited.material.patches).verdict == PASSED


def test_a_doctored_copy_of_a_participant_names_the_pair_and_the_sequences(scans: Scans) -> None:
    mine = [scan for scan in scans.scans if scan.participants == ("sub-004",)]
    copies = [replace(doctored(scan, scans), participants=("sub-{x}",)) for scan in mine]
    across, within = check_scans([*scans.scans, *copies])
    assert (across.verdict, within.verdict) == (LEAK, PASSED)
    assert set(across.ids) == {"sub-004", "sub-{x}"}
    assert all(name in across.sentence for name in ("sub-004", "sub-{x}", "T1, T1Gd, T2"))
    (pair,) = across.figures["pairs"]
    assert pair["sequences"] == [["T1", "T1"], ["T1Gd", "T1Gd"], ["T2", "T2"]] or len(pair["sequences"]) == 3
    assert pair["equal_voxels"] == 0


def test_one_scan_under_another_sequence_of_another_participant_is_named(scans: Scans) -> None:
    places = {(scan.participants[0], scan.sequence): n for n, scan in enumerate(scans.scans)}
    stolen = scans.scans[places["sub-001", "T1"]]
    changed = list(scans.scans)
    changed[places["sub-007", "T2"]] = replace(stolen, participants=("sub-007",), sequence="T2")
    across, _ = check_scans(changed)
    assert (across.verdict, set(across.ids)) == (LEAK, {"sub-001", "sub-007"})
    assert across.figures["pairs"][0]["equal_voxels"] == 1


def test_a_sequence_copied_as_another_is_a_suspicion(scans: Scans) -> None:
    places = {(scan.participants[0], scan.sequence): n for n, scan in enumerate(scans.scans)}
    changed = list(scans.scans)
    changed[places["sub-002", "T2"]] = replace(changed[places["sub-002", "T1"]], sequence="T2")
    across, within = check_scans(changed)
    assert (across.verdict, within.verdict, within.ids) == (PASSED, SUSPICIOUS, ("sub-002",))
    assert "T1 and T2 of sub-002" in within.sentence


def test_a_file_that_two_ids_name_is_a_leak(scans: Scans) -> None:
    shared = [replace(scans.scans[0], participants=("a", "b")), *scans.scans[3:]]
    check = check_scans(shared)[0]
    assert (check.verdict, check.ids) == (LEAK, ("a", "b"))
    assert "by the same files" in check.sentence


def test_masks_and_a_handful_of_participants_are_told_as_not_compared(scans: Scans) -> None:
    masks = [replace(scan, flat=True) for scan in scans.scans]
    assert check_scans(masks)[0].verdict == NOT_APPLICABLE
    assert check_scans(scans.scans[:21])[0].verdict == NOT_CHECKED
    assert "not looked for: rotated" in check_scans(scans.scans)[0].sentence
    assert check_scans(scans.scans[:6])[0].verdict == NOT_CHECKED


def with_copy(patches: PatchSet, one: int, other: int, scale: float) -> PatchSet:
    """The patches with one biopsy's intensities copied to another's, brighter."""
    raw = np.array(patches.raw)
    raw[other] = np.rint(raw[one] * scale + 10)
    return replace(patches, raw=raw)


def test_a_site_under_two_participants_is_found_and_one_of_the_same_participant_is_none(
    audited: Subject,
) -> None:
    patches = audited.material.patches
    check = check_biopsies(with_copy(patches, 3, 10, 2.0))
    assert check.verdict == LEAK
    assert {patches.biopsy_id[3], patches.biopsy_id[10]} < set(check.ids)
    assert patches.participant_id[3] == patches.participant_id[15]
    assert check_biopsies(with_copy(patches, 3, 15, 2.0)).verdict == PASSED


def test_patches_of_a_few_voxels_are_not_compared(audited: Subject) -> None:
    patches = audited.material.patches
    inner = slice(patches.radius, patches.radius + 1)
    small = replace(
        patches,
        raw=patches.raw[:, inner, inner],
        padding=patches.padding[:, inner, inner],
        request=replace(patches.request, radius=0),
    )
    assert check_biopsies(small).verdict == NOT_CHECKED


def test_likeness_is_the_mean_correlation_over_shared_sequences(audited: Subject) -> None:
    patches = audited.material.patches
    found = patch_likeness(patches)
    images = patches.raw_images(patches.radius).astype(np.float64)
    plain = [np.corrcoef(images[2, ..., c].ravel(), images[9, ..., c].ravel())[0, 1] for c in range(3)]
    voxels = images[0, ..., 0].size
    expected = float(np.mean(plain)) if 3 * voxels >= 200 else np.nan
    np.testing.assert_allclose(found[2, 9], expected, atol=1e-9)
    np.testing.assert_allclose(found, found.T)
