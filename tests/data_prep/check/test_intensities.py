from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.check.digest import digest_of
from data_prep.check.intensities import SCALES_APART, intensity_findings
from data_prep.check.subject import Subject
from data_prep.volumes import open_volume
from tests.data_prep.check.subjects import SIZE, biopsy, cohort, image, noise, subject, visit


def codes(images: dict[str, dict[str, np.ndarray]]) -> list[tuple[str, str]]:
    return [(f.severity, f.code) for f in intensity_findings(subject(images))]


def one(voxels: np.ndarray) -> list[tuple[str, str]]:
    return codes({"sub-01": {"T1": voxels}})


@settings(max_examples=15)
@given(seed=st.integers(0, 50), gain=st.floats(1e-4, 1e4), background=st.booleans())
def test_grey_values_of_any_scale_are_sound(seed: int, gain: float, background: bool) -> None:
    voxels = noise(seed) * np.float32(gain)
    if background:
        voxels[: SIZE // 2] = 0
    assert one(voxels) == []


@pytest.mark.parametrize(
    ("voxels", "said"),
    [
        (np.zeros((SIZE,) * 3), ("warning", "all-zero")),
        (np.full((SIZE,) * 3, 7.0), ("warning", "constant")),
        (np.where(noise(1) > 1e9, 0, np.nan), ("error", "not-finite")),
        (np.where(noise(1) > 150, noise(1), np.inf), ("error", "not-finite")),
        (noise(1) - 200, ("warning", "negative")),
        ((noise(1) - noise(1).mean()) / noise(1).std(), ("warning", "normalised")),
        (np.minimum(noise(1), np.percentile(noise(1), 99)), ("warning", "clipped")),
        (np.where(noise(1) > 430, noise(1) - 65536, noise(1)), ("warning", "negative")),
        ((noise(1) > 300).astype(float), ("note", "mask-as-sequence")),
        (np.digitize(noise(1), [250, 350]).astype(float), ("note", "mask-as-sequence")),
    ],
    ids=["zero", "constant", "nan", "inf", "negative", "z-score", "clipped", "wrapped", "mask", "two labels"],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_each_fault_is_named_and_nothing_else(voxels: np.ndarray, said: tuple[str, str]) -> None:
    if not np.isfinite(voxels).any():
        voxels = voxels.copy()
        voxels[0, 0, 0] = 3
    assert one(voxels.astype(np.float32)) == [said]


def test_a_z_score_of_the_brain_alone_is_known_through_the_zeros_around_it() -> None:
    brain = np.zeros((SIZE,) * 3, dtype=bool)
    brain[4:18, 4:18, 4:18] = True
    values = noise(2)
    scored = np.where(brain, (values - values[brain].mean()) / values[brain].std(), 0)
    assert one(scored) == [("warning", "normalised")]


def test_a_value_that_a_type_cannot_exceed_is_named() -> None:
    voxels = np.minimum(np.round(noise(3) * 12), 4095)
    (finding,) = intensity_findings(subject({"sub-01": {"T1": voxels}}))
    assert finding.code == "clipped"
    assert "4095, the largest number of 12 bits" in finding.what
    count = int((voxels == 4095).sum())
    assert f" {count} (" in finding.what
    assert (finding.participant, finding.biopsies) == ("sub-01", ("b2",))


def test_one_participant_in_another_unit_is_named_with_both_medians() -> None:
    people = {f"sub-{n}": {"MD": noise(n)} for n in range(5)}
    people["sub-3"] = {"MD": noise(3) / 1000}
    (finding,) = intensity_findings(subject(people))
    assert (finding.code, finding.participant) == ("scale-differs", "sub-3")
    others = np.median([noise(n).std(dtype=float) for n in range(5) if n != 3])
    assert f"{noise(3).std(dtype=float) / 1000:.3g} in sub-3" in finding.what
    assert f"{others:.3g} in the other 4 images" in finding.what


@settings(max_examples=15)
@given(gain=st.floats(1 / SCALES_APART * 1.2, SCALES_APART / 1.2))
def test_gains_of_scanners_are_no_units(gain: float) -> None:
    people = {"sub-1": {"T1": noise(1)}, "sub-2": {"T1": noise(2) * np.float32(gain)}}
    assert codes(people) == []


def test_what_is_normalised_is_not_said_to_be_in_another_unit_too() -> None:
    people = {f"sub-{n}": {"T1": noise(n)} for n in range(4)}
    people["sub-1"] = {"T1": (noise(1) - noise(1).mean()) / noise(1).std()}
    assert codes(people) == [("warning", "normalised")]


def test_masks_of_all_participants_are_one_note() -> None:
    people = {f"sub-{n}": {"lesion": (noise(n) > 300).astype(np.float32)} for n in range(8)}
    (finding,) = intensity_findings(subject(people))
    assert "sub-0, sub-1, sub-2, sub-3, sub-4 and 3 more" in finding.what


def test_a_trait_of_all_images_of_a_sequence_is_told_once() -> None:
    people = {f"sub-{n}": {"T1": np.minimum(noise(n), 350), "T2": noise(n + 9)} for n in range(5)}
    (finding,) = intensity_findings(subject(people))
    assert (finding.code, finding.participant) == ("clipped", None)
    assert "So it is in all 5 images of T1." in finding.what
    people["sub-3"]["T1"] = noise(3)
    assert [f.participant for f in intensity_findings(subject(people))] == [
        "sub-0",
        "sub-1",
        "sub-2",
        "sub-4",
    ]


@pytest.mark.parametrize(("share", "told"), [(0.0, []), (0.02, [("warning", "clipped")])])
def test_clipping_from_below_is_told_but_no_background(
    tmp_path: Path, share: float, told: list[object]
) -> None:
    """A background of one value is the least there is; what was clipped lies scattered in the head."""
    voxels = noise(1) + 50
    voxels[voxels <= np.quantile(voxels, share)] = 20
    voxels[:6] = 20
    path = tmp_path / "T1.nii.gz"
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    seen = image(voxels, "T1", "sub-1/T1.nii.gz")
    mine = [biopsy("b1", "sub-1", (1, 1, 1), 2)]
    found = replace(visit(mine, {}), images={"T1": replace(seen, digest=digest_of(open_volume(path)))})
    findings = intensity_findings(Subject(cohort(mine, ("T1",)), (), (found,)))
    assert [(f.severity, f.code) for f in findings] == told
