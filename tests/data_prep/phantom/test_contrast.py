from __future__ import annotations

import numpy as np
import pytest

from data_prep.phantom.contrast import LEVELS, TISSUES, contrast_images
from data_prep.phantom.spec import CARRIERS


def level(sequence: str, tissue: str) -> float:
    return LEVELS[sequence][TISSUES.index(tissue)]


@pytest.mark.parametrize(
    ("sequence", "bright", "dark"),
    [
        ("T1", "wm", "gm"),
        ("T1", "gm", "csf"),
        ("T2", "csf", "gm"),
        ("T2", "gm", "wm"),
        ("T2", "oedema", "wm"),
        ("FLAIR", "oedema", "gm"),
        ("FLAIR", "wm", "csf"),
        ("T1Gd", "rim", "wm"),
        ("T1Gd", "rim", "core"),
        ("FA", "wm", "oedema"),
        ("MD", "csf", "wm"),
        ("rCBV", "gm", "wm"),
        ("srCBV", "rim", "oedema"),
    ],
)
def test_tissues_look_as_they_do_in_patients(sequence: str, bright: str, dark: str) -> None:
    assert level(sequence, bright) > level(sequence, dark) + 0.5


def test_sequences_that_carry_the_field_are_nearly_flat_inside_the_tumour() -> None:
    for sequence in {name for carriers in CARRIERS.values() for name in carriers}:
        inside = [level(sequence, tissue) for tissue in ("core", "rim", "oedema")]
        assert max(inside) - min(inside) < 1


def test_a_voxel_of_two_tissues_lies_between_them() -> None:
    tissues = np.zeros((len(TISSUES), 1, 1, 1), np.float32)
    tissues[TISSUES.index("gm")] = tissues[TISSUES.index("csf")] = 0.5
    images = contrast_images(tissues)
    assert images.shape == (9, 1, 1, 1)
    assert images[8].item() == pytest.approx((level("T2", "gm") + level("T2", "csf")) / 2)
