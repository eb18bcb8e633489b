from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep.check.masks import mask_findings
from data_prep.check.reading import inspect
from tests.data_prep.check.heads import AFFINE, CENTRES, ball, resave, save, write_heads


def said(folder: Path) -> list[tuple[str, str]]:
    return [(finding.severity, finding.code) for finding in mask_findings(inspect(folder))]


def test_sound_masks_are_not_told(tmp_path: Path) -> None:
    assert said(write_heads(tmp_path / "cohort")) == []


@pytest.mark.parametrize(
    ("mask", "value", "told"),
    [
        ("brain", 0, ("error", "mask-empty")),
        ("tumor", 0, ("warning", "mask-empty")),
        ("brain", 1, ("warning", "mask-full")),
        ("tumor", np.nan, ("error", "mask-not-finite")),
    ],
)
def test_masks_of_one_value_are_told(tmp_path: Path, mask: str, value: float, told: tuple[str, str]) -> None:
    folder = write_heads(tmp_path / "cohort")
    save(folder / "sub-1" / f"{mask}.nii.gz", np.full((32, 32, 32), value, np.float32), AFFINE)
    assert said(folder) == [told]


@pytest.mark.parametrize(
    ("left", "told"),
    [(0.995, []), (0.95, [("note", "tumor-outside-brain")]), (0.5, [("warning", "tumor-outside-brain")])],
)
def test_a_tumour_outside_the_brain_mask_is_told_by_its_share(
    tmp_path: Path, left: float, told: list[tuple[str, str]]
) -> None:
    folder = write_heads(tmp_path / "cohort")
    tumor = ball(CENTRES[0], (5, 5, 5))

    def cut(mask: np.ndarray) -> np.ndarray:
        mask, inside = mask.copy(), np.argwhere(tumor)
        mask[tuple(inside[: round((1 - left) * len(inside))].T)] = 0
        return mask

    resave(folder / "sub-0" / "brain.nii.gz", cut)
    assert said(folder) == told
