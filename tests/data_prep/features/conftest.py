"""Patch sets of known content, without a cohort."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from data_prep.intensity import LANDMARKS
from data_prep.patches import PatchRequest, PatchSet


@pytest.fixture
def make_patches() -> Callable[..., PatchSet]:
    """Patches from normalised images, shape (n, edge, edge, slices * sequences), and from who has what."""

    def make(images: np.ndarray, present: np.ndarray, slices: int = 1, **options) -> PatchSet:
        n, edge = images.shape[:2]
        sequences = ("T1", "T2", "FLAIR", "rCBV")[: present.shape[1]]
        return PatchSet(
            raw=images.astype(np.float32) * np.tile(present, slices)[:, None, None, :],
            padding=np.zeros((n, edge, edge, slices), dtype=bool),
            present=present.astype(bool),
            mean=np.zeros(present.shape, dtype=np.float32),
            std=np.ones(present.shape, dtype=np.float32),
            landmarks=np.zeros((*present.shape, LANDMARKS), dtype=np.float32),
            voxel_mm=np.ones((n, 2)),
            biopsy_id=tuple(f"b{k:02}" for k in range(n)),
            participant_id=tuple(f"sub-{k // 2:03}" for k in range(n)),
            request=PatchRequest(sequences, edge // 2, slices, **options),
        )

    return make
