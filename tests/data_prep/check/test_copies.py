from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from data_prep.check import copies
from data_prep.check.copies import COPY, copied_pairs, copy_findings, detail
from data_prep.check.findings import Finding
from data_prep.check.subject import Subject
from tests.data_prep.check.subjects import biopsy, cohort, noise, subject, visit


def head(seed: int) -> np.ndarray:
    """What all heads share, with detail of its own."""
    common = gaussian_filter(noise(999), 3) * 40
    return np.asarray(common + gaussian_filter(noise(seed), 0.6), dtype=np.float32)


def found(people: dict[str, dict[str, np.ndarray]]) -> list[Finding]:
    return list(copy_findings(subject(people)))


def test_images_of_their_own_are_no_copies_though_all_heads_are_alike() -> None:
    people = {f"sub-{n}": {"T1": head(2 * n), "T2": head(2 * n + 1)} for n in range(6)}
    raw = np.corrcoef(head(0).ravel(), head(2).ravel())[0, 1]
    assert raw > 0.4
    assert found(people) == []


def test_a_sequence_that_was_copied_under_another_name() -> None:
    (finding,) = found({"sub-1": {"T1": head(1), "T2": head(1)}, "sub-2": {"T1": head(2), "T2": head(3)}})
    assert (finding.severity, finding.code, finding.participant) == ("warning", "sequence-copied", "sub-1")
    assert finding.where == "sub-1/T2.nii.gz"
    assert "equal in every voxel with sub-1/T1.nii.gz" in finding.what


def test_a_participant_with_anothers_images_is_one_finding() -> None:
    people = {"sub-1": {"T1": head(1), "T2": head(2)}, "sub-2": {"T1": head(1), "T2": head(2)}}
    (finding,) = found(people)
    assert (finding.code, finding.participant) == ("participant-copied", "sub-2")
    assert "sub-2/T2.nii.gz" in finding.what


@settings(max_examples=15)
@given(gain=st.floats(0.01, 100), level=st.floats(-500, 500), seed=st.integers(0, 20))
def test_brightness_and_contrast_hide_no_copy(gain: float, level: float, seed: int) -> None:
    made = (head(seed) * gain + level).astype(np.float32)
    assert [f.code for f in found({"sub-1": {"T1": head(seed)}, "sub-2": {"T1": made}})] == [
        "participant-copied"
    ]


def test_a_copy_with_few_grey_values_and_a_negative_are_found() -> None:
    image = head(4)
    coarse = np.round(255 * (image - image.min()) / np.ptp(image)).astype(np.float32)
    for made in (coarse, image.max() - image):
        ((_, _, value),) = copied_pairs(subject({"sub-1": {"T1": image}, "sub-2": {"T1": made}}))
        assert COPY <= value <= 1.0001


def repeated(again: np.ndarray) -> Subject:
    mine = [biopsy("b1", "sub-1", (1, 1, 1), 2)]
    return Subject(cohort(mine, ("T1",)), (), (visit(mine, {"T1": head(1)}, {"T1": again}),))


def test_a_repeat_that_is_the_first_scan() -> None:
    (finding,) = copy_findings(repeated(head(1)))
    assert (finding.code, finding.where) == ("repeat-copied", "sub-1/again/T1.nii.gz")


def test_a_repeat_may_be_very_like_the_first_scan() -> None:
    again = head(1) + np.float32(0.012 * head(1).std()) * noise(7) / noise(7).std()
    value = float(detail(head(1)) @ detail(again))
    assert COPY < value < 0.9999
    assert list(copy_findings(repeated(again))) == []


@pytest.mark.parametrize("flat", [np.zeros((24,) * 3), np.full((24,) * 3, 5.0)])
def test_what_shows_nothing_is_no_copy(flat: np.ndarray) -> None:
    assert found({"sub-1": {"T1": flat, "T2": flat}, "sub-2": {"T1": flat, "T2": head(1)}}) == []


def test_masks_are_copies_only_where_every_voxel_agrees() -> None:
    mask = (gaussian_filter(noise(1), 4) > 200).astype(np.float32)
    other = mask.copy()
    other[0, 0, 0] = 1 - other[0, 0, 0]
    assert found({"sub-1": {"seg": mask}, "sub-2": {"seg": other}}) == []
    assert [f.code for f in found({"sub-1": {"seg": mask}, "sub-2": {"seg": mask}})] == ["participant-copied"]


def test_images_are_compared_across_blocks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at a time; the copies are the second and the fourth, and the fifth and the sixth, of six."""
    monkeypatch.setattr(copies, "_BLOCK", 2)
    seeds = (1, 2, 3, 2, 5, 5)
    people = {f"sub-{n}": {"T1": head(seed) * (n + 1)} for n, seed in enumerate(seeds)}
    assert [(f.where, f.participant) for f in found(people)] == [
        ("sub-3/T1.nii.gz", "sub-3"),
        ("sub-5/T1.nii.gz", "sub-5"),
    ]


def test_a_repeat_that_comes_before_the_scan_it_copies_is_named_all_the_same() -> None:
    """Two sessions of one participant: the repeat of the first is what the second shows."""
    mine, later = (biopsy(f"b{n}", "sub-1", (n, 1, 1), n + 1) for n in (1, 2))
    sessions = [visit([mine], {"T1": head(1)}, {"T1": head(2)}), visit([later], {"T1": head(2)})]
    second = replace(sessions[1].images["T1"], label="sub-1/second/T1.nii.gz")
    visits = (sessions[0], replace(sessions[1], images={"T1": second}))
    (finding,) = copy_findings(Subject(cohort([mine, later], ("T1",)), (), visits))
    assert (finding.code, finding.where) == ("repeat-copied", "sub-1/again/T1.nii.gz")
    assert finding.what.endswith("with sub-1/second/T1.nii.gz.")
    assert finding.biopsies == ("b2",)
